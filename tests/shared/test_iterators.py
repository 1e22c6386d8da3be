"""What an iterator yielded, read from a server by a process that has never called the method."""

import asyncio
from collections.abc import Iterator

import pytest
from servers import RunningServer

from pussycache import Cached, wrap
from pussycache.cache.redis import RedisCache


class Source:
    loads = 0

    async def rows(self, count):  # without an annotation: the function itself says what it is
        Source.loads += 1
        for number in range(count):
            yield number


@pytest.fixture
def caches(running: RunningServer) -> Iterator[list[RedisCache]]:
    made = [RedisCache(url=running.unix_url) for _ in range(2)]
    yield made
    for cache in made:
        cache.close()


def test_an_async_generator_is_read_where_it_never_ran(caches: list[RedisCache]) -> None:
    """A cache that finds what an async generator yielded hands on an async iterator."""

    async def read(source: Source) -> list[int]:
        return [row async for row in source.rows(3)]

    async def main() -> list[list[int]]:
        said = {"rows": Cached(materialize=True)}
        found = [await read(wrap(Source(), cache, cached_methods=said)) for cache in caches]
        for cache in caches:
            await cache.aclose()
        return found

    assert asyncio.run(main()) == [[0, 1, 2], [0, 1, 2]]
    assert Source.loads == 1
    Source.loads = 0
