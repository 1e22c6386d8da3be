"""What the page is about: proxies, caches and observed objects, and forgetting what is of them.

How it is counted is see/snapshots.py's.
"""

from __future__ import annotations

import json
from threading import Lock
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Final

from starlette.concurrency import run_in_threadpool

from pussycache.cache.base import Cache
from pussycache.compile import Handle
from pussycache.engine.asking import acarry, carry
from pussycache.engine.entry import Cause
from pussycache.engine.writes import forget_table
from pussycache.errors import ConfigurationError
from pussycache.proxy import BaseProxy, cache_of
from pussycache.see.advisor import Report
from pussycache.see.snapshots import Snapshot, snapshot, tables
from pussycache.see.watchers import recorder_of
from pussycache.web.figures import readable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pussycache.engine.generations import Table
    from pussycache.see.recorder import Recorder

__all__ = ["Sources"]

_WRITES: Final = 12
_SINCE: Final = 3600.0
_METHODS: Final = 12
_FRESH: Final = 5.0
"""For so many seconds advice is good: to work it out takes a while."""


class Sources:
    """What is shown.

    :param arguments: whether those of writes are shown, too.
    """

    def __init__(self, given: Iterable[Any], *, arguments: bool) -> None:
        self.observed: list[Recorder] = []
        self._cached: list[Any] = []
        self._arguments = arguments
        self._lock = Lock()
        self._advice: list[dict[str, Any]] = []
        self._advice_until = -1.0
        for one in given:
            recorder = recorder_of(one)
            if recorder is not None:
                self.observed.append(recorder)
            elif _is_cached(one):
                self._cached.append(one)
            else:
                raise ConfigurationError(
                    f"app takes objects that were wrapped, cached functions, caches and observed "
                    f"objects, not {type(one).__qualname__}; give what wrap, cached or observe has "
                    "returned"
                )
        # What is of a cache is not to be counted twice.
        caches = {id(one) for one in self._cached if _is_cache(one)}
        self._cached = [
            one for one in self._cached if not (_is_proxy(one) and id(cache_of(one)) in caches)
        ]
        self._has_nothing = bool(self.observed) and not self._cached

    def snapshot(self) -> Snapshot:
        """Count."""
        if self._has_nothing:
            return Snapshot(time(), {}, {})
        return snapshot(*self._cached)

    def writes(self) -> list[dict[str, Any]]:
        """Return the latest writes, the last one first."""
        homes = {id(table.home): table.home for table in self._tables()}
        since = time() - _SINCE
        causes = [cause for home in homes.values() for cause in home.history.since(since)]
        causes.sort(key=lambda cause: -cause.when)
        return [
            {
                "when": cause.when,
                "what": readable(str(cause) if self._arguments else cause.method),
            }
            for cause in causes[:_WRITES]
        ]

    def advice(self) -> list[dict[str, Any]]:
        """Return what the advisor says of observed objects, of the methods that take most time."""
        with self._lock:
            if monotonic() >= self._advice_until:
                self._advice = [_advice(i, recorder) for i, recorder in enumerate(self.observed)]
                self._advice_until = monotonic() + _FRESH
            return self._advice

    async def forget(self, label: str) -> bool:
        """Forget all results of a method, as the page calls it; false if there is none.

        :raises BackendUnavailable: if a server cannot be told, and its cache does not put that off.
        """
        found = await run_in_threadpool(self._named, label)
        cause = Cause("forget on the page")
        near = [table for table in found if table.distant is None]
        await run_in_threadpool(_forget, near, cause)
        for table in found:
            if table.distant is not None:
                await acarry(forget_table(table, cause))
        return bool(found)

    def _named(self, shown: str) -> list[Table]:
        return [
            table
            for table in self._tables()
            # As a snapshot says it, where two caches have methods of one name.
            for name in (table.label, f"{table.label} in {table.cache.label}")
            if readable(name) == shown
        ]

    def _tables(self) -> list[Table]:
        return [] if self._has_nothing else tables(*self._cached)


def _is_cache(one: object) -> bool:
    return issubclass(type(one), Cache)


def _is_proxy(one: object) -> bool:
    return issubclass(type(one), BaseProxy)


def _is_cached(one: object) -> bool:
    return _is_cache(one) or _is_proxy(one) or isinstance(_handle(one), Handle)


def _handle(one: object) -> object:
    return getattr(one, "__pussycache__", None)


def _forget(found: Iterable[Table], cause: Cause) -> None:
    for table in found:
        carry(forget_table(table, cause))


def _advice(number: int, recorder: Recorder) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(Report(recorder).to_json())
    told["methods"] = dict(list(told["methods"].items())[:_METHODS])
    # Several objects may be of one class.
    return {"key": number, **told}
