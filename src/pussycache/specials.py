"""The special methods of a stand-in, from one table: what Python asks of a type, not of an object.

Each is made only where the target's type has it, so that `callable`, `isinstance` with an abstract
class and ``in`` say of the proxy what they say of the target. Caching is not this module's concern.
"""

from __future__ import annotations

import collections.abc
import math
import operator
import os
from collections.abc import Callable
from types import FunctionType

from pussycache.declare.parameters import kind_of
from pussycache.types import MISSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

__all__ = ["PATTERNS", "specials", "static"]

# What a function or an operator of Python does with the target in the proxy's place.
_ASKED: Final[dict[str, Callable[..., Any]]] = {
    "__repr__": repr,
    "__str__": str,
    "__bytes__": bytes,
    "__format__": format,
    "__fspath__": os.fspath,
    "__hash__": hash,
    "__bool__": bool,
    "__len__": len,
    "__length_hint__": operator.length_hint,
    "__reversed__": reversed,
    "__next__": next,
    "__anext__": anext,
    "__contains__": operator.contains,
    "__getitem__": operator.getitem,
    "__setitem__": operator.setitem,
    "__delitem__": operator.delitem,
    "__int__": int,
    "__float__": float,
    "__complex__": complex,
    "__index__": operator.index,
    "__neg__": operator.neg,
    "__pos__": operator.pos,
    "__abs__": abs,
    "__invert__": operator.invert,
    "__round__": round,
    "__trunc__": math.trunc,
    "__floor__": math.floor,
    "__ceil__": math.ceil,
    "__instancecheck__": lambda kind, one: isinstance(one, kind),
    "__subclasscheck__": lambda kind, one: issubclass(one, kind),
    "__dir__": dir,
}

_COMPARED: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "__eq__": operator.eq,
    "__ne__": operator.ne,
    "__lt__": operator.lt,
    "__le__": operator.le,
    "__gt__": operator.gt,
    "__ge__": operator.ge,
}

# Operators of two: the plain form, the reflected one and the one in place come together.
_BINARY: Final[dict[str, tuple[Callable[..., Any], Callable[..., Any] | None]]] = {
    "add": (operator.add, operator.iadd),
    "sub": (operator.sub, operator.isub),
    "mul": (operator.mul, operator.imul),
    "matmul": (operator.matmul, operator.imatmul),
    "truediv": (operator.truediv, operator.itruediv),
    "floordiv": (operator.floordiv, operator.ifloordiv),
    "mod": (operator.mod, operator.imod),
    "lshift": (operator.lshift, operator.ilshift),
    "rshift": (operator.rshift, operator.irshift),
    "and": (operator.and_, operator.iand),
    "xor": (operator.xor, operator.ixor),
    "or": (operator.or_, operator.ior),
    "pow": (pow, operator.ipow),
    "divmod": (divmod, None),
}

# Called by name on the target's type.
_CALLED: Final = (
    "__exit__",
    "__aexit__",
    "__await__",
    "__get__",
    "__set__",
    "__delete__",
    "__set_name__",
    "__mro_entries__",
    "__buffer__",
    "__release_buffer__",
)
# The same, but they may return the object itself: whoever enters or iterates over a stand-in goes
# on with the stand-in.
_MAY_RETURN_THE_OBJECT: Final = ("__enter__", "__iter__", "__aiter__")

# Read of a type by the standard library, where the stand-in's type should answer as the target's.
_READ: Final = ("__dataclass_fields__",)


class _LikeASequence:
    __slots__ = ()


class _LikeAMapping:
    __slots__ = ()


collections.abc.Sequence.register(_LikeASequence)
collections.abc.Mapping.register(_LikeAMapping)

PATTERNS: Final = ((1 << 5, _LikeASequence), (1 << 6, _LikeAMapping))
"""What ``match`` goes by: a flag of a type, and a base class that hands the flag on."""


def static(kind: type, name: str) -> Any:
    """Return what a type has under a name, as it is written there; `MISSING` if it has nothing.

    Not `getattr`: that would find what the type of the type has, and every class can be called.
    """
    for base in kind.__mro__:
        if name in base.__dict__:
            return base.__dict__[name]
    return MISSING


def specials(
    kind: type,
    target_of: Callable[[Any], Any],
    bare: Callable[[Any], Any],
    again: Callable[[Any, Any], Any],
    self_calls: bool,
) -> dict[str, Any]:
    """Return the special methods for the stand-in of an object of type ``kind``.

    :param target_of: gives the target of a stand-in.
    :param bare: the same for a stand-in, and anything else as it is.
    :param again: given a stand-in and a new object, returns a stand-in of that.
    :param self_calls: methods written in Python get the stand-in as ``self``.
    """
    own = {name: found for name in _NAMES if (found := static(kind, name)) is not MISSING}
    made: dict[str, Any] = {}
    for name in own:
        if name in _ASKED:
            made[name] = _asking(_ASKED[name], target_of)
        elif name in _COMPARED:
            made[name] = _operating(_COMPARED[name], target_of, bare)
        elif name in _CALLED:
            made[name] = _calling(name, target_of)
        elif name in _MAY_RETURN_THE_OBJECT:
            made[name] = _returning(_calling(name, target_of), target_of)
        elif name in _READ:
            made[name] = property(operator.attrgetter(f"__class__.{name}"))
    if "__aenter__" in own:
        made["__aenter__"] = _entering(_calling("__aenter__", target_of), target_of)
    if "__call__" in own:
        made["__call__"] = _call(own["__call__"], target_of)
    for word, (plain, in_place) in _BINARY.items():
        forward, reflected, changing = f"__{word}__", f"__r{word}__", f"__i{word}__"
        if not own.keys() & {forward, reflected, changing}:
            continue
        made[forward] = _operating(plain, target_of, bare)
        made[reflected] = _reflected(plain, target_of, bare)
        if in_place is not None:
            operate = _operating(in_place, target_of, bare)
            if self_calls:
                ours = [f for f in (own.get(changing), own.get(forward)) if _is_python(f)]
                operate = _first_of(*ours, operate)
            made[changing] = _in_place(operate, target_of, again)
    if issubclass(kind, type):
        made.setdefault("__mro_entries__", lambda proxy, bases: (target_of(proxy),))
        made["__signature__"] = property(lambda proxy: _signature(target_of(proxy)))
        made["__getitem__"] = _asking(operator.getitem, target_of)
        # Having items by number would make it iterable.
        made.setdefault("__iter__", None)
    if self_calls:
        made |= {
            name: found
            for name, found in own.items()
            if _is_python(found) and name not in _CHANGING
        }
    for name, found in own.items():
        if found is None:
            # So a type says "not supported": not hashable, not iterable.
            made[name] = None
        elif _is_python(made[name]) and made[name] is not found:
            _name(made[name], name, found)
    return made


def _signature(kind: Any) -> Any:
    import inspect

    return inspect.signature(kind)


def _is_python(found: object) -> bool:
    return type(found) is FunctionType


def _name(function: FunctionType, name: str, found: Any) -> None:
    function.__name__ = name
    function.__qualname__ = getattr(found, "__qualname__", name)
    function.__doc__ = getattr(found, "__doc__", None)
    function.__annotations__ = {}
    if _is_python(found):
        # For `inspect.signature`, also of a stand-in that can be called.
        function.__wrapped__ = found  # type: ignore[attr-defined]


def _asking(ask: Callable[..., Any], target_of: Callable[[Any], Any]) -> Any:
    return lambda proxy, *args: ask(target_of(proxy), *args)


def _operating(
    operate: Callable[..., Any], target_of: Callable[[Any], Any], bare: Callable[[Any], Any]
) -> Any:
    # Not the method of the target's type: the operator also asks the other side, without us.
    return lambda proxy, *others: operate(target_of(proxy), *map(bare, others))


def _reflected(
    plain: Callable[..., Any], target_of: Callable[[Any], Any], bare: Callable[[Any], Any]
) -> Any:
    return lambda proxy, other, *more: plain(bare(other), target_of(proxy), *map(bare, more))


def _first_of(*functions: Any) -> Any:
    def method(proxy: Any, other: Any) -> Any:
        result: Any = NotImplemented
        for function in functions:
            result = function(proxy, other)
            if result is not NotImplemented:
                break
        return result

    return method


def _in_place(
    operate: Callable[..., Any],
    target_of: Callable[[Any], Any],
    again: Callable[[Any, Any], Any],
) -> Any:
    def method(proxy: Any, other: Any) -> Any:
        result = operate(proxy, other)
        return proxy if result is proxy or result is target_of(proxy) else again(proxy, result)

    return method


def _calling(name: str, target_of: Callable[[Any], Any]) -> Any:
    def method(proxy: Any, /, *args: Any, **kwargs: Any) -> Any:
        target = target_of(proxy)
        return getattr(type(target), name)(target, *args, **kwargs)

    return method


def _returning(calling: Any, target_of: Callable[[Any], Any]) -> Any:
    def method(proxy: Any, /) -> Any:
        result = calling(proxy)
        return proxy if result is target_of(proxy) else result

    return method


def _entering(calling: Any, target_of: Callable[[Any], Any]) -> Any:
    async def method(proxy: Any, /) -> Any:
        result = await calling(proxy)
        return proxy if result is target_of(proxy) else result

    return method


def _call(found: object, target_of: Callable[[Any], Any]) -> Any:
    def method(proxy: Any, /, *args: Any, **kwargs: Any) -> Any:
        return target_of(proxy)(*args, **kwargs)

    async def coroutine(proxy: Any, /, *args: Any, **kwargs: Any) -> Any:
        return await target_of(proxy)(*args, **kwargs)

    return coroutine if kind_of(found) == "coroutine" else method


_CHANGING: Final = tuple([f"__i{word}__" for word, (_, change) in _BINARY.items() if change])
_NAMES: Final = (
    *_ASKED,
    *_COMPARED,
    *_CALLED,
    *_MAY_RETURN_THE_OBJECT,
    *_READ,
    *(f"__{letter}{word}__" for word in _BINARY for letter in ("", "r")),
    *_CHANGING,
    "__aenter__",
    "__call__",
)
