"""What a table asks of the cache that it lives in: types only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections import deque
    from types import TracebackType

    from pussycache.engine.entry import Cause, Entry, History
    from pussycache.engine.tags import Tags

__all__ = ["Budget", "Home", "Lock", "RemovalCause"]

RemovalCause: TypeAlias = Literal["expired", "size", "replaced", "invalidated", "cleared"]


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

    def admit(self, table: Any, entry: Entry) -> Any:
        """Make room for a new entry.

        :return: what was taken out for it, to be freed once the lock is given back; or a tuple of
            that and a function that is to be called then.
        """

    def replaced(self, table: Any, old: Entry, new: Entry) -> Any:
        """An entry has got another value; returns as `admit` does."""

    def left(self, table: Any, entry: Entry) -> None:
        """An entry was taken out for another reason."""

    def left_all(self, table: Any, count: int) -> None:
        """All entries of a table were taken out."""


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

    plainly_open: bool
    """Whether it is open to loads and not `watched`: what the C extension asks."""

    watched: bool
    """Whether entries have a weight, or there is somebody to be told of those that are gone."""

    def weight_of(self, table: Any, values: tuple[Any, ...], value: Any) -> float | str | None:
        """Weigh an entry, where `watched`; `None` if it has no weight, a text if it cannot be
        stored."""

    def removed(self, table: Any, key: Any, entry: Entry, cause: RemovalCause) -> None:
        """An entry is gone, where `watched`."""

    garbage: deque[Any]

    def discard(self, table: Any, entries: dict[Any, Any], cause: Cause) -> None:
        """Have a replaced dictionary freed, by the next `sweep`."""

    def start_over(self) -> None:
        """Forget everything, when the policy was interrupted and what it notes is out of step."""

    def sweep(self) -> None:
        """Free what was thrown away, once no lock is held: that may run other people's code."""
