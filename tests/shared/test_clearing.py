"""Clearing a cache in a server, and nobody else's keys."""

from collections.abc import Iterator

import pytest
from servers import RunningServer

from pussycache import wrap
from pussycache.cache.redis import RedisCache


class Source:
    def __init__(self) -> None:
        self.loads = 0

    def load(self, number: int) -> int:
        self.loads += 1
        return number

    def __cache_identity__(self) -> str:
        return "source"


@pytest.fixture
def cache(running: RunningServer) -> Iterator[RedisCache]:
    made = RedisCache(url=running.unix_url, prefix="mine[1]")
    yield made
    made.close()


def test_clear_leaves_nothing_of_its_own_and_all_of_others(
    cache: RedisCache, running: RunningServer
) -> None:
    """Entries, values and generations are gone, and keys that only look alike are not."""
    source = wrap(Source(), cache, cached_methods=["load"])
    for number in range(1200):
        source.load(number)
    cache.set("key", 1)
    running.do("SET", "mine1:e:other", "x")
    running.do("SET", "somebody", "x")
    cache.clear()
    assert sorted(running.do("KEYS", "*")) == [b"mine1:e:other", b"somebody"]


def test_clear_does_not_lift_a_fence(cache: RedisCache, running: RunningServer) -> None:
    """While a writer is at work, a clear does not let loads be stored."""
    source = wrap(
        Source(),
        cache,
        cached_methods=["load"],
        invalidate_methods={"__cache_identity__": ["load"]},
    )
    from pussycache import writing

    other = wrap(Source(), cache, cached_methods=["load"])
    with writing(source.__cache_identity__):
        cache.clear()
        second = RedisCache(url=running.unix_url, prefix="mine[1]")
        elsewhere = wrap(Source(), second, cached_methods=["load"])
        elsewhere.load(1)
        elsewhere.load(1)
        assert elsewhere.loads == 2
        second.close()
    assert other.load(1) == 1
