"""The figures of an observed object, frozen, and what they come to: what to cache, and how.

Nothing is recorded here; how it is put into words, code and a page is said elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from pussycache.declare.policy import seconds
from pussycache.engine.clock import read
from pussycache.errors import ConfigurationError
from pussycache.see.ages import TTLS
from pussycache.see.changes import Suspect, suspects

if TYPE_CHECKING:
    from pussycache.see.recorder import Recorder, Watch
    from pussycache.types import Seconds

__all__ = ["Figures", "MethodReport"]

FEW: Final = 30
"""With fewer calls nothing is said."""

CACHE, WRITES, FEW_CALLS, CANNOT, UNKNOWN, NO = (
    *("cache", "writes", "too few calls", "cannot", "unknown", "not worth it"),
)

# What a hit and a miss cost, roughly, with the extension or without.
_HIT: Final = 0.5e-6
_MISS: Final = 5e-6
_WORTH: Final = 0.05  # of the calls are hits at least
_ENOUGH: Final = 0.95  # of the hits that any cache could have
_WRONG: Final = 0.01  # of the answers may be wrong before the ttl is thought too long


class MethodReport:
    """What is known of one method; read-only.

    ``calls`` and ``failures`` (those that raised) are counts; ``seconds`` is the time of all
    together, ``mean`` and ``median`` that of one call, in seconds. ``repeated`` is the share of
    calls equal to an earlier one. ``size`` is about how many bytes a result takes. Of ``compared``
    results of equal calls, ``changed`` were not what they had been before; ``change_after`` is the
    median time between the two, in seconds. ``suspects`` are methods that were called before, which
    leave ``unexplained`` as a share of the changes; to invalidate after them would cost the share
    ``invalidated`` of the hits. ``exact`` says that all calls were followed and
    not a sample. What is not known is `None`.

    ``advice`` is ``"cache"``, ``"writes"``, ``"too few calls"``, ``"cannot"``, ``"unknown"`` or
    ``"not worth it"``; ``entries`` and ``ttl`` are those of the cache that is meant, and
    ``seconds_saved`` is what it would have saved. ``reasons`` says it in words.
    """

    def __init__(self, watch: Watch, watched: float) -> None:
        self.name = watch.name
        self.kind = watch.method.kind
        self.positions = tuple(watch.method.positions)
        self.calls = watch.calls
        self.failures = watch.failures
        self.seconds = watch.seconds
        self.mean = watch.seconds / watch.calls if watch.calls else 0.0
        self.median: float | None = median(watch.times.items) if watch.times.items else None
        self.size: float | None = median(watch.sizes.items) if watch.sizes.items else None
        self.unkeyable = watch.unkeyable
        self.looked = watch.looked
        self.once = watch.once
        self.itself = watch.itself
        self.nothing = watch.nothing
        self._curve = watch.reuse.curve()
        self._lifetimes = watch.ages.lifetimes()
        self._share = min(1.0, self._curve.total / watch.calls) if watch.calls else 0.0
        self.exact = self._curve.exact
        self.followed = self._curve.keys
        self.different = self._curve.different
        self.repeated = self._curve.repeated * self._share
        self.compared = watch.changes.compared
        self.changed = watch.changes.changed.seen
        self.change_after = watch.changes.gap
        self.watched = watched
        found, self.unexplained = suspects(watch.changes)
        self.suspects: tuple[Suspect, ...] = tuple(found)
        self.invalidated = watch.changes.share_after(found)
        self.advice = NO
        self.entries: int | None = None
        self.ttl: float | None = None
        self.seconds_saved = 0.0
        self.reasons = ""

    def hit_ratio(self, entries: float = math.inf, ttl: Seconds | None = None) -> float:
        """Return the share of calls that an LRU cache of so many entries would have answered.

        :param ttl: seconds that an entry lives, `None` for ever.
        """
        given: object = entries
        if isinstance(given, bool) or not isinstance(given, (int, float)) or not given >= 0:
            raise ConfigurationError(f"entries must be a number, at least 0, not {entries!r}")
        found = self._curve.hit_ratio(entries) * self._share
        lasting = _seconds(ttl)
        return found if lasting == math.inf else found * self._lifetimes.kept(entries, lasting)

    def wrong_ratio(self, ttl: Seconds | None = None) -> float | None:
        """Return the share of calls that would have been answered wrongly, but for invalidations.

        A wrong answer differs from what the method returned just then. `None` if results could not
        be compared.

        :param ttl: seconds that an entry lives, `None` for ever. The cache is as large as needed.
        """
        hits = self.hit_ratio(math.inf, ttl)
        wrong = self._lifetimes.wrong(_seconds(ttl))
        return None if wrong is None else hits * wrong

    def error(self, entries: float = math.inf) -> float:
        """Return how far off `hit_ratio` may be, at 95 %, because a sample was followed."""
        return self._curve.error(entries) * self._share

    def saved(self, entries: float, ttl: Seconds | None = None) -> float:
        """Return the seconds that such a cache would have saved, less what it costs itself.

        An estimate: hits are taken to be of calls that take the mean time, and not to be hits after
        one of the ``suspects``.
        """
        hits = self.hit_ratio(entries, ttl) * (1.0 - self.invalidated)
        return self.calls * (hits * (self.mean - _HIT) - (1.0 - hits) * _MISS)

    def enough(self) -> int:
        """Return a round number of entries that has nearly all the hits there are."""
        least = max(10, self._curve.size_for(_ENOUGH))
        power = int("1" + "0" * (len(str(least)) - 1))
        return next(step * power for step in (1, 2, 5, 10) if step * power >= least)


class Figures(Mapping[str, MethodReport]):
    """The figures of all methods of an object, or of all objects of a class, by name.

    ``label`` is what the class is called, ``target`` what the object is to be called in code;
    ``watched`` are the seconds since it was first observed, ``lost`` calls that were not noted.
    """

    def __init__(self, recorder: Recorder, target: str) -> None:
        # The recorder may go on while the figures are read.
        with recorder.lock:
            self.label = recorder.label
            self.watched = read() - recorder.began
            self.lost = recorder.lost
            self._methods = {
                watch.name: MethodReport(watch, self.watched) for watch in recorder.watches.values()
            }
        self.calls = sum(method.calls for method in self._methods.values())
        self.target = target
        _judge(self)

    def __getitem__(self, name: str) -> MethodReport:
        return self._methods[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._methods)

    def __len__(self) -> int:
        return len(self._methods)

    @property
    def called(self) -> list[MethodReport]:
        """The methods that were called, those that took most time first."""
        found = [method for method in self._methods.values() if method.calls]
        return sorted(found, key=lambda method: (-method.seconds, method.name))


def _seconds(ttl: Any) -> float:
    return math.inf if ttl is None else seconds(ttl, "ttl")


def _judge(report: Figures) -> None:
    """Decide about each method. One that others' changes point at is not cached itself."""
    candidates = [method for method in report.values() if _could_be_cached(method)]
    writers = {suspect.method for method in candidates for suspect in method.suspects}
    for method in candidates:
        if method.name not in writers:
            _measure(method)
    for method in report.values():
        if method.calls and method.name in writers:
            method.advice = WRITES


def _could_be_cached(method: MethodReport) -> bool:
    if (
        method.kind in ("generator", "asyncgen")
        or method.unkeyable > method.calls / 2
        or (method.looked and method.once + method.itself > method.looked / 2)
    ):
        method.advice = CANNOT
    elif method.calls < FEW:
        method.advice = FEW_CALLS
    elif method.looked and method.nothing == method.looked:
        method.advice = WRITES
    return method.advice == NO


def _measure(method: MethodReport) -> None:
    entries, ttl = method.enough(), None
    if method.hit_ratio(entries) < _WORTH or method.saved(entries) <= 0.0:
        return
    if not method.compared:
        method.advice = UNKNOWN
        return
    if method.unexplained * (method.wrong_ratio() or 0.0) > _WRONG / 10:
        # What no method explains must be left to time.
        good = [
            t for t in TTLS[:-1] if method.unexplained * (method.wrong_ratio(t) or 0.0) <= _WRONG
        ]
        ttl = max(good, default=0.0)
        if not ttl or method.hit_ratio(entries, ttl) < _WORTH or method.saved(entries, ttl) <= 0.0:
            return
    method.advice, method.entries, method.ttl = CACHE, entries, ttl
    method.seconds_saved = method.saved(entries, ttl)
