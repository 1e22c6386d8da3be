"""The links to one server: bounded, shared by all threads, the last one used first.

Nothing here knows why a link is wanted, or what its failure means.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from threading import Condition, Lock

from pussycache.cache.wire import forks
from pussycache.cache.wire.link import Link
from pussycache.cache.wire.unreachable import Unreachable

__all__ = ["Pool"]


class Pool:
    """Links that are free, and how many there are.

    Taking a free link and giving it back take no lock but the deque's own: `free.pop()`, or
    `more()` if that finds none, and `give(link)`, or `drop(link)` if it is of no more use.
    """

    def __init__(self, connect: Callable[[], Link], limit: int, timeout: float) -> None:
        self._connect = connect
        self._limit = limit
        self._timeout = timeout
        self.forget_others()
        forks.watch(self)

    def forget_others(self) -> None:
        """Begin anew, as a forked child must."""
        # Other threads of the parent may have been using some: those are closed, too.
        for link in list(getattr(self, "_links", ())):
            link.close()
        self._links: set[Link] = set()
        self.free: deque[Link] = deque()
        self._lock = Lock()
        self._given = Condition(self._lock)
        self._waiting = 0
        self._being_made = 0
        self._closed = False

    def more(self) -> tuple[Link, bool]:
        """Return a link and whether it is fresh: made now, or waited for."""
        with self._lock:
            deadline = time.monotonic() + self._timeout
            # Counted before looking: whoever gives one back after that sees somebody waiting.
            self._waiting += 1
            try:
                while True:
                    if self._closed:
                        raise Unreachable("shut")
                    try:
                        return self.free.pop(), False
                    except IndexError:
                        pass
                    if len(self._links) + self._being_made < self._limit:
                        self._being_made += 1
                        break
                    remaining = deadline - time.monotonic()
                    if remaining <= 0 or not self._given.wait(remaining):
                        raise Unreachable("busy", f"all {self._limit} connections are in use")
            finally:
                self._waiting -= 1
        return self._made(), True

    def fresh(self) -> Link:
        """Return a new link in the place of one that was dropped."""
        with self._lock:
            if self._closed:
                raise Unreachable("shut")
            self._being_made += 1
        return self._made()

    def _made(self) -> Link:
        try:
            link = self._connect()
        except BaseException:
            with self._lock:
                self._being_made -= 1
                self._given.notify()
            raise
        with self._lock:
            self._being_made -= 1
            self._links.add(link)
        return link

    def give(self, link: Link) -> None:
        """Take back a link whose replies have all been read."""
        self.free.append(link)
        if self._waiting or self._closed:
            self._somebody_waits()

    def _somebody_waits(self) -> None:
        with self._lock:
            self._given.notify()
            if self._closed:
                self._close_free()

    def drop(self, link: Link) -> None:
        """Close a link that is of no more use."""
        link.close()
        with self._lock:
            self._links.discard(link)
            self._given.notify()

    def drop_free(self) -> None:
        """Close the links that nobody uses: the server has hung up on one of them."""
        with self._lock:
            self._close_free()
            self._given.notify_all()

    def _close_free(self) -> None:
        while True:
            try:
                link = self.free.pop()
            except IndexError:
                return
            link.close()
            self._links.discard(link)

    def close(self) -> None:
        """Close what is free now, and what is in use when it is given back."""
        with self._lock:
            self._closed = True
            self._close_free()
            self._given.notify_all()
