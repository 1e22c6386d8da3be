"""`DjangoCache` over backends that are away, hang, or fail without a word."""

import random
import threading
from contextlib import contextmanager

import pytest
from caches_of_django import PLAIN
from django.core.cache import caches
from django.test import override_settings
from memcached import RunningMemcached
from mute import MuteCache
from patience import BRIEF
from servers import PATIENCE, RunningServer

import pussycache
from pussycache import MISSING, DjangoCache
from pussycache.cache.django_store import backend


class Memcached:
    """A memcached, and how Django reaches it, waiting for so long."""

    def __init__(self, timeout=PATIENCE):
        self.server = RunningMemcached()
        self.settings = {
            "BACKEND": f"{PLAIN}memcached.PyMemcacheCache",
            "LOCATION": self.server.location,
            "OPTIONS": {"timeout": timeout, "connect_timeout": timeout, "dead_timeout": 0.1},
        }
        self.settings["OPTIONS"]["retry_timeout"] = 0.1
        self.start, self.stop, self.paused = (
            self.server.start,
            self.server.kill,
            self.server.paused,
        )


class Redis:
    """The same of a Redis."""

    def __init__(self, timeout=PATIENCE):
        self.server = RunningServer("redis")
        self.settings = {
            "BACKEND": f"{PLAIN}redis.RedisCache",
            "LOCATION": self.server.url,
            "OPTIONS": {"socket_timeout": timeout, "socket_connect_timeout": timeout},
        }
        self.start, self.stop, self.paused = (
            self.server.start,
            self.server.kill,
            self.server.paused,
        )


@pytest.fixture(params=[Memcached, Redis])
def kind(request):
    """Which server."""
    return request.param


@contextmanager
def default(made):
    """Have a server be the default cache for a block, and end it."""
    try:
        with override_settings(CACHES={"default": made.settings}):
            yield made
            caches.close_all()
    finally:
        made.server.stop()


@pytest.fixture
def server(kind):
    """A server of the test's own behind the default cache."""
    with default(kind()) as made:
        yield made


@pytest.fixture
def hanging(kind):
    """One that is soon taken for hung: also if it is only slow."""
    with default(kind(BRIEF)) as made:
        yield made


def loads(proxy):
    return proxy._proxied.loads


def test_reads_compute_while_it_is_away(server, new_process, amounts, until):
    """Without the server every call computes, and none raises; when it is back, it is used."""
    one = new_process()
    assert one.get("tea") == 1
    server.stop()
    amounts["tea"] = 2
    assert [one.get("tea") for _ in range(3)] == [2, 2, 2]
    assert pussycache.peek(one.get, "tea") is MISSING
    said = pussycache.explain(one.get, "tea")
    assert (said.reason, bool(said.detail)) == ("backend-down", True)
    server.start()
    until(lambda: one.get("tea") == 2 and pussycache.peek(one.get, "tea") == 2)


def test_a_program_starts_without_it(server, new_process, run):
    """A cache can be made, and objects wrapped and used, before there is a server."""
    server.stop()
    one = new_process()
    assert one.get("tea") == 1

    async def main():
        assert await one.aget("tea") == 1
        await one.aset("tea", 2)

    run(main)
    assert one.get("tea") == 2


def test_one_that_hangs_is_left_alone_for_a_while(hanging, new_process, monkeypatch, until):
    """One call pays the timeout, and those after it do not ask."""
    monkeypatch.setattr(backend, "_PAUSE", 60)
    one = new_process()
    with hanging.paused():
        failures = one._cache._store._tier.failures
        # It may take a moment until it hangs.
        until(lambda: one.get("tea") == 1 and failures["closed"])
        assert one.get("tea") == 1
        assert failures["waiting"] > 0
        assert failures["closed"] == 1


def test_a_write_during_an_outage_is_delivered(hanging, new_process, until):
    """What the backend could not be told is told without a call, as soon as it answers."""
    one, other = new_process(), new_process()
    one.get("tea")
    with hanging.paused():
        one.set("tea", 2)
        assert one._cache.pending > 0
        assert pussycache.info(one.get).pending == 1
        # This process trusts nothing until then.
        assert one.get("tea") == 2
    until(lambda: one._cache.pending == 0)
    assert (one.get("tea"), other.get("tea")) == (2, 2)


def test_refuse_raises_before_the_method_runs(server, new_process, amounts):
    """With on_outage="refuse" a write raises, and nothing has been written."""
    one = new_process(on_outage="refuse")
    one.get("tea")
    server.stop()
    with pytest.raises(pussycache.BackendUnavailable, match="set was not called"):
        one.set("tea", 2)
    assert amounts["tea"] == 1
    assert one._cache.pending == 0


def test_what_is_done_by_hand_says_that_it_was_not(server, new_process):
    """`forget`, `put` and `clear` raise if the backend does not do it."""
    one = new_process()
    one.get("tea")
    server.stop()
    for call in (
        lambda: pussycache.forget(one.get, "tea"),
        lambda: pussycache.put(one.get, 7, "tea"),
        one._cache.clear,
    ):
        with pytest.raises(pussycache.BackendUnavailable):
            call()


def test_the_vocabulary_finds_nothing(server, new_process):
    """Without the server nothing is there."""
    cache = new_process()._cache
    cache.set("key", 1)
    server.stop()
    assert (cache.get("key", 7), cache.get_many(["key"]), "key" in cache) == (7, {}, False)


def test_closing_says_what_was_not_delivered(server, new_process):
    """A cache that is closed with invalidations pending says so."""
    one = new_process()
    one.get("tea")
    server.stop()
    one.set("tea", 2)
    with pytest.raises(pussycache.InvalidationPending, match="have not reached the backend"):
        one._cache.close()


def test_nothing_is_left_running(server, new_process):
    """A closed cache has no thread left."""
    before = set(threading.enumerate())
    one = new_process()
    one.get("tea")
    one.set("tea", 2)
    one._cache.close()
    assert set(threading.enumerate()) <= before


@pytest.fixture
def mute(monkeypatch):
    """Have the default cache fail without a word, or not any more."""
    with override_settings(CACHES={"default": {"BACKEND": "mute.MuteCache", "LOCATION": "mute"}}):
        caches["default"].clear()
        yield lambda is_so: monkeypatch.setattr(MuteCache, "is_mute", is_so)


def test_a_failure_without_a_word_is_noticed(mute, new_process, until):
    """A write counts as told only when that can be seen, and so does what is done by hand."""
    one, other = new_process(), new_process()
    one.get("tea")
    mute(True)
    one.set("tea", 2)
    assert one._cache.pending > 0
    for call in (
        lambda: pussycache.forget(one.get, "milk"),
        lambda: pussycache.put(one.get, 7, "milk"),
        one._cache._store.clear,
    ):
        with pytest.raises(pussycache.BackendUnavailable):
            call()
    mute(False)
    until(lambda: one._cache.pending == 0)
    assert (one.get("tea"), other.get("tea")) == (2, 2)


def test_the_end_of_a_write_is_delivered_too(mute, new_process, spawn, gate, until):
    """Where the backend fails in the midst of a write, its end is delivered later."""
    one, other = new_process(gate.hold), new_process()
    other.get("tea")
    write = spawn(one.held_set, "tea", 2)
    gate.reached()
    mute(True)
    gate.open()
    write.wait()
    assert one._cache.pending > 0
    mute(False)
    until(lambda: one._cache.pending == 0)
    assert (one.get("tea"), other.get("tea")) == (2, 2)
    assert pussycache.peek(other.get, "tea") == 2


def test_what_is_too_large_is_not_stored(monkeypatch):
    """A value that the server does not take is given to its caller, and is no outage."""
    # A refusal that takes longer counts as a backend that hangs.
    monkeypatch.setattr(backend, "_SLOW", 60)
    server = Memcached()

    class Large:
        loads = 0

        def large(self) -> bytes:
            type(self).loads += 1
            return random.Random(1).randbytes(2_000_000)

        def small(self) -> int:
            return 1

    with override_settings(CACHES={"default": server.settings}):
        cache = DjangoCache()
        large = pussycache.wrap(Large(), cache, cached_methods=["large", "small"])
        assert [len(large.large()) for _ in range(2)] == [2_000_000] * 2
        assert Large.loads == 2
        large.small()
        assert pussycache.peek(large.small) == 1
        cache.close()
    server.server.stop()
