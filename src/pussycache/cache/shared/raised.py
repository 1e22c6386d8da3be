"""One write, as the server knows it: the commands that begin it and end it.

When they are sent is said in fences.py.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pussycache.cache.shared.authors import LASTING, marked
from pussycache.cache.shared.scripts import END, START

__all__ = ["Command", "Raised", "Target"]

Command = tuple[bytes, tuple[Any, ...]]
"""A command, and the key that says which server it is for."""


class Target(NamedTuple):
    """One generation that a write makes another: its key, that of the method's, and the rule.

    ``told`` is where it is told who wrote, ``rules`` is the key of the rules of those at work,
    where there is a rule.
    """

    generation: bytes
    method: bytes
    told: bytes
    rule: bytes
    rules: bytes = b""

    def keys(self) -> tuple[bytes, ...]:
        """Return the keys that the start of a write is about."""
        keys = self.generation, self.method
        return (*keys, self.rules) if self.rule else keys


class Raised(NamedTuple):
    """One write, as the server knows it; ``writer`` is unique to it.

    ``at_end`` are generations that it makes others when it ends, and not before; ``author`` is what
    the server is told of who wrote.
    """

    writer: bytes
    targets: tuple[Target, ...]
    at_end: tuple[Target, ...] = ()
    author: bytes = b""

    def start(self, milliseconds: int) -> list[Command]:
        """Return what begins it, or renews it."""
        return [
            (t.method, START.call(t.keys(), self.writer, t.rule, milliseconds))
            for t in self.targets
        ]

    def end(self) -> list[Command]:
        """Return what ends it.

        First that by which loads that began before are known: others may come in between, and must
        not find those that stand on it new, and it still old.
        """
        return [
            (
                t.method,
                END.call(
                    (t.generation, t.method, t.told),
                    *(self.writer, t.rule, marked(t.generation, self.author), LASTING),
                ),
            )
            for t in (*self.at_end, *self.targets)
        ]
