"""A call that is answered from the cache, and one that merely passes through the proxy."""

from __future__ import annotations

import asyncio
import functools
import sys
from pathlib import Path

if not __package__:
    # Run as a file: see __main__.py for the other way.
    sys.path[0] = str(Path(__file__).parents[1])

import async_lru
import cachebox

import pussycache
from benchmarks.measure import Figure, alone, best, looped, looped_async, ratio


class Target:
    def get(self, a, b):
        return a

    def plain(self, a, b):
        return a

    def stale(self, a, b):
        return a

    def idle(self, a, b):
        return a

    async def aget(self, a):
        return a

    async def trivial(self, a):
        return a

    @functools.lru_cache(10_000)  # noqa: B019  the one target lives as long as the measurement
    def lru(self, a, b):
        return a

    @cachebox.cached(cachebox.TTLCache(10_000, 300))
    def box(self, a, b):
        return a

    @async_lru.alru_cache(ttl=300)
    async def alru(self, a):
        return a


def wrapped(target: Target) -> Target:
    cache = pussycache.MemoryCache(ttl=300, max_entries=10_000)
    said = {
        "get": None,
        "aget": None,
        "stale": pussycache.Cached(stale_for=60, stale_if_error=600),
        "idle": pussycache.Cached(idle_ttl=60),
    }
    return pussycache.wrap(target, cache, cached_methods=said)


def figures(hurry: int = 1) -> list[Figure]:
    """Measure; in a hurry, with so many times fewer rounds."""
    follows()
    target = Target()
    proxy = wrapped(target)
    assert proxy.get(1, 2) == 1
    assert proxy.get(True, 2) is True, "the hits are not type-exact"
    at = best(
        {
            "ours": looped("o.get(1, 2)", o=proxy),
            "stale": looped("o.stale(1, 2)", o=proxy),
            "idle": looped("o.idle(1, 2)", o=proxy),
            "lru": looped("o.lru(1, 2)", o=target),
            "box": looped("o.box(1, 2)", o=target),
            "through": looped("o.plain(1, 2)", o=proxy),
            "direct": looped("o.plain(1, 2)", o=target),
        },
        calls=5_000,
        rounds=1_000 // hurry,
    )
    with asyncio.Runner() as runner:
        at |= best(
            {
                "aours": looped_async(runner, "await o.aget(1)", o=proxy),
                "trivial": looped_async(runner, "await o.trivial(1)", o=target),
                "alru": looped_async(runner, "await o.alru(1)", o=target),
            },
            calls=2_000,
            rounds=500 // hurry,
        )
    info = pussycache.info(proxy)
    assert info.misses == 5, f"these were not hits: {info}"
    return [
        ratio("hit, against functools.lru_cache", at["ours"], at["lru"], 2.4),
        ratio("hit, against cachebox.cached(TTLCache)", at["ours"], at["box"], 0.6),
        ratio("hit with stale_for, against a plain hit", at["stale"], at["ours"], 1.15),
        ratio("hit with idle_ttl, against a plain hit", at["idle"], at["ours"], 1.15),
        ratio("async hit, against a trivial coroutine method", at["aours"], at["trivial"], 2.2),
        ratio("async hit, against async_lru.alru_cache(ttl=)", at["aours"], at["alru"], 0.5),
        ratio("a method that is not cached, against direct", at["through"], at["direct"], 1.8),
    ]


def follows() -> None:
    """Assert that the proxy, however quick, calls the method that its target has now."""
    target = Target()
    proxy = wrapped(target)

    def says() -> object:
        return proxy.plain(1, 2)

    for _ in range(100):
        # Until the interpreter has specialised the call for what it sees.
        assert says() == 1
    target.plain = lambda a, b: "the object's own"
    assert says() == "the object's own"
    del target.plain
    assert says() == 1
    before = Target.plain
    try:
        Target.plain = lambda self, a, b: "the class's new"
        assert says() == "the class's new"
    finally:
        Target.plain = before
    assert says() == 1


if __name__ == "__main__":
    alone(figures)
