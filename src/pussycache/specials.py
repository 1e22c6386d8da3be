"""The special methods of a stand-in, from one table: what Python asks of a type, not of an object.

Each is made only where the target's type has it, so that `callable`, `isinstance` with an abstract
class and ``in`` say of the proxy what they say of the target. Caching is not this module's concern.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable
from types import FunctionType
from typing import Any, Final

__all__ = ["specials"]

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
    "__iter__": iter,
    "__reversed__": reversed,
    "__next__": next,
    "__aiter__": aiter,
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
    "__eq__": operator.eq,
    "__ne__": operator.ne,
    "__lt__": operator.lt,
    "__le__": operator.le,
    "__gt__": operator.gt,
    "__ge__": operator.ge,
    "__dir__": dir,
}

# Operators of two: the plain form, the reflected one and the one in place come together.
_BINARY: Final[dict[str, tuple[Callable[..., Any], Callable[..., Any]]]] = {
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
    "divmod": (divmod, divmod),
}

# Called by name on the target's type.
_CALLED: Final = (
    "__call__",
    "__enter__",
    "__exit__",
    "__aenter__",
    "__aexit__",
    "__await__",
    "__get__",
    "__set__",
    "__delete__",
    "__buffer__",
    "__release_buffer__",
    "__prepare__",
)
_MAY_RETURN_THE_OBJECT: Final = ("__enter__", "__aenter__")


def specials(
    kind: type,
    target_of: Callable[[Any], Any],
    again: Callable[[Any, Any], Any],
    self_calls: bool,
) -> dict[str, Any]:
    """Return the special methods for the stand-in of an object of type ``kind``.

    :param target_of: gives the target of a stand-in.
    :param again: given a stand-in and a new object, returns a stand-in of that.
    :param self_calls: methods written in Python get the stand-in as ``self``.
    """
    made: dict[str, Any] = {}
    for name, ask in _ASKED.items():
        if hasattr(kind, name):
            # A type says "not supported" with None: not hashable, not iterable.
            made[name] = getattr(kind, name) and _asking(ask, target_of)
    for name in _CALLED:
        if hasattr(kind, name):
            made[name] = _calling(name, target_of)
    for word, (plain, in_place) in _BINARY.items():
        forward, reflected = f"__{word}__", f"__r{word}__"
        if not any(hasattr(kind, name) for name in (forward, reflected, f"__i{word}__")):
            continue
        made[forward] = _asking(plain, target_of)
        made[reflected] = _reflected(plain, target_of)
        if word != "divmod":
            made[f"__i{word}__"] = _in_place(in_place, target_of, again)
    if issubclass(kind, type):
        made["__mro_entries__"] = lambda proxy, bases: (target_of(proxy),)
        made["__getitem__"] = _asking(operator.getitem, target_of)
    if self_calls:
        for name in made:
            own = getattr(kind, name, None)
            if type(own) is FunctionType:
                made[name] = own
    return made


def _asking(ask: Callable[..., Any], target_of: Callable[[Any], Any]) -> Any:
    return lambda proxy, *args: ask(target_of(proxy), *args)


def _reflected(plain: Callable[..., Any], target_of: Callable[[Any], Any]) -> Any:
    return lambda proxy, other, *args: plain(other, target_of(proxy), *args)


def _in_place(
    operate: Callable[..., Any],
    target_of: Callable[[Any], Any],
    again: Callable[[Any, Any], Any],
) -> Any:
    def method(proxy: Any, other: Any) -> Any:
        target = target_of(proxy)
        result = operate(target, other)
        return proxy if result is target else again(proxy, result)

    return method


def _calling(name: str, target_of: Callable[[Any], Any]) -> Any:
    if name == "__call__":
        return lambda proxy, /, *args, **kwargs: target_of(proxy)(*args, **kwargs)

    def method(proxy: Any, /, *args: Any, **kwargs: Any) -> Any:
        target = target_of(proxy)
        return getattr(type(target), name)(target, *args, **kwargs)

    def entering(proxy: Any, /) -> Any:
        # Whoever enters a stand-in goes on with the stand-in.
        target = target_of(proxy)
        entered = getattr(type(target), name)(target)
        return proxy if entered is target else entered

    async def entering_async(proxy: Any, /) -> Any:
        target = target_of(proxy)
        entered = await getattr(type(target), name)(target)
        return proxy if entered is target else entered

    if name not in _MAY_RETURN_THE_OBJECT:
        return method
    return entering_async if name == "__aenter__" else entering
