"""The command ``python -m pussycache.testing.explorer``: its arguments, and what it prints.

The programs are in programs.py and shared_programs.py; nothing is decided here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Final

from pussycache.testing.explorer.programs import PROGRAMS
from pussycache.testing.explorer.search import PromiseBroken

if TYPE_CHECKING:
    from pussycache.testing.explorer.programs import Named
    from pussycache.testing.explorer.scenario import Scenario
    from pussycache.testing.explorer.shared_programs import SharedNamed
    from pussycache.testing.explorer.sharing import SharedScenario

__all__ = ["main"]

_PATIENCE: Final = 2.0
_DEFAULT: Final = "one-key"
_SHARED_DEFAULT: Final = "killed-writer"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0 if the promise was kept, 1 if not."""
    parser = argparse.ArgumentParser(
        prog="python -m pussycache.testing.explorer",
        description="Visit all schedules of small programs of readers and writers over the engine, "
        "and hold each against the promise. Prints the shortest schedule that breaks it, if there "
        "is one; the exit code is then 1, else 0.",
    )
    parser.add_argument(
        "program",
        nargs="*",
        help=f"which programs to explore; without one: {_DEFAULT}, or {_SHARED_DEFAULT}",
    )
    parser.add_argument(
        "--shared",
        action="store_true",
        help="the programs of the shared tier: processes and a server, each command a step",
    )
    parser.add_argument("--list", action="store_true", help="say which programs there are")
    parser.add_argument("--all", action="store_true", help="explore all of them")
    said = parser.parse_args(argv)
    programs: Mapping[str, Named | SharedNamed] = PROGRAMS
    if said.shared:
        # Not before: the shared tier comes with an extra.
        from pussycache.testing.explorer.shared_programs import SHARED_PROGRAMS

        programs = SHARED_PROGRAMS
    if said.list:
        for name, named in programs.items():
            print(f"{name:20}{named.about}")
        return 0
    for name in said.program:
        if name not in programs:
            parser.error(f"there is no program {name!r}; --list says which there are")
    default = _SHARED_DEFAULT if said.shared else _DEFAULT
    names = list(programs) if said.all else said.program or [default]
    return max([_explored(name, programs[name].scenario) for name in names])


def _explored(name: str, scenario: Scenario | SharedScenario) -> int:
    progress = _Progress(name)
    try:
        found = scenario.explore(progress=progress)
    except PromiseBroken as broken:
        progress.clear()
        print(f"{name}: the promise is broken\n{broken}")
        return 1
    progress.clear()
    print(f"{name:20}{found}", flush=True)
    return 0


class _Progress:
    """A line on how far things are, on terminals, for what takes longer than two seconds."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._next = monotonic() + _PATIENCE
        self._width = 0

    def __call__(self, found: int, done: int) -> None:
        if sys.stderr.isatty() and monotonic() >= self._next:
            self._next = monotonic() + 0.2
            line = f"{self._name}: {found:,} states found, {done:,} of them done"
            sys.stderr.write("\r" + line.ljust(self._width))
            sys.stderr.flush()
            self._width = len(line)

    def clear(self) -> None:
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
