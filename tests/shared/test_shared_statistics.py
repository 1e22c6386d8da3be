"""The figures of what is in a server: counted in each process, for what happened in it."""

import asyncio
import gc
from collections.abc import Iterable, Iterator

import pytest
from patience import BRIEF
from servers import RunningServer, eventually

import pussycache
from pussycache import Cached, MemoryCache
from pussycache.cache.redis import RedisCache
from pussycache.see.snapshots import snapshot


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


METHODS = {"get": 60, "fetch": 60, "get_many": Cached(each="ids")}


@pytest.fixture(params=["far", "near"])
def cache(running: RunningServer, request: pytest.FixtureRequest) -> Iterator[RedisCache]:
    local = MemoryCache() if request.param == "near" else None
    made = RedisCache(url=running.unix_url, local=local)
    yield made
    made.close()


def wrapped(cache: RedisCache) -> Users:
    return pussycache.wrap(
        Users(), cache, cached_methods=METHODS, invalidate_methods={"rename": ["get"]}
    )


def test_loads_are_timed(cache: RedisCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each load of this process is counted with its time: plain, awaited, failed, of many ids."""
    users = wrapped(cache)
    users.get(1)
    users.get(1)
    asyncio.run(users.fetch(1))
    users.get_many([1, 2, 3])
    monkeypatch.setattr(Users, "fails", True)
    with pytest.raises(KeyError):
        users.get(2)
    pussycache.forget(users.get, 1)
    info = pussycache.info(users)
    assert (info.hits, info.loads, info.failures) == (1, 5, 1)
    assert info.load_times.total == 6
    assert info.load_time > 0.0
    assert info.invalidated["forget"] == 1


def test_of_a_cache(cache: RedisCache) -> None:
    """A cache's figures are those of all its objects, also of those that are no more."""
    users = wrapped(cache)
    users.get(1)
    users.rename(1)
    users.get(1)
    info = pussycache.info(cache)
    assert (info.misses, info.loads, info.pending) == (2, 2, 0)
    assert info.invalidated == {"Users.rename": 1}
    assert set(cache.figures()) == {f"{__name__}.Users.{name}" for name in METHODS}
    del users
    gc.collect()
    assert asyncio.run(pussycache.ainfo(cache)).loads == 2


def test_a_local_tier_does_not_count_twice(running: RunningServer) -> None:
    """What a cache keeps in this process for a server is counted there, and not here again."""
    local = MemoryCache()
    cache = RedisCache(url=running.unix_url, local=local)
    users = wrapped(cache)
    users.get(1)
    users.get(1)
    assert pussycache.info(local).loads == 0
    assert pussycache.info(cache).loads == 1
    assert pussycache.info(cache).entries == 1
    cache.close()


def test_what_is_pending(running: RunningServer) -> None:
    """What the server has not heard of yet is pending, of a method and of the cache."""
    cache = RedisCache(url=running.unix_url, timeout=BRIEF)
    users = wrapped(cache)
    users.get(1)
    with running.paused():
        users.rename(1)
        assert pussycache.info(users.get).pending == 1
        assert pussycache.info(cache).pending == cache.pending == 1
    eventually(lambda: pussycache.info(cache).pending == 0, "the server has heard of it")
    cache.close()


def test_a_snapshot_says_how_it_stands_with_the_server(running: RunningServer) -> None:
    """Its stores have the url without a password, the state of the breaker, and what is pending."""
    url = f"redis://nobody:secret@{running.url.rpartition('@')[2].removeprefix('redis://')}"
    cache = RedisCache(url=running.unix_url, prefix="told", timeout=BRIEF)
    users = wrapped(cache)
    eventually(lambda: users.get(1) and pussycache.info(users.get).hits, "a server that answers")
    assert snapshot(cache).stores == snapshot(users).stores
    (store,) = snapshot(users.get).stores
    assert (store.name, store.breaker, store.pending) == ("RedisCache(told)", "closed", 0)
    assert store in snapshot().stores
    with running.paused():
        users.rename(1)
        (store,) = snapshot(cache).stores
        assert (store.breaker, store.pending) == ("open", 1)
    eventually(lambda: snapshot(cache).stores[0].pending == 0, "the server has heard of it")
    cache.close()
    (store,) = snapshot(RedisCache(url=url)).stores
    assert store.url.startswith("redis://")
    assert "secret" not in repr(store)
    assert "nobody" not in repr(store)


def test_labels_name_the_cache_where_two_have_the_method(running: RunningServer) -> None:
    """One method kept in memory and in a server has two rows, and the second names its cache."""
    cache = RedisCache(url=running.unix_url)
    far, here = wrapped(cache), pussycache.wrap(Users(), cached_methods=["get"])
    far.get(1)
    here.get(1)
    seen = snapshot(far, here)
    assert f"{__name__}.Users.get in RedisCache(pussycache)" in seen.methods
    assert f"{__name__}.Users.get in MemoryCache" in seen.methods
    cache.close()
