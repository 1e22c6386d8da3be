"""Every library of peers.py beside this one: hits, misses, memory, threads and import, in one run.

It makes no figures that must hold: those are in hit.py, miss.py and the others.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import math
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

if not __package__:
    # Run as a file: see __main__.py for the other way.
    sys.path[0] = str(Path(__file__).parents[1])

from benchmarks.measure import Run, looped, looped_async
from benchmarks.peers import ALL, OTHERS, OURS, WRITING, Peer

ROOM = 1_000
ENTRIES = 100_000
THREADS = (1, 2, 4, 8)

MEASURES = {
    "hit": ("hit", "ns"),
    "ahit": ("hit, awaited", "ns"),
    "miss": ("miss", "ns"),
    "evict": ("miss that evicts", "ns"),
    "amiss": ("miss, awaited", "ns"),
    "aevict": ("miss that evicts, awaited", "ns"),
    "write": ("one made wrong and asked for again", "ns"),
    "memory": ("memory of an entry", "B"),
    "import": ("import", "ms"),
    **{f"threads {n}": (f"hits a second, threads: {n}", "/s") for n in THREADS},
}
"""What is measured of each, by the name it has in the results: a heading, and a unit."""


def measured(hurry: int, say: Callable[[str], object]) -> dict[str, Any]:
    """Measure them all; in a hurry, with so many times fewer rounds."""
    there = [peer for peer in ALL if peer.version is not None and _works(peer, say)]
    values: dict[str, dict[str, float]] = {name: {} for name in MEASURES}
    steps: list[tuple[str, Callable[[], None]]] = [
        ("calls", lambda: _calls(there, values, hurry)),
        ("awaited calls", lambda: _awaited_calls(there, values, hurry)),
        ("threads", lambda: _threads(there, values, hurry)),
        ("memory", lambda: values["memory"].update(_memory(there, hurry))),
        ("import", lambda: values["import"].update(_imports(there, hurry))),
    ]
    for name, step in steps:
        say(f" {name}")
        step()
    return {
        "versions": {peer.name: peer.version for peer in there},
        "missing": [peer.name for peer in ALL if peer not in there],
        "values": values,
    }


def _works(peer: Peer, say: Callable[[str], object]) -> bool:
    """Whether a library does here what is measured of it."""

    async def asked() -> None:
        o = peer.amake(10)
        assert await o.get(1) == await o.get(1) == 1

    try:
        if peer.make is not None:
            _checked(peer.make(10))
        if peer.amake is not None:
            asyncio.run(asked())
    except Exception as error:
        say(f" ({peer.name} fails: {error!r})")
        return False
    return True


# Calls. The peers take turns of a millisecond or so, and the best turn of each counts.


def _turns(runs: dict[str, Run], rounds: int) -> dict[str, float]:
    calls, least = {}, dict.fromkeys(runs, math.inf)
    for name, run in runs.items():
        # As many calls as fit into a millisecond, and at least ten. The first are slower by far.
        calls[name] = 10
        while calls[name] < 5_000 and calls[name] * min(run(calls[name]) for _ in range(3)) < 5e5:
            calls[name] *= 2
    for _ in range(rounds):
        for name, run in runs.items():
            least[name] = min(least[name], run(calls[name]))
    return least


def _calls(there: Iterable[Peer], values: dict[str, dict[str, float]], hurry: int) -> None:
    some = [peer for peer in there if peer.make is not None]

    def full(peer: Peer) -> Any:
        o = peer.make(ROOM)
        for i in range(ROOM):
            o.get(i)
        return o

    hits = {peer.name: looped("o.get(1)", o=_checked(peer.make(ROOM))) for peer in some}
    values["hit"] |= _turns(hits, 500 // hurry)
    misses = {peer.name: looped("o.get(i)", unrolled=1, o=peer.make(10**7)) for peer in some}
    values["miss"] |= _turns(misses, 100 // hurry)
    del misses
    evicting = {
        peer.name: looped("o.get(i)", unrolled=1, o=full(peer)) for peer in some if peer.bounded
    }
    values["evict"] |= _turns(evicting, 600 // hurry)
    writes = {
        peer.name: looped("forget(o, 1); o.get(1)", o=peer.make(ROOM), forget=peer.forget)
        for peer in [WRITING, *some]
        if peer.forget is not None
    }
    values["write"] |= _turns(writes, 300 // hurry)


def _awaited_calls(there: Iterable[Peer], values: dict[str, dict[str, float]], hurry: int) -> None:
    some = [peer for peer in there if peer.amake is not None]
    with asyncio.Runner() as runner:

        def full(peer: Peer) -> Any:
            o = peer.amake(ROOM)

            async def fill() -> None:
                for i in range(ROOM):
                    await o.get(i)

            runner.run(fill())
            return o

        def looping(o: Any, unrolled: int = 10) -> Run:
            call = "await o.get(1)" if unrolled > 1 else "await o.get(i)"
            return looped_async(runner, call, unrolled, o=o)

        hits = {peer.name: looping(peer.amake(ROOM)) for peer in some}
        values["ahit"] |= _turns(hits, 300 // hurry)
        misses = {peer.name: looping(peer.amake(10**7), 1) for peer in some}
        values["amiss"] |= _turns(misses, 50 // hurry)
        del misses
        evicting = {peer.name: looping(full(peer), 1) for peer in some if peer.bounded}
        values["aevict"] |= _turns(evicting, 100 // hurry)


def _checked(o: Any) -> Any:
    assert o.get(1) == o.get(1) == 1
    return o


# Threads.


def _threads(there: Iterable[Peer], values: dict[str, dict[str, float]], hurry: int) -> None:
    for peer in there:
        if peer.make is None:
            continue
        o, takes = _checked(peer.make(ROOM)), values["hit"][peer.name]
        for number, rate in rates(o, takes, THREADS, max(1, 5 // hurry)).items():
            values[f"threads {number}"][peer.name] = rate


def rates(o: Any, takes: float, threads: Sequence[int], rounds: int) -> dict[int, float]:
    """Return how many hits a second there are in total, by the number of threads; at best.

    :param takes: about how many nanoseconds a hit takes.
    """
    # A tenth of a second: long enough for each thread to be interrupted by others.
    calls = max(80, int(1e8 / takes))
    at_best = dict.fromkeys(threads, 0.0)
    for _ in range(rounds):
        for number in threads:
            at_best[number] = max(at_best[number], _rate(o, number, calls // number))
    return at_best


def _rate(o: Any, number: int, calls: int) -> float:
    spans: list[tuple[float, float]] = []
    runs = [looped("o.get(1)", o=o) for _ in range(number)]
    ready = threading.Barrier(number)

    def body(run: Run) -> None:
        ready.wait()
        began = time.perf_counter()
        run(calls)
        spans.append((began, time.perf_counter()))

    threads = [threading.Thread(target=body, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lasted = max(end for _, end in spans) - min(began for began, _ in spans)
    return number * (calls // 10 * 10) / lasted


# Memory: what the process takes more, so that what is kept in Rust counts as well. Each in a
# process of its own, because what one has freed the next would fill.


def _memory(there: Iterable[Peer], hurry: int) -> dict[str, float]:
    if not Path("/proc/self/statm").exists():
        return {}
    took = {}
    for peer in there:
        if not peer.on_disk:
            answer = _elsewhere("--memory", peer.name, str(ENTRIES // hurry))
            took[peer.name] = json.loads(answer)
    return took


def an_entry(peer: Peer, entries: int) -> float:
    """Return the bytes that an entry adds to this process: an int as key and as value."""

    def resident() -> int:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE")

    if peer.make is not None:
        o = peer.make(2 * entries)
        # What is made once, and not for each entry.
        for i in range(100):
            o.get(-1 - i)
        before = resident()
        for i in range(10**6, 10**6 + entries):
            o.get(i)
        return (resident() - before) / entries

    async def asked() -> float:
        o = peer.amake(2 * entries)
        for i in range(100):
            await o.get(-1 - i)
        before = resident()
        for i in range(10**6, 10**6 + entries):
            await o.get(i)
        return (resident() - before) / entries

    return asyncio.run(asked())


# Import.


def _imports(there: Iterable[Peer], hurry: int) -> dict[str, float]:
    least = {"": math.inf} | {peer.module: math.inf for peer in there}
    with TemporaryDirectory() as compiled:
        # One round more than counts, in which all is compiled: an installed package is.
        environment = _environment() | {"PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for number in range(1 + max(1, 10 // hurry)):
            for module in least:
                code = f"import {module}" if module else "pass"
                took = _processor_time([sys.executable, "-P", "-c", code], environment)
                if number:
                    least[module] = min(least[module], took)
    return {peer.name: max(0.0, least[peer.module] - least[""]) * 1e3 for peer in there}


def _processor_time(command: list[str], environment: dict[str, str]) -> float:
    # Not how long it took: a difference of two times says nothing where others are at work.
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _environment() -> dict[str, str]:
    sources = Path(importlib.import_module(OURS.module).__file__).parents[1]
    return os.environ | {"PYTHONPATH": str(sources)}


def _elsewhere(*arguments: str) -> str:
    environment = _environment()
    environment["PYTHONPATH"] += os.pathsep + str(Path(__file__).parents[1])
    command = [sys.executable, "-m", "benchmarks.beside", *arguments]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode()


def main() -> None:
    """Print what was measured, or, asked by another process, the memory of one."""
    if "--memory" in sys.argv:
        name, entries = sys.argv[-2:]
        peer = next(peer for peer in (OURS, *OTHERS) if peer.name == name)
        print(json.dumps(an_entry(peer, int(entries))))
        return
    result = measured(10 if "--quick" in sys.argv else 1, lambda text: print(text, file=sys.stderr))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
