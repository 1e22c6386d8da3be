"""`trace`: what happens to the calls that are made in a block, recorded as they are made.

What is recorded of one is said in traced.py, and how, in following.py.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from pussycache.engine import clock
from pussycache.engine.watched import WATCHER
from pussycache.errors import ConfigurationError
from pussycache.see.following import Owner, Spot
from pussycache.see.traced import TracedCall, drawn

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Trace", "trace"]


class Trace:
    """What happened to the calls that were made in a block: see `trace`.

    ``calls`` are those that were made by the block itself, in order; each has those that were made
    inside of it as its ``children``. To iterate over the trace is to walk through all of them.
    ``dropped`` is how many calls there were beyond the limit. As text, it is a tree.
    """

    def __init__(self, limit: int) -> None:
        self.calls: list[TracedCall] = []
        self.dropped = 0
        self._left = limit
        self._is_open = False
        self._lock = threading.Lock()
        self._before: Any = None
        self._spot: Spot | None = None

    def __enter__(self) -> Trace:
        if self._spot is not None:
            raise RuntimeError("a trace is entered once; make another one")
        before = self._before = WATCHER.get()
        lists: list[tuple[Owner, list[TracedCall]]] = [(self, self.calls)]
        if isinstance(before, Spot):
            # What happens in an inner block happens in the outer one, too.
            lists += before.lists
        self._spot = Spot(lists)
        self._is_open = True
        WATCHER.set(self._spot)
        clock.watch(self)
        return self

    def __exit__(self, *exc: object) -> None:
        self._is_open = False
        clock.unwatch(self)
        if WATCHER.get() is self._spot:
            WATCHER.set(self._before)

    def __iter__(self) -> Iterator[TracedCall]:
        """All calls that were recorded, each before those inside of it."""
        todo = self.calls[::-1]
        while todo:
            call = todo.pop()
            yield call
            todo += call.children[::-1]

    def __str__(self) -> str:
        return drawn(self.calls, self.dropped)

    def has_room(self) -> bool:
        """Whether one more call is to be recorded, which counts it."""
        with self._lock:
            if not self._is_open:
                return False
            if self._left <= 0:
                self.dropped += 1
                return False
            self._left -= 1
            return True


def trace(limit: int = 1000) -> Trace:
    """Record what happens to the cached calls, and the writes, that are made in a block.

    Calls of tasks that the block starts belong to it, and of threads that are given its context, as
    `asyncio.to_thread` does; those of plain threads do not. Meanwhile no call in the whole process
    is answered by the hit path: a hit takes microseconds. Results are not kept.

    :param limit: how many calls are recorded; those beyond it are counted.

    >>> import pussycache
    >>> users = pussycache.wrap({7: "ada"}, cached_methods=["get"])
    >>> with pussycache.trace() as t:
    ...     users.get(7), users.get(7)
    ('ada', 'ada')
    >>> print(t)
    dict.get(key=7, default=None): miss, never-cached; loaded in ... ms
    dict.get(key=7, default=None): hit in ... ms
    >>> [call.outcome for call in t.calls]
    ['miss', 'hit']
    """
    if type(limit) is not int or limit < 1:
        raise ConfigurationError(
            f"limit must be a positive number of calls to record, not {limit!r}; leave it out for "
            "1,000"
        )
    return Trace(limit)
