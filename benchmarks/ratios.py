"""How many calls of a real trace are answered from the cache, beside what others come to.

`python -m benchmarks.ratios --traces FOLDER`. The folder has one file of gzipped lines a trace, a
key a line, and `reference.json`, with the hit ratios of other policies by trace and capacity: that
of the clairvoyant optimum (OPT), of LRU and of Caffeine at least. Traces are not part of the
repository.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any

if not __package__:
    # Run as a file: see __main__.py for the other way.
    sys.path[0] = str(Path(__file__).parents[1])

import pussycache

PEERS = ("LRU", "Caffeine-3.1.8", "Caffeine-HEAD")
AT_LEAST = 0.861
AT_MOST_BELOW_LRU = 0.06


class Target:
    def get(self, key):
        return None


def main() -> int:
    """Measure all points whose trace is there; 1 if they fall short and that was asked about."""
    options = _options()
    reference = json.loads((options.traces / "reference.json").read_text())
    points = []
    for name in _traces(options, reference):
        keys = _keys(options.traces / f"{name}.txt.gz", options.most)
        for capacity, others in reference[name].items():
            start = time.perf_counter()
            ours = hit_ratio(keys, int(capacity))
            points.append((name, int(capacity), ours, others))
            print(_line(*points[-1], time.perf_counter() - start), flush=True)
    if not points:
        print("no trace of reference.json is there", file=sys.stderr)
        return 1
    return 0 if _summary(points) or not options.check else 1


def hit_ratio(keys: list[str], capacity: int) -> float:
    """Return the share of hits of a proxy that is asked for these keys, one after the other."""
    cache = pussycache.MemoryCache(max_entries=capacity)
    proxy = pussycache.wrap(Target(), cache, cached_methods=["get"])
    get = proxy.get
    for key in keys:
        get(key)
    info = pussycache.info(proxy)
    assert info.hits + info.misses == len(keys), info
    return info.hits / len(keys)


def measured(folder: Path, most: int, say: Callable[[str], object]) -> list[dict[str, Any]]:
    """Return the same of all traces of no more accesses than that, and of other libraries', too."""
    reference = json.loads((folder / "reference.json").read_text())
    points = []
    for name in reference:
        path = folder / f"{name}.txt.gz"
        keys = _keys(path, most) if path.exists() else []
        if not keys:
            continue
        say(f" {name}")
        for capacity, others in reference[name].items():
            ratios = {"pussycache": hit_ratio(keys, int(capacity))}
            for library, known in LIBRARIES.items():
                ask = known(int(capacity))
                ratios[library] = sum(map(ask, keys)) / len(keys)
            ratios |= {peer: others[peer] for peer in ("OPT", *PEERS)}
            points.append({"trace": name, "capacity": int(capacity), "ratios": ratios})
    return points


def _moka(capacity: int) -> Callable[[str], bool]:
    import moka_py

    cache = moka_py.Moka(capacity)

    def ask(key: str) -> bool:
        if cache.get(key) is not None:
            return True
        cache.set(key, True)
        return False

    return ask


def _theine(capacity: int) -> Callable[[str], bool]:
    import theine

    cache = theine.Cache(capacity)

    def ask(key: str) -> bool:
        _, is_there = cache.get(key)
        if not is_there:
            cache.set(key, True)
        return is_there

    return ask


# Those with a policy that the reference does not have.
LIBRARIES = {"moka-py": _moka, "theine": _theine}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ratios", description=__doc__)
    parser.add_argument("--traces", type=Path, required=True, help="the folder of the traces")
    parser.add_argument("--only", metavar="NAMES", help="some of them, by name")
    parser.add_argument("--most", type=int, help="leave out traces with more accesses than this")
    parser.add_argument("--check", action="store_true", help="exit with 1 if they fall short")
    return parser.parse_args()


def _traces(options: argparse.Namespace, reference: dict[str, object]) -> Iterator[str]:
    wanted = options.only.split(",") if options.only else list(reference)
    for name in wanted:
        if (options.traces / f"{name}.txt.gz").exists():
            yield name


def _keys(path: Path, most: int | None) -> list[str]:
    with gzip.open(path, "rt") as lines:
        known: dict[str, str] = {}
        # One string a key: a trace is long, and has few.
        keys = [known.setdefault(key, key) for key in (f"k{line.strip()}" for line in lines)]
    return [] if most is not None and len(keys) > most else keys


Point = tuple[str, int, float, dict[str, float]]


def _line(name: str, capacity: int, ours: float, others: dict[str, float], took: float) -> str:
    columns = chain([("ours", ours), ("OPT", others["OPT"])], ((p, others[p]) for p in PEERS))
    figures = "  ".join(f"{peer} {100 * ratio:5.2f}" for peer, ratio in columns)
    return f"{name:14} {capacity:7}  {figures}  {took:5.1f} s"


def _summary(points: list[Point]) -> bool:
    def mean(ratio_of: str | None) -> float:
        return fmean(
            (ours if ratio_of is None else others[ratio_of]) / others["OPT"]
            for _, _, ours, others in points
        )

    ours = mean(None)
    print(f"\n{len(points)} points; mean of hit ratio / OPT: ours {ours:.4f}", end="")
    means = {peer: mean(peer) for peer in PEERS}
    print("".join(f", {peer} {value:.4f}" for peer, value in means.items()))
    name, capacity, worst, others = min(points, key=lambda p: p[2] - p[3]["LRU"])
    below = others["LRU"] - worst
    print(
        f"worst against LRU: {name} at {capacity}, "
        f"{100 * abs(below):.2f} percentage points {'below' if below > 0 else 'above'}"
    )
    return ours >= max(AT_LEAST, *means.values()) and below <= AT_MOST_BELOW_LRU


if __name__ == "__main__":
    sys.exit(main())
