"""A connection on which this process is told what others have finished: one channel, one thread.

What a message means is for whoever asked for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from redis.exceptions import ResponseError

from pussycache.cache.wire import forks
from pussycache.cache.wire.addresses import Place
from pussycache.cache.wire.link import Link
from pussycache.cache.wire.nodes import Terms
from pussycache.cache.wire.resp import Push, pack
from pussycache.cache.wire.unreachable import Unreachable

__all__ = ["Waking"]

_QUIET: Final = 5.0
"""Seconds without a message after which the server is asked for a sign of life."""


class Waking:
    """Calls `told` with each message that is published on a channel, in a thread of its own.

    The thread exists from `start` until `close`, or until the connection breaks: then `told` is
    called with None, because messages may have been missed, and `start` begins anew. `told` must
    not raise. In a cluster a message reaches all nodes, wherever it is published.
    """

    def __init__(
        self,
        where: Callable[[], tuple[Place, Terms]],
        channel: bytes,
        told: Callable[[bytes | None], None],
    ) -> None:
        self._where = where
        self._channel = channel
        self._told = told
        self.forget_others()
        forks.watch(self)

    def forget_others(self) -> None:
        """Begin anew, as a forked child must: the thread is not there."""
        if (link := getattr(self, "_link", None)) is not None:
            link.close()
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def is_running(self) -> bool:
        """Whether every message from now on is heard, as far as is known."""
        return self._link is not None

    def start(self) -> None:
        """See that the channel is heard: when this returns, it is. `Unreachable` if it cannot."""
        if self._link is not None:
            return
        with self._lock:
            if self._thread is not None:
                return
            if self._closed:
                raise Unreachable("shut")
            place, terms = self._where()
            link = Link(place, terms.tls, replace(terms.greeting, protocol=3), terms.timeout)
            try:
                (reply,) = link.ask(pack((b"SUBSCRIBE", self._channel)), 1)
                if isinstance(reply, ResponseError):
                    raise Unreachable("denied", str(reply))
            except BaseException:
                link.close()
                raise
            self._thread = threading.Thread(
                target=self._run, args=(link, terms.timeout), name="pussycache waking", daemon=True
            )
            self._link = link
            self._thread.start()

    def _run(self, link: Link, timeout: float) -> None:
        try:
            while True:
                if not link.is_ready(_QUIET):
                    link.tell(pack((b"PING",)))
                    if not link.is_ready(timeout):
                        break
                for came in link.arrived():
                    if isinstance(came, Push) and came[0] == b"message":
                        self._told(came[2])
        except Unreachable:
            pass
        with self._lock:
            if self._link is link:
                self._link = self._thread = None
        link.close()
        self._told(None)

    def close(self) -> None:
        """Stop listening, and wait for the thread."""
        with self._lock:
            self._closed = True
            link, thread = self._link, self._thread
        if link is not None:
            link.hang_up()
        if thread is not None and thread is not threading.current_thread():
            thread.join()
