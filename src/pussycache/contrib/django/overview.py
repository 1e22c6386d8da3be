"""What this process remembers, and the servers that it uses: for the admin, the panel, the command.

Nothing is counted here; what the figures mean is said in stats.py.
"""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from pussycache.cache import forks
from pussycache.cache.memory import MemoryCache
from pussycache.engine.asking import carry
from pussycache.engine.entry import Cause
from pussycache.engine.writes import forget_table
from pussycache.errors import BackendUnavailable, ConfigurationError
from pussycache.stats import BY_HAND, CacheInfo, added_up

if TYPE_CHECKING:
    from pussycache.cache.redis import RedisCache
    from pussycache.cache.shared.survey import Line
    from pussycache.engine.generations import Table
    from pussycache.stats import Store

__all__ = [
    "Row",
    "Server",
    "causes_since",
    "clear",
    "forget",
    "pending",
    "rows",
    "servers",
    "shown",
]


_UNITS: Final = (
    (1e-6, "µs", 1e-3),
    (1e-3, "ms", 1.0),
    (1.0, "s", 120.0),
    (60.0, "min", 7200.0),
    (3600.0, "h", math.inf),
)


class Row(NamedTuple):
    """One method, of all objects of its class."""

    name: str
    info: CacheInfo

    @property
    def percent(self) -> str:
        """The hit ratio as people read it; a dash before the first call."""
        calls = self.info.hits + self.info.misses
        return f"{100 * self.info.hit_ratio:.1f} %" if calls else "-"

    @property
    def saved(self) -> str:
        """About how much time hits have saved, as people read it."""
        return shown(self.info.time_saved)


class Server(NamedTuple):
    """A cache in a server: whether that answers, and what it has not been told yet.

    ``lines`` is what there is, by namespace and method, where it was counted and the server
    answered.
    """

    store: Store
    state: str
    lines: list[Line] | None = None

    @property
    def name(self) -> str:
        """Which cache, and where."""
        return f"{self.store.name} {self.store.url}".strip()


def _tables() -> dict[str, list[Table]]:
    found: dict[str, list[Table]] = {}
    for cache in forks.known():
        for name, table in cache.labelled():
            found.setdefault(name, []).append(table)
    return found


def rows() -> list[Row]:
    """Return the figures of all methods, by name. No server is asked for them."""
    figures = [cache.figures().items() for cache in forks.known()]
    found = added_up(chain.from_iterable(figures))
    return [Row(name, info) for name, info in sorted(found.items()) if name != BY_HAND]


def shown(seconds: float) -> str:
    """Return a duration as people read it: two or three figures, and a unit."""
    factor, unit = next((factor, unit) for factor, unit, until in _UNITS if seconds < until)
    number = seconds / factor
    return f"{number:.1f} {unit}" if 0 < number < 10 else f"{number:.0f} {unit}"


def servers(count: bool = False) -> list[Server]:
    """Return the caches in servers that this process uses.

    One that does not answer is waited for once, for its cache's timeout; after that it is known.

    :param count: look at all keys that are there, a few hundred at a time.
    """
    found = []
    for cache in _in_servers():
        lines = None
        try:
            state = "answers" if cache.answers() else "does not answer"
            if count and state == "answers":
                lines = cache.survey()
        except (BackendUnavailable, ConfigurationError) as error:
            # A server that is too old, for instance, or does not let us in.
            state = str(error)
        found.append(Server(cache.store, state, lines))
    return sorted(found, key=lambda server: server.name)


def _in_servers() -> list[RedisCache]:
    return [cache for cache in forks.known() if hasattr(cache, "survey")]


def forget(name: str, cause: Cause) -> bool:
    """Forget every call of a method; false if there is none of that name. Counts as a write.

    :raises BackendUnavailable: if a server cannot be told, and its cache refuses to write then.
    """
    for table in _tables().get(name, []):
        carry(forget_table(table, cause))
    # Of one whose objects are no more, nothing is remembered.
    return any(row.name == name for row in rows())


def pending() -> int:
    """How many invalidations servers have not been told of yet."""
    return sum([cache.pending for cache in _in_servers()])


def clear(cause: Cause) -> int:
    """Forget every call of every method, and return how many methods there are.

    :raises BackendUnavailable: as `forget`.
    """
    names = list(_tables())
    for name in names:
        forget(name, cause)
    return len(names)


def causes_since(when: float) -> list[str]:
    """Return what has made calls wrong since a moment of the wall clock."""
    caches = [cache for cache in forks.known() if isinstance(cache, MemoryCache)]
    return [str(cause) for cache in caches for cause in cache.history.since(when)]
