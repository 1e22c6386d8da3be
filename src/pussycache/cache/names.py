"""What a call's arguments are called in a shared store: the same bytes in every process.

What is the same is what declare/keys.py says of keys in memory. No store is known here, and nothing
is told by `hash` or by the `repr` of an object of unknown class.

Each argument becomes text that says where it ends: a letter for its type, then its content with
its length before it, or with a mark behind it that the content cannot have. So two calls have the
same text only if their arguments are the same, one by one.
"""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag
from fractions import Fraction
from hashlib import blake2b
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from types import MappingProxyType, MemberDescriptorType
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from pussycache.cache.shapes import class_name
from pussycache.declare.keys import Unkeyable, compares_by_fields, stands_for

__all__ = ["LONGEST", "Unkeyable", "encode_arguments"]

LONGEST: Final = 150
"""Names of more bytes are replaced by a digest."""

_NOBODY: Final = object()
# UTF-8 has no such byte.
_DIGEST: Final = b"\xff"


def encode_arguments(values: tuple[Any, ...], me: object = _NOBODY) -> bytes:
    """Return what the arguments of a call are called in a shared store.

    At most 150 bytes, and the same in all processes and versions of Python.

    :param me: the wrapped object, which stands for itself among its arguments.
    :raises Unkeyable: if an argument has no name that another process would give it, too.

    >>> encode_arguments((7, "ada"))
    b'i7;s3:ada'
    >>> encode_arguments(({"b", "a"}, True, 1.0))
    b'u2;s1:as1:bTf1.0;'
    >>> len(encode_arguments(("x" * 1_000,)))
    33
    """
    try:
        name = "".join(_parts(values, me)).encode("utf-8", "surrogatepass")
    except Unkeyable:
        raise
    except RecursionError:
        raise Unkeyable("an argument is nested too deeply, or contains itself") from None
    if len(name) <= LONGEST:
        return name
    return _DIGEST + blake2b(name, digest_size=32).digest()


def _parts(values: Iterable[Any], me: object) -> list[str]:
    parts = []
    for value in values:
        kind = type(value)
        # The commonest, without a call.
        if kind is str:
            parts.append(f"s{len(value)}:{value}")
        elif kind is int:
            # Hexadecimal, which has no limit of digits.
            parts.append(f"i{value:x};")
        else:
            parts.append(_part(value, me))
    return parts


def _part(value: Any, me: object) -> str:
    kind = type(value)
    if value is me:
        return "@"
    encode = _EXACTLY.get(kind)
    try:
        if encode is not None:
            return encode(value, me)
        if stands_for(value, me):
            return "@"
        return _other(kind, value, me)
    except (Unkeyable, RecursionError):
        raise
    except Exception as error:
        raise _unkeyable(kind, f"{type(error).__name__}: {error}") from None


def _other(kind: Any, value: Any, me: object) -> str:
    own = getattr(kind, "__cache_key__", None)
    if own is not None:
        return f"k{_class(kind)}{_part(own(value), me)}"
    if isinstance(value, Enum):
        if isinstance(value, Flag):
            return f"n{_class(kind)}{_part(value._value_, me)}"
        if kind.__members__.get(value._name_) is not value:
            raise _unkeyable(kind, "it is not among the members of its class")
        return f"n{_class(kind)}{_text(value._name_)}"
    if isinstance(value, type):
        if type(value).__eq__ is not type.__eq__:
            raise _unkeyable(kind, "it has an __eq__ of its own")
        return f"C{_class(value)}"
    base = _extended(kind)
    if base is not None:
        return f"x{_class(kind)}{_EXACTLY[base](value, me)}{_state(base, value, me)}"
    if compares_by_fields(kind):
        names = [field.name for field in dataclasses.fields(kind) if field.compare]
        return _by_fields("o", kind, {name: getattr(value, name) for name in names}, me)
    if _is_of_attrs(kind):
        compared = [(a.name, a.eq_key or _same) for a in kind.__attrs_attrs__ if a.eq]
        return _by_fields("a", kind, {name: by(getattr(value, name)) for name, by in compared}, me)
    array = _array(kind, value)
    if array is None:
        raise _unkeyable(kind, "two processes cannot tell whether theirs are the same")
    return array


def _unkeyable(kind: type, why: str) -> Unkeyable:
    return Unkeyable(
        f"an argument of type {class_name(kind)} has no name in a shared store ({why})"
    )


def _same(value: Any) -> Any:
    return value


def _class(kind: type) -> str:
    # A name means one class only where that class is found under it, as pickle wants it, too.
    found: Any = sys.modules.get(kind.__module__)
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    if found is not kind:
        raise _unkeyable(kind, "its class is not found under its name in its module")
    return _text(class_name(kind))


def _text(text: str) -> str:
    return f"{len(text)}:{text}"


def _bytes(value: bytes) -> str:
    return _text(bytes.decode(value, "latin-1"))


def _items(values: Iterable[Any], me: object) -> str:
    parts = _parts(values, me)
    return f"{len(parts)};{''.join(parts)}"


def _unordered(values: Iterable[Any], me: object) -> str:
    # Two that are not equal to one another (nan) may have one name: both are told.
    parts = sorted(_parts(values, me))
    return f"{len(parts)};{''.join(parts)}"


def _mapping(value: Any, me: object) -> str:
    parts = sorted(["".join(_parts(pair, me)) for pair in value.items()])
    return f"{len(parts)};{''.join(parts)}"


def _by_fields(letter: str, kind: type, fields: dict[str, Any], me: object) -> str:
    parts = [f"{_text(name)}{_part(value, me)}" for name, value in fields.items()]
    return f"{letter}{_class(kind)}{len(parts)};{''.join(parts)}"


def _extended(kind: type) -> type | None:
    """Return the known type that a class extends without comparing in its own way."""
    for base in kind.__mro__:
        if base in _EXACTLY:
            same = kind.__hash__ is base.__hash__ and kind.__eq__ is base.__eq__
            # What a subclass of a mutable container holds is for the subclass to say.
            return base if same and base.__hash__ is not None else None
    return None


def _state(base: type, value: Any, me: object) -> str:
    if base in _BY_VALUE:
        # In memory such an argument is its own part of the key, and is compared as its base is.
        return ""
    own = dict(getattr(value, "__dict__", {}))
    for one in type(value).__mro__:
        for name, slot in vars(one).items():
            if isinstance(slot, MemberDescriptorType):
                with suppress(AttributeError):
                    own[f"{one.__qualname__}.{name}"] = slot.__get__(value)
    return _mapping(own, me)


def _is_of_attrs(kind: Any) -> bool:
    code = getattr(kind.__eq__, "__code__", None)
    return bool(
        hasattr(kind, "__attrs_attrs__")
        and code
        and code.co_filename.startswith("<attrs generated")
    )


def _array(kind: type, value: Any) -> str | None:
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or not hasattr(numpy, "ndarray"):
        return None
    if not (kind is numpy.ndarray or issubclass(kind, numpy.generic)):
        return None
    if value.dtype.kind not in "biufcmMUS":
        raise _unkeyable(kind, f"its dtype is {value.dtype}")
    content = blake2b(value.tobytes(), digest_size=32).hexdigest()
    shape = "x".join(map(str, value.shape))
    return f"y{_text(kind.__name__)}{_text(value.dtype.str)}{shape};{content}"


def _moment(letter: str) -> Callable[[Any, object], str]:
    # Equal moments of two zones answer differently, as do the two sides of a fold.
    def encode(value: Any, me: object) -> str:
        wall = value.replace(tzinfo=None, fold=0).isoformat()
        return f"{letter}{wall};{value.fold}{_zone(value.tzinfo)}"

    return encode


def _zone(zone: Any) -> str:
    kind = type(zone)
    if zone is None:
        return "N"
    if kind is ZoneInfo and zone.key is not None:
        return f"z{_text(zone.key)}"
    if kind is timezone:
        offset, *name = zone.__getinitargs__()
        return f"o{_duration(offset)}{_text(name[0]) if name else 'N'}"
    raise _unkeyable(kind, "use datetime.timezone or zoneinfo")


def _duration(value: timedelta) -> str:
    return f"{value.days},{value.seconds},{value.microseconds};"


def _view(value: memoryview, me: object) -> str:
    return f"v{_text(value.format)}{_part(value.shape, me)}{_bytes(bytes(value))}"


_PATHS: Final = {PurePosixPath, PosixPath, PureWindowsPath, WindowsPath}
_BY_VALUE: Final = frozenset({int, str, bytes, date, timedelta, UUID, Fraction, *_PATHS})

_EXACTLY: Final[dict[type, Callable[[Any, object], str]]] = {
    type(None): lambda value, me: "N",
    type(...): lambda value, me: ".",
    bool: lambda value, me: "T" if value else "F",
    int: lambda value, me: f"i{int(value):x};",
    str: lambda value, me: f"s{_text(str.__str__(value))}",
    bytes: lambda value, me: f"b{_bytes(value)}",
    float: lambda value, me: f"f{float.__repr__(value)};",
    complex: lambda value, me: f"c{complex.__repr__(value)};",
    tuple: lambda value, me: f"t{_items(value, me)}",
    list: lambda value, me: f"l{_items(value, me)}",
    dict: lambda value, me: f"m{_mapping(value, me)}",
    set: lambda value, me: f"u{_unordered(value, me)}",
    frozenset: lambda value, me: f"U{_unordered(value, me)}",
    deque: lambda value, me: f"q{_part(value.maxlen, me)}{_items(value, me)}",
    OrderedDict: lambda value, me: f"O{_items(value.items(), me)}",
    Counter: lambda value, me: f"M{_mapping(value, me)}",
    MappingProxyType: lambda value, me: f"P{_mapping(value, me)}",
    defaultdict: lambda value, me: f"D{_part(value.default_factory, me)}{_mapping(value, me)}",
    bytearray: lambda value, me: f"B{_bytes(bytes(value))}",
    memoryview: _view,
    range: lambda value, me: f"r{_items((value.start, value.stop, value.step), me)}",
    slice: lambda value, me: f"S{_items((value.start, value.stop, value.step), me)}",
    datetime: _moment("w"),
    time: _moment("W"),
    date: lambda value, me: f"d{value.toordinal()};",
    timedelta: lambda value, me: f"e{_duration(value)}",
    # In capitals, whatever the context says.
    Decimal: lambda value, me: f"g{str(value).upper()};",
    Fraction: lambda value, me: f"h{value.numerator:x}/{value.denominator:x};",
    UUID: lambda value, me: f"I{value.hex}",
    PurePosixPath: lambda value, me: f"j{_text(str(value))}",
    PosixPath: lambda value, me: f"J{_text(str(value))}",
    # Which have no capitals.
    PureWindowsPath: lambda value, me: f"R{_text(str(value).lower())}",
    WindowsPath: lambda value, me: f"Q{_text(str(value).lower())}",
}
