"""What hooks are told of calls whose entries are in a server, and of the server itself."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from patience import BRIEF
from servers import RunningServer, eventually

import pussycache
from pussycache import Cached, MemoryCache, events
from pussycache.cache.redis import RedisCache

METHOD = f"{__name__}.Users.get"
CACHE = "RedisCache(pussycache)"


class Users:
    fails = False

    def get(self, user_id: int) -> str:
        if Users.fails:
            raise KeyError(user_id)
        return f"user {user_id}"

    async def fetch(self, user_id: int) -> str:
        return f"user {user_id}"

    def get_many(self, ids: Iterable[int]) -> dict[int, str]:
        return {user_id: f"user {user_id}" for user_id in ids}

    def rename(self, user_id: int) -> None:
        pass


@pytest.fixture(params=["far", "near"])
def cache(running: RunningServer, request: pytest.FixtureRequest) -> Iterator[RedisCache]:
    local = MemoryCache() if request.param == "near" else None
    made = RedisCache(url=running.unix_url, local=local)
    yield made
    made.close()


@pytest.fixture
def heard() -> Iterator[list[Any]]:
    told: list[Any] = []

    def note(event: Any) -> None:
        # Somebody's entries may expire just now that another test has made.
        if getattr(event, "cache", CACHE) == CACHE:
            told.append(event)

    with events.subscribe(note):
        yield told


def wrapped(cache: RedisCache, **said: Any) -> Any:
    return pussycache.wrap(
        Users(),
        cache,
        cached_methods={"get": Cached(**said), "fetch": 60, "get_many": Cached(each="ids")},
        invalidate_methods={"rename": ["get"]},
    )


def test_calls_and_writes(cache: RedisCache, heard: list[Any]) -> None:
    """Misses, loads and writes are told of as those of a cache in memory are, and hits are not."""
    users = wrapped(cache)
    users.get(1)
    users.get(1)
    users.rename(1)
    asyncio.run(users.fetch(1))
    users.get_many([1, 2])
    pussycache.forget(users.get, 1)
    told = [(type(event).__name__, event.cache) for event in heard]
    load = [("LoadBegun", CACHE), ("LoadEnded", CACHE)]
    miss = [("Miss", CACHE)]
    assert told == [
        *(*miss, *load),
        ("Invalidated", CACHE),
        *(*miss, *load),
        *(*miss, *miss, *load),
    ]
    assert heard[0] == events.Miss(METHOD, CACHE, "never-cached", (1,))
    assert heard[3].writer == "Users.rename"


def test_a_write_at_work(cache: RedisCache, heard: list[Any]) -> None:
    """A call that a writer keeps from being stored says so."""
    users = wrapped(cache)
    with pussycache.writing(users.rename, user_id=1):
        users.get(1)
    assert [event.reason for event in heard if type(event) is events.Miss] == ["bypassed-by-write"]


def test_old_values(cache: RedisCache, heard: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """An old value that stands in for an error is told of."""
    users = wrapped(cache, ttl=0.05, stale_if_error=60)
    users.get(1)

    def stands_in() -> bool:
        users.get(1)
        return any(type(event) is events.Stale for event in heard)

    monkeypatch.setattr(Users, "fails", True)
    eventually(stands_in, "the value is old")
    (told,) = {event for event in heard if type(event) is events.Stale}
    assert told == events.Stale(METHOD, CACHE, "load-failed")


@pytest.fixture
def down(running: RunningServer) -> Iterator[RedisCache]:
    made = RedisCache(url=running.unix_url, timeout=BRIEF)
    yield made
    made.close()


def test_an_outage(running: RunningServer, down: RedisCache, heard: list[Any]) -> None:
    """A server that does not answer, and what it has not been told of, are told of once each."""
    users = wrapped(down)

    def told(*kinds: type) -> list[Any]:
        return [event for event in heard if type(event) in kinds]

    def is_well() -> bool:
        users.get(1)
        downs, ups = told(events.StoreDown), told(events.StoreUp)
        return pussycache.info(users.get).hits > 0 and len(downs) == len(ups)

    eventually(is_well, "a hit")
    heard.clear()
    with running.paused():
        users.rename(1)
        users.get(1)
        users.get(1)
        (lost,) = told(events.StoreDown)
        assert lost.reason == "timed out"
        (pending,) = told(events.Pending)
        assert pending.by.startswith("rename(user_id=1)")
        assert [event.reason for event in told(events.Miss)] == ["backend-down"] * 2
        assert told(events.StoreUp, events.Delivered) == []
    eventually(lambda: not down.pending, "it has been told")
    # In which order the probe and the delivery are told of is chance.
    eventually(lambda: told(events.StoreUp), "it is up")
    eventually(lambda: told(events.Delivered), "it was told")
    assert (len(told(events.Pending)), len(told(events.Delivered))) == (1, 1)
    # A server that is only slow may be down, and up, once more.
    downs, ups = told(events.StoreDown), told(events.StoreUp)
    assert len(downs) - len(ups) in (0, 1)


def test_a_server_that_was_killed(
    running: RunningServer, cache: RedisCache, heard: list[Any]
) -> None:
    """A server that refuses connections is down, and up when it answers again."""
    users = wrapped(cache)
    users.get(1)
    running.kill()
    users.get(1)
    users.get(1)
    running.start()

    def is_up() -> bool:
        users.get(1)
        return any(type(event) is events.StoreUp for event in heard)

    eventually(is_up, "the server is up")
    told = [type(event) for event in heard if type(event) in (events.StoreDown, events.StoreUp)]
    assert told == [events.StoreDown, events.StoreUp]
