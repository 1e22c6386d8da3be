"""The functions that stand for invalidating methods, of every kind of function there is.

Which fences a write raises, and when, is said in engine/writes.py; what it makes wrong, elsewhere.
"""

from __future__ import annotations

import sys
import weakref
from types import CoroutineType

from pussycache.declare.keys import ATOMS
from pussycache.engine.speed import Coroutine
from pussycache.engine.writes import Write
from pussycache.source import binder, named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FunctionType
    from typing import Any

    from pussycache.declare.signatures import Method
    from pussycache.engine.writes import Effect

__all__ = ["Writing", "writer"]


class Writing:
    """What stands behind an invalidating function."""

    __slots__ = ("effects", "method")

    def __init__(self, method: Method, effects: Callable[[Any], Sequence[Effect]]) -> None:
        self.method = method
        self.effects = effects


def writer(
    method: Method,
    effects: Callable[[Any], Sequence[Effect]],
    call: Callable[[Any], Callable[..., Any]],
    first: bool = True,
) -> FunctionType:
    """Return the function that stands for an invalidating method.

    :param effects: gives, for the owner, what a write makes wrong.
    :param call: gives, for the owner, the bare method.
    """
    bind = binder(method.params, method.name)
    names = tuple(method.positions)
    label = method.label

    def write_of(owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Write:
        try:
            arguments = dict(zip(names, bind(*args, **kwargs), strict=True))
        except TypeError:
            # The method will say what is wrong with the call.
            return Write(method.name, effects(owner), None, label)
        return Write(method.name, effects(owner), arguments, label)

    async def awaited(owner: Any, args: Any, kwargs: Any, coroutine: Any) -> Any:
        # A plain function handed on a coroutine: what it does, it does when it is awaited.
        write = write_of(owner, args, kwargs)
        try:
            await write.abegin(inside=True)
        except BaseException:
            # It is not awaited, and not to be warned about.
            getattr(coroutine, "close", bool)()
            raise
        try:
            result = await coroutine
        except BaseException:
            await write.aend()
            raise
        await write.aend(result)
        return result

    def function(owner: Any, /, *args: Any, **kwargs: Any) -> Any:
        write = write_of(owner, args, kwargs)
        write.begin(inside=True)
        try:
            result = call(owner)(*args, **kwargs)
        except BaseException:
            write.end()
            raise
        write.end(result)
        if type(result) in ATOMS:
            return result
        if type(result) in (CoroutineType, Coroutine):
            return awaited(owner, args, kwargs, result)
        if hasattr(type(result), "add_done_callback"):
            # A task or a future: what it does, it does until it is done.
            later = write_of(owner, args, kwargs)
            later.begin()
            result.add_done_callback(lambda done: later.end())
            # One that is dropped unfinished is never done.
            weakref.finalize(result, later.end).atexit = False
        elif (entered := generator_of(result)) is not None:
            # Used as a decorator, it is made anew for each call, from its function.
            bare = result.func
            result.func = lambda *a, **k: entered(owner, args, kwargs, bare(*a, **k))
            result.gen = entered(owner, args, kwargs, result.gen)
        return result

    async def coroutine(owner: Any, /, *args: Any, **kwargs: Any) -> Any:
        return await awaited(owner, args, kwargs, call(owner)(*args, **kwargs))

    def generator(owner: Any, /, *args: Any, **kwargs: Any) -> Any:
        return (yield from yielded(owner, args, kwargs, call(owner)(*args, **kwargs)))

    def asyncgen(owner: Any, /, *args: Any, **kwargs: Any) -> Any:
        return yielded_async(owner, args, kwargs, call(owner)(*args, **kwargs))

    def yielded(owner: Any, args: Any, kwargs: Any, items: Any) -> Any:
        write = write_of(owner, args, kwargs)
        write.begin()
        try:
            return (yield from items)
        finally:
            write.end()

    async def yielded_async(owner: Any, args: Any, kwargs: Any, items: Any) -> Any:
        write = write_of(owner, args, kwargs)
        await write.abegin()
        try:
            step = items.asend(None)
            while True:
                try:
                    item = await step
                except StopAsyncIteration:
                    return
                try:
                    step = items.asend((yield item))
                except GeneratorExit:
                    await items.aclose()
                    raise
                except BaseException as error:
                    step = items.athrow(error)
        finally:
            await write.aend()

    def generator_of(result: Any) -> Any:
        # What contextlib's decorators make: what it does, it does while it is entered.
        contexts: Any = sys.modules.get("contextlib")
        if contexts is None or not isinstance(result, contexts._GeneratorContextManagerBase):
            return None
        return yielded_async if hasattr(result.gen, "asend") else yielded

    kinds: dict[str, Any] = {
        "function": function,
        "coroutine": coroutine,
        "generator": generator,
        "asyncgen": asyncgen,
    }
    made: FunctionType = kinds[method.kind]
    if not first:
        made = _ownerless(made, method.kind)
    made.__pussycache_writes__ = Writing(method, effects)  # type: ignore[attr-defined]
    return named(made, method, first)


def _ownerless(inner: Any, kind: str) -> FunctionType:
    def function(*args: Any, **kwargs: Any) -> Any:
        return inner(None, *args, **kwargs)

    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        return await inner(None, *args, **kwargs)

    kinds: dict[str, Any] = {"coroutine": coroutine}
    made: FunctionType = kinds.get(kind, function)
    return made
