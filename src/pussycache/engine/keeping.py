"""What of a result is kept: whether, for how long, in which form, and what callers are handed.

One place for the fields of `Cached` that look at a result. Nothing is stored here.
"""

from __future__ import annotations

import math
import sys
from collections.abc import AsyncIterator, Callable

from pussycache.declare.keys import ATOMS
from pussycache.declare.policy import Cached, seconds_left
from pussycache.engine.clock import chance, hot, read
from pussycache.engine.entry import Tended
from pussycache.engine.failures import Remembered
from pussycache.engine.guard import Seal, guards, seal
from pussycache.engine.staleness import Aging
from pussycache.types import MISSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

__all__ = ["Keeping", "Kept", "fresh"]

_LASTING: Final = ATOMS | {list, tuple, dict, set, frozenset}


def one_shot(value: object) -> bool:
    """Whether a value can be used once only: iterators, awaitables, generator-based contexts."""
    kind = type(value)
    if kind in _LASTING:
        return False
    if hasattr(kind, "__next__") or hasattr(kind, "__anext__") or hasattr(kind, "__await__"):
        return True
    contexts: Any = sys.modules.get("contextlib")
    return contexts is not None and isinstance(value, contexts._GeneratorContextManagerBase)


class Items(tuple[object, ...]):
    """What an iterator yielded."""

    __slots__ = ()


class AsyncItems(Items):
    """What an asynchronous iterator yielded."""

    __slots__ = ()


async def _replay(items: AsyncItems) -> AsyncIterator[Any]:
    for item in items:
        yield item


def fresh(value: Any) -> Any:
    """Return a new iterator over what one yielded; another value as it is."""
    if type(value) is Items:
        return iter(value)
    return _replay(value) if type(value) is AsyncItems else value


class Kept:
    """What becomes of a result: ``expires`` is `None` if it is not stored, ``why`` says why not.

    ``made`` is the entry, where it is to be more than an ordinary one.
    """

    __slots__ = ("expires", "handed", "made", "shared", "stored", "why")

    def __init__(
        self,
        stored: Any,
        handed: Any,
        expires: float | None,
        why: str | None = None,
        shared: bool = True,
        made: Tended | None = None,
    ) -> None:
        self.stored = stored
        self.handed = handed
        self.expires = expires
        self.why = why
        self.shared = shared
        self.made = made


class Keeping:
    """The fields of one method's `Cached` that look at results, resolved against the cache's ttl.

    ``hand`` turns what is stored into what a caller is given, or is `None` where it is the same.
    ``lasting`` is the ttl in seconds if no result can change it, `math.inf` for ever. ``aging`` is
    `None` where nothing is said of old values. With ``idle``, hits note when an entry is used; with
    ``errors``, some exceptions are remembered. ``verify`` is the fraction of hits to recompute;
    ``timeout`` for how many seconds a caller waits for a load. With ``tags``, entries carry some.
    ``asks`` says that the flow has more to look at than whether there is an entry.
    """

    __slots__ = (
        "_cached",
        "_method",
        "_ttl",
        "aging",
        "asks",
        "errors",
        "hand",
        "idle",
        "lasting",
        "plain",
        "tags",
        "timed",
        "timeout",
        "verify",
    )

    def __init__(
        self, method: str, cached: Cached, default_ttl: float | None, tagged: bool = False
    ) -> None:
        self._method = method
        self._cached = cached
        ttl = cached.ttl
        self._ttl = math.inf if default_ttl is None else default_ttl
        if isinstance(ttl, (int, float)):
            self._ttl = float(ttl)
        self.lasting = None if callable(ttl) else self._ttl
        self.idle = cached.idle_ttl is not None
        self.timed = self.lasting != math.inf or self.idle
        self.errors = bool(cached.errors)
        self.hand = _hand(cached)
        aging = Aging(cached)
        self.verify = cached.verify
        timeout: Any = cached.timeout
        self.timeout: float | None = timeout
        # Of a batch, the entries may carry those of the method for one id.
        self.tags = bool(cached.tags) or tagged
        self.aging = aging if aging.needed or cached.verify else None
        self.asks = self.aging is not None or timeout is not None or self.tags
        self.plain = (
            self.lasting is not None
            and self.lasting > 0
            and cached.when is None
            and self.hand is None
            and not self.asks
            and not cached.jitter
            and not cached.guard
        )

    def absent(self, me: object, begun: float | None = None) -> Kept | None:
        """Say how it is remembered that an id is not in the answer, if ``when`` says so."""
        cached = self._cached
        if cached.when is None or cached.each is None or cached.item is not None:
            return None
        try:
            kept = self.of(MISSING, me, begun)
        except Exception:
            # Its callables are made for results, and this is none.
            return None
        return None if kept.expires is None else kept

    def absence(self, one: object) -> tuple[Remembered, float] | None:
        """Say the same where ``errors`` do: as the error that a look-up of the id would raise."""
        return self._remembered(KeyError(one)) if self.errors else None

    def read(self, value: Any) -> Any:
        """Read a result to its end if it is an iterator that is to be materialized."""
        if self._cached.materialize and hasattr(type(value), "__next__"):
            return Items(value)
        return value

    def given(self, value: Any, kind: str) -> Any:
        """Return a value that was given from outside in the form that a load's would have."""
        if not self._cached.materialize or isinstance(value, Items):
            return value
        try:
            return AsyncItems(value) if kind == "asyncgen" else Items(value)
        except TypeError:
            return value

    def passed(self, value: Any) -> Any:
        """Return what the caller is handed of a result that is kept for nobody."""
        return fresh(self.read(value)) if self.hand is fresh else value

    def plainly(self, value: Any, me: object) -> Kept | None:
        """Say what becomes of a result where no field looks at it; `None` where one does."""
        lasting = self.lasting
        if not self.plain or lasting is None or guards:
            return None
        if type(value) not in ATOMS and (value is me or one_shot(value)):
            return None
        return Kept(value, value, hot["time"]() + lasting)

    def of(self, value: Any, me: object, begun: float | None = None) -> Kept:
        """Say what becomes of a result; errors of the user's callables are passed on.

        :param begun: when its load began, if it was loaded.
        """
        cached = self._cached
        value = self.read(value)
        if one_shot(value):
            return Kept(value, value, None, "the result can be used once", shared=False)
        stored, handed = value, value
        if self.hand is fresh:
            handed = fresh(value)
        elif self.hand is not None and value is not MISSING:
            # The caller may change what it got: what is stored is a copy already.
            stored = self.hand(value)
        if value is me:
            return Kept(stored, handed, None, "the result is the object itself")
        if cached.when is not None and not cached.when(value):
            return Kept(stored, handed, None, "its when callable said so")
        lasting = self.lasting
        if callable(cached.ttl):
            lasting = seconds_left(cached.ttl(value), self._method)
            if lasting is None:
                lasting = self._ttl
        if not lasting:
            return Kept(stored, handed, None, "its ttl is 0")
        sealed = self.sealed(stored, me)
        if cached.jitter:
            lasting *= 1.0 - cached.jitter * chance()
        now = read()
        expires, made = now + lasting, None
        if self.aging is not None:
            cost = 0.0 if begun is None else now - begun
            made = Tended(self.aging.age(now, lasting, cost), sealed)
            expires = made.renewed()
        elif sealed is not None or self.tags:
            made = Tended(None, sealed)
        # A negative expiry sends everybody to `begin`: the hit path looks at the clock alone.
        asks = sealed is not None or cached.verify or self.tags
        return Kept(stored, handed, -expires if asks else expires, made=made)

    def sealed(self, stored: Any, me: object) -> Seal | None:
        """Return what tells whether a stored value was changed, where that is asked for."""
        # Of a deep copy nobody else has any part.
        guard = (self._cached.guard or guards) and self._cached.copy != "deep"
        return seal(stored, me) if guard else None

    @property
    def nearby(self) -> bool:
        """Whether what is kept elsewhere may be kept here, too, as long as it is fresh.

        Not where each use is to be seen there.
        """
        return not (self.idle or self.verify or self.tags)

    @property
    def keyed(self) -> str:
        """How calls are keyed, where that is not by all of their arguments; for a shared store."""
        if self._cached.key is not None:
            return "key:"
        return f"-{','.join(sorted(self._cached.ignore))}:" if self._cached.ignore else ""

    def revived(
        self,
        value: Any,
        me: object,
        left: float,
        age: float | None,
        unused: float,
        cost: float,
    ) -> tuple[float, Tended | None] | None:
        """Say what becomes of a value that was remembered elsewhere; `None` if its time is over.

        It lasts no longer than one that is loaded now. ``expires`` comes with the entry, where that
        is to be more than an ordinary one.

        :param left: seconds until its ttl is over, negative afterwards.
        :param age: seconds since it was loaded, if that is known.
        :param unused: seconds since it was last used.
        :param cost: seconds that its load has taken.
        """
        lasting = self.lasting
        if lasting is not None:
            left = min(left, lasting)
            if not lasting:
                return None
        now, made = read(), None
        sealed = self.sealed(value, me)
        if self.aging is not None:
            if age is None:
                # As old as one of the full ttl that has so much left.
                known = lasting is not None and lasting != math.inf
                age = max(0.0, lasting - left) if known and lasting is not None else 0.0
            made = Tended(self.aging.age(now - age, left + age, cost), sealed)
            made.used = now - unused
            expires = made.renewed()
            if made.deadline <= now:
                return None
        elif left <= 0.0:
            return None
        else:
            expires = now + left
            if sealed is not None or self.tags:
                made = Tended(None, sealed)
        asks = sealed is not None or self._cached.verify or self.tags
        # Whose entries do not expire, does not look at the clock.
        asks = asks or (not self.timed and expires != math.inf)
        return -expires if asks else expires, made

    @property
    def kinds(self) -> tuple[type[Exception], ...]:
        """Which exceptions are remembered."""
        return tuple(self._cached.errors or ())

    def failure(self, error: Exception) -> tuple[Remembered, float] | None:
        """Return what is remembered of an exception, and until when; `None` if nothing is."""
        if self._cached.each is not None and isinstance(error, LookupError):
            # It says nothing of one id; remembered of one, it would mean that it is missing.
            return None
        return self._remembered(error)

    def _remembered(self, error: Exception) -> tuple[Remembered, float] | None:
        errors = self._cached.errors or {}
        kind = next((base for base in type(error).__mro__ if base in errors), None)
        lasting: Any = 0.0 if kind is None else errors[kind]
        if not lasting:
            return None
        try:
            remembered = Remembered(error)
        except Exception:
            # It cannot be copied, and one object cannot be raised in two places.
            return None
        return remembered, read() + lasting


def _hand(cached: Cached) -> Callable[[Any], Any] | None:
    if cached.materialize:
        return fresh
    if cached.copy == "share":
        return None
    if cached.copy == "deep":
        from copy import deepcopy

        return deepcopy
    return cached.copy  # type: ignore[return-value]
