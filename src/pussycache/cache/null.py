"""`NullCache`: keeps nothing, so that a program can be run without a cache unchanged."""

from __future__ import annotations

from pussycache.cache.memory import MemoryCache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["NullCache"]


class NullCache(MemoryCache):
    """A cache that keeps nothing: every call computes, and shares its result with nobody.

    >>> from pussycache import NullCache
    >>> cache = NullCache()
    >>> cache.set("mykey", "my value")
    >>> cache.get("mykey") is None
    True
    """

    open_to_loads = False

    def __init__(self) -> None:
        super().__init__(max_entries=1)

    def __repr__(self) -> str:
        return "NullCache()"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()
