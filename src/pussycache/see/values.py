"""A number for what a method returned, to tell whether an equal call returns the same later.

Nothing of the value is kept, and nobody's code is run for it: no ``__eq__``, no ``__repr__``. What
cannot be looked into has no number. What follows from a change is said elsewhere.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from enum import Enum
from typing import Any, Final

from pussycache.declare.keys import ATOMS
from pussycache.engine.looks import MODULES_OF_VALUES, readers_of

__all__ = ["digest"]

_MOST: Final = 20_000  # parts of one value that are looked at
_DEEPEST: Final = 60
_ORDERED: Final = (list, tuple, deque, OrderedDict)


class _Unknown(Exception):
    """Here is something that cannot be looked into, or too much of it."""


def digest(value: object, me: object) -> int | None:
    """Return a number that equal values have in common; `None` where nobody can tell.

    Dictionaries and sets are compared without regard to their order.

    >>> digest({"a": [1, 2], "b": {3}}, None) == digest({"b": {3}, "a": [1, 2]}, None)
    True
    >>> digest([1, 2], None) == digest([1, 3], None), digest([1], None) == digest([True], None)
    (False, False)
    >>> digest([open], None) is None
    True
    """
    try:
        return _Looker(me).number(value)
    except Exception:
        # It cannot be looked into, goes too deep, or is being changed by another thread.
        return None


class _Looker:
    def __init__(self, me: object) -> None:
        self._me = me
        self._left = _MOST
        self._depth = 0

    def number(self, node: Any) -> int:
        kind = type(node)
        if kind in ATOMS or kind is float:
            if node != node:
                return hash((kind, "nan"))
            # -1 and -2 have one hash.
            return hash((kind, node, kind is not str and node == -1))
        if node is self._me:
            return hash("the object itself")
        self._left -= 1
        if self._left < 0 or self._depth > _DEEPEST:
            raise _Unknown(kind)
        self._depth += 1
        found = self._inside(node, kind)
        self._depth -= 1
        return found

    def _inside(self, node: Any, kind: type) -> int:
        number = self.number
        if kind is dict:
            return hash((dict, frozenset([(number(k), number(v)) for k, v in node.items()])))
        if kind is list or kind is tuple:
            return hash((kind, *[number(part) for part in node]))
        if kind is complex or kind.__module__ in MODULES_OF_VALUES:
            return hash((kind, node))
        if isinstance(node, type):
            return hash((type, node.__module__, node.__qualname__))
        if issubclass(kind, Enum):
            return hash((kind, node._name_))
        how = readers_of(kind)
        if not how:
            raise _Unknown(kind)
        rows = [read(node) for read in how]
        parts: list[Any] = []
        if isinstance(node, dict) and not isinstance(node, OrderedDict):
            keys, values = dict.keys(node), dict.values(node)
            parts = [frozenset([*zip(map(number, keys), map(number, values), strict=True)])]
            rows = rows[1:]
        elif isinstance(node, (set, frozenset)):
            plain: Any = frozenset if isinstance(node, frozenset) else set
            members = plain.__iter__(node)
            parts = [frozenset([number(member) for member in members])]
            rows = rows[1:]
        return hash((kind, *parts, *[number(part) for row in rows for part in row]))
