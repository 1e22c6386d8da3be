"""The command ``python -m pussycache.testing.staleness``: how old a local tier's answers are.

One process writes and notes when its writes have returned; another one reads through a local tier,
and notes when it last asked and was given the value before. Nothing is kept or dropped here.
"""

from __future__ import annotations

import argparse
import bisect
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from typing import Any, Final

from pussycache.proxy import wrap

__all__ = ["Report", "main", "run"]

MODES: Final = ("poll", "listener", "strict")
_PAUSE: Final = 0.002
"""Seconds between two writes: so that what was written is kept by the reader before the next."""


@dataclass(frozen=True)
class Report:
    """How long after a write's return a local tier in another process answered with the old value.

    ``stale`` is after how many of the ``writes`` it did at all. ``median``, ``p99`` and ``longest``
    are over all writes, in microseconds: from the return of the write to the last call that began
    later and was given the old value; 0 where none was.
    """

    coherence: str
    reads: int
    writes: int
    stale: int
    median: float
    p99: float
    longest: float


class Register:
    """A number in memory that two processes see."""

    def __init__(self, number: Any) -> None:
        self._number = number

    def __cache_identity__(self) -> str:
        return "staleness"

    def read(self) -> int:
        """Return it."""
        return int(self._number.value)

    def write(self, value: int) -> None:
        """Change it."""
        self._number.value = value


def _proxy(url: str, number: Any, **options: Any) -> tuple[Any, Register]:
    from pussycache.cache.redis import RedisCache

    cache = RedisCache(60, url, prefix="pussycache-staleness", **options)
    writes = {"write": ["read"]}
    register = Register(number)
    return cache, wrap(register, cache, cached_methods=["read"], invalidate_methods=writes)


def _read(url: str, number: Any, coherence: str, pipe: Connection) -> None:
    """Read in a process of its own, until the number is negative."""
    from pussycache.cache.memory import MemoryCache

    cache, register = _proxy(url, number, local=MemoryCache(), coherence=coherence)
    now = time.monotonic
    latest = register.read()
    pipe.send(None)
    reads, last = 0, 0.0
    seen: list[tuple[int, float]] = []
    while latest >= 0:
        start = now()
        got = register.read()
        reads += 1
        if got != latest:
            # When the one before was last given, by when it was asked for.
            seen.append((latest, last))
            latest = got
        last = start
    pipe.send((reads, seen))
    cache.close()


def run(url: str, coherence: str, seconds: float = 5.0) -> Report:
    """Write and read for so many seconds, and return what was found.

    :param url: of a Redis or Valkey server, as `RedisCache` takes it.
    :param coherence: that of the local tier: ``"poll"``, ``"listener"`` or ``"strict"``.
    """
    context = multiprocessing.get_context("spawn")
    number = context.Value("q", 0, lock=False)
    pipe, theirs = context.Pipe()
    reader = context.Process(target=_read, args=(url, number, coherence, theirs), daemon=True)
    cache, register = _proxy(url, number)
    try:
        register.write(0)
        reader.start()
        # So that a reader that has died is noticed.
        theirs.close()
        pipe.recv()
        returned: list[float] = []
        end = time.monotonic() + seconds
        # However short the time, there is one to tell of.
        while not returned or time.monotonic() < end:
            register.write(len(returned) + 1)
            returned.append(time.monotonic())
            time.sleep(_PAUSE)
        register.write(-1)
        reads, seen = pipe.recv()
        reader.join()
    finally:
        reader.kill()
        cache.close()
    return _report(coherence, reads, returned, seen)


def _report(
    coherence: str, reads: int, returned: list[float], seen: list[tuple[int, float]]
) -> Report:
    ages = [0.0] * len(returned)
    for value, last in seen:
        # The first write that has made it wrong, and all that had returned by then.
        for i in range(value, bisect.bisect_left(returned, last)):
            ages[i] = max(ages[i], (last - returned[i]) * 1e6)
    stale = sum(age > 0.0 for age in ages)
    ages.sort()
    at = [ages[min(len(ages) - 1, int(len(ages) * part))] for part in (0.5, 0.99)]
    return Report(coherence, reads, len(ages), stale, at[0], at[1], ages[-1])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pussycache.testing.staleness",
        description="Writes in one process, reads through a local tier in another, and tells how "
        "long after a write had returned the old value was still given there, in microseconds.",
    )
    parser.add_argument("--url", required=True, help="of a Redis or Valkey server")
    parser.add_argument(
        "--coherence", choices=MODES, action="append", help="of the local tier (default: each)"
    )
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="how long for each of them (default 5)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object each")
    said = parser.parse_args(argv)
    if not said.json:
        print("coherence     reads   writes    stale   median      p99  longest")
    for coherence in said.coherence or MODES:
        report = run(said.url, coherence, said.seconds)
        if said.json:
            print(json.dumps(asdict(report)))
            continue
        ages = "".join(f"{age:9.0f}" for age in (report.median, report.p99, report.longest))
        print(f"{coherence:9}{report.reads:10}{report.writes:9}{report.stale:9}{ages}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
