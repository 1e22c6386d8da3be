"""What a table asks of the cache that it lives in: types only.

Nothing imports this at run time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections import deque
    from types import TracebackType

    from pussycache.engine.entry import Cause, Entry, History
    from pussycache.engine.tags import Tags

__all__ = ["Budget", "Home", "Lock"]


class Lock(Protocol):
    """A reentrant lock."""

    def acquire(self, blocking: bool = True) -> bool: ...

    def release(self) -> None: ...

    def __enter__(self) -> bool: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...


class Budget(Protocol):
    """What a table asks of the bound that it shares with others, under the lock."""

    def admit(self, table: Any, key: Any) -> Entry | None:
        """Make room for a new entry; an entry that was taken out for it is returned."""

    def left(self, count: int) -> None:
        """So many entries were taken out for other reasons."""


class Home(Protocol):
    """What a table asks of the cache that it lives in."""

    lock: Lock
    history: History
    ttl: float | None
    open_to_loads: bool
    tags: Tags

    @property
    def budget(self) -> Budget:
        """Who decides what there is room for."""

    garbage: deque[Any]

    def discard(self, table: Any, entries: dict[Any, Any], cause: Cause) -> None:
        """Have a replaced dictionary freed, by the next `sweep`."""

    def sweep(self) -> None:
        """Free what was thrown away, once no lock is held: that may run other people's code."""
