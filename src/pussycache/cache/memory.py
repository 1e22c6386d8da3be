"""`MemoryCache`: entries in this process's memory, bounded.

Keeps tables, their owners and the budget; whether an entry may be served or stored is decided in
the tables (engine/generations.py), and what is thrown away in eviction.py.
"""

from __future__ import annotations

import _thread
import math
import weakref
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from pussycache.cache.base import Cache
from pussycache.cache.eviction import SecondChance
from pussycache.cache.forks import watch
from pussycache.cache.reclaim import reclaimer
from pussycache.declare.keys import Unkeyable, encode
from pussycache.declare.policy import seconds
from pussycache.engine import background
from pussycache.engine.clock import read
from pussycache.engine.entry import Cause, Entry, History
from pussycache.engine.generations import Table
from pussycache.engine.scopes import Scope
from pussycache.engine.tags import Tags
from pussycache.errors import ConfigurationError
from pussycache.types import MISSING

if TYPE_CHECKING:
    from datetime import timedelta

    from pussycache.cache.base import Timeout
    from pussycache.engine.home import Lock

__all__ = ["MemoryCache"]


class MemoryCache(Cache):
    """A cache in this process's memory.

    :param ttl: seconds (or a `timedelta`) that entries are good where nothing else is said;
        `None`, the default, for ever.
    :param max_entries: how many entries are kept, of all objects and methods together (default
        10,000); `None` for no bound.
    :raises ConfigurationError: for a negative ttl or a bound that is no positive number.

    Thread-safe; one cache may serve threads and event loops at once. Expiry is exact and told by a
    monotonic clock. A pickled or deep-copied cache is an empty one with the same settings.

    >>> from pussycache import MemoryCache
    >>> cache = MemoryCache(ttl=300)
    >>> cache.set("mykey", "my value", 10)
    >>> cache.get("mykey"), len(cache), "another" in cache
    ('my value', 1, False)
    """

    open_to_loads = True

    def __init__(
        self, ttl: float | int | timedelta | None = None, max_entries: int | None = 10_000
    ) -> None:
        self.ttl = None if ttl is None else seconds(ttl, "ttl")
        if max_entries is not None and (type(max_entries) is not int or max_entries < 1):
            raise ConfigurationError(
                f"max_entries must be a positive number or None, not {max_entries!r}; "
                "None is no bound, and to store nothing use NullCache()"
            )
        self.max_entries = max_entries
        # Reentrant: a key's own __eq__, or garbage collected meanwhile, may come back to us.
        self.lock: Lock = _thread.RLock()
        self.history = History()
        self.tags = Tags(self.lock)
        room = math.inf if max_entries is None else max_entries
        self.garbage: deque[Any] = deque()
        self.budget = SecondChance(room, self.history.evicted, self.garbage)
        self._plain = Table(self, "")
        self._scopes: dict[int, tuple[weakref.ref[Any], weakref.ref[Scope]]] = {}
        self._named: weakref.WeakValueDictionary[Any, Scope] = weakref.WeakValueDictionary()
        self._graves: deque[Scope] = deque()
        watch(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(ttl={self.ttl!r}, max_entries={self.max_entries!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.ttl, self.max_entries)

    def __len__(self) -> int:
        with self.lock:
            self._bury()
            for table, key in self.budget.expired(read()):
                table.remove(key)
                self.history.note(table.serial, key, "expired")
            live = self.budget.live
        self.sweep()
        return live

    # Whose entries they are.

    def scope(self, target: object, proxy: object, namespace: str | None, version: Any) -> Scope:
        """Return what is remembered of an object: freed with it, or shared by its namespace."""
        with self.lock:
            self._bury()
            if namespace is not None:
                kind = type(target)
                name = (kind.__module__, kind.__qualname__, namespace, version)
                scope = self._named.get(name)
                if scope is None:
                    scope = self._named[name] = Scope(self)
                return scope
            try:
                weakref.ref(target)
            except TypeError:
                # Whoever cannot be watched cannot own entries: then the proxy owns them.
                target = proxy
            return self._owned(target)

    def _owned(self, owner: object) -> Scope:
        known = self._scopes.get(id(owner))
        if known is not None and known[0]() is owner:
            scope = known[1]()
            if scope is not None:
                return scope
        scope = Scope(self)
        gone = partial(_gone, weakref.ref(self), id(owner))
        self._scopes[id(owner)] = weakref.ref(owner, gone), weakref.ref(scope)
        return scope

    def owner_gone(self, ident: int, reference: object) -> None:
        """Free what was remembered of an object that is no more."""
        known = self._scopes.get(ident)
        if known is None or known[0] is not reference:
            return
        del self._scopes[ident]
        scope = known[1]()
        if scope is None:
            return
        self._graves.append(scope)
        # Garbage may be collected anywhere, also in the midst of our own work: then, or while
        # another thread is at work, the one who holds the lock does it.
        if not self.lock._is_owned() and self.lock.acquire(blocking=False):  # type: ignore[attr-defined]
            try:
                self._bury()
            finally:
                self.lock.release()
            self.sweep()

    def _bury(self) -> None:
        while self._graves:
            scope = self._graves.popleft()
            cause = Cause("the object was freed")
            for table in list(scope.tables.values()):
                table.forget_all(cause)

    # What the tables ask for, under the lock.

    def discard(self, table: Table, entries: dict[Any, Any], cause: Cause) -> None:
        """Have a replaced dictionary freed, by the next `sweep`."""
        self.garbage.append((entries, partial(self._farewell, table, cause)))

    def sweep(self) -> None:
        """Free what was thrown away, once this thread holds no lock."""
        while self.garbage and not self.lock._is_owned():  # type: ignore[attr-defined]
            try:
                thrown = self.garbage.popleft()
            except IndexError:
                return
            if type(thrown) is tuple:
                reclaimer.free(*thrown)
            elif type(thrown) is deque:
                reclaimer.free(thrown)

    def _farewell(self, table: Table, cause: Cause, key: Any, entry: Any) -> None:
        if isinstance(entry, Entry):
            table.hits += entry.hits
            self.history.note(table.serial, key, "invalidated", cause)

    # The vocabulary.

    def get(self, key: Any, default: Any = None) -> Any:
        entry = self._plain.entries.get(_place(key))
        if entry is None or entry.expires <= read():
            return default
        entry.hits += 1
        return entry.value

    def set(self, key: Any, value: Any, timeout: Timeout = MISSING) -> None:
        self._plain.put(_place(key), (), value, self._until(timeout))

    def add(self, key: Any, value: Any, timeout: Timeout = MISSING) -> bool:
        place, until = _place(key), self._until(timeout)
        with self.lock:
            entry = self._plain.entries.get(place)
            if entry is not None and entry.expires > read():
                return False
            return self._plain.put(place, (), value, until)

    def touch(self, key: Any, timeout: Timeout = MISSING) -> bool:
        place, until = _place(key), self._until(timeout)
        with self.lock:
            entry = self._plain.entries.get(place)
            if entry is None or entry.expires <= read():
                return False
            self._plain.put(place, (), entry.value, until)
            return True

    def delete(self, key: Any) -> bool:
        return self._plain.forget(_place(key), Cause("delete"))

    def incr(self, key: Any, delta: int = 1) -> int:
        place = _place(key)
        with self.lock:
            entry = self._plain.entries.get(place)
            if entry is None or entry.expires <= read():
                raise ValueError(f"Key {key!r} not found")
            number: int = entry.value + delta
            self._plain.put(place, (), number, entry.expires)
            return number

    def clear(self) -> None:
        with self.lock:
            self._bury()
            cause = Cause("clear")
            self._plain.forget_all(cause)
            for scope in self._all_scopes():
                for table in list(scope.tables.values()):
                    table.forget_all(cause)
        self.sweep()

    def close(self) -> None:
        """End what is done for this cache in the background; it can be used on."""
        background.end_of(self)

    def forget_others(self) -> None:
        """Forget the loads and the writers of threads that are not here: see forks.py."""
        self.tags.forget_others()
        self._plain.forget_others()
        for scope in self._all_scopes():
            scope.forget_others()

    def _all_scopes(self) -> list[Scope]:
        owned = [known[1]() for known in list(self._scopes.values())]
        return [*list(self._named.values()), *(scope for scope in owned if scope is not None)]

    def _until(self, timeout: Timeout) -> float | None:
        lasting = self.lasting(timeout)
        if lasting is None:
            return math.inf
        return read() + lasting if lasting > 0 else None


def _gone(cache: weakref.ref[MemoryCache], ident: int, reference: object) -> None:
    alive = cache()
    if alive is not None:
        alive.owner_gone(ident, reference)


def _place(key: Any) -> Any:
    if type(key) is str:
        return (key,)
    try:
        return encode((key,))
    except Unkeyable as error:
        raise ConfigurationError(f"key cannot be used: {error}; use a string") from None
