"""What happened, as frozen records, and how to be told of it.

The records say what; when they are told is the engine's business. Plain hits are not told of: they
are counted, see `pussycache.info`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from pussycache.errors import ConfigurationError
from pussycache.hooks import Subscription, subscribed

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Delivered",
    "Disagreement",
    "Event",
    "Evicted",
    "Invalidated",
    "LoadBegun",
    "LoadEnded",
    "Miss",
    "Pending",
    "Refreshed",
    "Stale",
    "StoreDown",
    "StoreUp",
    "TimedOut",
    "subscribe",
]


class Miss(NamedTuple):
    """A call was not answered from the cache.

    ``reason`` is one of those of an `Explanation`: ``never-cached``, ``expired``, ``invalidated``,
    ``evicted``, ``not-stored``, ``uncacheable``, ``bypassed-by-write`` and ``backend-down``. Of
    what is in a shared store, ``never-cached`` may also be expired or evicted there. ``arguments``
    are the bound arguments of the call; of a call for many ids, there is a miss for each id.
    """

    method: str
    cache: str
    reason: str
    arguments: tuple[Any, ...]


class LoadBegun(NamedTuple):
    """A load begins: the real method is about to be called, in this thread or task."""

    method: str
    cache: str
    arguments: tuple[Any, ...]


class LoadEnded(NamedTuple):
    """A load has ended, after so many ``seconds``; with an ``error``, if it raised one.

    ``begun`` is the very record that was told when it began. It is told before the result is
    stored. ``ids`` is how many ids it was for, of a method for many ids.
    """

    method: str
    cache: str
    begun: LoadBegun
    seconds: float
    error: BaseException | None
    ids: int = 1


class Invalidated(NamedTuple):
    """A write has made entries of a method wrong, or begins to.

    ``writer`` is the method or the operation as statistics name it, ``by`` the call as text: with
    its arguments, shortened, and its process.
    """

    method: str
    cache: str
    writer: str
    by: str


class Evicted(NamedTuple):
    """An entry was taken out: ``reason`` is ``max_entries``, ``max_bytes`` or ``expired``."""

    method: str
    cache: str
    reason: str


class Refreshed(NamedTuple):
    """A load in the background has renewed what was remembered, or has failed with ``error``."""

    method: str
    cache: str
    error: BaseException | None


class Stale(NamedTuple):
    """Old values were served: ``reason`` is ``aged``, ``load-failed`` or ``timeout``."""

    method: str
    cache: str
    reason: str
    calls: int = 1


class TimedOut(NamedTuple):
    """A caller has waited for a load for as long as its policy says."""

    method: str
    cache: str


class Disagreement(NamedTuple):
    """A remembered value, ``age`` seconds old, was not what the method returns now.

    ``writes`` is how many invalidations had come since it was stored.
    """

    method: str
    cache: str
    age: float
    writes: int


class StoreDown(NamedTuple):
    """A server does not answer, for this ``reason``: calls compute until it does."""

    store: str
    reason: str


class StoreUp(NamedTuple):
    """A server answers again."""

    store: str


class Pending(NamedTuple):
    """A cache's server could not be told of a write; that is tried again and again.

    ``by`` is the call that wrote, as text.
    """

    cache: str
    by: str


class Delivered(NamedTuple):
    """A cache's server has been told of a write that was pending."""

    cache: str
    by: str


Event: TypeAlias = (
    Miss
    | LoadBegun
    | LoadEnded
    | Invalidated
    | Evicted
    | Refreshed
    | Stale
    | TimedOut
    | Disagreement
    | StoreDown
    | StoreUp
    | Pending
    | Delivered
)

_KINDS: Final = frozenset(Event.__args__)


def subscribe(hook: Callable[[Any], object], *kinds: type[Event]) -> Subscription:
    """Have a function told of what happens from now on; call what is returned to end that.

    It can be a context manager, too. The hook is called with one event at a time, in the thread or
    the task where it happened, while no lock of the library is held; the caller waits for it. What
    it raises is logged (logger ``pussycache``, once for each kind of error) and goes no further.
    What its own calls of cached methods bring about is not told.

    :param kinds: the kinds of events that it is told of; without any, all. What nobody wants to
        know is not worked out.
    :raises ConfigurationError: for a hook that cannot be called, or would have to be awaited, and
        for a kind that is none.

    >>> import pussycache
    >>> from pussycache import events
    >>> users = pussycache.wrap({7: "ada"}, cached_methods=["get"])
    >>> with events.subscribe(lambda event: print(event.method, event.reason), events.Miss):
    ...     users.get(7), users.get(7)
    builtins.dict.get never-cached
    ('ada', 'ada')
    """
    for kind in kinds:
        if kind not in _KINDS:
            known = ", ".join(sorted(one.__name__ for one in _KINDS))
            raise ConfigurationError(f"kinds must be kinds of events ({known}), not {kind!r}")
    return subscribed(hook, kinds)
