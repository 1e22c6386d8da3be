"""What is loaded beside calls that are answered: to renew an old value, or to verify one.

When an entry is old is said by its age: see engine/staleness.py.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

from pussycache.cache.shared.landing import landed, old_value, over
from pussycache.cache.shared.lease import lease_of
from pussycache.cache.shared.payload import Found
from pussycache.engine import clock
from pussycache.engine.asking import Ask
from pussycache.engine.background import Apart
from pussycache.engine.logs import log_disagreement, log_failure
from pussycache.engine.singleflight import (
    ABANDONED,
    Failure,
    Flight,
    error_of,
)
from pussycache.engine.staleness import FRESH

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from pussycache.cache.shared.reading import Reading
    from pussycache.cache.shared.tables import SharedTable
    from pussycache.engine.flow import Step
    from pussycache.engine.plan import Plan

__all__ = ["due", "run_beside"]


def due(
    plan: Plan, table: SharedTable, reading: Reading, found: Found, stage: str
) -> Callable[..., Any] | None:
    """Return what is to be done beside a call that is answered with what was found."""
    if stage != FRESH:
        return None if table.pausing(reading) else _renewing
    verify = plan.keeping.verify
    return partial(_verifying, found) if verify and clock.chance() < verify else None


def run_beside(
    beside: Callable[..., Any],
    plan: Plan,
    table: SharedTable,
    reading: Reading,
    header: bytes,
    values: tuple[Any, ...],
    me: object,
) -> Generator[Step, Any, None]:
    """Have something loaded beside the call that is answered, unless somebody does."""
    key = reading.entry, header
    flight = Flight()
    flight.table, flight.values = ref(table), values
    if table.flights.setdefault(key, flight) is flight:
        loading = partial(beside, plan, table, reading, header, flight)
        yield Apart(table, [(key, flight)], loading, me)


def _renewing(
    plan: Plan, table: SharedTable, reading: Reading, header: bytes, flight: Flight, me: object
) -> Generator[Step, Any, None]:
    tier, key = table.tier, (reading.entry, header)
    lease, epoch = lease_of(header), None
    try:
        if plan.tags is not None:
            lease, epoch = yield from table.tags.leased(header)
        take = (b"SET", reading.lease, lease, b"NX", b"PX", tier.lease_ms)
        seen = yield Ask(tier, reading.entry, [take])
        if seen is None or seen[0][0] != b"OK":
            # Another process renews it.
            over(table, key, flight, ABANDONED)
            return
        tier.keeper.keep_lease(reading.lease, lease)
        flight.lease, flight.epoch = lease, epoch
        outcome = yield flight
        got = yield from landed(plan, table, reading, header, lease, flight, me, outcome, epoch)
    except BaseException:
        tier.keeper.release(reading.lease, lease)
        over(table, key, flight, ABANDONED)
        raise
    tier.keeper.let_go_of_lease(lease)
    failure = outcome if type(outcome) is Failure else got
    error = error_of(failure)
    if error is not None:
        log_failure(f"a refresh of {plan.label}", error)
    table.renewed(error)


def _verifying(
    found: Found,
    plan: Plan,
    table: SharedTable,
    reading: Reading,
    header: bytes,
    flight: Flight,
    me: object,
) -> Generator[Step, Any, None]:
    """Load beside, to compare with what is remembered; what came is remembered from then on."""
    tier, key = table.tier, (reading.entry, header)
    lease, epoch = lease_of(header), None
    try:
        if plan.tags is not None:
            lease, epoch = yield from table.tags.leased(header)
        yield Ask(tier, reading.entry, [(b"SET", reading.lease, lease, b"PX", tier.lease_ms)])
        tier.keeper.keep_lease(reading.lease, lease)
        flight.lease, flight.epoch = lease, epoch
        outcome = yield flight
        differs = False
        if type(outcome) is not Failure:
            try:
                outcome = plan.keeping.read(outcome)
                differs = bool(found.value != outcome)
            except BaseException as error:
                outcome = Failure(error)
        # What a write has overtaken proves nothing.
        counts = (yield from old_value(plan, table, reading, header)) is not None
        got = yield from landed(plan, table, reading, header, lease, flight, me, outcome, epoch)
    except BaseException:
        tier.keeper.release(reading.lease, lease)
        over(table, key, flight, ABANDONED)
        raise
    tier.keeper.let_go_of_lease(lease)
    failure = outcome if type(outcome) is Failure else got
    if type(failure) is Failure:
        log_failure(f"a verification of {plan.label}", failure.error)
    elif counts:
        if differs:
            age = 0.0 if found.age is None else clock.read() - found.age.loaded
            table.disagreed(age, 0)
            log_disagreement(plan.label, age, 0)
        table.verified += 1
