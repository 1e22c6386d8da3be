"""That a plain function is read as `inspect` reads it, without `inspect`."""

import functools
import inspect
import types
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import pussycache
from pussycache.declare.parameters import LAZY, Parameter, kind_of, parameters, signature


def nothing() -> None: ...
def plain(a: int, b: "str", c: float) -> str: ...  # type: ignore[empty-body]
def defaults(a, b=1, c=None): ...  # type: ignore[no-untyped-def]
def positional(a, b=2, /, c=3): ...  # type: ignore[no-untyped-def]
def by_name(a, *, b, c=3, d): ...  # type: ignore[no-untyped-def]
def collecting(*args: int, **kwargs: str) -> None: ...
def all_kinds(a, /, b, c=3, *args, d, e=5, **kwargs): ...  # type: ignore[no-untyped-def]


def with_locals(a: int, *args: int, b: int = 2) -> int:
    total = a + b
    for one in args:
        total += one
    return total


async def coroutine(a: int = 1) -> int:
    return a


def generator(a: int) -> Iterator[int]:
    yield a


async def asyncgen(a: int) -> AsyncIterator[int]:
    yield a


@types.coroutine
def old_coroutine(a: int) -> Iterator[int]:
    yield a


@functools.wraps(plain)
def wrapping(*args: Any, **kwargs: Any) -> None: ...


def signed(*args: Any) -> None: ...


signed.__signature__ = inspect.signature(plain)  # type: ignore[attr-defined]


class Users:
    def method(self, a: int, b: str = "x") -> None: ...
    def collecting(*args: Any) -> None: ...  # type: ignore[misc]
    def __private(self, __a: int) -> None: ...

    @classmethod
    def of_class(cls, a: int) -> None: ...

    @staticmethod
    def static(a: int) -> None: ...

    async def awaited(self, a: int) -> None: ...
    def __call__(self, a: int) -> None: ...


users = Users()
FUNCTIONS: list[Callable[..., Any]] = [
    *(nothing, plain, defaults, positional, by_name, collecting, all_kinds, with_locals),
    *(coroutine, generator, asyncgen, old_coroutine, wrapping, signed, lambda a, b=1: a),
    *(Users.method, users.method, users.collecting, users.of_class, users.static, users.awaited),
    *(users._Users__private, users, Users, len, {}.get),  # type: ignore[attr-defined]
    *(functools.partial(plain, 1), functools.partial(coroutine, a=2)),
]


NAMES = [getattr(one, "__qualname__", type(one).__qualname__) for one in FUNCTIONS]
of_all = pytest.mark.parametrize(
    "function", FUNCTIONS, ids=[f"{i}-{name}" for i, name in enumerate(NAMES)]
)


@of_all
def test_parameters_are_what_inspect_says(function: Callable[..., Any]) -> None:
    """Names, kinds, defaults and annotations of any callable are those that `inspect` tells."""
    wanted = inspect.signature(function).parameters
    found = parameters(function)
    assert [p.name for p in found] == list(wanted)
    assert signature(found).parameters == wanted


@of_all
def test_kinds_are_what_inspect_says(function: Callable[..., Any]) -> None:
    """A coroutine function and a generator function are known as `inspect` knows them."""
    asked = {
        "coroutine": inspect.iscoroutinefunction,
        "asyncgen": inspect.isasyncgenfunction,
        "generator": inspect.isgeneratorfunction,
    }
    wanted = next((kind for kind, is_one in asked.items() if is_one(function)), "function")
    assert kind_of(function) == wanted


def test_the_numbers_are_those_of_inspect() -> None:
    """Kinds of parameters and flags of code have the numbers that `inspect` gives them."""
    for name in ("POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD", "VAR_POSITIONAL", "KEYWORD_ONLY"):
        assert getattr(Parameter, name) == getattr(inspect.Parameter, name)
    assert Parameter.VAR_KEYWORD == inspect.Parameter.VAR_KEYWORD
    flags = ("CO_GENERATOR", "CO_COROUTINE", "CO_ITERABLE_COROUTINE", "CO_ASYNC_GENERATOR")
    assert sum(getattr(inspect, flag) for flag in flags) == LAZY


@pytest.mark.parametrize("name", ["a; b", "class", ".0"])
def test_a_name_that_is_none_is_left_to_inspect(name: str) -> None:
    """A forged code object brings no name into source text that is no identifier."""
    code = plain.__code__.replace(co_varnames=(name, "b", "c"))
    forged = types.FunctionType(code, {})
    try:
        wanted = [p.name for p in inspect.signature(forged).parameters.values()]
    except ValueError:
        with pytest.raises(ValueError, match="not a valid parameter name"):
            parameters(forged)
    else:
        assert [p.name for p in parameters(forged)] == wanted


class Looked:
    def get(self, user_id: int, *, deep: "bool" = False) -> str:
        return f"{user_id}, {deep}"

    def rename(self, user_id: int, name: str = "ada") -> None: ...


@pytest.mark.parametrize("name", ["get", "rename"])
def test_a_proxys_method_has_the_methods_signature(name: str) -> None:
    """`inspect.signature` says of a proxy's method what it says of the method itself."""
    proxy = pussycache.wrap(
        Looked(), cached_methods=["get"], invalidate_methods={"rename": ["get"]}
    )
    wanted = inspect.signature(getattr(Looked(), name))
    assert inspect.signature(getattr(proxy, name)) == wanted
    own = inspect.signature(getattr(type(proxy), name))
    assert own == inspect.signature(getattr(Looked, name))


def test_a_function_of_an_object_has_its_own_signature() -> None:
    """A plain function in an object's dictionary, which takes no self, is shown as it is."""

    class Holder:
        pass

    holder: Any = Holder()
    holder.plain = plain
    proxy = pussycache.wrap(holder, cached_methods=["plain"])
    assert inspect.signature(proxy.plain) == inspect.signature(plain)
