"""Calls that are held before and after the real method, and go on when they are told.

Threads stand for plain methods, tasks for async ones. All waiting is for events, and has an end.
Which call is held where, and when it goes on, is not said here.
"""

from __future__ import annotations

import asyncio
import threading
from _queue import Empty, SimpleQueue
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, Final, Protocol

from pussycache.declare.parameters import Parameter, signature
from pussycache.declare.signatures import Method
from pussycache.testing.calls import MethodCall, Outcome

__all__ = ["Actor", "Hang", "InTask", "InThread", "StandIn", "stand_in"]

PATIENCE: Final = 10.0
"""Seconds after which a call counts as one that never comes back."""


class Hang(Exception):
    """A call did not come back, or did not come to where it was to be held."""


class Actor(Protocol):
    """A call under way that stops at points, and goes on when it is told."""

    async def go_on(self) -> None: ...

    def let_go(self) -> None: ...


_actor: Final[ContextVar[Any]] = ContextVar("pussycache_testing_actor", default=None)


class InThread:
    """A call in a thread of its own."""

    def __init__(self, target: object, call: MethodCall, stops: Sequence[str]) -> None:
        self.name = call.name
        self._call = call
        self._gates = {stop: threading.Event() for stop in stops if stop != "end"}
        self._said: SimpleQueue[str] = SimpleQueue()
        self._at: str | None = None
        self._thread = threading.Thread(target=self._run, args=(target,), daemon=True)

    def _run(self, target: object) -> None:
        _actor.set(self)
        running = Outcome.of(target, self._call)
        try:
            running.send(None)
        except StopIteration:
            pass
        finally:
            running.close()
            self._said.put("end")

    def passes(self, stop: str) -> None:
        gate = self._gates.get(stop)
        if gate is not None and not gate.is_set():
            self._said.put(stop)
            gate.wait()

    async def go_on(self) -> None:
        if self._at == "end":
            return
        if self._at is None:
            self._thread.start()
        else:
            self._gates[self._at].set()
        try:
            self._at = self._said.get(timeout=PATIENCE)
        except Empty:
            raise Hang(f"{self._call} does not come back") from None

    def let_go(self) -> None:
        for gate in self._gates.values():
            gate.set()


class InTask:
    """A call in a task of its own."""

    def __init__(self, target: object, call: MethodCall, stops: Sequence[str]) -> None:
        self.name = call.name
        self._call = call
        self._target = target
        self._gates = {stop: asyncio.Event() for stop in stops if stop != "end"}
        self._said: asyncio.Queue[str] = asyncio.Queue()
        self._at: str | None = None

    async def _run(self) -> None:
        _actor.set(self)
        try:
            await Outcome.of(self._target, self._call)
        finally:
            self._said.put_nowait("end")

    async def passes(self, stop: str) -> None:
        gate = self._gates.get(stop)
        if gate is not None and not gate.is_set():
            self._said.put_nowait(stop)
            await gate.wait()

    async def go_on(self) -> None:
        if self._at == "end":
            return
        if self._at is None:
            self._task = asyncio.create_task(self._run())
        else:
            self._gates[self._at].set()
        try:
            async with asyncio.timeout(PATIENCE):
                self._at = await self._said.get()
        except TimeoutError:
            raise Hang(f"{self._call} does not come back") from None

    def let_go(self) -> None:
        for gate in self._gates.values():
            gate.set()


# What stands between the proxy and the object.


class StandIn:
    """The object, but that its methods tell the actor who calls them when they begin and end."""

    def __init__(self, target: object) -> None:
        self._pussycache_bare = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pussycache_bare, name)


def _function(name: str) -> Callable[..., Any]:
    def function(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        actor = _at_work(name, InThread)
        if actor is not None:
            actor.passes("before")
        try:
            return getattr(self._pussycache_bare, name)(*args, **kwargs)
        finally:
            if actor is not None:
                actor.passes("after")

    return function


def _coroutine(name: str) -> Callable[..., Any]:
    async def coroutine(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        actor = _at_work(name, InTask)
        if actor is not None:
            await actor.passes("before")
        try:
            return await getattr(self._pussycache_bare, name)(*args, **kwargs)
        finally:
            if actor is not None:
                await actor.passes("after")

    return coroutine


def _generator(name: str) -> Callable[..., Any]:
    def generator(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        return (yield from getattr(self._pussycache_bare, name)(*args, **kwargs))

    return generator


def _asyncgen(name: str) -> Callable[..., Any]:
    async def asyncgen(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        async for item in getattr(self._pussycache_bare, name)(*args, **kwargs):
            yield item

    return asyncgen


_KINDS: Final = {
    "function": _function,
    "coroutine": _coroutine,
    "generator": _generator,
    "asyncgen": _asyncgen,
}


def _at_work(name: str, kind: Any) -> Any:
    actor: Any = _actor.get()
    return actor if type(actor) is kind and actor.name == name else None


def stand_in(methods: dict[str, Method]) -> type[StandIn]:
    space: dict[str, Any] = {}
    for name, method in methods.items():
        function: Any = _KINDS[method.kind](name)
        function.__name__ = function.__qualname__ = name
        itself = Parameter("self", Parameter.POSITIONAL_ONLY)
        function.__signature__ = signature([itself, *method.params])
        space[name] = function
    return type("StandIn", (StandIn,), space)
