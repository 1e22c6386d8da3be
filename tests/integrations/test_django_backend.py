"""`CacheBackend` beyond what Django asks of a backend, which test_django_own_tests.py runs."""

import asyncio
import threading

import pytest
from django.core.cache.backends.base import CacheKeyWarning
from django.test import override_settings

import pussycache
from pussycache.contrib.django import CacheBackend, memory

OURS = "pussycache.contrib.django.CacheBackend"


@pytest.fixture(autouse=True)
def no_stores(monkeypatch):
    """Each test begins without any store."""
    monkeypatch.setattr(memory, "_stores", {})


def test_aliases_of_one_location_share_a_store():
    """Aliases with one LOCATION see each other's values; those with another do not."""
    from django.core.cache import caches

    settings = {
        "default": {"BACKEND": OURS},
        "too": {"BACKEND": OURS, "LOCATION": ""},
        "named": {"BACKEND": OURS, "LOCATION": "named"},
        "named_too": {"BACKEND": OURS, "LOCATION": "named", "VERSION": 2},
    }
    with override_settings(CACHES=settings):
        caches["default"].set("key", "default")
        caches["named"].set("key", "named", version=2)
        assert caches["too"].get("key") == "default"
        assert caches["named"].get("key") is None
        assert caches["named_too"].get("key") == "named"
        caches["named"].clear()
        assert caches["too"].get("key") == "default"
        assert caches["named_too"].get("key") is None


def test_threads_share_a_store(elsewhere):
    """Django gives each thread a backend of its own: they have one store."""
    from django.core.cache import cache

    with override_settings(CACHES={"default": {"BACKEND": OURS}}):
        elsewhere.do(cache.set, "key", "value")
        assert cache.get("key") == "value"


def test_a_location_is_a_name():
    """A LOCATION that is no text is an error that shows it."""
    with pytest.raises(pussycache.ConfigurationError, match=r"a name or a URL, not \['a'\]"):
        CacheBackend(["a"], {})


def test_nobody_changes_what_others_get():
    """Each caller is given an object of its own."""
    cache = CacheBackend("", {})
    value = [1]
    cache.set("key", value)
    value.append(2)
    cache.get("key").append(3)
    assert cache.get("key") == [1]


def test_what_is_used_survives_a_cull():
    """A cull throws out one in CULL_FREQUENCY, and of those that nobody has asked for."""
    cache = CacheBackend("", {"OPTIONS": {"MAX_ENTRIES": 30, "CULL_FREQUENCY": 3}})
    for key in range(30):
        cache.set(key, key)
    for key in range(15):
        assert cache.get(key) == key
    cache.set(30, 30)
    there = [key for key in range(31) if cache.has_key(key)]
    assert len(there) == 21
    assert {*range(15), 30} <= {*there}


def test_a_timeout_is_kept_by_incr(monkeypatch):
    """`incr` leaves the timeout alone, and `None` for ever is for ever."""
    from pussycache.testing import FakeClock

    with FakeClock() as clock:
        cache = CacheBackend("", {"TIMEOUT": 10})
        cache.set("short", 1)
        cache.set("long", 1, None)
        clock.advance(6)
        assert cache.incr("short") == cache.incr("long") == 2
        clock.advance(6)
        assert cache.get("short") is None
        assert cache.get("long") == 2
        with pytest.raises(ValueError, match="not found"):
            cache.incr("short")


def test_awaiting_takes_no_thread():
    """The async methods do what they do in the thread of the event loop."""

    class Seen:
        def __reduce__(self):
            threads.add(threading.current_thread())
            return (str, ())

    threads = set()

    async def main():
        cache = CacheBackend("", {})
        await cache.aset("key", Seen())
        assert await cache.aadd("key", Seen()) is False
        assert await cache.aget("key") == ""
        assert await cache.ahas_key("key")
        assert await cache.atouch("key", 10)
        await cache.aset("number", 1)
        assert await cache.aincr("number") == 2
        assert await cache.adelete("key")
        await cache.aclear()
        assert await cache.aget("number") is None

    asyncio.run(main())
    assert threads == {threading.current_thread()}


def test_a_key_is_stored_once():
    """Of many threads that add one key at once, one is told that it has."""
    cache = CacheBackend("", {})
    barrier = threading.Barrier(8)
    told = []

    def add():
        barrier.wait(60)
        told.append(cache.add("key", 1))

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(told) == [False] * 7 + [True]


def test_keys_that_memcached_would_refuse_are_warned_about():
    """As with Django's own backends, a key that is not portable is warned about."""
    with pytest.warns(CacheKeyWarning, match="memcached"):
        CacheBackend("", {}).set("a key", 1)
