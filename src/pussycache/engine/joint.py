"""The loads of several ids in one call: what it brought for each, and what becomes of that.

Which ids are loaded, by whom, and who waits for them is decided in batches.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pussycache.engine.landing import Absent, landed
from pussycache.engine.singleflight import ABANDONED, Failure, Flight
from pussycache.errors import ConfigurationError
from pussycache.types import MISSING

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from pussycache.engine.beside import End
    from pussycache.engine.flow import Part
    from pussycache.engine.generations import Table
    from pussycache.engine.ids import Wanted
    from pussycache.engine.plan import Plan

__all__ = ["Load", "give_up", "loaded", "renewed", "told"]


class Load(NamedTuple):
    """The load of one id that a call has entered."""

    one: Wanted
    flight: Flight


def give_up(table: Table, loads: Iterable[Load]) -> None:
    for one, flight in loads:
        if table.lose(one.key, flight):
            flight.land(ABANDONED)


def _checked(plan: Plan, got: Any) -> tuple[Any, bool]:
    """Return the outcome of a call, and whether it is wrong: no mapping."""
    if type(got) is Failure or isinstance(got, Mapping):
        return got, False
    return Failure(
        ConfigurationError(
            f"{plan.label} returned {type(got).__qualname__}, and a method with each= must "
            "return a mapping from ids to results; nothing is stored"
        )
    ), True


def _outcome(got: Any, one: Any) -> Any:
    """Return what a call that has ended brought for one id."""
    if type(got) is Failure:
        return got
    result = got.get(one, MISSING)
    return Absent(one) if result is MISSING else result


def loaded(
    plan: Plan,
    table: Table,
    part: Part,
    mine: Sequence[Load],
    alone: Iterable[Wanted],
    me: object,
    anew: bool = False,
) -> Generator[Part, Any, Any]:
    """Load some ids in one call, end the load of each, and return what they came to by id.

    Or a `Failure`; not where all its ids have old values, unless they were to be loaded ``anew``.

    :param alone: ids that are loaded for this caller only.
    """
    got, wrong = _checked(plan, (yield part))
    found: dict[Any, Any] = {}
    failure = got if type(got) is Failure and (anew or alone) else None
    for one, flight in mine:
        if wrong:
            table.leave(one.key, flight, failed=True)
            flight.land(got)
            result = got
        else:
            outcome = _outcome(got, one.id)
            asked = 0 if anew else 1
            result = landed(plan, table, one.key, flight, one.values, me, outcome, asked)
        if type(result) is Failure:
            failure = failure or result
        found[one.id] = result
    if failure is not None:
        return failure
    for one in alone:
        found[one.id] = plan.keeping.passed(got.get(one.id, MISSING))
    return found


def told(
    whole: Flight,
    plan: Plan,
    table: Table,
    part: Part,
    mine: Sequence[Load],
    alone: Iterable[Wanted],
    me: object,
) -> Generator[Part, Any, None]:
    """Load as `loaded` does, apart, and tell the caller as long as it waits."""
    try:
        outcome = yield from loaded(plan, table, part, mine, alone, me)
    except Exception as error:
        # Of the mapping that was returned, say; who waits would try again and again.
        outcome = Failure(error)
    given_up = type(outcome) is Failure and not isinstance(outcome.error, Exception)
    whole.land(ABANDONED if given_up else outcome)


def renewed(
    plan: Plan, table: Table, part: Part, loads: Iterable[tuple[Load, End]], me: object
) -> Generator[Part, Any, None]:
    """Load some ids in one call, beside the one that was answered, and do what then is due."""
    got, _ = _checked(plan, (yield part))
    log = True
    for (one, flight), end in loads:
        outcome = _outcome(got, one.id)
        end(plan, table, one.key, flight, one.values, me, outcome, log)
        # One call that has failed is one thing to tell.
        log = type(got) is not Failure
