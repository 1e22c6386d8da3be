"""What the statistics mean, as a frozen snapshot; counting is done where things happen.

The meanings are those of Caffeine's `StatsCounter`: a caller that waits for somebody's load records
a miss; only the one that loads records the load.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["CacheInfo"]


class CacheInfo(NamedTuple):
    """What happened so far to the calls of one method, or of all methods of an object.

    ``hits`` were answered from the cache. ``misses`` were not, also where another caller's load was
    waited for. ``loads`` ended well, ``failures`` raised. ``rejected`` were loaded and not stored,
    because a policy said so. ``evictions`` made room; ``invalidations`` is how many writes said
    that something was wrong, and how many values were found changed in place. ``uncacheable`` calls
    had arguments that cannot be part of a key. ``entries`` is how many results are remembered now.
    ``stale`` answers were an old value. ``refreshes`` are the loads that ran in the background to
    renew one, ``refresh_failures`` those of them that raised; they are among the ``loads`` and the
    ``failures``. ``timeouts`` callers did not wait for a load to its end. ``verified`` values were
    recomputed and compared, and ``disagreements`` of them were wrong: they were
    ``disagreement_age`` seconds old in sum, and ``disagreement_writes`` invalidations had come
    since they were stored.
    """

    hits: int = 0
    misses: int = 0
    loads: int = 0
    failures: int = 0
    rejected: int = 0
    evictions: int = 0
    invalidations: int = 0
    uncacheable: int = 0
    entries: int = 0
    stale: int = 0
    refreshes: int = 0
    refresh_failures: int = 0
    timeouts: int = 0
    verified: int = 0
    disagreements: int = 0
    disagreement_age: float = 0.0
    disagreement_writes: int = 0

    @property
    def hit_ratio(self) -> float:
        """The share of calls that were answered from the cache; 0.0 before the first."""
        calls = self.hits + self.misses
        return self.hits / calls if calls else 0.0

    @classmethod
    def total(cls, parts: Iterable[CacheInfo]) -> CacheInfo:
        """Add up the figures of several methods."""
        return cls(*[sum(column) for column in zip(*parts, strict=True)])
