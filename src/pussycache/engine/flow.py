"""What a call does that was no hit: policy, once, without I/O.

`answer` is a generator. It yields what it needs done and is sent how that came out: a `Flight` (or
`None`, for a load that nobody shares) means "load", a `Wait` means "wait for somebody's load", an
`Apart` means "run this beside me". It returns the value, or the `Failure` that is to be raised.
drivers.py does these things for threads, tasks.py for asyncio. How a call is answered whose cache
is outside of this process is the cache's own flow (`Far`); it yields an `Ask`, too.
"""

from __future__ import annotations

from functools import partial
from time import monotonic
from weakref import ref

from pussycache.engine import clock, telling
from pussycache.engine.asking import Ask
from pussycache.engine.background import Apart
from pussycache.engine.beside import apart, due, loaded
from pussycache.engine.failures import Remembered
from pussycache.engine.generations import HIT, JOIN, SERVED, TENDED, Table
from pussycache.engine.landing import landed
from pussycache.engine.plan import changed, uncacheable
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
from pussycache.engine.staleness import SPENT, STALE
from pussycache.errors import LoadTimeout
from pussycache.hooks import active
from pussycache.typed import final

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any, Final

    from pussycache.engine.entry import Tended
    from pussycache.engine.keeping import Keeping
    from pussycache.engine.plan import Plan

__all__ = ["Part", "Step", "Wait", "answer", "late", "reload", "tended", "too_late"]


_GLANCE: Final = 0.5
"""Seconds between two looks whether the event loop of the load is still open."""

PATIENCE = 5.0
"""Seconds after which one of those who wait for a load begins to load as well."""


def _overdue(helpers: int) -> float:
    """After how many seconds a waiter becomes the next helper: 5, 10, 20, 40, 80, 140, 200 ..."""
    return PATIENCE * (2.0 ** min(helpers, 4) + 12 * max(helpers - 4, 0))


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
        if self.first is not None:
            # It has not begun, so its end cannot be missed: also where a write has overtaken it.
            with self._table.lock:
                self._flight.append(waiter)
            return True
        return self._table.join(self._key, self._flight, waiter)


@final
class Part:
    """A wish to load for several calls at once: with other arguments than those of the call.

    ``flights`` are their loads, as far as they are shared.
    """

    __slots__ = ("flights", "values")

    def __init__(self, flights: tuple[Flight, ...], values: tuple[Any, ...]) -> None:
        self.flights = flights
        self.values = values

    def start(self, values: tuple[Any, ...] = ()) -> None:
        """Take note that the loads begin."""
        if active:
            telling.load_began(self.flights, values)
        begun = clock.read()
        for flight in self.flights:
            flight.begun = begun

    def stop(self, outcome: object = None) -> None:
        """Take note that they have ended; what the call took is shared out among them."""
        ended = clock.read()
        for flight in self.flights:
            flight.took = (ended - flight.begun) / len(self.flights)
        if active:
            telling.load_ended(
                self.flights, outcome.error if isinstance(outcome, Failure) else None
            )


Step = Flight | Wait | Apart | Part | Ask | None


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
            if active:
                telling.looked_up(table, key, values)
            begun_as = table.begin(key, values, False)
        except Exception as error:
            uncacheable(plan, table, error, values)
            return _passed(keeping, (yield None))
    while True:
        if type(begun_as) is Flight:
            found = begun_as
            # A writer may hold what the load needs: inside of a write it runs where it is called.
            if keeping.timeout is not None and not in_a_write():
                to_run = partial(apart, loaded, plan, table, key, found, values)
                first = Apart(table, [(key, found)], to_run, me, at_once=True)
                begun_as = JOIN, found
                continue
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
            begun_as = tended(plan, table, key, values, found, again)
            continue
        if verb is SERVED:
            value, flight, ending = found
            if flight is not None:
                to_run = partial(apart, ending, plan, table, key, flight, values)
                yield Apart(table, [(key, flight)], to_run, me)
            if type(value) is Remembered:
                return Failure(value.again())
            verb, found = HIT, value
        if verb is HIT:
            return found if keeping.hand is None else keeping.hand(found)
        if verb is JOIN:
            again = True
            if found.stranded():
                table.lose(key, found)
                found.land(ABANDONED)
                begun_as = table.begin(key, values, again)
                continue
            if first is None and late(plan, table, values, found):
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
                    return _timed_out(plan, table, key, values)
                if outcome is ABANDONED:
                    begun_as = table.begin(key, values, again)
                    continue
                if outcome is OVERDUE:
                    helping = Flight()
                    helping.helps, helping.table = found, ref(table)
                    outcome = yield helping
                    found.took = helping.took
                    if type(outcome) is Failure:
                        return outcome
                    # It began later than the load it helps: what overtakes it overtakes that one.
                    return landed(plan, table, key, found, values, me, outcome)
                if outcome is not ALONE:
                    if keeping.hand is None or type(outcome) is Failure:
                        return outcome
                    return keeping.hand(outcome)
        return _passed(keeping, (yield None))


def tended(
    plan: Plan, table: Table, key: Any, values: tuple[Any, ...], entry: Tended, again: bool
) -> Any:
    """Say what a call is to do that has found an entry of which more is to be known.

    As a table does; or `SERVED`, with the value, and the load that is to be run beside the call
    and what then is due, if there is one.
    """
    if not entry.intact:
        if table.drop(key, entry):
            changed(plan, values)
        return table.begin(key, values, again)
    stage = entry.stage
    if not (_serves(plan.keeping, entry, stage) and table.current(entry)):
        if again:
            table.misses -= 1
        return table.enter(key, values, entry)
    if stage is STALE:
        table.served_old("aged")
    flight = None
    ending = due(plan.keeping, entry, stage)
    if ending is not None:
        flight = table.begin_again(key, values, entry)
    entry.use()
    return SERVED, (entry.value, flight, ending)


def late(plan: Plan, table: Table, values: tuple[Any, ...], flight: Flight) -> bool:
    """Whether a tag that a load may carry has been forgotten since it began.

    Its own callers are answered; later ones never join it.
    """
    return plan.tags is not None and table.home.tags.overtaken(
        plan.tags.before(values), getattr(flight, "moment", -1)
    )


def _serves(keeping: Keeping, entry: Tended, stage: str) -> bool:
    """Whether this method's policy serves an entry; a proxy with another one may have stored it."""
    if type(entry.value) is Remembered:
        return keeping.errors
    return stage is not SPENT and (stage is not STALE or keeping.aging is not None)


def _timed_out(plan: Plan, table: Table, key: Any, values: tuple[Any, ...]) -> Any:
    """Answer a caller who has waited long enough: with an old value, where a policy allows one."""
    keeping = plan.keeping
    table.waited_in_vain()
    old = table.old(key, values) if keeping.aging is not None else None
    if old is None or type(old.value) is Remembered:
        return too_late(plan)
    table.served_old("timeout")
    return old.value if keeping.hand is None else keeping.hand(old.value)


def too_late(plan: Plan) -> Failure:
    """Return what a caller is raised who has waited long enough."""
    return Failure(
        LoadTimeout(
            f"{plan.label} has not returned within its timeout of {plan.keeping.timeout:g} s; "
            "the load goes on, and its result is stored"
        )
    )


def _passed(keeping: Keeping, outcome: Any) -> Any:
    return outcome if type(outcome) is Failure else keeping.passed(outcome)


def reload(
    plan: Plan, table: Table, values: tuple[Any, ...], me: object
) -> Generator[Step, Any, Any]:
    """Load now, whatever is stored, and store what comes."""
    flight = None
    if not clock.switches:
        try:
            key = plan.encode(values, me)
        except Exception as error:
            uncacheable(plan, table, error, values)
        else:
            flight = table.begin_anew(key, values)
    if flight is None:
        return _passed(plan.keeping, (yield None))
    outcome = yield flight
    got = landed(plan, table, key, flight, values, me, outcome, asked=0)
    # Who asks for a load is told that it failed, also where others are given an old value.
    return outcome if type(outcome) is Failure else got
