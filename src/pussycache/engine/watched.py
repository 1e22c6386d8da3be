"""Who watches calls and writes of the current code while they are done; nobody, as a rule.

What is made of what they see is the watchers' own business: see/tracing.py.
"""

from __future__ import annotations

from contextvars import ContextVar

from pussycache.engine import clock
from pussycache.typed import Protocol
from pussycache.types import MISSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any, Final

    from pussycache.engine.entry import Cause
    from pussycache.engine.fences import Fence
    from pussycache.engine.generations import Table
    from pussycache.engine.plan import Plan

__all__ = [
    "WATCHER",
    "WatchedWrite",
    "Watcher",
    "far_answer",
    "seen_operation",
    "seen_write",
    "watched",
]


class Watcher(Protocol):
    """Somebody who watches the current code, and what it starts with its context."""

    def call(
        self, flow: Any, plan: Plan, table: Table, values: tuple[Any, ...], me: object, kind: str
    ) -> Generator[Any, Any, Any]:
        """Return the flow of a call with what it does taken note of.

        :param flow: `None` stands for that of `far_answer`.
        :param kind: ``call``, ``batch`` (a call for many ids), or ``refresh``.
        """

    def write(self, cause: Cause, inside: bool, about: str = "") -> WatchedWrite:
        """Take note that a write begins.

        :param inside: whether all that the current code does until the end is part of it.
        :param about: what an operation is given, as text.
        """


class WatchedWrite(Protocol):
    """A write that is watched; as a block, it ends with the block."""

    def __enter__(self) -> WatchedWrite: ...

    def __exit__(self, *exc: object) -> None: ...

    def affects(self, on: Any, fence: Fence) -> None:
        """Take note of what it makes wrong, right before that is so.

        :param on: a table, a scope, or tags.
        """

    def forgets(self, plan: Plan, values: tuple[Any, ...], found: bool) -> None:
        """Take note of a single call that it has forgotten.

        :param found: whether it was remembered.
        """

    def end(self) -> None:
        """Take note that it has ended."""


WATCHER: Final[ContextVar[Watcher | None]] = ContextVar("pussycache_watcher", default=None)
"""Who watches the current code; looked at only while somebody watches any: `clock.watching`."""


def watched(
    flow: Any,
    plan: Plan,
    table: Table,
    values: tuple[Any, ...],
    me: object,
    kind: str = "call",
) -> Any:
    """Return the flow of a call, watched by who watches the current code.

    :param flow: `None` stands for that of `far_answer`.
    """
    watcher = WATCHER.get()
    if watcher is not None:
        return watcher.call(flow, plan, table, values, me, kind)
    return far_answer(plan, table, values, me) if flow is None else flow


def far_answer(
    plan: Plan,
    table: Table,
    values: tuple[Any, ...],
    me: object,
    missed: Callable[[], Generator[Any, Any, None]] | None = None,
) -> Generator[Any, Any, Any]:
    """Answer a call whose cache is outside of this process, its hits as well, as one flow.

    :param missed: is asked for what is to be done first when it is no plain hit.
    """
    far: Any = plan.far
    found = far.begin(plan, table, values, me)
    begun = None, None
    if found is not None:
        asked, known = found
        seen = yield asked
        value = far.serve(plan, table, known, seen)
        if value is not MISSING:
            return value
        begun = known, seen
    if missed is not None:
        yield from missed()
    return (yield from far.answer(plan, table, values, me, begun))


class _Unseen:
    """A write that nobody watches."""

    def __enter__(self) -> None: ...

    def __exit__(self, *exc: object) -> None: ...


_UNSEEN: Final = _Unseen()


def seen_write(cause: Cause, inside: bool) -> WatchedWrite | None:
    """Return the write that begins, if somebody watches it."""
    watcher = WATCHER.get() if clock.watching else None
    return None if watcher is None else watcher.write(cause, inside)


def seen_operation(cause: Cause, about: str) -> WatchedWrite | _Unseen:
    """Return an operation that counts as a write, as a block; given is who watches it, or `None`.

    :param about: what it is given, as text.
    """
    watcher = WATCHER.get() if clock.watching else None
    return _UNSEEN if watcher is None else watcher.write(cause, False, about)
