"""The calls that a user gives to an instrument, and what one call of a method comes to.

What objects are called, in which order, and what is made of the outcomes is not said here.
"""

from __future__ import annotations

import copy
import inspect
import itertools
import reprlib
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar

from pussycache.declare.parameters import signature
from pussycache.declare.signatures import Method, find
from pussycache.errors import ConfigurationError

__all__ = [
    "Calls",
    "MethodCall",
    "Outcome",
    "checked",
    "drive",
    "made",
    "needs_loop",
    "parsed",
    "shown",
]

T = TypeVar("T")
R = TypeVar("R")

Calls: TypeAlias = "Iterable[str | tuple[Any, ...] | Callable[[T], object]]"
"""``"list_users"``, ``("get_user", 7)`` or ``lambda users: users.get_user(7)``."""

_FORMS: Final = "write ('get_user', 7), or lambda obj: obj.get_user(7), also for an async method"
_MOST_ITEMS: Final = 1000

_short: Final = reprlib.Repr()
_short.maxstring = _short.maxother = 60
_short.maxlist = _short.maxdict = _short.maxtuple = _short.maxset = 8
_short.maxlevel = 4


def shown(value: object) -> str:
    """Return a value as a text of a bearable length."""
    return _short.repr(value)


@dataclass(frozen=True)
class MethodCall:
    """One call of a method by its name: ``str(call)`` reads as it would in a program."""

    name: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    # What it was made by: a call that gets its arguments anew each time cannot have them changed.
    _again: Callable[[], tuple[tuple[Any, ...], dict[str, Any]]] | None = field(
        default=None, repr=False, compare=False
    )

    def __str__(self) -> str:
        parts = [shown(value) for value in self.args]
        parts += [f"{name}={shown(value)}" for name, value in self.kwargs.items()]
        return f"{self.name}({', '.join(parts)})"

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments for one run: a method may change the lists that it is given."""
        if self._again is not None:
            return self._again()
        return tuple([_fresh(value) for value in self.args]), dict(self.kwargs)


def _fresh(value: Any) -> Any:
    # Containers only: other objects may be told from their copies.
    if type(value) in (list, tuple, set):
        return type(value)([_fresh(item) for item in value])
    if type(value) is dict:
        return {key: _fresh(item) for key, item in value.items()}
    return copy.copy(value) if type(value) is bytearray else value


def parsed(calls: Calls[Any]) -> tuple[MethodCall, ...]:
    """Return the calls that a user gave, in any of their forms."""
    if isinstance(calls, (str, bytes)) or not isinstance(calls, Iterable):
        raise ConfigurationError(f"calls must be a list of calls, not {calls!r}; {_FORMS}")
    found = tuple([_parsed(said, f"calls[{place}]") for place, said in enumerate(calls)])
    if not found:
        raise ConfigurationError(f"calls is empty, so nothing would be tried; {_FORMS}")
    return found


def _parsed(said: Any, where: str) -> MethodCall:
    if isinstance(said, str):
        return MethodCall(said)
    if isinstance(said, tuple) and said and isinstance(said[0], str):
        return MethodCall(said[0], said[1:])
    if isinstance(said, tuple) or not callable(said):
        raise ConfigurationError(f"{where} must be a call of one method, not {said!r}; {_FORMS}")
    name, args, kwargs = _recorded(said, where)
    return MethodCall(name, args, kwargs, lambda: _recorded(said, where)[1:])


class _Recorder:
    """Stands for the object while a callable says which method it calls, and with what."""

    def __init__(self, heard: list[tuple[str, tuple[Any, ...], dict[str, Any]]]) -> None:
        self._heard = heard

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **kwargs: self._heard.append((name, args, kwargs))


def _recorded(said: Callable[[Any], object], where: str) -> tuple[str, Any, dict[str, Any]]:
    heard: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
    did = "made none"
    try:
        answer = said(_Recorder(heard))
        if inspect.iscoroutine(answer):
            answer.close()
            heard.clear()
            did = "is a coroutine function"
    except Exception as error:
        heard.clear()
        did = f"raised {error!r}"
    if len(heard) > 1:
        did = f"made {len(heard)}"
    if len(heard) != 1:
        raise ConfigurationError(
            f"{where} must make one call of one method and nothing else, but it {did}; {_FORMS}"
        )
    return heard[0]


def checked(calls: Iterable[MethodCall], example: object) -> dict[str, Method]:
    """Return the methods that are called, or say which call does not fit the object."""
    methods: dict[str, Method] = {}
    for call in calls:
        method = methods.get(call.name)
        if method is None:
            method = methods[call.name] = find(example, call.name, "calls")
        try:
            signature(method.params).bind(*call.args, **call.kwargs)
        except TypeError as problem:
            wanted = ", ".join(map(str, signature(method.params).parameters.values()))
            raise ConfigurationError(
                f"calls holds {call}, which does not fit {call.name}({wanted}): {problem}"
            ) from None
    return methods


def made(make_object: Callable[[], T]) -> tuple[T, T]:
    """Return two objects of the user's factory, having seen that it makes a new one each time."""
    if not callable(make_object):
        raise ConfigurationError(
            f"make_object must be a function that makes the object, not {make_object!r}; "
            "write lambda: Users()"
        )
    first, second = make_object(), make_object()
    if inspect.isawaitable(first):
        for one in (first, second):
            if inspect.iscoroutine(one):
                one.close()
        raise ConfigurationError("make_object must return the object itself, not an awaitable")
    if first is second:
        raise ConfigurationError(
            "make_object returned the same object twice, so one run would see what another did; "
            "it must return a new object each time, such as lambda: Users()"
        )
    return first, second


def needs_loop(methods: Iterable[Method]) -> bool:
    """Whether calls of these methods must be awaited in an event loop."""
    return any(method.kind in ("coroutine", "asyncgen") for method in methods)


@dataclass(frozen=True)
class Outcome:
    """What a call came to: a value, or an exception that it raised."""

    value: Any = None
    error: Exception | None = None

    def __str__(self) -> str:
        if self.error is None:
            return shown(self.value)
        return f"{type(self.error).__qualname__}: {self.error}"

    @classmethod
    async def of(cls, target: object, call: MethodCall) -> Outcome:
        """Make the call, and wait for or read out what it returned."""
        args, kwargs = call.arguments()
        try:
            answer: Any = getattr(target, call.name)(*args, **kwargs)
            if inspect.isawaitable(answer):
                answer = await answer
            if hasattr(type(answer), "__anext__"):
                answer = [item async for item in answer]
            elif hasattr(type(answer), "__next__"):
                # An iterator may have no end.
                answer = list(itertools.islice(answer, _MOST_ITEMS))
        except Exception as error:
            return cls(error=error)
        return cls(answer)


def drive(main: Coroutine[Any, Any, R], in_loop: bool) -> R:
    """Run a coroutine to its end: in an event loop of its own, or without any.

    Without one, the methods that are called are those of a program that has none.
    """
    if not in_loop:
        try:
            main.send(None)
        except StopIteration as end:
            answer: R = end.value
            return answer
        main.close()
        raise ConfigurationError(
            "calls holds a plain method whose result waits for an event loop; make it an async "
            "method, or leave it out"
        )
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        runs = False
    else:
        runs = True
    if not runs:
        return asyncio.run(main)
    # A test that is itself a coroutine: a loop does not run inside another one.
    with ThreadPoolExecutor(1) as other:
        return other.submit(asyncio.run, main).result()
