"""Reuse distances from a sample of keys, and the hit ratio of an LRU cache of any size from them.

The method is fixed-size SHARDS: C. A. Waldspurger, N. Park, A. Garthwaite and I. Ahmad, "Efficient
MRC Construction with SHARDS", FAST 2015. Which keys are in the sample is decided by their hash, so
that all uses of a key are in it or none; of the keys that were ever used the ``most`` with the
smallest hashes stay. Pure: no clock, no lock, and nothing is known of methods.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from heapq import heappop, heappush, nlargest
from itertools import accumulate
from typing import Final

__all__ = ["COLD", "Curve", "Reuse", "Sample", "bucket_of", "least_of", "mixed"]

COLD: Final = math.inf
"""The distance of the first use of a key."""

_SPACE: Final = 1 << 64  # keys are numbers of 64 bits
_MASK: Final = _SPACE - 1


def mixed(number: int) -> int:
    """Return a number of 64 bits whose high bits depend on all of a hash's.

    Different numbers of that length stay different.
    """
    # By 2 ** 64 over the golden ratio, as Knuth has it.
    return (number * 0x9E3779B97F4A7C15) & _MASK


class Sample:
    """The keys with the smallest hashes, ``most`` of them at most.

    ``limit`` is what a hash must be below to be in the sample; ``weight`` is how many keys each of
    them stands for.
    """

    __slots__ = ("_heap", "_most", "limit", "weight")

    def __init__(self, most: int) -> None:
        self._most = most
        self._heap: list[int] = []
        self.limit = _SPACE
        self.weight = 1.0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, key: int) -> int | None:
        """Take in a new key below the limit; return the key that has to leave for it, if any."""
        heappush(self._heap, -key)
        if len(self._heap) <= self._most:
            return None
        gone = -heappop(self._heap)
        # Two keys of one hash cannot be: keys are their hashes.
        self.limit = gone
        self.weight = _SPACE / gone
        return gone


class _Order:
    """Moments in a row, and how many come after one of them.

    A sorted list in pieces, because a moment is always added at the end and taken out anywhere.
    """

    __slots__ = ("_firsts", "_pieces")

    _MOST: Final = 1024

    def __init__(self) -> None:
        self._pieces: list[list[int]] = [[]]
        self._firsts: list[int] = [0]

    def add(self, moment: int) -> None:
        piece = self._pieces[-1]
        if len(piece) < self._MOST:
            piece.append(moment)
        else:
            self._pieces.append([moment])
            self._firsts.append(moment)

    def take(self, moment: int) -> int:
        """Take a moment out; return how many come after it."""
        pieces, firsts = self._pieces, self._firsts
        at = bisect_right(firsts, moment) - 1
        piece = pieces[at]
        place = bisect_left(piece, moment)
        del piece[place]
        after = len(piece) - place
        if piece is pieces[-1]:
            return after
        after += sum(map(len, pieces[at + 1 :]))
        if len(piece) + len(pieces[at + 1]) <= self._MOST:
            piece += pieces[at + 1]
            del pieces[at + 1], firsts[at + 1]
        return after


NEAR: Final = 128
"""Distances below this are known of all uses, in the sample or not."""

GROUPS: Final = 16
"""Into so many parts the sample falls, each a sample of its own: how much they differ is its error.

By bits that the limit does not look at first.
"""

# So many buckets to an octave: neighbours differ by 0.1 % in the whole, by 6 % in the parts.
_FINE: Final = 10
_COARSE: Final = 4
_PLAIN: Final = 2 << _FINE  # below it, each distance has a bucket of its own


def bucket_of(distance: int, bits: int) -> int:
    """Return the number of the bucket of a distance; small distances have one of their own."""
    octave = max(0, distance.bit_length() - bits - 1)
    return (octave << bits) + (distance >> octave)


def least_of(bucket: int, bits: int) -> int:
    """Return the smallest distance of a bucket."""
    octave = max(0, (bucket >> bits) - 1)
    return (bucket - (octave << bits)) << octave


class Reuse:
    """What is remembered of the uses of keys: how many others came between two of one key.

    Short distances are measured for all keys, by a list of the latest ones, the longer ones for the
    sample. So the few keys that are used all the time, of which a sample has too many or too few,
    do not weigh in it.
    """

    __slots__ = (
        "_last",
        "_moment",
        "_order",
        "_recent",
        "_within",
        "cold",
        "colds",
        "far",
        "groups",
        "near",
        "sample",
        "total",
    )

    def __init__(self, most: int) -> None:
        self.sample = Sample(most)
        self.total = 0
        # First uses: all, and by group those since the sample is less than everything.
        self.cold = 0.0
        self.colds = [0.0] * GROUPS
        self.near = [0] * NEAR
        self.far: dict[int, float] = {}
        self.groups: list[dict[int, float]] = [{} for _ in range(GROUPS)]
        self._moment = 0
        self._last: dict[int, int] = {}
        self._order = _Order()
        # The latest keys, the last one first: kept once the sample is less than everything.
        self._recent: list[int] = []
        self._within: set[int] = set()

    def use(self, key: int, stored: bool = True) -> float | None:
        """Note one use of a key; return how many others were used since its last, `COLD` if none.

        `None` for a key that is not in the sample.

        :param stored: whether a cache would have stored the key, had it not been there.
        """
        self.total += 1
        sample = self.sample
        weight = sample.weight
        distance: float = NEAR
        if weight > 1.0 and (distance := self._back(key, stored)) < NEAR:
            self.near[int(distance)] += 1
        if key >= sample.limit:
            return None
        last = self._last.get(key)
        if last is None:
            self.cold += weight
            if weight > 1.0:
                self.colds[key % GROUPS] += weight
            if stored:
                self._enter(key)
            return COLD
        after = 0
        if last != self._moment:
            after = self._order.take(last)
            # As `_note` does: this is what most uses come to.
            moment = self._moment = self._moment + 1
            self._last[key] = moment
            self._order.add(moment)
        if weight == 1.0:
            distance = after
            if after < NEAR:
                self.near[after] += 1
        if distance < NEAR:
            return distance
        far = after if weight == 1.0 else max(NEAR, int(after * weight))
        bucket = far if far < _PLAIN else bucket_of(far, _FINE)
        self.far[bucket] = self.far.get(bucket, 0.0) + weight
        if weight > 1.0:
            buckets, bucket = self.groups[key % GROUPS], bucket_of(far, _COARSE)
            buckets[bucket] = buckets.get(bucket, 0.0) + weight
        return far

    def _back(self, key: int, stored: bool) -> int:
        """Return how many of the latest keys came after this one, and put it first."""
        recent, within = self._recent, self._within
        if key in within:
            at = recent.index(key)
            if at:
                del recent[at]
                recent.insert(0, key)
            return at
        if stored:
            recent.insert(0, key)
            within.add(key)
            if len(recent) > NEAR:
                within.remove(recent.pop())
        return NEAR

    def _enter(self, key: int) -> None:
        self._note(key)
        was = self.sample.weight
        gone = self.sample.add(key)
        if gone is None:
            return
        if was == 1.0:
            # Until now, all keys were in the sample.
            self._recent = nlargest(NEAR, self._last, key=self._last.__getitem__)
            self._within = set(self._recent)
        self._order.take(self._last.pop(gone))

    def _note(self, key: int) -> None:
        self._moment += 1
        self._last[key] = self._moment
        self._order.add(self._moment)

    def curve(self) -> Curve:
        """Return the hit ratio by size, as it is now."""
        return Curve(self)


class Curve:
    """The share of uses that an LRU cache would have answered, by its size.

    ``keys`` were followed, of about ``different`` ones; ``exact`` says that these were all.
    """

    def __init__(self, reuse: Reuse) -> None:
        self.total = reuse.total
        self.keys = len(reuse.sample)
        self.exact = reuse.sample.weight == 1.0
        self.different = round(self.keys * reuse.sample.weight)
        self._near = list(accumulate(reuse.near, initial=0))
        # From a sample it is known well how many keys there are, and less well how often they were
        # used. But all uses are counted: what is left of them are uses of a key again.
        self._again = max(0.0, self.total - self._near[-1] - reuse.cold)
        self._far = _Part(reuse.far, _FINE)
        self._parts = [_Part(group, _COARSE) for group in reuse.groups]
        self._doubt = math.sqrt(GROUPS) * _spread(reuse.colds)
        self.repeated = self.hit_ratio(math.inf)

    def hit_ratio(self, entries: float) -> float:
        """Return the share of uses that a cache of so many entries would have answered."""
        if not self.total:
            return 0.0
        if entries <= NEAR:
            return self._near[max(0, int(entries))] / self.total
        return (self._near[-1] + self._again * self._far.share(entries)) / self.total

    def error(self, entries: float) -> float:
        """Return how far off that may be, at 95 %, for the sample alone; 0 if all was followed."""
        if self.exact or entries <= NEAR:
            return 0.0
        of_keys = self._doubt * self._far.share(entries)
        shares = [part.share(entries) for part in self._parts]
        of_uses = self._again * _spread(shares) / math.sqrt(GROUPS)
        # 2.13: Student's t for 15 degrees of freedom.
        return min(1.0, 2.13 * math.hypot(of_keys, of_uses) / self.total)

    def size_for(self, share: float) -> int:
        """Return the least size at which this share of all possible hits is reached."""
        wanted = share * self.repeated
        low, high = 0, 1
        while self.hit_ratio(high) < wanted:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.hit_ratio(middle) >= wanted else (middle, high)
        return high


def _spread(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


class _Part:
    """Long distances: which share of them is within so many entries."""

    def __init__(self, buckets: dict[int, float], bits: int) -> None:
        known = sorted(buckets)
        self._firsts = [least_of(bucket, bits) for bucket in known]
        self._widths = [least_of(bucket + 1, bits) - least_of(bucket, bits) for bucket in known]
        self._sums = list(accumulate([buckets[bucket] for bucket in known], initial=0.0))

    def share(self, entries: float) -> float:
        at = bisect_left(self._firsts, entries) - 1
        if at < 0:
            return 0.0
        inside = min(1.0, (entries - self._firsts[at]) / self._widths[at])
        reached = self._sums[at] + inside * (self._sums[at + 1] - self._sums[at])
        return reached / self._sums[-1]
