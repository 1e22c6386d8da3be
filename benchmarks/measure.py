"""The ruler: peers run in turns, the best of many turns counts, and a figure is a ratio of bests.

No library is named here, and nothing is printed but figures.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Run = Callable[[int], float]
"""Makes so many calls and returns how long one took, in nanoseconds."""


@dataclass(frozen=True)
class Figure:
    """One line of the table: ``value`` is what must be no more than ``at_most``."""

    name: str
    ours: float
    theirs: float
    unit: str
    value: float
    at_most: float
    value_unit: str = ""
    note: str = ""

    @property
    def ok(self) -> bool:
        return self.value <= self.at_most

    @property
    def verdict(self) -> str:
        return "ok" if self.ok else "over"

    def cells(self) -> list[str]:
        """Return the line as texts: name, ours, theirs, ratio, at most, ok or over."""
        return [
            self.name,
            amount(self.ours, self.unit),
            amount(self.theirs, self.unit),
            self.shown,
            amount(self.at_most, self.value_unit),
            self.verdict,
        ]

    @property
    def shown(self) -> str:
        if self.value_unit or self.value == int(self.value):
            return amount(self.value, self.value_unit)
        return f"{self.value:.2f}"


def ratio(name: str, ours: float, theirs: float, at_most: float, unit: str = "ns") -> Figure:
    """Return the figure that says how many times theirs ours is."""
    return Figure(name, ours, theirs, unit, ours / theirs, at_most)


def amount(number: float, unit: str) -> str:
    """Return a number with three significant digits or more, and its unit."""
    text = f"{number:.0f}" if number >= 100 or number == int(number) else f"{number:.3g}"
    return f"{text} {unit}".strip()


HEADINGS = ("figure", "ours", "theirs", "ratio", "at most", "")


def table(figures: Iterable[Figure]) -> str:
    """Return the figures in columns, with what there is to say of them below."""
    figures = list(figures)
    rows = [list(HEADINGS), *[figure.cells() for figure in figures]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
    lines = []
    for row in rows:
        first, *others = [
            cell.ljust(width) if i in (0, len(row) - 1) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join([first, *others]).rstrip())
    lines += [f"{figure.name}: {figure.note}" for figure in figures if figure.note]
    return "\n".join(lines)


def best(runs: Mapping[str, Run], calls: int, rounds: int) -> dict[str, float]:
    """Let all run in turns, and return the best that each of them came to.

    Turns are short, a millisecond or so, and there are many: what else the machine does meanwhile
    then hits some turns of everybody and not all turns of anybody.
    """
    least = dict.fromkeys(runs, math.inf)
    for _ in range(rounds):
        for name, run in runs.items():
            least[name] = min(least[name], run(calls))
    return least


def looped(call: str, unrolled: int = 10, **given: object) -> Run:
    """Return what runs an expression over ``given``, and ``i``, which is a new int in each turn.

    Each expression is compiled into a loop of its own, because the interpreter specialises code for
    what it sees there; it is written out several times, so that looping is a small part.
    """
    return _loop("def", call, unrolled, given)


def looped_async(runner: asyncio.Runner, call: str, unrolled: int = 10, **given: object) -> Run:
    """Return the same for an expression that awaits; starting the loop is not timed."""
    run: Any = _loop("async def", call, unrolled, given)
    return lambda calls: runner.run(run(calls))


def _loop(define: str, call: str, unrolled: int, given: Mapping[str, object]) -> Run:
    body = "\n".join([f"            {call}"] * unrolled)
    source = f"""\
def make({", ".join([*given, "now", "islice", "fresh"])}):
    {define} run(calls):
        turns = islice(fresh, calls // {unrolled})
        start = now()
        for i in turns:
{body}
        return (now() - start) * 1e9 / calls
    return run
"""
    space: dict[str, Any] = {}
    exec(compile(source, "<benchmark>", "exec"), space)
    return space["make"](
        *given.values(), time.perf_counter, itertools.islice, itertools.count(10**6)
    )


def alone(figures: Callable[[int], list[Figure]]) -> None:
    """Run one module's benchmark by itself and print its table."""
    print(table(figures(10 if "--quick" in sys.argv else 1)))
