"""What goes on beside a call: loads that renew what it was answered with, verify it, or take long.

Whether the call is answered with what is remembered is decided in flow.py.
"""

from __future__ import annotations

from functools import partial

from pussycache.engine import clock
from pussycache.engine.entry import Cause
from pussycache.engine.failures import Remembered
from pussycache.engine.landing import Absent, landed
from pussycache.engine.logs import log_disagreement, log_failure
from pussycache.engine.singleflight import Failure, error_of
from pussycache.engine.staleness import FRESH
from pussycache.types import MISSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any, TypeAlias

    from pussycache.engine.entry import Tended
    from pussycache.engine.generations import Table
    from pussycache.engine.keeping import Keeping
    from pussycache.engine.plan import Plan
    from pussycache.engine.singleflight import Flight

__all__ = ["End", "apart", "due", "loaded", "renewed"]

End: TypeAlias = "Callable[..., None]"
"""What is due when a load apart has ended; see `loaded` for its arguments."""


def due(keeping: Keeping, entry: Tended, stage: str) -> End | None:
    """Return the end of the load that is to be begun beside a call answered with an entry."""
    if type(entry.value) is Remembered or entry.age is None:
        return None
    if stage is not FRESH:
        return None if entry.age.pausing(clock.read()) else renewed
    if keeping.verify and clock.chance() < keeping.verify:
        return partial(_verified, entry)
    return None


def apart(
    end: End,
    plan: Plan,
    table: Table,
    key: Any,
    flight: Flight,
    values: tuple[Any, ...],
    me: object,
) -> Generator[Flight, Any, None]:
    """Load apart from the call that has entered the load."""
    end(plan, table, key, flight, values, me, (yield flight))


def loaded(
    plan: Plan,
    table: Table,
    key: Any,
    flight: Flight,
    values: tuple[Any, ...],
    me: object,
    outcome: Any,
    log: bool = True,
) -> None:
    """End a load for callers that wait for so long only; they are told how it came out."""
    landed(plan, table, key, flight, values, me, outcome, asked=0)


def renewed(
    plan: Plan,
    table: Table,
    key: Any,
    flight: Flight,
    values: tuple[Any, ...],
    me: object,
    outcome: Any,
    log: bool = True,
) -> None:
    """End a load that was to renew what is remembered; nobody is handed the result here.

    :param log: whether it is to be logged if it has failed.
    """
    got = landed(plan, table, key, flight, values, me, outcome, asked=0)
    failure = outcome if type(outcome) is Failure else got
    error = error_of(failure)
    if error is not None and log:
        log_failure(f"a refresh of {plan.label}", error)
    table.renewed(error)


def _verified(
    entry: Tended,
    plan: Plan,
    table: Table,
    key: Any,
    flight: Flight,
    values: tuple[Any, ...],
    me: object,
    outcome: Any,
    log: bool = True,
) -> None:
    """End a load that is compared with what is remembered; what came is remembered from then on."""
    differs = False
    if type(outcome) is Absent:
        differs = entry.value is not MISSING
    elif type(outcome) is not Failure:
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
        if log:
            log_failure(f"a verification of {plan.label}", failure.error)
    elif counts:
        if differs:
            # It may not have been stored.
            table.forget_if(key, entry, Cause("verify"))
            age = clock.read() - entry.age.loaded if entry.age is not None else 0.0
            table.disagreed(age, writes)
            log_disagreement(plan.label, age, writes)
        table.verified += 1
