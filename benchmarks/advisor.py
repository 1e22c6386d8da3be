"""How far the advisor's hit ratios are from those of an exact LRU cache, and what observing costs.

`python -m benchmarks.advisor --traces FOLDER`. The folder has one file of gzipped lines a trace, a
key a line. Traces are not part of the repository. Each is played once through an observed method;
then the hit ratio at a hundred sizes, evenly spaced, and at a hundred more, spaced by their
logarithms, is compared with that of an exact simulation (stack distances). Without `--traces`, only
the cost of a call is measured.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import time
import tracemalloc
from bisect import bisect_left
from itertools import accumulate
from pathlib import Path
from statistics import fmean

if not __package__:
    # Run as a file: see __main__.py for the other way.
    sys.path[0] = str(Path(__file__).parents[1])

import pussycache
from benchmarks.measure import best, looped

AT_MOST_POINTS = 2.0
AT_MOST_MICROSECONDS = 5.0


class Target:
    def nothing(self):
        return None

    def get(self, key):
        return None

    def row(self, key):
        return {"id": key, "name": "ada", "tags": ("a", "b")}

    def find(self, key, flag=True, *, name="ada"):
        return key


def main() -> int:
    """Measure; 1 if a figure is over and that was asked about."""
    options = _options()
    over = _costs(10 if options.quick else 1)
    if options.traces:
        over = _traces(options) or over
    return 1 if over and options.check else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.advisor", description=__doc__)
    parser.add_argument("--traces", type=Path, help="the folder of the traces")
    parser.add_argument("--only", metavar="NAMES", help="some of them, by name")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work for the costs")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a figure is over")
    return parser.parse_args()


# The curve.


class Exact:
    """The hit ratios of an LRU cache of any size, by counting what came in between."""

    def __init__(self, keys: list[int]) -> None:
        tree = [0] * (len(keys) + 1)
        last: dict[int, int] = {}
        counts: dict[int, int] = {}
        for now, key in enumerate(keys, 1):
            before = last.get(key)
            if before is not None:
                distance, at = len(last), before
                while at:
                    distance -= tree[at]
                    at &= at - 1
                counts[distance] = counts.get(distance, 0) + 1
                self._add(tree, before, -1)
            self._add(tree, now, 1)
            last[key] = now
        self.different = len(last)
        self._total = len(keys)
        self._distances = sorted(counts)
        self._sums = [0, *accumulate([counts[distance] for distance in self._distances])]

    @staticmethod
    def _add(tree: list[int], at: int, number: int) -> None:
        while at < len(tree):
            tree[at] += number
            at += at & -at

    def hit_ratio(self, entries: int) -> float:
        return self._sums[bisect_left(self._distances, entries)] / self._total


def _traces(options: argparse.Namespace) -> bool:
    names = sorted(path.name.removesuffix(".txt.gz") for path in options.traces.glob("*.txt.gz"))
    wanted = options.only.split(",") if options.only else names
    errors = []
    print(
        f"\n{'trace':14} {'calls':>9} {'keys':>8}   mean error    by log     worst   said  (points)"
    )
    for name in wanted:
        with gzip.open(options.traces / f"{name}.txt.gz", "rt") as lines:
            keys = [int(line) for line in lines]
        report, took = _observed(keys)
        exact = Exact(keys)
        most = exact.different
        even = sorted({max(1, most * i // 100) for i in range(1, 101)})
        logs = sorted({round(most ** (i / 100)) for i in range(1, 101)})
        off = {
            size: 100 * abs(report.hit_ratio(entries=size) - exact.hit_ratio(size))
            for size in {*even, *logs}
        }
        mean, by_log = fmean(off[size] for size in even), fmean(off[size] for size in logs)
        said = 100 * fmean(report.error(size) for size in logs)
        errors += [mean, by_log]
        print(
            f"{name:14} {len(keys):9,} {most:8,}   {mean:10.2f} {by_log:9.2f} "
            f"{max(off.values()):9.2f} {said:6.2f}  {1e6 * took / len(keys):5.2f} µs a call",
            flush=True,
        )
    print(f"mean of all {fmean(errors):.2f}, worst mean {max(errors):.2f} points")
    return max(errors) > AT_MOST_POINTS


def _observed(keys: list[int]) -> tuple[pussycache.see.advisor.MethodReport, float]:
    observed = pussycache.observe(Target())
    get = observed.get
    start = time.perf_counter()
    for key in keys:
        get(key)
    took = time.perf_counter() - start
    return pussycache.advise(observed)["get"], took


# The cost.

CALLS = {
    "no arguments": "o.nothing()",
    "an int, 100 of them": "o.get(i % 100)",
    "an int, 10,000 of them": "o.get(i % 10_000)",
    "an int, always new": "o.get(i)",
    "a string, 1,000 of them": "o.get(texts[i % 1_000])",
    "a dict returned": "o.row(i % 1_000)",
    "three arguments": "o.find(i % 1_000, False, name='eve')",
}


def _costs(less: int) -> bool:
    texts = [f"key {i}" for i in range(1_000)]
    worst = 0.0
    print(f"{'what a call costs more':26} {'µs':>6}   at most {AT_MOST_MICROSECONDS:.0f}")
    for name, call in CALLS.items():
        observed = pussycache.observe(Target())
        runs = {
            "bare": looped(call, unrolled=1, o=Target(), texts=texts),
            "observed": looped(call, unrolled=1, o=observed, texts=texts),
        }
        found = best(runs, calls=1_000, rounds=600 // less)
        more = (found["observed"] - found["bare"]) / 1e3
        worst = max(worst, more)
        print(f"{name:26} {more:6.2f}")
    tracemalloc.start()
    observed = pussycache.observe(Target())
    for key in range(400_000 // less):
        observed.row(key)
    print(f"memory after {400_000 // less:,} different calls: ", end="")
    print(f"{tracemalloc.get_traced_memory()[0] / 1e6:.1f} MB")
    tracemalloc.stop()
    return worst > AT_MOST_MICROSECONDS


if __name__ == "__main__":
    sys.exit(main())
