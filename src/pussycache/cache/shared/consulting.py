"""Finding out about a call: what its generations are, and whether there is an entry to serve.

Flows that ask, and load nothing. What follows from a reply is said in reading.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pussycache.cache.shared.reading import ABSENT, BYPASS, CREATE, DOWN, HIT, RULES, Verdict
from pussycache.cache.shared.tags import Tagging
from pussycache.engine import clock
from pussycache.engine.asking import Ask
from pussycache.engine.plan import uncacheable
from pussycache.engine.singleflight import (
    Failure,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from pussycache.cache.shared.reading import (
        ABSENT,
        BYPASS,
        CREATE,
        DOWN,
        HIT,
        RULES,
        Reading,
        Verdict,
    )
    from pussycache.cache.shared.tables import SharedTable
    from pussycache.engine.plan import Plan

__all__ = ["NOBODY", "UNKNOWN_RULE", "consult", "handed", "known", "named", "untagged"]


_ATTEMPTS: Final = 5
"""How often generations that are lost again and again are made anew, before it is given up."""

NOBODY: Final = Verdict(DOWN)
UNKNOWN_RULE: Final = "uncacheable"


def named(
    plan: Plan, table: SharedTable, values: tuple[Any, ...], me: object, forgets: bool = False
) -> Reading | None:
    """Return how a call is known to the server, if its entry may be used at all.

    :param forgets: it is not to be used but to be forgotten: by others it may be used.
    """
    if not forgets and (clock.switches or (table.fences and table.fenced(values))):
        return None
    if not forgets and plan.tags is not None and table.tags.are_old_here:
        return None
    try:
        return table.reading(plan, values, me)
    except Exception as error:
        uncacheable(plan, table, error, values)
        return None


def known(
    plan: Plan,
    table: SharedTable,
    values: tuple[Any, ...],
    me: object,
    verdict: Verdict | None = None,
    forgets: bool = False,
) -> Generator[Ask, Any, tuple[Reading | None, Verdict]]:
    """Return how a call is known to the server, and what there is; no reading if it has no key.

    :param verdict: what the server said, if it has been asked already.
    :param forgets: see `named`.
    """
    while True:
        reading = named(plan, table, values, me, forgets)
        if reading is None:
            return None, Verdict(BYPASS)
        verdict = yield from consult(plan, table, reading, verdict)
        if verdict.kind != RULES:
            return reading, verdict
        if not table.adopt(verdict.rules, plan):
            return (reading if forgets else None), Verdict(UNKNOWN_RULE)
        verdict = None


def consult(
    plan: Plan, table: SharedTable, reading: Reading, verdict: Verdict | None = None
) -> Generator[Ask, Any, Verdict]:
    """Ask the server about a call; generations that are missing are made."""
    tier = table.tier
    look = reading.look()
    making: list[tuple[Any, ...]] = []
    if verdict is not None:
        if verdict.refused is not None:
            tier.refuse(verdict.refused.value)
        if verdict.kind != CREATE:
            return (yield from untagged(plan, table, verdict))
        making = reading.create(verdict.missing, table.lasting(plan))
    for _ in range(_ATTEMPTS):
        if not tier.trusted:
            return NOBODY
        # With the same tokens they must not be asked for twice: those may be dead by then.
        seen = yield Ask(tier, reading.entry, [*making, *look], not making)
        if seen is None:
            return NOBODY
        replies, replication = seen
        verdict = reading.judge(replies[len(making) :], replication, tier.sealer)
        if verdict.refused is not None:
            tier.refuse(verdict.refused.value)
        if verdict.kind != CREATE:
            return (yield from untagged(plan, table, verdict))
        making = reading.create(verdict.missing, table.lasting(plan))
    return NOBODY


def untagged(plan: Plan, table: SharedTable, verdict: Verdict) -> Generator[Ask, Any, Verdict]:
    """Take the tags off what was found; it is not to be served if one has been forgotten."""
    if plan.tags is None or verdict.kind != HIT:
        return verdict
    try:
        tagging, payload = Tagging.read(verdict.payload)
    except ValueError:
        table.tier.refuse("undecodable")
        return Verdict(ABSENT, verdict.header)
    if not (yield from table.tags.hold(tagging)):
        return Verdict(ABSENT, verdict.header)
    return verdict._replace(payload=payload)


def handed(plan: Plan, outcome: Any) -> Any:
    return outcome if type(outcome) is Failure else plan.keeping.passed(outcome)
