"""Makes events of what the engine does, and hands them to the hooks; only where there are any.

When something happened is decided by those who call; they look first whether `active` is empty.
"""

from __future__ import annotations

from pussycache import hooks
from pussycache.engine.clock import read
from pussycache.engine.staleness import SPENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pussycache.engine.entry import Cause

    # Those who call: tables, and loads under way.
    Table = Any
    Flight = Any

__all__ = [
    "disagreed",
    "evicted",
    "invalidated",
    "load_began",
    "load_ended",
    "looked_up",
    "missed",
    "refreshed",
    "stale",
    "timed_out",
]


def _emit(table: Table, event: object) -> None:
    hooks.note(event)
    # Where a key's own comparison calls us, we may be in the midst of something.
    if not table.lock._is_owned():
        hooks.tell()


def looked_up(table: Table, key: Any, values: tuple[Any, ...]) -> None:
    """Tell of a miss, if what is remembered here of a call says that it is one."""
    from pussycache.events import Miss

    if hooks.wants(Miss):
        reason = _reason(table, key, values)
        if reason is not None:
            missed(table, reason, values)


def _reason(table: Table, key: Any, values: tuple[Any, ...]) -> str | None:
    if table.fences and table.fenced(values):
        return "bypassed-by-write"
    entry = table.entries.get(key)
    if entry is None:
        reason: str = table.home.history.last(table.serial, key)[0]
        return reason
    if entry.deadline <= read() or entry.stage is SPENT:
        return "expired"
    return None if table.current(entry) and entry.intact else "invalidated"


def missed(table: Table, reason: str, values: tuple[Any, ...]) -> None:
    """Tell of a miss whose reason is known."""
    from pussycache.events import Miss

    if hooks.wants(Miss):
        _emit(table, Miss(table.label, table.cache.label, reason, values))


def load_began(flights: Sequence[Flight], values: tuple[Any, ...]) -> None:
    """Tell that some loads begin, in one call."""
    from pussycache.events import LoadBegun, LoadEnded

    if hooks.wants(LoadBegun) or hooks.wants(LoadEnded):
        table = _table_of(flights)
        if table is not None:
            flights[0].told = told = LoadBegun(table.label, table.cache.label, values)
            _emit(table, told)


def _table_of(flights: Sequence[Flight]) -> Table | None:
    # A load that was left half-way keeps nothing alive.
    found = getattr(flights[0], "table", None) if flights else None
    return None if found is None else found()


def load_ended(flights: Sequence[Flight], error: BaseException | None) -> None:
    """Tell that they have ended."""
    from pussycache.events import LoadEnded

    told, table = getattr(flights[0], "told", None) if flights else None, _table_of(flights)
    if told is not None and table is not None:
        took = sum(flight.took for flight in flights)
        event = LoadEnded(told.method, told.cache, told, took, error, len(flights))
        _emit(table, event)


def invalidated(table: Table, cause: Cause | str) -> None:
    """Note, under the lock, that entries were made wrong."""
    from pussycache.events import Invalidated

    writer = cause if isinstance(cause, str) else cause.writer
    hooks.note(Invalidated(table.label, table.cache.label, writer, str(cause)))


def evicted(table: Table, reason: str) -> None:
    """Note, under the lock, that an entry was taken out."""
    from pussycache.events import Evicted

    hooks.note(Evicted(table.label, table.cache.label, reason))


def refreshed(table: Table, error: BaseException | None) -> None:
    """Tell how a load came out that was to renew something."""
    from pussycache.events import Refreshed

    _emit(table, Refreshed(table.label, table.cache.label, error))


def stale(table: Table, reason: str, calls: int = 1) -> None:
    """Tell that calls were answered with an old value."""
    from pussycache.events import Stale

    if calls:
        _emit(table, Stale(table.label, table.cache.label, reason, calls))


def timed_out(table: Table) -> None:
    """Tell that a caller does not wait any longer."""
    from pussycache.events import TimedOut

    _emit(table, TimedOut(table.label, table.cache.label))


def disagreed(table: Table, age: float, writes: int) -> None:
    """Tell that a remembered value was wrong."""
    from pussycache.events import Disagreement

    _emit(table, Disagreement(table.label, table.cache.label, age, writes))
