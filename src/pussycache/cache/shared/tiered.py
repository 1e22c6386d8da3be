"""How calls are answered whose entries are in a server, and may be kept in this process, too.

What a call does that finds nothing here is flow.py's. What is dropped, and when, is nearby.py's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pussycache.cache.shared import flow
from pussycache.cache.shared.consulting import named
from pussycache.cache.shared.operations import Shared
from pussycache.engine import clock
from pussycache.engine.asking import AT_ONCE, NOWHERE, WATCHED, Ask
from pussycache.engine.plan import changed
from pussycache.types import MISSING

if TYPE_CHECKING:
    from collections.abc import Generator

    from pussycache.cache.shared.kept import Kept, LocalReading
    from pussycache.cache.shared.nearby import LocalTable
    from pussycache.engine.entry import Cause
    from pussycache.engine.flow import Step
    from pussycache.engine.plan import Plan

__all__ = ["COHERENCE", "KNOWN", "Strict", "Tiered"]

_FOUND: Final = object()
"""Stands for how a call is known that needs not be asked about."""
_NOT_ASKED: Final = object()
"""Stands for that of a call that has not been asked about yet."""


class _Known:
    """Somebody who can be asked for what is known already."""

    def ask(self, value: Any) -> Any:
        return value

    async def aask(self, value: Any) -> Any:
        return value


KNOWN: Final = _Known()
"""Gives what is kept in this process, as a server would."""


class Tiered(Shared):
    """Entries are served from this process as long as nobody has said that they are wrong."""

    def __init__(self, looks: str) -> None:
        self.looks = looks

    def begin(self, plan: Plan, table: Any, values: Any, me: object) -> tuple[Ask, Any] | None:
        if plan.keeping.nearby and not clock.switches:
            links = table.near.links
            if self.looks == AT_ONCE or links.quiet():
                found = _found(plan, table, values, me)
                if found is not None:
                    return Ask(KNOWN, _served(plan, found)), _FOUND
            for bucket in table.places.buckets:
                if links.is_due(bucket.generation):
                    return Ask(links, bucket.generation), _NOT_ASKED
        return flow.begin(plan, table, values, me)

    def serve(self, plan: Plan, table: Any, known: Any, seen: Any) -> Any:
        if known is _FOUND:
            return seen
        # What is to be kept takes the longer way, once.
        if plan.keeping.nearby or known is _NOT_ASKED:
            return MISSING
        return flow.serve(plan, table, known, seen)

    def answer(
        self, plan: Plan, table: Any, values: Any, me: object, begun: tuple[Any, Any]
    ) -> Generator[Step, Any, Any]:
        if begun[0] is _NOT_ASKED:
            begun = None, None
            first = flow.begin(plan, table, values, me)
            if first is not None:
                begun = first[1], (yield first[0])
        return (yield from flow.answer(plan, table, values, me, begun))

    def forget(
        self, plan: Plan, table: Any, values: Any, me: object, cause: Cause
    ) -> Generator[Ask, Any, bool]:
        try:
            return (yield from super().forget(plan, table, values, me, cause))
        finally:
            # Also where it failed: it may have been carried out.
            table.forget_one(plan, values, me)

    def put(
        self, plan: Plan, table: Any, values: Any, me: object, value: Any, kind: str
    ) -> Generator[Ask, Any, bool]:
        try:
            return (yield from super().put(plan, table, values, me, value, kind))
        finally:
            table.forget_one(plan, values, me)


class _Doubted(NamedTuple):
    """What is kept of a call, and how the server is asked whether it still has it."""

    reading: LocalReading
    kept: Kept


class Strict(Tiered):
    """No entry is served from this process that the server has not confirmed for this very call."""

    def begin(self, plan: Plan, table: Any, values: Any, me: object) -> tuple[Ask, Any] | None:
        if plan.keeping.nearby and not clock.switches and table.tier.trusted:
            found = _found(plan, table, values, me)
            reading: Any = None if found is None else named(plan, table, values, me)
            if found is not None and reading is not None:
                asked = Ask(table.tier, reading.entry, reading.glance(len(found.stamp)))
                return asked, _Doubted(reading, found)
        return flow.begin(plan, table, values, me)

    def serve(self, plan: Plan, table: Any, known: Any, seen: Any) -> Any:
        if type(known) is not _Doubted:
            return super().serve(plan, table, known, seen)
        confirmed = seen is not None and known.reading.confirmed(
            seen[0], seen[1], known.kept.stamp, table.tier.sealer
        )
        return _served(plan, known.kept) if confirmed else MISSING

    def answer(
        self, plan: Plan, table: Any, values: Any, me: object, begun: tuple[Any, Any]
    ) -> Generator[Step, Any, Any]:
        if type(begun[0]) is _Doubted:
            begun = _NOT_ASKED, None
        return (yield from super().answer(plan, table, values, me, begun))


def _found(plan: Plan, table: LocalTable, values: Any, me: object) -> Kept | None:
    found = table.found(plan, values, me)
    if found is None or found.intact:
        return found
    if table.drop(plan.encode(values, me), found):
        changed(plan, values)
    return None


def _served(plan: Plan, found: Kept) -> Any:
    found.hits += 1
    hand = plan.keeping.hand
    return found.value if hand is None else hand(found.value)


COHERENCE: Final = {
    "poll": Tiered(WATCHED),
    "listener": Tiered(AT_ONCE),
    "strict": Strict(NOWHERE),
}
"""How calls are answered, by what a cache says of its local tier."""
