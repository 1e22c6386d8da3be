"""Fixtures for pytest, which finds them by the entry point ``pussycache``.

What they switch is done elsewhere. Nothing here is imported by the library itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pussycache.engine.clock import disabled
from pussycache.engine.guard import guarded
from pussycache.testing.clock import FakeClock

__all__ = ["pussycache_clock", "pussycache_disabled", "pussycache_guard"]


@pytest.fixture
def pussycache_guard() -> Iterator[None]:
    """Guard every value that is cached during the test against being changed in place."""
    with guarded():
        yield


@pytest.fixture
def pussycache_clock() -> Iterator[FakeClock]:
    """Give a clock that stands still until the test says ``pussycache_clock.advance(seconds)``."""
    with FakeClock() as clock:
        yield clock


@pytest.fixture
def pussycache_disabled() -> Iterator[None]:
    """Switch caching off during the test: each call computes."""
    with disabled():
        yield
