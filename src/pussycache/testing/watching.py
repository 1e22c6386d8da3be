"""Sees which attributes of one object are read and set while its methods run.

The object is given a subclass of its own class for the time. What was changed inside an attribute
is not seen here, but in pictures.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pussycache.testing.state import is_state, state_of

__all__ = ["Seen", "watched"]


class Seen:
    """The names of attributes, as they are read and set while it is ``on``.

    ``reads`` is `None` if nobody can see.
    """

    def __init__(self) -> None:
        self.on = False
        self.reads: set[str] | None = set()
        self.writes: set[str] = set()


@contextmanager
def watched(target: Any) -> Iterator[Seen]:
    """Watch an object during a block."""
    seen = Seen()
    kind = type(target)
    try:
        object.__setattr__(target, "__class__", _watching(kind, target, seen))
    except Exception:
        # Written in C, or of a class that is not to be inherited from.
        seen.reads = None
    try:
        yield seen
    finally:
        if seen.reads is not None:
            object.__setattr__(target, "__class__", kind)


def _watching(kind: Any, target: object, seen: Seen) -> type:
    def state(name: str) -> bool:
        raw = next((k.__dict__[name] for k in kind.__mro__ if name in k.__dict__), None)
        # What is absent may be there another time: then it is no method, either.
        return is_state(raw) or name in state_of(target)

    def __getattribute__(self: Any, name: str) -> Any:
        if seen.on and self is target and seen.reads is not None:
            if not name.startswith("__"):
                if state(name):
                    seen.reads.add(name)
            elif name == "__dict__" and sys._getframe(1).f_globals.get("__name__") != "functools":
                seen.reads.update(state_of(target))
        return kind.__getattribute__(self, name)

    def __setattr__(self: Any, name: str, value: object) -> None:
        if seen.on and self is target and state(name):
            seen.writes.add(name)
        kind.__setattr__(self, name, value)

    def __delattr__(self: Any, name: str) -> None:
        if seen.on and self is target and state(name):
            seen.writes.add(name)
        kind.__delattr__(self, name)

    space = {
        "__slots__": (),
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "__getattribute__": __getattribute__,
        "__setattr__": __setattr__,
        "__delattr__": __delattr__,
    }
    made: type = type(kind)(kind.__name__, (kind,), space)
    return made
