"""`RedisCache`: entries in a Redis or Valkey server, or a cluster, for several processes.

The face: settings, identity and the vocabulary. How the promise is kept is said in cache/shared,
how one talks to a server in cache/wire.
"""

from __future__ import annotations

import math
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from pussycache.cache import forks
from pussycache.cache.base import Cache
from pussycache.cache.envelope import Sealer
from pussycache.cache.identity import identity
from pussycache.cache.memory import MemoryCache
from pussycache.declare.policy import seconds
from pussycache.engine import background
from pussycache.engine.asking import acarry, carry
from pussycache.engine.scopes import place_of
from pussycache.errors import ConfigurationError, InvalidationPending
from pussycache.stats import CacheInfo, Store, added_up
from pussycache.types import MISSING

try:
    from pussycache.cache.serializers import Serializer, choose
    from pussycache.cache.shared.cleaning import KINDS, Nodes, cleared
    from pussycache.cache.shared.nearby import LocalScope, Nearby
    from pussycache.cache.shared.operations import SHARED
    from pussycache.cache.shared.places import readable
    from pussycache.cache.shared.plain import Plain
    from pussycache.cache.shared.survey import answering, survey
    from pussycache.cache.shared.tables import SharedScope
    from pussycache.cache.shared.tags import SharedTags
    from pussycache.cache.shared.tier import Tier
    from pussycache.cache.shared.tiered import COHERENCE
    from pussycache.cache.shared.wakes import Wakes
    from pussycache.cache.wire import Address, Server
except ImportError as error:
    raise ImportError(
        f'RedisCache needs the package {error.name!r}: pip install "pussycache[redis]"'
    ) from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import timedelta

    from pussycache.cache.base import Timeout
    from pussycache.cache.shared.survey import Line
    from pussycache.engine.asking import Far
    from pussycache.engine.generations import Table
    from pussycache.engine.scopes import Scope

__all__ = ["RedisCache"]

_BUCKETS: Final = 16
"""Over how many hash tags the calls of a method are spread in a cluster."""


class RedisCache(Cache):
    """A cache in a Redis (7.0 or newer) or Valkey (7.2 or newer) server, for several processes.

    :param ttl: seconds (or a `timedelta`) that entries are good where nothing else is said, by
        default an hour; `None` for ever.
    :param url: where it is: ``redis://``, ``rediss://`` (TLS), ``unix://``,
        ``redis+sentinel://host,host/service`` or ``redis+cluster://host,host``. Nothing is asked
        before the first use.
    :param client: a client of redis-py's of your own, in the place of ``url``: a `redis.Redis`, a
        `redis.asyncio.Redis` or a `redis.RedisCluster`. Its connections are used, and remain yours
        to close; its timeouts are its own.
    :param prefix: what all keys begin with. Caches with one prefix share their entries.
    :param serializer: how values are written: ``"msgpack"``, which cannot execute code and gives
        back exactly what went in; ``"pickle"``; or a `Serializer`.
    :param secret_keys: with what entries are signed, so that nobody else can make one: the first
        signs, all verify.
    :param on_outage: what a write does when the server cannot be told of it: ``"queue"`` runs it,
        and tells the server as soon as it answers; ``"refuse"`` raises `BackendUnavailable` before
        the method runs.
    :param local: a `MemoryCache` in which entries are kept in this process, too; by default none
        are. Its bounds are theirs.
    :param coherence: how it is made sure that no entry is served from there that a write has made
        wrong: ``"poll"`` looks at the connection on which the server says so before each hit;
        ``"listener"`` has a thread that does; ``"strict"`` asks the server each time, and saves
        the sending and the decoding of the value alone. Their bounds are told in docs/local.md.
    :param durability: ``"replicated"`` has every write wait until a replica has heard of it, before
        the method runs and after; what no replica has heard of counts as not told. For servers
        that fail over.
    :param insecure: allow pickle without ``secret_keys``.
    :param timeout: seconds after which a server counts as not answering.
    :param max_connections: how many connections threads hold open at most.
    :raises ConfigurationError: for an argument that cannot work.

    One object serves threads and event loops. Reads never fail because the server did: they
    compute. A pickled or copied cache is one with the same settings.
    """

    far: Far = SHARED
    _kinds: Sequence[Sequence[bytes]] = KINDS

    def __init__(
        self,
        ttl: float | int | timedelta | None = 3600,
        url: str = "redis://localhost:6379/0",
        *,
        client: Any = None,
        prefix: str = "pussycache",
        serializer: str | Serializer = "msgpack",
        secret_keys: Sequence[str | bytes] | None = None,
        local: MemoryCache | None = None,
        coherence: Literal["poll", "listener", "strict"] = "poll",
        on_outage: Literal["queue", "refuse"] = "queue",
        durability: Literal["primary", "replicated"] = "primary",
        insecure: bool = False,
        timeout: float = 0.25,
        max_connections: int = 32,
    ) -> None:
        self.ttl = None if ttl is None else seconds(ttl, "ttl")
        if on_outage not in ("queue", "refuse"):
            raise ConfigurationError(f"on_outage must be 'queue' or 'refuse', not {on_outage!r}")
        if durability not in ("primary", "replicated"):
            raise ConfigurationError(
                f"durability must be 'primary' or 'replicated', not {durability!r}"
            )
        if not isinstance(prefix, str) or not prefix:  # type: ignore[redundant-expr]
            raise ConfigurationError(f"prefix must be a string and not empty, not {prefix!r}")
        if local is not None and not isinstance(local, MemoryCache):
            raise ConfigurationError(f"local must be a MemoryCache, not {local!r}")
        if coherence not in COHERENCE:
            raise ConfigurationError(
                f"coherence must be 'poll', 'listener' or 'strict', not {coherence!r}"
            )
        if local is not None and client is not None and coherence != "strict":
            raise ConfigurationError(
                f"local with coherence={coherence!r} needs a connection of its own, which a client "
                "does not give; give a url, or coherence='strict'"
            )
        self._settings = {
            "ttl": ttl,
            "url": url,
            "client": client,
            "prefix": prefix,
            "serializer": serializer,
            "secret_keys": secret_keys,
            "local": local,
            "coherence": coherence,
            "on_outage": on_outage,
            "durability": durability,
            "insecure": insecure,
            "timeout": timeout,
            "max_connections": max_connections,
        }
        limit = seconds(timeout, "timeout", "a quarter of a second is the default")
        if not 0 < limit < math.inf:
            raise ConfigurationError(
                f"timeout must be a number of seconds above 0, not {timeout!r}; a quarter of a "
                "second is the default"
            )
        if type(max_connections) is not int or max_connections < 1:
            raise ConfigurationError(
                f"max_connections must be a positive number, not {max_connections!r}"
            )
        if client is not None:
            self._server = Server.over(client, timeout=limit)
            is_cluster = type(client).__name__ == "RedisCluster"
        else:
            address = Address.parse(url)
            self._server = Server(address, timeout=limit, max_connections=max_connections)
            is_cluster = address.kind == "cluster"
        self._prefix = readable(prefix)
        # What of the tables is in this process: their counts, loads and history, and entries.
        self._near = MemoryCache(self.ttl, max_entries=1) if local is None else local
        self._nearby: Nearby | None = None
        if local is not None:
            self.far = COHERENCE[coherence]
            self._nearby = Nearby(
                self._server,
                local,
                self._prefix,
                thread=coherence == "listener",
                strict=coherence == "strict",
            )
        channel = self._prefix + b":wake"
        self._wakes = Wakes(lambda told: self._server.waking(channel, told))
        self._tier = Tier(
            self._server,
            self._wakes,
            self._prefix,
            self.ttl,
            self.far,
            choose(serializer, secret_keys=secret_keys, insecure=insecure),
            Sealer(secret_keys),
            buckets=_BUCKETS if is_cluster else 1,
            refuses=on_outage == "refuse",
            replicated=durability == "replicated",
            label=self.label,
            url="" if client is not None else _without_secrets(url),
        )
        self._plain = Plain(self._tier)
        self._tags = SharedTags(self._tier, threading.RLock())
        self._scopes: weakref.WeakValueDictionary[str, SharedScope] = weakref.WeakValueDictionary()
        self._nodes = Nodes(self._server)
        forks.enlist(self)

    def __repr__(self) -> str:
        return f"RedisCache(ttl={self.ttl!r}, prefix={self._settings['prefix']!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # By its settings, whatever arguments a subclass takes.
        return _restored, (type(self), self._settings)

    @property
    def tags(self) -> SharedTags:
        """The tags of its entries: see `forget_tag`."""
        return self._tags

    @property
    def pending(self) -> int:
        """How many invalidations the server has not been told of yet."""
        return self._tier.debts

    # Whose entries they are.

    def scope(self, target: object, proxy: object, namespace: str | None, version: Any) -> Scope:
        """Return what is remembered of an object: that of all that stand for the same."""
        owner = identity(target, namespace, version)
        place = place_of(target)
        with self._near.lock:
            scope = self._scopes.get(owner)
            if scope is None:
                if self._nearby is None:
                    scope = SharedScope(self._near, place, self._tier, self._tags, owner)
                else:
                    near = self._nearby
                    scope = LocalScope(self._near, place, self._tier, self._tags, owner, near)
                self._scopes[owner] = scope
                self._near.host(scope)
            return scope

    # For those who look at it.

    def labelled(self) -> list[tuple[str, Table]]:
        with self._near.lock:
            scopes = list(self._scopes.values())
        tables = [table for scope in scopes for table in list(scope.tables.values())]
        return [(table.label, table) for table in tables]

    @property
    def label(self) -> str:
        """What statistics call it: by its class and its prefix."""
        return f"{type(self).__name__}({self._settings['prefix']})"

    @property
    def store(self) -> Store:
        """How it stands with its server, without asking it."""
        return self._tier.store

    def figures(self) -> dict[str, CacheInfo]:
        parts = [(label, table.info()) for label, table in self.labelled()]
        return added_up([*parts, *self._tier.departed.figures().items()])

    def answers(self) -> bool:
        """Whether the servers answer just now; waits no longer than the timeout."""
        return bool(carry(answering(self._nodes)))

    def survey(self) -> list[Line]:
        """Count what is there, by namespace and method, a few hundred keys at a time.

        :raises BackendUnavailable: if the server does not answer.
        """
        lines: list[Line] = carry(survey(self._nodes, self._prefix))
        return lines

    # The vocabulary. Each is a flow that asks, carried out by a thread or a task.

    def get(self, key: Any, default: Any = None) -> Any:
        return carry(self._plain.get(key, default))

    async def aget(self, key: Any, default: Any = None) -> Any:
        return await acarry(self._plain.get(key, default))

    def set(self, key: Any, value: Any, timeout: Timeout = MISSING) -> None:
        carry(self._plain.set(key, value, self.lasting(timeout)))

    async def aset(self, key: Any, value: Any, timeout: Timeout = MISSING) -> None:
        await acarry(self._plain.set(key, value, self.lasting(timeout)))

    def add(self, key: Any, value: Any, timeout: Timeout = MISSING) -> bool:
        return bool(carry(self._plain.add(key, value, self.lasting(timeout))))

    async def aadd(self, key: Any, value: Any, timeout: Timeout = MISSING) -> bool:
        return bool(await acarry(self._plain.add(key, value, self.lasting(timeout))))

    def touch(self, key: Any, timeout: Timeout = MISSING) -> bool:
        return bool(carry(self._plain.touch(key, self.lasting(timeout))))

    async def atouch(self, key: Any, timeout: Timeout = MISSING) -> bool:
        return bool(await acarry(self._plain.touch(key, self.lasting(timeout))))

    def delete(self, key: Any) -> bool:
        return bool(carry(self._plain.delete(key)))

    async def adelete(self, key: Any) -> bool:
        return bool(await acarry(self._plain.delete(key)))

    def incr(self, key: Any, delta: int = 1) -> int:
        number: int = carry(self._plain.incr(key, delta))
        return number

    async def aincr(self, key: Any, delta: int = 1) -> int:
        number: int = await acarry(self._plain.incr(key, delta))
        return number

    async def adecr(self, key: Any, delta: int = 1) -> int:
        return await self.aincr(key, -delta)

    async def ahas_key(self, key: Any) -> bool:
        return await self.aget(key, MISSING) is not MISSING

    def get_many(self, keys: Iterable[Any]) -> dict[Any, Any]:
        found: dict[Any, Any] = carry(self._plain.get_many(list(keys)))
        return found

    async def aget_many(self, keys: Iterable[Any]) -> dict[Any, Any]:
        found: dict[Any, Any] = await acarry(self._plain.get_many(list(keys)))
        return found

    def set_many(self, data: Mapping[Any, Any], timeout: Timeout = MISSING) -> list[Any]:
        carry(self._plain.set_many(data, self.lasting(timeout)))
        return []

    async def aset_many(self, data: Mapping[Any, Any], timeout: Timeout = MISSING) -> list[Any]:
        await acarry(self._plain.set_many(data, self.lasting(timeout)))
        return []

    def delete_many(self, keys: Iterable[Any]) -> None:
        carry(self._plain.delete_many(keys))

    async def adelete_many(self, keys: Iterable[Any]) -> None:
        await acarry(self._plain.delete_many(keys))

    def clear(self) -> None:
        """Remove what was put under this prefix, a few at a time.

        Loads that are under way are not stored. A writer at work stays one.

        :raises BackendUnavailable: if the server does not answer.
        """
        try:
            carry(cleared(self._nodes, self._prefix, self._kinds))
        finally:
            self._cleared()

    async def aclear(self) -> None:
        """As `clear`."""
        try:
            await acarry(cleared(self._nodes, self._prefix, self._kinds))
        finally:
            self._cleared()

    def _cleared(self) -> None:
        if self._nearby is not None:
            self._nearby.forget_all("clear")
            self._near.sweep()

    def close(self) -> None:
        """Close all connections, and end what is done in the background.

        :raises InvalidationPending: if the server could not be told of a write, also now; what is
            to be closed is closed all the same.
        """
        self._end()
        self._server.close()
        self._complain()

    async def aclose(self) -> None:
        """As `close`."""
        import asyncio

        await asyncio.to_thread(self._end)
        await self._server.aclose()
        self._complain()

    def _end(self) -> None:
        forks.delist(self)
        background.end_of(self._near)
        if self._nearby is not None:
            self._nearby.close()
        self._tier.keeper.close()
        self._tier.keeper.deliver_now()
        self._wakes.close()

    def _complain(self) -> None:
        if self.pending:
            raise InvalidationPending(
                f"{self.pending} invalidations have not reached the server, and will not from "
                "here: other processes may be served what they made wrong, until it expires; "
                "forget it there, with `python -m pussycache server --forget`"
            )


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _restored(kind: type[RedisCache], settings: dict[str, Any]) -> RedisCache:
    cache = kind.__new__(kind)
    RedisCache.__init__(cache, **settings)
    return cache
