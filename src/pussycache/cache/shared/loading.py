"""One load for many callers: of this process by its flight, of all processes by the lease.

What becomes of its result is said in landing.py.
"""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import ref

from pussycache.cache.shared.consulting import handed, untagged
from pussycache.cache.shared.elsewhere import Elsewhere
from pussycache.cache.shared.landing import landed, late, over
from pussycache.cache.shared.lease import AGAIN, alike, has_taken, lease_of, taking
from pussycache.cache.shared.payload import Found
from pussycache.cache.shared.reading import ABSENT, HIT
from pussycache.cache.shared.scripts import MARK
from pussycache.engine.asking import Ask
from pussycache.engine.background import Apart
from pussycache.engine.flow import Wait
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
from pussycache.engine.staleness import AHEAD, FRESH

if TYPE_CHECKING:
    from collections.abc import Generator

    from pussycache.cache.shared.lease import Early
    from pussycache.cache.shared.reading import Reading, Verdict
    from pussycache.cache.shared.tables import SharedTable
    from pussycache.cache.shared.tier import Seen
    from pussycache.engine.flow import Step
    from pussycache.engine.plan import Plan

__all__ = ["load", "taken", "warmed"]


def load(
    plan: Plan,
    table: SharedTable,
    reading: Reading,
    header: bytes,
    values: tuple[Any, ...],
    me: object,
    lease: bytes | None = None,
) -> Generator[Step, Any, Any]:
    """Return the flow that loads, or waits for a load that began under the same generations.

    :param lease: one that has been taken already.
    """
    key = reading.entry, header
    flight = Flight()
    flight.table, flight.values = ref(table), values
    found = table.flights.setdefault(key, flight)
    # A writer may hold what the load needs: inside of a write it runs where it is called.
    timeout = None if plan.keeping.timeout is None or in_a_write() else plan.keeping.timeout
    if found is not flight:
        if lease is not None:
            table.tier.keeper.release(reading.lease, lease)
        return _wait(plan, table, reading, header, found, timeout)
    if timeout is None:
        return _fly(plan, table, reading, header, flight, me, lease)
    loading = partial(_fly, plan, table, reading, header, flight, lease=lease)
    first = Apart(table, [(key, flight)], loading, me, at_once=True)
    return _wait(plan, table, reading, header, flight, timeout, first)


def _wait(
    plan: Plan,
    table: SharedTable,
    reading: Reading,
    header: bytes,
    found: Flight,
    timeout: float | None,
    first: Apart | None = None,
) -> Generator[Step, Any, Any]:
    """Wait for a load of this process; ``first`` is to begin with the wait."""
    key = reading.entry, header
    end = None if timeout is None else monotonic() + timeout
    if first is None and not (yield from _holds(plan, table, reading, found)):
        # For all that come now it is over.
        table.lose(key, found)
        return AGAIN
    if found.stranded():
        table.lose(key, found)
        found.land(ABANDONED)
        return AGAIN
    innermost = LOADING.get()
    if in_a_write() or not may_wait(innermost, found):
        return handed(plan, (yield None))
    try:
        outcome = yield Wait(table, key, found, end, first)
    except BaseException:
        if first is not None and not first.enlisted:
            first.drop()
        raise
    finally:
        wait_over(innermost, found)
    if outcome is TIMED_OUT:
        return (yield from late(plan, table, reading, header))
    if outcome is ABANDONED:
        return AGAIN
    if outcome is OVERDUE or outcome is ALONE:
        helping = Flight()
        helping.helps, helping.table = found, ref(table)
        return handed(plan, (yield helping))
    if type(outcome) is Failure or plan.keeping.hand is None:
        return outcome
    return plan.keeping.hand(outcome)


def taken(
    table: SharedTable, reading: Reading, early: Early, replies: list[Any], verdict: Verdict
) -> bytes | None:
    """Return the lease that was asked for beside the entry, if the load is to run under it.

    If it is not, and was taken, it is given back.
    """
    held, found = replies[:2]
    if held is not None and held != early.lease:
        return None
    if verdict.kind == ABSENT and verdict.header == early.header and found[-1] is None:
        return early.lease
    table.tier.keeper.release(reading.lease, early.lease)
    return None


def warmed(table: SharedTable, reading: Reading, seen: Seen) -> None:
    """Take note of a hit: the next call is expected to be one, too."""
    table.cold = 0
    if reading.early is not None and seen[0][0] in (None, reading.early.lease):
        table.tier.keeper.release(reading.lease, reading.early.lease)


def _holds(
    plan: Plan, table: SharedTable, reading: Reading, flight: Flight
) -> Generator[Ask, Any, bool]:
    """Whether neither a call nor a tag has been forgotten since its load began.

    Its generations say nothing of that: they are the method's. But what forgets a call, or puts a
    value in its place, takes the lease away; and what forgets a tag, the epoch.
    """
    lease = getattr(flight, "lease", None)
    if lease is None:
        # It has not begun.
        return True
    seen = yield Ask(table.tier, reading.entry, [(b"GET", reading.lease)])
    held = None if seen is None else seen[0][0]
    if not isinstance(held, bytes) or held.removesuffix(b"w") != lease:
        return False
    return plan.tags is None or all((yield from table.tags.standing([flight])))


def _fly(
    plan: Plan,
    table: SharedTable,
    reading: Reading,
    header: bytes,
    flight: Flight,
    me: object,
    lease: bytes | None = None,
) -> Generator[Step, Any, Any]:
    """Load under a lease, or be given what another process has loaded."""
    tier, key = table.tier, (reading.entry, header)
    seen, has_lease, epoch = None, lease is not None, None
    lease = lease or lease_of(header)
    try:
        if plan.tags is not None:
            lease, epoch = yield from table.tags.leased(header)
        flight.epoch = epoch
        if not has_lease:
            # What the generations are has just been asked; somebody may have stored since.
            seen = yield Ask(
                tier, reading.entry, taking(reading.lease, reading.entry, lease, tier.lease_ms)
            )
        if seen is None or has_taken(seen[0], lease):
            flight.lease = lease
        else:
            got, early = yield from _leased(plan, table, reading, header, lease, flight)
            if type(got) is Found:
                # Who joined after the look looks again: this may have been forgotten in between.
                over(table, key, flight, got.value, early)
                return got.given(plan)
            if not isinstance(got, bytes):
                over(table, key, flight, ABANDONED)
                return got
            flight.lease = got
        tier.keeper.keep_lease(reading.lease, lease)
        outcome = yield flight
        got = yield from landed(plan, table, reading, header, lease, flight, me, outcome, epoch)
    except BaseException:
        tier.keeper.release(reading.lease, lease)
        over(table, key, flight, ABANDONED)
        raise
    tier.keeper.let_go_of_lease(lease)
    return got


def _leased(
    plan: Plan,
    table: SharedTable,
    reading: Reading,
    header: bytes,
    lease: bytes,
    flight: Flight,
) -> Generator[Step, Any, tuple[Found | Failure | bytes, int]]:
    """Wait until it is this process's turn to load, or somebody has.

    A lease is to load: it stands as long as nobody has the call forgotten. With what was found
    comes how many have waited since before it was looked for.
    """
    tier = table.tier
    # Inside of another load, or of a write, nobody waits for another process: it might wait, too.
    waits = LOADING.get() is None and not in_a_write()
    take = taking(reading.lease, reading.entry, lease, tier.lease_ms)[0]
    end = monotonic() + tier.patience
    while True:
        early = len(flight)
        seen = yield Ask(tier, reading.entry, [take, *reading.look()])
        if seen is None:
            return lease, 0
        (held, *replies), replication = seen
        verdict = reading.judge(replies, replication, tier.sealer)
        verdict = yield from untagged(plan, table, verdict)
        if verdict.header != header:
            # What is loaded now could not be served any more.
            tier.keeper.release(reading.lease, lease)
            return AGAIN, 0
        if verdict.kind == HIT:
            found = table.opened(plan, verdict)
            if found is not None and not verdict.is_error and found.stage in (FRESH, AHEAD):
                if held is None or held == lease:
                    tier.keeper.release(reading.lease, lease)
                return found, early
        if held is None or held == lease or not isinstance(held, bytes):
            return lease, 0
        held = held.removesuffix(b"w")
        if not waits or monotonic() >= end:
            return held, 0
        if not alike(lease, held):
            # For a load that has been overtaken: nobody is helped by it.
            yield Ask(tier, reading.entry, [(b"SET", reading.lease, lease, b"PX", tier.lease_ms)])
            return lease, 0
        yield Ask(tier.wakes)
        since = tier.wakes.heard
        seen = yield Ask(tier, reading.entry, [MARK.call((reading.lease,), held)])
        left = 0 if seen is None else seen[0][0]
        if isinstance(left, int) and left > 0:
            # Over a client of the user's own nobody is woken: then it is asked now and then.
            if not tier.wakes.hears:
                left = min(left, 50)
            yield Elsewhere(table, reading.lease, flight, left, since)
