"""MemoryCache under load: its bound, and how what is forgotten is freed; caching switched off."""

import contextlib
import gc
import os
import subprocess
import sys
import weakref

import pytest

import pussycache
from pussycache import MISSING, Cached, Forget, MemoryCache


class Value:
    """Can be watched."""

    __slots__ = ("__weakref__",)


class Maker:
    def __init__(self):
        self.loads = 0

    def read(self, key=0):
        self.loads += 1
        return Value()

    def write(self, key=0):
        pass


def maker(cache=None, rule="read"):
    return pussycache.wrap(
        Maker(), cache, cached_methods=["read"], invalidate_methods={"write": [rule]}
    )


def test_many_keys_stay_within_the_bound():
    """However many different calls are made, no more than max_entries are kept."""
    cache = MemoryCache(max_entries=1000)
    proxy = maker(cache, Forget("read", "key"))
    for key in range(200_000):
        proxy.read(key)
        if key % 10_000 == 0:
            assert len(cache) <= 1000
    assert len(cache) == pussycache.info(proxy.read).entries == 1000
    assert pussycache.info(proxy.read).evictions == 199_000
    assert len(cache.budget) <= 3000
    table = proxy._pussycache_about.scope.table("read")
    assert len(table.marks) == 1000
    assert sum(map(len, table.indexes[(0,)].values())) == 1000


def test_the_bound_is_shared():
    """Entries of all methods and objects, and what was set by hand, are one number."""
    cache = MemoryCache(max_entries=50)
    proxies = [maker(cache) for _ in range(10)]
    for key in range(20):
        for proxy in proxies:
            proxy.read(key)
        cache.set(f"key {key}", key)
    assert len(cache) == 50


@pytest.mark.parametrize("how", ["write", "rule", "forget", "clear", "set"])
def test_reloading_one_key_takes_no_more_room_each_time(how):
    """Forgetting and loading the same call for ever needs bounded memory."""
    cache = MemoryCache()
    proxy = maker(cache, Forget("read", "key") if how == "rule" else "read")
    # While this is there the queues are not begun anew.
    cache.set("other", 1)
    for _ in range(5000):
        if how == "set":
            cache.set("key", 1)
            cache.delete("key")
            continue
        proxy.read()
        if how == "forget":
            pussycache.forget(proxy.read)
        elif how == "clear":
            cache.clear()
        else:
            proxy.write()
    assert len(cache.budget) < 500


@pytest.mark.parametrize("how", ["write", "set"])
def test_a_key_without_arguments_takes_no_more_room_each_time(how):
    """The same for a method without parameters, whose key is always the same object."""

    class Bare:
        def read(self):
            return 1

        def write(self):
            pass

    cache = MemoryCache()
    proxy = pussycache.wrap(
        Bare(), cache, cached_methods=["read"], invalidate_methods={"write": ["read"]}
    )
    for _ in range(5000):
        proxy.read()
        proxy.write()
    assert len(cache.budget) < 500
    assert len(cache) == 0


def test_what_was_forgotten_of_a_small_table_dies_at_once():
    """A write frees the values it forgets before it returns."""
    proxy = maker()
    alive = [weakref.ref(proxy.read(key)) for key in range(50)]
    assert all(one() is not None for one in alive)
    proxy.write()
    assert all(one() is None for one in alive)


def test_what_was_forgotten_of_a_large_table_dies_in_time(until):
    """A write of very many entries returns before they are freed, and all of them are."""
    cache = MemoryCache(max_entries=None)
    proxy = maker(cache, Forget("read", "key"))
    alive = [weakref.ref(proxy.read(key)) for key in range(50_000)]
    pussycache.forget_all(proxy.read)
    assert len(cache) == 0
    assert proxy.read(0) is not None
    until(lambda: all(one() is None for one in alive), "values were not freed")
    assert pussycache.info(proxy.read).entries == 1


def test_an_evicted_value_dies_at_once():
    """Nothing keeps what was thrown out to make room."""
    proxy = maker(MemoryCache(max_entries=1))
    alive = weakref.ref(proxy.read(1))
    assert alive() is not None
    proxy.read(2)
    assert alive() is None


def test_a_value_that_was_not_stored_dies_with_its_caller():
    """Nothing keeps the result of an overtaken load, nor an error that was raised."""

    class Overtaken:
        def read(self):
            pussycache.forget_all(proxy.read)
            return Value()

        def fail(self):
            raise Watched

    class Watched(LookupError):
        def __init__(self):
            seen.append(weakref.ref(self))

    seen = []
    proxy = pussycache.wrap(Overtaken(), cached_methods=["read", "fail"])
    gc.disable()
    try:
        alive = weakref.ref(proxy.read())
        assert alive() is None
        with contextlib.suppress(LookupError):
            proxy.fail()
        assert seen[0]() is None
    finally:
        gc.enable()


def test_arguments_are_not_kept_by_explanations():
    """When an entry is gone, so is what was its key."""

    class Argument:
        pass

    argument = Argument()
    alive = weakref.ref(argument)
    cache = MemoryCache()
    proxy = maker(cache, Forget("read", "key"))
    proxy.read(argument)
    proxy.write(argument)
    del argument
    for key in range(100):
        proxy.read(key)
    cache.clear()
    for key in range(100):
        proxy.read(key)
    gc.collect()
    assert alive() is None


# Caching switched off.


def test_switched_off():
    """While caching is off, calls compute and nothing is stored; afterwards all is as before."""
    proxy = maker()
    before = proxy.read(1)
    with pussycache.disabled():
        assert proxy.read(1) is not before
        assert proxy.read(2) is not proxy.read(2)
        assert pussycache.peek(proxy.read, 1) is MISSING
        with pussycache.disabled():
            pass
        assert proxy.read(1) is not before
        pussycache.refresh(proxy.read, 3)
        assert pussycache.put(proxy.read, 1, 4) is False
    assert proxy.read(1) is before
    for key in (2, 3, 4):
        assert pussycache.peek(proxy.read, key) is MISSING


@pytest.mark.parametrize("policy", [Cached(), Cached(ttl=60), Cached(copy="deep")])
def test_switched_off_on_every_hit_path(policy):
    """Caching is off for values with and without a ttl, for functions and for methods."""

    @pussycache.cached(ttl=policy.ttl, copy=policy.copy)
    def function():
        return []

    class Mine:
        read = pussycache.cached(ttl=policy.ttl, copy=policy.copy)(lambda self: [])

    proxy = pussycache.wrap(Mine(), cached_methods={"read": policy})
    for call in (function, Mine().read, proxy.read):
        call().append(1)
        with pussycache.disabled():
            assert call() == []
        assert call() == ([1] if policy.copy == "share" else [])


def test_writes_while_switched_off():
    """A write while caching is off forgets what was remembered before."""
    proxy = maker()
    one, two = proxy.read(1), proxy.read(2)
    with pussycache.disabled():
        proxy.write()
    assert proxy.read(1) is not one
    two = proxy.read(2)
    with pussycache.disabled():
        pussycache.forget(proxy.read, 2)
    assert proxy.read(2) is not two


@pytest.mark.parametrize("value", ["1", "yes", "0", "", "false", "No"])
def test_switched_off_by_the_environment(value):
    """PUSSYCACHE_DISABLED=1 switches caching off for the life of the process; a no does not."""
    program = (
        "import pussycache, random\n"
        "dice = pussycache.wrap(random.Random(7), cached_methods=['random'])\n"
        "print(dice.random() == dice.random())"
    )
    paths = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PUSSYCACHE_DISABLED": value, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.strip() == str(value not in ("1", "yes"))


FREED = """
import atexit, sys, pussycache

cache = pussycache.MemoryCache()
# A list cannot be weakly referenced, so the entries go with the proxy.
proxy = pussycache.wrap(
    [], cache, cached_methods=["count"], invalidate_methods={"clear": ["count"]}
)
for key in range(1000):
    proxy.count(key)
if sys.argv[1] == "atexit":
    atexit.register(proxy.clear)
elif sys.argv[1] == "cycle":
    ring = [proxy]
    ring.append(ring)
    del proxy
print("done")
"""


@pytest.mark.parametrize("when", ["with the modules", "atexit", "cycle"])
def test_many_entries_are_freed_as_the_interpreter_ends(when):
    """What would be freed in the background elsewhere needs no thread where none can start."""
    ended = subprocess.run(
        [sys.executable, "-c", FREED, when], capture_output=True, text=True, timeout=30, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")
