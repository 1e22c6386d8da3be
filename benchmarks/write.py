"""A write, with few and with many entries behind it that it makes wrong."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

if not __package__:
    # Run as a file: see __main__.py for the other way.
    sys.path[0] = str(Path(__file__).parents[1])

import pussycache
from benchmarks.measure import Figure, alone, ratio

FEW, MANY = 10**3, 10**6
VALUE = object()


class Target:
    def get(self, a):
        return VALUE

    def write(self):
        pass


def figures(hurry: int = 1) -> list[Figure]:
    """Measure; in a hurry, with so many times fewer entries, and once."""
    few, many = FEW, MANY // hurry
    least = {few: math.inf, many: math.inf}
    for _ in range(3 if hurry == 1 else 1):
        for entries in least:
            least[entries] = min(least[entries], first_write(entries))
    return [
        ratio(
            f"write with {many:,} entries behind it, against {few:,}",
            least[many] / 1e3,
            least[few] / 1e3,
            5,
            unit="us",
        )
    ]


def first_write(entries: int) -> float:
    """Return how long the write takes that makes so many entries wrong, in nanoseconds."""
    cache = pussycache.MemoryCache(ttl=300, max_entries=2 * MANY)
    proxy = pussycache.wrap(
        Target(), cache, cached_methods=["get"], invalidate_methods={"write": ["get"]}
    )
    for _ in range(10):
        proxy.write()
    unused = sys.getrefcount(VALUE)
    for i in range(entries):
        proxy.get(i)
    assert pussycache.info(proxy.get).entries == entries
    start = time.perf_counter()
    proxy.write()
    took = time.perf_counter() - start
    assert pussycache.info(proxy.get).entries == 0
    # What the write left to be freed later is nothing that the next one should run beside.
    deadline = time.monotonic() + 60
    while sys.getrefcount(VALUE) > unused:
        assert time.monotonic() < deadline, "what a write makes wrong is not freed"
        time.sleep(0.01)
    return took * 1e9


if __name__ == "__main__":
    alone(figures)
