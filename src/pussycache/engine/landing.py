"""What becomes of a load when it has ended, and of a value from outside: what is stored of it.

Whether it may be stored is decided in generations.py, what of it in keeping.py.
"""

from __future__ import annotations

from pussycache.declare.keys import ATOMS
from pussycache.engine import clock
from pussycache.engine.entry import Cause, Tended
from pussycache.engine.guard import guards
from pussycache.engine.keeping import one_shot
from pussycache.engine.singleflight import ABANDONED, ALONE, Failure
from pussycache.typed import final
from pussycache.types import MISSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from pussycache.engine.generations import Table
    from pussycache.engine.plan import Plan
    from pussycache.engine.singleflight import Flight

__all__ = ["Absent", "landed", "placed"]


@final
class Absent:
    """The outcome of the load of an id that is not in the answer."""

    __slots__ = ("id",)

    def __init__(self, one: Any) -> None:
        self.id = one


_MARKS: Final = (Failure, Absent)


def landed(
    plan: Plan,
    table: Table,
    key: Any,
    flight: Flight,
    values: tuple[Any, ...],
    me: object,
    outcome: Any,
    asked: int = 1,
) -> Any:
    """Do what is due when a load has ended, and return what its caller is given.

    :param asked: how many callers are given it, beside those that wait.
    """
    keeping = plan.keeping
    kind = type(outcome)
    if (
        keeping.plain
        and not guards
        and (kind in ATOMS or not (kind in _MARKS or outcome is me or one_shot(outcome)))
    ):
        table.finish(key, flight, values, outcome, clock.hot["time"]() + keeping.lasting)
        if flight:
            flight.land(outcome)
        return outcome
    if kind is Absent:
        _absent(plan, table, key, flight, values, me, outcome.id)
        return MISSING
    failure = outcome
    if kind is not Failure:
        try:
            kept = keeping.of(outcome, me, getattr(flight, "begun", None))
            if plan.tags is not None and kept.made is not None:
                kept.made.tags = plan.tags.of(values, kept.stored)
        except BaseException as error:
            failure = Failure(error)
        else:
            if kept.expires is None:
                table.leave(key, flight, failed=False, why=kept.why)
            else:
                table.finish(key, flight, values, kept.stored, kept.expires, kept.made)
            flight.land(kept.stored if kept.shared else ALONE)
            return kept.handed
    raised = failure.error
    if kind is Failure and isinstance(raised, Exception):
        # As it is now: since the load began, a write may have taken it away.
        old = table.old(key, values) if keeping.aging is not None else None
        if old is not None and old.age is not None:
            old.age.failed(clock.read(), raised)
            table.leave(key, flight, failed=True)
            table.served_old("load-failed", len(flight) + asked)
            flight.land(old.value)
            return old.value if keeping.hand is None else keeping.hand(old.value)
        remembered = keeping.failure(raised) if keeping.errors else None
        if remembered is not None:
            tags = () if plan.tags is None else plan.tags.before(values)
            table.fail(key, flight, values, *remembered, tags)
            flight.land(failure)
            return failure
    table.leave(key, flight, failed=True)
    flight.land(failure if isinstance(raised, Exception) else ABANDONED)
    return failure


def _absent(
    plan: Plan,
    table: Table,
    key: Any,
    flight: Flight,
    values: tuple[Any, ...],
    me: object,
    one: Any,
) -> None:
    """End the load of an id that is not in the answer; remember that, where the policy says so."""
    # It is not old but gone.
    table.outdate(key, flight)
    keeping = plan.keeping
    tags = () if plan.tags is None else plan.tags.before(values)
    kept = keeping.absent(me, getattr(flight, "begun", None))
    if kept is not None and kept.expires is not None:
        if kept.made is not None:
            kept.made.tags = tags
        table.finish(key, flight, values, MISSING, kept.expires, kept.made)
        flight.land(MISSING)
        return
    remembered = keeping.absence(one)
    if remembered is None:
        table.leave(key, flight, failed=False, why="the answer has no such id")
        flight.land(ALONE)
    else:
        table.fail(key, flight, values, *remembered, tags)
        # They find out for themselves.
        flight.land(ABANDONED)


def placed(
    plan: Plan, table: Table, key: Any, values: tuple[Any, ...], me: object, given: Any
) -> bool:
    """Store what was given from outside, as a load's result would be; false if it is not stored.

    :param given: a value, or `Absent`.
    """
    keeping = plan.keeping
    made: Tended | None
    if type(given) is not Absent:
        kept = keeping.of(given, me)
        stored, expires, made = kept.stored, kept.expires, kept.made
        tags = () if plan.tags is None else plan.tags.of(values, stored)
    else:
        tags = () if plan.tags is None else plan.tags.before(values)
        absent, remembered = keeping.absent(me), keeping.absence(given.id)
        if absent is not None:
            stored, expires, made = MISSING, absent.expires, absent.made
        elif remembered is not None:
            stored, expires, made = remembered[0], -remembered[1], Tended()
        else:
            table.forget(key, Cause("put"))
            return False
    if made is not None:
        made.tags = tags
    return table.put(key, values, stored, None if clock.switches else expires, made)
