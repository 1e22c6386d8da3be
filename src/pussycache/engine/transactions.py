"""Which transactions are open around the current code, and what waits for their end.

What a transaction is, and how its end is heard of, is said by those who `watch`: nothing here knows
of a database.
"""

from __future__ import annotations

import _thread
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from pussycache.engine.fences import OldView
from pussycache.typed import final

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, TypeAlias

    from pussycache.engine.entry import Cause
    from pussycache.engine.fences import Fence

__all__ = ["Hold", "View", "around", "put_off", "sources", "viewers", "views", "watch"]

Hold: TypeAlias = Callable[[Callable[[], object]], object]
"""One open transaction: takes what is to be done when it has ended, however it ends. That may be
called more than once, in any thread, and is also called for a transaction that is only dropped."""

Source: TypeAlias = Callable[[], Iterable[Hold]]

sources: Final[list[Source]] = []
"""What tells of open transactions; empty for as long as nobody watches any."""


def watch(source: Source) -> None:
    """Ask a source from now on; one that is asked already is not asked twice."""
    if source not in sources:
        sources.append(source)


def around() -> list[Hold]:
    """Return the transactions that are open around the current code."""
    return [hold for source in sources for hold in source()]


@final
class View:
    """An open transaction that is shown rows as they were when it began.

    What is committed meanwhile it does not see: what it loads of that is out of date already.

    :param is_here: says whether the current code is inside of it.
    """

    def __init__(self, is_here: Callable[[], bool]) -> None:
        self._is_here = is_here
        self._lock = _thread.RLock()
        self._fences: dict[Any, tuple[Any, OldView, Cause]] = {}
        self._is_over = False

    def outdated(self, on: Any, fence: Fence, cause: Cause) -> None:
        """Let it store no more of what a write has made wrong."""
        with self._lock:
            # One fence for each kind of rule, however many writes there are while it is open.
            place = id(on), fence.at
            if self._is_over:
                return
            if place in self._fences:
                self._fences[place][1].add(fence)
                return
            old = OldView(fence, self._is_here)
            self._fences[place] = on, old, cause
        # Not under the lock: who holds the cache's may be about to end this.
        on.shut(old, cause)
        if self._ended():
            on.open(old, cause)

    def over(self) -> None:
        """It has ended: what its thread or task loads from here on is as good as any."""
        with self._lock:
            self._is_over = True
            fences, self._fences = self._fences, {}
        for on, old, cause in fences.values():
            on.open(old, cause)

    def _ended(self) -> bool:
        return self._is_over


viewers: Final[list[Callable[[], Iterable[View]]]] = []
"""What tells of the transactions of the whole process that keep old views."""


def views() -> list[View]:
    """Return the transactions that are open anywhere and keep old views."""
    return [view for viewer in viewers for view in viewer()]


def put_off(holds: Sequence[Hold], do: Callable[[], object]) -> None:
    """Do something, once, when all of these transactions have ended."""
    pending = set(range(len(holds)))
    # Reentrant: garbage that is collected in between may end another one.
    lock = _thread.RLock()

    def over(which: int) -> None:
        with lock:
            if which not in pending:
                return
            pending.remove(which)
            is_last = not pending
        if is_last:
            do()

    for which, hold in enumerate(holds):
        hold(partial(over, which))
