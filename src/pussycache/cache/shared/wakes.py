"""Who waits in this process for loads of others, and is woken when those have ended.

How messages come is said in cache/wire/waking.py.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

from pussycache.cache.wire import Unreachable, forks
from pussycache.cache.wire.waking import Waking

__all__ = ["Wakes"]


class Wakes:
    """Those who wait for leases, by their keys. To ask it is to see that messages are heard.

    ``heard`` is how many messages have been.
    """

    def __init__(self, waking: Callable[[Callable[[bytes | None], None]], Waking]) -> None:
        self.heard = 0
        self._waking = waking(self._told)
        self.forget_others()
        forks.watch(self)

    def forget_others(self) -> None:
        """Begin anew in a forked child: nobody waits there."""
        self._lock = threading.Lock()
        self._waiting: dict[bytes, list[Callable[[], object]]] = {}

    def ask(self) -> None:
        """See that messages are heard; where that is not possible, waiters wait for the lease."""
        with suppress(Unreachable):
            self._waking.start()

    async def aask(self) -> None:
        """As `ask`, without holding up the loop."""
        if not self._waking.is_running:
            await asyncio.to_thread(self.ask)

    @property
    def hears(self) -> bool:
        """Whether whoever joins is woken."""
        return self._waking.is_running

    def join(self, key: bytes, wake: Callable[[], object], since: int) -> bool:
        """Have somebody woken when a lease is given back; false if that may have happened.

        :param since: what had been ``heard`` before it was known to be held.
        """
        with self._lock:
            if self.heard != since:
                return False
            self._waiting.setdefault(key, []).append(wake)
        return True

    def _told(self, key: bytes | None) -> None:
        with self._lock:
            self.heard += 1
            if key is None:
                # Messages may have been missed.
                waiting = [wake for wakes in self._waiting.values() for wake in wakes]
                self._waiting.clear()
            else:
                waiting = self._waiting.pop(key, [])
        for wake in waiting:
            wake()

    def close(self) -> None:
        """Hear no more."""
        self._waking.close()
