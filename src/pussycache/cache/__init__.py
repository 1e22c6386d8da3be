"""Where values are kept: one module a cache, behind one vocabulary.

`BaseCacheBackend` is the first name of `MemoryCache`, and the same class.
"""

from pussycache.cache.base import Cache
from pussycache.cache.memory import MemoryCache
from pussycache.cache.null import NullCache
from pussycache.cache.removals import Removal

BaseCacheBackend = MemoryCache

__all__ = ["BaseCacheBackend", "Cache", "MemoryCache", "NullCache", "Removal"]
