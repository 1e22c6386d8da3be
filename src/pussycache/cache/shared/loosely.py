"""Values that a rule matches on, as bytes: equal values have equal bytes, in every process.

Rules match by ``==``, also across types. What cannot be told to be equal by its bytes is refused.
"""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from fractions import Fraction
from hashlib import blake2b
from typing import Any, Final, cast

__all__ = ["Unmatched", "loosely"]


class Unmatched(Exception):
    """A value that has no such bytes."""


_NUMBERS: Final = (int, float, complex, Decimal, Fraction)
_LONGEST: Final = 64


def loosely(value: Any) -> bytes:
    """Return the bytes of a value, or of a tuple of several.

    >>> loosely(1) == loosely(True) == loosely(1.0), loosely("1") == loosely(1)
    (True, False)

    :raises Unmatched: for a value of a type whose comparison is not known.
    """
    found = _part(value)
    if len(found) <= _LONGEST:
        return found
    return b"~" + blake2b(found, digest_size=16).hexdigest().encode()


def _part(value: Any) -> bytes:
    kind: Any = type(value)
    # The commonest first, and without the questions that are asked of subclasses.
    if kind is int:
        return b"n%d" % hash(value)
    if kind is str:
        return b"s" + cast("str", value).encode("utf-8", "surrogatepass")
    if kind is tuple or kind is list:
        parts = [_part(item) for item in value]
        return b"%b%b" % (
            b"t" if kind is tuple else b"l",
            b"".join([b"%d:%b" % (len(part), part) for part in parts]),
        )
    if value is None:
        return b"-"
    if isinstance(value, _NUMBERS) and _inherits(kind, _NUMBERS) and value == value:
        # Equal numbers have one hash, in every process; that others have it, too, costs a load.
        base: Any = next(base for base in kind.__mro__ if base in _NUMBERS)
        return b"n%d" % base.__hash__(value)
    if isinstance(value, str) and _inherits(kind, (str,)):
        return b"s" + str.__str__(value).encode("utf-8", "surrogatepass")
    if isinstance(value, (bytes, bytearray)) and _inherits(kind, (bytes, bytearray)):
        return b"b" + bytes(value)
    if kind is set or kind is frozenset:
        return b"f" + b"".join(sorted([b"%d:%b" % (len(p), p) for p in map(_part, value)]))
    if isinstance(value, enum.Enum) and kind.__eq__ is object.__eq__:
        return f"e{kind.__module__}.{kind.__qualname__}.{value.name}".encode()
    if kind is dt.datetime:
        # Both sides of a fold are equal.
        value = value.replace(fold=0)
        if value.utcoffset() is None:
            return f"d{value.isoformat()}".encode()
        return f"z{value.astimezone(dt.UTC).isoformat()}".encode()
    if kind in (dt.date, dt.timedelta, uuid.UUID):
        return f"v{kind.__name__}.{value}".encode()
    raise Unmatched(f"values of type {kind.__module__}.{kind.__qualname__} cannot be compared")


def _inherits(kind: type, bases: tuple[type, ...]) -> bool:
    """Whether a type compares as one of these does."""
    return any(kind.__eq__ is base.__eq__ for base in bases)
