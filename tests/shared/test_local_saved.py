"""A cache that is the local tier of another one, saved and loaded: the tier has no part in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import RunningServer

import pussycache
from pussycache import MISSING, MemoryCache
from pussycache.cache.redis import RedisCache


class Source:
    def load(self, number: int) -> int:
        return number


@pytest.fixture
def tiered(running: RunningServer) -> Iterator[RedisCache]:
    made = RedisCache(url=running.unix_url, local=MemoryCache())
    yield made
    made.close()


def test_a_file_brings_nothing_into_a_local_tier(tiered: RedisCache, tmp_path: Path) -> None:
    """What is served of a server's entries comes from the server, and only `set` is saved."""
    memory = MemoryCache()
    source = pussycache.wrap(Source(), memory, cached_methods=["load"])
    source.load(1)
    memory.set("a", 1)
    assert memory.save(tmp_path / "warm").saved == 2
    local = tiered._settings["local"]
    assert isinstance(local, MemoryCache)
    first = pussycache.wrap(Source(), tiered, cached_methods=["load"])
    report = local.load(tmp_path / "warm")
    second = pussycache.wrap(Source(), tiered, cached_methods=["load"])
    assert (report.loaded, report.waiting) == (1, 1)
    assert pussycache.peek(first.load, 1) is MISSING
    assert pussycache.peek(second.load, 1) is MISSING
    assert second.load(2) == 2
    assert local.save(tmp_path / "warm").saved == 1
