"""What to throw away when a cache is full: a lazy W-TinyLFU.

The policy is told what was admitted and finds a victim; it learns of hits from the entries' own
counts, and of removals by finding a key gone. It is used under the cache's lock. How the frequency
of a key is kept is the business of sketch.py, and how large the parts are, that of shares.py.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from pussycache.cache.queues import Queue, entry_of
from pussycache.cache.shares import Shares
from pussycache.cache.sketch import Sketch
from pussycache.engine import telling
from pussycache.engine.clock import read
from pussycache.engine.entry import Entry
from pussycache.engine.speed import use_policy
from pussycache.hooks import active

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, TypeAlias

    from pussycache.engine.generations import Table
    from pussycache.engine.home import RemovalCause

__all__ = ["LazyTinyLfu"]

Removed: TypeAlias = "Callable[[Table, Any, Entry, RemovalCause], object]"

# Nobody waits for a longer search than this, whatever the queues look like.
_SEARCH: Final = 64
# From how full on the counters of the sketch are made, and how many at once.
_SOON: Final = 0.75
_PIECE: Final = 1 << 16
# What need not be done with every admission is done with every 64th.
_CHORES: Final = 64


class LazyTinyLfu:
    """W-TinyLFU whose hits only raise a flag: all ordering is done when a victim is looked for.

    Who is new waits in the *window*. Who was used meanwhile passes from there to *probation*; who
    was not must have been asked for more often than the first unused entry of probation, and takes
    its place, or is thrown out. Who is used on probation becomes *protected*, and who is no longer
    used there goes back. How often a key was asked for is kept, roughly, in a sketch that ages; it
    is touched when an entry leaves the window or was found used, and never by a hit. The window
    grows while an entry in it is used more than one outside of it, and shrinks otherwise.

    Source: G. Einziger, R. Friedman, B. Manes, "TinyLFU: A Highly Efficient Cache Admission
    Policy", 2017, and "Adaptive Software Cache Management", 2018; the lazy promotion is that of
    F. J. Corbató, "A paging experiment with the Multics system", 1968 (CLOCK).

    :param room: how many entries there may be.
    :param evicted: is told a number for each entry thrown out, for explanations, and the time by
        the engine's clock, a float, before the first of them in each second.
    :param garbage: takes what is to be freed once no lock is held.
    """

    __slots__ = (
        "_bar",
        "_chores_in",
        "_evicted",
        "_garbage",
        "_keys",
        "_last_evicted",
        "_probation",
        "_protected",
        "_removed",
        "_room",
        "_shares",
        "_sketch",
        "_tables",
        "_window",
        "after",
        "chore",
        "live",
        "sooner",
        "soonest",
    )

    def __init__(
        self, room: float, evicted: Callable[[float], object], garbage: deque[Any]
    ) -> None:
        self._room = room
        self._evicted = evicted
        self._last_evicted = -math.inf
        self._garbage = garbage
        self._chores_in = _CHORES
        self._shares = Shares(room)
        self._begin()
        self._sketch = Sketch()
        self._removed: Removed | None = None
        # Set by who makes use of them: the first deadline, who is told of a sooner one, what is
        # done now and then, and what is done when the lock was given back.
        self.soonest = math.inf
        self.sooner: Callable[[float], object] = _nothing
        self.chore: Callable[[], object] = _nothing
        self.after: Callable[[], object] = _nothing

    def _begin(self) -> None:
        self.live = 0
        self._window = Queue()
        self._keys, self._tables = self._window.keys, self._window.tables
        self._probation = Queue()
        self._protected = Queue()
        # How often the first of probation was asked for; negative where that is not known, where
        # the window is not just full, and where there is somebody to tell.
        self._bar = -1
        self._shares.begin_anew()

    def __len__(self) -> int:
        """The places taken in the queues, also by what is gone already."""
        return len(self._window) + len(self._probation) + len(self._protected)

    def admit(self, table: Table, entry: Entry) -> Any:
        """Take note of a new entry; if it is one too many, throw one out and return it.

        Where there is something to be done when the lock is given back, it is a tuple of that and a
        function that does it.
        """
        if entry.expires < self.soonest and entry.deadline < self.soonest:
            self.soonest = entry.deadline
            self.sooner(entry.deadline)
            return self.admit(table, entry), self.after
        keys, tables = self._keys, self._tables
        keys.append(entry.key)
        tables.append(table)
        bar = self._bar
        if self.live < self._room:
            self.live += 1
            self._bar = -1
            self._chores_in -= 1
            return None if self._chores_in > 0 else self._chores()
        if bar < 0:
            loser = self._evict()
            self._chores_in -= 1
            return loser if self._chores_in > 0 else self._chores(loser)
        # By far the commonest: the first of the window has been of no use, and goes.
        key, owner = keys.popleft(), tables.popleft()
        entries = owner.entries if owner.hidden is None else owner.hidden
        try:
            loser = entries.get(key)
        except Exception:
            return self._evict()
        if loser is not None and loser.key is key and not loser.hits:
            place = hash(key) ^ owner.serial
            sketch = self._sketch
            counters, at = sketch.counters, place & sketch.mask
            seen = counters[at] + 1
            if seen <= bar:
                counters[at] = seen
                del entries[key]
                owner.evictions += 1
                if active:
                    telling.evicted(owner, "max_entries")
                if owner.indexes:
                    owner.unindex(key)
                self._note(place)
                if not at & _CHORES - 1:
                    # By chance, and so every 64th time or so: that needs no count.
                    return self._chores(loser)
                return loser
        return self._stays(owner, key, loser)

    def _stays(self, table: Table, key: Any, entry: Entry | None) -> Entry | None:
        """Go on when the first of the window was taken out of it and did not simply go."""
        if entry is not None and entry.key is key and not entry.hits:
            seen = self._sketch.count(hash(key) ^ table.serial, 1)
            return self._duel(table, key, entry, seen, _SEARCH)
        self._window.push_back(table, key)
        return self._evict()

    def replaced(self, table: Table, old: Entry, new: Entry) -> Any:
        """Take note that an entry has another value; returns as `admit` does."""
        if new.deadline < self.soonest:
            self.sooner(new.deadline)
            return old, self.after
        return old

    def left(self, table: Table, entry: Entry) -> None:
        """Take note that an entry is gone; where it stood is found out in time."""
        self._have_left(1)

    def left_all(self, table: Table, count: int) -> None:
        """Take note that all entries of a table are gone."""
        self._have_left(count)

    def _have_left(self, count: int) -> None:
        self.live -= count
        if self.live <= 0:
            self._empty()

    def _empty(self) -> None:
        for queue in (self._window, self._probation, self._protected):
            self._garbage += (queue.keys, queue.tables)
        self._begin()

    def start_over(self) -> None:
        """Have nothing to look after, whatever was in the queues."""
        self._empty()
        self.soonest = math.inf

    def resize(self, room: float) -> None:
        """Have another bound from here on; `shrink` throws out what is too many."""
        self._room = room
        self._sketch.fit(room)
        self._bar = -1
        self._shares.measure(room)

    def shrink(self, most: int) -> list[Entry]:
        """Throw out what is more than there is room for, at most so many, and return it."""
        gone: list[Entry] = []
        while len(gone) < most and self.live and self.is_over():
            entry = self._evict()
            # Nothing but gaps were met: they are gone now.
            if entry is not None:
                gone.append(entry)
                self.live -= 1
        return gone

    def is_over(self) -> bool:
        """Whether there is more than there is room for."""
        return self.live > self._room

    def tell(self, removed: Removed | None) -> None:
        """Have somebody told of each entry that is thrown out."""
        self._removed = removed
        self._bar = -1

    # Looking for a victim.

    def _evict(self) -> Entry | None:
        patience = _SEARCH
        window, probation = self._window, self._probation
        if not self._sketch.mask:
            self._sketch.begin(self._shares.capacity)
        # A window that has shrunk hands over what is too many, a few at a time.
        for _ in range(min(_SEARCH, len(window) - self._shares.full_window)):
            table, key = window.pop()
            entry = entry_of(table, key)
            if entry is not None:
                self._leaves_window(table, key, entry)
                probation.push(table, key)
        while patience > 0:
            patience -= 1
            if len(window) >= self._shares.full_window:
                table, key = window.pop()
                entry = entry_of(table, key)
                if entry is None:
                    continue
                used = entry.hits
                seen = self._leaves_window(table, key, entry)
                if not used:
                    return self._duel(table, key, entry, seen, patience)
                probation.push(table, key)
                continue
            found, patience = self._first_unused(patience)
            if found is None:
                found, patience = self._first_protected(patience)
            if found is not None:
                return self._throw_out(*found)
            if not len(probation) and not len(self._protected):
                break
        # Nothing but gaps where there was time to look: who came last goes.
        if len(window):
            table, key = window.pop_last()
            entry = entry_of(table, key)
            if entry is not None:
                return self._throw_out(table, key, entry)
        return None

    def _duel(self, table: Table, key: Any, entry: Entry, seen: int, patience: int) -> Entry:
        """Throw out who leaves the window, or in its stead the first unused of probation."""
        found, _ = self._first_unused(patience)
        if found is not None:
            if not found[2].hits:
                sketch = self._sketch
                bar = sketch.counters[(hash(found[1]) ^ found[0].serial) & sketch.mask]
                if seen > bar:
                    self._probation.push(table, key)
                    self._bar = -1
                    return self._throw_out(*found)
                if len(self._window) == self._shares.full_window - 1 and self._removed is None:
                    self._bar = bar
            self._probation.push_back(found[0], found[1])
        return self._throw_out(table, key, entry)

    def _first_unused(self, patience: int) -> tuple[tuple[Table, Any, Entry] | None, int]:
        """Take the first unused entry out of probation; a used one if there is no more time."""
        probation = self._probation
        self._bar = -1
        while len(probation) and patience > 0:
            patience -= 1
            table, key = probation.pop()
            entry = entry_of(table, key)
            if entry is None:
                continue
            if not entry.hits or not patience:
                return (table, key, entry), patience
            self._drain(table, key, entry)
            self._shares.used(in_window=False)
            self._protected.push(table, key)
            patience = self._make_room_in_protected(patience)
        return None, patience

    def _make_room_in_protected(self, patience: int) -> int:
        protected = self._protected
        while len(protected) > self._shares.most_protected and patience > 0:
            patience -= 1
            table, key = protected.pop()
            entry = entry_of(table, key)
            if entry is None:
                continue
            if entry.hits:
                self._drain(table, key, entry)
                self._shares.used(in_window=False)
                protected.push(table, key)
            else:
                self._probation.push(table, key)
        return patience

    def _first_protected(self, patience: int) -> tuple[tuple[Table, Any, Entry] | None, int]:
        protected = self._protected
        while len(protected) and patience > 0:
            patience -= 1
            table, key = protected.pop()
            entry = entry_of(table, key)
            if entry is None:
                continue
            if not entry.hits or not patience:
                return (table, key, entry), patience
            self._drain(table, key, entry)
            protected.push(table, key)
        return None, patience

    def _note(self, place: int) -> None:
        now = read()
        if now - self._last_evicted > 1.0:
            self._last_evicted = now
            self._evicted(now)
        self._evicted(place)

    def _throw_out(self, table: Table, key: Any, entry: Entry) -> Entry:
        del table.kept[key]
        table.hits += entry.hits
        table.evictions += 1
        if active:
            telling.evicted(table, self._bound())
        if table.indexes:
            table.unindex(key)
        self._note(hash(key) ^ table.serial)
        if self._removed is not None:
            self._removed(table, key, entry, "size")
        return entry

    def _bound(self) -> str:
        """Which bound has been reached, as the cache's parameter is called."""
        return "max_entries"

    # What the sketch knows.

    def _leaves_window(self, table: Table, key: Any, entry: Entry) -> int:
        """Count that a key was asked for, and return how often it was."""
        seen = self._sketch.count(hash(key) ^ table.serial, 1)
        if entry.hits:
            self._drain(table, key, entry)
            self._shares.used(in_window=True)
        return seen

    def _drain(self, table: Table, key: Any, entry: Entry) -> None:
        """Take the flag down, and count how often the key was asked for meanwhile."""
        hits, entry.hits = entry.hits, 0
        table.hits += hits
        self._sketch.count(hash(key) ^ table.serial, hits)

    def _chores(self, dropped: Any = None) -> Any:
        """Do what need not be done each time; returns what `admit` is to return."""
        self._chores_in = _CHORES
        sketch, capacity = self._sketch, self._shares.capacity
        if sketch.mask and capacity:
            sketch.age(capacity, _CHORES)
        elif self.live > _SOON * self._room:
            # A large one is made before it is needed, in pieces.
            sketch.prepare(capacity, _PIECE)
        if len(self) > 2 * self.live + 4 * _CHORES:
            # More than half of the queues is gone: a few steps at a time keep them so bounded.
            self._tidy(4 * _CHORES)
        self.chore()
        return (dropped, self.after) if self._garbage else dropped

    def _tidy(self, steps: int) -> None:
        queue = max(self._window, self._probation, self._protected, key=len)
        if queue is self._probation:
            self._bar = -1
        queue.tidy(steps)

    # Looking for what has expired.

    def lengths(self) -> list[int]:
        """Return how many places there are to look at, by queue."""
        return [len(self._window), len(self._probation), len(self._protected)]

    def look(
        self, which: int, steps: int, now: float, expire: Callable[[Table, Any], object]
    ) -> tuple[int, float]:
        """Look at so many places of a queue, which then are its last.

        :return: how many entries have expired, and the earliest deadline of the others.
        """
        self._bar = -1
        return (self._window, self._probation, self._protected)[which].look(steps, now, expire)


use_policy(LazyTinyLfu, Sketch, deque)


def _nothing(*_: object) -> None:
    pass
