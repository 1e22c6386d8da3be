"""How a remembered value grows old: when to refresh it, and how long an old one may be served.

`Aging` is what a declaration says, `Age` how one entry stands with it. Nothing is loaded or served
here: that is the flow's.
"""

from __future__ import annotations

import math

from pussycache.engine.clock import chance
from pussycache.typed import final

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from pussycache.declare.policy import Cached

__all__ = ["AHEAD", "FRESH", "SPENT", "STALE", "Age", "Aging"]

FRESH: Final = "fresh"
AHEAD: Final = "ahead"
"""Good still, and to be refreshed."""
STALE: Final = "stale"
"""Too old, served nevertheless, and to be refreshed."""
SPENT: Final = "spent"
"""Too old, and served only if a load fails."""

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 10.0
# How many times the cost of a load before the end the draws begin: earlier, one in 3,000 succeeds.
_WINDOW: Final = 8.0
_SHOWN: Final = 120


@final
class Aging:
    """What the declaration of one method says of old values. Durations are in seconds.

    ``stale`` and ``if_error`` count from the end of the ttl, ``ahead`` is a fraction of it or
    `None`, ``idle`` is how long an unused value is kept.
    """

    __slots__ = ("ahead", "idle", "if_error", "most", "stale")

    def __init__(self, cached: Cached) -> None:
        self.stale: float = cached.stale_for or 0.0  # type: ignore[assignment]
        self.if_error: float = cached.stale_if_error or 0.0  # type: ignore[assignment]
        self.ahead = cached.refresh_ahead
        idle: Any = cached.idle_ttl
        self.idle: float = math.inf if idle is None else idle
        self.most = max(self.stale, self.if_error)

    def age(self, loaded: float, lasting: float, cost: float) -> Age:
        """Return the age of a value whose load has ended and has taken ``cost`` seconds."""
        return Age(self, loaded, lasting, cost)

    @property
    def needed(self) -> bool:
        """Whether anything is said at all."""
        return bool(self.most) or self.ahead is not None or self.idle != math.inf


@final
class Age:
    """How old one value is, and what has become of the attempts to renew it."""

    __slots__ = ("_aging", "_failures", "_fresh", "_pause_until", "cost", "error", "loaded")

    def __init__(self, aging: Aging, loaded: float, lasting: float, cost: float) -> None:
        self._aging = aging
        self.loaded = loaded
        self._fresh = loaded + lasting
        self.cost = cost
        self._pause_until = 0.0
        self._failures = 0
        # What the last attempt failed with, as text: an exception would hold frames.
        self.error: str | None = None

    def deadline(self, used: float) -> float:
        """Return when it is not served any more, whatever happens."""
        return min(self._fresh + self._aging.most, used + self._aging.idle)

    def expires(self, used: float) -> float:
        """Return until when a hit need not ask."""
        return min(self._window()[0], used + self._aging.idle)

    def stage(self, now: float) -> str:
        """Return `FRESH`, `AHEAD`, `STALE` or `SPENT`.

        While there is a pause between attempts to renew it, it is served.
        """
        if now < self._fresh:
            begins, sure = self._window()
            if now < begins or self.pausing(now) or not (now >= sure or self._early(now)):
                return FRESH
            return AHEAD
        return STALE if now < self._fresh + self._aging.stale or self.pausing(now) else SPENT

    def over(self, now: float) -> float:
        """Return for how long the ttl has been over; negative before."""
        return now - self._fresh

    def _window(self) -> tuple[float, float]:
        """Return from when on a hit may start a refresh, and from when on it surely does."""
        ahead, lasting = self._aging.ahead, self._fresh - self.loaded
        if ahead is None or lasting == math.inf:
            return self._fresh, self._fresh
        sure = self.loaded + ahead * lasting
        may = max(self._fresh - _WINDOW * self.cost, self.loaded + ahead * lasting / 2)
        return min(may, sure), sure

    def _early(self, now: float) -> bool:
        """Whether to refresh before it is due, the more likely the dearer and the later it is.

        Source: A. Vattani, F. Chierichetti, K. Lowenstein, "Optimal Probabilistic Cache Stampede
        Prevention", VLDB 2015 (XFetch, with beta = 1).
        """
        return now - self.cost * math.log(1.0 - chance()) >= self._fresh

    # Attempts to renew it.

    def pausing(self, now: float) -> bool:
        """Whether the last attempt failed a short while ago."""
        return now < self._pause_until

    def failed(self, now: float, error: BaseException) -> None:
        """Take note of a failed attempt: the next one is made after a pause, twice as long."""
        # 2.0 ** 10 is past the longest pause already.
        pause = _FIRST_PAUSE * 2.0 ** min(self._failures, 10)
        self._pause_until = now + min(pause, _LONGEST_PAUSE)
        self._failures += 1
        try:
            text = str(error)[:_SHOWN]
        except Exception:
            text = ""
        self.error = f"{type(error).__qualname__}: {text}" if text else type(error).__qualname__
