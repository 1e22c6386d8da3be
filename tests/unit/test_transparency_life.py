"""Copies, pickles, and how long objects, proxies and entries live."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import pytest

from pussycache import Cached, Forget, MemoryCache, cache_of, wrap
from pussycache.proxy import BaseProxy


class Users:
    def __init__(self):
        self.names = {1: ["ada"]}

    def get(self, user_id):
        return list(self.names[user_id])

    def rename(self, user_id, name):
        self.names[user_id] = [name]

    def wanted(self, result):
        return bool(result)


class Slotted:
    __slots__ = ("number",)

    def __init__(self):
        self.number = 5

    def get(self, user_id):
        return [user_id]


class Equal(Users):
    def __eq__(self, other):
        return isinstance(other, Equal)

    def __hash__(self):
        return 1


class Knowing(Users):
    """Knows its proxy."""

    proxy = None


class Declared(BaseProxy):
    cached_methods = {"get": Cached(ttl=60, when=lambda result: True)}
    invalidate_methods = {"rename": [Forget("get", user_id=lambda call: call.args["user_id"])]}


def dump(p):
    return pickle.loads(pickle.dumps(p))


def by_protocol(number):
    return lambda p: pickle.loads(pickle.dumps(p, number))


COPIES = [
    copy.copy,
    copy.deepcopy,
    *(by_protocol(number) for number in range(2, pickle.HIGHEST_PROTOCOL + 1)),
]


@pytest.mark.parametrize("make", COPIES, ids=["copy", "deepcopy", *map(str, range(2, 6))])
def test_a_copy_is_a_proxy_of_a_copy(make):
    """A copy stands for a copy of the target, and caches and invalidates as it was declared."""
    target = Users()
    p = wrap(
        target,
        MemoryCache(ttl=50, max_entries=70),
        cached_methods={"get": 60},
        invalidate_methods={"rename": [Forget("get", "user_id")]},
    )
    p.get(1)
    other = make(p)
    assert issubclass(type(other), BaseProxy)
    assert other._proxied is not target
    assert vars(other) == vars(target)
    assert other.get(1) is other.get(1)
    assert other.get(1) is not p.get(1)
    before = p.get(1)
    other.rename(1, "eve")
    assert other.get(1) == ["eve"]
    assert p.get(1) is before
    assert (other._cache.ttl, other._cache.max_entries) == (50, 70)


@pytest.mark.parametrize("self_calls", [False, True])
def test_every_part_of_a_declaration_is_copied(self_calls):
    """Namespace, version and self_calls go with a copy and with a pickle."""
    p = wrap(Users(), namespace="n", version=2, self_calls=self_calls, cached_methods=["get"])
    for other in (copy.copy(p), dump(p)):
        about, mine = other._pussycache_about, p._pussycache_about
        assert (about.namespace, about.version, about.self_calls) == ("n", 2, self_calls)
        assert about.cached == mine.cached
    assert copy.copy(p).get(1) is p.get(1)


def test_a_memory_cache_is_pickled_empty():
    """With a pickled proxy its memory cache comes back with the same settings and no entries."""
    cache = MemoryCache(ttl=5, max_entries=6)
    p = wrap(Users(), cache, cached_methods=["get"])
    p.get(1)
    other = cache_of(dump(p))
    assert (len(cache), len(other)) == (1, 0)
    assert (other.ttl, other.max_entries) == (5, 6)
    assert len(copy.deepcopy(cache)) == 0


def test_proxies_that_share_a_cache_share_it_after_pickling():
    """Two proxies pickled together share one cache again, and one target where they shared it."""
    cache, target = MemoryCache(), Users()
    one, two = dump((wrap(target, cache, cached_methods=["get"]), wrap(target, cache)))
    assert one._cache is two._cache
    assert one._proxied is two._proxied


def test_a_declared_subclass_is_pickled_without_its_declarations():
    """What a subclass declares may hold lambdas: it is found again by the class, not pickled."""
    other = dump(Declared(Users()))
    assert type(other).__mro__[1] is Declared
    assert other.get(1) is other.get(1)
    other.rename(1, "eve")
    assert other.get(1) == ["eve"]
    assert copy.deepcopy(other).get(1) == ["eve"]


def test_a_target_that_cannot_be_pickled_says_so_itself():
    """Pickling a proxy of what cannot be pickled raises what pickling the target raises."""

    class Refusing(Users):
        def __reduce_ex__(self, protocol):
            raise ZeroDivisionError("my own reason")

    for target, error in ((Refusing(), ZeroDivisionError), ((n for n in ()), TypeError)):
        for one in (target, wrap(target)):
            with pytest.raises(error) as caught:
                pickle.dumps(one)
            assert "my own reason" in str(caught.value) or "generator" in str(caught.value)


def test_an_object_that_knows_its_proxy_is_copied():
    """Cycles between object and proxy are copied and pickled as cycles."""
    target = Knowing()
    p = target.proxy = wrap(target, cached_methods=["get"])
    for other in (copy.deepcopy(p), dump(p)):
        assert other._proxied.proxy is other
        assert other._proxied is not target


def test_builtins_are_copied():
    """Proxies of builtins are copied and pickled as well."""
    for target in ([1, [2]], {"a": 1}, {3}, "text", 5, b"b", (1,), None):
        for other in (copy.copy(wrap(target)), copy.deepcopy(wrap(target)), dump(wrap(target))):
            assert other == target
            assert issubclass(type(other), BaseProxy)


# How long things live.


def closing_over(some):
    return lambda result: some is not None


LIVING = {
    "plain": lambda target: {"cached_methods": ["get"]},
    "with a lambda": lambda target: {
        "cached_methods": {"get": Cached(when=lambda result: True)},
        "invalidate_methods": {"rename": [Forget("get", user_id=lambda call: call.args["name"])]},
    },
    "with a closure over the object": lambda target: {
        "cached_methods": {"get": Cached(when=closing_over(target), ttl=60)},
    },
    "with the object as a default": lambda target: {
        "cached_methods": {"get": Cached(when=lambda result, t=target: True)},
    },
    "with self_calls": lambda target: {"cached_methods": ["get"], "self_calls": True},
    "with a method of the object": lambda target: {
        "cached_methods": {"get": Cached(when=target.wanted)},
    },
}


# Python 3.12.0 to 3.12.2 remember the class of every object that `inspect` has looked at.
@pytest.mark.parametrize("name", LIVING)
@pytest.mark.parametrize(
    "local",
    [pytest.param(False, id=""), pytest.param(True, id="local class")],
)
def test_nothing_keeps_a_wrapped_object_alive(name, local):
    """When proxy and object are dropped, both are gone, with the entries and a class of its own."""
    kind = type("Local", (Users,), {}) if local else Users
    cache = MemoryCache()
    target = kind()
    p = wrap(target, cache, **LIVING[name](target))
    assert p.get(1) == ["ada"]
    gone = [weakref.ref(target), weakref.ref(p)]
    if local:
        gone.append(weakref.ref(kind))
    del p, target, kind
    gc.collect()
    assert [ref() for ref in gone] == [None] * len(gone)
    assert len(cache) == 0


def test_a_class_that_knows_its_object_keeps_nothing_alive():
    """A local class that holds its only object is freed with it."""

    class Single(Users):
        pass

    Single.only = Single()
    p = wrap(Single.only, cached_methods=["get"])
    p.get(1)
    gone = weakref.ref(Single.only)
    del p, Single
    gc.collect()
    assert gone() is None


def test_entries_go_with_the_object_not_with_the_proxy():
    """Entries belong to the object: they outlive a proxy, and serve the next one."""
    cache, target = MemoryCache(), Users()
    value = wrap(target, cache, cached_methods=["get"]).get(1)
    gc.collect()
    assert len(cache) == 1
    assert wrap(target, cache, cached_methods=["get"]).get(1) is value


@pytest.mark.parametrize("target", [Slotted(), 5, "text"], ids=lambda t: type(t).__name__)
def test_entries_of_what_cannot_be_weakly_referenced(target):
    """An object that cannot be weakly referenced has entries per proxy, which go with the proxy."""
    name = "get" if isinstance(target, Slotted) else "__str__"
    args = (1,) if name == "get" else ()
    cache = MemoryCache()
    p, other = (wrap(target, cache, cached_methods=[name]) for _ in range(2))
    getattr(p, name)(*args)
    getattr(other, name)(*args)
    assert len(cache) == 2
    del p
    gc.collect()
    assert len(cache) == 1
    del other
    gc.collect()
    assert len(cache) == 0


def test_two_proxies_of_one_object_share():
    """Two proxies of one object on one cache share entries and invalidate for one another."""
    cache, target = MemoryCache(), Users()
    reader = wrap(target, cache, cached_methods=["get"])
    other = wrap(target, cache, cached_methods=["get"])
    writer = wrap(target, cache, invalidate_methods={"rename": ["get"]})
    assert reader.get(1) is other.get(1)
    writer.rename(1, "eve")
    assert reader.get(1) == other.get(1) == ["eve"]
    apart = wrap(target, MemoryCache(), cached_methods=["get"])
    assert apart.get(1) is not reader.get(1)


def test_equal_objects_do_not_share():
    """Objects that are equal, but not the same, have entries of their own."""
    cache, one, two = MemoryCache(), Equal(), Equal()
    two.names[1] = ["eve"]
    p, q = (wrap(target, cache, cached_methods=["get"]) for target in (one, two))
    assert p == q
    assert (p.get(1), q.get(1)) == (["ada"], ["eve"])
    assert len(cache) == 2


def test_methods_of_one_object_alone():
    """Objects of one class that have methods of their own are each called with their parameters."""

    class Bare:
        pass

    one, two = Bare(), Bare()
    one.get = lambda a: ["one", a]
    two.get = lambda x, y=2, *z: ["two", x, y, z]
    cache = MemoryCache()
    p, q = (wrap(target, cache, cached_methods=["get"]) for target in (one, two))
    assert p.get(a=1) == ["one", 1]
    assert q.get(1, 3, 4) == ["two", 1, 3, (4,)]

    class Held:
        __slots__ = ("get",)

    for target in (one, two):
        held = Held()
        held.get = target.get
        p = wrap(held, cached_methods=["get"])
        assert p.get(1) == target.get(1)
    assert p.get(x=1, y=5) == ["two", 1, 5, ()]

    class Answering:
        def __init__(self, function):
            self.function = function

        def __getattr__(self, name):
            if name != "get":
                raise AttributeError(name)
            return self.function

    wrap(Answering(one.get), cached_methods=["get"])
    p = wrap(Answering(two.get), cached_methods=["get"])
    assert p.get(x=1, y=5) == ["two", 1, 5, ()]
