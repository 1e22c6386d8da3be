"""A versioned register behind the wrapper, and actors that read it, write it and judge the answers.

Who runs the actors, and for how long, is stress.py's.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from pussycache.cache.base import Cache
from pussycache.cache.memory import MemoryCache
from pussycache.declare.policy import Cached
from pussycache.declare.rules import Forget
from pussycache.operations import forget, writing
from pussycache.proxy import wrap

__all__ = ["Actor", "Facts", "Guarded", "Refused", "Register"]

WRITES: Final = 0.02
FORGETS: Final = 0.002


class Refused(Exception):
    """What a write raises that has taken effect all the same."""


class Facts:
    """What is true: the version of each key, and the last one whose write has ended.

    Another thing with the same attributes may lie where several processes see it.
    """

    def __init__(self, keys: int) -> None:
        self.versions: Any = [0] * keys
        self.finished: Any = [0] * keys
        self.lock: Any = threading.Lock()


class Register:
    """A version for each key, which only goes up; every method takes its time.

    A write notes in ``receipt`` which version it wrote, also if it raises or is cancelled.
    """

    def __init__(
        self, facts: Facts, pause: Callable[[], object], apause: Callable[[], Awaitable[object]]
    ) -> None:
        self.versions = facts.versions
        self.pause = pause
        self.apause = apause
        self._lock = facts.lock

    def get(self, key: int) -> int:
        version: int = self.versions[key]
        self.pause()
        return version

    async def aget(self, key: int) -> int:
        version: int = self.versions[key]
        await self.apause()
        return version

    def everything(self) -> tuple[int, ...]:
        versions = tuple(self.versions[:])
        self.pause()
        return versions

    def pair(self, key: int) -> tuple[int, int]:
        return self.get(key), self.everything()[key]

    def set(self, key: int, receipt: list[int]) -> None:
        self.pause()
        self.take_effect(key, receipt)
        self.pause()

    async def aset(self, key: int, receipt: list[int]) -> None:
        await self.apause()
        self.take_effect(key, receipt)
        await self.apause()

    def fail(self, key: int, receipt: list[int]) -> None:
        self.set(key, receipt)
        raise Refused

    def replace(self, key: int, receipt: list[int]) -> None:
        self.set(key, receipt)

    def take_effect(self, key: int, receipt: list[int]) -> None:
        with self._lock:
            self.versions[key] += 1
            receipt.append(self.versions[key])


_BY_ARGUMENT: Final[list[str | Forget]] = [
    *(Forget(name, "key") for name in ("get", "aget", "pair")),
    "everything",
]
_BY_CALLABLE: Final[list[str | Forget]] = [
    *(Forget(name, key=lambda call: call.args["key"]) for name in ("get", "aget", "pair")),
    "everything",
]


class Guarded:
    """A wrapped register, and for each key the last version whose write has ended.

    ``stale`` counts the answers that were older than what had ended when they were asked for;
    ``stories`` tells of the first of them.
    """

    def __init__(
        self,
        keys: int,
        pause: Callable[[], object],
        apause: Callable[[], Awaitable[object]],
        cache: Cache | None = None,
        facts: Facts | None = None,
    ) -> None:
        facts = Facts(keys) if facts is None else facts
        self.register = Register(facts, pause, apause)
        if cache is None:
            # Room for a part only, and for a while only: things are evicted, and expire.
            cache = MemoryCache(max_entries=2 * keys + 1)
        self.proxy = wrap(
            self.register,
            cache,
            cached_methods={
                "get": Cached(),
                "aget": Cached(ttl=0.01),
                "everything": Cached(),
                "pair": Cached(),
            },
            invalidate_methods={
                "set": _BY_ARGUMENT,
                "aset": _BY_ARGUMENT,
                "fail": _BY_CALLABLE,
                "replace": ["*"],
            },
            self_calls=True,
            namespace="stress",
        )
        self.finished = facts.finished
        self.stale = 0
        self.stories: list[str] = []
        self._lock = facts.lock

    def ended(self, key: int, receipt: list[int]) -> None:
        """Note that a write has ended, if it took effect."""
        with self._lock:
            self.finished[key] = max([self.finished[key], *receipt])

    def judge(self, call: str, got: int, floor: int) -> None:
        """Count an answer that is older than what had ended when it was asked for."""
        if got < floor:
            with self._lock:
                self.stale += 1
                if len(self.stories) < 3:
                    self.stories.append(
                        f"{call} answered version {got}, asked after the write of {floor} had ended"
                    )


class Actor:
    """One thread's or task's reads and writes, chosen at random."""

    def __init__(self, guarded: Guarded) -> None:
        self.guarded = guarded
        self.proxy = guarded.proxy
        self.reads = 0
        self.writes = 0
        self._keys = len(guarded.finished)
        self._random = random.Random()

    def step(self) -> None:
        """Read, or now and then write or forget."""
        chance = self._random.random()
        key = self._random.randrange(self._keys)
        if chance < WRITES:
            self.write(
                self._random.choice(["set", "set", "set", "fail", "replace", "by hand"]), key
            )
        elif chance < WRITES + FORGETS:
            forget(self.proxy.get, key)
        else:
            self.read("get" if chance < 0.9 else "pair" if chance < 0.95 else "everything", key)

    async def astep(self) -> None:
        """The same for a task."""
        chance = self._random.random()
        key = self._random.randrange(self._keys)
        if chance < WRITES:
            await self.awrite(key, cancelled=chance < WRITES / 4)
        elif chance < WRITES + FORGETS:
            forget(self.proxy.aget, key)
        elif chance < 0.9:
            await self.aread(key)
        else:
            self.read("get", key)

    def read(self, name: str, key: int) -> None:
        """Call a cached method, and judge its answer."""
        finished, judge = self.guarded.finished, self.guarded.judge
        self.reads += 1
        if name == "get":
            floor = finished[key]
            judge(f"get({key})", self.proxy.get(key), floor)
        elif name == "pair":
            floor = finished[key]
            for got in self.proxy.pair(key):
                judge(f"pair({key})", got, floor)
        else:
            floors = tuple(finished[:])
            for got, floor in zip(self.proxy.everything(), floors, strict=True):
                judge("everything()", got, floor)

    async def aread(self, key: int) -> None:
        """Call the cached coroutine method, and judge its answer."""
        self.reads += 1
        floor = self.guarded.finished[key]
        self.guarded.judge(f"aget({key})", await self.proxy.aget(key), floor)

    def write(self, name: str, key: int) -> None:
        """Call an invalidating method, or write by hand, and note what has ended."""
        self.writes += 1
        receipt: list[int] = []
        if name == "by hand":
            with writing(self.proxy.set, key, receipt):
                self.guarded.register.take_effect(key, receipt)
        else:
            with suppress(Refused):
                getattr(self.proxy, name)(key, receipt)
        self.guarded.ended(key, receipt)

    async def awrite(self, key: int, cancelled: bool = False) -> None:
        """Call the invalidating coroutine method, and note what has ended."""
        self.writes += 1
        receipt: list[int] = []
        writer: Any = asyncio.ensure_future(self.proxy.aset(key, receipt))
        if cancelled:
            await asyncio.sleep(0)
            writer.cancel()
        with suppress(asyncio.CancelledError):
            await writer
        self.guarded.ended(key, receipt)
