"""Who loads what in this process, as leases say it. Other processes load for themselves.

Whether what was loaded may be served is decided by generations, and not here.
"""

from __future__ import annotations

import threading
from time import monotonic
from typing import Final

from pussycache.cache.wire import forks

__all__ = ["Leases"]

_MANY: Final = 1000


class Leases:
    """The leases of one cache, by their keys."""

    def __init__(self) -> None:
        self.forget_others()
        forks.watch(self)

    def forget_others(self) -> None:
        """Begin anew in a forked child: nobody loads there."""
        self._lock = threading.Lock()
        self._held: dict[bytes, tuple[bytes, float]] = {}

    def take(self, key: bytes, lease: bytes, milliseconds: int, if_free: bool) -> bytes | None:
        """Take a lease; return the one that was held before. It stays if it was to be free."""
        now = monotonic()
        with self._lock:
            held = self._of(key, now)
            if held is None or not if_free:
                self._held[key] = lease, now + milliseconds / 1000
            if len(self._held) > _MANY:
                for other in [other for other in self._held if self._of(other, now) is None]:
                    del self._held[other]
            return held

    def left(self, key: bytes, lease: bytes) -> int:
        """For how many milliseconds a lease is good; 0 if it is not held any more."""
        now = monotonic()
        with self._lock:
            return int((self._held[key][1] - now) * 1000) if self._of(key, now) == lease else 0

    def held(self, key: bytes) -> bytes | None:
        """Return the lease that is held."""
        with self._lock:
            return self._of(key, monotonic())

    def renew(self, key: bytes, lease: bytes, milliseconds: int) -> bool:
        """Keep a lease for longer, if it is held."""
        now = monotonic()
        with self._lock:
            mine = self._of(key, now) == lease
            if mine:
                self._held[key] = lease, now + milliseconds / 1000
            return mine

    def drop(self, key: bytes, lease: bytes | None = None) -> bool:
        """Take a lease away: this one, or whichever it is."""
        with self._lock:
            held = self._of(key, monotonic())
            mine = held is not None and lease in (None, held)
            if mine:
                del self._held[key]
            return mine

    def _of(self, key: bytes, now: float) -> bytes | None:
        held = self._held.get(key)
        return None if held is None or held[1] <= now else held[0]
