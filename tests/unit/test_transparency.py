"""A proxy looks and behaves as its target, whatever kind of object that is."""

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

from pussycache import MemoryCache, wrap


class Plain:
    """A class like any other."""

    number = 5

    def add(self, more, times=1):
        return self.number + more * times

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


def test_weak_references_to_a_proxy():
    """A proxy can be weakly referenced, also where its target cannot."""
    for target in (Plain(), Slotted(), 5):
        p = wrap(target)
        ref = weakref.ref(p)
        assert ref() is p
        del p
        assert ref() is None
