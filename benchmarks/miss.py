"""A call that computes, stores what it got, and throws out another entry to make room."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

if not __package__:
    # Run as a file: see __main__.py for the other way.
    sys.path[0] = str(Path(__file__).parents[1])

import cachebox
import cachetools

import pussycache
from benchmarks.measure import Figure, alone, best, looped, ratio

ROOM = 1_000


class Target:
    def get(self, a):
        return a

    @cachetools.cached(cachetools.TTLCache(ROOM, 300), lock=threading.RLock())
    def tools(self, a):
        return a

    @cachebox.cached(cachebox.TTLCache(ROOM, 300))
    def box(self, a):
        return a

    @cachebox.cached(cachebox.LRUCache(ROOM))
    def box_lru(self, a):
        return a


def figures(hurry: int = 1) -> list[Figure]:
    """Measure; in a hurry, with so many times fewer rounds."""
    target = Target()
    cache = pussycache.MemoryCache(ttl=300, max_entries=ROOM)
    proxy = pussycache.wrap(target, cache, cached_methods=["get"])
    for i in range(ROOM):
        proxy.get(i)
        target.tools(i)
        target.box(i)
        target.box_lru(i)
    at = best(
        {
            "ours": looped("o.get(i)", unrolled=1, o=proxy),
            "tools": looped("o.tools(i)", unrolled=1, o=target),
            "box": looped("o.box(i)", unrolled=1, o=target),
            "box_lru": looped("o.box_lru(i)", unrolled=1, o=target),
        },
        calls=500,
        rounds=1_500 // hurry,
    )
    info = pussycache.info(proxy)
    assert info.hits == 0, f"these were not misses: {info}"
    assert info.evictions == info.misses - ROOM, f"these did not all evict: {info}"
    beside = (
        ("cachetools.cached(TTLCache, lock=RLock())", "tools", 0.4),
        ("cachebox.cached(TTLCache)", "box", 0.8),
        ("cachebox.cached(LRUCache)", "box_lru", 0.8),
    )
    return [
        ratio(f"miss that stores and evicts, against {name}", at["ours"], at[key], at_most)
        for name, key, at_most in beside
    ]


if __name__ == "__main__":
    alone(figures)
