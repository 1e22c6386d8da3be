"""Methods taken from a proxy, methods replaced behind it, odd names and odd parameters."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import sys

import pytest

import pussycache
from pussycache import wrap


class Users:
    """A small repository that counts how often it is asked."""

    def __init__(self):
        self.asked = 0
        self.names = {1: "ada", 2: "bob"}

    def get(self, user_id, upper=False):
        """Get a name."""
        self.asked += 1
        name = self.names[user_id]
        return name.upper() if upper else name

    def rename(self, user_id, name):
        self.names[user_id] = name

    async def fetch(self, user_id):
        return self.get(user_id)


DECLARED = {"cached_methods": ["get"], "invalidate_methods": {"rename": ["get"]}}


def test_a_method_taken_from_a_proxy():
    """A cached method taken from a proxy knows its owner, its name and what it stands for."""
    p = wrap(Users(), cached_methods=["get", "fetch"])
    method = p.get
    assert method.__self__ is p
    assert method.__name__ == "get"
    assert method.__qualname__ == "Users.get"
    assert method.__doc__ == "Get a name."
    assert method.__wrapped__ is Users.get
    assert method == p.get
    assert str(inspect.signature(method)) == "(user_id, upper=False)"
    assert inspect.iscoroutinefunction(p.fetch)
    assert not inspect.iscoroutinefunction(method)


def test_a_method_keeps_alive_what_it_needs():
    """A cached method keeps proxy, object and cache alive, and answers when all else is gone."""
    get = wrap(Users(), cached_methods=["get"]).get
    gc.collect()
    assert get(1) == get(user_id=1) == "ada"
    assert get.__self__.asked == 1
    assert len(get.__self__._cache) == 1
    assert asyncio.run(wrap(Users(), cached_methods=["fetch"]).fetch(1)) == "ada"


def test_replacing_a_plain_method():
    """A plain method replaced on the object, its class or through the proxy is called at once."""

    class Greeter:
        def greet(self, name):
            return "hello " + name

    target = Greeter()
    p = wrap(target)
    assert p.greet("ada") == "hello ada"
    Greeter.greet = lambda self, name: "class " + name
    assert p.greet("ada") == "class ada"
    target.greet = lambda name: "object " + name
    assert p.greet("ada") == "object ada"
    p.greet = lambda name: "proxy " + name
    assert p.greet("ada") == target.greet("ada") == "proxy ada"
    del p.greet
    assert p.greet("ada") == "class ada"


@pytest.mark.xfail(
    sys.version_info >= (3, 12),
    reason="a forwarded method has the parameters that its method had when it was wrapped",
)
def test_replacing_a_plain_method_by_one_with_other_parameters():
    """A replacement may take other arguments, or be no method at all."""

    class Greeter:
        def greet(self, name):
            return "hello " + name

    target = Greeter()
    p = wrap(target)
    target.greet = lambda *names, sep="+": sep.join(names)
    assert p.greet("a", "b", sep="-") == "a-b"
    target.greet = lambda: "nobody"
    assert p.greet() == "nobody"
    target.greet = 5
    assert p.greet == 5


def test_replacing_a_cached_method():
    """A replaced cached method is what loads now; replacing it through the proxy also forgets."""
    target = Users()
    p = wrap(target, cached_methods=["get"])
    assert p.get(1) == "ada"
    target.get = lambda user_id, upper=False: "replaced"
    assert p.get(1) == "ada"
    assert p.get(2) == "replaced"
    p.get = lambda user_id, upper=False: "again"
    assert p.get(1) == p.get(2) == target.get(1) == "again"
    del p.get
    assert p.get(1) == "ada"


def test_replacing_an_invalidating_method():
    """A replaced invalidating method is called, and invalidates as before."""
    target = Users()
    p = wrap(target, **DECLARED)
    assert p.get(1) == "ada"
    target.rename = lambda user_id, name: target.names.update({user_id: name + "!"})
    p.rename(1, "eve")
    assert p.get(1) == "eve!"


WEIRD = ["weird name", "a.b", "", "class", "ünïcode", "1st", "print(); x", "__x", "_pc", "self"]


@pytest.mark.parametrize("name", WEIRD)
def test_names_that_are_no_identifiers(name):
    """A method of any name is called and cached, on the object or on its class."""

    class Odd:
        pass

    target = Odd()
    setattr(target, name, lambda a: [a])
    assert getattr(wrap(target), name)(1) == [1]
    p = wrap(target, cached_methods=[name])
    assert getattr(p, name)(1) is getattr(p, name)(1)
    setattr(Odd, name, lambda self, a, b=2: [a, b])
    delattr(target, name)
    assert getattr(wrap(Odd()), name)(1) == [1, 2]
    for declared in ({"cached_methods": [name]}, {"invalidate_methods": {name: ["*"]}}):
        assert getattr(wrap(Odd(), **declared), name)(1, b=3) == [1, 3]


class Evil:
    """A default whose looks are source text, and that cannot be hashed or compared."""

    __hash__ = None

    def __repr__(self):
        return "__import__('os').abort()"

    def __eq__(self, other):
        raise ValueError("do not compare me")


EVIL = Evil()


class Parameters:
    """Methods whose parameters are named as anything that the generated code could name."""

    def ours(_me, self, _pc, _pcself, cls, e, now, floor=1, make=2, method=3):
        return [self, _pc, _pcself, cls, e, now, floor, make, method]

    def own(_me, _pce, _pct, _pcv=1, _pcd_a=2, a=3, _pc__=4, answer=5, drive=6, nil=7):
        return [_pce, _pct, _pcv, _pcd_a, a, _pc__, answer, drive, nil]

    def keyword_only(self, a, *, b, c=3):
        return [a, b, c]

    def positional_only(self, a, b=2, /, c=3):
        return [a, b, c]

    def variadic(self, a=1, *args, b=2, **kwargs):
        return [a, args, b, kwargs]

    def mutable(self, a, b=[], c={}):  # noqa: B006
        return [a, b, c]

    def evil(self, a, b=EVIL):
        return [a, b is EVIL]

    def shadowed(self, a, /, **a_and_more):
        return [a, a_and_more]


CALLS = [
    ("ours", (1, 2, 3, 4, 5, 6), {"method": 9}),
    ("ours", (1, 2, 3), {"e": 5, "now": 6, "cls": 4}),
    ("own", (1, 2), {"a": 5, "nil": 8}),
    ("keyword_only", (1,), {"b": 2}),
    ("keyword_only", (), {"a": 1, "b": 2, "c": 4}),
    ("positional_only", (1,), {}),
    ("positional_only", (1, 5), {"c": 6}),
    ("variadic", (), {}),
    ("variadic", (1, 2, 3), {"b": 4, "self": 5, "_pc": 6}),
    ("mutable", (1,), {}),
    ("mutable", (1, [2]), {"c": {3: 4}}),
    ("shadowed", (1,), {"a": 2, "self": 3}),
]


@pytest.mark.parametrize(("name", "args", "kwargs"), CALLS)
def test_parameters_of_every_kind(name, args, kwargs):
    """Plain, cached and invalidating methods take any parameters, as the target's method does."""
    target = Parameters()
    if "self" in kwargs and name != "ours":
        kwargs = {k: v for k, v in kwargs.items() if k != "self"}
    expected = getattr(target, name)(*args, **kwargs)
    assert getattr(wrap(target), name)(*args, **kwargs) == expected
    writing = wrap(target, invalidate_methods={name: ["*"]})
    assert getattr(writing, name)(*args, **kwargs) == expected
    for self_calls in (False, True):
        p = wrap(target, cached_methods=[name], self_calls=self_calls)
        method = getattr(p, name)
        assert method(*args, **kwargs) == expected
        assert method(*args, **kwargs) is method(*args, **kwargs)
        assert inspect.signature(method) == inspect.signature(getattr(target, name))


def test_defaults_are_objects():
    """A default never becomes source text, and a call with it works though it cannot be a key."""
    assert wrap(Parameters()).evil(1) == [1, True]
    with pytest.warns(pussycache.UncacheableCallWarning):
        assert wrap(Parameters(), cached_methods=["evil"]).evil(1) == [1, True]


def test_wrong_calls_are_type_errors():
    """A call that the method would refuse is refused, and nothing is stored for it."""
    p = wrap(Users(), **DECLARED)
    for wrong in (lambda: p.get(), lambda: p.get(1, 2, 3), lambda: p.get(1, nothing=2)):
        with pytest.raises(TypeError, match=r"get\(\)"):
            wrong()
    with pytest.raises(TypeError, match=r"rename\(\)"):
        p.rename()
    assert len(p._cache) == 0


class Shown:
    """A class whose methods are made by what functools has."""

    @functools.singledispatchmethod
    def show(self, value, *, width=1):
        return f"{value!r:>{width}}"

    @show.register
    def _(self, value: int, *, width=1):
        return f"{value:0{width}}"

    @functools.singledispatchmethod
    @classmethod
    def of(cls, value):
        return cls, value

    @functools.singledispatchmethod
    @staticmethod
    def alone(value):
        return value

    def pair(self, one, other):
        return one, other

    first = functools.partialmethod(pair, "a")


@pytest.mark.parametrize(
    ("name", "arguments", "returned"),
    [
        ("show", (7,), "7"),
        ("show", ("a",), "'a'"),
        ("of", (1,), (Shown, 1)),
        ("alone", (1,), 1),
        ("first", ("b",), ("a", "b")),
    ],
)
def test_methods_that_functools_makes(name, arguments, returned):
    """A method that is bound in another way than a function takes what it takes without a proxy."""
    p = wrap(Shown(), cached_methods=[name])
    for _ in range(2):
        assert getattr(p, name)(*arguments) == returned
    assert pussycache.info(p).hits == 1
    assert wrap(Shown(), cached_methods=["show"]).show(7, width=2) == "07"
