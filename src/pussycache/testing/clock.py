"""`FakeClock`: time that a test moves by hand."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from pussycache.declare.policy import seconds as in_seconds
from pussycache.engine import clock

if TYPE_CHECKING:
    from datetime import timedelta
    from types import TracebackType

__all__ = ["FakeClock"]


class FakeClock:
    """A clock that stands still until it is told to go on; it replaces the library's one.

    >>> import pussycache
    >>> from pussycache.testing import FakeClock
    >>> with FakeClock() as clock:
    ...     cache = pussycache.MemoryCache(ttl=30)
    ...     cache.set("mykey", "my value")
    ...     clock.advance(29.9)
    ...     print(cache.get("mykey"))
    ...     clock.advance(0.1)
    ...     print(cache.get("mykey"))
    my value
    None
    """

    def __init__(self, start: float = 1000.0) -> None:
        self._now = start
        self._replaced: AbstractContextManager[None] | None = None

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float | timedelta) -> None:
        """Let so many seconds (or a `timedelta`) pass; never back."""
        self._now += in_seconds(seconds, "seconds", "a clock does not go back")

    def __enter__(self) -> FakeClock:
        self._replaced = clock.replaced(self)
        self._replaced.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._replaced is not None:
            self._replaced.__exit__(kind, error, traceback)
