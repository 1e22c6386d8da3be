"""What a call does that was no hit: policy, once, without I/O.

`answer` is a generator. It yields what it needs done and is sent how that came out: a `Flight` (or
`None`, for a load that nobody shares) means "load", a `Wait` means "wait for somebody's load", an
`Apart` means "run this beside me". It returns the value, or the `Failure` that is to be raised.
drivers.py does these things for threads, tasks.py for asyncio.
"""

from __future__ import annotations

import sys
import warnings
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from pussycache.declare.keys import ATOMS, Unkeyable
from pussycache.engine import clock
from pussycache.engine.background import Apart
from pussycache.engine.entry import Cause, shown
from pussycache.engine.failures import Remembered
from pussycache.engine.generations import HIT, JOIN, TENDED, Table
from pussycache.engine.guard import guards
from pussycache.engine.keeping import Keeping, one_shot
from pussycache.engine.logs import log_disagreement, log_failure
from pussycache.engine.singleflight import (
    ABANDONED,
    ALONE,
    LOADING,
    OVERDUE,
    TIMED_OUT,
    Failure,
    Flight,
    Waiter,
    in_a_write,
    may_wait,
    wait_over,
)
from pussycache.engine.staleness import FRESH, SPENT, STALE
from pussycache.engine.tags import ANY
from pussycache.errors import LoadTimeout, MutatedValueWarning, UncacheableCallWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from pussycache.engine.entry import Tended

__all__ = ["Part", "Plan", "Step", "Wait", "answer", "landed", "reload", "uncacheable"]


class Tagger(NamedTuple):
    """What gives the tags of a call: given its arguments, and its result if they depend on it."""

    of: Callable[..., tuple[str, ...]]
    by_result: bool

    def before(self, values: tuple[Any, ...]) -> tuple[str, ...]:
        """Return the tags as far as they are known without a result."""
        return ANY if self.by_result else self.of(values)


class Plan:
    """All that the flow needs to know of one cached method.

    ``invoke`` passes bound arguments on to a call; `None` where they are just passed in order.
    ``names`` are those of the parameters; ``tags`` is there where entries carry tags.
    """

    __slots__ = ("encode", "invoke", "keeping", "label", "names", "tags", "warned")

    def __init__(
        self,
        label: str,
        encode: Callable[[tuple[Any, ...], object], Any],
        invoke: Callable[[Any, tuple[Any, ...]], Any] | None,
        keeping: Keeping,
        names: tuple[str, ...],
        tags: Tagger | None = None,
    ) -> None:
        self.label = label
        self.encode = encode
        self.invoke = invoke
        self.keeping = keeping
        self.names = names
        self.tags = tags
        self.warned = False


_OURS: Final = "pussycache."

_GLANCE: Final = 0.5
"""Seconds between two looks whether the event loop of the load is still open."""

PATIENCE = 5.0
"""Seconds after which one of those who wait for a load begins to load as well."""


def _overdue(helpers: int) -> float:
    """After how many seconds a waiter becomes the next helper: 5, 10, 20, 40, 80, 140, 200 ..."""
    return PATIENCE * (2.0 ** min(helpers, 4) + 12 * max(helpers - 4, 0))


@final
class Wait:
    """A wish to wait for a load that somebody else runs.

    No wait is for ever. A load can depend on one that waits for it in ways that nobody sees:
    through a thread of a pool, or a lock of the user's. So from time to time one of those who wait
    loads as well. That costs a slow load few loads more, further and further apart, and every
    waiter that has the patience gets its turn.

    :param end: when to give up, by `time.monotonic`: then nobody helps. `None` is never.
    :param first: a load to begin as soon as its end cannot be missed.
    """

    __slots__ = ("_end", "_flight", "_key", "_table", "_waited", "first")

    def __init__(
        self,
        table: Table,
        key: Any,
        flight: Flight,
        end: float | None = None,
        first: Apart | None = None,
    ) -> None:
        self._table = table
        self._key = key
        self._flight = flight
        self._waited = 0.0
        self._end = end
        self.first = first

    @property
    def patience(self) -> float:
        """How many seconds to wait before the next `outlasted`."""
        if self._end is not None:
            left = max(0.0, self._end - monotonic())
        else:
            left = _overdue(getattr(self._flight, "helpers", 0)) - self._waited
        return min(left, _GLANCE) if hasattr(self._flight, "loop") else left

    def outlasted(self, patience: float) -> Failure | None:
        """Say what is to be done when so many seconds have passed; `None` is to wait on.

        `ABANDONED` if the load never ends, because its event loop has been closed; `OVERDUE` if it
        is time to load as well, and `TIMED_OUT` if it is time to give up.
        """
        self._waited += patience
        flight = self._flight
        if flight.stranded():
            return ABANDONED
        if self._end is not None:
            return TIMED_OUT if monotonic() >= self._end else None
        with self._table.lock:
            helpers = getattr(flight, "helpers", 0)
            if self._waited < _overdue(helpers):
                return None
            flight.helpers = helpers + 1
        return OVERDUE

    def join(self, waiter: Waiter) -> bool:
        """Ask to be told the outcome; false if that load is not the one to wait for any more."""
        return self._table.join(self._key, self._flight, waiter)


@final
class Part(NamedTuple):
    """A wish to load for several calls at once: with other arguments than those of the call.

    ``flights`` are their loads, as far as they are shared.
    """

    flights: tuple[Flight, ...]
    values: tuple[Any, ...]


Step = Flight | Wait | Apart | Part | None


def answer(
    plan: Plan,
    table: Table,
    values: tuple[Any, ...],
    me: object,
    begun: tuple[Any, Any] | None = None,
) -> Generator[Step, Any, Any]:
    """Answer a call that the hit path could not.

    :param begun: the key and what `Table.begin` said of it, where it was asked already.
    """
    keeping = plan.keeping
    again = False
    # Of a method with a timeout: when the wait ends, and the load that is to begin with it.
    end: float | None = None
    first: Apart | None = None
    if begun is not None:
        key, begun_as = begun
    elif clock.switches:
        return _passed(keeping, (yield None))
    else:
        table.tagged = table.tagged or plan.tags is not None
        try:
            key = plan.encode(values, me)
            begun_as = table.begin(key, values, False)
        except Exception as error:
            uncacheable(plan, table, error)
            return _passed(keeping, (yield None))
    while True:
        if type(begun_as) is Flight:
            found = begun_as
            # A writer may hold what the load needs: inside of a write it runs where it is called.
            if keeping.timeout is not None and not in_a_write():
                loading = partial(_loading, plan, table, key, found, values)
                first = Apart(table, key, found, loading, me, at_once=True)
                begun_as = JOIN, found
                continue
            if keeping.aging is not None:
                found.begun = clock.read()
            try:
                return landed(plan, table, key, found, values, me, (yield found))
            except BaseException:
                # Closed, or out of stack: no call that needs a frame of its own, then.
                table.acquire()
                if table.flights.get(key) is found:
                    del table.flights[key]
                table.release()
                for tell in found:
                    tell(ABANDONED)
                raise
        verb, found = begun_as
        if verb is TENDED:
            if not found.intact:
                if table.drop(key, found):
                    _changed(plan, values)
                begun_as = table.begin(key, values, again)
                continue
            stage = found.stage
            if not (_serves(keeping, found, stage) and table.current(found)):
                if again:
                    table.misses -= 1
                begun_as = table.enter(key, values, found)
                continue
            if stage is STALE:
                table.stale += 1
            beside = _beside(keeping, found, stage)
            if beside is not None:
                flight = table.begin_again(key, values, found)
                if flight is not None:
                    yield Apart(
                        table, key, flight, partial(beside, plan, table, key, flight, values), me
                    )
            if type(found.value) is Remembered:
                found.use()
                return Failure(found.value.again())
            found.use()
            verb, found = HIT, found.value
        if verb is HIT:
            return found if keeping.hand is None else keeping.hand(found)
        if verb is JOIN:
            again = True
            if found.stranded():
                table.lose(key, found)
                found.land(ABANDONED)
                begun_as = table.begin(key, values, again)
                continue
            late = plan.tags is not None and table.home.tags.overtaken(
                plan.tags.before(values), getattr(found, "moment", -1)
            )
            if late and first is None:
                # Its own callers are answered; later ones never join it.
                table.lose(key, found)
                begun_as = table.begin(key, values, again)
                continue
            innermost = LOADING.get()
            # A writer may hold what the load is waiting for.
            if not in_a_write() and may_wait(innermost, found):
                if keeping.timeout is not None and end is None:
                    end = monotonic() + keeping.timeout
                try:
                    outcome = yield Wait(table, key, found, end, first)
                except BaseException:
                    if first is not None and not first.enlisted:
                        first.drop()
                    raise
                finally:
                    wait_over(innermost, found)
                first = None
                if outcome is TIMED_OUT:
                    return _late(plan, table, key, values)
                if outcome is ABANDONED:
                    begun_as = table.begin(key, values, again)
                    continue
                if outcome is OVERDUE:
                    helping = Flight()
                    helping.helps = found
                    outcome = yield helping
                    if type(outcome) is Failure:
                        return outcome
                    # It began later than the load it helps: what overtakes it overtakes that one.
                    return landed(plan, table, key, found, values, me, outcome)
                if outcome is not ALONE:
                    if keeping.hand is None or type(outcome) is Failure:
                        return outcome
                    return keeping.hand(outcome)
        return _passed(keeping, (yield None))


def _serves(keeping: Keeping, entry: Tended, stage: str) -> bool:
    """Whether this method's policy serves an entry; a proxy with another one may have stored it."""
    if type(entry.value) is Remembered:
        return keeping.errors
    return stage is not SPENT and (stage is not STALE or keeping.aging is not None)


def _beside(keeping: Keeping, entry: Tended, stage: str) -> Callable[..., Any] | None:
    """Return what is to be done beside a call that is answered with an entry."""
    if type(entry.value) is Remembered or entry.age is None:
        return None
    if stage is not FRESH:
        return None if entry.age.pausing(clock.read()) else _renewing
    if keeping.verify and clock.chance() < keeping.verify:
        return partial(_verifying, entry)
    return None


def _loading(
    plan: Plan, table: Table, key: Any, flight: Flight, values: tuple[Any, ...], me: object
) -> Generator[Step, Any, None]:
    """Load apart, for callers that wait for so long only; they are told how it came out."""
    flight.begun = clock.read()
    outcome = yield flight
    landed(plan, table, key, flight, values, me, outcome, asked=0)


def _late(plan: Plan, table: Table, key: Any, values: tuple[Any, ...]) -> Any:
    """Answer a caller who has waited long enough: with an old value, where a policy allows one."""
    keeping = plan.keeping
    table.timeouts += 1
    old = table.old(key, values) if keeping.aging is not None else None
    if old is None or type(old.value) is Remembered:
        return Failure(
            LoadTimeout(
                f"{plan.label} has not returned within its timeout of {keeping.timeout:g} s; "
                "the load goes on, and its result is stored"
            )
        )
    table.stale += 1
    return old.value if keeping.hand is None else keeping.hand(old.value)


def _renewing(
    plan: Plan, table: Table, key: Any, flight: Flight, values: tuple[Any, ...], me: object
) -> Generator[Step, Any, None]:
    """Load apart, to renew what is remembered; nobody is handed the result here."""
    flight.begun = clock.read()
    outcome = yield flight
    got = landed(plan, table, key, flight, values, me, outcome, asked=0)
    failure = outcome if type(outcome) is Failure else got
    if type(failure) is Failure:
        table.refresh_failures += 1
        log_failure(f"a refresh of {plan.label}", failure.error)
    table.refreshes += 1


def _verifying(
    entry: Tended,
    plan: Plan,
    table: Table,
    key: Any,
    flight: Flight,
    values: tuple[Any, ...],
    me: object,
) -> Generator[Step, Any, None]:
    """Load apart, to compare with what is remembered; what came is remembered from then on."""
    flight.begun = clock.read()
    outcome = yield flight
    differs = False
    if type(outcome) is not Failure:
        try:
            outcome = plan.keeping.read(outcome)
            differs = bool(entry.value != outcome)
        except BaseException as error:
            outcome = Failure(error)
    with table.lock:
        # What a write has overtaken proves nothing.
        counts = table.flights.get(key) is flight and table.entries.get(key) is entry
        writes = table.invalidations - entry.writes
    got = landed(plan, table, key, flight, values, me, outcome, asked=0)
    failure = outcome if type(outcome) is Failure else got
    if type(failure) is Failure:
        log_failure(f"a verification of {plan.label}", failure.error)
    elif counts:
        if differs:
            # It may not have been stored.
            table.forget_if(key, entry, Cause("verify"))
            age = clock.read() - entry.age.loaded if entry.age is not None else 0.0
            table.disagreed(age, writes)
            log_disagreement(plan.label, age, writes)
        table.verified += 1


def _passed(keeping: Keeping, outcome: Any) -> Any:
    return outcome if type(outcome) is Failure else keeping.passed(outcome)


def landed(
    plan: Plan,
    table: Table,
    key: Any,
    flight: Flight,
    values: tuple[Any, ...],
    me: object,
    outcome: Any,
    asked: int = 1,
) -> Any:
    """Do what is due when a load has ended, and return what its caller is given.

    :param asked: how many callers are given it, beside those that wait.
    """
    keeping = plan.keeping
    kind = type(outcome)
    if (
        keeping.plain
        and not guards
        and (kind in ATOMS or not (kind is Failure or outcome is me or one_shot(outcome)))
    ):
        table.finish(key, flight, values, outcome, clock.hot["time"]() + keeping.lasting)
        if flight:
            flight.land(outcome)
        return outcome
    failure = outcome
    if kind is not Failure:
        try:
            kept = keeping.of(outcome, me, getattr(flight, "begun", None))
            if plan.tags is not None and kept.made is not None:
                kept.made.tags = plan.tags.of(values, kept.stored)
        except BaseException as error:
            failure = Failure(error)
        else:
            if kept.expires is None:
                table.leave(key, flight, failed=False, why=kept.why)
            else:
                table.finish(key, flight, values, kept.stored, kept.expires, kept.made)
            flight.land(kept.stored if kept.shared else ALONE)
            return kept.handed
    raised = failure.error
    if kind is Failure and isinstance(raised, Exception):
        # As it is now: since the load began, a write may have taken it away.
        old = table.old(key, values) if keeping.aging is not None else None
        if old is not None and old.age is not None:
            old.age.failed(clock.read(), raised)
            table.leave(key, flight, failed=True)
            table.stale += len(flight) + asked
            flight.land(old.value)
            return old.value if keeping.hand is None else keeping.hand(old.value)
        remembered = keeping.failure(raised) if keeping.errors else None
        if remembered is not None:
            tags = () if plan.tags is None else plan.tags.before(values)
            table.fail(key, flight, values, *remembered, tags)
            flight.land(failure)
            return failure
    table.leave(key, flight, failed=True)
    flight.land(failure if isinstance(raised, Exception) else ABANDONED)
    return failure


def uncacheable(plan: Plan, table: Table, error: Exception) -> None:
    """Count a call without a key, and warn about it once a method."""
    table.uncacheable += 1
    if not plan.warned:
        plan.warned = True
        reason = str(error) if isinstance(error, Unkeyable) else repr(error)
        warnings.warn(
            f"a call of {plan.label} cannot be cached: {reason}; give the argument's class a "
            "method __cache_key__(), or the declaration a Cached(key=...) or "
            "Cached(ignore=[...]). It is computed each time; this is said once",
            UncacheableCallWarning,
            stacklevel=_level_of_the_caller(),
        )


def _changed(plan: Plan, values: tuple[Any, ...]) -> None:
    """Warn that what a call returned was changed by somebody."""
    arguments = shown(dict(zip(plan.names, values, strict=True))).items()
    call = f"{plan.label}({', '.join([f'{name}={text}' for name, text in arguments])})"
    warnings.warn(
        f"what {call} returned was changed in place after it had been stored: it is forgotten, and "
        "loaded anew. Copy it before changing it, declare Cached(copy='deep'), or return what "
        "cannot be changed, such as a tuple; if a method of the object changed it, name that "
        "method in invalidate_methods",
        MutatedValueWarning,
        stacklevel=_level_of_the_caller(),
    )


def _level_of_the_caller() -> int:
    """Return the ``stacklevel`` of the first frame that is not this library's."""
    level, frame = 0, sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith(_OURS):
        level, frame = level + 1, frame.f_back
    return level


def reload(
    plan: Plan, table: Table, values: tuple[Any, ...], me: object
) -> Generator[Step, Any, Any]:
    """Load now, whatever is stored, and store what comes."""
    flight = None
    if not clock.switches:
        try:
            key = plan.encode(values, me)
        except Exception as error:
            uncacheable(plan, table, error)
        else:
            flight = table.begin_anew(key, values)
    if flight is None:
        return _passed(plan.keeping, (yield None))
    flight.begun = clock.read()
    outcome = yield flight
    got = landed(plan, table, key, flight, values, me, outcome, asked=0)
    # Who asks for a load is told that it failed, also where others are given an old value.
    return outcome if type(outcome) is Failure else got
