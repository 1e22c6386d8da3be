"""`MemoryCache`: entries in this process's memory, bounded.

Keeps tables, their owners and the budget; whether an entry may be served or stored is decided in
the tables (engine/generations.py), and what is thrown away in eviction.py.
"""

from __future__ import annotations

import _thread
import math
import weakref
from collections import deque
from contextlib import suppress
from functools import partial

from pussycache.cache.base import Cache
from pussycache.cache.eviction import LazyTinyLfu
from pussycache.cache.expiry import Expiry, janitor
from pussycache.cache.forks import watch
from pussycache.cache.reclaim import reclaimer
from pussycache.cache.removals import Removals
from pussycache.cache.weights import WeighedTinyLfu, size_of
from pussycache.declare.keys import Unkeyable, plain_key
from pussycache.declare.policy import seconds
from pussycache.engine import background
from pussycache.engine.clock import read, wall
from pussycache.engine.departed import Departed
from pussycache.engine.entry import Cause, Entry, History
from pussycache.engine.failures import Remembered
from pussycache.engine.generations import Table
from pussycache.engine.scopes import Scope, place_of
from pussycache.engine.tags import Tags
from pussycache.errors import ConfigurationError
from pussycache.hooks import active, tell
from pussycache.stats import CacheInfo, added_up
from pussycache.types import MISSING, Missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence
    from datetime import timedelta
    from typing import Any, Final

    from pussycache.cache.base import Timeout
    from pussycache.cache.removals import Removal
    from pussycache.cache.restoring import Loaded
    from pussycache.cache.saving import Saved
    from pussycache.cache.serializers import Serializer
    from pussycache.engine.home import Lock, RemovalCause, Waiting

__all__ = ["MemoryCache"]


# So many entries are thrown out, or looked at, before the lock is given back.
_AT_ONCE: Final = 256


class _Cleared(Cause):
    """The whole cache was cleared."""

    __slots__ = ()


class MemoryCache(Cache):
    """A cache in this process's memory.

    :param ttl: seconds (or a `timedelta`) that entries are good where nothing else is said;
        `None`, the default, for ever.
    :param max_entries: how many entries are kept, of all objects and methods together (default
        10,000); `None` for no bound.
    :param max_bytes: how much all entries may weigh together; `None`, the default, for no bound.
        One that alone is heavier is returned to its caller and not stored.
    :param weigh: ``weigh(key, value)`` says what an entry weighs, a number that is not negative;
        ``key`` is the key given to `set`, or the tuple of the call's arguments. By default about
        how many bytes it takes, containers with what is in them. An entry whose weighing fails is
        not stored.
    :raises ConfigurationError: for a negative ttl, a bound that is no positive number, or ``weigh``
        without ``max_bytes``.

    Thread-safe; one cache may serve threads and event loops at once. Expiry is exact and told by a
    monotonic clock. A pickled or deep-copied cache is an empty one with the same settings.

    >>> from pussycache import MemoryCache
    >>> cache = MemoryCache(ttl=300)
    >>> cache.set("mykey", "my value", 10)
    >>> cache.get("mykey"), len(cache), "another" in cache
    ('my value', 1, False)
    """

    open_to_loads = True
    waiting: Waiting | None = None

    def __init__(
        self,
        ttl: float | int | timedelta | None = None,
        max_entries: int | None = 10_000,
        max_bytes: float | None = None,
        weigh: Callable[[Any, Any], float] | None = None,
    ) -> None:
        self.ttl = None if ttl is None else seconds(ttl, "ttl")
        self.max_entries = _entries(max_entries)
        self.max_bytes = _bytes(max_bytes)
        if weigh is not None and max_bytes is None:
            raise ConfigurationError("weigh says what entries weigh; bound that with max_bytes=")
        if weigh is not None and not callable(weigh):
            raise ConfigurationError(f"weigh must be a callable weigh(key, value), not {weigh!r}")
        self._weigh = weigh
        # Reentrant: a key's own __eq__, or garbage collected meanwhile, may come back to us.
        self.lock: Lock = _thread.RLock()
        self.history = History()
        self.tags = Tags(self.lock)
        self.garbage: deque[Any] = deque()
        self.removals = Removals()
        self.watched = max_bytes is not None
        room = math.inf if max_entries is None else max_entries
        self.budget: LazyTinyLfu
        if max_bytes is None:
            self.budget = LazyTinyLfu(room, self.history.evicted, self.garbage)
        else:
            self.budget = WeighedTinyLfu(room, max_bytes, self.history.evicted, self.garbage)
        self.expiry = Expiry(self.budget, self._expire)
        self.budget.sooner = self._sooner
        self.budget.chore = self._look_for_expired
        self.budget.after = self.sweep
        self._is_expecting = False
        self.plainly_open = self.open_to_loads and not self.watched
        self._plain = Table(self, "")
        self.departed = Departed(self.lock)
        self._scopes: dict[int, tuple[weakref.ref[Any], weakref.ref[Scope]]] = {}
        self._named: weakref.WeakValueDictionary[Any, Scope] = weakref.WeakValueDictionary()
        # Those of another cache that keeps entries here.
        self._guests: weakref.WeakSet[Scope] = weakref.WeakSet()
        self._graves: deque[Scope] = deque()
        watch(self)

    def __repr__(self) -> str:
        bytes_too = "" if self.max_bytes is None else f", max_bytes={self.max_bytes!r}"
        entries = f"max_entries={self.max_entries!r}"
        return f"{type(self).__name__}(ttl={self.ttl!r}, {entries}{bytes_too})"

    def __reduce__(self) -> tuple[Any, ...]:
        weights = () if self.max_bytes is None else (self.max_bytes, self._weigh)
        return type(self), (self.ttl, self.max_entries, *weights)

    def __len__(self) -> int:
        with self.lock:
            self._bury()
            self.expiry.everything(read())
            live = self.budget.live
        self.sweep()
        return live

    # The bounds.

    @property
    def weighs(self) -> bool:
        """Whether entries have a weight."""
        return self.max_bytes is not None or isinstance(self.budget, WeighedTinyLfu)

    @property
    def weight(self) -> float:
        """What all entries weigh together, in bytes or as ``weigh`` says; 0 without max_bytes."""
        with self.lock:
            return self.budget.weight if isinstance(self.budget, WeighedTinyLfu) else 0

    def resize(
        self,
        max_entries: int | Missing | None = MISSING,
        max_bytes: float | Missing | None = MISSING,
    ) -> None:
        """Give the cache other bounds; what is left out stays, `None` is no bound.

        When it returns, the cache is within them. Much is thrown out in slices: other threads wait
        for none of it.

        :raises ConfigurationError: for a bound that is no positive number, and for ``max_bytes``
            where the cache was made without it, because then its entries were not weighed.

        >>> from pussycache import MemoryCache
        >>> cache = MemoryCache()
        >>> cache.set_many({"a": 1, "b": 2, "c": 3})
        []
        >>> cache.resize(max_entries=2)
        >>> len(cache)
        2
        """
        entries = None if isinstance(max_entries, Missing) else _entries(max_entries)
        weight = None if isinstance(max_bytes, Missing) else _bytes(max_bytes)
        budget = self.budget
        if not isinstance(max_bytes, Missing):
            if not isinstance(budget, WeighedTinyLfu):
                raise ConfigurationError(
                    "max_bytes cannot be set later: what is stored has not been weighed; make the "
                    "cache with max_bytes="
                )
            with self.lock:
                self.max_bytes = weight
                budget.most = math.inf if weight is None else weight
        if not isinstance(max_entries, Missing):
            with self.lock:
                self.max_entries = entries
                budget.resize(math.inf if entries is None else entries)
        while self._shrink():
            pass
        self.sweep()

    def _shrink(self) -> bool:
        if not self.budget.is_over():
            return False
        with self.lock:
            gone = self.budget.shrink(_AT_ONCE)
        # What is in it is freed with it, outside the lock.
        return bool(gone)

    def on_removal(self, listener: Callable[[Removal], object]) -> Callable[[], None]:
        """Have a function told of each entry that is gone from now on; returns what ends that.

        It is given a `Removal` with ``method``, ``key``, ``value`` and ``cause``, in the thread
        that removed the entry or in one of the library's own, soon after, and while no lock is
        held. An exception in it is logged (logger ``pussycache``), counted
        (``cache.removals.failures``), and goes no further.

        >>> from pussycache import MemoryCache
        >>> cache = MemoryCache(max_entries=1)
        >>> stop = cache.on_removal(lambda removal: print(removal.key, removal.cause))
        >>> cache.set("a", 1)
        >>> cache.set("b", 2)
        a size
        >>> stop()
        """
        if not callable(listener):
            raise ConfigurationError(
                f"listener must be a callable that takes a Removal, not {listener!r}"
            )
        # By identity: a listener that was added twice is told twice, and ended one at a time.
        one: tuple[Callable[[Removal], object], ...] = (listener,)
        with self.lock:
            self.removals.listeners += one
            self.watched, self.plainly_open = True, False
            self.budget.tell(self.removed)

        def stop() -> None:
            nonlocal one
            with self.lock:
                mine, one = one, ()
                kept = list(self.removals.listeners)
                for known in mine:
                    kept.remove(known)
                self.removals.listeners = tuple(kept)
                if not kept:
                    self.watched = isinstance(self.budget, WeighedTinyLfu)
                    self.plainly_open = self.open_to_loads and not self.watched
                    self.budget.tell(None)

        return stop

    # A warm start.

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        serializer: str | Serializer = "msgpack",
        secret_keys: Sequence[str | bytes] | None = None,
        insecure: bool = False,
    ) -> Saved:
        """Write what is remembered into a file, for a `load` in another process.

        Written are the entries of `set`, and those of objects and functions that another process
        can find again: wrapped with a ``namespace``, with a method ``__cache_identity__()``,
        without state, classes, and functions at the top of a module. The file is put in its place
        when it is whole. The cache may be used meanwhile.

        :param serializer: how values are written: ``"msgpack"``, the default, which executes
            nothing; ``"pickle"``; or a `Serializer`.
        :param secret_keys: with what entries are signed, so that `load` believes nobody else's.
        :param insecure: allow pickle without ``secret_keys``.
        :return: how many entries were ``saved``, how many were ``left_out`` by reason, and ``why``.
        :raises ConfigurationError: for an argument that cannot work.
        :raises OSError: if the file cannot be written; what was there before is there still.
        :raises ImportError: without the packages of ``pussycache[redis]``.

        >>> import os, tempfile
        >>> from pussycache import MemoryCache
        >>> cache = MemoryCache()
        >>> cache.set("a", {1, 2})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     cache.save(os.path.join(folder, "warm"))
        ...     again = MemoryCache()
        ...     again.load(os.path.join(folder, "warm"))
        Saved(saved=1, left_out={}, why=())
        Loaded(loaded=1, waiting=0, expired=0, refused={})
        >>> again.get("a")
        {1, 2}
        """
        from pussycache.cache.saving import save

        with self.lock:
            self._bury()
            _, *tables = self._tables()
        return save(
            self._plain,
            # Not those of a cache that keeps a copy here of what is elsewhere.
            [table for table in tables if table.settings[1] is None],
            path,
            serializer=serializer,
            secret_keys=secret_keys,
            insecure=insecure,
        )

    def load(
        self,
        path: str | os.PathLike[str],
        *,
        serializer: str | Serializer = "msgpack",
        secret_keys: Sequence[str | bytes] | None = None,
        insecure: bool = False,
    ) -> Loaded:
        """Enter what `save` has written; see there for an example.

        An entry has what was left of its time, less what has passed since, by the time of day. One
        whose object is not wrapped yet waits until it is. What is there already, or is made wrong
        after the call has begun, is not replaced or brought back. A damaged entry is skipped and
        counted.

        :param serializer: as it was saved, and so is ``secret_keys``; ``insecure`` as there.
        :return: how many entries were ``loaded``, are ``waiting``, have ``expired``, and were
            ``refused`` by reason; goes on counting as objects are wrapped.
        :raises ConfigurationError: for an argument that cannot work, and a file that is no saved
            cache.
        :raises OSError: if the file cannot be read, a `FileNotFoundError` if there is none.
        :raises ImportError: without the packages of ``pussycache[redis]``.
        """
        from pussycache.cache.restoring import Waiting

        with self.lock:
            waiting = self.waiting
            if not isinstance(waiting, Waiting):
                waiting = Waiting(self, self._plain, self._all_scopes)
        return waiting.load(path, serializer=serializer, secret_keys=secret_keys, insecure=insecure)

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
                    scope = self._named[name] = Scope(self, place_of(target), self.departed)
                return scope
            try:
                weakref.ref(target)
            except TypeError:
                # Whoever cannot be watched cannot own entries: then the proxy owns them.
                return self._owned(proxy, place_of(target))
            return self._owned(target, place_of(target))

    def host(self, scope: Scope) -> None:
        """Look after what another cache keeps here, too: it counts, and goes, as all the rest."""
        with self.lock:
            self._guests.add(scope)

    def _owned(self, owner: object, place: str) -> Scope:
        known = self._scopes.get(id(owner))
        if known is not None and known[0]() is owner:
            scope = known[1]()
            if scope is not None:
                return scope
        scope = Scope(self, place, self.departed)
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
            # Garbage may be collected in the midst of a hook's work, too, and under its locks.
            self.sweep(quietly=True)

    def _bury(self) -> None:
        while self._graves:
            scope = self._graves.popleft()
            scope.depart()
            for table in list(scope.tables.values()):
                table.distrust("the object was freed")

    @property
    def bounds(self) -> str:
        """How much there is room for, as text."""
        bounds = []
        if self.max_entries is not None:
            bounds.append(f"{self.max_entries:,} entries")
        if self.max_bytes is not None:
            bounds.append(f"a weight of {self.max_bytes:,}")
        return f"to make room: the cache keeps at most {' and '.join(bounds)}"

    # What the tables ask for, under the lock.

    def discard(self, table: Table, entries: dict[Any, Any], cause: Cause) -> None:
        """Have a replaced dictionary freed, by the next `sweep`."""
        self.garbage.append((entries, partial(self._farewell, table, cause)))

    def sweep(self, quietly: bool = False) -> None:
        """Free what was thrown away, once this thread holds no lock, and tell who wants to know.

        :param quietly: without the hooks.
        """
        if self.lock._is_owned():  # type: ignore[attr-defined]
            return
        if self.watched:
            while self._shrink():
                pass
        self._free()
        if self._is_expecting:
            self._is_expecting = False
            janitor.expect(self)
        if self.removals.pending:
            self.removals.tell()
        if active and not quietly:
            tell()

    def _free(self) -> None:
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
            if self.watched:
                # Not under the lock: neither a sweep nor the reclaimer holds it.
                self.removed(
                    table, key, entry, "cleared" if type(cause) is _Cleared else "invalidated"
                )
                self.removals.tell()

    def start_over(self) -> None:
        """Forget everything, when the policy was interrupted and what it notes is out of step."""
        with self.lock:
            for table in self._tables():
                table.distrust("an interrupt")
            self.budget.start_over()

    # What is asked for entries that have a weight, or where somebody is told of them.

    def weight_of(self, table: Table, values: tuple[Any, ...], value: Any) -> float | str | None:
        """Weigh an entry; `None` if there is no need to, a text if it cannot be stored."""
        if not isinstance(self.budget, WeighedTinyLfu):
            return None
        key = values[0] if table is self._plain else values
        try:
            if type(value) is Remembered:
                value = value.again()
            weight = (self._weigh or size_of)(key, value)
            if not weight >= 0:
                raise ValueError(f"an entry cannot weigh {weight!r}")
        except Exception as error:
            import logging

            logging.getLogger("pussycache").exception(
                "an entry could not be weighed, and is not stored", extra={"method": table.name}
            )
            return f"it could not be weighed: {error!r}"
        if weight > self.budget.most:
            return f"it weighs {weight:,}, and the whole cache may weigh {self.budget.most:,}"
        return weight

    def removed(self, table: Table, key: Any, entry: Entry, cause: RemovalCause) -> None:
        """Remember to tell of an entry that is gone."""
        if entry.deadline <= read():
            cause = "expired"
        elif not table.current(entry):
            # Since its tag was forgotten; that looks for nobody.
            cause = "invalidated"
        self.removals.note(table, key, entry, cause)

    # What has expired.

    def _sooner(self, expires: float) -> None:
        self.expiry.note(expires)
        # A thread is not started under the lock.
        self._is_expecting = True

    def _expire(self, table: Table, key: Any) -> None:
        # A key that refuses to be compared: nobody finds it, and nobody can take it out.
        entry = None
        with suppress(Exception):
            entry = table.remove(key, "expired")
        when = None if entry is None else wall() + entry.deadline - read()
        self.history.note(table.serial, key, "expired", when=when)

    def _look_for_expired(self) -> None:
        # Nobody else may: where no thread can be started, this is all there is.
        now = read()
        if self.expiry.is_due(now):
            self.expiry.step(_AT_ONCE, now)

    # The vocabulary.

    def get(self, key: Any, default: Any = None) -> Any:
        entry = self._plain.entries.get(_place(key))
        if entry is None or entry.expires <= read():
            self._plain.misses += 1
            return default
        entry.hits += 1
        return entry.value

    def set(self, key: Any, value: Any, timeout: Timeout = MISSING) -> None:
        self._plain.put(_place(key), (key,), value, self._until(timeout))

    def add(self, key: Any, value: Any, timeout: Timeout = MISSING) -> bool:
        place, until = _place(key), self._until(timeout)
        with self.lock:
            entry = self._plain.entries.get(place)
            if entry is not None and entry.expires > read():
                return False
            return self._plain.put(place, (key,), value, until)

    def touch(self, key: Any, timeout: Timeout = MISSING) -> bool:
        place, until = _place(key), self._until(timeout)
        with self.lock:
            entry = self._plain.entries.get(place)
            if entry is None or entry.expires <= read():
                return False
            self._plain.put(place, (key,), entry.value, until)
            return True

    def delete(self, key: Any) -> bool:
        return self._plain.forget(_place(key), Cause("delete"))

    def incr(self, key: Any, delta: int = 1) -> int:
        number: int = self._change(key, lambda value: value + delta)
        return number

    def _change(self, key: Any, how: Callable[[Any], Any]) -> Any:
        """Exchange the value of a key, leave its timeout alone, and return the new one."""
        place = _place(key)
        with self.lock:
            entry = self._plain.entries.get(place)
            if entry is None or entry.expires <= read():
                raise ValueError(f"Key {key!r} not found")
            value = how(entry.value)
            self._plain.put(place, (key,), value, entry.expires)
            return value

    def clear(self) -> None:
        with self.lock:
            self._bury()
            if self.waiting is not None:
                self.waiting.forget()
            cause = _Cleared("clear")
            for table in self._tables():
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

    def expect_again(self) -> None:
        """Call the janitor again, when next this is used: see forks.py."""
        self._is_expecting = not self.expiry.idle

    def _all_scopes(self) -> list[Scope]:
        owned = [known[1]() for known in list(self._scopes.values())]
        known = [*list(self._named.values()), *list(self._guests)]
        return [*known, *(scope for scope in owned if scope is not None)]

    def labelled(self) -> list[tuple[str, Table]]:
        with self.lock:
            self._bury()
            scopes = [
                *list(self._named.values()),
                *(known[1]() for known in list(self._scopes.values())),
            ]
        tables = [table for one in scopes if one is not None for table in list(one.tables.values())]
        return [(table.label, table) for table in tables]

    def figures(self) -> dict[str, CacheInfo]:
        tables = [*self.labelled(), (self._plain.label, self._plain)]
        parts = [(label, table.info()) for label, table in tables]
        return added_up([*parts, *self.departed.figures().items()])

    def _tables(self) -> list[Table]:
        scopes = self._all_scopes()
        return [self._plain, *(table for one in scopes for table in list(one.tables.values()))]

    def _until(self, timeout: Timeout) -> float | None:
        lasting = self.lasting(timeout)
        if lasting is None:
            return math.inf
        return read() + lasting if lasting > 0 else None


def _entries(bound: int | None) -> int | None:
    if bound is not None and (type(bound) is not int or bound < 1):
        raise ConfigurationError(
            f"max_entries must be a positive number or None, not {bound!r}; "
            "None is no bound, and to store nothing use NullCache()"
        )
    return bound


def _bytes(bound: float | None) -> float | None:
    if bound is not None and (type(bound) not in (int, float) or not bound > 0):
        raise ConfigurationError(
            f"max_bytes must be a positive number or None, not {bound!r}; None is no bound"
        )
    return bound


def _gone(cache: weakref.ref[MemoryCache], ident: int, reference: object) -> None:
    alive = cache()
    if alive is not None:
        alive.owner_gone(ident, reference)


def _place(key: Any) -> Any:
    try:
        return plain_key(key)
    except Unkeyable as error:
        raise ConfigurationError(f"key cannot be used: {error}; use a string") from None
