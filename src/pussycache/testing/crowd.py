"""Actors on a versioned register, in threads and tasks of one process, run and counted.

What an actor does, and which answer is stale, is register.py's; the command is stress.py's.
"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from pussycache.cache.base import Cache
from pussycache.operations import info
from pussycache.testing.register import Actor, Facts, Guarded

__all__ = ["EARLY", "GRACE", "Report", "run"]

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
    """Actors in threads, and in the tasks of two event loops, until they are told to stop.

    However short the time, and however late a thread begins, each actor has its turn.
    """

    def __init__(
        self,
        threads: int,
        tasks: int,
        keys: int,
        cache: Cache | None = None,
        facts: Facts | None = None,
    ) -> None:
        self.guarded = Guarded(keys, _pause, _apause, cache, facts)
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
        actor.step()
        while not self.stop.is_set():
            actor.step()

    def _loop(self, actors: list[Actor]) -> None:
        async def go(actor: Actor) -> None:
            while True:
                for _ in range(_BETWEEN):
                    await actor.astep()
                if self.stop.is_set():
                    break
                await asyncio.sleep(0)

        async def everybody() -> None:
            await asyncio.gather(*[go(actor) for actor in actors])

        asyncio.run(everybody())

    def last(self, seconds: float, over: Callable[[], bool]) -> None:
        """Run for so long, or until it is over, and tell how far things are on a terminal."""
        end = time.monotonic() + seconds
        told = False
        for thread in self.threads:
            thread.start()
        try:
            while (left := end - time.monotonic()) > 0 and not self.stop.wait(min(left, 0.2)):
                if over():
                    break
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


def run(
    seconds: float = 5.0,
    threads: int = 4,
    tasks: int = 8,
    keys: int = 16,
    cache: Cache | None = None,
    facts: Facts | None = None,
    over: Callable[[], bool] = bool,
) -> Report:
    """Let threads and tasks read and write a wrapped register for so long, and count.

    :param seconds: how long (default 5).
    :param threads: how many threads (default 4).
    :param tasks: how many tasks, in two event loops (default 8).
    :param keys: how many keys the register has (default 16); fewer make more of them meet.
    :param cache: what remembers; by default a `MemoryCache` with too little room.
    :param facts: what is true, if other processes write it, too.
    :param over: asked now and then whether to end before the time.
    :raises: what an actor raised, if the library let a call raise.

    >>> from pussycache.testing.stress import run
    >>> run(seconds=0.1).stale
    0
    """
    work = _Run(threads, tasks, keys, cache, facts)
    begun = time.monotonic()
    interval = sys.getswitchinterval()
    # Threads change places as often as they can.
    sys.setswitchinterval(1e-4)
    try:
        work.last(seconds, over)
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


def _pause() -> None:
    # Lets another thread run, and now and then for a while.
    time.sleep(0.0003 if random.random() < 0.1 else 0)


async def _apause() -> None:
    await asyncio.sleep(0.0003 if random.random() < 0.1 else 0)
