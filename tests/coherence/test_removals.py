"""Listeners that are told which entries are gone, and why."""

import gc
import logging
import threading

import pytest

import pussycache
from pussycache import Forget, MemoryCache
from pussycache.testing import FakeClock


class Source:
    def read(self, key, more=None):
        return f"value {key}"

    def write(self, key=None):
        pass

    clear = write


def told(cache):
    seen = []
    cache.on_removal(lambda gone: seen.append((gone.method, gone.key, gone.value, gone.cause)))
    return seen


def sourced(cache, **rules):
    return pussycache.wrap(Source(), cache, cached_methods=["read"], invalidate_methods=rules)


def test_made_room():
    """An entry that is thrown out to make room went because of the size."""
    cache = MemoryCache(max_entries=2)
    proxy, seen = sourced(cache), told(cache)
    for i in range(100):
        proxy.read(i)
    assert len(seen) == 98
    assert {cause for *_, cause in seen} == {"size"}
    there = {i for i in range(100) if pussycache.peek(proxy.read, i) is not pussycache.MISSING}
    assert there | {key[0] for _, key, *_ in seen} == set(range(100))
    assert seen[0][0] == "read"


def test_too_much_weight():
    """So did one that was too much for max_bytes, also when the bound is made smaller."""
    cache = MemoryCache(max_bytes=10, weigh=lambda key, value: value)
    seen = told(cache)
    cache.set("a", 6)
    cache.set("b", 6)
    cache.resize(max_bytes=5)
    assert seen == [("", "a", 6, "size"), ("", "b", 6, "size")]


def test_another_value():
    """An entry that gets another value is replaced."""
    cache = MemoryCache()
    proxy, seen = sourced(cache), told(cache)
    cache.set("a", 1)
    cache.set("a", 2)
    cache.incr("a")
    proxy.read(7)
    pussycache.refresh(proxy.read, 7)
    assert seen == [
        ("", "a", 1, "replaced"),
        ("", "a", 2, "replaced"),
        ("read", (7, None), "value 7", "replaced"),
    ]


@pytest.mark.parametrize("how", ["write", "rule", "clear", "forget", "forget_all", "delete"])
def test_made_wrong(how):
    """A write, one of a method called clear too, and forgetting by hand invalidate."""
    cache = MemoryCache()
    proxy = sourced(cache, write=[Forget("read", "key")] if how == "rule" else ["read"])
    proxy = sourced(cache, clear=["read"]) if how == "clear" else proxy
    proxy.read(7)
    cache.set("a", 1)
    seen = told(cache)
    if how in ("write", "rule"):
        proxy.write(7)
    elif how == "clear":
        proxy.clear()
    elif how == "forget":
        pussycache.forget(proxy.read, 7)
    elif how == "forget_all":
        pussycache.forget_all(proxy)
    else:
        cache.delete("a")
    gone = ("", "a", 1) if how == "delete" else ("read", (7, None), "value 7")
    assert seen == [(*gone, "invalidated")]


def test_the_object_is_gone():
    """What is freed with its object is invalidated."""
    cache = MemoryCache()
    proxy, seen = sourced(cache), told(cache)
    proxy.read(7)
    del proxy
    gc.collect()
    assert seen == [("read", (7, None), "value 7", "invalidated")]


def test_cleared():
    """`clear` of the cache clears, what proxies stored too."""
    cache = MemoryCache()
    proxy = sourced(cache)
    proxy.read(7)
    cache.set("a", 1)
    seen = told(cache)
    cache.clear()
    assert sorted(seen) == [("", "a", 1, "cleared"), ("read", (7, None), "value 7", "cleared")]


@pytest.mark.parametrize("how", ["found", "replaced", "delete", "clear", "made room"])
def test_its_time_was_over(how):
    """Whatever takes an entry out after its ttl, it has expired."""
    cache = MemoryCache(ttl=10, max_entries=1)
    seen = told(cache)
    with FakeClock() as clock:
        cache.set("a", 1)
        clock.advance(10)
        if how == "found":
            assert len(cache) == 0
        elif how == "replaced":
            cache.set("a", 2)
        elif how == "delete":
            cache.delete("a")
        elif how == "clear":
            cache.clear()
        else:
            cache.set("b", 2)
        assert seen == [("", "a", 1, "expired")]


def test_listeners_hold_nobody_up():
    """While a listener is told, other threads and the listener itself can use the cache."""

    def listener(gone):
        thread = threading.Thread(target=len, args=(cache,))
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
        cache.add("more", 1)
        seen.append(gone.key)

    seen = []
    cache = MemoryCache(max_entries=10)
    proxy = sourced(cache, write=["read"])
    cache.on_removal(listener)
    proxy.read(7)
    proxy.write()
    cache.set("a", 1)
    cache.set("a", 2)
    cache.delete("a")
    assert seen.count((7, None)) == 1
    assert seen.count("a") == 2


def test_a_listener_that_fails(caplog):
    """Its error is logged and counted, goes to no caller, and other listeners are told."""

    def fail(gone):
        raise LookupError(gone.key)

    cache = MemoryCache()
    cache.on_removal(fail)
    seen = told(cache)
    cache.set("a", 1)
    with caplog.at_level(logging.ERROR, "pussycache"):
        assert cache.delete("a")
    assert cache.removals.failures == 1
    assert "a removal listener failed" in caplog.text
    assert len(seen) == 1


def test_a_listener_that_was_ended():
    """What `on_removal` returns ends it, once, and no other that is the same function."""
    seen = []
    cache = MemoryCache()
    stop, _ = cache.on_removal(seen.append), cache.on_removal(seen.append)
    cache.set("a", 1)
    cache.delete("a")
    stop()
    stop()
    cache.set("a", 1)
    cache.delete("a")
    assert len(seen) == 3


def test_a_key_that_is_no_string():
    """The key is what was given to `set`; a container is shown by what stands for it."""
    cache = MemoryCache()
    seen = told(cache)
    for key in (7, ("a", 1), None):
        cache.set(key, 1)
        cache.delete(key)
    assert seen[0][1] == 7
    assert "'a', 1" in repr(seen[1][1])
    assert seen[2][1] is None


def test_very_many(until):
    """Of very many entries that are invalidated at once, each is told."""
    cache = MemoryCache(max_entries=None)
    proxy, seen = sourced(cache, write=["read"]), told(cache)
    for i in range(5_000):
        proxy.read(i)
    proxy.write()
    until(lambda: len(seen) == 5_000, "not all were told")
    assert {key[0] for _, key, *_ in seen} == set(range(5_000))
