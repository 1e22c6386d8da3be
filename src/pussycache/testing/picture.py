"""A picture of an object's state, deep enough that two of them show what was changed in between.

Who changed it, and what follows from that, is not said here.
"""

from __future__ import annotations

import enum
import logging
import threading
import types
import warnings
import weakref
from collections import deque
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, NamedTuple
from uuid import UUID

from pussycache.testing.calls import shown
from pussycache.testing.state import class_values, is_memo, is_open, state_of

__all__ = ["ITEMS", "Picture", "changed", "picture"]

ITEMS: Final = "(items)"
"""Stands for what an object holds that is itself a dict, a list or a set."""

_MOST: Final = 20_000  # parts of one attribute that are looked at
_DEEPEST: Final = 100  # a value inside a value inside ...
_MOST_ITEMS: Final = 1000  # of a container whose items are told apart
_ATOMS: Final = frozenset(
    {type(None), bool, int, complex, str, bytes, range, slice, type(...), type(NotImplemented)}
    | {date, datetime, time, timedelta, Decimal, Fraction, UUID}
)
# They are what they are: nothing that a method answers is kept in them.
_SETTLED: Final = (
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.ModuleType,
    enum.Enum,
    logging.Logger,
    logging.LoggerAdapter,
    weakref.ref,
    ContextVar,
    type(threading.Lock()),
    type(threading.RLock()),
)
_SEQUENCES: Final = (list, tuple, deque)
_CONTAINERS: Final = (dict, list, set, frozenset, deque)


class _Is:
    """An object that is compared by what it is, and kept, so that no other takes its address."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Is) and self._value is other._value

    def __hash__(self) -> int:
        return id(self._value)


class Part(NamedTuple):
    """One attribute: all of it, and its items one by one where it has any."""

    whole: Any
    items: Mapping[str, Any]


class Picture(NamedTuple):
    """The attributes of an object; those that nobody can look into; those that fill themselves."""

    parts: Mapping[str, Part]
    opaque: frozenset[str]
    memos: frozenset[str]


def picture(target: object) -> Picture:
    """Return the state of an object: instance attributes, slots, class attributes, its items."""
    kind = type(target)
    parts: dict[str, Part] = {}
    opaque: set[str] = set()
    for name, value in (class_values(kind) | state_of(target)).items():
        taker = _Taker(target)
        parts[name] = Part(taker.take(value), _items(target, value))
        if taker.opaque:
            opaque.add(name)
    if isinstance(target, _CONTAINERS):
        taker = _Taker(None)
        parts[ITEMS] = Part(taker.contents(target), _items(target, target))
    elif not is_open(kind):
        taker = _Taker(None)
        parts[ITEMS] = Part(taker.take(target), {})
        if taker.opaque:
            opaque.add(ITEMS)
    memos = frozenset([name for name in dir(kind) if is_memo(kind, name)])
    return Picture(parts, frozenset(opaque), memos)


def changed(before: Picture, after: Picture) -> dict[str, frozenset[str]]:
    """Return the attributes that differ, each with the items that do: ``{"_rows": {"[7]"}}``."""
    found = {}
    for name in before.parts.keys() | after.parts.keys():
        one, other = before.parts.get(name), after.parts.get(name)
        if one is None or other is None:
            if one is None and name in after.memos:
                continue
            found[name] = frozenset[str]()
        elif one.whole != other.whole:
            keys = one.items.keys() | other.items.keys()
            found[name] = frozenset([k for k in keys if one.items.get(k) != other.items.get(k)])
    return found


def _items(target: object, value: Any) -> dict[str, Any]:
    if isinstance(value, (dict, list, deque, set)) and len(value) > _MOST_ITEMS:
        return {}
    if isinstance(value, dict):
        pairs: Iterable[tuple[str, Any]] = [
            (f"[{shown(key)}]", item) for key, item in value.items()
        ]
    elif isinstance(value, (list, deque)):
        pairs = [(f"[{place}]", item) for place, item in enumerate(value)]
    elif isinstance(value, set):
        pairs = [(f"[{shown(item)}]", item) for item in value]
    else:
        return {}
    return {key: _Taker(target).take(item) for key, item in pairs}


class _Taker:
    """Takes the picture of one value: nested tuples that compare by `==`."""

    def __init__(self, target: object) -> None:
        self.opaque = False
        self._depth = 0
        # The object's own reference to itself says nothing of the attribute that holds it.
        self._seen: dict[int, tuple[int, object]] = {id(target): (0, target)}

    def take(self, value: Any) -> Any:
        kind = type(value)
        if kind in _ATOMS:
            return kind, value
        if kind is float:
            return kind, repr(value)
        if isinstance(value, _SETTLED):
            return _Is(value)
        known = self._seen.get(id(value))
        if known is not None:
            return "seen", known[0]
        if len(self._seen) > _MOST or self._depth > _DEEPEST:
            self.opaque = True
            return _Is(value)
        self._seen[id(value)] = (len(self._seen), value)
        self._depth += 1
        try:
            return self._inside(value)
        finally:
            self._depth -= 1

    def _inside(self, value: Any) -> Any:
        kind = type(value)
        if isinstance(value, types.MethodType):
            return kind, _Is(value.__func__), self.take(value.__self__)
        contents = self.contents(value)
        if contents is None and not is_open(kind):
            return self._reduced(value)
        state = state_of(value)
        return kind, contents, tuple([(name, self.take(state[name])) for name in sorted(state)])

    def contents(self, value: Any) -> Any:
        """Return what a container holds, `None` for what is none."""
        if isinstance(value, dict):
            return tuple([(self.take(key), self.take(value[key])) for key in list(value)])
        if isinstance(value, _SEQUENCES):
            return tuple([self.take(item) for item in list(value)])
        if isinstance(value, (set, frozenset)):
            return frozenset([self.take(item) for item in value])
        return bytes(value) if isinstance(value, bytearray) else None

    def _reduced(self, value: Any) -> Any:
        # As copying and pickling look into what is written in C.
        try:
            with warnings.catch_warnings():
                # Pickling of some is to be given up.
                warnings.simplefilter("ignore")
                said = value.__reduce_ex__(4)
            if isinstance(said, str):
                return said
            parts = [list(part) if hasattr(type(part), "__next__") else part for part in said]
        except Exception:
            self.opaque = True
            return _Is(value)
        return tuple([self.take(part) for part in parts])
