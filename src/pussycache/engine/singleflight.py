"""One load for many callers: the flight, its waiters, and who must not wait for whom.

Whether a flight may be joined, and whether what it brings may be stored, is decided by
generations.py: a flight that is no longer found there is neither joined nor stored.
"""

from __future__ import annotations

import _thread
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, TypeAlias

__all__ = ["ABANDONED", "ALONE", "LOADING", "WRITING", "Failure", "Flight", "may_wait", "wait_over"]


class Failure:
    """The outcome of a load that raised."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


ABANDONED: Final = Failure(RuntimeError("the load was given up by the caller that ran it"))
"""What waiters are told when the one that loads was cancelled: they try again by themselves."""

ALONE: Final = Failure(RuntimeError("the result can be used once"))
"""What waiters are told when the result cannot be shared: each loads for itself."""

Waiter: TypeAlias = Callable[[Any], object]


class Flight(list[Waiter]):
    """A load under way: the list of those who wait for its outcome.

    It is joined under the lock of its table, and only while it is found there: once the load has
    ended, or a write has taken it away, nobody is added any more. ``values`` are the bound
    arguments, for rules that match on them; only methods that such rules name have them.
    """

    __slots__ = ("loop", "values")

    values: tuple[Any, ...]
    loop: Any

    def stranded(self) -> bool:
        """Whether it was begun in an event loop that has been closed, and so never ends."""
        loop = getattr(self, "loop", None)
        return loop is not None and bool(loop.is_closed())

    def land(self, outcome: Any) -> None:
        """Tell everyone who waits."""
        for tell in self:
            tell(outcome)


Chain: TypeAlias = "tuple[Flight, Chain] | None"

LOADING: Final[ContextVar[Chain]] = ContextVar("pussycache_loading", default=None)
"""The loads that the current code runs inside of, innermost first. Tasks that a load starts inherit
it, so that they are known to belong to it."""

WRITING: Final[ContextVar[int]] = ContextVar("pussycache_writing", default=0)
"""How many writes the current code runs inside of."""

# Reentrant, because collecting garbage inside it may run code that loads.
_waits_lock = _thread.RLock()
_waits: dict[int, list[Flight]] = {}


def _flights(chain: Chain) -> list[Flight]:
    flights = []
    while chain is not None:
        flight, chain = chain
        flights.append(flight)
    return flights


def may_wait(chain: Chain, wanted: Flight) -> bool:
    """Note that the loads of ``chain`` wait for another one, unless that would never end.

    Follows who waits for whom; false if the wanted load is, or waits for, one of the chain.
    """
    if chain is None:
        return True
    mine = _flights(chain)
    own = {id(flight) for flight in mine}
    with _waits_lock:
        todo, seen = [wanted], set()
        while todo:
            flight = todo.pop()
            if id(flight) in own:
                return False
            if id(flight) not in seen:
                seen.add(id(flight))
                todo += _waits.get(id(flight), ())
        for flight in mine:
            _waits.setdefault(id(flight), []).append(wanted)
    return True


def wait_over(chain: Chain, wanted: Flight) -> None:
    """Take back what `may_wait` noted."""
    for flight in _flights(chain):
        with _waits_lock:
            waited = _waits[id(flight)]
            del waited[next(i for i, other in enumerate(waited) if other is wanted)]
            if not waited:
                del _waits[id(flight)]
