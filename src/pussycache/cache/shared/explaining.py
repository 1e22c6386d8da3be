"""Why a call would hit, or miss, whose entry is in a server: how that is found out.

A flow that asks and loads nothing. Missing generations are made, as by any call.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from pussycache.cache.envelope import Sealed, as_error
from pussycache.cache.shared.authors import asked, latest
from pussycache.cache.shared.consulting import known
from pussycache.cache.shared.reading import BYPASS, DOWN, HIT
from pussycache.cache.shared.tags import Tagging
from pussycache.declare.keys import why_not
from pussycache.engine import clock
from pussycache.engine.asking import Ask
from pussycache.engine.generations import AT_WORK, BYPASSED
from pussycache.engine.reasons import Explanation, again, aged, because, good_for, moment

if TYPE_CHECKING:
    from collections.abc import Generator

    from pussycache.cache.shared.authors import Author
    from pussycache.cache.shared.reading import Reading, Verdict
    from pussycache.cache.shared.tables import SharedTable
    from pussycache.engine.plan import Plan

__all__ = ["explain"]

_ABOUT: Final = 0.01
"""Seconds by which a time that is worked out of the server's may be too early."""
_UNKNOWN_RULE: Final = "a rule of another process names a parameter that this method does not have"
_NOT_KNOWN: Final = "by what is not known any more, or the write has not ended"
_ELSEWHERE: Final = "or expired, or evicted: the server does not tell"


def explain(
    plan: Plan, table: SharedTable, values: Any, me: object
) -> Generator[Ask, Any, Explanation]:
    """Say why a call would hit, or miss."""
    label = plan.label
    fence = table.at_work(values) if table.fences else None
    if fence is not None:
        return because(label, BYPASSED, fence.cause, detail=AT_WORK)
    try:
        # Not by way of `known`, which counts it and warns.
        table.reading(plan, values, me)
    except Exception as error:
        return Explanation(label, False, "uncacheable", detail=why_not(error))
    reading, verdict = yield from known(plan, table, values, me)
    if verdict.kind == BYPASS:
        return Explanation(label, False, BYPASSED, detail=AT_WORK)
    if reading is None:
        return Explanation(label, False, "uncacheable", detail=_UNKNOWN_RULE)
    if verdict.kind == DOWN:
        return _down(label, table, reading)
    if verdict.kind == HIT:
        return (yield from _hit(plan, table, reading, verdict))
    if verdict.refused is not None:
        return _refused(label, verdict.refused.value)
    return (yield from _missing(plan, table, reading))


def _refused(label: str, why: str) -> Explanation:
    return Explanation(label, False, "not-stored", detail=f"what the server has is refused: {why}")


def _down(label: str, table: SharedTable, reading: Reading) -> Explanation:
    tier = table.tier
    outage = tier.server.outage(reading.entry)
    said = [] if outage is None else [outage.why]
    pending = len(tier.pending())
    if pending:
        said.append(f"{pending} invalidations are pending")
    since = None if outage is None else clock.wall() - outage.seconds
    if tier.keeper.is_closed:
        said.insert(0, "the cache was closed")
    detail = "; ".join(said) or "the server gives no answer"
    return Explanation(label, False, DOWN, moment(since), detail=detail)


def _hit(
    plan: Plan, table: SharedTable, reading: Reading, verdict: Verdict
) -> Generator[Ask, Any, Explanation]:
    label = plan.label
    found = table.opened(plan, verdict)
    if found is None:
        return _refused(label, "undecodable")
    seen = yield Ask(table.tier, reading.entry, [(b"PTTL", reading.entry)])
    milliseconds = -1 if seen is None else seen[0][0]
    # Without a ttl it is a negative number, and it may be gone by now.
    left = milliseconds / 1000.0 if milliseconds >= 0 else math.inf
    if verdict.is_error:
        return again(label, found.value, left)
    if found.age is None:
        return Explanation(label, True, "hit", detail=good_for(left))
    return aged(label, found.age, left)


def _missing(plan: Plan, table: SharedTable, reading: Reading) -> Generator[Ask, Any, Explanation]:
    tier, label, bucket = table.tier, plan.label, reading.bucket
    marks = [*reading.generations, reading.entry]
    look = [*reading.look(), (b"GET", reading.entry)]
    seen = yield Ask(tier, reading.entry, [*look, *asked([bucket.told_at(key) for key in marks])])
    if seen is None or isinstance(seen[0][len(look) - 1], Exception):
        return _down(label, table, reading)
    *replies, entry = seen[0][: len(look)]
    told = seen[0][len(look) :]
    author = latest(told, marks)
    if entry is None:
        return _absent(label, table, reading, author)
    verdict = reading.judge(replies, seen[1], tier.sealer)
    if verdict.kind == HIT:
        return (yield from _tagged(plan, table, verdict))
    if verdict.header and entry.startswith((verdict.header, as_error(verdict.header))):
        return Explanation(label, False, "expired", detail="it has not been used for its idle_ttl")
    opened = tier.sealer.open(reading.entry, entry)
    if isinstance(opened, Sealed) and verdict.header.endswith(opened.generations):
        if not verdict.header.startswith(opened.replication, 3):
            detail = "it was stored in a server that another has taken over from"
            return Explanation(label, False, "invalidated", detail=detail)
        return _refused(label, "it was stored under another declaration")
    if author is None:
        return Explanation(label, False, "invalidated", detail=_NOT_KNOWN)
    return author.blamed(label)


def _tagged(plan: Plan, table: SharedTable, verdict: Verdict) -> Generator[Ask, Any, Explanation]:
    """Explain a call whose entry is there, and would be served but for its tags."""
    if plan.tags is None:
        # Stored since the first look.
        return Explanation(plan.label, True, "hit")
    try:
        tagging, _ = Tagging.read(verdict.payload)
    except ValueError:
        return _refused(plan.label, "undecodable")
    if (yield from table.tags.hold(tagging)):
        return Explanation(plan.label, True, "hit")
    author = yield from table.tags.author(tagging.names)
    if author is None:
        return Explanation(plan.label, False, "invalidated", detail=_NOT_KNOWN)
    return author.blamed(plan.label, "one of its tags was forgotten")


def _absent(label: str, table: SharedTable, reading: Reading, author: Author | None) -> Explanation:
    """Explain a call that has no entry.

    :param author: who has forgotten it, if that was done for this call alone.
    """
    reason, _, when, detail = table.home.history.last(table.serial, reading.entry)
    if author is not None and reason == BYPASSED:
        return author.blamed(label, detail)._replace(reason=BYPASSED)
    if author is not None and (when is None or author.when > when - _ABOUT):
        return author.blamed(label)
    reason, cause, when, detail = table.gone(reading)
    return because(label, reason, cause, when, _ELSEWHERE if reason == "never-cached" else detail)
