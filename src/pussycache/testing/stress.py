"""The command ``python -m pussycache.testing.stress``: threads and tasks on a versioned register.

What they do, and which answer is stale, is register.py's; here they are run and counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from pussycache.operations import info
from pussycache.testing.register import Actor, Guarded

__all__ = ["Report", "main", "run"]

GRACE: Final = 30.0
"""Seconds after the end that an actor may take to come back."""

EARLY: Final = 2.0
_BETWEEN: Final = 20  # steps that a task makes before it lets others run for sure


@dataclass(frozen=True)
class Report:
    """What happened: how often was read, written and loaded, and how many answers were stale.

    ``stuck`` is how many threads did not come back; ``stories`` tells of the first stale answers.
    """

    seconds: float
    threads: int
    tasks: int
    keys: int
    reads: int
    writes: int
    loads: int
    stale: int
    stuck: int = 0
    stories: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether no answer was stale, and everybody came back."""
        return not self.stale and not self.stuck


class _Run:
    """Actors in threads, and in the tasks of two event loops, until they are told to stop."""

    def __init__(self, threads: int, tasks: int, keys: int) -> None:
        self.guarded = Guarded(keys, _pause, _apause)
        self.actors = [Actor(self.guarded) for _ in range(threads + tasks)]
        self.stop = threading.Event()
        self.errors: list[BaseException] = []
        plain, awaiting = self.actors[:threads], self.actors[threads:]
        work: list[tuple[Any, Any]] = [(self._call, actor) for actor in plain]
        # Two loops, because one cache may serve several.
        work += [(self._loop, part) for part in (awaiting[::2], awaiting[1::2]) if part]
        self.threads = [
            threading.Thread(target=self._guard, args=one, daemon=True, name=f"stress-{number}")
            for number, one in enumerate(work)
        ]

    def _guard(self, target: Any, argument: Any) -> None:
        try:
            target(argument)
        except BaseException as error:
            self.errors.append(error)
            self.stop.set()

    def _call(self, actor: Actor) -> None:
        while not self.stop.is_set():
            actor.step()

    def _loop(self, actors: list[Actor]) -> None:
        async def go(actor: Actor) -> None:
            while not self.stop.is_set():
                for _ in range(_BETWEEN):
                    await actor.astep()
                await asyncio.sleep(0)

        async def everybody() -> None:
            await asyncio.gather(*[go(actor) for actor in actors])

        asyncio.run(everybody())

    def last(self, seconds: float) -> None:
        """Run for so long, and tell how far things are on a terminal."""
        end = time.monotonic() + seconds
        told = False
        for thread in self.threads:
            thread.start()
        try:
            while (left := end - time.monotonic()) > 0 and not self.stop.wait(min(left, 0.2)):
                if seconds > EARLY and sys.stderr.isatty():
                    told = True
                    reads = sum([actor.reads for actor in self.actors])
                    line = f"\r{left:6.0f} s to go, {reads:,} reads, {self.guarded.stale} stale "
                    sys.stderr.write(line)
                    sys.stderr.flush()
        finally:
            self.stop.set()
            if told:
                sys.stderr.write("\r" + " " * 72 + "\r")
                sys.stderr.flush()

    def stuck(self) -> int:
        """Wait for the actors to come back; return how many do not."""
        end = time.monotonic() + GRACE
        for thread in self.threads:
            thread.join(max(end - time.monotonic(), 0))
        return sum([thread.is_alive() for thread in self.threads])


def run(seconds: float = 5.0, threads: int = 4, tasks: int = 8, keys: int = 16) -> Report:
    """Let threads and tasks read and write a wrapped register for so long, and count.

    :param seconds: how long (default 5).
    :param threads: how many threads (default 4).
    :param tasks: how many tasks, in two event loops (default 8).
    :param keys: how many keys the register has (default 16); fewer make more of them meet.
    :raises: what an actor raised, if the library let a call raise.

    >>> from pussycache.testing.stress import run
    >>> run(seconds=0.1).stale
    0
    """
    work = _Run(threads, tasks, keys)
    begun = time.monotonic()
    interval = sys.getswitchinterval()
    # Threads change places as often as they can.
    sys.setswitchinterval(1e-4)
    try:
        work.last(seconds)
        stuck = work.stuck()
    finally:
        sys.setswitchinterval(interval)
    if work.errors:
        raise work.errors[0]
    return Report(
        seconds=round(time.monotonic() - begun, 3),
        threads=threads,
        tasks=tasks,
        keys=keys,
        reads=sum([actor.reads for actor in work.actors]),
        writes=sum([actor.writes for actor in work.actors]),
        loads=info(work.guarded.proxy).loads,
        stale=work.guarded.stale,
        stuck=stuck,
        stories=work.guarded.stories,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0 if no answer was stale, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m pussycache.testing.stress",
        description="Reads and writes a versioned register through the cache, in threads and in "
        "tasks, and counts the answers that are older than the last write that had ended when they "
        "were asked for. The exit code is 0 if there are none, else 1.",
    )
    positive, whole = _number(float, above=0), _number(int, above=-1)
    parser.add_argument("--seconds", type=positive, default=5.0, help="how long (default 5)")
    parser.add_argument("--threads", type=whole, default=4, help="how many threads (default 4)")
    parser.add_argument("--tasks", type=whole, default=8, help="how many tasks (default 8)")
    parser.add_argument(
        "--keys", type=_number(int, above=0), default=16, help="how many keys (default 16)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, for machines")
    said = parser.parse_args(argv)
    if not said.threads + said.tasks:
        parser.error("--threads and --tasks are both 0: nobody would read; give one of them")
    try:
        report = run(said.seconds, said.threads, said.tasks, said.keys)
    except KeyboardInterrupt:
        return 130
    if said.json:
        print(json.dumps(asdict(report)))
    else:
        for name in ("reads", "writes", "loads", "stale"):
            print(f"{name:8}{getattr(report, name):12}")
        for story in report.stories:
            print(story)
        if report.stuck:
            print(f"{report.stuck} of the threads did not come back")
    return 0 if report.ok else 1


def _number(kind: Any, above: float) -> Any:
    def number(text: str) -> Any:
        value = kind(text)
        if not above < value < float("inf"):
            raise ValueError(text)
        return value

    number.__name__ = "number"
    return number


def _pause() -> None:
    # Lets another thread run, and now and then for a while.
    time.sleep(0.0003 if random.random() < 0.1 else 0)


async def _apause() -> None:
    await asyncio.sleep(0.0003 if random.random() < 0.1 else 0)


if __name__ == "__main__":
    sys.exit(main())
