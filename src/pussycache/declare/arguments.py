"""Keys turned back into arguments: the inverse of keys.py, as far as there is one.

A key does not keep the arguments it was made of. From what it keeps of them some can be made again;
whoever does so encodes them anew, and compares. Nothing is written or stored here.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from datetime import datetime, time
from decimal import Decimal
from typing import Any, Final

from pussycache.declare.keys import Coded, encode

__all__ = ["NoInverse", "arguments_of"]


class NoInverse(Exception):
    """A key from which the arguments cannot be made again; says which and why."""


def arguments_of(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return arguments that have this very key.

    :raises NoInverse: if there are none that could be told from it.

    >>> from pussycache.declare.keys import encode
    >>> arguments_of(encode(([1, 2], "a", {3.0: None})))
    ([1, 2], 'a', {3.0: None})
    """
    try:
        values = _values(key)
        if any(type(part) is Coded for part in key) and encode(values) != key:
            raise NoInverse("an argument does not come back equal")
    except NoInverse:
        raise
    except Exception as error:
        raise NoInverse(f"{type(error).__name__}: {error}") from None
    return values


def _values(key: tuple[Any, ...]) -> tuple[Any, ...]:
    half = len(key) // 2
    return tuple([_value(part, kind) for part, kind in zip(key[:half], key[half:], strict=True)])


def _value(part: Any, kind: type) -> Any:
    if type(part) is not Coded:
        return part
    decode = _DECODERS.get(kind)
    if decode is None:
        raise NoInverse(
            f"an argument of type {kind.__module__}.{kind.__qualname__} cannot be made again"
        )
    return decode(part.body)


def _counted(counted: Iterable[tuple[tuple[Any, ...], int]]) -> list[tuple[Any, ...]]:
    # Counted, because two that are not equal to one another (nan) may have one part.
    return [_values(key) for key, count in counted for _ in range(count)]


def _items(body: tuple[Any, ...]) -> list[Any]:
    return [value for (value,) in _counted(body[1])]


def _mapping(body: tuple[Any, ...]) -> dict[Any, Any]:
    return dict(_counted(body[1]))


def _clock(kind: Any) -> Callable[[tuple[Any, ...]], Any]:
    return lambda body: kind.fromisoformat(body[1]).replace(fold=body[2], tzinfo=body[3])


def _ordered(body: tuple[Any, ...]) -> OrderedDict[Any, Any]:
    return OrderedDict(_value(body[1], list))


def _default(body: tuple[Any, ...]) -> defaultdict[Any, Any]:
    return defaultdict(body[0], _value(body[1], dict))


_DECODERS: Final[dict[type, Callable[[tuple[Any, ...]], Any]]] = {
    float: lambda body: float(body[1]),
    complex: lambda body: complex(body[1]),
    tuple: lambda body: _values(body[1:]),
    list: lambda body: list(_values(body[1:])),
    dict: _mapping,
    set: lambda body: set(_items(body)),
    frozenset: lambda body: frozenset(_items(body)),
    deque: lambda body: deque(_values(body[2:]), body[1]),
    OrderedDict: _ordered,
    Counter: lambda body: Counter(_mapping(body)),
    defaultdict: _default,
    bytearray: lambda body: bytearray(body[1]),
    range: lambda body: range(*body[1]),
    slice: lambda body: slice(*_values(body[1:])),
    datetime: _clock(datetime),
    time: _clock(time),
    Decimal: lambda body: Decimal(body[1]),
}
