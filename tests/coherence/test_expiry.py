"""What has expired is found without being asked for."""

import gc
import subprocess
import sys
import weakref

import pytest

import pussycache
from pussycache import Cached, MemoryCache
from pussycache.cache.expiry import Expiry, janitor
from pussycache.testing import FakeClock


class Value:
    """Can be watched."""

    __slots__ = ("__weakref__",)


class Source:
    def read(self, key):
        return Value()


def test_short_lived_entries_are_freed_when_nobody_calls(until):
    """After a burst of entries with a short ttl, their memory is free again in time."""
    cache = MemoryCache(ttl=300)
    proxy = pussycache.wrap(Source(), cache, cached_methods={"read": Cached(ttl=0.01)})
    lasting = pussycache.wrap(Source(), cache, cached_methods=["read"])
    kept = weakref.ref(lasting.read(1))
    alive = [weakref.ref(proxy.read(key)) for key in range(3_000)]
    until(lambda: all(one() is None for one in alive), "values were not freed")
    assert kept() is not None
    assert pussycache.explain(proxy.read, 1).reason == "expired"


def test_what_is_set_is_freed_too(until):
    """The same for what `set` stored, one after another."""
    cache = MemoryCache()
    for _ in range(2):
        value = Value()
        alive = weakref.ref(value)
        cache.set("key", value, 0.01)
        del value
        until(lambda alive=alive: alive() is None, "the value was not freed")


def test_nothing_that_is_good_is_taken():
    """A round takes out what has expired, and leaves the rest where it is found."""
    with FakeClock() as clock:
        cache = MemoryCache(max_entries=None)
        for i in range(100):
            cache.set(f"short {i}", i, 10)
            cache.set(f"long {i}", i, 20)
            cache.set(f"ever {i}", i)
        cache.touch("short 0", 30)
        clock.advance(10)
        with cache.lock:
            while not cache.expiry.step(7, clock()):
                pass
        assert cache.budget.live == 201
        assert cache.get("short 0") == 0
        assert all(cache.get(f"long {i}") == i for i in range(100))
        clock.advance(30)
        with cache.lock:
            while not cache.expiry.step(7, clock()):
                pass
        assert cache.budget.live == 100


def test_without_a_thread(monkeypatch):
    """Where no thread can be started, misses find what has expired, a bounded number each."""
    monkeypatch.setattr(janitor, "expect", lambda cache: None)
    steps = []
    step = Expiry.step

    def counted(self, some, now):
        steps.append(some)
        return step(self, some, now)

    monkeypatch.setattr(Expiry, "step", counted)
    with FakeClock() as clock:
        cache = MemoryCache(ttl=10, max_entries=2_000)
        proxy = pussycache.wrap(Source(), cache, cached_methods=["read"])
        alive = [weakref.ref(proxy.read(key)) for key in range(1_000)]
        clock.advance(10)
        for key in range(1_000, 2_000):
            proxy.read(key)
        assert sum(one() is not None for one in alive) == 0
    assert max(steps) <= 512


def test_when_rounds_are_due():
    """A round is due when the first entry expires, a second after the last one, and later where
    rounds find little."""
    with FakeClock() as clock:
        cache = MemoryCache()
        expiry, start = cache.expiry, pussycache.engine.clock.read()

        def round_ends():
            with cache.lock:
                while not expiry.step(1_000, clock()):
                    pass
            return expiry.due - start

        assert expiry.idle
        for i in range(100):
            cache.set(f"first {i}", i, 5)
        assert expiry.due - start == 5
        clock.advance(5)
        for i in range(100):
            cache.set(f"later {i}", i, 100)
        cache.set("soon", 0, 1.5)
        assert round_ends() == pytest.approx(6.5)
        clock.advance(1.5)
        cache.set("soon", 0, 0.1)
        # One of a hundred was found: the next round is two seconds later.
        assert round_ends() == pytest.approx(8.5)
        clock.advance(200)
        assert round_ends() == float("inf")
        assert expiry.idle


def test_a_cache_is_not_kept_for_its_expiry(until):
    """A cache with entries that expire is freed when nobody has it."""
    cache = MemoryCache(ttl=1_000)
    cache.set("key", 1)
    alive = weakref.ref(cache)
    del cache
    # The janitor has it in its hands for a moment.
    until(lambda: gc.collect() >= 0 and alive() is None, "the cache was kept")


def test_the_janitor_goes_home(until):
    """When nothing can expire any more, the thread ends; it begins anew when it is needed."""
    cache = MemoryCache()
    for _ in range(2):
        cache.set("key", 1, 0.01)
        until(lambda: cache.expiry.idle, "the entry was not found")
    assert cache.budget.live == 0


def test_a_program_ends_before_its_entries():
    """Entries that are good for long keep no program from ending."""
    program = "import pussycache; pussycache.MemoryCache().set('key', 1, 1000)"
    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this system does not fork")
def test_a_fork_leaves_no_thread_in_the_way():
    """A process that forks has no janitor just then; parent and child have one again afterwards."""
    program = """
import os, sys, threading, time
import pussycache
join = threading.Thread.join
# However long the janitor takes to end.
threading.Thread.join = lambda thread, timeout=None: join(thread, 60)
names = []
os.register_at_fork(after_in_parent=lambda: names.extend(t.name for t in threading.enumerate()))
cache = pussycache.MemoryCache()
cache.set("key", 1, 1000)
pid = os.fork()
if pid:
    assert names == ["MainThread"], names
    assert os.waitpid(pid, 0)[1] == 0
cache.set("short", object(), 0.01)
for _ in range(600):
    with cache.lock:
        live = cache.budget.live
    if live == 1:
        break
    time.sleep(0.05)
else:
    os._exit(1)
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", program], timeout=120, check=True)
