"""What caches with different ttls would have answered to the same calls, and how often wrongly.

For a sample of keys, each ttl is played through as it happens: an entry is stored by the call that
finds none, and answers until its time is over. A wrong answer is one that differs from what the
method returned just then. Pure: times are given, and nothing is known of methods.
"""

from __future__ import annotations

import math
from array import array
from typing import Final

from pussycache.see.shards import COLD, Sample, bucket_of, least_of

__all__ = ["TTLS", "Ages", "Key", "Lifetimes"]

TTLS: Final = (
    *(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0),
    *(60.0, 120.0, 300.0, 600.0, 900.0, 1800.0),
    *(3600.0, 7200.0, 6 * 3600.0, 12 * 3600.0, 86400.0, 7 * 86400.0),
    math.inf,
)
"""The ttls that are played through, in seconds: such as people write."""

_MANY: Final = len(TTLS)
_COARSE: Final = 3


class Key:
    """One key: what was seen of its results, and the entry that each ttl would have.

    ``digest`` tells results apart, `None` if the last one could not be looked at; it was returned
    at ``at`` by a call that began as number ``call``.
    """

    __slots__ = ("at", "call", "digest", "digests", "even", "expires", "quick", "soonest")

    def __init__(self, digest: int | None, at: float, call: int) -> None:
        self.digest = digest
        self.at = at
        self.call = call
        self.expires = array("d", [at + ttl for ttl in TTLS])
        self.digests = [digest] * _MANY
        # So that most uses need not look at each ttl: nothing expires before `soonest`, and while
        # `even` is not `None`, all entries have it.
        self.soonest = at + TTLS[0]
        self.even = digest
        # Uses that were counted only, because nothing can have expired.
        self.quick = 0


class Ages:
    """The keys of a sample, and how their uses ended for each ttl."""

    __slots__ = ("hits", "judged", "keys", "right", "rows", "sample", "wrong")

    def __init__(self, most: int) -> None:
        self.sample = Sample(most)
        self.keys: dict[int, Key] = {}
        # By how many others were used in between: for each ttl what had expired, and all uses.
        self.rows: dict[int, list[float]] = {}
        self.hits = [0.0] * _MANY
        self.judged = [0.0] * _MANY
        self.wrong = [0.0] * _MANY
        self.right = 0.0

    def enter(self, key: int, digest: int | None, at: float, call: int) -> None:
        """Take in a key that was used for the first time, if it belongs to the sample."""
        if key >= self.sample.limit:
            return
        self.keys[key] = Key(digest, at, call)
        gone = self.sample.add(key)
        if gone is not None:
            del self.keys[gone]

    def use(
        self,
        key: Key,
        distance: float,
        began: float,
        ended: float,
        digest: int | None,
        stored: bool = True,
    ) -> None:
        """Note one more use.

        :param distance: how many other keys were used since the last use.
        :param digest: what was returned, `None` if nobody knows.
        :param stored: whether a cache would have stored the result.
        """
        weight = self.sample.weight
        place = -1 if distance == COLD else bucket_of(int(distance), _COARSE)
        row = self.rows.get(place)
        if row is None:
            row = self.rows[place] = [0.0] * (_MANY + 1)
        row[_MANY] += weight * (1 + key.quick)
        key.quick = 0
        even = key.even
        if began < key.soonest and even is not None and digest == even:
            self.right += weight
            return
        expires, digests = key.expires, key.digests
        hits, judged, wrong = self.hits, self.judged, self.wrong
        for i, until in enumerate(expires):
            if until > began:
                hits[i] += weight
                if digest is not None and digests[i] is not None:
                    judged[i] += weight
                    if digests[i] != digest:
                        wrong[i] += weight
                continue
            row[i] += weight
            if stored:
                expires[i] = ended + TTLS[i]
                digests[i] = digest
            else:
                expires[i] = -math.inf
        key.soonest = min(expires)
        first = digests[0]
        key.even = first if first is not None and digests.count(first) == _MANY else None

    def lifetimes(self) -> Lifetimes:
        """Return the figures, as they are now."""
        return Lifetimes(self)


class Lifetimes:
    """Of the uses that found the key used before: what a ttl keeps of them, and what is wrong."""

    def __init__(self, ages: Ages) -> None:
        self.keys = len(ages.sample)
        known = sorted(place for place in ages.rows if place >= 0)
        self._firsts = [least_of(place, _COARSE) for place in known]
        self._rows = [list(ages.rows[place]) for place in known]
        self._rights = [
            None if not hits else (wrong / judged if judged else math.nan)
            for hits, judged, wrong in zip(
                [ages.right + hits for hits in ages.hits],
                [ages.right + judged for judged in ages.judged],
                ages.wrong,
                strict=True,
            )
        ]

    def kept(self, entries: float, ttl: float) -> float:
        """Return the share of an LRU cache's hits that are hits also with this ttl."""
        rows = [row for least, row in zip(self._firsts, self._rows, strict=True) if least < entries]
        everything = math.fsum(row[_MANY] for row in rows)
        if not everything:
            return 0.0
        kept = [1.0 - math.fsum(row[i] for row in rows) / everything for i in range(_MANY)]
        return _between(kept, ttl)

    def wrong(self, ttl: float) -> float | None:
        """Return the share of the hits with this ttl that are wrong; `None` if it is not known."""
        shares = [0.0 if share is None else share for share in self._rights]
        found = _between(shares, ttl)
        return None if math.isnan(found) else found


def _between(values: list[float], ttl: float) -> float:
    """Return the value for a ttl, from those of `TTLS`; between two by the logarithm of the ttl."""
    if ttl <= TTLS[0]:
        return values[0] * max(0.0, ttl) / TTLS[0]
    above = next(i for i, known in enumerate(TTLS) if known >= ttl)
    if TTLS[above] == ttl:
        return values[above]
    if math.isinf(TTLS[above]):
        return values[above - 1]
    low, high = TTLS[above - 1], TTLS[above]
    part = math.log(ttl / low) / math.log(high / low)
    return values[above - 1] + part * (values[above] - values[above - 1])
