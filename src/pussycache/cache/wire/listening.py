"""A connection on which a server says which keys have changed: RESP3 tracking, by prefix.

It is looked at without blocking wherever its word is needed. Nothing here keeps or drops a value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any, Final

from redis.exceptions import ResponseError

from pussycache.cache.wire import forks
from pussycache.cache.wire.addresses import Place
from pussycache.cache.wire.handshake import CONFIRM, Facts, is_same
from pussycache.cache.wire.link import Link
from pussycache.cache.wire.nodes import Terms
from pussycache.cache.wire.resp import Command, Push, pack, pack_all
from pussycache.cache.wire.unreachable import Unreachable
from pussycache.errors import ConfigurationError

__all__ = ["Listening"]


_EPOCH: Final[Command] = (b"CLUSTER", b"INFO")


def _epoch_of(reply: Any) -> bytes | None:
    """Return what changes whenever slots do, if this is the reply that says so."""
    if not isinstance(reply, bytes):
        return None
    _, found, rest = reply.partition(b"cluster_current_epoch:")
    return rest.partition(b"\r")[0] if found else None


def _never(_: float) -> bool:
    return False


class Listening:
    """What one server says of the keys under some prefixes, from now on.

    `poll` reads what has arrived and returns `sequence`, which has advanced if anything was said:
    a value read between two equal numbers has not been changed in between, as far as the server
    had said so. `changed` is called with the keys of each message, in the thread that polls; with
    None when all may have changed: the server was emptied.

    When the connection breaks, when the server has said nothing for `silence` seconds and does
    not answer, or is no longer the primary that it was, `lost` becomes true, `changed` is called
    with None, and `sequence` advances for the last time. So it does when the slots of a `cluster`
    have moved. Role and slots are asked for at least every `silence` seconds, while it is used.
    """

    def __init__(
        self,
        place: Place,
        terms: Terms,
        prefixes: Sequence[bytes],
        changed: Callable[[list[bytes] | None], None],
        silence: float = 1.0,
        cluster: bool = False,
        channel: bytes | None = None,
    ) -> None:
        self._clock = terms.clock
        self._timeout = terms.timeout
        self._silence = silence
        self._half = silence / 2
        self._changed = changed
        self._lock = Lock()
        self.sequence = 0
        self.lost = False
        greeting = replace(terms.greeting, protocol=3)
        self._link = Link(place, terms.tls, greeting, terms.timeout)
        self._epoch: bytes | None = None
        try:
            if channel is not None:
                # Before: who asks how many are to hear of a change counts this one too early, and
                # not too late.
                self._is_allowed(b"SUBSCRIBE", channel)
            self._track(prefixes)
            if cluster:
                self._epoch = _epoch_of(self._link.ask(pack(_EPOCH), 1)[0])
        except BaseException:
            self._link.close()
            raise
        self.facts: Facts = self._link.facts
        # What the server is comes with the sign of life, where we may ask for it.
        self._knows = self.facts.replication_id is not None
        asked = [CONFIRM if self._knows else (b"PING",)]
        if self._epoch is not None:
            asked.append(_EPOCH)
        self._sign = pack_all(asked)
        self._heard = self._checked = self._clock()
        self._asked_at: float | None = None
        self._ready = self._link.ready()
        self._reading = False
        forks.watch(self)

    def forget_others(self) -> None:
        """Count as lost in a forked child; `changed` is not called there."""
        self._lock = Lock()
        if not self.lost:
            self._end()

    def _track(self, prefixes: Sequence[bytes]) -> None:
        words: list[bytes | str | int | float] = [b"CLIENT", b"TRACKING", b"ON", b"BCAST"]
        for prefix in prefixes:
            words += [b"PREFIX", prefix]
        self._is_allowed(*words)

    def _is_allowed(self, *command: bytes | str | int | float) -> None:
        (reply,) = self._link.ask(pack(command), 1)
        if isinstance(reply, ResponseError):
            raise ConfigurationError(
                f"local: the server does not tell this user what changes ({reply}); allow it "
                "CLIENT TRACKING, and the channels that begin with the cache's prefix, or use no "
                "local tier"
            )

    def fileno(self) -> int:
        """Return the number of the socket, to see whether something has arrived."""
        return self._link.fileno()

    @property
    def good_until(self) -> float:
        """Until when it is enough to see that nothing has arrived; then `glance` is due."""
        return -math.inf if self.lost else min(self._heard, self._checked) + self._half

    def glance(self) -> bool:
        """Read what has arrived, and say whether the server was heard in the last `silence`.

        Waits for nothing: the sign of life that it asks for is found by a later one.
        """
        with self._lock:
            self._look(patiently=False)
            return not self.lost and self._clock() - self._heard <= self._silence

    def poll(self) -> int:
        """Read what has arrived, without blocking, and return `sequence`.

        Only after a silence does it ask for a sign of life, and wait for it as long as for any
        other reply.
        """
        try:
            ready = self._ready(0)
        except RuntimeError:  # another thread is polling just now
            ready = True
        # Looked at after that: what another thread has taken off the connection, and not yet made
        # known, has been said.
        if ready or self._reading or self._clock() - self._heard > self._half:
            with self._lock:
                self._look()
        return self.sequence

    def wait(self, seconds: float) -> int:
        """Block until something arrives, or for so long; then the same as `poll`."""
        self._link.is_ready(seconds)
        return self.poll()

    def _look(self, patiently: bool = True) -> None:
        if self.lost:
            return
        try:
            if self._link.is_ready():
                self._read()
            self._see_that_it_lives(patiently)
        except Unreachable:
            self._lose()

    def _read(self) -> None:
        self._reading = True
        try:
            for came in self._link.arrived():
                if not isinstance(came, Push):
                    self._check(came)
                elif came[0] == b"invalidate":
                    self.sequence += 1
                    self._changed(came[1])
            self._heard = self._clock()
        finally:
            self._reading = False

    def _check(self, reply: Any) -> None:
        """Read the sign of life."""
        self._asked_at = None
        self._checked = self._clock()
        if self._epoch is not None and (epoch := _epoch_of(reply)) is not None:
            if epoch != self._epoch:
                raise Unreachable("moving", "slots have moved")
            return
        if self._knows and not is_same(self.facts, reply):
            raise Unreachable("read-only", "no longer the same primary")

    def _see_that_it_lives(self, patiently: bool) -> None:
        now = self._clock()
        quiet = now - self._heard
        if quiet <= self._half and now - self._checked <= self._half:
            return
        if self._asked_at is None:
            # In good time: while it is used, nobody has to wait for the answer.
            self._asked_at = now
            self._link.tell(self._sign)
        if quiet > self._silence:
            while self._asked_at is not None:
                remaining = self._asked_at + self._timeout - self._clock()
                if remaining > 0 and not patiently:
                    return
                if remaining <= 0 or not self._link.is_ready(remaining):
                    raise Unreachable("timed out")
                self._read()

    def _lose(self) -> None:
        self._end()
        self._changed(None)

    def _end(self) -> None:
        self.lost = True
        self.sequence += 1
        # From now on nothing is ever ready, and nothing is late.
        self._ready = _never
        self._heard = math.inf
        self._link.close()

    def close(self) -> None:
        """Close the connection; it counts as lost. Who waits for what arrives is woken."""
        self._link.hang_up()
        with self._lock:
            if not self.lost:
                self._lose()
