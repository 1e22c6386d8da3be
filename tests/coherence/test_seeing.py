"""explain and info: why a call would miss, and what happened so far."""

import asyncio
import os
import threading
from datetime import UTC, datetime, timedelta

import pytest

import pussycache
from pussycache import Cached, Forget, MemoryCache, UncacheableCallWarning
from pussycache.testing import FakeClock


class Users:
    def get(self, key):
        if key == "bad":
            raise LookupError(key)
        return str(key)

    def rename(self, key, name=None):
        pass


def users(cache=None, policy=None, rule=None):
    return pussycache.wrap(
        Users(),
        cache,
        cached_methods={"get": policy or Cached()},
        invalidate_methods={"rename": [rule or "get"]},
    )


def why(proxy, key=1):
    return pussycache.explain(proxy.get, key)


def test_never_cached_and_hit():
    """A call that was never made misses, one that is remembered hits."""
    proxy = users()
    assert (why(proxy).hit, why(proxy).reason) == (False, "never-cached")
    proxy.get(1)
    assert (why(proxy).hit, why(proxy).reason) == (True, "hit")
    assert str(why(proxy)) == "Users.get: hit"
    assert why(proxy, 2).reason == "never-cached"


def test_explaining_changes_nothing():
    """Explaining loads nothing and counts nothing."""
    proxy = users()
    why(proxy), proxy.get(1), why(proxy)
    figures = pussycache.info(proxy.get)
    assert (figures.hits, figures.misses, figures.loads) == (0, 1, 1)


def test_expired():
    """A value whose time is over says when that was, also after it was cleared away."""
    with FakeClock() as clock:
        cache = MemoryCache(ttl=10)
        proxy = users(cache)
        proxy.get(1)
        clock.advance(60)

        def expired(before):
            explained = why(proxy)
            assert explained.reason == "expired"
            when, about = explained.when + timedelta(seconds=50), timedelta(milliseconds=1)
            return before - about <= when <= datetime.now(UTC) + about

        assert expired(datetime.now(UTC))
        before = datetime.now(UTC)
        assert len(cache) == 0
        assert expired(before)


@pytest.mark.parametrize("rule", ["get", Forget("get", "key"), "*"], ids=str)
def test_invalidated(rule):
    """An invalidation names the call, its arguments, the process and the time."""
    proxy = users(rule=rule)
    proxy.get(1)
    before = datetime.now(UTC)
    proxy.rename(1, name="ada")
    explained = why(proxy)
    assert explained.reason == "invalidated"
    assert explained.by == f"rename(key=1, name='ada') in process {os.getpid()}"
    assert before <= explained.when <= datetime.now(UTC)
    assert "invalidated" in str(explained)
    assert "\n" not in str(explained)


def test_the_thread_and_the_task_are_named():
    """An invalidation says in which thread it was made, and in which task, if in one."""
    proxy = users()
    proxy.get(1)
    thread = threading.Thread(target=proxy.rename, args=(1,), name="a worker")
    thread.start()
    thread.join()
    explained = why(proxy)
    assert (explained.thread, explained.task) == ("a worker", None)
    assert explained.process == str(os.getpid())
    assert str(explained).endswith(f"in process {os.getpid()}, thread a worker")
    proxy.get(1)

    async def rename():
        proxy.rename(1)

    async def main():
        await asyncio.create_task(rename(), name="the renaming")

    asyncio.run(main())
    assert (why(proxy).thread, why(proxy).task) == ("MainThread", "the renaming")
    assert str(why(proxy)).endswith(", thread MainThread, task the renaming")


def test_a_loop_without_a_task():
    """A write in a callback of an event loop is made in no task."""
    proxy = users()
    proxy.get(1)
    loop = asyncio.new_event_loop()
    loop.call_soon(proxy.rename, 1)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert (why(proxy).reason, why(proxy).task) == ("invalidated", None)


@pytest.mark.parametrize("rule", ["get", Forget("get", "key"), "*"], ids=str)
def test_the_write_that_overtook_a_load_is_named(rule):
    """A load that was overtaken says by which call; later writes of others do not change that."""

    class Overtaken(Users):
        def get(self, key):
            if key == 1:
                proxy.rename(1, name="ada")
            return key

    proxy = pussycache.wrap(
        Overtaken(), cached_methods=["get"], invalidate_methods={"rename": [rule]}
    )
    proxy.get(1)
    explained = why(proxy)
    assert explained.reason == "bypassed-by-write"
    assert explained.by == f"rename(key=1, name='ada') in process {os.getpid()}"
    assert explained.thread == "MainThread"
    assert explained.detail == "a write has overtaken the load"
    proxy.rename(2)
    assert why(proxy).by == explained.by


def test_a_load_that_forget_overtook():
    """forget of one call, and a forgotten tag, are named as what overtook a load."""

    class Overtaken(Users):
        def get(self, key):
            if key == 1:
                pussycache.forget(proxy.get, 1)
            else:
                pussycache.forget_tag(cache, "users")
            return key

    cache = MemoryCache()
    proxy = pussycache.wrap(Overtaken(), cache, cached_methods={"get": Cached(tags=["users"])})
    proxy.get(1), proxy.get(2)
    assert why(proxy, 1).reason == "bypassed-by-write"
    assert why(proxy, 1).by.startswith("forget()")
    assert why(proxy, 2).by.startswith("forget_tag(tag='users')")


def test_invalidated_while_it_was_loaded():
    """A call whose load was overtaken by a write says so."""

    class Overtaken(Users):
        def get(self, key):
            pussycache.forget_all(proxy.get)
            return key

    proxy = pussycache.wrap(Overtaken(), cached_methods=["get"])
    proxy.get(1)
    assert why(proxy).reason in ("invalidated", "bypassed-by-write")


@pytest.mark.parametrize("what", ["forget", "forget_all", "clear"])
def test_forgotten_by_hand(what):
    """forget, forget_all and clear are named as what made the entry wrong."""
    cache = MemoryCache()
    proxy = users(cache)
    proxy.get(1)
    if what == "forget":
        pussycache.forget(proxy.get, 1)
    elif what == "forget_all":
        pussycache.forget_all(proxy)
    else:
        cache.clear()
    assert why(proxy).reason == "invalidated"
    assert why(proxy).by.startswith(what)


def test_evicted():
    """A value that was thrown out to make room says so, and one that was used is kept."""
    proxy = users(MemoryCache(max_entries=2))
    proxy.get(1), proxy.get(2), proxy.get(1)
    before = datetime.now(UTC)
    proxy.get(3)
    assert why(proxy, 2).reason == "evicted"
    about = timedelta(seconds=1)
    assert before - about <= why(proxy, 2).when <= datetime.now(UTC) + about
    assert why(proxy, 2).detail == "to make room: the cache keeps at most 2 entries"
    assert why(proxy, 1).hit
    assert pussycache.info(proxy.get).evictions == 1


@pytest.mark.parametrize("ahead", [0.5, 100])
def test_when_it_was_evicted(ahead):
    """The time of an eviction is right to a second, however many there are and long ago it was."""
    with FakeClock() as clock:
        proxy = users(MemoryCache(ttl=10_000, max_entries=100))

        def evicted(keys):
            for key in keys:
                proxy.get(key)
            # Which it is, is for the policy to say.
            return [key for key in keys if why(proxy, key).reason == "evicted"]

        early = evicted(range(300))
        clock.advance(ahead)
        late = evicted(range(300, 600))
        clock.advance(50)
        about = timedelta(seconds=1.1)
        for keys, ago in [(early, 50 + ahead), (late, 50)]:
            assert len(keys) >= 100
            for key in keys:
                # The clock of the test stands still: what passes is the time of day.
                before = datetime.now(UTC)
                when = why(proxy, key).when + timedelta(seconds=ago)
                assert before - about <= when <= datetime.now(UTC) + about


def test_evicted_for_its_weight():
    """A cache that is bounded by weight says how much it may keep."""
    proxy = users(MemoryCache(max_bytes=2_000, weigh=lambda key, value: 1_500))
    proxy.get(1), proxy.get(2)
    gone = why(proxy, 1) if not why(proxy, 1).hit else why(proxy, 2)
    assert gone.reason == "evicted"
    assert gone.detail.endswith("at most 10,000 entries and a weight of 2,000")


def test_the_last_thing_that_happened_counts():
    """Of an eviction and an invalidation of one call, the later is told."""
    proxy = users(MemoryCache(max_entries=1))
    proxy.get(1), proxy.get(2)
    assert why(proxy, 1).reason == "evicted"
    proxy.get(1)
    proxy.rename(1)
    assert why(proxy, 1).reason == "invalidated"
    proxy.get(1), proxy.get(2)
    assert why(proxy, 1).reason == "evicted"


@pytest.mark.parametrize("policy", [Cached(ttl=0), Cached(when=lambda user: False)])
def test_not_stored(policy):
    """A result that its policy did not want to keep says so."""
    proxy = users(policy=policy)
    proxy.get(1)
    assert why(proxy).reason == "not-stored"
    assert why(proxy).detail
    figures = pussycache.info(proxy.get)
    assert (figures.loads, figures.rejected, figures.entries) == (1, 1, 0)


def test_uncacheable():
    """A call whose arguments have no key says which."""
    proxy = users()
    no_key = type("NoKey", (dict,), {})()
    assert why(proxy, no_key).reason == "uncacheable"
    assert "NoKey" in why(proxy, no_key).detail
    with pytest.warns(UncacheableCallWarning):
        proxy.get(no_key)
    assert pussycache.info(proxy.get).uncacheable == 1


def test_bypassed_by_a_write():
    """A call that was made while a write ran says so, while it runs and after it."""
    proxy = users(rule=Forget("get", "key"))
    with pussycache.writing(proxy.rename, 1):
        assert why(proxy).reason == "bypassed-by-write"
        assert why(proxy).by.startswith("rename(key=1, name=None) in process")
        assert why(proxy).detail == "a writer is at work"
        proxy.get(1)
        assert why(proxy, 2).reason == "never-cached"
    assert why(proxy).reason == "bypassed-by-write"
    assert why(proxy).by.startswith("rename(key=1, name=None) in process")
    assert why(proxy).detail == "a writer was at work"


def test_switched_off():
    """While caching is off, no call hits."""
    proxy = users()
    proxy.get(1)
    with pussycache.disabled():
        assert not why(proxy).hit
    assert why(proxy).hit


def test_figures():
    """Hits, misses, loads, failures, evictions and invalidations are counted as Caffeine does."""
    proxy = users()
    proxy.get(1), proxy.get(1), proxy.get(1), proxy.get(2)
    with pytest.raises(LookupError):
        proxy.get("bad")
    proxy.rename(1)
    proxy.get(1)
    figures = pussycache.info(proxy.get)
    assert (figures.hits, figures.misses) == (2, 4)
    assert (figures.loads, figures.failures) == (3, 1)
    assert (figures.entries, figures.invalidations) == (1, 1)
    assert figures.hit_ratio == pytest.approx(2 / 6)
    assert pussycache.info(proxy) == figures


def test_figures_of_a_waiter(gate, spawn, joined):
    """Who waits for a load has missed; only who loads has loaded."""

    class Slow(Users):
        def get(self, key):
            gate.hold()
            return key

    proxy = pussycache.wrap(Slow(), cached_methods=["get"])
    callers = [spawn(proxy.get, 1) for _ in range(4)]
    gate.reached()
    joined(proxy.get, 3)
    gate.open()
    for caller in callers:
        caller.result()
    proxy.get(1)
    figures = pussycache.info(proxy.get)
    assert (figures.hits, figures.misses, figures.loads) == (1, 4, 1)


def test_hits_are_counted_once_whatever_happens_to_the_entry():
    """Hits on entries that are gone are still counted, and not twice."""
    with FakeClock() as clock:
        cache = MemoryCache(ttl=10, max_entries=3)
        proxy = users(cache)
        hits = 0
        for n in range(40):
            for key in range(n % 5 + 1):
                before = pussycache.explain(proxy.get, key).hit
                proxy.get(key)
                hits += before
            if n % 7 == 0:
                proxy.rename(1)
            if n % 4 == 0:
                clock.advance(6)
            if n % 9 == 0:
                len(cache)
            if n % 11 == 0:
                pussycache.refresh(proxy.get, 0)
        assert pussycache.info(proxy.get).hits == hits


def test_figures_of_a_decorated_function():
    """cache_info is that of lru_cache; cache_clear forgets the figures, too."""

    @pussycache.cached
    def double(n):
        return 2 * n

    double(1), double(1), double(2)
    assert double.cache_info() == (1, 2, 10_000, 2)
    double.cache_clear()
    assert double.cache_info() == (0, 0, 10_000, 0)
    assert double(1) == 2
