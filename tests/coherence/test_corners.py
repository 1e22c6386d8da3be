"""Corners where an old value, or a wrong one, could come back."""

import asyncio
import gc
import threading
import weakref

import pytest

import pussycache
from pussycache import MISSING, ConfigurationError, Forget, MemoryCache, cached, invalidates


class Store:
    def __init__(self):
        self.value = "old"

    def read(self, key=1):
        return self.value

    def write(self, key=1):
        self.value = "new"


def test_functions_of_one_name_have_entries_of_their_own():
    """Two decorated methods that bear one name do not answer for one another."""

    def times(number):
        @cached
        def method(self, x):
            return number * x

        return method

    class Calc:
        double, triple = times(2), times(3)

    calc = Calc()
    assert (calc.double(5), calc.triple(5)) == (10, 15)


def test_a_write_inside_the_end_of_a_load():
    """A comparison that writes while a load looks for its own place leaves nothing old behind."""
    began, go = threading.Event(), threading.Event()
    armed = []

    class Key:
        def __hash__(self):
            return 7

        def __eq__(self, other):
            if armed:
                armed.pop()
                proxy.write()
            return self is other

    class Armed(Store):
        def read(self, key=1):
            value = self.value
            if key is one:
                began.set()
                assert go.wait(10)
            elif value == "old":
                armed.append(True)
            return value

    one, two = Key(), Key()
    proxy = pussycache.wrap(
        Armed(), cached_methods=["read"], invalidate_methods={"write": ["read"]}
    )
    running = threading.Thread(target=proxy.read, args=(one,))
    running.start()
    assert began.wait(10)
    try:
        assert proxy.read(two) == "old"
        assert not armed
        assert proxy.read(two) == "new"
    finally:
        go.set()
        running.join(10)


def test_a_put_that_a_deferred_write_refuses_takes_the_old_value_away():
    """What put was to replace does not come back when the write has ended."""
    proxy = pussycache.wrap(
        Store(),
        cached_methods=["read"],
        invalidate_methods={"write": [Forget("read", key=lambda call: 99)]},
    )
    assert proxy.read(1) == "old"
    with pussycache.writing(proxy.write, 1):
        assert pussycache.put(proxy.read, "put", 1) is False
    assert pussycache.peek(proxy.read, 1) in (MISSING, "put")


def test_a_rule_finds_arguments_that_share_an_entry():
    """Two arguments with one __cache_key__ have one entry, and either one's write forgets it."""

    class User:
        def __cache_key__(self):
            return 7

    proxy = pussycache.wrap(
        Store(), cached_methods=["read"], invalidate_methods={"write": [Forget("read", "key")]}
    )
    assert proxy.read(User()) == "old"
    proxy.write(User())
    assert proxy.read(User()) == "new"


def test_a_method_that_is_decorated_later():
    """A write knows the class as it is now."""

    class Late:
        value = "old"

        @cached
        def read(self):
            return self.value

        @invalidates("read")
        def write(self):
            self.value = "new"

    late = Late()
    late.write()
    late.value = "old"
    Late.read = cached(lambda self: self.value)
    assert late.read() == "old"
    late.write()
    assert late.read() == "new"


def test_a_method_that_is_replaced_through_another_proxy():
    """Both proxies forget what the old method returned."""
    store, cache = Store(), MemoryCache()
    one = pussycache.wrap(store, cache, cached_methods=["read"])
    other = pussycache.wrap(store, cache, invalidate_methods={"write": ["read"]})
    assert one.read() == "old"
    other.read = lambda key=1: "replaced"
    assert one.read() == "replaced"


def test_finalizers_run_outside_the_lock():
    """A value that takes a lock when it is freed waits for nobody who waits for the cache."""
    lock, inside = threading.Lock(), threading.Event()

    class Value:
        def __del__(self):
            inside.set()
            assert lock.acquire(timeout=60)
            lock.release()

    class Values(Store):
        def read(self, key=1):
            return Value() if key == 1 else None

    proxy = pussycache.wrap(Values(), cached_methods=["read"])
    proxy.read(1)
    with lock:
        writer = threading.Thread(target=pussycache.forget_all, args=(proxy,))
        writer.start()
        assert inside.wait(25)
        reader = threading.Thread(target=proxy.read, args=(2,))
        reader.start()
        # Well before the finalizer gives up.
        reader.join(25)
        stuck = reader.is_alive()
    writer.join(60)
    assert not stuck


def test_a_policy_that_calls_the_method_it_is_for():
    """A when callable that asks for the call that is being stored is answered."""
    asked = []

    def when(result):
        if not asked:
            asked.append(proxy.read())
        return True

    proxy = pussycache.wrap(Store(), cached_methods={"read": pussycache.Cached(when=when)})
    done = []
    thread = threading.Thread(target=lambda: done.append(proxy.read()), daemon=True)
    thread.start()
    thread.join(60)
    assert done == ["old"]
    assert asked == ["old"]


def test_a_future_that_is_dropped_unfinished():
    """A write whose future nobody will ever finish does not keep its method from being cached."""

    async def main():
        class InLoop(Store):
            def write(self, key=1):
                return asyncio.get_running_loop().create_future()

        proxy = pussycache.wrap(
            InLoop(), cached_methods=["read"], invalidate_methods={"write": ["read"]}
        )
        proxy.write()
        gc.collect()
        proxy.read()
        return pussycache.peek(proxy.read)

    assert asyncio.run(main()) == "old"


def test_arguments_are_freed_with_their_entries():
    """When all is forgotten, no argument is kept alive."""

    class Argument:
        pass

    cache = MemoryCache()
    proxy = pussycache.wrap(Store(), cache, cached_methods=["read"])
    arguments = [Argument() for _ in range(50)]
    for argument in arguments:
        proxy.read(argument)
    watched = [weakref.ref(argument) for argument in arguments]
    cache.clear()
    del arguments, argument
    gc.collect()
    assert [one() for one in watched] == [None] * 50


def test_arguments_whose_hash_changes_its_mind():
    """A key that cannot be hashed any more breaks neither a write nor the cache."""

    class Fickle:
        broken = False

        def __hash__(self):
            if self.broken:
                raise TypeError("not any more")
            return 1

    key = Fickle()
    cache = MemoryCache(max_entries=2)
    proxy = pussycache.wrap(
        Store(), cache, cached_methods=["read"], invalidate_methods={"write": ["read"]}
    )
    proxy.read(key)
    key.broken = True
    for number in range(5):
        proxy.read(number)
    len(cache)
    proxy.write()
    assert proxy.read() == "new"


@pytest.mark.parametrize("name", ["__getattribute__", "__init__", "__class__"])
def test_what_python_needs_is_not_cached(name):
    """Methods by which Python finds methods are refused at once."""
    with pytest.raises(ConfigurationError, match=name):
        pussycache.wrap(Store(), cached_methods=[name])


def test_operations_want_the_method_of_an_object():
    """A method taken from a class is refused, with the remedy."""

    class Decorated:
        @cached
        def read(self):
            return 1

    proxy = pussycache.wrap(Store(), cached_methods=["read"])
    for method in (Decorated.read, type(proxy).read):
        with pytest.raises(ConfigurationError, match="instance"):
            pussycache.forget(method)
