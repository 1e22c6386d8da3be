"""A process that writes through a shared cache, and dies where it is told to.

The database is a file: what was written there is there, whoever has died.
"""

import os
import signal
from pathlib import Path

import pussycache
from pussycache import Forget, RedisCache
from pussycache.cache.shared import fences
from pussycache.cache.shared.tier import Tier

FENCE_MS = 300
"""How long a dead writer's fence stands here, so that the tests need not wait for ten seconds."""


class Shelf:
    """What costs what, in a file."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.loads = 0

    def __cache_identity__(self) -> str:
        return "shelf"

    def price(self, name: str) -> int:
        self.loads += 1
        return int(self.path.read_text())

    def set_price(self, name: str, amount: int) -> None:
        die_at("before the effect")
        self.path.write_text(str(amount))
        die_at("after the effect")

    def set_all(self, amount: int) -> None:
        self.set_price("tea", amount)


place = ""


def die_at(here: str) -> None:
    if here == place:
        os.kill(os.getpid(), signal.SIGKILL)


def wrapped(url: str, path: str, **settings: object) -> Shelf:
    return pussycache.wrap(
        Shelf(path),
        RedisCache(url=url, timeout=20, **settings),
        cached_methods=["price"],
        invalidate_methods={"set_price": [Forget("price", "name")], "set_all": ["price"]},
    )


def write_and_die(url: str, path: str, method: str, where: str) -> None:
    """Write 2, and be killed at a place."""
    global place
    place = where
    Tier.fence_ms = FENCE_MS
    raising, lifting = fences.raising, fences.lifting

    def dying_before_the_fence(*given):
        die_at("before the fence")
        raised = yield from raising(*given)
        die_at("after the fence")
        return raised

    def dying_before_the_end(*given):
        die_at("before the new generation")
        yield from lifting(*given)
        die_at("after the new generation")

    from pussycache.cache.shared import tables

    tables.raising, tables.lifting = dying_before_the_fence, dying_before_the_end
    shelf = wrapped(url, path)
    getattr(shelf, method)(*(("tea", 2) if method == "set_price" else (2,)))


def load_and_die(url: str, path: str) -> None:
    """Begin to load, and be killed before it has ended."""
    Tier.lease_ms = 60_000
    shelf = wrapped(url, path)
    shelf._proxied.__class__.price = lambda self, name: os.kill(os.getpid(), signal.SIGKILL)
    shelf.price("tea")
