"""`CacheContract`: what every cache must do, as a test class to inherit from.

One suite for the caches of this library and for anybody's own; how a cache does it is not its
business.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

from pussycache.cache.base import Cache
from pussycache.proxy import wrap
from pussycache.testing.clock import FakeClock
from pussycache.types import MISSING

__all__ = ["CacheContract"]


class Clock(Protocol):
    """Time that passes when it is told to."""

    def advance(self, seconds: float) -> object:
        """Let so many seconds pass."""


class CacheContract:
    """Inherit from it in a test class, and say how a cache is made.

    ``make_cache(ttl)`` returns an empty cache whose own ttl is so many seconds. A cache that keeps
    nothing says ``keeps = False``. One whose time passes elsewhere says in ``clock()`` how it is
    made to pass, and in ``margin`` how exactly.

    >>> import pussycache
    >>> from pussycache.testing import CacheContract
    >>> class TestMine(CacheContract):
    ...     def make_cache(self, ttl=None):
    ...         return pussycache.MemoryCache(ttl=ttl)
    """

    keeps = True
    margin = 0.001

    def clock(self) -> AbstractContextManager[Clock]:
        """Return a clock that the cache goes by while it is entered, and that can be advanced."""
        return FakeClock()

    def make_cache(self, ttl: float | None = None) -> Cache:
        """Return an empty cache."""
        raise NotImplementedError(
            f"{type(self).__name__} makes no cache to test; give it a method make_cache(self, "
            "ttl=None) that returns an empty one"
        )

    def test_none_is_a_value(self) -> None:
        """A stored None is told from absence."""
        cache = self.make_cache()
        cache.set("nothing", None)
        assert cache.get("nothing", MISSING) is (None if self.keeps else MISSING)
        assert cache.get("never", MISSING) is MISSING
        assert cache.get("never") is None

    def test_values_come_back(self) -> None:
        """Whatever was set is what get returns, and has_key and in agree."""
        cache = self.make_cache()
        for number, value in enumerate([0, False, "", "text", b"bytes", [1, 2], {"a": (1, None)}]):
            cache.set(f"key {number}", value)
            if self.keeps:
                assert cache.get(f"key {number}", MISSING) == value
            assert cache.has_key(f"key {number}") is self.keeps
            assert (f"key {number}" in cache) is self.keeps

    def test_timeouts(self) -> None:
        """A timeout is exact; none means for ever, 0 not at all, leaving it out the cache's own."""
        with self.clock() as clock:
            cache = self.make_cache(ttl=30)
            cache.set("own", 1)
            cache.set("ten", 1, 10)
            cache.set("ever", 1, None)
            cache.set("never", 1, 0)
            assert "never" not in cache
            clock.advance(10 - self.margin)
            assert ("ten" in cache) is self.keeps
            clock.advance(self.margin)
            assert "ten" not in cache
            assert ("own" in cache) is self.keeps
            clock.advance(20)
            assert "own" not in cache
            clock.advance(10**6)
            assert ("ever" in cache) is self.keeps

    def test_timeout_of_zero_removes(self) -> None:
        """Setting with a timeout of 0 leaves nothing, also where something was."""
        cache = self.make_cache()
        cache.set("key", "old")
        cache.set("key", "new", 0)
        assert cache.get("key", MISSING) is MISSING

    def test_add(self) -> None:
        """Add stores where nothing is, and says whether it did."""
        cache = self.make_cache()
        assert cache.add("key", 1) is self.keeps
        assert cache.add("key", 2) is False
        if self.keeps:
            assert cache.get("key") == 1

    def test_add_after_expiry(self) -> None:
        """Add stores where what was there has expired."""
        with self.clock() as clock:
            cache = self.make_cache()
            cache.set("key", 1, 5)
            clock.advance(5)
            assert cache.add("key", 2) is self.keeps

    def test_touch(self) -> None:
        """Touch gives a new timeout to what is there, and only to that."""
        with self.clock() as clock:
            cache = self.make_cache()
            cache.set("key", 1, 5)
            assert cache.touch("key", 60) is self.keeps
            assert cache.touch("other", 60) is False
            clock.advance(30)
            assert ("key" in cache) is self.keeps

    def test_delete(self) -> None:
        """Delete removes, and says whether there was something."""
        cache = self.make_cache()
        cache.set("key", 1)
        assert cache.delete("key") is self.keeps
        assert cache.delete("key") is False
        assert "key" not in cache

    def test_many(self) -> None:
        """The many forms do what the single ones do."""
        cache = self.make_cache()
        assert cache.set_many({"a": 1, "b": None, "c": 3}) == []
        found = {"a": 1, "b": None} if self.keeps else {}
        assert cache.get_many(["a", "b", "z"]) == found
        cache.delete_many(["a", "z"])
        assert cache.get_many(["a", "b"]) == ({"b": None} if self.keeps else {})

    def test_get_or_set(self) -> None:
        """Where there is nothing, the default is called and stored."""
        cache = self.make_cache()
        assert cache.get_or_set("key", lambda: 5) == 5
        assert cache.get_or_set("key", 6) == (5 if self.keeps else 6)

    def test_incr_and_decr(self) -> None:
        """Numbers are counted up and down; a key that is not there is a ValueError."""
        cache = self.make_cache()
        cache.set("number", 5)
        if self.keeps:
            assert cache.incr("number") == 6
            assert cache.incr("number", 10) == 16
            assert cache.decr("number", 6) == 10
            assert cache.get("number") == 10
        for change in (cache.incr, cache.decr):
            try:
                change("no such number")
            except ValueError:
                pass
            else:
                raise AssertionError("a key that is not there was counted")

    def test_incr_keeps_the_timeout(self) -> None:
        """Counting does not prolong."""
        with self.clock() as clock:
            cache = self.make_cache()
            cache.set("number", 5, 10)
            clock.advance(6)
            if self.keeps:
                cache.incr("number")
            clock.advance(4)
            assert "number" not in cache

    def test_clear(self) -> None:
        """Clear removes what was set and what proxies stored."""
        cache = self.make_cache()
        calls: list[int] = []

        class Target:
            def load(self, number: int) -> int:
                calls.append(number)
                return number

        target = wrap(Target(), cache, cached_methods=["load"])
        cache.set("key", 1)
        target.load(1)
        cache.clear()
        assert "key" not in cache
        target.load(1)
        assert calls == [1, 1]

    def test_always_true(self) -> None:
        """A cache is true, also when it is empty."""
        assert self.make_cache()

    def test_a_write_is_seen(self) -> None:
        """After a write has returned, what it made wrong is not served."""

        class Target:
            value = 1

            def read(self) -> int:
                return self.value

            def write(self, value: int) -> None:
                self.value = value

        target = wrap(
            Target(),
            self.make_cache(),
            cached_methods=["read"],
            invalidate_methods={"write": ["read"]},
        )
        assert target.read() == 1
        target.write(2)
        assert target.read() == 2

    def test_async_vocabulary(self) -> None:
        """Every call has an awaitable twin that does the same."""
        # Slow to import, and pytest imports this package whenever it starts.
        import asyncio

        cache = self.make_cache()

        async def use() -> None:
            kept: Any = self.keeps
            await cache.aset("key", 1)
            assert await cache.aget("key", MISSING) == (1 if kept else MISSING)
            assert await cache.ahas_key("key") is kept
            assert await cache.aadd("key", 2) is False
            assert await cache.atouch("key", 60) is kept
            if kept:
                assert await cache.aincr("key") == 2
                assert await cache.adecr("key") == 1
            assert await cache.adelete("key") is kept
            await cache.aset_many({"a": 1})
            assert await cache.aget_many(["a", "b"]) == ({"a": 1} if kept else {})
            await cache.adelete_many(["a"])
            assert await cache.aget_or_set("c", lambda: 7) == 7
            await cache.aclear()
            assert await cache.aget("c") is None
            await cache.aclose()

        asyncio.run(use())
