"""The longest miss of many, in a cache that is full, large, and has entries that expire.

`python -m benchmarks.pauses`, with `--entries` and `--misses` for less than a million of each. The
collector of garbage is off: its pauses grow with what there is to look through, whoever made it.
So is what others do on the machine in part: calls are timed by the thread's own time. What remains
of others' doing is that a dictionary is built anew by the interpreter when its places are used up:
as often as that happens to a bare one, that many of the longest are left out.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from pathlib import Path

if not __package__:
    # Run as a file: see __main__.py for the other way.
    sys.path[0] = str(Path(__file__).parents[1])

import pussycache

AT_MOST = 1e6


class Target:
    def get(self, a):
        return None


def main() -> int:
    """Measure, and print the longest; 1 if it is too long and that was asked about."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pauses", description=__doc__)
    parser.add_argument("--entries", type=int, default=10**6)
    parser.add_argument("--misses", type=int, default=10**6)
    parser.add_argument("--check", action="store_true", help="exit with 1 if one is too long")
    options = parser.parse_args()
    worst = 0.0
    for ttl in (None, 300):
        times = longest(ttl, options.entries, options.misses)
        rebuilt = pauses_of_a_dictionary(options.entries, options.misses)
        worst = max(worst, times[rebuilt])
        shown = [f"{1e-3 * one:.0f} us" for one in times[: rebuilt + 5]]
        print(
            f"ttl {ttl}: the longest of {options.misses:,} misses: {', '.join(shown[rebuilt:])}; "
            f"when the dictionary was built anew: {', '.join(shown[:rebuilt]) or 'never'}",
            flush=True,
        )
    return 1 if options.check and worst > AT_MOST else 0


def longest(ttl: float | None, entries: int, misses: int) -> list[int]:
    """Return how long the misses took, in nanoseconds, the longest first."""
    cache = pussycache.MemoryCache(ttl=ttl, max_entries=entries)
    get = pussycache.wrap(Target(), cache, cached_methods=["get"]).get
    for i in range(entries):
        get(i)
    for i in range(0, entries, 3):
        # Some were used: they have to be passed over when a victim is looked for.
        get(i)
    now = time.thread_time_ns
    times = [0] * misses
    gc.collect()
    gc.disable()
    try:
        for i in range(misses):
            start = now()
            get(-i - 1)
            times[i] = now() - start
    finally:
        gc.enable()
    return sorted(times, reverse=True)


def pauses_of_a_dictionary(entries: int, misses: int) -> int:
    """Return how often a dictionary alone takes too long for an insertion and a deletion."""
    keys = [(i, int) for i in range(entries)]
    space = dict.fromkeys(keys)
    now = time.thread_time_ns
    pauses = 0
    for i in range(misses):
        start = now()
        space[(-i - 1, int)] = None
        pauses += now() - start > AT_MOST
        del space[keys[i] if i < entries else (entries - i - 1, int)]
    return pauses


if __name__ == "__main__":
    sys.exit(main())
