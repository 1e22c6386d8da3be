"""One load for many callers: the flight, its waiters, and who must not wait for whom.

Whether a flight may be joined, and whether what it brings may be stored, is decided by
generations.py: a flight that is no longer found there is neither joined nor stored.
"""

from __future__ import annotations

import _thread
from collections.abc import Callable
from contextvars import ContextVar, Token
from weakref import ref

from pussycache.engine import telling
from pussycache.engine.clock import read
from pussycache.hooks import active

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, TypeAlias

    from pussycache.engine.entry import Cause
    from pussycache.events import LoadBegun

__all__ = [
    "ABANDONED",
    "ALONE",
    "LOADING",
    "OVERDUE",
    "TIMED_OUT",
    "WRITING",
    "AtWork",
    "Failure",
    "Flight",
    "Waiter",
    "error_of",
    "forget_others",
    "in_a_write",
    "may_wait",
    "wait_over",
]


class Failure:
    """The outcome of a load that raised."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


def error_of(outcome: object) -> BaseException | None:
    """Return what a load has raised, if it has."""
    return outcome.error if type(outcome) is Failure else None


ABANDONED: Final = Failure(RuntimeError("the load was given up by the caller that ran it"))
"""What waiters are told when the one that loads was cancelled: they try again by themselves."""

ALONE: Final = Failure(RuntimeError("the result can be used once"))
"""What waiters are told when the result cannot be shared: each loads for itself."""

OVERDUE: Final = Failure(RuntimeError("the load has been waited for too long"))
"""What a waiter is told whose turn it is to help: it loads, too, and the first to end answers."""

TIMED_OUT: Final = Failure(RuntimeError("the load takes longer than its callers wait"))
"""What a waiter is told whose patience has an end."""

Waiter: TypeAlias = "Callable[[Any], object]"


class Flight(list[Waiter]):
    """A load under way: the list of those who wait for its outcome.

    It is joined under the lock of its table, and only while it is found there: once the load has
    ended, or a write has taken it away, nobody is added any more. ``values`` are the bound
    arguments, for rules that match on them; only methods that such rules name have them. ``token``
    leads to the load that this one runs inside of. ``helpers`` is how many waiters have begun to
    load as well, and ``helps`` is the load that one of these helps. ``begun`` is when it began,
    ``moment`` the same among the forgettings of tags.
    ``lease`` is what a server holds for it, where there is one, once it has begun, and ``epoch``
    what it said of its tags right before. ``by`` is the
    write that took it, alone, out of those that are found; `None` if something else did. ``took``
    is how many seconds it has taken, once it has ended. ``table`` is whose load it is, and ``told``
    what hooks were told when it began.
    """

    __slots__ = (
        *("begun", "by", "epoch", "helpers", "helps", "lease", "loop", "moment", "table"),
        *("token", "told", "took", "values"),
    )

    helpers: int
    helps: Flight
    begun: float
    took: float
    moment: int
    lease: bytes
    epoch: bytes | None
    by: Cause | None

    table: ref[Any]
    told: LoadBegun
    values: tuple[Any, ...]
    loop: Any
    token: Token[Flight | None]

    def stranded(self) -> bool:
        """Whether it was begun in an event loop that has been closed, and so never ends."""
        loop = getattr(self, "loop", None)
        return loop is not None and bool(loop.is_closed())

    def start(self, values: tuple[Any, ...] = ()) -> None:
        """Take note that it begins, with these arguments."""
        if active:
            telling.load_began((self,), values)
        self.begun = read()

    def stop(self, outcome: object = None) -> None:
        """Take note that it has ended."""
        self.took = read() - self.begun
        if active:
            telling.load_ended((self,), error_of(outcome))

    def land(self, outcome: Any) -> None:
        """Tell everyone who waits."""
        for tell in self:
            tell(outcome)


LOADING: Final[ContextVar[Flight | None]] = ContextVar("pussycache_loading", default=None)
"""The load that the current code runs inside of. Tasks that a load starts inherit it, so that they
are known to belong to it."""


class AtWork:
    """A write that the current code runs inside of, until it is over.

    Tasks that were started inside of a write inherit it, and may outlive it.
    """

    __slots__ = ("over",)

    def __init__(self) -> None:
        self.over = False


WRITING: Final[ContextVar[tuple[AtWork, ...]]] = ContextVar("pussycache_writing", default=())
"""The writes that the current code runs inside of, and some that are over."""


def in_a_write() -> bool:
    """Whether the current code runs inside of a write."""
    writes = WRITING.get()
    return bool(writes) and not all(write.over for write in writes)


# Reentrant, because collecting garbage inside it may run code that loads.
_waits_lock = _thread.RLock()
_waits: dict[int, list[Flight]] = {}


def _outward(innermost: Flight | None) -> list[Flight]:
    """Return a load and those that it runs inside of."""
    flights = []
    flight: Any = innermost
    while flight is not None and flight is not Token.MISSING:
        flights.append(flight)
        if hasattr(flight, "helps"):
            # What asks for the load that it helps asks for itself.
            flights.append(flight.helps)
        flight = flight.token.old_value
    return flights


def may_wait(innermost: Flight | None, wanted: Flight) -> bool:
    """Note that the current loads wait for another one, unless that would never end.

    Follows who waits for whom; false if the wanted load is, or waits for, one of the current ones.
    """
    if innermost is None:
        return True
    mine = _outward(innermost)
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


def forget_others() -> None:
    """Forget who waits for whom, and who holds the lock of that: they are not here after a fork."""
    global _waits_lock
    _waits_lock = _thread.RLock()
    _waits.clear()


def wait_over(innermost: Flight | None, wanted: Flight) -> None:
    """Take back what `may_wait` noted."""
    for flight in _outward(innermost):
        with _waits_lock:
            waited = _waits[id(flight)]
            del waited[next(i for i, other in enumerate(waited) if other is wanted)]
            if not waited:
                del _waits[id(flight)]
