"""Does in the background what must not wait for a call: renews leases and fences, delivers ends.

One thread for a cache, started when there is something to do, and ended when there is not. Threads
and event loops are served alike.
"""

from __future__ import annotations

import threading
import weakref
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from pussycache.cache.shared.scripts import RELEASE, RENEW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pussycache.cache.shared.raised import Command, Raised

__all__ = ["Keeper"]

_AGAIN: Final = 0.5
"""Seconds between two attempts to deliver."""
_IDLE: Final = 5.0
"""Seconds after which the thread ends if there is nothing to do."""


class Keeping(Protocol):
    """Whom the keeper works for."""

    lease_ms: int
    fence_ms: int
    channel: bytes
    trusted: bool

    def ask(self, key: bytes, commands: Sequence[tuple[Any, ...]]) -> Any: ...

    def together(
        self, commands: Sequence[Command]
    ) -> list[tuple[bytes, list[tuple[Any, ...]]]]: ...

    def has_done(self, seen: Any) -> bool: ...

    def pending(self) -> list[Raised]: ...

    def put_off(self, raised: Raised) -> None: ...

    def delivered(self, raised: Raised) -> None: ...


class Keeper:
    """What is renewed until it is let go of, and what is delivered until it has been."""

    def __init__(self, tier: Keeping) -> None:
        self._tier = weakref.ref(tier)
        self.forget_others()

    def forget_others(self) -> None:
        """Begin anew: in a forked child the thread is not there."""
        # Taken as it is: to enter a condition costs two calls more.
        self._mutex = threading.Lock()
        self._changed = threading.Condition(self._mutex)
        self._fences: dict[bytes, tuple[float, Raised]] = {}
        self._leases: dict[bytes, tuple[float, bytes]] = {}
        self._released: list[tuple[bytes, bytes]] = []
        self._deliver_at: float | None = None
        self._thread: threading.Thread | None = None
        self._is_closed = False

    # What is renewed.

    def keep(self, raised: Raised) -> None:
        """Renew the fences of a write until it is let go of."""
        tier = self._tier()
        if tier is not None:
            self._note(self._fences, raised.writer, (monotonic() + tier.fence_ms / 3000, raised))

    def let_go(self, raised: Raised) -> None:
        """Do not renew them any more; one that is being renewed is renewed before this returns."""
        with self._mutex:
            self._fences.pop(raised.writer, None)

    def keep_lease(self, key: bytes, lease: bytes) -> None:
        """Renew a lease until it is let go of."""
        tier = self._tier()
        if tier is not None:
            self._note(self._leases, lease, (monotonic() + tier.lease_ms / 3000, key))

    def let_go_of_lease(self, lease: bytes) -> None:
        """Do not renew it any more."""
        with self._mutex:
            self._leases.pop(lease, None)

    def release(self, key: bytes, lease: bytes) -> None:
        """Give a lease back, soon: whoever loaded under it has been interrupted."""
        with self._mutex:
            self._leases.pop(lease, None)
            self._released.append((key, lease))
            self._wake()

    # What is delivered.

    def deliver(self) -> None:
        """Deliver what is pending, soon, and again and again until all of it has been."""
        with self._mutex:
            if self._deliver_at is None:
                self._deliver_at = monotonic()
            self._wake()

    def deliver_now(self) -> None:
        """Deliver what is pending, once, in this thread."""
        tier = self._tier()
        for raised in [] if tier is None else tier.pending():
            if tier is None or not self._end(tier, raised):
                break

    @property
    def is_closed(self) -> bool:
        """Whether it was ended: with its cache."""
        return self._is_closed

    def close(self) -> None:
        """End the thread."""
        with self._mutex:
            self._is_closed = True
            thread = self._thread
            self._changed.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    # The thread.

    def _note(self, kept: dict[bytes, Any], name: bytes, what: Any) -> None:
        with self._mutex:
            kept[name] = what
            if self._thread is None:
                self._wake()

    def _wake(self) -> None:
        if self._thread is None and not self._is_closed:
            thread = threading.Thread(target=self._run, name="pussycache-keeper", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                # The interpreter is about to end: fences and leases lapse.
                return
            self._thread = thread
        self._changed.notify()

    def _run(self) -> None:
        idle_since = monotonic()
        while True:
            with self._mutex:
                now, due = monotonic(), self._due()
                if due is None or due > now:
                    if self._is_closed or (due is None and now - idle_since > _IDLE):
                        self._thread = None
                        return
                    # Never longer: what is noted meanwhile may be due before, and wakes nobody.
                    self._changed.wait(_AGAIN if due is None else min(due - now, _AGAIN))
                    continue
                released, self._released = self._released, []
                leases = [(n, k) for n, (at, k) in self._leases.items() if at <= now]
                fences = [raised for at, raised in self._fences.values() if at <= now]
                deliver = self._deliver_at is not None and self._deliver_at <= now
            tier = self._tier()
            if tier is None:
                return
            self._work(tier, released, leases, fences, deliver)
            del tier
            idle_since = monotonic()

    def _due(self) -> float | None:
        """When there is next something to do."""
        if self._released:
            return 0.0
        moments = [at for at, _ in (*self._fences.values(), *self._leases.values())]
        if self._deliver_at is not None:
            moments.append(self._deliver_at)
        return min(moments, default=None)

    def _work(
        self,
        tier: Keeping,
        released: list[tuple[bytes, bytes]],
        leases: list[tuple[bytes, bytes]],
        fences: list[Raised],
        deliver: bool,
    ) -> None:
        for key, lease in released:
            tier.ask(key, [RELEASE.call((key,), lease, tier.channel)])
        for lease, key in leases:
            tier.ask(key, [RENEW.call((key,), lease, tier.lease_ms)])
            with self._mutex:
                if lease in self._leases:
                    self._leases[lease] = monotonic() + tier.lease_ms / 3000, key
        for raised in fences:
            for key, commands in tier.together(raised.start(tier.fence_ms)):
                tier.ask(key, commands)
            with self._mutex:
                still = raised.writer in self._fences
                if still:
                    self._fences[raised.writer] = monotonic() + tier.fence_ms / 3000, raised
            if not still:
                # It ended while it was renewed: then its end may have come before.
                self._end(tier, raised)
        if deliver:
            for raised in tier.pending():
                if not self._end(tier, raised):
                    break
            with self._mutex:
                self._deliver_at = None if tier.trusted else monotonic() + _AGAIN

    def _end(self, tier: Keeping, raised: Raised) -> bool:
        for key, commands in tier.together(raised.end()):
            seen = tier.ask(key, commands)
            if not tier.has_done(seen):
                tier.put_off(raised)
                return False
        tier.delivered(raised)
        return True
