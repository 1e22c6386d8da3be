"""What says, before a local hit, that no server has said anything: the extension's, or this.

Nothing is read here, and nothing dropped.
"""

from __future__ import annotations

import math
import select
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Protocol

from pussycache.engine import speed

__all__ = ["PlainWatch", "Watch", "watch"]


class Watch(Protocol):
    """Looks at connections; called, it says whether nothing has arrived on any.

    ``until`` is when a server must have been heard again, by `time.monotonic`. While it is
    ``busy``, somebody has taken off a connection what is not known to all yet.
    """

    until: float
    busy: Any

    def look_at(self, numbers: Sequence[int], /) -> object:
        """Look at these sockets from now on."""

    def __call__(self) -> bool: ...


class PlainWatch:
    """The same in Python: four times as slow."""

    def __init__(self) -> None:
        self.until = -math.inf
        self.busy: Any = False
        self._ready: Callable[[float], object] | None = None

    def look_at(self, numbers: Sequence[int], /) -> None:
        """Look at these sockets from now on."""
        self._ready = None
        if numbers and hasattr(select, "epoll"):
            # Unlike a poll object, it serves several threads at once.
            epoll = select.epoll()
            for number in numbers:
                epoll.register(number, select.EPOLLIN | select.EPOLLRDHUP)
            self._ready = epoll.poll
        elif numbers and hasattr(select, "poll"):
            poll = select.poll()
            for number in numbers:
                poll.register(number, select.POLLIN)
            self._ready = poll.poll

    def __call__(self) -> bool:
        ready = self._ready
        if ready is None:
            return False
        try:
            if ready(0):
                return False
        except RuntimeError:
            # Another thread looks just now.
            return False
        # After that: what another thread has taken off a connection has been said.
        return not self.busy and monotonic() <= self.until


def watch() -> Watch:
    """Return one that looks at nothing yet."""
    made: Watch = (speed.Watch or PlainWatch)()
    return made
