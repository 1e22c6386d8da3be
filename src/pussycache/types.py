"""The small shared vocabulary of types: the mark for "nothing there" and what counts as a duration.

No behaviour of the cache lives here.
"""

from __future__ import annotations

from enum import Enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta
    from typing import Any, Final, TypeAlias

__all__ = ["MISSING", "Missing", "Seconds", "Ttl"]


class Missing(Enum):
    """The type of `MISSING`; an enumeration, so that type checkers can narrow on ``is MISSING``."""

    MISSING = "MISSING"

    def __repr__(self) -> str:
        return "MISSING"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing.MISSING
"""Stands for absence where `None` is a value like any other.

>>> from pussycache import MISSING, MemoryCache
>>> cache = MemoryCache()
>>> cache.set("nothing", None)
>>> cache.get("nothing", MISSING) is None
True
>>> cache.get("never set", MISSING)
MISSING
"""

Seconds: TypeAlias = "float | int | timedelta"
"""A duration: a number of seconds or a `datetime.timedelta`."""

Ttl: TypeAlias = "Seconds | Callable[[Any], float | int | timedelta | datetime | None] | None"
"""How long a result is good: see `Cached`."""
