"""What is due when a load has ended, or takes too long: storing, telling who waits, old values.

How a load comes about is said in loading.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pussycache.cache.envelope import as_error
from pussycache.cache.shared.consulting import consult
from pussycache.cache.shared.payload import Found, Written
from pussycache.cache.shared.reading import HIT
from pussycache.cache.shared.scripts import RELEASE, STORE
from pussycache.cache.shared.tables import STORED
from pussycache.engine import clock
from pussycache.engine.asking import Ask
from pussycache.engine.generations import BYPASSED, OVERTAKEN
from pussycache.engine.singleflight import (
    ABANDONED,
    ALONE,
    Failure,
    Flight,
)
from pussycache.engine.tags import ANY
from pussycache.errors import LoadTimeout

if TYPE_CHECKING:
    from collections.abc import Generator

    from pussycache.cache.shared.reading import Reading
    from pussycache.cache.shared.tables import SharedTable
    from pussycache.cache.shared.tier import Seen, Tier
    from pussycache.engine.flow import Step
    from pussycache.engine.plan import Plan

__all__ = ["landed", "late", "old_value", "over", "tagged"]


def landed(
    plan: Plan,
    table: SharedTable,
    reading: Reading,
    header: bytes,
    lease: bytes,
    flight: Flight,
    me: object,
    outcome: Any,
    epoch: bytes | None,
) -> Generator[Step, Any, Any]:
    """Do what is due when a load has ended, and return what its caller is given.

    :param epoch: that of the tags when the load began, where entries carry tags.
    """
    tier, keeping, key = table.tier, plan.keeping, (reading.entry, header)
    failure = outcome
    if type(outcome) is not Failure:
        try:
            kept = keeping.plainly(outcome, me) or keeping.of(outcome, me, flight.begun)
            why = kept.why
            written: Written | None = None
            tags: tuple[str, ...] = ()
            if kept.expires is not None:
                written, why = table.written(plan, kept)
                if plan.tags is not None:
                    tags = plan.tags.of(flight.values, kept.stored)
        except BaseException as error:
            failure = Failure(error)
        else:
            with table.lock:
                table.ended(flight, failed=False)
            if written is not None and plan.tags is not None:
                written = yield from tagged(table, written, tags, epoch)
                why = OVERTAKEN
            if written is None:
                table.rejected += 1
                table.note(reading, "not-stored", why)
                yield Ask(tier, reading.entry, [_release(tier, reading, lease)])
            else:
                until = b"" if written.milliseconds is None else written.milliseconds
                entry = tier.sealer.seal(reading.entry, header, written.payload)
                where = reading.lease, reading.entry
                store = STORE.call(where, lease, tier.channel, entry, until)
                replies = yield Ask(tier, reading.entry, [*reading.noted(), store])
                noted(table, reading, written, replies)
                table.stored(plan, reading, header, entry, kept, replies)
            over(table, key, flight, kept.stored if kept.shared else ALONE)
            return kept.handed
    with table.lock:
        table.ended(flight, failed=True)
    raised = failure.error
    old = None
    if type(outcome) is Failure and isinstance(raised, Exception) and keeping.aging is not None:
        # As it is now: since the load began, a write may have made it wrong.
        old = yield from old_value(plan, table, reading, header)
    if old is None and keeping.errors and isinstance(raised, Exception):
        yield from _remembered(plan, table, reading, header, lease, flight, raised, epoch)
    yield Ask(tier, reading.entry, [_release(tier, reading, lease)])
    if old is not None:
        table.paused(reading, old, raised)
        table.served_old("load-failed", len(flight) + 1)
        over(table, key, flight, old.value)
        return old.given(plan)
    over(table, key, flight, failure if isinstance(raised, Exception) else ABANDONED)
    return failure


def noted(table: SharedTable, reading: Reading, written: Written, replies: Seen | None) -> None:
    """Remember what became of what was to be stored, for explanations."""
    if replies is None:
        table.note(reading, "not-stored", "the server gave no answer")
    elif replies[0][-1] == 1:
        milliseconds = written.milliseconds
        until = None if milliseconds is None else clock.wall() + milliseconds / 1000.0
        table.note(reading, STORED, until)
    else:
        # Its lease was taken away.
        table.note(reading, BYPASSED, OVERTAKEN)


def _release(tier: Tier, reading: Reading, lease: bytes) -> tuple[Any, ...]:
    return RELEASE.call((reading.lease,), lease, tier.channel)


def old_value(
    plan: Plan, table: SharedTable, reading: Reading, header: bytes
) -> Generator[Ask, Any, Found | None]:
    """Return what there is to answer with, as it is now, when a load has failed or takes long."""
    verdict = yield from consult(plan, table, reading)
    if verdict.kind != HIT or verdict.header != header or verdict.is_error:
        return None
    return table.opened(plan, verdict)


def _remembered(
    plan: Plan,
    table: SharedTable,
    reading: Reading,
    header: bytes,
    lease: bytes,
    flight: Flight,
    raised: Exception,
    epoch: bytes | None,
) -> Generator[Ask, Any, None]:
    """Store an exception, if it is to be remembered."""
    tier = table.tier
    found = plan.keeping.failure(raised)
    if found is None or (yield from old_value(plan, table, reading, header)) is not None:
        return
    written, _ = table.written(plan, (raised, found[1] - clock.read()))
    if written is not None and plan.tags is not None:
        tags = plan.tags.before(flight.values)
        # Where only a result would say which tags it carries, it might be any.
        written = None if tags is ANY else (yield from tagged(table, written, tags, epoch))
    if written is not None:
        entry = tier.sealer.seal(reading.entry, as_error(header), written.payload)
        where = reading.lease, reading.entry
        until = b"" if written.milliseconds is None else written.milliseconds
        yield Ask(
            tier,
            reading.entry,
            [*reading.noted(), STORE.call(where, lease, tier.channel, entry, until)],
        )


def tagged(
    table: SharedTable, written: Written, tags: tuple[str, ...], epoch: bytes | None
) -> Generator[Ask, Any, Written | None]:
    """Put tags on what is to be stored; `None` if one was forgotten since the load began."""
    tagging = yield from table.tags.tagging(tags, epoch)
    if tagging is None:
        return None
    return Written(tagging.write() + written.payload, written.milliseconds)


def late(
    plan: Plan, table: SharedTable, reading: Reading, header: bytes
) -> Generator[Ask, Any, Any]:
    """Answer a caller who has waited long enough: with an old value, where a policy allows one."""
    table.waited_in_vain()
    old = None
    if plan.keeping.aging is not None:
        old = yield from old_value(plan, table, reading, header)
    if old is not None:
        table.served_old("timeout")
        return old.given(plan)
    return Failure(
        LoadTimeout(
            f"{plan.label} has not returned within its timeout of {plan.keeping.timeout:g} s; "
            "the load goes on, and its result is stored"
        )
    )


def over(
    table: SharedTable, key: Any, flight: Flight, outcome: Any, early: int | None = None
) -> None:
    """End a load in this process, and tell everybody who waits.

    :param early: how many of the first to wait are told the outcome; the others try again.
    """
    table.lose(key, flight)
    if early is not None:
        late = flight[early:]
        del flight[early:]
        for tell in late:
            tell(ABANDONED)
    flight.land(outcome)
