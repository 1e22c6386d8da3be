"""A redis-py client of the user's own in the place of a URL: its connections carry our commands.

Its timeouts, retries, TLS and credentials are its own; nothing here changes its settings.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
from redis import exceptions

from pussycache.cache.wire import forks
from pussycache.cache.wire.addresses import Credentials, Place
from pussycache.cache.wire.breaker import Breaker, Outage
from pussycache.cache.wire.handshake import Facts, Greeting
from pussycache.cache.wire.nodes import CONFIRM_EVERY, Terms
from pussycache.cache.wire.resp import pack_all
from pussycache.cache.wire.topology import Cluster, Single, Topology
from pussycache.cache.wire.unreachable import Unreachable
from pussycache.errors import ConfigurationError

__all__ = ["OwnNode", "topology_of"]

_GREETING: Final = Greeting(Credentials(), 0, "")
_QUESTIONS: Final = pack_all(_GREETING.questions())


def topology_of(client: Any, terms: Terms) -> Topology:
    """Return the servers behind a client; `ConfigurationError` if it is none that is known."""
    if isinstance(client, redis.RedisCluster):
        return _cluster(client, terms)
    if isinstance(client, redis.Redis | redis.asyncio.Redis):
        return Single(Place("client"), lambda place: OwnNode(place, client, terms))
    if isinstance(client, redis.asyncio.RedisCluster):
        raise ConfigurationError(
            "client is a redis.asyncio.RedisCluster, whose connections cannot be borrowed; "
            "give a url like redis+cluster://host:7000, which serves asyncio, too"
        )
    raise ConfigurationError(
        f"client is {type(client).__name__}; give a redis.Redis, a redis.asyncio.Redis, "
        "a redis.RedisCluster, or a url"
    )


def _cluster(client: Any, terms: Terms) -> Cluster:
    def node(place: Place) -> OwnNode:
        found = client.get_node(place.host, place.port)
        if found is None:
            client.nodes_manager.initialize()
            found = client.get_node(place.host, place.port)
        if found is None:
            raise Unreachable("unknown", f"the client knows no node {place}")
        return OwnNode(place, client.get_redis_connection(found), terms)

    return Cluster([Place(node.host, node.port) for node in client.get_nodes()], node, terms.clock)


class OwnNode:
    """One server behind a client; asked in the same way as a `Node`.

    The breaker has no probes here: a caller tries again twice a second.
    """

    def __init__(self, place: Place, client: Any, terms: Terms) -> None:
        self.place = place
        self.terms = terms
        self._client = client
        self._is_async = isinstance(client, redis.asyncio.Redis)
        self._pool: Any = client.connection_pool
        # Since 5.3 it wants no argument, before that it needed one.
        parameters = inspect.signature(self._pool.get_connection).parameters.values()
        needed = any(p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)
        self._name = ("pussycache",) if needed else ()
        self._known: WeakKeyDictionary[Any, tuple[Facts, float]] = WeakKeyDictionary()
        self.forget_others()
        forks.watch(self)

    def forget_others(self) -> None:
        """Begin anew, as a forked child must."""
        self._breaker = Breaker(self.terms.clock, probed=False, name=str(self.place))

    @property
    def is_down(self) -> bool:
        """Whether it has not answered when it was last asked."""
        return self._breaker.shut

    @property
    def outage(self) -> Outage | None:
        """Why it is not asked just now, and for how long that has been so."""
        return self._breaker.outage

    @property
    def is_open(self) -> bool:
        """Whether the breaker is open."""
        return self._breaker.is_open

    def _connected(self, connection: Any) -> None:
        # A connection that was made anew has an unknown server at its other end.
        self._known.pop(connection, None)

    def _asks(self, connection: Any) -> bool:
        """Whether a connection has to be asked, first, what server is at its other end."""
        known = self._known.get(connection)
        if known is None:
            connection.register_connect_callback(self._connected)
            return True
        return self.terms.clock() > known[1]

    def _knows(self, connection: Any, replies: list[Any]) -> None:
        facts = _GREETING.learnt(replies)
        self._known[connection] = facts, self.terms.clock() + CONFIRM_EVERY
        self.terms.reached = True

    def _settled(self, connection: Any, known: tuple[Facts, float], inquiry: bool) -> Facts:
        """Return the facts that the replies go with."""
        if self._known.get(connection) is not known:
            raise exceptions.ConnectionError("connected anew in the midst of a call")
        if known[0].role == "replica" and not inquiry:
            raise Unreachable("read-only", f"{self.place} is a replica")
        if self._breaker.shut:
            self._breaker.answered()
        return known[0]

    # Threads ------------------------------------------------------------------------------------

    def send_one(self, packed: bytes, repeatable: bool = False) -> tuple[Any, Facts]:
        """Send one command and return its reply."""
        (reply,), facts = self.send(packed, 1, repeatable)
        return reply, facts

    def send(self, packed: bytes, count: int, repeatable: bool = False) -> tuple[list[Any], Facts]:
        """Send `count` commands in one go and return their replies."""
        return self._send(packed, count, inquiry=False)

    def inquire(self, packed: bytes, count: int) -> tuple[list[Any], Facts]:
        """Ask a server about servers, whatever its role."""
        return self._send(packed, count, inquiry=True)

    def _send(self, packed: bytes, count: int, inquiry: bool) -> tuple[list[Any], Facts]:
        if self._is_async:
            raise ConfigurationError(
                "client is a redis.asyncio.Redis, and this call is not async; "
                "give a redis.Redis or a url, which serve both"
            )
        if self._breaker.shut:
            self._breaker.admit()
        connection = None
        try:
            connection = self._pool.get_connection(*self._name)
            if self._asks(connection):
                self._knows(connection, self._exchange(connection, _QUESTIONS, 1))
            known = self._known[connection]
            replies = self._exchange(connection, packed, count)
            return replies, self._settled(connection, known, inquiry)
        except BaseException as error:
            if connection is not None:
                connection.disconnect()
            raise self._what(error) from None
        finally:
            if connection is not None:
                self._pool.release(connection)

    @staticmethod
    def _exchange(connection: Any, packed: bytes, count: int) -> list[Any]:
        connection.send_packed_command([packed])
        replies: list[Any] = []
        for _ in range(count):
            try:
                replies.append(connection.read_response(disable_decoding=True))
            except exceptions.ResponseError as error:
                replies.append(_as_said(error))
        return replies

    # Tasks --------------------------------------------------------------------------------------

    async def asend_one(self, packed: bytes, repeatable: bool = False) -> tuple[Any, Facts]:
        """Send one command and return its reply."""
        (reply,), facts = await self.asend(packed, 1, repeatable)
        return reply, facts

    async def asend(
        self, packed: bytes, count: int, repeatable: bool = False
    ) -> tuple[list[Any], Facts]:
        """Send `count` commands in one go and return their replies."""
        return await self._asend(packed, count, inquiry=False)

    async def ainquire(self, packed: bytes, count: int) -> tuple[list[Any], Facts]:
        """Ask a server about servers, whatever its role."""
        return await self._asend(packed, count, inquiry=True)

    async def _asend(self, packed: bytes, count: int, inquiry: bool) -> tuple[list[Any], Facts]:
        if not self._is_async:
            # A thread waits for it: the client has no other way.
            return await asyncio.to_thread(self._send, packed, count, inquiry)
        if self._breaker.shut:
            self._breaker.admit()
        connection = None
        try:
            connection = await self._pool.get_connection(*self._name)
            if self._asks(connection):
                self._knows(connection, await self._aexchange(connection, _QUESTIONS, 1))
            known = self._known[connection]
            replies = await self._aexchange(connection, packed, count)
            return replies, self._settled(connection, known, inquiry)
        except BaseException as error:
            if connection is not None:
                await connection.disconnect(nowait=True)
            raise self._what(error) from None
        finally:
            if connection is not None:
                await self._pool.release(connection)

    @staticmethod
    async def _aexchange(connection: Any, packed: bytes, count: int) -> list[Any]:
        await connection.send_packed_command([packed])
        replies: list[Any] = []
        for _ in range(count):
            try:
                replies.append(await connection.read_response(disable_decoding=True))
            except exceptions.ResponseError as error:
                replies.append(_as_said(error))
        return replies

    # Both ---------------------------------------------------------------------------------------

    def _what(self, error: BaseException) -> BaseException:
        """Return what to raise for an exception of the client's."""
        why: Unreachable
        said = f"{self.place}: {error}"
        if isinstance(error, exceptions.TimeoutError):
            why = Unreachable("timed out", said, sent=True)
        elif isinstance(error, exceptions.BusyLoadingError):
            return Unreachable("loading", said)
        elif isinstance(error, exceptions.MaxConnectionsError):
            return Unreachable("busy", said)
        elif isinstance(error, exceptions.AuthenticationError | exceptions.AuthorizationError):
            why = Unreachable("denied", said)
            if not self.terms.reached:
                return ConfigurationError(
                    f"client: the server does not accept it ({error}); "
                    "give it a user and a password that the server knows"
                )
        elif isinstance(error, exceptions.ConnectionError | OSError):
            refused = isinstance(error.__cause__ or error.__context__, ConnectionRefusedError)
            why = Unreachable("refused" if refused else "closed", said, sent=not refused)
        else:
            return error
        self._breaker.failed(why)
        return why

    def hang_up(self) -> None:
        """Forget what was known of the server; the connections are the client's."""
        self._known.clear()

    def retire(self) -> None:
        """Leave the client to its owner."""

    def close(self) -> None:
        """Leave the client to its owner."""

    async def aclose(self) -> None:
        """Leave the client to its owner."""


_CODES: list[tuple[type[exceptions.ResponseError], Callable[[Any], str]]] = [
    # A MovedError is an AskError, a MasterDownError a ClusterDownError.
    (exceptions.MovedError, lambda e: f"MOVED {e.slot_id} {e.host}:{e.port}"),
    (exceptions.AskError, lambda e: f"ASK {e.slot_id} {e.host}:{e.port}"),
    (exceptions.MasterDownError, lambda e: f"MASTERDOWN {e}"),
    (exceptions.ClusterDownError, lambda e: f"CLUSTERDOWN {e}"),
    (exceptions.TryAgainError, lambda e: f"TRYAGAIN {e}"),
    (exceptions.ReadOnlyError, lambda e: f"READONLY {e}"),
]


def _as_said(error: exceptions.ResponseError) -> exceptions.ResponseError:
    """Return an error with the code that redis-py has made into a class."""
    if isinstance(error, exceptions.NoScriptError):
        return exceptions.NoScriptError(f"NOSCRIPT {error}")
    for kind, text in _CODES:
        if isinstance(error, kind):
            return exceptions.ResponseError(text(error))
    return error
