"""Whose entries they are: an object's own, gone with it, and nobody else's."""

import gc
import weakref

import pytest

import pussycache
from pussycache import Cached, MemoryCache, cached


class Thing:
    def __init__(self, value):
        self.value = value

    def read(self):
        return self.value

    def write(self, value):
        self.value = value


class Mine:
    def __init__(self, value):
        self.value = value

    @cached
    def read(self):
        return self.value


class Equal(Thing):
    """All are equal."""

    def __eq__(self, other):
        return isinstance(other, Equal)

    def __hash__(self):
        return 1


class Slotted:
    """Cannot be weakly referenced, and has no hash."""

    __slots__ = ("value",)
    __hash__ = None

    def __init__(self, value):
        self.value = value

    def read(self):
        return self.value

    def write(self, value):
        self.value = value


@pytest.mark.parametrize("how", ["wrapped", "decorated", "slotted"])
def test_an_object_at_an_old_address_has_entries_of_its_own(how):
    """Of many objects made and dropped, at the same few addresses, each answers for itself."""
    cache = MemoryCache(max_entries=None)
    make = {
        "wrapped": lambda n: pussycache.wrap(Thing(n), cache, cached_methods=["read"]),
        "slotted": lambda n: pussycache.wrap(Slotted(n), cache, cached_methods=["read"]),
        "decorated": Mine,
    }[how]
    count = 100_000 if how == "decorated" else 10_000
    for number in range(count):
        assert make(number).read() == number
    gc.collect()
    if how == "decorated":
        home = Mine.read.cache_info()
        assert home.currsize <= 1
        cache = Mine.read.__pussycache__.table(Mine(0)).home
    assert len(cache) <= 1
    assert len(cache._scopes) <= 2
    assert len(cache.budget._keys) < 1000


def test_entries_are_freed_with_their_object():
    """When an object is dropped, so are the values remembered of it."""

    class Value:
        pass

    cache = MemoryCache()
    target = Thing(Value())
    alive = weakref.ref(target.value)
    proxy = pussycache.wrap(target, cache, cached_methods=["read"])
    proxy.read()
    assert len(cache) == 1
    del proxy
    target.value = None
    assert alive() is not None
    del target
    gc.collect()
    assert alive() is None
    assert len(cache) == 0


def test_entries_outlive_a_proxy():
    """They belong to the object: a new proxy of it finds them."""
    cache, target = MemoryCache(), Thing(1)
    assert pussycache.wrap(target, cache, cached_methods=["read"]).read() == 1
    gc.collect()
    target.value = 2
    assert pussycache.wrap(target, cache, cached_methods=["read"]).read() == 1


def test_equal_objects_do_not_share():
    """Identity is is, whatever __eq__ says."""
    cache = MemoryCache()
    one = pussycache.wrap(Equal(1), cache, cached_methods=["read"])
    other = pussycache.wrap(Equal(2), cache, cached_methods=["read"])
    assert one == other
    assert (one.read(), other.read()) == (1, 2)

    class Decorated(Equal):
        read = cached(Equal.read)

    assert (Decorated(1).read(), Decorated(2).read()) == (1, 2)


def test_objects_without_weak_references():
    """Each proxy of one has entries of its own, and its writes are seen."""
    cache = MemoryCache()
    target = Slotted(1)
    one = pussycache.wrap(
        target, cache, cached_methods=["read"], invalidate_methods={"write": ["read"]}
    )
    other = pussycache.wrap(Slotted(2), cache, cached_methods=["read"])
    assert (one.read(), other.read()) == (1, 2)
    one.write(3)
    assert (one.read(), other.read()) == (3, 2)


def test_caches_do_not_mix():
    """One object on two caches has entries in each."""
    target = Thing(1)
    one = pussycache.wrap(target, MemoryCache(), cached_methods=["read"])
    other = pussycache.wrap(target, MemoryCache(), cached_methods=["read"])
    assert one.read() == 1
    target.value = 2
    assert (one.read(), other.read()) == (1, 2)


def test_namespaces_and_versions():
    """A namespace is shared by objects of one class and version, and by no others."""
    cache = MemoryCache()

    def wrap(kind, value, **where):
        return pussycache.wrap(kind(value), cache, cached_methods=["read"], **where)

    assert wrap(Thing, 1, namespace="a").read() == 1
    assert wrap(Thing, 2, namespace="a").read() == 1
    assert wrap(Thing, 3, namespace="b").read() == 3
    assert wrap(Thing, 4, namespace="a", version=2).read() == 4
    assert wrap(Equal, 5, namespace="a").read() == 5
    assert wrap(Thing, 6).read() == 6


def test_objects_with_methods_of_their_own():
    """Two objects of a class that finds its methods elsewhere keep their own signatures."""

    class Delegate:
        def __init__(self, inner):
            self.inner = inner

        def __getattr__(self, name):
            if name == "inner":
                raise AttributeError(name)
            return getattr(self.inner, name)

    class One:
        def read(self, a):
            return ("one", a)

    class Two:
        def read(self, x, y=2):
            return ("two", x, y)

    cache = MemoryCache()
    one = pussycache.wrap(Delegate(One()), cache, cached_methods=["read"])
    two = pussycache.wrap(Delegate(Two()), cache, cached_methods=["read"])
    assert one.read(a=1) == ("one", 1)
    assert two.read(1, 3) == ("two", 1, 3)
    assert two.read(x=1) == ("two", 1, 2)


def test_a_proxy_and_its_target_as_arguments():
    """The wrapped object among its own arguments stands for itself, and is not kept alive."""

    class Node(Thing):
        def same(self, other):
            return other is self

    node = Node(1)
    alive = weakref.ref(node)
    proxy = pussycache.wrap(node, cached_methods=["same"])
    assert proxy.same(node) is True
    assert proxy.same(Node(1)) is False
    assert pussycache.peek(proxy.same, node) is True
    del proxy, node
    gc.collect()
    assert alive() is None


def test_instances_are_not_kept_alive():
    """Neither a decorator nor a cache that both share keeps an instance alive."""
    cache = MemoryCache()

    class Decorated(Thing):
        @cached(cache=cache)
        def read(self):
            return self

        @cached(cache=lambda self: cache)
        def other(self):
            return 1

    thing = Decorated(1)
    alive = weakref.ref(thing)
    thing.read(), thing.other()
    del thing
    gc.collect()
    assert alive() is None


def test_two_proxies_with_different_keys():
    """Two proxies of one object that key a method in two ways are refused."""
    cache, target = MemoryCache(), Thing(1)
    first = pussycache.wrap(target, cache, cached_methods=["read"])
    with pytest.raises(pussycache.ConfigurationError, match="key"):
        pussycache.wrap(target, cache, cached_methods={"read": Cached(key=lambda: 1)})
    assert first.read() == 1
