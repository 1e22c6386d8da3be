"""What a call does whose entries are in a server: policy, once, without I/O.

`answer` and `reload` are generators, as those of engine/flow.py are, and are driven by the same
drivers. The parts of their way are in consulting.py, loading.py, landing.py and beside.py.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any
from weakref import ref

from pussycache.cache.envelope import VALUE
from pussycache.cache.shared.beside import due, run_beside
from pussycache.cache.shared.consulting import NOBODY, UNKNOWN_RULE, handed, known, named
from pussycache.cache.shared.landing import landed, over
from pussycache.cache.shared.lease import AGAIN, COLD, lease_of
from pussycache.cache.shared.loading import load, taken, warmed
from pussycache.cache.shared.reading import ABSENT, CREATE, HIT, RULES
from pussycache.cache.wire import Packed
from pussycache.engine import clock
from pussycache.engine.asking import Ask
from pussycache.engine.singleflight import (
    ABANDONED,
    Failure,
    Flight,
)
from pussycache.engine.staleness import SPENT, STALE
from pussycache.types import MISSING

if TYPE_CHECKING:
    from collections.abc import Generator

    from pussycache.cache.shared.reading import Reading
    from pussycache.cache.shared.tables import SharedTable
    from pussycache.cache.shared.tier import Seen
    from pussycache.engine.flow import Step
    from pussycache.engine.plan import Plan

__all__ = ["answer", "begin", "reload", "serve"]


def begin(
    plan: Plan, table: SharedTable, values: tuple[Any, ...], me: object
) -> tuple[Ask, Reading] | None:
    """Return what is asked about a call, and how it is known to the server."""
    tier = table.tier
    if not (table.cold or table.fences or clock.switches) and tier.trusted:
        known = tier.recent.of(table.writing(plan), values)
        if known is not None:
            return known
    reading = named(plan, table, values, me)
    if reading is None or not tier.trusted:
        return None
    if table.cold >= COLD:
        # First: who is given the lease, and then finds no entry, is the one to load it.
        return Ask(tier, reading.entry, [table.early(reading), *reading.look()]), reading
    asked = Ask(tier, reading.entry, Packed(reading.look())), reading
    tier.recent.note(table.writing(plan), plan, values, me, asked)
    return asked


def serve(plan: Plan, table: SharedTable, reading: Reading, seen: Seen | None) -> Any:
    """Return what was found, if it is an ordinary entry that may be served."""
    if seen is None or reading.kind != VALUE:
        return MISSING
    replies = seen[0] if reading.early is None else seen[0][1:]
    payload = reading.served(replies, seen[1], table.tier.sealer)
    if payload is None:
        return MISSING
    try:
        value = table.writing(plan).value(payload)
    except ValueError:
        # To be counted, and loaded anew.
        return MISSING
    table.hits += 1
    if table.cold:
        warmed(table, reading, seen)
    hand = plan.keeping.hand
    return value if hand is None or hand is deepcopy else hand(value)


def answer(
    plan: Plan,
    table: SharedTable,
    values: tuple[Any, ...],
    me: object,
    begun: tuple[Reading | None, Seen | None],
) -> Generator[Step, Any, Any]:
    """Answer a call that is no plain hit."""
    again = False
    reading, seen = begun
    while True:
        verdict, lease = NOBODY, None
        if reading is not None:
            if seen is not None:
                replies = seen[0] if reading.early is None else seen[0][1:]
                verdict = reading.judge(replies, seen[1], table.tier.sealer)
                if reading.early is not None:
                    lease = taken(table, reading, reading.early, seen[0], verdict)
            if verdict.kind in (CREATE, RULES) or verdict.refused or plan.tags is not None:
                reading, verdict = yield from known(plan, table, values, me, verdict)
        if reading is None or verdict.kind not in (HIT, ABSENT):
            if not again and verdict.kind != UNKNOWN_RULE:
                table.missed(reading, verdict, values)
            return handed(plan, (yield None))
        old = None
        if verdict.kind == HIT:
            old = table.opened(plan, verdict)
            if old is not None and verdict.is_error:
                table.hits += not again
                return Failure(old.value.again())
            stage = SPENT if old is None else old.stage
            if old is not None and (stage != SPENT or table.pausing(reading)):
                table.hits += not again
                if stage in (STALE, SPENT):
                    table.served_old("aged" if stage == STALE else "load-failed")
                beside = due(plan, table, reading, old, stage)
                if beside is not None:
                    yield from run_beside(beside, plan, table, reading, verdict.header, values, me)
                return table.given(plan, reading, verdict, old)
        if not again:
            table.missed(reading, verdict, values)
        again = True
        table.chill(reading, verdict.header)
        outcome = yield from load(plan, table, reading, verdict.header, values, me, lease)
        if outcome is not AGAIN:
            return outcome
        found = begin(plan, table, values, me)
        reading, seen = None, None
        if found is not None:
            asked, reading = found
            seen = yield asked


def reload(
    plan: Plan, table: SharedTable, values: tuple[Any, ...], me: object
) -> Generator[Step, Any, Any]:
    """Load now, whatever is stored, and store what comes."""
    reading, verdict = yield from known(plan, table, values, me)
    if reading is None or verdict.kind not in (HIT, ABSENT):
        return handed(plan, (yield None))
    tier, header = table.tier, verdict.header
    lease, epoch = lease_of(header), None
    flight = Flight()
    flight.table, flight.values = ref(table), values
    # It takes the place of any load that runs: that one began earlier, and is not stored.
    table.flights[reading.entry, header] = flight
    try:
        if plan.tags is not None:
            lease, epoch = yield from table.tags.leased(header)
        yield Ask(tier, reading.entry, [(b"SET", reading.lease, lease, b"PX", tier.lease_ms)])
        tier.keeper.keep_lease(reading.lease, lease)
        flight.lease, flight.epoch = lease, epoch
        outcome = yield flight
        got = yield from landed(plan, table, reading, header, lease, flight, me, outcome, epoch)
    except BaseException:
        tier.keeper.release(reading.lease, lease)
        over(table, (reading.entry, header), flight, ABANDONED)
        raise
    tier.keeper.let_go_of_lease(lease)
    # Who asks for a load is told that it failed, also where others are given an old value.
    return outcome if type(outcome) is Failure else got
