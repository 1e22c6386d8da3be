"""Operators, conversions, iteration and ``with`` on a proxy do what they do on the target."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import copy
import datetime
import decimal
import math
import operator
import os
import pathlib
import sys

import pytest

from pussycache import wrap
from pussycache.proxy import BaseProxy


class Money:
    """Works with money and whole numbers, and not with anything else."""

    def __init__(self, amount):
        self.amount = amount

    def __eq__(self, other):
        return type(other) is Money and self.amount == other.amount

    def __hash__(self):
        return hash(self.amount)

    def __add__(self, other):
        if isinstance(other, int):
            return Money(self.amount + other)
        if type(other) is not Money:
            raise TypeError(f"no money: {type(other)}")
        return Money(self.amount + other.amount)

    __radd__ = __add__

    def __matmul__(self, other):
        return "matmul", other

    def __rmatmul__(self, other):
        return "rmatmul", other

    def doubled(self):
        return self.amount * 2


class Bag:
    """Is changed in place."""

    def __init__(self):
        self.items = []

    def __iadd__(self, item):
        self.items.append(item)
        return self

    def size(self):
        return len(self.items)


BINARY = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
    operator.pow, operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift,
    operator.matmul, operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge,
    divmod, math.gcd,
]  # fmt: skip
PAIRS = [
    (7, 2), (7, 2.5), (7.5, 2), (2, 3j), (True, 3), ([1, 2], [3]), ([1, 2], 2), (2, [1]),
    ((1,), (2,)), ("ab", 1), ("%s", 5), ({1, 2}, {2}), ({"a": 1}, {"b": 2}),
    (decimal.Decimal("1.5"), 2), (datetime.date(2024, 1, 1), datetime.timedelta(1)),
    (datetime.timedelta(4), 2), (collections.Counter("ab"), collections.Counter("b")), ({1: 2}, 1),
    (Money(3), 4), (4, Money(3)), (Money(3), "x"), (None, 1), (object(), object()),
]  # fmt: skip


def outcome(operate, *operands):
    try:
        result = operate(*operands)
    except Exception as error:
        return type(error)
    return type(result), result


@pytest.mark.parametrize("operate", BINARY, ids=lambda operate: operate.__name__)
def test_binary_operators(operate):
    """With a proxy on the left, the right or both sides, an operator gives the same result."""
    for left, right in PAIRS:
        expected = outcome(operate, left, right)
        for operands in ((wrap(left), right), (left, wrap(right)), (wrap(left), wrap(right))):
            assert outcome(operate, *operands) == expected, (left, right, operands)


UNARY = [
    operator.neg, operator.pos, operator.abs, operator.invert, operator.not_, operator.index, len,
    bool, float, complex, bytes, list, hash, str, repr, reversed, math.floor, math.ceil, math.trunc,
    round, iter, next, os.fspath, hex, operator.length_hint, format, sum, max,
]  # fmt: skip
SINGLE = [
    7, -7.6, 1 + 2j, True, decimal.Decimal("2.5"), [3, 1], (1, 2), {2, 3}, {"a": 1}, "text", b"by",
    range(4), collections.deque([1]), pathlib.PurePath("a/b"), None, Money(3), Bag(), [], 0, "",
]  # fmt: skip


@pytest.mark.parametrize("operate", UNARY, ids=lambda operate: operate.__name__)
def test_conversions(operate):
    """What a function of Python makes of a proxy is what it makes of the target."""

    def shown(one):
        result = outcome(operate, one)
        return list(result[1]) if operate in (reversed, iter) and type(result) is tuple else result

    for target in SINGLE:
        if isinstance(target, (str, bytes)) and operate in (float, complex, bytes, os.fspath):
            continue  # these take a string, and nothing in its place
        assert shown(wrap(target)) == shown(target), target


def test_conversions_with_arguments():
    """Arguments of a conversion are passed on."""
    assert round(wrap(2.567), 1) == 2.6
    assert format(wrap(2.5), ".2f") == f"{wrap(2.5):.2f}" == "2.50"
    assert pow(wrap(7), 2, 5) == pow(wrap(7), wrap(2), wrap(5)) == 4
    assert int(wrap(7.9)) == 7
    assert [10, 20, 30][wrap(1)] == 20
    assert "abc"[wrap(1) :] == "bc"
    assert "%d %s" % (wrap(3), wrap("x")) == "3 x"  # noqa: UP031
    if sys.version_info >= (3, 12):
        assert bytes(memoryview(wrap(b"ab"))) == b"ab"


def test_operands_that_refuse_strangers():
    """An operator that raises for what is not of its own type gets the objects behind proxies."""
    assert wrap(Money(3)) + wrap(Money(4)) == Money(7)
    assert wrap(Money(3)) + Money(4) == Money(7)
    assert wrap("a") + wrap("b") == "a" + wrap("b") == "ab"


def test_operands_of_a_subclass_go_first():
    """Between two proxies, the right one's reflected operator has the precedence it should have."""

    class Base:
        def __add__(self, other):
            return "base"

    class Derived(Base):
        def __radd__(self, other):
            return "derived"

    assert wrap(Base()) + wrap(Derived()) == Base() + Derived() == "derived"


IN_PLACE = [
    (5, operator.iadd, 2),
    (5, operator.ipow, 2),
    (5.0, operator.itruediv, 2),
    ("a", operator.iadd, "b"),
    ((1,), operator.iadd, (2,)),
    (frozenset({1}), operator.ior, {2}),
    ([1], operator.iadd, [2]),
    ([1], operator.imul, 2),
    ({1}, operator.ior, {2}),
    ({"a": 1}, operator.ior, {"b": 2}),
    (collections.deque([1]), operator.iadd, [2]),
    (Money(1), operator.iadd, 2),
]


@pytest.mark.parametrize(
    ("target", "operate", "other"), IN_PLACE, ids=lambda part: getattr(part, "__name__", None)
)
def test_in_place_operators(target, operate, other):
    """An in-place operator changes the target, or gives a proxy of the new object."""
    for operand in (other, wrap(other)):
        plain, under = copy.copy(target), copy.copy(target)
        p = wrap(under)
        expected, result = operate(plain, other), operate(p, operand)
        assert result == expected
        assert issubclass(type(result), BaseProxy)
        assert (result is p) == (expected is plain)
        assert under == plain


def test_rebinding_keeps_the_declarations():
    """After ``p += x`` the new proxy caches and invalidates as the old one, in the same cache."""
    p = before = wrap(Money(3), cached_methods={"doubled": 60})
    p += 4
    assert p.doubled() == 14
    assert p._cache is before._cache
    assert len(p._cache) == 1
    assert before.doubled() == 6


def test_rebinding_to_another_kind():
    """An operator that gives an object without the declared methods gives a proxy all the same."""

    class Whole(int):
        def tripled(self):
            return self * 3

        def reset(self):
            pass

    p = wrap(Whole(2), cached_methods=["tripled"], invalidate_methods={"reset": ["tripled"]})
    p += 1.5
    assert p == 3.5
    assert issubclass(type(p), BaseProxy)

    class Declared(BaseProxy):
        cached_methods = ["tripled"]

    p = Declared(Whole(2))
    p *= 2
    assert p == 4


@pytest.mark.parametrize("self_calls", [False, True], ids=["", "self_calls"])
def test_changing_in_place(self_calls):
    """An object that changes itself in place stays behind the same proxy."""
    bag = Bag()
    p = before = wrap(bag, self_calls=self_calls)
    p += 1
    assert p is before
    assert bag.items == [1]
    money = wrap(Money(1), cached_methods=["doubled"], self_calls=self_calls)
    money += 2
    assert issubclass(type(money), BaseProxy)
    assert money.doubled() == 6


def test_items():
    """Items are read, set, deleted and looked for in the target."""
    target = {"a": 1}
    p = wrap(target)
    p["b"] = 2
    del p["a"]
    assert target == {"b": 2}
    assert p["b"] == 2
    assert "b" in p
    assert "a" not in p
    assert {**p} == dict(p) == {"b": 2}
    numbers = wrap([1, 2, 3])
    numbers[1:] = [5]
    assert (numbers[-1], list(reversed(numbers))) == (5, [5, 1])
    first, *_ = numbers
    assert first == 1
    with pytest.raises(KeyError):
        p["nothing"]


def test_iteration():
    """An iterator is its own iterator through the proxy, too, and is used up in step."""
    target = iter([1, 2, 3])
    p = wrap(target)
    assert iter(p) is p
    assert next(p) == 1
    assert list(p) == [2, 3]
    assert next(target, "end") == "end"

    def generate():
        got = yield 1
        yield got

    generator = wrap(generate())
    assert (next(generator), generator.send("sent")) == (1, "sent")
    with pytest.raises(StopIteration):
        next(generator)

    class ByNumber:
        def __getitem__(self, index):
            return [4, 5][index]

    assert list(wrap(ByNumber())) == [4, 5]
    assert 5 in wrap(ByNumber())


def test_asynchronous_protocols():
    """``await``, ``async for`` and ``async with`` work on a proxy."""

    class Session:
        def __init__(self):
            self.steps = []

        async def __aenter__(self):
            self.steps.append("in")
            return self

        async def __aexit__(self, *error):
            self.steps.append(error[0])
            return True

        def __aiter__(self):
            self.left = 2
            return self

        async def __anext__(self):
            self.left -= 1
            if self.left < 0:
                raise StopAsyncIteration
            return self.left

        def __await__(self):
            yield from asyncio.sleep(0).__await__()
            return "awaited"

    async def use(p):
        assert await p == "awaited"
        assert [item async for item in p] == [1, 0]
        assert aiter(p) is p
        async with p as entered:
            assert entered is p
            raise ValueError
        return p.steps

    assert asyncio.run(use(wrap(Session()))) == ["in", ValueError]

    async def answer():
        return 42

    async def main():
        return await wrap(answer())

    assert asyncio.run(main()) == 42


def test_context_managers():
    """``with`` gives the proxy where the object enters as itself, else what the object gives."""

    class Connection:
        open = False

        def __enter__(self):
            self.open = True
            return self

        def __exit__(self, *error):
            self.open = False
            return error[0] is KeyError

    target = Connection()
    p = wrap(target)
    with p as entered:
        assert entered is p
        assert target.open
        raise KeyError
    assert not target.open
    with contextlib.ExitStack() as stack:
        assert stack.enter_context(p) is p
    with wrap(contextlib.nullcontext("value")) as entered:
        assert entered == "value"
    with pytest.raises(ValueError, match="through"), p:
        raise ValueError("through")


def test_descriptors():
    """A descriptor behind a proxy works in a class, and is told its name."""

    class Field:
        def __set_name__(self, owner, name):
            self.name = name

        def __get__(self, instance, owner=None):
            return self if instance is None else instance.__dict__[self.name]

        def __set__(self, instance, value):
            instance.__dict__[self.name] = value

    class Form:
        field = wrap(Field())

    form = Form()
    form.field = 3
    assert form.field == 3
    assert vars(form) == {"field": 3}
