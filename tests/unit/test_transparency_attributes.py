"""Attributes of a proxy are the target's: read, set, deleted, added later, and inspected."""

from __future__ import annotations

import asyncio
import inspect
from unittest import mock

import pytest

from pussycache import MemoryCache, cache_of, wrap
from pussycache.proxy import BaseProxy


class Plain:
    """A class with one of everything."""

    kind = "plain"

    def __init__(self):
        self.number = 5
        self._hidden = 1

    @property
    def half(self):
        """Half of the number."""
        return self.number / 2

    @half.setter
    def half(self, value):
        self.number = value * 2

    @half.deleter
    def half(self):
        del self.number

    @classmethod
    def named(cls):
        return cls.__name__

    @staticmethod
    def twice(value):
        return value * 2

    def add(self, more, times=1):
        """Add to the number."""
        return self.number + more * times

    async def fetch(self, more):
        return self.number + more

    def count(self, upto):
        yield from range(upto)

    def echo(self, *args, **kwargs):
        return args, kwargs


class Dynamic:
    """Has attributes that only its ``__getattr__`` knows."""

    def __init__(self):
        self.asked = []

    def __getattr__(self, name):
        if name.startswith("__") or name == "missing":
            raise AttributeError(name)
        self.asked.append(name)
        return lambda more: 5 + more


class Ruling:
    """Decides about every attribute itself."""

    number = 5

    def add(self, more):
        return self.number + more

    def __getattribute__(self, name):
        if name == "shout":
            return "SHOUT"
        return object.__getattribute__(self, name)

    def shout(self):
        return "never"


def test_attributes_go_through():
    """What is set or deleted through the proxy is set or deleted on the target, and seen back."""
    target = Plain()
    p = wrap(target)
    p.number = 8
    p.fresh = 1
    assert (target.number, target.fresh) == (8, 1)
    target.fresh = 2
    target.other = 3
    assert (p.fresh, p.other) == (2, 3)
    del p.fresh
    del target.other
    for name in ("fresh", "other"):
        assert not hasattr(target, name)
        assert not hasattr(p, name)
    assert vars(p) is vars(target)
    with pytest.raises(AttributeError, match="'Plain' object has no attribute 'nothing'"):
        p.nothing  # noqa: B018
    with pytest.raises(AttributeError):
        del p.nothing


def test_class_attributes_and_what_comes_later():
    """What is added to the target's class later, changed there or removed, shows at the proxy."""

    class Growing:
        level = 1

    p = wrap(Growing())
    Growing.level = 2
    Growing.grown = lambda self: "grown"
    Growing.size = property(lambda self: 3)
    assert (p.level, p.grown(), p.size) == (2, "grown", 3)
    del Growing.level
    assert not hasattr(p, "level")


def test_a_class_changed_between_two_proxies():
    """A proxy made after a change of the class has the special methods that the class now has."""

    class Changing:
        def look(self, at):
            return at

    assert not callable(wrap(Changing()))
    Changing.__call__ = lambda self: "called"
    Changing.look = lambda self: "nothing"
    p = wrap(Changing())
    assert p() == "called"
    assert p.look() == "nothing"
    del Changing.__call__
    assert not callable(wrap(Changing()))


def test_properties():
    """Properties are read, set and deleted through the proxy, and documented on the class."""
    target = Plain()
    p = wrap(target)
    assert p.half == 2.5
    p.half = 5
    assert target.number == 10
    del p.half
    assert not hasattr(target, "number")


def test_class_and_static_methods():
    """Class and static methods are called through the proxy, cached or not."""
    assert wrap(Plain()).named() == "Plain"
    assert wrap(Plain()).twice(4) == 8
    p = wrap(Plain(), cached_methods=["named", "twice"])
    assert (p.named(), p.twice(4), p.twice(value=4)) == ("Plain", 8, 8)
    assert len(p._cache) == 2


def test_plain_methods():
    """Methods that are not cached take arguments as the target's do and remember nothing."""
    p = wrap(Plain())
    assert (p.add(1), p.add(1, 2), p.add(more=1, times=3), p.add(1, times=4)) == (6, 7, 8, 9)
    assert p.echo(1, proxy=2, _pc=3) == ((1,), {"proxy": 2, "_pc": 3})
    assert list(p.count(3)) == [0, 1, 2]
    assert asyncio.run(p.fetch(1)) == 6
    assert len(p._cache) == 0
    with pytest.raises(TypeError, match="more"):
        p.add()


@pytest.mark.parametrize("cached", [[], ["add", "fetch"]], ids=["plain", "cached"])
def test_methods_can_be_inspected(cached):
    """Name, signature, documentation and kind of a method are those of the target's."""
    target = Plain()
    p = wrap(target, cached_methods=cached)
    for name in ("add", "fetch", "count", "echo", "named", "twice"):
        mine, theirs = getattr(p, name), getattr(target, name)
        assert inspect.signature(mine) == inspect.signature(theirs)
        assert (mine.__name__, mine.__qualname__) == (theirs.__name__, theirs.__qualname__)
        assert (mine.__doc__, mine.__module__) == (theirs.__doc__, theirs.__module__)
        assert inspect.iscoroutinefunction(mine) == inspect.iscoroutinefunction(theirs)
        assert inspect.isgeneratorfunction(mine) == inspect.isgeneratorfunction(theirs)


def test_attributes_of_functions():
    """What a decorator noted on a plain method is found on the method of the proxy."""

    class Admin:
        def title(self):
            return "title"

        title.short_description = "Title"

    assert wrap(Admin()).title.short_description == "Title"


def test_getattr_and_getattribute_of_the_target():
    """A target that answers for its attributes itself is asked, once for each time."""
    target = Dynamic()
    assert wrap(target).anything(1) == 6
    assert target.asked == ["anything"]
    assert not hasattr(wrap(target), "missing")
    assert wrap(Ruling()).shout == "SHOUT"


def test_cache_and_proxied_are_the_proxys_own():
    """``_cache`` and ``_proxied`` are the proxy's, where the target has no such attributes."""
    cache = MemoryCache()
    target = Plain()
    p = wrap(target, cache)
    assert p._cache is cache
    assert p._proxied is target
    target._cache = "mine"
    p._proxied = "too"
    assert (p._cache, p._proxied, target._proxied) == ("mine", "too", "too")
    assert cache_of(p) is cache
    del p._cache
    assert p._cache is cache


@pytest.mark.parametrize("name", ["cached_methods", "invalidate_methods", "make", "method", "e"])
def test_names_that_are_ours_are_the_targets(name):
    """Attributes and cached methods named as things of the library are the target's as well."""
    target = Plain()
    assert not hasattr(wrap(target), name)
    setattr(target, name, lambda: name)
    assert getattr(wrap(target), name)() == name
    p = wrap(target, cached_methods=[name])
    assert getattr(p, name)() == name
    assert len(p._cache) == 1


def test_a_method_called_cache():
    """A target's method named as the proxy's own attribute can be called, and cached."""

    class Store:
        def _cache(self, key):
            return [key]

    cache = MemoryCache()
    assert wrap(Store())._cache(1) == [1]
    p = wrap(Store(), cache, cached_methods=["_cache"])
    assert p._cache(1) is p._cache(1)
    assert cache_of(p) is cache


def test_a_patched_method_is_seen():
    """A mock put in a method's place for a while answers through the proxy."""
    target = Plain()
    p = wrap(target, cached_methods=["add"])
    with mock.patch.object(target, "echo", return_value="patched") as patched:
        assert p.echo(1) == "patched"
    patched.assert_called_once_with(1)
    assert p.echo(1) == ((1,), {})
    with mock.patch.object(Plain, "half", 9):
        assert p.half == 9


def test_a_proxy_of_a_proxy():
    """A proxy can be wrapped again: each layer keeps its own entries and passes the rest on."""
    target = Plain()
    inner = wrap(target, cached_methods=["add"])
    outer = wrap(inner, cached_methods=["echo"])
    assert outer.add(1) == 6
    assert outer.echo(1) == outer.echo(1)
    assert (len(cache_of(inner)), len(cache_of(outer))) == (1, 1)
    assert isinstance(outer, Plain)
    outer.number = 7
    assert target.number == 7
    assert outer == target
    assert len(wrap(wrap([1]))) == 1


def test_names_of_a_subclass_win():
    """What a subclass of the proxy defines for itself hides what the target has."""

    class Loud(BaseProxy):
        def shout(self):
            return f"{self.number}!"

        def echo(self):
            return "subclass"

        def __len__(self):
            return 3

        def __repr__(self):
            return "<loud>"

    p = Loud(Plain())
    assert (p.shout(), p.echo(), len(p), repr(p)) == ("5!", "subclass", 3, "<loud>")
    assert p.add(1) == 6
