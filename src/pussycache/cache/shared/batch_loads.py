"""What becomes of the ids of one call that are to be loaded: leases, one load, and storing.

Which those are, and what the others are answered with, is said in batches.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pussycache.cache.envelope import as_error
from pussycache.cache.shared.consulting import untagged
from pussycache.cache.shared.landing import old_value, over, tagged
from pussycache.cache.shared.lease import taking
from pussycache.cache.shared.reading import HIT
from pussycache.cache.shared.scripts import RELEASE, STORE
from pussycache.engine import clock
from pussycache.engine.asking import Ask
from pussycache.engine.flow import Part
from pussycache.engine.generations import OVERTAKEN
from pussycache.engine.singleflight import (
    ABANDONED,
    ALONE,
    Failure,
    Flight,
    error_of,
)
from pussycache.engine.staleness import AHEAD, FRESH
from pussycache.errors import ConfigurationError
from pussycache.types import MISSING

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from pussycache.cache.shared.payload import Written
    from pussycache.cache.shared.reading import Reading
    from pussycache.cache.shared.tables import SharedTable
    from pussycache.engine.flow import Step
    from pussycache.engine.ids import Wanted
    from pussycache.engine.plan import Plan

__all__ = [
    "Open",
    "ask_together",
    "lease_anew",
    "lease_some",
    "load_apart",
    "load_some",
    "renew_some",
]


class Open(NamedTuple):
    """An id that is to be loaded, as it is known to the server.

    ``epoch`` is that of the tags, where entries carry tags.
    """

    one: Wanted
    reading: Reading
    header: bytes
    lease: bytes
    epoch: bytes | None = None

    @property
    def key(self) -> tuple[bytes, bytes]:
        return self.reading.entry, self.header


def ask_together(
    table: SharedTable, commands: list[tuple[bytes, tuple[Any, ...]]]
) -> Generator[Ask, Any, list[Any]]:
    """Ask as few servers as may be; a reply comes with its replication id, or is `None`."""
    tier = table.tier
    parts: dict[bytes, list[int]] = {}
    for i, (key, _) in enumerate(commands):
        tag = key[key.index(b"{") : key.index(b"}")] if tier.buckets > 1 else b""
        parts.setdefault(tag, []).append(i)
    replies: list[Any] = [None] * len(commands)
    for places in parts.values():
        seen = yield Ask(tier, commands[places[0]][0], [commands[i][1] for i in places])
        if seen is not None:
            for i, reply in zip(places, seen[0], strict=True):
                replies[i] = reply, seen[1]
    return replies


def lease_some(
    plan: Plan, table: SharedTable, mine: list[tuple[Open, Flight]], found: dict[Any, Any]
) -> Generator[Ask, Any, list[tuple[Open, Flight]]]:
    """Take the leases of what is to be loaded; return what nobody has stored meanwhile.

    Where another process loads an id, this one loads it too, and does not store it.
    """
    tier = table.tier
    replies = yield from ask_together(
        table,
        [
            (one.reading.entry, command)
            for one, _ in mine
            for command in taking(one.reading.lease, one.reading.entry, one.lease, tier.lease_ms)
        ],
    )
    there = []
    for load, held, exists in zip(mine, replies[::2], replies[1::2], strict=True):
        if exists is not None and exists[0]:
            there.append(load)
        # Who joins asks whether it still stands: what forgets a call takes it away.
        name = None if held is None else held[0]
        load[1].lease = name.removesuffix(b"w") if isinstance(name, bytes) else load[0].lease
    early = [len(flight) for _, flight in there]
    looks = [(one.reading.entry, command) for one, _ in there for command in one.reading.look()]
    replies = yield from ask_together(table, looks)
    stored = set()
    for (one, flight), waiting in zip(there, early, strict=True):
        count = len(one.reading.look())
        seen, replies = replies[:count], replies[count:]
        if seen[0] is None:
            continue
        verdict = one.reading.judge([reply for reply, _ in seen], seen[0][1], tier.sealer)
        verdict = yield from untagged(plan, table, verdict)
        if verdict.kind != HIT or verdict.is_error or verdict.header != one.header:
            continue
        got = table.opened(plan, verdict)
        if got is not None and got.stage in (FRESH, AHEAD):
            found[one.one.id] = got.given(plan)
            tier.keeper.release(one.reading.lease, one.lease)
            # Who joined after the look looks again: this may have been forgotten in between.
            over(table, one.key, flight, got.value, waiting)
            stored.add(one.key)
    return [(one, flight) for one, flight in mine if one.key not in stored]


def lease_anew(
    table: SharedTable, mine: list[tuple[Open, Flight]], *how: bytes
) -> Generator[Ask, Any, None]:
    """Take the leases of what is to be loaded, whatever is stored."""
    until = (*how, b"PX", table.tier.lease_ms)
    yield from ask_together(
        table,
        [(one.reading.entry, (b"SET", one.reading.lease, one.lease, *until)) for one, _ in mine],
    )
    for one, flight in mine:
        flight.lease = one.lease


def load_some(
    plan: Plan,
    table: SharedTable,
    part: Part,
    mine: list[tuple[Open, Flight]],
    alone: Iterable[Wanted],
    me: object,
) -> Generator[Step, Any, Any]:
    """Load some ids in one call, store what it brought, and return that by id; or a `Failure`."""
    tier = table.tier
    try:
        for one, _ in mine:
            tier.keeper.keep_lease(one.reading.lease, one.lease)
        for one, flight in mine:
            flight.epoch = one.epoch
        got: Any = yield part
        if type(got) is not Failure and not isinstance(got, Mapping):
            got = Failure(
                ConfigurationError(
                    f"{plan.label} returned {type(got).__qualname__}, and a method with each= "
                    "must return a mapping from ids to results; nothing is stored"
                )
            )
        return (yield from _ended(plan, table, mine, alone, me, got))
    finally:
        for one, _ in mine:
            tier.keeper.let_go_of_lease(one.lease)


def _ended(
    plan: Plan,
    table: SharedTable,
    mine: list[tuple[Open, Flight]],
    alone: Iterable[Wanted],
    me: object,
    got: Any,
) -> Generator[Step, Any, Any]:
    tier, keeping = table.tier, plan.keeping
    found: dict[Any, Any] = {}
    told: list[tuple[Open, Flight, Any]] = []
    commands: list[tuple[bytes, tuple[Any, ...]]] = []
    failure: Failure | None = got if type(got) is Failure else None
    for one, flight in mine:
        header, written, outcome = one.header, None, failure
        if failure is None:
            result = got.get(one.one.id, MISSING)
            if result is MISSING:
                header, written = _absent(plan, table, one)
                found[one.one.id], outcome = MISSING, ALONE
            else:
                kept = keeping.of(result, me, flight.begun)
                with table.lock:
                    table.ended(flight, failed=False)
                why = kept.why
                if kept.expires is not None:
                    written, why = table.written(plan, kept)
                if written is not None and plan.tags is not None:
                    tags = plan.tags.of(one.one.values, kept.stored)
                    written = yield from tagged(table, written, tags, one.epoch)
                    why = OVERTAKEN
                if written is None:
                    table.rejected += 1
                    table.note(one.reading, "not-stored", why)
                found[one.one.id] = kept.handed
                outcome = kept.stored if kept.shared else ALONE
        else:
            with table.lock:
                table.ended(flight, failed=True)
            old = None
            if keeping.aging is not None and isinstance(failure.error, Exception):
                old = yield from old_value(plan, table, one.reading, one.header)
            if old is not None:
                table.paused(one.reading, old, failure.error)
                table.served_old("load-failed")
                found[one.one.id], outcome = old.given(plan), old.value
            elif not isinstance(failure.error, Exception):
                outcome = ABANDONED
        told.append((one, flight, outcome))
        commands += _storing(tier, one.reading, header, written, one.lease)
    yield from ask_together(table, commands)
    for one, flight, outcome in told:
        over(table, one.key, flight, outcome)
    if failure is not None:
        whole = len(found) == len(mine) and not list(alone)
        return found if whole else failure
    for single in alone:
        found[single.id] = keeping.passed(got.get(single.id, MISSING))
    return found


def _absent(plan: Plan, table: SharedTable, one: Open) -> tuple[bytes, Written | None]:
    """Return what is stored of an id that is not in the answer, where the policy remembers that."""
    keeping = plan.keeping
    kept, remembered = keeping.absent(None), keeping.absence(one.one.id)
    error: Any = KeyError(one.one.id)
    if kept is not None and kept.expires is not None:
        lasting = abs(kept.expires) - clock.read()
    elif remembered is not None:
        error, lasting = remembered[0].again(), remembered[1] - clock.read()
    else:
        return one.header, None
    written = None if plan.tags is not None else table.written(plan, (error, lasting))[0]
    return as_error(one.header), written


def _storing(
    tier: Any, reading: Reading, header: bytes, written: Written | None, lease: bytes
) -> list[tuple[bytes, tuple[Any, ...]]]:
    if written is None:
        return [(reading.entry, RELEASE.call((reading.lease,), lease, tier.channel))]
    until = b"" if written.milliseconds is None else written.milliseconds
    entry = tier.sealer.seal(reading.entry, header, written.payload)
    store = STORE.call((reading.lease, reading.entry), lease, tier.channel, entry, until)
    return [(reading.entry, command) for command in (*reading.noted(), store)]


def load_apart(
    whole: Flight,
    plan: Plan,
    table: SharedTable,
    part: Part,
    mine: list[tuple[Open, Flight]],
    alone: list[Wanted],
    me: object,
) -> Generator[Step, Any, None]:
    """Load apart, and tell the caller as long as it waits."""
    try:
        outcome = yield from load_some(plan, table, part, mine, alone, me)
    except Exception as error:
        for one, flight in mine:
            over(table, one.key, flight, ABANDONED)
        outcome = Failure(error)
    given_up = type(outcome) is Failure and not isinstance(outcome.error, Exception)
    whole.land(ABANDONED if given_up else outcome)


def renew_some(
    plan: Plan,
    table: SharedTable,
    part: Part,
    loads: list[tuple[Open, Flight]],
    me: object,
) -> Generator[Step, Any, None]:
    """Load some ids beside the call that was answered with their old values."""
    yield from lease_anew(table, loads, b"NX")
    outcome = yield from load_some(plan, table, part, loads, [], me)
    for _ in loads:
        table.renewed(error_of(outcome))
