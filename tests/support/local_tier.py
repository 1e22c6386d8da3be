"""What the tests of the local tier share: an object whose truth they change, and its proxies."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from servers import RunningServer

import pussycache
from pussycache import Cached, Forget, MemoryCache
from pussycache.cache.redis import RedisCache

MODES = ("poll", "listener", "strict")


class Truth:
    """Where the values are: in all processes of a test the same."""

    def __init__(self) -> None:
        self.values: dict[Any, Any] = {}
        self.loads: list[Any] = []
        self.during_load: Callable[[], object] = lambda: None


class Users:
    """Reads and writes it; without state of its own, so that it is the same in every process."""

    truth = Truth()

    def get(self, user_id: Any) -> Any:
        """Load a value; a test may have something happen after it was read."""
        found = self.truth.values.get(user_id, 0)
        self.truth.loads.append(user_id)
        self.truth.during_load()
        return found

    def everything(self) -> Any:
        return dict(self.truth.values)

    async def aget(self, user_id: Any) -> Any:
        return self.get(user_id)

    def set(self, user_id: Any, value: Any) -> None:
        self.truth.values[user_id] = value

    def set_all(self, value: Any) -> None:
        for user_id in self.truth.values:
            self.truth.values[user_id] = value


WRITES = {
    "set": ["everything", Forget("get", "user_id"), Forget("aget", "user_id")],
    "set_all": ["everything", "get", "aget"],
}


def wrapped(cache: RedisCache, **policy: Any) -> Users:
    """Return a proxy; ``policy`` is that of `get`."""
    cached = {"get": Cached(**policy), "aget": Cached(), "everything": Cached()}
    return pussycache.wrap(Users(), cache, cached_methods=cached, invalidate_methods=WRITES)


class Processes:
    """Makes caches of one server, each standing for a process, and closes them."""

    def __init__(self, server: RunningServer, url: str | None = None) -> None:
        self.server = server
        self.url = url or server.unix_url
        self.made: list[RedisCache] = []
        Users.truth.__init__()  # type: ignore[misc]

    def local(self, coherence: Any = "poll", **policy: Any) -> Users:
        """Return a proxy with a local tier."""
        return wrapped(self.cache(local=MemoryCache(), coherence=coherence), **policy)

    def other(self) -> Users:
        """Return a proxy without one."""
        return wrapped(self.cache())

    def cache(self, ttl: float | None = 60, **options: Any) -> RedisCache:
        self.made.append(RedisCache(ttl, self.url, **options))
        return self.made[-1]

    def close(self) -> None:
        for cache in self.made:
            cache.close()


def asked(server: RunningServer) -> int:
    """Return how many times a server was asked for entries."""
    with server.client() as client:
        stats = client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("mget", "getrange"))


def kept(proxy: Users, method: str = "get") -> dict[Any, Any]:
    """Return what is kept in the process, without listening first."""
    table = proxy._pussycache_about.scope.table(method)  # type: ignore[attr-defined]
    return table.entries


def link_of(cache: RedisCache) -> Any:
    """Return the connection on which a cache is told what changes."""
    (link,) = cache._nearby.links._links.values()  # type: ignore[union-attr]
    return link


def kill_links(server: RunningServer) -> int:
    """Have the server hang up on those who listen to what changes."""
    with server.client() as client:
        clients = [c for c in client.client_list() if "t" in c["flags"] or "B" in c["flags"]]
        for each in clients:
            client.client_kill_filter(_id=each["id"])
    return len(clients)


def _write(url: str, pipe: Connection) -> None:
    cache = RedisCache(60, url, timeout=20)
    users = wrapped(cache)
    while (told := pipe.recv()) is not None:
        users.set(*told)
        pipe.send("done")
    cache.close()


class Writer:
    """Another process that writes when it is told to."""

    def __init__(self, url: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=_write, args=(url, theirs))
        self.process.start()

    def set(self, user_id: Any, value: Any) -> None:
        """Write there; when this returns, the write has returned there."""
        Users.truth.values[user_id] = value
        self._pipe.send((user_id, value))
        assert self._pipe.recv() == "done"

    def close(self) -> None:
        self._pipe.send(None)
        self.process.join()
        self._pipe.close()
