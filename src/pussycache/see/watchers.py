"""`observe`: an object's stand-in whose methods tell a recorder of their calls, and cache nothing.

It is the proxy of `wrap`, whose class has watchers in the place of methods. What is remembered of a
call is the recorder's business.
"""

from __future__ import annotations

import copy
import functools
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    CoroutineType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    WrapperDescriptorType,
)
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from pussycache.cache.null import NullCache
from pussycache.declare.signatures import find
from pussycache.engine.speed import Coroutine
from pussycache.errors import ConfigurationError
from pussycache.proxy import BaseProxy
from pussycache.see.recorder import Recorder
from pussycache.source import binder, named
from pussycache.specials import static
from pussycache.types import MISSING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pussycache.declare.signatures import Method
    from pussycache.see.recorder import Call, Watch

__all__ = ["observe", "recorder_of"]

T = TypeVar("T")

# Calls that Python writes in another way; of these, the ones that ask or write.
_OPERATORS: Final = ("__call__", "__contains__", "__delitem__", "__getitem__", "__setitem__")
_OF_A_CLASS: Final = (
    *(FunctionType, MethodDescriptorType, WrapperDescriptorType, ClassMethodDescriptorType),
    *(staticmethod, classmethod, functools.partialmethod, functools.singledispatchmethod),
)
_OF_AN_OBJECT: Final = (FunctionType, MethodType, BuiltinFunctionType)
# What a proxy has under these names is not the target's method.
_OURS: Final = frozenset({"cached_methods", "invalidate_methods"})


class Observed(BaseProxy):
    """A stand-in that is observed; a copy, also one out of a pickle, is observed for itself."""

    __slots__ = ()

    _pussycache_recorder: Recorder

    def __copy__(self) -> Any:
        return observe(copy.copy(self._pussycache_target))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return observe(copy.deepcopy(self._pussycache_target, memo))

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return observe, (self._pussycache_target,)


def observe(obj: T) -> T:
    """Return a stand-in for an object that caches nothing and remembers what is worth knowing.

    Use it in the object's place for a while, then ask `advise` what to cache. It behaves as the
    object does, as the proxy of `wrap` would. Of the calls of methods with a public name, figures
    are kept: bounded, whatever the number of calls, and without arguments or results. A call takes
    a few microseconds longer.

    :param obj: any object that has methods. If it is a class, the objects that it makes are
        observed, all together.
    :raises ConfigurationError: for an object without methods, or one that is observed already.

    >>> import pussycache
    >>> users = pussycache.observe({7: "ada"})
    >>> [users.get(7) for _ in range(50)][-1], isinstance(users, dict)
    ('ada', True)
    >>> pussycache.advise(users)["get"].hit_ratio(entries=10)
    0.98
    """
    if recorder_of(obj) is not None:
        raise ConfigurationError(
            "observe was given an object that is observed already; hand it to advise"
        )
    if isinstance(obj, type):
        return cast("T", _class_observed(obj))
    return cast("T", _observed(obj, Recorder(type(obj).__qualname__)))


def recorder_of(observed: object) -> Recorder | None:
    """Return what watches an observed object or class; `None` if nobody does."""
    found = static(type(observed), "_pussycache_recorder")
    return found if isinstance(found, Recorder) else None


def _class_observed(kind: type) -> Any:
    recorder = Recorder(kind.__qualname__)
    # Here, for one that cannot be observed is to be found out at once; methods may come later.
    _space(kind, recorder, None)
    makers: dict[type, Any] = {}
    kept: dict[type, type] = {}

    def made(proxy: Any, /, *args: Any, **kwargs: Any) -> Any:
        one = kind(*args, **kwargs)
        own = type(one)
        if not issubclass(own, kind):
            return one
        observed = _observed(one, recorder, makers.get(own))
        # For the next object; the stand-in's class would be gone with the last one.
        kept[own] = type(observed)
        makers[own] = static(type(observed), "_pussycache_maker")
        return observed

    space = {"__slots__": (), "__call__": made, "_pussycache_recorder": recorder}
    return type("Observed", (Observed,), space)(kind, NullCache())


def _observed(target: Any, recorder: Recorder, maker: Any = None) -> Any:
    try:
        if maker is None:
            maker = type("Observed", (Observed,), _space(type(target), recorder, target))
        return maker(target, NullCache())
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"observe cannot stand for an object of type {type(target).__qualname__} "
            f"({type(error).__name__}: {error}); observe one that is not of a special kind"
        ) from error


def _space(kind: type, recorder: Recorder, target: Any) -> dict[str, Any]:
    """Return the body of the class: a watcher for each method."""
    space: dict[str, Any] = {"__slots__": (), "_pussycache_recorder": recorder}
    found = 0
    for name in _names(kind, target):
        found += 1
        if target is None:
            continue
        try:
            method = find(target, name, "observe")
        except Exception:
            # Nothing that could be called: a property of somebody's own kind, as a rule.
            continue
        space[name] = _watcher(method, recorder)
    if not found:
        raise ConfigurationError(
            f"observe was given an object of type {kind.__qualname__}, which has no methods to "
            "watch; give the object whose methods are called"
        )
    return space


def _names(kind: type, target: Any) -> Iterator[str]:
    own = getattr(target, "__dict__", {})
    for name in sorted({*dir(kind), *own}):
        raw = static(kind, name)
        if name in _OURS or (name.startswith("_") and name not in _OPERATORS):
            continue
        if name in own and not name.startswith("_"):
            if isinstance(own[name], _OF_AN_OBJECT):
                yield name
        elif raw is not MISSING and (isinstance(raw, _OF_A_CLASS) or _is_like_a_function(raw)):
            yield name


def _is_like_a_function(raw: object) -> bool:
    return callable(raw) and hasattr(type(raw), "__get__") and not isinstance(raw, type)


def _watcher(method: Method, recorder: Recorder) -> FunctionType:
    name, begin, end = method.name, recorder.begin, recorder.end
    watch: Watch = recorder.watch(method)
    bind: Callable[..., tuple[Any, ...]] | None = binder(method.params, name)
    if method.kind in ("generator", "asyncgen"):
        # What they return is not looked at: it can be read once.
        bind = None

    async def awaited(call: Call, coroutine: Any) -> Any:
        try:
            result = await coroutine
        except BaseException:
            end(watch, call, failed=True)
            raise
        end(watch, call, result)
        return result

    async def handed_on(call: Call, coroutine: Any) -> Any:
        watch.running.append(None)
        return await awaited(call, coroutine)

    def function(owner: Any, /, *args: Any, **kwargs: Any) -> Any:
        target = owner._pussycache_target
        call = begin(watch, target, bind, args, kwargs)
        try:
            result = getattr(target, name)(*args, **kwargs)
        except BaseException:
            end(watch, call, failed=True)
            raise
        if type(result) in (CoroutineType, Coroutine):
            # A plain function handed on a coroutine: what it does, it does when it is awaited.
            watch.running.pop()
            return handed_on(call, result)
        end(watch, call, result)
        return result

    async def coroutine(owner: Any, /, *args: Any, **kwargs: Any) -> Any:
        target = owner._pussycache_target
        call = begin(watch, target, bind, args, kwargs)
        try:
            awaitable = getattr(target, name)(*args, **kwargs)
        except BaseException:
            # Arguments that do not fit.
            end(watch, call, failed=True)
            raise
        return await awaited(call, awaitable)

    def generator(owner: Any, /, *args: Any, **kwargs: Any) -> Any:
        target = owner._pussycache_target
        call = begin(watch, target, bind, args, kwargs)
        try:
            return (yield from getattr(target, name)(*args, **kwargs))
        finally:
            end(watch, call)

    def asyncgen(owner: Any, /, *args: Any, **kwargs: Any) -> Any:
        target = owner._pussycache_target
        call = begin(watch, target, bind, args, kwargs)
        try:
            return getattr(target, name)(*args, **kwargs)
        finally:
            end(watch, call)

    kinds: dict[str, Any] = {
        "function": function,
        "coroutine": coroutine,
        "generator": generator,
        "asyncgen": asyncgen,
    }
    made: FunctionType = kinds[method.kind]
    for said, value in getattr(method.raw, "__dict__", {}).items():
        # What our decorators put there is not true of this function.
        if not said.startswith("__pussycache"):
            made.__dict__[said] = value
    return named(made, method, first=True)
