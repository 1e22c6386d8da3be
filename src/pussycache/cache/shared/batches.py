"""What a call does that asks for many ids whose entries are in a server: one look, one load.

How a call comes apart into ids is said in engine/ids.py, how some of them are loaded in
batch_loads.py; what an entry is, as for any call.
"""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import ref

from pussycache.cache.shared.batch_loads import (
    Open,
    ask_together,
    lease_anew,
    lease_some,
    load_apart,
    load_some,
    renew_some,
)
from pussycache.cache.shared.consulting import known, named, untagged
from pussycache.cache.shared.landing import over
from pussycache.cache.shared.lease import lease_of
from pussycache.cache.shared.reading import ABSENT, HIT
from pussycache.engine import clock
from pussycache.engine.asking import Ask
from pussycache.engine.background import Apart
from pussycache.engine.flow import Part, Wait, too_late
from pussycache.engine.singleflight import (
    ABANDONED,
    ALONE,
    LOADING,
    OVERDUE,
    TIMED_OUT,
    Failure,
    Flight,
    in_a_write,
    may_wait,
    wait_over,
)
from pussycache.engine.staleness import FRESH, SPENT, STALE
from pussycache.types import MISSING

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from pussycache.cache.shared.tables import SharedTable
    from pussycache.engine.flow import Step
    from pussycache.engine.ids import Ids, Wanted
    from pussycache.engine.plan import Plan

__all__ = ["gather", "gather_anew"]


def gather(
    plan: Plan, ids: Ids, table: SharedTable, values: tuple[Any, ...], me: object
) -> Generator[Step, Any, Any]:
    """Answer a call for many ids: with what is there, one load, and the loads of others."""
    read = ids.read(values)
    if read is None:
        return (yield None)
    if clock.switches:
        return (yield Part((), read))
    try:
        wanted = ids.apart(read, me)
    except Exception:
        # One of them is no part of a key.
        table.uncacheable += 1
        return (yield Part((), read))
    found: dict[Any, Any] = {}
    end = None if plan.keeping.timeout is None else monotonic() + plan.keeping.timeout
    again = False
    while wanted:
        outcome: Any = yield from _round(plan, ids, table, read, me, wanted, found, end, again)
        if type(outcome) is Failure:
            return outcome
        wanted, again = outcome, True
    return {one: found[one] for one in dict.fromkeys(read[ids.at]) if found[one] is not MISSING}


def _round(
    plan: Plan,
    ids: Ids,
    table: SharedTable,
    values: tuple[Any, ...],
    me: object,
    wanted: list[Wanted],
    found: dict[Any, Any],
    end: float | None,
    again: bool,
) -> Generator[Step, Any, Failure | list[Wanted]]:
    """Look once, load once, and wait for others; return what is to be tried anew."""
    open_, alone, aside = yield from _looked(ids.plan, table, me, wanted, found, again)
    if isinstance(open_, Failure):
        return open_
    mine: list[tuple[Open, Flight]] = []
    others: list[tuple[Open, Flight]] = []
    for one in open_:
        flight = Flight()
        flight.table, flight.values = ref(table), one.one.values
        other = table.flights.setdefault(one.key, flight)
        (mine if other is flight else others).append((one, other))
    renewing = []
    for one in aside:
        flight = Flight()
        flight.table, flight.values = ref(table), one.one.values
        if table.flights.setdefault(one.key, flight) is flight:
            renewing.append((one, flight))
    taken = list(mine)
    try:
        mine = yield from lease_some(ids.plan, table, taken, found)
        if renewing:
            part = ids.part(values, [o.one for o, _ in renewing], [f for _, f in renewing])
            flow = partial(renew_some, ids.plan, table, part, renewing)
            yield Apart(table, [(o.key, f) for o, f in renewing], flow, me)
        outcome: Any = {}
        if mine or alone:
            part = ids.part(values, [*[o.one for o, _ in mine], *alone], [f for _, f in mine])
            if end is not None and mine and not in_a_write():
                whole = Flight()
                flow = partial(load_apart, whole, ids.plan, table, part, mine, alone)
                first = Apart(
                    table, [(o.key, f) for o, f in mine], flow, me, at_once=True, whole=whole
                )
                outcome = yield Wait(table, None, whole, end, first)
            else:
                outcome = yield from load_some(ids.plan, table, part, mine, alone, me)
    except BaseException:
        for one, _ in taken:
            table.tier.keeper.release(one.reading.lease, one.lease)
        for one, flight in [*taken, *renewing]:
            over(table, one.key, flight, ABANDONED)
        raise
    if outcome is TIMED_OUT:
        table.waited_in_vain()
        return too_late(plan)
    if outcome is ABANDONED:
        return [*[o.one for o, _ in mine], *[o.one for o, _ in others], *alone]
    if isinstance(outcome, Failure):
        return outcome
    found.update(outcome)
    rest: Failure | list[Wanted] = yield from _waited(
        plan, ids, table, values, me, others, found, end
    )
    return rest


def _looked(
    plan: Plan,
    table: SharedTable,
    me: object,
    wanted: Iterable[Wanted],
    found: dict[Any, Any],
    again: bool,
) -> Generator[Ask, Any, Any]:
    """Ask for all ids in one go; return which are to be loaded, for whom, and which renewed."""
    tier = table.tier
    # Asked once for each: it may be trusted again at any moment.
    readings = [
        (one, named(plan, table, one.values, me) if tier.trusted else None) for one in wanted
    ]
    commands = [
        (reading.entry, command)
        for _, reading in readings
        if reading is not None
        for command in reading.look()
    ]
    replies = yield from ask_together(table, commands)
    open_: list[Open] = []
    alone: list[Wanted] = []
    aside: list[Open] = []
    for one, reading in readings:
        if reading is None:
            alone.append(one)
            continue
        count = len(reading.look())
        seen = [replies.pop(0) for _ in range(count)]
        verdict = None
        if seen[0] is not None:
            verdict = reading.judge([reply for reply, _ in seen], seen[0][1], tier.sealer)
            verdict = yield from untagged(plan, table, verdict)
        if verdict is None or verdict.kind not in (HIT, ABSENT):
            # A generation is missing, say: as for any call.
            known_as, verdict = yield from known(plan, table, one.values, me, verdict)
            if known_as is None or verdict.kind not in (HIT, ABSENT):
                alone.append(one)
                if not again:
                    table.missed(known_as, verdict, one.values)
                continue
            reading = known_as
        here = Open(one, reading, verdict.header, lease_of(verdict.header))
        old = table.opened(plan, verdict) if verdict.kind == HIT else None
        if old is not None and verdict.is_error:
            table.hits += not again
            if not old.value.absence:
                return Failure(old.value.again()), alone, aside
            found[one.id] = MISSING
            continue
        stage = SPENT if old is None else old.stage
        if old is None or (stage == SPENT and not table.pausing(reading)):
            if not again:
                table.missed(reading, verdict, one.values)
            open_.append(here)
            continue
        table.hits += not again
        if stage in (STALE, SPENT):
            table.served_old("aged" if stage == STALE else "load-failed")
        found[one.id] = old.given(plan)
        if stage != FRESH and not table.pausing(reading):
            aside.append(here)
    open_ = yield from _noted(plan, table, open_)
    aside = yield from _noted(plan, table, aside)
    return open_, alone, aside


def _noted(plan: Plan, table: SharedTable, some: list[Open]) -> Generator[Ask, Any, list[Open]]:
    """Have what is to be loaded note the epoch of the tags, where entries carry tags."""
    if plan.tags is None or not some:
        return some
    epoch = yield from table.tags.epoch()
    return [one._replace(lease=table.tags.lease(one.header, epoch), epoch=epoch) for one in some]


def _waited(
    plan: Plan,
    ids: Ids,
    table: SharedTable,
    values: tuple[Any, ...],
    me: object,
    others: list[tuple[Open, Flight]],
    found: dict[Any, Any],
    end: float | None,
) -> Generator[Step, Any, Failure | list[Wanted]]:
    """Wait for the loads of others in this process; return what is to be tried anew."""
    anew: list[Wanted] = []
    alone: list[Wanted] = []
    innermost = LOADING.get()
    standing = yield from _standing(ids.plan, table, others)
    for one, flight in others:
        outcome: Any = ALONE
        if flight.stranded():
            over(table, one.key, flight, ABANDONED)
            outcome = ABANDONED
        elif one.key not in standing:
            table.lose(one.key, flight)
            outcome = ABANDONED
        elif not in_a_write() and may_wait(innermost, flight):
            try:
                outcome = yield Wait(table, one.key, flight, end)
            finally:
                wait_over(innermost, flight)
        if outcome is TIMED_OUT:
            table.waited_in_vain()
            return too_late(plan)
        if outcome is ABANDONED:
            anew.append(one.one)
        elif outcome is ALONE or outcome is OVERDUE:
            alone.append(one.one)
        elif type(outcome) is Failure:
            return outcome
        else:
            hand = ids.plan.keeping.hand
            found[one.one.id] = outcome if hand is None else hand(outcome)
    if alone:
        outcome = yield from load_some(ids.plan, table, ids.part(values, alone, ()), [], alone, me)
        if type(outcome) is Failure:
            return outcome
        found.update(outcome)
    return anew


def _standing(
    plan: Plan, table: SharedTable, others: list[tuple[Open, Flight]]
) -> Generator[Ask, Any, set[tuple[bytes, bytes]]]:
    """Return which of these calls, and their tags, have not been forgotten since they began."""
    begun = [(one, flight.lease) for one, flight in others if hasattr(flight, "lease")]
    replies = yield from ask_together(
        table, [(one.reading.entry, (b"GET", one.reading.lease)) for one, _ in begun]
    )
    standing = {one.key for one, _ in others} - {one.key for one, _ in begun}
    for (one, lease), seen in zip(begun, replies, strict=True):
        held = None if seen is None else seen[0]
        if isinstance(held, bytes) and held.removesuffix(b"w") == lease:
            standing.add(one.key)
    if plan.tags is not None:
        stands = yield from table.tags.standing([flight for _, flight in others])
        standing &= {one.key for (one, _), stand in zip(others, stands, strict=True) if stand}
    return standing


def gather_anew(
    plan: Plan, ids: Ids, table: SharedTable, values: tuple[Any, ...], me: object
) -> Generator[Step, Any, Any]:
    """Load all ids of a call now, in one, whatever is stored, and store what comes."""
    read = ids.read(values)
    if read is None:
        return (yield None)
    if clock.switches:
        return (yield Part((), read))
    mine: list[tuple[Open, Flight]] = []
    alone: list[Wanted] = []
    try:
        wanted = ids.apart(read, me)
        for one in wanted:
            reading, verdict = yield from known(ids.plan, table, one.values, me)
            if reading is None or verdict.kind not in (HIT, ABSENT):
                alone.append(one)
                continue
            open_ = Open(one, reading, verdict.header, lease_of(verdict.header))
            flight = table.flights[open_.key] = Flight()
            flight.table, flight.values = ref(table), one.values
            mine.append((open_, flight))
        noted = yield from _noted(ids.plan, table, [one for one, _ in mine])
        mine = [(one, flight) for one, (_, flight) in zip(noted, mine, strict=True)]
        part = ids.part(read, wanted, [flight for _, flight in mine])
        yield from lease_anew(table, mine)
        outcome = yield from load_some(ids.plan, table, part, mine, alone, me)
    except BaseException:
        for open_, flight in mine:
            over(table, open_.key, flight, ABANDONED)
        raise
    if type(outcome) is Failure:
        return outcome
    return {one: outcome[one] for one in dict.fromkeys(read[ids.at]) if outcome[one] is not MISSING}
