"""What of a result is kept: whether, for how long, in which form, and what callers are handed.

One place for the fields of `Cached` that look at a result. Nothing is stored here.
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from pussycache.declare.keys import ATOMS
from pussycache.declare.policy import Cached, seconds_left
from pussycache.engine.clock import chance, read
from pussycache.engine.entry import Tended
from pussycache.engine.failures import Remembered
from pussycache.engine.guard import guards, seal
from pussycache.engine.staleness import Aging
from pussycache.types import MISSING

__all__ = ["Keeping", "Kept", "fresh"]

_ONE_SHOT_MARKS: Final = ("__next__", "__anext__", "__await__")


def one_shot(value: object) -> bool:
    """Whether a value can be used once only: iterators, awaitables, generator-based contexts."""
    kind = type(value)
    if kind in ATOMS:
        return False
    if any(hasattr(kind, mark) for mark in _ONE_SHOT_MARKS):
        return True
    contexts: Any = sys.modules.get("contextlib")
    return contexts is not None and isinstance(value, contexts._GeneratorContextManagerBase)


class Items(tuple[Any, ...]):
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

    def __init__(self, method: str, cached: Cached, default_ttl: float | None) -> None:
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
        self.tags = bool(cached.tags)
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

    @property
    def keeps_missing(self) -> bool:
        """Whether it is remembered that an id was not in the answer, because ``when`` says so."""
        cached = self._cached
        if cached.when is None or cached.each is None or cached.item is not None:
            return False
        try:
            return bool(cached.when(MISSING))
        except Exception:
            # It is made for results, and this is none.
            return False

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
        elif self.hand is not None:
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
        # Of a deep copy nobody else has any part.
        guard = (cached.guard or guards) and cached.copy != "deep"
        sealed = seal(stored, me) if guard else None
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

    def failure(self, error: Exception) -> tuple[Remembered, float] | None:
        """Return what is remembered of an exception, and until when; `None` if nothing is."""
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
    return copy.deepcopy if cached.copy == "deep" else cached.copy  # type: ignore[return-value]
