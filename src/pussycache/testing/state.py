"""The attributes of an object, read without running any code of its class.

What they are compared with, and why, is not said here.
"""

from __future__ import annotations

import functools
from contextlib import suppress
from types import MemberDescriptorType
from typing import Any, Final

__all__ = ["class_values", "is_memo", "is_open", "is_state", "state_of"]

_MADE_LATER: Final = 1 << 9  # Py_TPFLAGS_HEAPTYPE: of a class statement, or as if it were
_POINTER: Final = tuple.__itemsize__


def state_of(value: Any) -> dict[str, Any]:
    """Return the instance attributes of an object, those in slots too."""
    state: dict[str, Any] = {}
    for raw, name in _slots(type(value)):
        with suppress(AttributeError):
            state[name] = raw.__get__(value)
    with suppress(AttributeError):
        state |= object.__getattribute__(value, "__dict__")
    return state


def class_values(kind: type) -> dict[str, Any]:
    """Return what a class and its bases hold for all instances, methods and the like left out."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if base.__flags__ & _MADE_LATER:
            for name, raw in list(base.__dict__.items()):
                if not name.startswith(("__", "_abc_")) and not hasattr(type(raw), "__get__"):
                    found[name] = raw
    return found


def is_state(raw: Any) -> bool:
    """Whether what a class has under a name is a value or a slot, and not a method or the like."""
    return not hasattr(type(raw), "__get__") or isinstance(raw, MemberDescriptorType)


def is_memo(kind: type, name: str) -> bool:
    """Whether an attribute is one that a `functools.cached_property` fills."""
    raw = next((base.__dict__[name] for base in kind.__mro__ if name in base.__dict__), None)
    return isinstance(raw, functools.cached_property)


def is_open(kind: type) -> bool:
    """Whether the attributes are all there is: nothing is hidden in fields of C."""
    room = object.__basicsize__ + _POINTER * len(_slots(kind))
    room += _POINTER * (bool(kind.__dictoffset__) + bool(kind.__weakrefoffset__))
    return kind.__itemsize__ == 0 and kind.__basicsize__ <= room


def _slots(kind: type) -> list[tuple[MemberDescriptorType, str]]:
    return [
        (raw, name)
        for base in kind.__mro__
        if base.__flags__ & _MADE_LATER
        for name, raw in list(base.__dict__.items())
        if isinstance(raw, MemberDescriptorType) and not name.startswith("__")
    ]
