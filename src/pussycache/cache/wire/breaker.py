"""When a server is not asked: after a timeout until a probe has succeeded, after a refusal briefly.

Pure policy over a clock that is handed in; nothing here connects, waits or starts a thread.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Final, NamedTuple

from pussycache.cache.wire.unreachable import Unreachable
from pussycache.hooks import active, note

__all__ = ["PROBE_EVERY", "REFUSED_FOR", "Breaker", "Outage"]

PROBE_EVERY: Final = 0.5
"""Seconds between the starts of two probes, at least."""
REFUSED_FOR: Final = 0.02
"""Seconds for which a refusal is believed: trying again is cheap, but not free."""


class Outage(NamedTuple):
    """Why a server is not asked just now, and for how many seconds that has been so."""

    why: str
    seconds: float


class Breaker:
    """Whether a server is asked at all.

    `shut` is all that a call looks at while the server is well. A timeout opens the breaker: then
    only `answered` closes it, which a probe in the background reports. A refused connection does
    not: one caller at a time tries again. Where nobody probes, that is so after a timeout, too.
    """

    __slots__ = (
        *("_clock", "_lock", "_name", "_open", "_probed", "_retry_at", "_since", "_told", "_wait"),
        "_why",
        "shut",
    )

    def __init__(self, clock: Callable[[], float], *, probed: bool = True, name: str = "") -> None:
        self._clock = clock
        self._name = name
        # Whether it was told that the server does not answer.
        self._told = False
        self._probed = probed
        self._lock = Lock()
        self._why: Unreachable | None = None
        self._open = False
        self._since: float | None = None
        self._retry_at = 0.0
        self._wait = REFUSED_FOR
        self.shut = False

    def admit(self) -> None:
        """Let a caller try, or raise `Unreachable` at once."""
        with self._lock:
            why = self._why
            if why is None:
                return
            if not self._open and (now := self._clock()) >= self._retry_at:
                self._retry_at = now + self._wait
                return
        raise Unreachable("waiting", str(why))

    def failed(self, why: Unreachable) -> bool:
        """Note what happened to a call; true if it opened the breaker, and probes are wanted."""
        opened = self._noted(why)
        if active and self.shut and not self._told:
            from pussycache.events import StoreDown

            self._told = True
            note(StoreDown(self._name, why.reason))
        return opened

    def _noted(self, why: Unreachable) -> bool:
        with self._lock:
            if why.reason == "timed out" and not self._probed:
                self._shut(why)
                self._wait = PROBE_EVERY
                self._retry_at = self._clock() + self._wait
                return False
            if why.reason == "timed out":
                opened = not self._open
                self._open = True
                self._shut(why)
                return opened
            if why.reason in ("refused", "denied", "read-only") and not self._open:
                self._shut(why)
                self._wait = REFUSED_FOR
                self._retry_at = self._clock() + self._wait
            return False

    def _shut(self, why: Unreachable) -> None:
        self._why, self.shut = why, True
        if self._since is None:
            self._since = self._clock()

    def answered(self, for_good: bool = True) -> None:
        """Note that the server answers: everybody may ask it again.

        :param for_good: false where it answers that it will not.
        """
        with self._lock:
            self._why, self._open, self.shut = None, False, False
            if for_good:
                self._since = None
        if self._told and for_good:
            from pussycache.events import StoreUp

            self._told = False
            note(StoreUp(self._name))

    @property
    def outage(self) -> Outage | None:
        """Why the server is not asked; `None` if it is well, as far as is known."""
        with self._lock:
            why, since = self._why, self._since
            return None if why is None or since is None else Outage(str(why), self._clock() - since)

    @property
    def is_open(self) -> bool:
        """Whether only a probe closes it."""
        return self._open
