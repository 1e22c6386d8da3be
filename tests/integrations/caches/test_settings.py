"""What `DjangoCache` takes, and says, as the cache of a proxy: settings, and what cannot work."""

import subprocess
import sys

import pytest
from caches_of_django import PLAIN, configured
from django.core.cache.backends.locmem import LocMemCache
from django.db import transaction
from django.test import override_settings
from prices import Price, wrapped

import pussycache
from pussycache import DjangoCache
from pussycache.cache.django_backend import DjangoCacheBackend

LOCMEM = f"{PLAIN}locmem.LocMemCache"


def test_the_dummy_cache_keeps_nothing(run):
    """Over Django's dummy cache every call computes, and every operation has an answer."""
    with override_settings(CACHES={"default": {"BACKEND": f"{PLAIN}dummy.DummyCache"}}):
        one = wrapped({"tea": 1, "milk": 1}, DjangoCache())
        assert [one.get("tea"), one.get("tea"), one._proxied.loads] == [1, 1, 2]
        one.set("tea", 2)
        assert (one.get("tea"), one.tagged("tea"), one.many(["tea"])) == (2, 2, {"tea": 2})
        assert pussycache.peek(one.get, "tea") is pussycache.MISSING
        assert pussycache.put(one.get, 7, "tea") is False
        assert pussycache.forget(one.get, "tea") is False
        pussycache.forget_tag(one._cache, "price:tea")
        assert pussycache.info(one).hits == 0

        async def main():
            assert [await one.aget("tea"), await one.aget("tea")] == [2, 2]

        run(main)
        one._cache.clear()
        one._cache.close()
        assert one._cache.pending == 0


def test_an_alias_that_is_not_there():
    """An alias that `CACHES` does not name is an error that says so."""
    with pytest.raises(pussycache.ConfigurationError, match=r"alias is 'other'.*one of CACHES"):
        pussycache.wrap(Price({}), DjangoCache("other"), cached_methods=["get"])


def test_replicas_are_refused():
    """Where Django would read from replicas nothing can be promised, and it is refused."""
    urls = ["redis://one:6379", "redis://two:6379"]
    said = {"BACKEND": f"{PLAIN}redis.RedisCache", "LOCATION": urls}
    with (
        override_settings(CACHES={"default": said}),
        pytest.raises(pussycache.ConfigurationError, match=r"LOCATION names several.*the primary"),
    ):
        pussycache.wrap(Price({}), DjangoCache(), cached_methods=["get"])


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"on_outage": "ignore"}, "on_outage must be 'queue' or 'refuse'"),
        ({"serializer": "pickle"}, "serializer='pickle'"),
        ({"serializer": "json"}, "serializer is 'json'"),
        ({"secret_keys": []}, "secret_keys is empty"),
        ({"ttl": -1}, "ttl"),
    ],
)
def test_what_cannot_work_is_said(said, message):
    """A setting that cannot work is an error that names it, at the latest when wrapping."""
    with pytest.raises(pussycache.ConfigurationError, match=message):
        pussycache.wrap(Price({}), DjangoCache(**said), cached_methods=["get"])


class Dear:
    """What is no part of msgpack."""

    def get(self):
        return complex, len


def test_pickle_with_a_secret():
    """With pickle, and a secret, almost any value comes back."""
    cache = DjangoCache(serializer="pickle", secret_keys=["a secret that is long enough"])
    dear = pussycache.wrap(Dear(), cache, cached_methods=["get"])
    cache.clear()
    assert dear.get() == dear.get() == (complex, len)
    assert pussycache.info(dear.get).hits == 1
    cache.close()


def test_the_ttl_is_that_of_the_alias(until):
    """Where no ttl is said, entries are good for the TIMEOUT of the alias; `None` is for ever."""
    for timeout, stays in ((0.2, False), (None, True)):
        said = {"BACKEND": LOCMEM, "LOCATION": f"{timeout}", "TIMEOUT": timeout}
        with override_settings(CACHES={"default": said}):
            one = wrapped({"tea": 1}, DjangoCache())
            one.get("tea")
            if stays:
                assert pussycache.peek(one.get, "tea") == 1
            else:
                until(lambda one=one: pussycache.peek(one.get, "tea") is pussycache.MISSING)


def test_the_old_name_is_a_store():
    """A `DjangoCacheBackend` keeps what proxies give it, in a backend of its own."""
    caches = [DjangoCacheBackend(30, LOCMEM, name) for name in ("one", "one", "two")]
    one, same, other = [wrapped({"tea": n}, cache) for n, cache in enumerate(caches)]
    assert (one.get("tea"), same.get("tea"), other.get("tea")) == (0, 0, 2)
    same.set("tea", 5)
    assert one.get("tea") == 0
    assert one._proxied.loads == 2


SCRIPT = f"""
import sys
sys.modules["redis"] = sys.modules["hiredis"] = None
import pussycache
from pussycache.cache.django_backend import DjangoCacheBackend
cache = DjangoCacheBackend(30, "{LOCMEM}", "one")
words = pussycache.wrap({{"a": 1}}, cache, cached_methods=["get"], namespace="words")
print(words.get("a"), words.get("a"), pussycache.info(words).hits)
import django.core.cache
print(type(django.core.cache.cache._connections["default"]).__name__)
"""


def test_without_settings_and_without_redis():
    """In a process without settings, and without redis-py, the old name configures Django."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin"},
        timeout=60,
    )
    assert (run.stdout, run.stderr) == ("1 1 1\nLocMemCache\n", "")


def test_without_settings_it_says_what_to_do():
    """Where Django has no settings, `DjangoCache` names what configures it."""
    script = "import pussycache; pussycache.wrap({}, pussycache.DjangoCache(), namespace='a')"
    run = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin"},
        timeout=60,
    )
    assert "Use DjangoCacheBackend(timeout, backend, location)" in run.stderr


@pytest.fixture
def in_database(request):
    """The cache in the database of the tests."""
    with configured("database", request):
        yield


@pytest.mark.usefixtures("in_database")
@pytest.mark.parametrize("commits", [True, False])
def test_the_database_takes_part_in_transactions(new_process, amounts, elsewhere, commits):
    """A write in a transaction makes entries wrong when it is committed, and not when it is not."""
    one, other = new_process(), new_process()
    assert other.get("tea") == 1

    class Undone(Exception):
        pass

    try:
        with transaction.atomic():
            one.set("tea", 2)
            # This transaction is served nothing that it may have made wrong.
            assert one.get("tea") == 2
            # Nothing is committed: what there is is good for the others.
            assert elsewhere.do(pussycache.peek, other.get, "tea") == 1
            if not commits:
                amounts["tea"] = 1
                raise Undone
    except Undone:
        pass
    expected = 2 if commits else 1
    assert (one.get("tea"), other.get("tea")) == (expected, expected)
    assert elsewhere.do(other.get, "tea") == expected


def test_threads_have_clients_of_their_own(new_process, monkeypatch, elsewhere):
    """A thread that runs in a copy of another's context does not use that one's client."""
    import contextvars

    used = set()
    real = LocMemCache.get

    def get(self, *args, **kwargs):
        used.add(id(self))
        kept.append(self)
        return real(self, *args, **kwargs)

    kept = []
    monkeypatch.setattr(LocMemCache, "get", get)
    with override_settings(CACHES={"default": {"BACKEND": LOCMEM, "LOCATION": "of threads"}}):
        one = new_process()
        one.get("tea")
        mine = set(used)
        used.clear()
        elsewhere.do(contextvars.copy_context().run, one.get, "milk")
    assert len(mine) == len(used) == 1
    assert mine != used
