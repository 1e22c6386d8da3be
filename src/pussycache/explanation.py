"""Why a call would hit, or miss, as far as this process knows: how that is found out.

Nothing is loaded or counted here. What is said of it is in engine/reasons.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pussycache.declare.keys import why_not
from pussycache.engine import clock
from pussycache.engine.entry import EVICTED, Tended, shown
from pussycache.engine.failures import Remembered
from pussycache.engine.generations import AT_WORK, BYPASSED, CHANGED
from pussycache.engine.reasons import Explanation, again, aged, because, good_for

if TYPE_CHECKING:
    from pussycache.engine.entry import Entry
    from pussycache.engine.generations import Table
    from pussycache.engine.plan import Plan

__all__ = ["Explanation", "explained", "together", "uncached"]


def explained(plan: Plan, table: Table, me: object, values: tuple[Any, ...]) -> Explanation:
    """Explain one call, given its bound arguments."""
    label = plan.label
    if clock.switches:
        return Explanation(label, False, "not-stored", detail="caching is switched off")
    try:
        key = plan.encode(values, me)
    except Exception as error:
        return uncached(plan, error)
    fence = table.at_work(values) if table.fences else None
    if fence is not None:
        return because(label, BYPASSED, fence.cause, detail=AT_WORK)
    entry = table.entries.get(key)
    if entry is not None:
        left = entry.deadline - clock.read()
        if left > 0 and isinstance(entry, Tended) and not table.current(entry):
            return because(label, "invalidated", table.home.tags.why(entry))
        if left > 0 and not entry.intact:
            return Explanation(label, False, "invalidated", detail=CHANGED)
        if left > 0:
            return _kept(label, entry, left)
        return because(label, "expired", None, clock.wall() + left)
    reason, cause, when, detail = table.home.history.last(table.serial, key)
    return because(label, reason, cause, when, table.home.bounds if reason == EVICTED else detail)


def uncached(plan: Plan, error: Exception) -> Explanation:
    """Explain a call without a key."""
    return Explanation(plan.label, False, "uncacheable", detail=why_not(error))


def together(plan: Plan, told: list[tuple[Any, Explanation]]) -> Explanation:
    """Explain a call for many ids: it hits where each of them does; one is named, if need be."""
    misses = [(one, found) for one, found in told if not found.hit]
    for one, found in misses or [(one, found) for one, found in told if found.when is not None]:
        # The first that misses, or else the first that is old.
        named = f"id {shown({'id': one})['id']}"
        detail = named if found.detail is None else f"{named}: {found.detail}"
        return found._replace(detail=detail)
    return Explanation(plan.label, True, "hit", detail=f"all of {len(told)} ids")


def _kept(label: str, entry: Entry, left: float) -> Explanation:
    if type(entry.value) is Remembered:
        return again(label, entry.value, left)
    age = entry.age if isinstance(entry, Tended) else None
    if age is None:
        return Explanation(label, True, "hit", detail=good_for(left))
    return aged(label, age, left)
