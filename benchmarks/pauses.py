"""The longest miss of many, in a cache that is full, large, and has entries that expire.

The collector of garbage is off: its pauses grow with what there is to look through, whoever made
it. What others do on the machine is kept out as far as that goes: calls are timed by the thread's
own time, and everything is done several times over, each time the very same, so that the least that
a miss took counts. What remains of others' doing is that a dictionary is built anew by the
interpreter when its places are used up: as often as that happens to a bare one, that many of the
longest are left out.
"""

from __future__ import annotations

import gc
import itertools
import sys
import time
from pathlib import Path

if not __package__:
    # Run as a file: see __main__.py for the other way.
    sys.path[0] = str(Path(__file__).parents[1])

import pussycache
from benchmarks.measure import Figure, alone
from pussycache.engine import generations

MANY = 10**6
TIMES = 2
AT_MOST = 1.0
# What a bare dictionary takes longer for than this is that it is built anew.
REBUILT = 1_000_000


class Target:
    def get(self, a):
        return None


def figures(hurry: int = 1) -> list[Figure]:
    """Measure; in a hurry, with so many times fewer entries and misses."""
    many = MANY // hurry
    rebuilt = rebuildings(many)
    times = longest(many)
    worst = times[rebuilt] / 1e6
    shown = ", ".join(f"{1e-3 * one:.0f}" for one in times[: rebuilt + 5])
    return [
        Figure(
            f"the longest of {many:,} misses with {many:,} entries",
            worst,
            0,
            "ms",
            worst,
            AT_MOST,
            "ms",
            note=f"the longest, in us: {shown}; so many of these, the first, are the dictionary "
            f"being built anew: {rebuilt}",
        )
    ]


def longest(many: int) -> list[int]:
    """Return how long the misses took, in nanoseconds, the longest first."""
    least = [REBUILT * 1_000] * many
    for _ in range(TIMES):
        # What is thrown out when depends on the number of the table a little.
        generations._serials = itertools.count(1)
        cache = pussycache.MemoryCache(ttl=300, max_entries=many)
        get = pussycache.wrap(Target(), cache, cached_methods=["get"]).get
        for i in range(many):
            get(i)
        for i in range(0, many, 3):
            # Some were used: they have to be passed over when a victim is looked for.
            get(i)
        now = time.thread_time_ns
        gc.collect()
        gc.disable()
        try:
            for i in range(many):
                start = now()
                get(-i - 1)
                took = now() - start
                if took < least[i]:
                    least[i] = took
        finally:
            gc.enable()
    return sorted(least, reverse=True)


def rebuildings(many: int) -> int:
    """Return how often a dictionary alone takes too long for an insertion and a deletion."""
    least = [REBUILT * 1_000] * many
    now = time.thread_time_ns
    for _ in range(TIMES):
        keys = [(i, int) for i in range(many)]
        space = dict.fromkeys(keys)
        for i in range(many):
            start = now()
            space[(-i - 1, int)] = None
            least[i] = min(least[i], now() - start)
            del space[keys[i]]
    return sum(one > REBUILT for one in least)


if __name__ == "__main__":
    alone(figures)
