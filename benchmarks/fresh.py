"""What callers wait for when values expire, with `stale_for` and without; what a batch costs."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

if not __package__:
    # Run as a file: see __main__.py for the other way.
    sys.path[0] = str(Path(__file__).parents[1])

import pussycache
from benchmarks.measure import Figure, alone

PLOT = Path(__file__).parents[1] / "docs" / "freshness.svg"

THREADS = 50
A_SECOND = 1_000
LOAD = 0.1
TTL = 1.0
EXPIRIES = 3
# A call that takes longer than half a load has waited for one.
WAITED = LOAD / 2


class Slow:
    def __init__(self) -> None:
        self.loads = 0

    def read(self) -> int:
        self.loads += 1
        time.sleep(LOAD)
        return self.loads


class Run:
    """Many threads that call one method through some expiries."""

    def __init__(self, **said: float) -> None:
        self.target = Slow()
        self.proxy = pussycache.wrap(
            self.target, cached_methods={"read": pussycache.Cached(ttl=TTL, **said)}
        )
        self.calls: list[tuple[float, float]] = []
        self.waits = [0] * THREADS
        self.lasts = EXPIRIES * (TTL + LOAD) + TTL / 2
        self.begins = time.monotonic() + 0.2
        threads = [threading.Thread(target=self._calls, args=(n,)) for n in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _calls(self, number: int) -> None:
        every = THREADS / A_SECOND
        due = self.begins + number / A_SECOND
        own = []
        while due < self.begins + self.lasts:
            time.sleep(max(0.0, due - time.monotonic()))
            began = time.monotonic()
            self.proxy.read()
            took = time.monotonic() - began
            own.append((began - self.begins, took))
            self.waits[number] += took > WAITED
            # As users do: a call that comes late is not followed by those that it delayed.
            due = max(due + every, time.monotonic())
        self.calls += own


class Many:
    def __init__(self) -> None:
        self.asked: list[int] = []

    def get(self, ids: list[int]) -> dict[int, int]:
        self.asked.append(len(ids))
        return dict.fromkeys(ids, 1)


def batch(rounds: int) -> float:
    """Return the milliseconds of a batch of 1,000 ids of which 990 are remembered, at best."""
    target = Many()
    proxy = pussycache.wrap(
        target,
        pussycache.MemoryCache(ttl=300, max_entries=100_000),
        cached_methods={"get": pussycache.Cached(each="ids")},
    )
    best = float("inf")
    for number in range(rounds):
        first = 10_000 * number
        known = list(range(first, first + 990))
        proxy.get(known)
        target.asked.clear()
        ids = known + list(range(first + 990, first + 1_000))
        began = time.perf_counter()
        answer = proxy.get(ids)
        best = min(best, time.perf_counter() - began)
        assert list(answer) == ids
        assert target.asked == [10], "not one call for ten ids"
    return best * 1e3


def figures(hurry: int = 1) -> list[Figure]:
    """Measure; in a hurry, with so many times fewer rounds of what has rounds."""
    old, plain = Run(stale_for=TTL), Run()
    if "--write" in sys.argv:
        PLOT.write_text(plot(old, plain))
    load = f"{LOAD * 1e3:.0f} ms, {THREADS} threads, {EXPIRIES} expiries"
    return [
        Figure(
            f"most waits of one caller with stale_for, against without ({load})",
            max(old.waits),
            max(plain.waits),
            "",
            max(old.waits),
            1,
        ),
        Figure(
            "loads with stale_for, beyond the first, against expiries",
            old.target.loads - 1,
            EXPIRIES,
            "",
            old.target.loads - 1,
            EXPIRIES,
        ),
        Figure(
            "a batch of 1,000 ids, 990 of them remembered",
            took := batch(100 // hurry),
            0,
            "ms",
            took,
            1,
            "ms",
        ),
    ]


# The plot: each call a dot, by when it began and how long it took.

WIDTH, HEIGHT, LEFT, TOP, GAP = 720, 150, 60, 40, 60
STYLE = """\
  <style>
    text { font: 13px system-ui, sans-serif; fill: #1f2937; }
    .axis { stroke: #6b7280; }
    .dot { fill: #2563eb; fill-opacity: 0.5; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e5e7eb; }
      .axis { stroke: #9ca3af; }
      .dot { fill: #60a5fa; }
    }
  </style>
"""


def plot(old: Run, plain: Run) -> str:
    """Return both runs as a picture, readable on light and on dark ground."""
    height = TOP + 2 * (HEIGHT + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + LEFT + 20} {height}" '
        'role="img" aria-label="How long each call took, with and without stale_for">\n',
        STYLE,
    ]
    for row, (name, run) in enumerate((("ttl=1, stale_for=1", old), ("ttl=1", plain))):
        parts += _panel(name, run, TOP + row * (HEIGHT + GAP))
    return "".join([*parts, "</svg>\n"])


def _panel(name: str, run: Run, top: int) -> list[str]:
    most = 1.5 * LOAD
    bottom = top + HEIGHT
    parts = [
        f'  <text x="{LEFT}" y="{top - 10}">{name}: {run.target.loads} loads, at most '
        f"{max(run.waits)} waits of one caller</text>\n",
        f'  <path class="axis" fill="none" d="M{LEFT} {top}V{bottom}H{LEFT + WIDTH}"/>\n',
    ]
    for milliseconds in (0, 50, 100):
        y = bottom - HEIGHT * milliseconds / 1e3 / most
        parts.append(f'  <text x="{LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">')
        parts.append(f"{milliseconds} ms</text>\n")
    for second in range(int(run.lasts) + 1):
        x = LEFT + WIDTH * second / run.lasts
        parts.append(f'  <text x="{x:.0f}" y="{bottom + 18}" text-anchor="middle">')
        parts.append(f"{second} s</text>\n")
    seen = set()
    for began, took in run.calls:
        x = round(LEFT + WIDTH * began / run.lasts)
        y = round(bottom - HEIGHT * min(took, most) / most)
        seen.add((x, y))
    dots = "".join(f"M{x - 1} {y}h2v2h-2z" for x, y in sorted(seen))
    return [*parts, f'  <path class="dot" d="{dots}"/>\n']


if __name__ == "__main__":
    alone(figures)
