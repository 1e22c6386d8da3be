"""What a table asks of the cache that it lives in: types only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections import deque
    from types import TracebackType

    from pussycache.engine.asking import Far
    from pussycache.engine.entry import Cause, Entry, History
    from pussycache.engine.tags import Tags
    from pussycache.stats import Store

__all__ = ["Budget", "Figured", "Home", "Lock", "RemovalCause", "Waiting"]

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


class Waiting(Protocol):
    """What was saved, and waits for the objects that it is of."""

    def meet(self, table: Any) -> None:
        """Bring in what is of a table that was not there before."""

    def forget(self) -> None:
        """Forget it, because everything is."""


class Figured(Protocol):
    """What figures are of."""

    @property
    def label(self) -> str:
        """What statistics call it."""

    @property
    def store(self) -> Store | None:
        """How it stands with its server, if there is one."""


class Home(Figured, Protocol):
    """What a table asks of the cache that it lives in."""

    lock: Lock
    history: History
    ttl: float | None
    far: Far | None
    open_to_loads: bool
    tags: Tags

    @property
    def budget(self) -> Budget:
        """Who decides what there is room for."""

    @property
    def bounds(self) -> str:
        """How much there is room for, as text."""

    waiting: Waiting | None
    """Who brings in what was saved, while somebody does: then writes are taken note of."""

    plainly_open: bool
    """Whether it is open to loads and not `watched`: what the C extension asks."""

    @property
    def weighs(self) -> bool:
        """Whether entries have a weight."""

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

    def sweep(self, quietly: bool = False) -> None:
        """Free what was thrown away, once no lock is held: that may run other people's code."""
