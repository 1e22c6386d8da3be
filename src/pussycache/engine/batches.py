"""What a call does that asks for many ids at once: one load for those that are not remembered.

The entries are per id. What becomes of each result, and of the loads of others, is decided as for
any call, in flow.py and generations.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pussycache.declare.keys import ATOMS
from pussycache.engine import clock
from pussycache.engine.failures import Remembered
from pussycache.engine.flow import Part, Wait, landed, uncacheable
from pussycache.engine.generations import HIT, JOIN, TENDED
from pussycache.engine.singleflight import (
    ABANDONED,
    ALONE,
    LOADING,
    OVERDUE,
    Failure,
    Flight,
    in_a_write,
    may_wait,
    wait_over,
)
from pussycache.engine.staleness import SPENT, STALE
from pussycache.errors import ConfigurationError
from pussycache.types import MISSING

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from pussycache.engine.flow import Plan, Step
    from pussycache.engine.generations import Table

__all__ = ["Ids", "gather"]

_KEPT: Any = (list, tuple, set, frozenset)


class Ids(NamedTuple):
    """How a call for many ids comes apart into calls for one.

    ``at`` is where the ids stand among the arguments; ``sources`` gives, for each parameter of the
    call for one id, where its argument is, `None` for the id itself. ``plan`` says how that call is
    keyed.
    """

    at: int
    sources: tuple[int | None, ...]
    plan: Plan


class _Wanted(NamedTuple):
    """One id that is not remembered."""

    id: Any
    key: Any
    values: tuple[Any, ...]


def gather(
    plan: Plan, ids: Ids, table: Table, values: tuple[Any, ...], me: object
) -> Generator[Step, Any, Any]:
    """Answer a call for many ids: with what is remembered, one load, and the loads of others."""
    asked = values[ids.at]
    if not isinstance(asked, Collection) or isinstance(asked, (str, bytes, Mapping)):
        if hasattr(type(asked), "__next__"):
            # It can be read once, and is read here.
            asked = list(asked)
            values = (*values[: ids.at], asked, *values[ids.at + 1 :])
        else:
            return (yield None)
    found: dict[Any, Any] = {}
    if clock.switches:
        return (yield Part((), values))
    try:
        wanted = _remembered(ids, table, values, asked, me, found)
    except Exception as error:
        uncacheable(plan, table, error)
        return (yield Part((), values))
    # Asked before anything is loaded here: what has ended waits for nobody any more.
    innermost = LOADING.get()
    again = False
    while wanted:
        failure, wanted = yield from _load(
            plan, ids, table, values, me, wanted, found, again, innermost
        )
        if failure is not None:
            return failure
        again = True
    hand = plan.keeping.hand
    return {
        one: found[one] if hand is None else hand(found[one])
        for one in dict.fromkeys(asked)
        if found[one] is not MISSING
    }


def _remembered(
    ids: Ids,
    table: Table,
    values: tuple[Any, ...],
    asked: Iterable[Any],
    me: object,
    found: dict[Any, Any],
) -> list[_Wanted]:
    """Put what is remembered into ``found``, and return the rest."""
    wanted = []
    sources, encode = ids.sources, ids.plan.encode
    alone = sources == (None,)
    entries, now = table.entries, clock.hot["time"]()
    for one in asked:
        if one in found:
            continue
        if alone and type(one) in ATOMS:
            bound: tuple[Any, ...] = (one,)
            key: Any = (one, type(one))
        else:
            bound = tuple([one if at is None else values[at] for at in sources])
            key = encode(bound, me)
        entry = entries.get(key)
        if entry is not None and entry.expires > now and type(entry.value) is not Remembered:
            entry.hits += 1
            found[one] = entry.value
        else:
            found[one] = MISSING
            wanted.append(_Wanted(one, key, bound))
    return wanted


def _load(
    plan: Plan,
    ids: Ids,
    table: Table,
    values: tuple[Any, ...],
    me: object,
    wanted: list[_Wanted],
    found: dict[Any, Any],
    again: bool,
    innermost: Flight | None,
) -> Generator[Step, Any, tuple[Failure | None, list[_Wanted]]]:
    """Load in one call what nobody loads, and wait for others; return what is to be tried anew."""
    mine: list[tuple[_Wanted, Flight]] = []
    alone: list[_Wanted] = []
    others: list[tuple[_Wanted, Flight]] = []
    try:
        for one in wanted:
            begun_as = _begun(plan, table, one, again)
            if type(begun_as) is Flight:
                mine.append((one, begun_as))
                continue
            verb, other = begun_as
            if verb is HIT:
                found[one.id] = other
            elif verb is JOIN:
                others.append((one, other))
            else:
                alone.append(one)
        failure = yield from _one_call(plan, ids, table, values, me, mine, alone, found)
        if failure is not None:
            return failure, []
    except BaseException:
        for one, flight in mine:
            if table.lose(one.key, flight):
                flight.land(ABANDONED)
        raise
    # Only now: whoever waits for what is loaded here has been answered.
    anew: list[_Wanted] = []
    alone = []
    for one, flight in others:
        outcome: Any = ALONE
        if flight.stranded():
            table.lose(one.key, flight)
            outcome = ABANDONED
        elif not in_a_write() and may_wait(innermost, flight):
            try:
                outcome = yield Wait(table, one.key, flight)
            finally:
                wait_over(innermost, flight)
        if outcome is ABANDONED:
            anew.append(one)
        elif outcome is ALONE or outcome is OVERDUE:
            # Also for a load that takes for ever: this one begins later, and ends by itself.
            alone.append(one)
        elif type(outcome) is Failure:
            return outcome, []
        else:
            found[one.id] = outcome
    return (yield from _one_call(plan, ids, table, values, me, [], alone, found)), anew


def _begun(plan: Plan, table: Table, one: _Wanted, again: bool) -> Any:
    """Enter a load, or say as a table does what is to be done instead."""
    begun_as: Any = table.begin(one.key, one.values, again)
    while type(begun_as) is not Flight and begun_as[0] is TENDED:
        entry = begun_as[1]
        stage = entry.stage
        remembered = type(entry.value) is Remembered
        if (
            (remembered and not plan.keeping.errors)
            or stage in (SPENT, STALE)
            or not (entry.intact and table.current(entry))
        ):
            begun_as = table.enter(one.key, one.values, entry)
            continue
        entry.use()
        return HIT, MISSING if remembered else entry.value
    return begun_as


def _one_call(
    plan: Plan,
    ids: Ids,
    table: Table,
    values: tuple[Any, ...],
    me: object,
    mine: list[tuple[_Wanted, Flight]],
    alone: list[_Wanted],
    found: dict[Any, Any],
) -> Generator[Step, Any, Failure | None]:
    """Load all these ids in one call, and bring each one's load to its end."""
    if not (mine or alone):
        return None
    asked = values[ids.at]
    part = [one.id for one, _ in mine] + [one.id for one in alone]
    # In the order in which they were asked for, and in a collection of the same type.
    order = {one: i for i, one in enumerate(dict.fromkeys(asked))}
    part.sort(key=order.__getitem__)
    some = type(asked)(part) if type(asked) in _KEPT else part
    flights = tuple([flight for _, flight in mine])
    got = yield Part(flights, (*values[: ids.at], some, *values[ids.at + 1 :]))
    if type(got) is not Failure and not isinstance(got, Mapping):
        got = Failure(
            ConfigurationError(
                f"{plan.label} returned {type(got).__qualname__}, and a method with each= must "
                "return a mapping from ids to results; nothing is stored"
            )
        )
    if type(got) is Failure:
        for one, flight in mine:
            table.leave(one.key, flight, failed=True)
            flight.land(got if isinstance(got.error, Exception) else ABANDONED)
        return got
    for one in alone:
        found[one.id] = got.get(one.id, MISSING)
    for one, flight in mine:
        result = got.get(one.id, MISSING)
        if result is MISSING:
            _missing(plan, table, one, flight, me)
            continue
        result = landed(plan, table, one.key, flight, one.values, me, result)
        if type(result) is Failure:
            return result
        found[one.id] = result
    return None


def _missing(plan: Plan, table: Table, one: _Wanted, flight: Flight, me: object) -> None:
    """End the load of an id that is not in the answer; remember that, where the policy says so."""
    keeping = plan.keeping
    if keeping.keeps_missing:
        landed(plan, table, one.key, flight, one.values, me, MISSING)
        return
    remembered = keeping.failure(KeyError(one.id)) if keeping.errors else None
    if remembered is None:
        table.leave(one.key, flight, failed=False, why="the answer has no such id")
        flight.land(ALONE)
    else:
        table.fail(one.key, flight, one.values, *remembered, ())
        # They find out for themselves.
        flight.land(ABANDONED)
