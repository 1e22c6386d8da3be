"""Who says that what is kept in this process, too, has changed: a connection for each server.

What is dropped then is said in nearby.py; how a connection is listened to, in cache/wire.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from pussycache.cache.envelope import NO_REPLICATION
from pussycache.cache.shared.watching import watch
from pussycache.cache.wire import Unreachable, forks
from pussycache.errors import ConfigurationError

if TYPE_CHECKING:
    from pussycache.cache.wire import Node, Server
    from pussycache.cache.wire.listening import Listening
    from pussycache.engine.home import Lock

__all__ = ["Heard", "Links"]

_AGAIN: Final = 0.5
"""Seconds after which a server is tried again that could not be listened to."""


class Heard(Protocol):
    """Who is told what the servers say."""

    def changed(self, keys: Sequence[bytes] | None) -> None:
        """These keys have changed; `None`: all may have."""

    def changes_are_known(self) -> None:
        """Called when no lock is held any more."""


class Links:
    """The connections on which servers say what changes under a prefix.

    :param lock: of whatever is changed: who holds it does not wait for what is said.
    :param thread: listen in a thread of its own; otherwise whoever calls `quiet` does.
    :param channel: is subscribed to, so that the server can tell how many listen.
    :param silence: how many seconds after a server was last heard what is kept may be served.
    """

    def __init__(
        self,
        server: Server,
        prefix: bytes,
        told: Heard,
        lock: Lock,
        *,
        thread: bool,
        silence: float = 1.0,
        channel: bytes | None = None,
    ) -> None:
        self._channel = channel
        self._server = server
        self._prefix = prefix
        self._told = weakref.ref(told)
        self._outer: Any = lock
        self._has_thread = thread
        self._silence = silence
        self.watch = watch()
        self.is_closed = False
        self._lock: Any = threading.RLock()
        self._links: dict[Node, Listening] = {}
        self._not_before: dict[Node, float] = {}
        self._was_heard = False
        self._threads: list[threading.Thread] = []
        self._confirming: threading.Thread | None = None
        self._closing = threading.Event()
        forks.watch(self)

    def forget_others(self) -> None:
        """Begin anew, as a forked child must: the parent's connections are not to be read."""
        self._lock = threading.RLock()
        self.watch.look_at(())
        self.watch.until, self.watch.busy = -math.inf, False
        self._links, self._threads, self._confirming = {}, [], None
        self._closing = threading.Event()
        told = self._told()
        if told is not None:
            told.changed(None)

    # Which there are.

    def of(self, key: bytes) -> Listening | None:
        """Return the connection to the server of a key, if there is one."""
        node = self._server.node_of(key)
        link = None if node is None else self._links.get(node)
        return None if link is None or link.lost else link

    def replication(self, link: Listening) -> bytes | None:
        """Return the id of the data set that it speaks of; `None` if it cannot be told from others.

        Keys that have moved to another server, or to its successor, are told by it.
        """
        known = link.facts.replication_id
        if known is not None:
            return bytes.fromhex(known.decode())
        return NO_REPLICATION if self._server.is_single else None

    def is_due(self, key: bytes) -> bool:
        """Whether the server of a key is to be listened to, and is not."""
        node = self._server.node_of(key)
        if node is None or node.is_open or self.is_closed:
            return False
        link = self._links.get(node)
        missing = link is None or link.lost
        return missing and monotonic() >= self._not_before.get(node, 0.0)

    def ask(self, key: bytes) -> None:
        """See that the server of a key is listened to, if it answers.

        :raises ConfigurationError: if it does not tell this user what changes.
        """
        # In the midst of it already, by way of a finalizer or a comparison; or holding what
        # somebody waits for who drops what is said to have changed.
        if self._lock._is_owned() or self._outer._is_owned():
            return
        with self._lock:
            node = self._server.node_of(key)
            if node is None or not self.is_due(key):
                return
            try:
                link = self._server.listen(
                    node, [self._prefix], weakly(self._told), self._silence, self._channel
                )
            except Unreachable:
                self._not_before[node] = monotonic() + _AGAIN
                return
            except ConfigurationError:
                # Somebody who was accepted once is not wrong about it.
                self._not_before[node] = monotonic() + _AGAIN
                if not self._was_heard:
                    raise
                return
            self._was_heard = True
            # Nothing is served that was kept before: what has changed meanwhile was not heard.
            weakly(self._told)(None)
            self._links[node] = link
            self._settle()
            if self._has_thread:
                try:
                    self._begin(link, self._silence / 2)
                except RuntimeError:
                    # The interpreter is about to end.
                    link.close()

    def _begin(self, link: Listening, seconds: float) -> None:
        listening = _thread(_listen, link, self._told, seconds)
        self._threads = [*filter(threading.Thread.is_alive, self._threads), listening]
        asked = self._confirming
        if self._server.known_until < math.inf and not (asked and asked.is_alive()):
            self._confirming = _thread(_confirm, weakref.ref(self), self._closing, seconds)

    async def aask(self, key: bytes) -> None:
        """As `ask`, without holding up the loop."""
        import asyncio

        await asyncio.to_thread(self.ask, key)

    def _settle(self) -> None:
        links = self._links
        for node in [node for node, link in links.items() if link.lost]:
            del links[node]
        self.watch.until = -math.inf
        try:
            self.watch.look_at([link.fileno() for link in links.values()])
        except (OSError, ValueError):
            # The thread that listens has closed one just now, and dropped what was kept.
            return
        self.watch.until = self._good_until()

    def _good_until(self) -> float:
        until = min([link.good_until for link in self._links.values()], default=-math.inf)
        return min(until, self._server.known_until)

    def confirm(self) -> None:
        """Have the sentinels asked if that is due, and see whether another server has taken over.

        An old primary that lives goes on, and on its connection nothing tells.
        """
        if monotonic() > self._server.known_until:
            self._server.confirm()
        with self._lock:
            self._leave_succeeded()
            if any(link.lost for link in self._links.values()):
                self._settle()

    def _leave_succeeded(self) -> None:
        for node, link in self._links.items():
            if self._server.is_succeeded(node):
                link.close()

    # What they say.

    def quiet(self) -> bool:
        """Whether what is kept may be served just now: all that was said is known.

        Waits for no server. Where it cannot be found out, it is not so.
        """
        return self.watch() or self._look()

    def _look(self) -> bool:
        # In the midst of it already, by way of a finalizer or a comparison; or holding what is
        # needed to drop what is said to have changed.
        if self._lock._is_owned() or self._outer._is_owned():
            return False
        with self._lock:
            links = list(self._links.values())
            self.watch.busy = True
            try:
                self._leave_succeeded()
                good = [link.glance() for link in links]
            except BaseException:
                # A signal, it may be between reading and dropping: nothing is known any more.
                self.drop()
                raise
            finally:
                self.watch.busy = False
            if any(link.lost for link in links):
                self._settle()
            else:
                self.watch.until = self._good_until()
        told = self._told()
        if told is not None:
            told.changes_are_known()
        # Where sentinels are to be asked again, the call that is answered by the server does it.
        return bool(good) and all(good) and monotonic() <= self._server.known_until

    def drop(self) -> None:
        """Close all connections; what is kept is dropped."""
        with self._lock:
            links = list(self._links.values())
            self._links = {}
            self._settle()
        for link in links:
            link.close()

    def close(self) -> None:
        """Listen no more; what is kept is dropped."""
        self.is_closed = True
        self._closing.set()
        self.drop()
        for thread in filter(None, [*self._threads, self._confirming]):
            if thread is not threading.current_thread():
                thread.join()


def weakly(told: weakref.ref[Heard]) -> Callable[[list[bytes] | None], None]:
    """Return what tells somebody, and does not keep him alive."""

    def tell(keys: list[bytes] | None) -> None:
        alive = told()
        if alive is not None:
            alive.changed(keys)

    return tell


def _listen(link: Listening, told: weakref.ref[Heard], seconds: float) -> None:
    """Listen to one server, in a thread of its own, until it is lost or nobody cares."""
    try:
        while not link.lost and told() is not None:
            link.wait(seconds)
            alive = told()
            if alive is not None:
                with suppress(Exception):
                    alive.changes_are_known()
            del alive
    finally:
        # Whatever happened: nothing is served that nobody listens for.
        link.close()


def _confirm(links: weakref.ref[Links], closing: threading.Event, seconds: float) -> None:
    """See that the servers are still the sentinels' primaries, until nobody cares.

    Not in the thread that listens: a sentinel that hangs must not hold up what is heard.
    """
    while not closing.wait(seconds):
        alive = links()
        if alive is None:
            return
        try:
            alive.confirm()
        except BaseException:
            # Whatever happened: nothing is served that nobody asks for.
            alive.drop()
        del alive


def _thread(target: Callable[..., None], *args: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=args, name="pussycache local", daemon=True)
    thread.start()
    return thread
