"""Working on one call whose entry is in a server: peek, forget, put; and how calls are answered,
all in one: `SHARED`.

Each is a flow that asks and does nothing else. `explain` is in explaining.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pussycache.cache.shared import batches, explaining, flow
from pussycache.cache.shared.authors import LASTING, marked, signed
from pussycache.cache.shared.consulting import UNKNOWN_RULE, known, named
from pussycache.cache.shared.landing import tagged
from pussycache.cache.shared.reading import ABSENT, BYPASS, HIT
from pussycache.cache.shared.spreading import heard, spread
from pussycache.engine.asking import NOWHERE
from pussycache.engine.staleness import SPENT
from pussycache.errors import BackendUnavailable
from pussycache.types import MISSING

if TYPE_CHECKING:
    from collections.abc import Generator

    from pussycache.cache.shared.reading import Reading
    from pussycache.cache.shared.tables import SharedTable
    from pussycache.engine.asking import Ask
    from pussycache.engine.entry import Cause
    from pussycache.engine.flow import Step
    from pussycache.engine.plan import Plan

__all__ = ["SHARED", "Shared"]


class Shared:
    """How calls are answered whose entries are in a server."""

    looks = NOWHERE

    begin = staticmethod(flow.begin)
    serve = staticmethod(flow.serve)
    answer = staticmethod(flow.answer)
    reload = staticmethod(flow.reload)
    explain = staticmethod(explaining.explain)

    def gather(
        self, plan: Plan, ids: Any, table: SharedTable, values: Any, me: object
    ) -> Generator[Step, Any, Any]:
        return batches.gather(plan, ids, table, values, me)

    def gather_anew(
        self, plan: Plan, ids: Any, table: SharedTable, values: Any, me: object
    ) -> Generator[Step, Any, Any]:
        return batches.gather_anew(plan, ids, table, values, me)

    def peek(
        self, plan: Plan, table: SharedTable, values: Any, me: object
    ) -> Generator[Ask, Any, Any]:
        reading, verdict = yield from known(plan, table, values, me)
        if reading is None or verdict.kind != HIT:
            return MISSING
        found = table.opened(plan, verdict)
        if found is None or verdict.is_error or found.stage == SPENT:
            return MISSING
        return found.given(plan)

    def forget(
        self, plan: Plan, table: SharedTable, values: Any, me: object, cause: Cause
    ) -> Generator[Ask, Any, bool]:
        """Forget one entry: a load of it that is under way loses its lease, and is not stored."""
        reading, verdict = yield from known(plan, table, values, me, forgets=True)
        if reading is None:
            return False
        for key in [key for key in list(table.flights) if key[0] == reading.entry]:
            table.flights.pop(key, None)
        author = marked(reading.entry, signed(cause))
        commands = [
            (b"DEL", reading.lease),
            (b"UNLINK", reading.entry),
            (b"SET", reading.bucket.told_at(reading.entry), author, b"PX", LASTING),
            reading.told(),
        ]
        seen = yield from spread(table.tier, reading.entry, heard(table.tier, commands))
        if seen is None or isinstance(seen[0][-1], Exception):
            raise _unreachable(f"{plan.label} was not forgotten", table, reading)
        if verdict.kind == HIT:
            with table.lock:
                table.made_wrong(cause)
            table.home.sweep()
            table.home.history.note(table.serial, reading.entry, "invalidated", cause)
        return bool(verdict.kind == HIT)

    def put(
        self, plan: Plan, table: SharedTable, values: Any, me: object, value: Any, kind: str
    ) -> Generator[Ask, Any, bool]:
        reading, verdict = yield from known(plan, table, values, me, forgets=True)
        if reading is None or verdict.kind == BYPASS:
            return False
        if verdict.kind not in (HIT, ABSENT, UNKNOWN_RULE):
            raise _unreachable(f"the value of {plan.label} was not stored", table, reading)
        # What may not be used here is forgotten.
        usable = verdict.kind != UNKNOWN_RULE and named(plan, table, values, me) is not None
        keeping, tier = plan.keeping, table.tier
        epoch = None if plan.tags is None else (yield from table.tags.epoch())
        kept = keeping.of(keeping.given(value, kind), me)
        written = None
        if usable and kept.expires is not None:
            written, _ = table.written(plan, kept)
            if written is not None and plan.tags is not None:
                tags = plan.tags.of(values, kept.stored)
                written = yield from tagged(table, written, tags, epoch)
        # A load that is under way began before this, and is not stored.
        commands: list[tuple[Any, ...]] = [(b"DEL", reading.lease)]
        if written is None:
            commands += [(b"UNLINK", reading.entry), reading.told()]
        else:
            until = () if written.milliseconds is None else (b"PX", written.milliseconds)
            header, told = reading.replaced(verdict.header)
            entry = tier.sealer.seal(reading.entry, header, written.payload)
            commands += [*reading.noted(), (b"SET", reading.entry, entry, *until), told]
        seen = yield from spread(tier, reading.entry, heard(tier, commands))
        if seen is None or isinstance(seen[0][-1], Exception):
            raise _unreachable(f"the value of {plan.label} was not stored", table, reading)
        return written is not None


def _unreachable(what: str, table: SharedTable, reading: Reading) -> BackendUnavailable:
    return BackendUnavailable(f"{what}: {table.tier.silence(reading.entry)}")


SHARED: Final = Shared()
