"""The crowd of crowd.py in several processes that share a cache in a server.

What is true lies in memory that all of them see; each process judges its own answers.
"""

from __future__ import annotations

import multiprocessing
import random
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Final

from pussycache.testing import crowd
from pussycache.testing.register import Guarded

__all__ = ["FleetReport", "run"]

QUIET: Final = 0.5
"""Seconds without a write after which no answer may be wrong."""
_EVERY: Final = 0.5
"""Seconds between two kills."""
_START: Final = 60.0
_FOR_EVER: Final = 1e6


class Seen:
    """What is true, in memory that several processes see: as `Facts`."""

    def __init__(self, context: Any, keys: int) -> None:
        self.lock = context.Lock()
        self.versions = context.Array("q", keys, lock=False)
        self.finished = context.Array("q", keys, lock=False)


@dataclass(frozen=True)
class FleetReport:
    """What happened, in all processes together.

    ``stale`` answers were older than a write that had ended when they were asked for; ``unsettled``
    ones were wrong when nothing had been written for half a second. ``killed`` is how many
    processes were; what those had counted is not in the figures. ``stuck`` did not come back.
    """

    processes: int
    seconds: float
    reads: int
    writes: int
    loads: int
    stale: int
    unsettled: int
    killed: int
    stuck: int = 0
    stories: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether no answer was stale, none stayed wrong, and everybody came back."""
        return not (self.stale or self.unsettled or self.stuck)


def _process(
    url: str, threads: int, tasks: int, keys: int, seen: Seen, ready: Any, end: Any, said: Any
) -> None:
    from pussycache.cache.redis import RedisCache

    cache = RedisCache(url=url, prefix="pussycache-stress")
    facts: Any = seen
    # The first load of everything there is is no part of the time.
    Guarded(keys, bool, _nothing, cache, facts).proxy.everything()
    ready.release()
    report = crowd.run(_FOR_EVER, threads, tasks, keys, cache, facts, end.is_set)
    said.put(report)
    cache.close()


async def _nothing() -> None:
    pass


def run(
    url: str,
    processes: int = 2,
    seconds: float = 5.0,
    threads: int = 2,
    tasks: int = 2,
    keys: int = 16,
    kill: bool = False,
) -> FleetReport:
    """Let processes read and write a register through the cache in a server, and count.

    :param url: where the server is; what lies there under the prefix ``pussycache-stress`` is
        removed.
    :param kill: whether a process is killed now and then, wherever it is just then, and another
        started in its place.
    """
    from pussycache.cache.redis import RedisCache

    cache = RedisCache(url=url, prefix="pussycache-stress")
    cache.clear()
    # Each begins with an interpreter of its own: nothing is inherited.
    context = multiprocessing.get_context("spawn")
    seen = Seen(context, keys)
    ready, said = context.Semaphore(0), context.SimpleQueue()
    end = context.Event()

    def start() -> Any:
        given = url, threads, tasks, keys, seen, ready, end, said
        process = context.Process(target=_process, args=given, daemon=True)
        process.start()
        return process

    crew = [start() for _ in range(processes)]
    for _ in crew:
        if not ready.acquire(timeout=_START):
            raise TimeoutError(f"the processes have not started within {_START:g} s")
    return _watched(crew, start, cache, seen, said, end, seconds, keys, kill)


def _watched(
    crew: list[Any],
    start: Any,
    cache: Any,
    seen: Seen,
    said: Any,
    end: Any,
    seconds: float,
    keys: int,
    kill: bool,
) -> FleetReport:
    begun = time.monotonic()
    killed = 0
    while time.monotonic() < begun + seconds:
        time.sleep(min(_EVERY, max(0.0, begun + seconds - time.monotonic())))
        _tell(begun + seconds - time.monotonic(), killed, seconds)
        if kill and time.monotonic() < begun + seconds - 2 * _EVERY:
            # With the lock in hand: a process that dies with it would stop all others.
            with seen.lock:
                victim = crew.pop(random.randrange(len(crew)))
                victim.kill()
                victim.join()
            killed += 1
            crew.append(start())
    end.set()
    return _settled(crew, cache, seen, said, seconds, keys, killed)


def _settled(
    crew: list[Any], cache: Any, seen: Seen, said: Any, seconds: float, keys: int, killed: int
) -> FleetReport:
    for process in crew:
        process.join(crowd.GRACE)
    stuck = sum([process.is_alive() for process in crew])
    reports = []
    while not said.empty():
        reports.append(said.get())
    time.sleep(QUIET)
    facts: Any = seen
    guarded = Guarded(keys, bool, _nothing, cache, facts)
    wrong = [key for key in range(keys) if guarded.proxy.get(key) != seen.versions[key]]
    wrong += [k for k, v in enumerate(guarded.proxy.everything()) if v != seen.versions[k]]
    cache.clear()
    cache.close()
    return FleetReport(
        processes=len(crew),
        seconds=seconds,
        reads=sum([report.reads for report in reports]),
        writes=sum([report.writes for report in reports]),
        loads=sum([report.loads for report in reports]),
        stale=sum([report.stale for report in reports]),
        unsettled=len(wrong),
        killed=killed,
        stuck=stuck + sum([report.stuck for report in reports]),
        stories=[story for report in reports for story in report.stories][:3],
    )


def _tell(left: float, killed: int, seconds: float) -> None:
    if seconds > crowd.EARLY and sys.stderr.isatty():
        sys.stderr.write(f"\r{max(left, 0):6.0f} s to go, {killed} killed ")
        sys.stderr.flush()
