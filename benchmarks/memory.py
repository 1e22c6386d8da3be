"""What an entry costs: the bytes that are there with it and would not be without."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

if not __package__:
    # Run as a file: see __main__.py for the other way.
    sys.path[0] = str(Path(__file__).parents[1])

import cachetools

import pussycache
from benchmarks.measure import Figure, alone, ratio

ENTRIES = 100_000


class Target:
    def get(self, a):
        return None

    @cachetools.cached(cachetools.TTLCache(2 * ENTRIES, 300))
    def tools(self, a):
        return None


def figures(hurry: int = 1) -> list[Figure]:
    """Measure; there is nothing to hurry, because memory is counted and not timed."""
    target = Target()
    cache = pussycache.MemoryCache(ttl=300, max_entries=2 * ENTRIES)
    proxy = pussycache.wrap(target, cache, cached_methods=["get"])
    ours, theirs = an_entry(proxy.get), an_entry(target.tools)
    assert len(cache) == ENTRIES
    return [
        ratio("bytes an entry, against cachetools.cached(TTLCache)", ours, theirs, 0.75, unit="B")
    ]


def an_entry(method: Callable[[int], object]) -> float:
    """Return the bytes of one entry of many: one int as argument, the same value for all."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for i in range(10**6, 10**6 + ENTRIES):
            method(i)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return (after - before) / ENTRIES


if __name__ == "__main__":
    alone(figures)
