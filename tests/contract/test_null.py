"""The contract suite, for the cache that keeps nothing."""

from pussycache import NullCache
from pussycache.cache.base import Cache
from pussycache.testing import CacheContract


class TestNullCache(CacheContract):
    """A `NullCache` does what a cache that keeps nothing must do."""

    keeps = False

    def make_cache(self, ttl: float | None = None) -> Cache:
        return NullCache()
