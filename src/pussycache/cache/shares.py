"""How much of a cache is the window's, and how that adapts.

What the parts of a cache are, and who is in them, is said in eviction.py.
"""

from __future__ import annotations

import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

__all__ = ["Shares"]

# A quarter of what is not the window is on probation; Caffeine has a fifth.
_PROTECTED: Final = 0.8
# The window's share of the cache: where it begins, and between what it moves. The lower end is
# Caffeine's beginning; at the upper end there is always a part that a scan cannot flush.
_SHARE: Final = 0.02
_LEAST_SHARE: Final = 0.01
_MOST_SHARE: Final = 0.8
# How far it moves at once, and for what evidence: that many uses found, an entry, and no fewer.
_STEP: Final = 0.01
_LONGEST_STEP: Final = 0.05
_EVIDENCE: Final = 2
_LEAST_EVIDENCE: Final = 64


class Shares:
    """The sizes of a cache's parts; the window's grows while a place there is of more use.

    Source: G. Einziger, O. Eytan, R. Friedman, B. Manes, "Adaptive Software Cache Management",
    2018, with the density of uses in the place of hill climbing.
    """

    __slots__ = (
        "_in_main",
        "_in_window",
        "_share",
        "_uses_left",
        "capacity",
        "full_window",
        "most_protected",
    )

    def __init__(self, capacity: float) -> None:
        self._share = _SHARE
        self._in_window = self._in_main = 0
        self.capacity = 0.0
        self._uses_left = 0.0
        self.measure(capacity)

    def measure(self, capacity: float) -> None:
        """Set the sizes of the parts, for a cache of so many entries."""
        if capacity == math.inf:
            capacity = 0.0
        window = max(1, int(self._share * capacity))
        # One more than its share: then its first has to go.
        self.full_window = window + 1
        self.most_protected = _PROTECTED * (capacity - window)
        if capacity != self.capacity:
            self.capacity = capacity
            self._uses_left = max(_LEAST_EVIDENCE, _EVIDENCE * capacity)

    def begin_anew(self) -> None:
        """Forget which uses were found, but not what followed from those before."""
        self._in_window = self._in_main = 0

    def used(self, in_window: bool) -> None:
        """Take note of an entry that was found used, in the window or in the other parts."""
        if in_window:
            self._in_window += 1
        else:
            self._in_main += 1
        self._uses_left -= 1
        if self._uses_left > 0:
            return
        # Where is a place worth more?
        window = self.full_window - 1
        main = max(1.0, self.capacity - window)
        richer = math.log((self._in_window + 1) / window) - math.log((self._in_main + 1) / main)
        step = max(-_LONGEST_STEP, min(_LONGEST_STEP, _STEP * richer))
        self._share = max(_LEAST_SHARE, min(_MOST_SHARE, self._share + step))
        self._in_window = self._in_main = 0
        self._uses_left = max(_LEAST_EVIDENCE, _EVIDENCE * self.capacity)
        self.measure(self.capacity)
