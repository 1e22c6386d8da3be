"""`DjangoCache` over Django's backends, and `DjangoCacheBackend` with and without settings."""

import asyncio
import datetime
import re
import subprocess
import sys

import pytest
from caches_of_django import (  # noqa: F401 - fixtures
    PLAIN,
    STORES,
    configured,
    memcached,
    redis_server,
)
from django.core.cache.backends.base import BaseCache
from django.test import override_settings

import pussycache
from pussycache import MISSING
from pussycache.cache.django import DjangoCache
from pussycache.cache.django_backend import DjangoCacheBackend
from pussycache.testing import CacheContract


@pytest.fixture(params=[*STORES, "pussycache"])
def default(request):
    """Each backend as the default cache, empty."""
    with configured(request.param, request) as backend:
        yield backend


@pytest.mark.usefixtures("default")
class TestDjangoCache(CacheContract):
    """A `DjangoCache` does what every cache must do, as far as a backend's clock can be known."""

    @pytest.fixture(autouse=True)
    def _made(self):
        self.made = []
        yield
        for cache in self.made:
            cache.close()

    def make_cache(self, ttl=None):
        self.made.append(DjangoCache(ttl=ttl))
        return self.made[-1]

    # The clock is the backend's, or the server's.
    test_timeouts = test_add_after_expiry = test_touch = test_incr_keeps_the_timeout = None

    def test_touch_says_whether_it_is_there(self):
        """Touch says whether there was something, and with a timeout of 0 takes it away."""
        cache = self.make_cache()
        cache.set("key", 1)
        assert cache.touch("key", 60) is True
        assert cache.touch("key") is True
        assert cache.touch("other", 60) is False
        assert cache.touch("key", 0) is True
        assert "key" not in cache

    def test_what_is_good_for_nothing_is_not_stored(self):
        """A timeout of 0 or a moment past stores nothing, in every way to store."""
        cache = self.make_cache()
        cache.set("a", 1)
        cache.set_many({"a": 2, "b": 2}, 0)
        assert cache.add("c", 1, -1) is False
        assert cache.get_many(["a", "b", "c"]) == {}


def test_clear_leaves_others_alone(default):
    """`clear` removes what the class put there, from anywhere, and nothing else."""
    cache, other = DjangoCache(), DjangoCache()
    cache.set("key", 1)
    default.set("key", "somebody's")
    assert other.get("key") == 1
    other.clear()
    assert cache.get("key", MISSING) is MISSING
    assert default.get("key") == "somebody's"
    cache.set("key", 2)
    assert other.get("key") == 2


def test_a_lost_token_is_a_miss(default):
    """Where the backend has thrown the token out, nothing old comes back."""
    cache = DjangoCache()
    cache.set("key", 1)
    assert default.delete("pussycache:generation")
    assert cache.get("key", MISSING) is MISSING
    cache.set("key", 2)
    assert cache.get("key") == 2


@pytest.mark.parametrize(
    "key",
    [
        "a key with spaces",
        "k" * 1000,
        "ключ",
        "\n",
        "",
        b"key",
        7,
        None,
        (1, "a", (None, 2.5)),
        "#" + "0" * 48,
        "\ud800",
    ],
    ids=repr,
)
def test_keys_are_legal_for_memcached(key, default):
    """Whatever the key, the backend is given one that memcached takes; no two keys are one."""
    cache = DjangoCache()
    cache.set(key, "value")
    assert cache.get(key) == "value"
    # A warning about the key would be an error here.
    BaseCache.validate_key(default, default.make_key(cache._place(key)))
    for other in ("key", "7", 7.0, True, "None", (1, "a", (None, 2)), "(1, 'a', (None, 2.5))"):
        assert cache.get(other, MISSING) is MISSING


def test_a_key_that_cannot_be_written():
    """A key that is none of these is an error that says so."""
    with pytest.raises(pussycache.ConfigurationError, match=r"key cannot be used: \[\]"):
        DjangoCache().get([])


@pytest.mark.parametrize("key", ["visits", "it's", (7, "visits")])
def test_a_key_that_is_not_there_is_named_as_it_was_given(key, default):
    """Counting what is not there is a `ValueError` that names the key, not what stands for it."""
    for count in (DjangoCache().incr, DjangoCache().decr):
        with pytest.raises(ValueError, match=re.escape(f"Key {key!r} not found")):
            count(key)


def test_an_alias_is_a_name():
    """An alias that is none is an error when the cache is made, and not a miss for ever."""
    with pytest.raises(pussycache.ConfigurationError, match=r"alias must be the name .* not 5"):
        DjangoCache(5)


def test_the_own_ttl(default):
    """Where no ttl is said, it is the TIMEOUT of the alias."""
    assert DjangoCache().ttl == 300
    assert DjangoCache(ttl=5).ttl == DjangoCache(ttl=datetime.timedelta(seconds=5)).ttl == 5
    with pytest.raises(pussycache.ConfigurationError, match="ttl"):
        DjangoCache(ttl=-1)


def test_the_dummy_cache_keeps_nothing():
    """Over Django's dummy cache everything is a miss, and nothing fails."""
    with override_settings(CACHES={"default": {"BACKEND": f"{PLAIN}dummy.DummyCache"}}):
        cache = DjangoCache()
        cache.set("key", 1)
        assert cache.get("key", MISSING) is MISSING
        assert cache.get_or_set("key", lambda: 2) == 2
        cache.clear()


def test_awaiting_does_not_touch_the_database_in_the_loop(default):
    """The async twins work in an event loop with every backend."""

    async def main():
        cache = DjangoCache()
        await cache.aset("key", 1)
        return await cache.aget("key"), await cache.aget_many(["key", "other"])

    assert asyncio.run(main()) == (1, {"key": 1})


def test_the_old_name_beside_settings():
    """With settings there, `DjangoCacheBackend` has a backend of its own, and changes nothing."""
    cache = DjangoCacheBackend(30, f"{PLAIN}locmem.LocMemCache", "own", MAX_ENTRIES=7, VERSION=3)
    cache.set("mykey", "my value", 10)
    assert cache.get("mykey") == "my value"
    assert cache.ttl == 30
    assert (cache._django._max_entries, cache._django.version) == (7, 3)
    assert DjangoCache().get("mykey", MISSING) is MISSING
    assert isinstance(cache, DjangoCache)


def test_the_old_name_without_settings():
    """In a process without settings the first configures Django, and later ones do not."""
    script = f"""
from pussycache.cache.django_backend import DjangoCacheBackend
one = DjangoCacheBackend(30, "{PLAIN}locmem.LocMemCache", "one")
one.set("mykey", "my value", 10)
from django.core.cache import cache
two = DjangoCacheBackend(None, "{PLAIN}locmem.LocMemCache", "two")
print(one.get("mykey"), two.get("mykey"), cache is one._django or cache.default_timeout, two.ttl)
"""
    environment = {"PATH": "/usr/bin"}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )
    assert (run.stdout, run.stderr) == ("my value None 30 None\n", "")
