"""What is counted of one method of one object: the figures, and who is told of each.

Nothing is decided here. What the figures mean is said in stats.py.
"""

from __future__ import annotations

from pussycache.engine import telling
from pussycache.hooks import active
from pussycache.stats import OTHERS, CacheInfo, Counts, LoadTimes, place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from pussycache.engine.entry import Cause
    from pussycache.engine.home import Lock
    from pussycache.engine.singleflight import Flight

__all__ = ["Counted"]

# Of so many the writes are counted one by one.
_MOST_WRITERS: Final = 32


class Counted:
    """What is counted of one method of one object; what is not said to lock is no exact count."""

    __slots__ = (
        "disagreement_age",
        "disagreement_writes",
        "disagreements",
        "evictions",
        "expired",
        "failures",
        "hits",
        "invalidated",
        "invalidations",
        "load_time",
        "load_times",
        "loads",
        "lock",
        "misses",
        "outweighed",
        "refresh_failures",
        "refreshes",
        "rejected",
        "stale",
        "timeouts",
        "uncacheable",
        "verified",
        "writers",
    )

    lock: Lock

    def __init__(self) -> None:
        # The methods that are declared to make entries wrong here.
        self.writers: tuple[str, ...] = ()
        self.forget_counts()

    def forget_counts(self) -> None:
        """Begin to count anew."""
        self.hits = self.misses = self.loads = self.failures = self.evictions = 0
        self.invalidations = self.uncacheable = self.rejected = 0
        self.stale = self.refreshes = self.refresh_failures = self.timeouts = 0
        self.verified = self.disagreements = self.disagreement_writes = 0
        self.disagreement_age = self.load_time = 0.0
        self.expired = self.outweighed = 0
        # Both are made when there is something to count.
        self.load_times: list[int] | None = None
        self.invalidated: dict[str, int] | None = None

    def ended(self, flight: Flight, failed: bool) -> None:
        """Count a load, and how long it took if that is known; under the lock."""
        if failed:
            self.failures += 1
        else:
            self.loads += 1
        try:
            took = flight.took
        except AttributeError:
            # It is none: the value is from outside.
            return
        self.load_time += took
        times = self.load_times
        if times is None:
            times = self.load_times = [*LoadTimes().counts]
        times[place(took)] += 1

    def made_wrong(self, cause: Cause | str) -> None:
        """Count a write, and who wrote; under the lock."""
        self.invalidations += 1
        writer = cause if isinstance(cause, str) else cause.writer
        found = self.invalidated
        if found is None:
            found = self.invalidated = {}
        if writer not in found and len(found) >= _MOST_WRITERS:
            writer = OTHERS
        found[writer] = found.get(writer, 0) + 1
        if active:
            telling.invalidated(self, cause)

    def is_expired(self) -> None:
        """Count an entry that was found past its time; under the lock."""
        self.expired += 1
        if active:
            telling.evicted(self, "expired")

    def served_old(self, reason: str, calls: int = 1) -> None:
        """Count calls that were answered with an old value."""
        self.stale += calls
        if active:
            telling.stale(self, reason, calls)

    def waited_in_vain(self) -> None:
        """Count a caller that does not wait for a load any longer."""
        self.timeouts += 1
        if active:
            telling.timed_out(self)

    def renewed(self, error: BaseException | None) -> None:
        """Count a load in the background that was to renew something."""
        self.refreshes += 1
        self.refresh_failures += error is not None
        if active:
            telling.refreshed(self, error)

    def written_by(self, writer: str) -> None:
        """Take note that a method is declared to make entries wrong here."""
        if writer not in self.writers and len(self.writers) < _MOST_WRITERS:
            self.writers += (writer,)

    def disagreed(self, age: float, writes: int) -> None:
        """Count a value that was found to be wrong, and how that may have come about."""
        with self.lock:
            self.disagreements += 1
            self.disagreement_age += age
            self.disagreement_writes += writes
        if active:
            telling.disagreed(self, age, writes)

    def counted(self, hits: int, entries: int, weight: float | None) -> CacheInfo:
        """Return the figures; those of what is kept now are given."""
        written = dict.fromkeys(self.writers, 0) | (self.invalidated or {})
        return CacheInfo(
            hits=hits,
            misses=self.misses,
            loads=self.loads,
            failures=self.failures,
            rejected=self.rejected,
            evictions=self.evictions,
            invalidations=self.invalidations,
            uncacheable=self.uncacheable,
            entries=entries,
            stale=self.stale,
            refreshes=self.refreshes,
            refresh_failures=self.refresh_failures,
            timeouts=self.timeouts,
            verified=self.verified,
            disagreements=self.disagreements,
            disagreement_age=self.disagreement_age,
            disagreement_writes=self.disagreement_writes,
            load_time=self.load_time,
            load_times=LoadTimes(self.load_times) if self.load_times else LoadTimes(),
            expired=self.expired,
            evicted=self._evicted(),
            invalidated=Counts(written),
            bytes=weight,
        )

    def _evicted(self) -> Counts:
        if not self.evictions:
            return Counts()
        reasons = {"max_entries": self.evictions - self.outweighed, "max_bytes": self.outweighed}
        return Counts({reason: count for reason, count in reasons.items() if count})
