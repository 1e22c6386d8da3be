"""How a call for many ids comes apart into calls for one, and how some are asked for in one.

What is loaded, and what becomes of it, is decided in batches.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pussycache.declare.keys import ATOMS
from pussycache.engine.flow import Part

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pussycache.engine.plan import Plan
    from pussycache.engine.singleflight import Flight

__all__ = ["Ids", "Wanted"]

_KEPT: Any = (list, tuple, set, frozenset)


class Wanted(NamedTuple):
    """One of the ids of a call, and the call for it alone: its key and its arguments."""

    id: Any
    key: Any
    values: tuple[Any, ...]


class Ids(NamedTuple):
    """How a call for many ids comes apart into calls for one.

    ``at`` is where the ids stand among the arguments; ``sources`` gives, for each parameter of the
    call for one id, where its argument is, `None` for the id itself. ``plan`` is that of the calls
    for one; ``plain`` says that the id is all there is to their key.
    """

    at: int
    sources: tuple[int | None, ...]
    plan: Plan
    plain: bool

    def read(self, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Return the arguments with ids that can be read twice; `None` if there are no ids."""
        asked = values[self.at]
        if isinstance(asked, Collection) and not isinstance(asked, (str, bytes, Mapping)):
            return values
        if not hasattr(type(asked), "__next__"):
            return None
        # It can be read once, and is read here.
        return (*values[: self.at], list(asked), *values[self.at + 1 :])

    def of(self, one: Any, values: tuple[Any, ...], me: object) -> Wanted:
        """Return one id of a call; raises where it cannot be part of a key."""
        if self.plain and type(one) in ATOMS:
            return Wanted(one, (one, type(one)), (one,))
        bound = tuple([one if at is None else values[at] for at in self.sources])
        return Wanted(one, self.plan.encode(bound, me), bound)

    def apart(self, values: tuple[Any, ...], me: object) -> list[Wanted]:
        """Return each id of a call once, in their order."""
        return [self.of(one, values, me) for one in dict.fromkeys(values[self.at])]

    def part(
        self, values: tuple[Any, ...], wanted: Iterable[Wanted], flights: Iterable[Flight]
    ) -> Part:
        """Return the wish to load some of the ids: in their order, and in a collection alike."""
        asked = values[self.at]
        order = {one: i for i, one in enumerate(dict.fromkeys(asked))}
        some: Any = sorted([one.id for one in wanted], key=order.__getitem__)
        if type(asked) in _KEPT:
            some = type(asked)(some)
        return Part(tuple(flights), (*values[: self.at], some, *values[self.at + 1 :]))
