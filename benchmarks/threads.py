"""Hits from eight threads at once, all together, beside as many from one."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

if not __package__:
    # Run as a file: see __main__.py for the other way.
    sys.path[0] = str(Path(__file__).parents[1])

from benchmarks.beside import rates
from benchmarks.measure import Figure, alone, ratio
from benchmarks.peers import OTHERS, OURS


def figures(hurry: int = 1) -> list[Figure]:
    """Measure; in a hurry, with so many times fewer rounds."""
    ours, lru = OURS.make(1_000), next(p for p in OTHERS if p.name == "functools").make(1_000)
    assert ours.get(1) == lru.get(1) == 1
    mine, theirs = (
        {number: 1e9 / rate for number, rate in rates(o, takes, (1, 8), 30 // hurry).items()}
        for o, takes in ((ours, 100), (lru, 60))
    )
    # Where one thread runs at a time, more of them cost what switching between them does.
    figure = ratio("a hit from 8 threads, all together, against from one", mine[8], mine[1], 1.05)
    note = f"functools.lru_cache comes to {theirs[8] / theirs[1]:.2f} in the same run"
    return [dataclasses.replace(figure, note=note)]


if __name__ == "__main__":
    alone(figures)
