"""One writer at work: what it keeps from being served and stored meanwhile.

When fences are raised and taken away is said in writes.py and generations.py.
"""

from __future__ import annotations

from typing import Any

from pussycache.declare.keys import loose

__all__ = ["Fence"]


class Fence:
    """One writer at work on one method: what it keeps from being served and stored.

    ``at`` and ``values`` say which arguments are affected, `None` for the whole method. With
    ``hides``, which entries are affected is known only at the end: all are hidden until then.
    """

    __slots__ = ("at", "hides", "values")

    def __init__(
        self,
        at: tuple[int, ...] | None = None,
        values: frozenset[Any] | None = None,
        hides: bool = False,
    ) -> None:
        self.at = at
        self.values = values
        self.hides = hides

    def covers(self, values: tuple[Any, ...]) -> bool:
        """Whether a call with these bound arguments is affected."""
        if self.at is None or self.values is None:
            return True
        try:
            return tuple([loose(values[i]) for i in self.at]) in self.values
        except Exception:
            # Arguments that refuse to be compared might be equal.
            return True
