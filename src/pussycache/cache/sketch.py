"""How often a key was asked for, roughly, in a sketch that forgets with time.

Who asks and what follows from it is decided in eviction.py.
"""

from __future__ import annotations

import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

__all__ = ["Sketch"]

# Counters an entry, how far they count, and after how many evictions an entry each is halved.
_COUNTERS: Final = 4
_MOST: Final = 7
_MEMORY: Final = 10
_HALVES: Final = bytes(i >> 1 for i in range(256))


class Sketch:
    """Counters, one for many keys: that of a place is ``counters[place & mask]``.

    They count to 7. ``mask`` is 0 as long as there are not enough of them to be used: a cache
    that never throws anything out needs none.

    Source: G. Einziger, R. Friedman, B. Manes, "TinyLFU: A Highly Efficient Cache Admission
    Policy", 2017, with a counter a key in place of several; aged in turns.
    """

    __slots__ = ("_cursor", "counters", "mask")

    def __init__(self) -> None:
        self.counters = bytearray()
        self.mask = 0
        self._cursor = 0

    def prepare(self, capacity: float, most: float = math.inf) -> None:
        """Make counters for so many entries, or so many of the counters at once."""
        size = 1 << math.ceil(math.log2(_COUNTERS * capacity))
        # They may have been begun for a larger cache than this is by now.
        del self.counters[size:]
        self.counters.extend(bytes(int(min(most, size - len(self.counters)))))

    def begin(self, capacity: float) -> None:
        """Have them all, and count from here on."""
        self.prepare(capacity)
        self.mask = len(self.counters) - 1

    def fit(self, capacity: float) -> None:
        """Begin anew if there are far more counters than so many entries need."""
        if self.counters and len(self.counters) > 4 * _COUNTERS * capacity:
            self.counters = bytearray()
            self.mask = 0

    def count(self, place: int, times: int) -> int:
        """Count that a key was asked for so many times, and return how often it was."""
        at = place & self.mask
        self.counters[at] = seen = min(_MOST, self.counters[at] + times)
        return seen

    def age(self, capacity: float, evictions: int) -> None:
        """Do what is due after so many evictions."""
        counters = self.counters
        if len(counters) < _COUNTERS * capacity:
            # Twice the same: every key finds its count in the longer one, too.
            counters *= 2
            self.mask = len(counters) - 1
            return
        # The counters are halved in turns, so that no call has to wait for all of them.
        share = max(1, round(evictions * len(counters) / (_MEMORY * capacity)))
        begin = self._cursor
        end = begin + share
        counters[begin:end] = counters[begin:end].translate(_HALVES)
        self._cursor = end if end < len(counters) else 0
