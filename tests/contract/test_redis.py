"""The contract suite, for caches in a server."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from servers import ENGINES, RunningCluster, RunningServer

from pussycache import MemoryCache
from pussycache.cache.base import Cache
from pussycache.cache.redis import RedisCache
from pussycache.testing import CacheContract


class ServerTime:
    """Lets time pass for the keys of a server: each is kept for so much less."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server

    def advance(self, seconds: float) -> None:
        client = self.server.client()
        for key in client.keys("*"):
            left = client.pttl(key)
            if left >= 0:
                client.pexpire(key, max(0, round(left - seconds * 1000)))


@pytest.fixture(scope="module", params=ENGINES)
def server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    running = RunningServer(request.param)
    yield running
    running.stop()


class TestRedisCache(CacheContract):
    """A `RedisCache` does what every cache must do, on Valkey and on Redis."""

    margin = 8

    @pytest.fixture(autouse=True)
    def _server(self, server: RunningServer) -> Iterator[None]:
        self.server = server
        self.made: list[RedisCache] = []
        yield
        for cache in self.made:
            cache.close()
        server.do("FLUSHALL")

    @contextmanager
    def clock(self) -> Iterator[ServerTime]:
        yield ServerTime(self.server)

    def make_cache(self, ttl: float | None = None) -> Cache:
        cache = RedisCache(ttl, self.server.unix_url)
        self.made.append(cache)
        return cache


@pytest.mark.parametrize("coherence", ["poll", "listener", "strict"])
class TestRedisCacheWithLocalTier(TestRedisCache):
    """So it does when it keeps entries in the process, too."""

    @pytest.fixture(autouse=True)
    def _coherence(self, coherence: str) -> None:
        self.coherence = coherence

    def make_cache(self, ttl: float | None = None) -> Cache:
        url, local = self.server.unix_url, MemoryCache()
        cache = RedisCache(ttl, url, local=local, coherence=self.coherence)  # type: ignore[arg-type]
        self.made.append(cache)
        return cache


@pytest.fixture(scope="module")
def cluster() -> Iterator[RunningCluster]:
    running = RunningCluster("valkey")
    yield running
    running.stop()


class ClusterTime:
    """The same for all nodes of a cluster."""

    def __init__(self, cluster: RunningCluster) -> None:
        self.primaries = primaries(cluster)

    def advance(self, seconds: float) -> None:
        for server in self.primaries:
            ServerTime(server).advance(seconds)


def primaries(cluster: RunningCluster) -> list[RunningServer]:
    return [node for node in cluster.nodes if node.do("ROLE")[0] == b"master"]  # type: ignore[index]


@pytest.mark.parametrize("local", [False, True], ids=["alone", "local"])
class TestRedisCacheInACluster(CacheContract):
    """So it does in a cluster, with and without entries in the process."""

    margin = 8

    @pytest.fixture(autouse=True)
    def _cluster(self, cluster: RunningCluster, local: bool) -> Iterator[None]:
        self.cluster = cluster
        self.local = local
        self.made: list[RedisCache] = []
        yield
        for cache in self.made:
            cache.close()
        for node in primaries(cluster):
            node.do("FLUSHALL")

    @contextmanager
    def clock(self) -> Iterator[ClusterTime]:
        yield ClusterTime(self.cluster)

    def make_cache(self, ttl: float | None = None) -> Cache:
        local = MemoryCache() if self.local else None
        cache = RedisCache(ttl, self.cluster.url, local=local)
        self.made.append(cache)
        return cache
