"""The contract suite, for caches in memory."""

from typing import Any

from pussycache import MemoryCache
from pussycache.cache.base import Cache
from pussycache.testing import CacheContract


class TestMemoryCache(CacheContract):
    """A `MemoryCache` does what every cache must do."""

    def make_cache(self, ttl: float | None = None) -> Cache:
        return MemoryCache(ttl=ttl)


class TestUnboundedMemoryCache(CacheContract):
    """So does one without a bound."""

    def make_cache(self, ttl: float | None = None) -> Cache:
        return MemoryCache(ttl=ttl, max_entries=None)


class TestSubclass(CacheContract):
    """So does a user's own subclass."""

    def make_cache(self, ttl: float | None = None) -> Cache:
        class Mine(MemoryCache):
            def get(self, key: Any, default: Any = None) -> Any:
                return super().get(key, default)

        return Mine(ttl=ttl)
