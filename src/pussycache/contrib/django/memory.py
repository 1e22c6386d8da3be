"""What an alias of Django's keeps in this process's memory: pickled, and culled as Django says.

Whether an entry is good, and how it is freed, is said in cache/memory.py.
"""

from __future__ import annotations

import pickle
import threading
from typing import TYPE_CHECKING, Any, Final

from pussycache.cache.base import Cache
from pussycache.cache.memory import MemoryCache
from pussycache.engine.clock import read
from pussycache.types import MISSING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pussycache.cache.base import Timeout
    from pussycache.engine.scopes import Scope

__all__ = ["Memory"]

_PROTOCOL: Final = pickle.HIGHEST_PROTOCOL


class _Store(MemoryCache):
    """The pickled values of one ``LOCATION``, of all the aliases and threads that name it."""

    def __init__(self) -> None:
        # Bounded by those who store: aliases of one store may have other bounds.
        super().__init__(max_entries=None)

    def cull(self, most: int, frequency: int) -> None:
        """Make room as Django says: of so many entries, throw out one in ``frequency``, 0 for all.

        What has expired goes first, then what nobody has asked for since the last time.
        """
        with self.lock:
            live = self.budget.live
            if live < most:
                return
            if not frequency:
                self.clear()
                return
            now = read()
            entries = sorted(
                self._plain.entries.items(),
                key=lambda item: item[1].expires > now and 1 + (item[1].hits > 0),
            )
            gone = live // frequency
            for place, _ in entries[:gone]:
                self._plain.remove(place, "size")
            for _, entry in entries[gone:]:
                self._plain.hits += entry.hits
                entry.hits = 0

    def incr_pickled(self, key: Any, delta: int) -> Any:
        """Add to a pickled number, as `incr` does."""

        def added(pickled: bytes) -> bytes:
            return pickle.dumps(pickle.loads(pickled) + delta, _PROTOCOL)

        return pickle.loads(self._change(key, added))


_stores: Final[dict[str, _Store]] = {}
_making: Final = threading.Lock()


class Memory(Cache):
    """What an alias keeps in memory; aliases of one name share it.

    :param bounds: says, each time, how many entries there may be, and one in how many is thrown
        out then.
    """

    ttl = None

    def __init__(self, name: str, bounds: Callable[[], tuple[int, int]]) -> None:
        with _making:
            if name not in _stores:
                _stores[name] = _Store()
            self._store = _stores[name]
        self._bounds = bounds

    def scope(self, target: object, proxy: object, namespace: str | None, version: Any) -> Scope:
        return self._store.scope(target, proxy, namespace, version)

    def _keep(self, key: Any, pickled: bytes, timeout: Timeout, only_new: bool = False) -> bool:
        store = self._store
        with store.lock:
            if only_new and key in store:
                return False
            store.cull(*self._bounds())
            store.set(key, pickled, timeout)
        # What was thrown out is freed while no lock is held.
        store.sweep()
        return True

    def get(self, key: Any, default: Any = None) -> Any:
        pickled = self._store.get(key, MISSING)
        return default if pickled is MISSING else pickle.loads(pickled)

    def set(self, key: Any, value: Any, timeout: Timeout = MISSING) -> None:
        self._keep(key, pickle.dumps(value, _PROTOCOL), timeout)

    def add(self, key: Any, value: Any, timeout: Timeout = MISSING) -> bool:
        return self._keep(key, pickle.dumps(value, _PROTOCOL), timeout, only_new=True)

    def touch(self, key: Any, timeout: Timeout = MISSING) -> bool:
        return self._store.touch(key, timeout)

    def delete(self, key: Any) -> bool:
        return self._store.delete(key)

    def has_key(self, key: Any) -> bool:
        return key in self._store

    def incr(self, key: Any, delta: int = 1) -> Any:
        return self._store.incr_pickled(key, delta)

    def clear(self) -> None:
        self._store.clear()

    def __len__(self) -> int:
        return len(self._store)
