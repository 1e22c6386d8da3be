"""What the statistics mean, as a frozen snapshot; counting is done where things happen.

The meanings are those of Caffeine's `StatsCounter`: a caller that waits for somebody's load records
a miss; only the one that loads records the load, and how long it took.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from math import frexp, inf
from operator import add

from pussycache.typed import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

__all__ = ["BY_HAND", "OTHERS", "CacheInfo", "Counts", "LoadTimes", "Store", "added_up", "place"]

OTHERS: "Final" = "(others)"
"""Where counts are added up whose names are too many."""

BY_HAND: "Final" = "(set by hand)"
"""What the entries of `set` are called."""

# The first bucket is for what took less than 2 ** -20 s, the last for 2 ** 10 s and more.
_FIRST: "Final" = -20
_BUCKETS: "Final" = 32


def place(seconds: float) -> int:
    """Return the bucket of `LoadTimes` that a duration is counted in."""
    at = frexp(seconds)[1] - _FIRST
    if at < 0 or seconds <= 0.0:
        return 0
    return at if at < _BUCKETS else _BUCKETS - 1


class LoadTimes:
    """How many loads took how long, in 32 buckets, each twice as long as the one before.

    Two of them can be added and subtracted. ``counts`` are the buckets' counts, ``bounds`` the
    seconds where they end: from about a microsecond to 1024 s, and infinity.

    >>> times = LoadTimes.of([0.010, 0.011, 0.012, 3.0])
    >>> times.total, 0.008 < times.median < 0.016, 2 < times.percentile(99) < 4
    (4, True, True)
    """

    __slots__ = ("counts",)

    counts: tuple[int, ...]
    bounds: "Final" = (*[2.0**i for i in range(_FIRST, _FIRST + _BUCKETS - 1)], inf)

    def __init__(self, counts: Iterable[int] = (0,) * _BUCKETS) -> None:
        object.__setattr__(self, "counts", tuple(counts))

    @classmethod
    def of(cls, seconds: Iterable[float]) -> "LoadTimes":
        """Return the histogram of some durations."""
        counts = [0] * _BUCKETS
        for one in seconds:
            counts[place(one)] += 1
        return cls(counts)

    @property
    def total(self) -> int:
        """How many loads there are."""
        return sum(self.counts)

    @property
    def median(self) -> float:
        """Half of the loads took less than about so many seconds; 0.0 where there are none."""
        return self.percentile(50)

    def percentile(self, percent: float) -> float:
        """Estimate in how many seconds so many percent of the loads had ended.

        It lies in the bucket where the true one lies, so it is wrong by a factor of 2 at most.
        0.0 where there are no loads.
        """
        wanted = self.total * percent / 100.0
        below = 0
        for i, count in enumerate(self.counts):
            if count and below + count >= wanted:
                # Within a bucket, as if they were spread evenly on its logarithmic scale.
                share = (wanted - below) / count
                return float(2.0 ** (_FIRST + i - 1 + share))
            below += count
        return 0.0

    def __add__(self, other: "LoadTimes") -> "LoadTimes":
        return LoadTimes(map(add, self.counts, other.counts))

    def __sub__(self, other: "LoadTimes") -> "LoadTimes":
        return LoadTimes([a - b for a, b in zip(self.counts, other.counts, strict=True)])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LoadTimes) and self.counts == other.counts

    def __hash__(self) -> int:
        return hash(self.counts)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("load times do not change; take those of a later snapshot")

    def __reduce__(self) -> "tuple[Any, ...]":
        return LoadTimes, (self.counts,)

    def __repr__(self) -> str:
        return f"<LoadTimes of {self.total} loads, median {self.median:.2g} s>"


class Counts(Mapping[str, int]):
    """How often what happened, by name. Two of them can be added and subtracted.

    >>> Counts({"rename": 2}) + Counts({"rename": 1, "delete": 0})
    Counts({'rename': 3, 'delete': 0})
    """

    __slots__ = ("_counts",)

    _counts: dict[str, int]

    def __init__(self, counts: Mapping[str, int] | Iterable[tuple[str, int]] = ()) -> None:
        self._counts = dict(counts)

    def __getitem__(self, name: str) -> int:
        return self._counts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def __add__(self, other: "Counts") -> "Counts":
        found = dict(self._counts)
        for name, count in other.items():
            found[name] = found.get(name, 0) + count
        return Counts(found)

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts({name: count - other.get(name, 0) for name, count in self.items()})

    def __hash__(self) -> int:
        return hash(frozenset(self._counts.items()))

    def __repr__(self) -> str:
        return f"Counts({self._counts!r})"


_GAUGES: "Final" = ("entries", "bytes", "pending")
_NONE: "Final" = Counts()
_NO_TIMES: "Final" = LoadTimes()


# Annotations are evaluated here: as texts, each field of a named tuple is compiled at import.
class CacheInfo(NamedTuple):
    """What happened so far to the calls of one method, or of all methods of an object or a cache.

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
    since they were stored. ``pending`` invalidations have not reached the shared store yet.

    ``load_time`` is how many seconds the ``loads`` and the ``failures`` took in sum, ``load_times``
    how many of them took how long; one call that loads many ids is shared out among them.
    ``expired`` entries were found to be past their time. ``evicted`` are the ``evictions`` by the
    bound that they made room under, ``"max_entries"`` or ``"max_bytes"``; ``invalidated`` are the
    ``invalidations`` by the method or the operation that wrote, also those declared that have not
    written yet. ``bytes`` is what the entries weigh now, `None` where nobody weighs them.

    A later one minus an earlier one is what happened in between; ``entries``, ``bytes`` and
    ``pending`` stay those of the later one.
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
    pending: int = 0
    load_time: float = 0.0
    load_times: LoadTimes = _NO_TIMES
    expired: int = 0
    evicted: Counts = _NONE
    invalidated: Counts = _NONE
    bytes: float | None = None

    @property
    def hit_ratio(self) -> float:
        """The share of calls that were answered from the cache; 0.0 before the first."""
        calls = self.hits + self.misses
        return self.hits / calls if calls else 0.0

    @property
    def average_load(self) -> float:
        """How many seconds a load took on the average; 0.0 before the first."""
        ended = self.loads + self.failures
        return self.load_time / ended if ended else 0.0

    @property
    def time_saved(self) -> float:
        """An estimate of the seconds saved: each hit counts as a load of the usual length.

        That is the median, so that a few slow loads do not make it look better. As an estimate from
        a histogram, it may be wrong by a factor of 2.
        """
        return self.hits * self.load_times.median

    @classmethod
    def total(cls, parts: Iterable["CacheInfo"]) -> "CacheInfo":
        """Add up the figures of several methods."""
        return cls(*[_sum(column) for column in zip(cls(), *parts, strict=True)])

    def __sub__(self, earlier: "CacheInfo") -> "CacheInfo":
        now, then = self._asdict(), earlier._asdict()
        return CacheInfo(**{n: now[n] if n in _GAUGES else now[n] - then[n] for n in now})


def _sum(column: "Iterable[Any]") -> "Any":
    known = [part for part in column if part is not None]
    return reduce(add, known) if known else None


class Store(NamedTuple):
    """How a shared cache stands with its server, as far as this process knows without asking.

    ``name`` is the cache's in statistics; ``url`` is where the server is, without user, password
    and options, and empty where a client was given. ``breaker`` is ``"open"`` while the server is
    taken to be out of reach, else ``"closed"``. ``pending`` invalidations have not reached it yet.
    """

    name: str
    url: str
    breaker: str = "closed"
    pending: int = 0


def added_up(parts: Iterable[tuple[str, CacheInfo]]) -> dict[str, CacheInfo]:
    """Add up figures by name, without those of which nothing is to be told."""
    found: dict[str, list[CacheInfo]] = {}
    for name, info in parts:
        if name != BY_HAND or info.misses or info.hits or info.entries:
            found.setdefault(name, []).append(info)
    return {
        n: infos[0] if len(infos) == 1 else CacheInfo.total(infos) for n, infos in found.items()
    }
