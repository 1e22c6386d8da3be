"""What a call does that asks for many ids at once: one load for those that are not remembered.

The entries are per id. What becomes of each result, and of the loads of others, is decided as for
any call, in flow.py, landing.py and generations.py.
"""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, final

from pussycache.declare.keys import ATOMS
from pussycache.engine import clock, telling
from pussycache.engine.background import Apart
from pussycache.engine.entry import Tended
from pussycache.engine.failures import Remembered
from pussycache.engine.flow import Part, Wait, late, tended, too_late
from pussycache.engine.generations import HIT, JOIN, SERVED, TENDED
from pussycache.engine.joint import Load, give_up, loaded, renewed, told
from pussycache.engine.plan import uncacheable
from pussycache.engine.singleflight import (
    ABANDONED,
    ALONE,
    LOADING,
    OVERDUE,
    TIMED_OUT,
    Failure,
    Flight,
    in_a_write,
    may_wait,
    wait_over,
)
from pussycache.hooks import active
from pussycache.types import MISSING

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from pussycache.engine.beside import End
    from pussycache.engine.flow import Step
    from pussycache.engine.generations import Table
    from pussycache.engine.ids import Ids, Wanted
    from pussycache.engine.plan import Plan

__all__ = ["gather", "gather_anew"]

_OPEN: Final = object()
"""Stands where an id has no answer yet."""


def gather(
    plan: Plan, ids: Ids, table: Table, values: tuple[Any, ...], me: object
) -> Generator[Step, Any, Any]:
    """Answer a call for many ids: with what is remembered, one load, and the loads of others."""
    read = ids.read(values)
    if read is None:
        return (yield None)
    values = read
    if clock.switches:
        return (yield Part((), values))
    table.tagged = table.tagged or ids.plan.tags is not None
    call = _Call(ids, table, values, me)
    try:
        wanted = call.remembered()
    except Exception as error:
        uncacheable(plan, table, error, values)
        return (yield Part((), values))
    again = False
    while wanted:
        outcome: Any = yield from call.load(wanted, again)
        if type(outcome) is Failure:
            return outcome
        wanted = outcome
        again = True
    return _answer(ids, values, call.found)


def _answer(ids: Ids, values: tuple[Any, ...], found: Mapping[Any, Any]) -> dict[Any, Any]:
    hand = ids.plan.keeping.hand
    return {
        one: found[one] if hand is None else hand(found[one])
        for one in dict.fromkeys(values[ids.at])
        if found[one] is not MISSING
    }


@final
class _Call:
    """One call for many ids, under way: ``found`` has what is known of each."""

    __slots__ = ("_end", "_ids", "_innermost", "_me", "_plan", "_table", "_values", "found")

    def __init__(self, ids: Ids, table: Table, values: tuple[Any, ...], me: object) -> None:
        self._ids = ids
        self._plan = ids.plan
        self._table = table
        self._values = values
        self._me = me
        self.found: dict[Any, Any] = {}
        # When it waits no longer, by `time.monotonic`.
        self._end: float | None = None
        # Asked before anything is loaded here: what has ended waits for nobody any more.
        self._innermost = LOADING.get()

    def remembered(self) -> list[Wanted]:
        """Find what is remembered, and return the rest."""
        wanted = []
        found, values, me = self.found, self._values, self._me
        plain, of = self._ids.plain, self._ids.of
        idle = self._plan.keeping.idle
        entries, now = self._table.entries, clock.hot["time"]()
        for one in values[self._ids.at]:
            if one in found:
                continue
            if plain and type(one) in ATOMS:
                call, key = None, (one, type(one))
            else:
                call = of(one, values, me)
                key = call.key
            entry = entries.get(key)
            if entry is not None and entry.expires > now and type(entry.value) is not Remembered:
                entry.hits += 1
                if idle and type(entry) is Tended:
                    entry.used = now
                found[one] = entry.value
            else:
                found[one] = _OPEN
                wanted.append(call or of(one, values, me))
        return wanted

    def load(
        self, wanted: list[Wanted], again: bool
    ) -> Generator[Step, Any, Failure | list[Wanted]]:
        """Load in one call what nobody loads, wait for others; return what is to be tried anew."""
        entered = self._enter(wanted, again)
        if type(entered) is Failure:
            return entered
        mine, alone, others, aside = entered
        renewing: Apart | None = None
        first: Apart | None = None
        outcome: Any = {}
        try:
            if aside:
                renewing = self._renewing(aside)
                yield renewing
            # A writer may hold what the load needs: inside of a write it runs where it is called.
            if mine and self._plan.keeping.timeout is not None and not in_a_write():
                whole = Flight()
                first = self._apart(mine, alone, whole)
                outcome = yield Wait(self._table, None, whole, self._until(), first)
            elif mine or alone:
                part = self._part(mine, alone)
                outcome = yield from loaded(self._plan, self._table, part, mine, alone, self._me)
        except BaseException:
            for apart, loads in ((renewing, [load for load, _ in aside]), (first, mine)):
                if apart is None:
                    give_up(self._table, loads)
                elif not apart.enlisted:
                    apart.drop()
            raise
        if outcome is TIMED_OUT:
            return self._too_late(wanted)
        if outcome is ABANDONED:
            anew = [*[load.one for load in mine], *alone]
        elif type(outcome) is Failure:
            return outcome
        else:
            anew = []
            self.found.update(outcome)
        return (yield from self._wait(wanted, others, anew))

    def _enter(self, wanted: list[Wanted], again: bool) -> Any:
        """Enter the loads of what nobody loads.

        Return them; the ids that nobody may load for others; those that others load; and the loads
        that are to be run beside this call, with what then is due. Or the failure that is
        remembered of an id.
        """
        mine: list[Load] = []
        alone: list[Wanted] = []
        others: list[Load] = []
        aside: list[tuple[Load, End]] = []
        failure = None
        try:
            for one in wanted:
                begun_as = _begun(self._plan, self._table, one, again)
                if type(begun_as) is Flight:
                    mine.append(Load(one, begun_as))
                    continue
                verb, other = begun_as
                if verb is SERVED:
                    value, flight, end = other
                    if flight is not None:
                        aside.append((Load(one, flight), end))
                    if type(value) is Remembered:
                        if not value.absence:
                            failure = Failure(value.again())
                            break
                        value = MISSING
                    self.found[one.id] = value
                elif verb is HIT:
                    self.found[one.id] = other
                elif verb is JOIN:
                    others.append(Load(one, other))
                else:
                    alone.append(one)
        except BaseException:
            give_up(self._table, [*mine, *[load for load, _ in aside]])
            raise
        if failure is None:
            return mine, alone, others, aside
        give_up(self._table, [*mine, *[load for load, _ in aside]])
        return failure

    def _part(self, loads: Iterable[Load], alone: Iterable[Wanted] = ()) -> Part:
        wanted = [*[load.one for load in loads], *alone]
        return self._ids.part(self._values, wanted, [load.flight for load in loads])

    def _renewing(self, aside: list[tuple[Load, End]]) -> Apart:
        """Return the loads that are to be run beside this call, in one."""
        part = self._part([load for load, _ in aside])
        flow = partial(renewed, self._plan, self._table, part, aside)
        return Apart(
            self._table, [(load.one.key, load.flight) for load, _ in aside], flow, self._me
        )

    def _apart(self, mine: list[Load], alone: list[Wanted], whole: Flight) -> Apart:
        """Return the call that goes on when this one does not wait any longer."""
        part = self._part(mine, alone)
        flow = partial(told, whole, self._plan, self._table, part, mine, alone)
        loads = [(load.one.key, load.flight) for load in mine]
        return Apart(self._table, loads, flow, self._me, at_once=True, whole=whole)

    def _until(self) -> float | None:
        """Return when this call waits no longer, from the first time on that it is asked."""
        timeout = self._plan.keeping.timeout
        if self._end is None and timeout is not None:
            self._end = monotonic() + timeout
        return self._end

    def _wait(
        self, wanted: list[Wanted], others: list[Load], anew: list[Wanted]
    ) -> Generator[Step, Any, Failure | list[Wanted]]:
        """Wait for the loads of others; return what is to be tried anew.

        Only when this call's own has ended: whoever waits for what is loaded here is answered.
        """
        alone: list[Wanted] = []
        for one, flight in others:
            outcome: Any = ALONE
            if flight.stranded():
                self._table.lose(one.key, flight)
                outcome = ABANDONED
            elif not in_a_write() and may_wait(self._innermost, flight):
                try:
                    outcome = yield Wait(self._table, one.key, flight, self._until())
                finally:
                    wait_over(self._innermost, flight)
            if outcome is TIMED_OUT:
                return self._too_late(wanted)
            if outcome is ABANDONED:
                anew.append(one)
            elif outcome is ALONE or outcome is OVERDUE:
                # Also for a load that takes for ever: this one begins later, and ends by itself.
                alone.append(one)
            elif type(outcome) is Failure:
                return outcome
            else:
                self.found[one.id] = outcome
        if alone:
            part = self._part((), alone)
            outcome = yield from loaded(self._plan, self._table, part, [], alone, self._me)
            if type(outcome) is Failure:
                return outcome
            self.found.update(outcome)
        return anew

    def _too_late(self, wanted: list[Wanted]) -> Failure | list[Wanted]:
        """Answer a caller who has waited long enough, where all it still wants has an old value."""
        table = self._table
        table.waited_in_vain()
        olds: dict[Any, Any] = {}
        for one in wanted:
            if self.found[one.id] is not _OPEN:
                continue
            old = None if self._plan.keeping.aging is None else table.old(one.key, one.values)
            if old is None or type(old.value) is Remembered:
                return too_late(self._plan)
            olds[one.id] = old.value
        table.served_old("timeout", len(olds))
        self.found.update(olds)
        return []


def _begun(plan: Plan, table: Table, one: Wanted, again: bool) -> Any:
    """Enter a load, or say what is to be done instead: as a table does, or as `tended`."""
    if active and not again:
        telling.looked_up(table, one.key, one.values)
    begun_as: Any = table.begin(one.key, one.values, again)
    while type(begun_as) is not Flight:
        verb, found = begun_as
        if verb is TENDED:
            begun_as = tended(plan, table, one.key, one.values, found, again)
        elif verb is JOIN and late(plan, table, one.values, found):
            table.lose(one.key, found)
            again = True
            begun_as = table.begin(one.key, one.values, again)
        else:
            break
    return begun_as


def gather_anew(
    plan: Plan, ids: Ids, table: Table, values: tuple[Any, ...], me: object
) -> Generator[Step, Any, Any]:
    """Load all ids of a call now, in one, whatever is remembered, and store what comes."""
    read = ids.read(values)
    if read is None:
        return (yield None)
    if clock.switches:
        return (yield Part((), read))
    try:
        wanted = ids.apart(read, me)
    except Exception as error:
        uncacheable(plan, table, error, values)
        return (yield Part((), read))
    if not wanted:
        return {}
    mine: list[Load] = []
    alone: list[Wanted] = []
    try:
        for one in wanted:
            flight = table.begin_anew(one.key, one.values)
            if flight is None:
                alone.append(one)
            else:
                mine.append(Load(one, flight))
        part = ids.part(read, wanted, [flight for _, flight in mine])
        outcome = yield from loaded(ids.plan, table, part, mine, alone, me, anew=True)
    except BaseException:
        give_up(table, mine)
        raise
    return outcome if type(outcome) is Failure else _answer(ids, read, outcome)
