"""A proxy looks and behaves as its target: what kind of thing it is, its attributes, its names."""

from __future__ import annotations

import asyncio
import collections
import collections.abc
import dataclasses
import datetime
import decimal
import enum
import inspect
import json
import types
import weakref
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


class Slotted:
    __slots__ = ("number",)

    def __init__(self):
        self.number = 5

    def add(self, more):
        return self.number + more


class WeakSlotted(Slotted):
    __slots__ = ("__weakref__",)


@dataclasses.dataclass(order=True)
class Point:
    x: int
    y: int = 0

    def add(self, more):
        return self.x + more


class Colour(enum.Enum):
    RED = 5

    def add(self, more):
        return self.value + more


class Pair(collections.namedtuple("Pair", "number other")):
    def add(self, more):
        return self.number + more


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


def module():
    made = types.ModuleType("made_up")
    made.add = lambda more: 5 + more
    return made


TARGETS = {
    "plain": Plain,
    "slots": Slotted,
    "slots with weakref": WeakSlotted,
    "dataclass": lambda: Point(5),
    "enum": lambda: Colour.RED,
    "namedtuple": lambda: Pair(5, 6),
    "getattr": Dynamic,
    "getattribute": Ruling,
    "module": module,
    "class": lambda: type("Klass", (), {"add": classmethod(lambda cls, more: 5 + more)}),
    "mock": lambda: mock.Mock(**{"add.side_effect": lambda more: 5 + more}),
    "magic mock": lambda: mock.MagicMock(**{"add.side_effect": lambda more: 5 + more}),
}


@pytest.mark.parametrize("name", TARGETS)
def test_targets_of_every_kind_are_wrapped(name):
    """A method of any kind of object is cached, and the proxy passes for the object."""
    target = TARGETS[name]()
    cache = MemoryCache()
    p = wrap(target, cache, cached_methods=["add"])
    assert p.add(2) == p.add(2) == 7
    assert len(cache) == 1
    assert isinstance(p, type(target))
    assert p.__class__ is type(target)
    assert p == target
    assert target == p


BUILTINS = [
    {"a": 1},
    [3, 1, 2],
    {1, 2},
    frozenset({1}),
    (1, 2),
    "text",
    b"bytes",
    bytearray(b"ab"),
    5,
    -2.5,
    1 + 2j,
    True,
    None,
    range(3),
    decimal.Decimal("1.50"),
    datetime.datetime(2024, 5, 6, 7, 8),
    datetime.timedelta(days=1),
    collections.deque([1, 2]),
    collections.OrderedDict(a=1),
    len,
    str,
    Plain.add,
    object(),
]


@pytest.mark.parametrize("target", BUILTINS, ids=lambda target: type(target).__name__)
def test_builtins_look_the_same(target):
    """A proxy of a builtin is shown, compared, measured and listed as the builtin is."""
    p = wrap(target)
    for look in (repr, str, bool, dir, format, callable):
        assert look(p) == look(target)
    assert p == target
    assert target == p
    assert not p != target  # noqa: SIM202
    assert isinstance(p, type(target))
    assert p.__doc__ == target.__doc__


ABCS = [
    getattr(collections.abc, name)
    for name in (
        *("Callable", "Iterable", "Iterator", "Reversible", "Sized", "Container", "Collection"),
        *("Sequence", "MutableSequence", "Mapping", "MutableMapping", "Set", "MutableSet"),
        *("Hashable", "Awaitable", "AsyncIterable", "Generator", "Coroutine"),
    )
]


async def coroutine():
    return 1


@pytest.mark.parametrize("abstract", ABCS, ids=lambda abstract: abstract.__name__)
def test_abstract_classes_see_the_target(abstract):
    """A proxy is an instance of just those abstract classes that its target is an instance of."""
    running = coroutine()
    some = [Plain(), iter([1]), (n for n in ()), mock.Mock(), mock.MagicMock(), Point(1), running]
    for target in [*BUILTINS, *some]:
        assert isinstance(wrap(target), abstract) == isinstance(target, abstract), target
    running.close()


@pytest.mark.parametrize("target", [[], {}, set(), Point(1), bytearray()], ids=repr)
def test_unhashable_targets(target):
    """A proxy of an object that cannot be hashed cannot be hashed either."""
    with pytest.raises(TypeError, match="unhashable"):
        hash(wrap(target))
    assert not isinstance(wrap(target), collections.abc.Hashable)


def test_a_proxy_is_found_in_place_of_its_target():
    """Hash and equality are the target's, so dictionaries and sets take one for the other."""
    target = Plain()
    p = wrap(target)
    assert {target: 1}[p] == {p: 1}[target] == 1
    assert p in [target]
    assert target in {p}
    assert wrap(target) == p
    assert p != wrap(Plain())


@pytest.mark.parametrize(
    "name", ["__call__", "__len__", "__iter__", "__next__", "__or__", "__add__", "__enter__"]
)
def test_special_methods_are_made_only_where_they_are(name):
    """A proxy of an object without a special method has none, though its class may be called."""
    assert not hasattr(wrap(Plain()), name)
    assert not hasattr(wrap(None), name)


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


def test_dataclasses_functions():
    """The functions of `dataclasses` take a proxy for the dataclass."""
    p = wrap(Point(1, 2))
    assert dataclasses.is_dataclass(p)
    assert dataclasses.asdict(p) == {"x": 1, "y": 2}
    assert dataclasses.astuple(p) == (1, 2)
    assert dataclasses.replace(p, x=3) == Point(3, 2)
    assert [f.name for f in dataclasses.fields(p)] == ["x", "y"]
    assert not dataclasses.is_dataclass(wrap(Plain()))


def test_patterns():
    """A proxy matches the patterns that its target matches."""

    def matched(subject):
        match subject:
            case Point(x=5, y=y):
                return "point", y
            case Point(x, 1):
                return "positional", x
            case {"key": value, **rest}:
                return "mapping", value, rest
            case [first, *others]:
                return "sequence", first, others
            case str(text):
                return "text", text == "words"
            case 7:
                return "seven"
        return None

    for target in (
        Point(5, 6), Point(2, 1), {"key": 1, "more": 2}, [1, 2, 3], (4,), Pair(1, 2), "words", 7,
        {8}, collections.OrderedDict(key=1), collections.deque([1]), b"no", Plain(),
    ):  # fmt: skip
        assert matched(wrap(target)) == matched(target), target


def test_classes_as_targets():
    """A proxy of a class makes and checks instances, is subclassed and subscripted as the class."""
    p = wrap(Point)
    assert p(1, 2) == Point(1, 2)
    assert isinstance(Point(1), p)
    assert issubclass(Point, p)
    assert inspect.signature(p) == inspect.signature(Point)

    class Derived(p):
        pass

    assert Derived.__mro__[1] is Point
    assert wrap(list)[int] == list[int]
    assert (wrap(int) | None) == (int | None)
    assert (str | wrap(int)) == (str | int)
    with pytest.raises(TypeError, match="not iterable"):
        iter(wrap(Point))
    assert list(wrap(Colour)) == [Colour.RED]
    assert wrap(Colour)["RED"] is Colour.RED


def test_modules_as_targets():
    """A function of a module is cached, and the rest of the module is at hand."""
    p = wrap(json, cached_methods=["loads"])
    assert p.loads("[1]") is p.loads("[1]")
    assert p.dumps([1]) == "[1]"
    assert p.__name__ == "json"
    assert p.JSONDecodeError is json.JSONDecodeError


def test_mocks_as_targets():
    """A mock counts the calls that reach it: one for each distinct call of a cached method."""
    target = mock.MagicMock()
    target.get.side_effect = str
    p = wrap(target, cached_methods=["get"])
    assert [p.get(1), p.get(1), p.get(2)] == ["1", "1", "2"]
    assert target.get.call_args_list == [mock.call(1), mock.call(2)]
    p.plain(3)
    target.plain.assert_called_once_with(3)
    target.__len__.return_value = 4
    assert len(p) == 4


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


def test_callables():
    """A function or an object that can be called is called through the proxy, and inspected."""

    class Adder:
        def __call__(self, a, b=2):
            return a + b

    class Waiter:
        async def __call__(self, a):
            return a

    def function(a, *, b=2):
        return a + b

    for target in (Adder(), function):
        p = wrap(target)
        assert callable(p)
        assert p(1, b=3) == 4
        assert inspect.signature(p) == inspect.signature(target)
    assert wrap(function).__name__ == "function"
    assert inspect.iscoroutinefunction(wrap(Waiter()).__call__)
    assert asyncio.run(wrap(Waiter())(3)) == 3


def test_special_methods_can_be_cached():
    """A call of the object itself, or an item of it, is remembered where that is declared."""

    class Slow:
        def __init__(self):
            self.calls = 0

        def __call__(self, a):
            self.calls += 1
            return a

        def __getitem__(self, key):
            self.calls += 1
            return key

    target = Slow()
    p = wrap(target, cached_methods=["__call__", "__getitem__"])
    assert [p(1), p(1), p[2], p[2]] == [1, 1, 2, 2]
    assert target.calls == 2


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


def test_weak_references_to_a_proxy():
    """A proxy can be weakly referenced, also where its target cannot."""
    for target in (Plain(), Slotted(), 5):
        p = wrap(target)
        ref = weakref.ref(p)
        assert ref() is p
        del p
        assert ref() is None
