"""What the parameters of a callable are, and whether it is a coroutine function or a generator.

A plain function is read without `inspect`, whose import costs as much as a third of our own
modules. What is not plain is left to `inspect`; what is made of the parameters, to others.
"""

from __future__ import annotations

from keyword import iskeyword
from types import FunctionType, MethodType

TYPE_CHECKING = False
if TYPE_CHECKING:
    import inspect
    from collections.abc import Iterable
    from typing import Any, Final

__all__ = ["LAZY", "Parameter", "is_plain", "kind_of", "parameters", "signature"]

# The flags of a code object, as `inspect` has them.
_VARARGS: Final = 0x04
_VARKEYWORDS: Final = 0x08
_GENERATOR: Final = 0x20
_COROUTINE: Final = 0x80
_ITERABLE_COROUTINE: Final = 0x100
_ASYNC_GENERATOR: Final = 0x200

LAZY: Final = _GENERATOR | _COROUTINE | _ITERABLE_COROUTINE | _ASYNC_GENERATOR
"""The flags of code that does not run when it is called."""


class Parameter:
    """One parameter of a callable, named and numbered as `inspect.Parameter` has it."""

    __slots__ = ("annotation", "default", "kind", "name")

    POSITIONAL_ONLY: Final = 0
    POSITIONAL_OR_KEYWORD: Final = 1
    VAR_POSITIONAL: Final = 2
    KEYWORD_ONLY: Final = 3
    VAR_KEYWORD: Final = 4

    empty: Final[Any] = object()
    """Stands for a default, or an annotation, that is not there."""

    def __init__(self, name: str, kind: int, default: Any = empty, annotation: Any = empty) -> None:
        self.name = name
        self.kind = kind
        self.default = default
        self.annotation = annotation


def parameters(function: Any) -> tuple[Parameter, ...]:
    """Return the parameters of a callable, without the first one of a bound method.

    :raises TypeError: as `inspect.signature` does, or a `ValueError`, if they cannot be known.
    """
    bound = type(function) is MethodType
    plain = function.__func__ if bound else function
    if is_plain(plain):
        found = _read(plain)
        # Where there is no first parameter, the object is among those that are collected.
        if found is not None and not (bound and not plain.__code__.co_argcount):
            return found[1:] if bound else found
    import inspect

    return tuple(
        [
            Parameter(p.name, int(p.kind), _ours(p.default), _ours(p.annotation))
            for p in inspect.signature(function).parameters.values()
        ]
    )


def is_plain(function: object) -> bool:
    """Whether all that there is to know of a function is in its code."""
    # Something in its dictionary may be a signature, a mark, or what it wraps.
    return type(function) is FunctionType and not function.__dict__


def _read(function: FunctionType) -> tuple[Parameter, ...] | None:
    code = function.__code__
    names = code.co_varnames
    count, by_name = code.co_argcount, code.co_kwonlyargcount
    defaults = function.__defaults__ or ()
    first_default = count - len(defaults)
    found = [
        (
            name,
            int(i >= code.co_posonlyargcount),
            defaults[i - first_default] if i >= first_default else Parameter.empty,
        )
        for i, name in enumerate(names[:count])
    ]
    after = count + by_name
    if code.co_flags & _VARARGS:
        found.append((names[after], Parameter.VAR_POSITIONAL, Parameter.empty))
        after += 1
    more = function.__kwdefaults__ or {}
    found += [
        (name, Parameter.KEYWORD_ONLY, more.get(name, Parameter.empty))
        for name in names[count : count + by_name]
    ]
    if code.co_flags & _VARKEYWORDS:
        found.append((names[after], Parameter.VAR_KEYWORD, Parameter.empty))
    # These names become source text. In a code object that somebody put together, they may be
    # anything.
    if not all(name.isidentifier() and not iskeyword(name) for name, *_ in found):
        return None
    said = function.__annotations__
    return tuple([Parameter(*one, said.get(one[0], Parameter.empty)) for one in found])


def _ours(value: Any) -> Any:
    import inspect

    return Parameter.empty if value is inspect.Parameter.empty else value


def signature(params: Iterable[Parameter], returns: Any = Parameter.empty) -> inspect.Signature:
    """Return the signature with these parameters, for those who bind, show or publish one."""
    import inspect

    def theirs(value: Any) -> Any:
        return inspect.Parameter.empty if value is Parameter.empty else value

    return inspect.Signature(
        [
            inspect.Parameter(
                p.name,
                inspect._ParameterKind(p.kind),
                default=theirs(p.default),
                annotation=theirs(p.annotation),
            )
            for p in params
        ],
        return_annotation=theirs(returns),
    )


def kind_of(function: Any) -> str:
    """Return ``"function"``, ``"coroutine"``, ``"generator"`` or ``"asyncgen"``.

    Asked of the function itself: what a wrapper wraps says nothing of what it returns.
    """
    plain = function.__func__ if type(function) is MethodType else function
    if is_plain(plain):
        flags = plain.__code__.co_flags
        if flags & _COROUTINE:
            return "coroutine"
        if flags & _ASYNC_GENERATOR:
            return "asyncgen"
        return "generator" if flags & _GENERATOR else "function"
    import inspect

    if inspect.iscoroutinefunction(function):
        return "coroutine"
    if inspect.isasyncgenfunction(function):
        return "asyncgen"
    return "generator" if inspect.isgeneratorfunction(function) else "function"
