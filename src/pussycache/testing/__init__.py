"""Instruments for tests: of caches, and of programs that use this library. Shipped with it."""

from pussycache.engine.guard import guarded
from pussycache.testing.clock import FakeClock
from pussycache.testing.contract import CacheContract

__all__ = ["CacheContract", "FakeClock", "guarded"]
