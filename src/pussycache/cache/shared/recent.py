"""Calls as they were asked about lately: what is asked of them once more needs no working out.

What is asked, and what follows from a reply, is said in reading.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pussycache.cache.shared.reading import Reading

if TYPE_CHECKING:
    from pussycache.cache.shared.payload import Writing
    from pussycache.engine.asking import Ask
    from pussycache.engine.plan import Plan

__all__ = ["Recent"]

_MOST: Final = 1000


class Recent:
    """The questions about some calls, by how they are written and their arguments.

    Only such arguments are looked at as can be told apart without calling anybody's code: `int`
    and `str`, and no others that are equal to them. When there are many, all are dropped.
    """

    __slots__ = ("_asked",)

    def __init__(self) -> None:
        self._asked: dict[Any, tuple[Ask, Reading]] = {}

    def __len__(self) -> int:
        return len(self._asked)

    def of(self, writing: Writing, values: tuple[Any, ...]) -> tuple[Ask, Reading] | None:
        """Return what was asked of a call, if that is known."""
        for value in values:
            kind = type(value)
            if kind is not int and kind is not str:
                return None
        return self._asked.get((writing, values))

    def note(
        self,
        writing: Writing,
        plan: Plan,
        values: tuple[Any, ...],
        me: object,
        asked: tuple[Ask, Reading],
    ) -> None:
        """Remember what is asked of a call, unless that may be something else the next time."""
        if not plan.steady or type(asked[1]) is not Reading:
            return
        for value in values:
            # What is wrapped stands for itself, whatever it is equal to.
            if type(value) not in (int, str) or value is me:
                return
        if len(self._asked) >= _MOST:
            self._asked = {}
        self._asked[writing, values] = asked
