"""What to throw away when a cache is full: a lazy W-TinyLFU.

The policy is told what was admitted and finds a victim; it learns of hits from the entries' own
counts, and of removals by finding a key gone. It is used under the cache's lock, and it holds keys
only: a removed value is free at once. What an entry weighs is said in weights.py.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pussycache.engine.entry import Entry
from pussycache.engine.generations import Table

if TYPE_CHECKING:
    from pussycache.engine.home import RemovalCause

__all__ = ["LazyTinyLfu"]

Removed: TypeAlias = "Callable[[Table, Any, Entry, RemovalCause], object]"

# Nobody waits for a longer search than this, whatever the queues look like.
_SEARCH: Final = 64
# A quarter of what is not the window is on probation; Caffeine has a fifth.
_PROTECTED: Final = 0.8
# The window's share of the cache: where it begins, and between what it moves. The lower end is
# Caffeine's beginning; at the upper end there is always a part that a scan cannot flush.
_SHARE: Final = 0.02
_LEAST_SHARE: Final = 0.01
_MOST_SHARE: Final = 0.8
# How far it moves at once, and for what evidence: that many uses found, an entry.
_STEP: Final = 0.01
_LONGEST_STEP: Final = 0.05
_EVIDENCE: Final = 2
# Counters an entry, how far they count, and after how many evictions an entry each is halved.
_COUNTERS: Final = 4
_MOST: Final = 7
_MEMORY: Final = 10
# From how full on they are made, and how many at once.
_SOON: Final = 0.75
_PIECE: Final = 1 << 16
_HALVES: Final = bytes(i >> 1 for i in range(256))
# What need not be done with every admission is done with every 64th.
_CHORES: Final = 64


class _Queue:
    """First in, first out: keys, and in step with them the tables that their entries are in."""

    __slots__ = ("keys", "tables")

    def __init__(self) -> None:
        # Two queues in step cost 16 bytes an entry; a queue of pairs would cost 64.
        self.keys: deque[Any] = deque()
        self.tables: deque[Table] = deque()

    def __len__(self) -> int:
        return len(self.keys)

    def push(self, table: Table, key: Any) -> None:
        self.keys.append(key)
        self.tables.append(table)

    def pop(self) -> tuple[Table, Any]:
        return self.tables.popleft(), self.keys.popleft()

    def push_back(self, table: Table, key: Any) -> None:
        self.keys.appendleft(key)
        self.tables.appendleft(table)


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
    :param evicted: is told a number for each entry thrown out, for explanations.
    :param garbage: takes what is to be freed once no lock is held.
    """

    __slots__ = (
        "_bar",
        "_capacity",
        "_chores_in",
        "_cursor",
        "_events_in",
        "_evicted",
        "_full_window",
        "_garbage",
        "_in_main",
        "_in_window",
        "_keys",
        "_mask",
        "_most_protected",
        "_probation",
        "_protected",
        "_removed",
        "_room",
        "_share",
        "_sketch",
        "_tables",
        "_window",
        "after",
        "chore",
        "live",
        "sooner",
        "soonest",
    )

    def __init__(self, room: float, evicted: Callable[[int], object], garbage: deque[Any]) -> None:
        self._room = room
        self._evicted = evicted
        self._garbage = garbage
        self._chores_in = _CHORES
        self._share = _SHARE
        self._begin()
        self._sketch = bytearray()
        self._mask = 0
        self._cursor = 0
        self._capacity = 0.0
        self._removed: Removed | None = None
        # Set by who makes use of them: the first deadline, who is told of a sooner one, what is
        # done now and then, and what is done when the lock was given back.
        self.soonest = math.inf
        self.sooner: Callable[[float], object] = _nothing
        self.chore: Callable[[], object] = _nothing
        self.after: Callable[[], object] = _nothing
        self._measure(room)

    def _begin(self) -> None:
        self.live = 0
        self._window = _Queue()
        self._keys, self._tables = self._window.keys, self._window.tables
        self._probation = _Queue()
        self._protected = _Queue()
        # How often the first of probation was asked for; negative where that is not known, where
        # the window is not just full, and where there is somebody to tell.
        self._bar = -1
        self._in_window = self._in_main = 0

    def _measure(self, capacity: float) -> None:
        """Set the sizes of the parts, for a cache of so many entries."""
        if capacity == math.inf:
            capacity = 0.0
        window = max(1, int(self._share * capacity))
        self._full_window = window + 1
        self._most_protected = _PROTECTED * (capacity - window)
        if capacity != self._capacity:
            self._capacity = capacity
            self._events_in = max(_SEARCH, _EVIDENCE * capacity)

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
            sketch, at = self._sketch, place & self._mask
            seen = sketch[at] + 1
            if seen <= bar:
                sketch[at] = seen
                del entries[key]
                owner.evictions += 1
                if owner.indexes:
                    owner.unindex(key)
                self._evicted(place)
                if not at & _CHORES - 1:
                    # By chance, and so every 64th time or so: that needs no count.
                    return self._chores(loser)
                return loser
            sketch[at] = seen = min(seen, _MOST)
            return self._duel(owner, key, loser, seen, _SEARCH)
        keys.appendleft(key)
        tables.appendleft(owner)
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
        if self._sketch and len(self._sketch) > 4 * _COUNTERS * room:
            self._sketch = bytearray()
            self._mask = 0
        self._bar = -1
        self._measure(room)

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
        if not self._mask:
            self._prepare_sketch(math.inf)
            self._mask = len(self._sketch) - 1
        # A window that has shrunk hands over what is too many, a few at a time.
        for _ in range(min(_SEARCH, len(window) - self._full_window)):
            table, key = window.pop()
            entry = _entry(table, key)
            if entry is not None:
                self._leaves_window(table, key, entry)
                probation.push(table, key)
        while patience > 0:
            patience -= 1
            if len(window) >= self._full_window:
                table, key = window.pop()
                entry = _entry(table, key)
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
            table, key = self._tables.pop(), self._keys.pop()
            entry = _entry(table, key)
            if entry is not None:
                return self._throw_out(table, key, entry)
        return None

    def _duel(self, table: Table, key: Any, entry: Entry, seen: int, patience: int) -> Entry:
        """Throw out who leaves the window, or in its stead the first unused of probation."""
        found, _ = self._first_unused(patience)
        if found is not None:
            if not found[2].hits:
                bar = self._sketch[(hash(found[1]) ^ found[0].serial) & self._mask]
                if seen > bar:
                    self._probation.push(table, key)
                    self._bar = -1
                    return self._throw_out(*found)
                if len(self._window) == self._full_window - 1 and self._removed is None:
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
            entry = _entry(table, key)
            if entry is None:
                continue
            if not entry.hits or not patience:
                return (table, key, entry), patience
            self._drain(table, key, entry)
            self._in_main += 1
            self._noted()
            self._protected.push(table, key)
            patience = self._make_room_in_protected(patience)
        return None, patience

    def _make_room_in_protected(self, patience: int) -> int:
        protected = self._protected
        while len(protected) > self._most_protected and patience > 0:
            patience -= 1
            table, key = protected.pop()
            entry = _entry(table, key)
            if entry is None:
                continue
            if entry.hits:
                self._drain(table, key, entry)
                self._in_main += 1
                self._noted()
                protected.push(table, key)
            else:
                self._probation.push(table, key)
        return patience

    def _first_protected(self, patience: int) -> tuple[tuple[Table, Any, Entry] | None, int]:
        protected = self._protected
        while len(protected) and patience > 0:
            patience -= 1
            table, key = protected.pop()
            entry = _entry(table, key)
            if entry is None:
                continue
            if not entry.hits or not patience:
                return (table, key, entry), patience
            self._drain(table, key, entry)
            protected.push(table, key)
        return None, patience

    def _throw_out(self, table: Table, key: Any, entry: Entry) -> Entry:
        del table.kept[key]
        table.hits += entry.hits
        table.evictions += 1
        if table.indexes:
            table.unindex(key)
        self._evicted(hash(key) ^ table.serial)
        if self._removed is not None:
            self._removed(table, key, entry, "size")
        return entry

    # What the sketch knows.

    def _leaves_window(self, table: Table, key: Any, entry: Entry) -> int:
        """Count that a key was asked for, and return how often it was."""
        at = (hash(key) ^ table.serial) & self._mask
        seen = min(_MOST, self._sketch[at] + 1)
        self._sketch[at] = seen
        if entry.hits:
            self._drain(table, key, entry)
            self._in_window += 1
            self._noted()
        return seen

    def _drain(self, table: Table, key: Any, entry: Entry) -> None:
        """Take the flag down, and count how often the key was asked for meanwhile."""
        hits, entry.hits = entry.hits, 0
        table.hits += hits
        at = (hash(key) ^ table.serial) & self._mask
        self._sketch[at] = min(_MOST, self._sketch[at] + hits)

    def _noted(self) -> None:
        self._events_in -= 1
        if self._events_in > 0:
            return
        # Where is a place worth more?
        window = self._full_window - 1
        main = max(1.0, self._capacity - window)
        richer = math.log((self._in_window + 1) / window) - math.log((self._in_main + 1) / main)
        step = max(-_LONGEST_STEP, min(_LONGEST_STEP, _STEP * richer))
        self._share = max(_LEAST_SHARE, min(_MOST_SHARE, self._share + step))
        self._in_window = self._in_main = 0
        self._events_in = max(_SEARCH, _EVIDENCE * self._capacity)
        self._measure(self._capacity)

    def _chores(self, dropped: Any = None) -> Any:
        """Do what need not be done each time; returns what `admit` is to return."""
        self._chores_in = _CHORES
        if self._mask and self._capacity:
            self._look_after_sketch()
        elif self.live > _SOON * self._room:
            # A large one is made before it is needed, in pieces.
            self._prepare_sketch(_PIECE)
        if len(self) > 2 * self.live + 4 * _CHORES:
            # More than half of the queues is gone: a few steps at a time keep them so bounded.
            self._tidy(4 * _CHORES)
        self.chore()
        return (dropped, self.after) if self._garbage else dropped

    def _prepare_sketch(self, most: float) -> None:
        # Not before: a cache that never throws anything out needs no counters.
        size = 1 << math.ceil(math.log2(_COUNTERS * self._capacity))
        self._sketch.extend(bytes(int(min(most, size - len(self._sketch)))))

    def _look_after_sketch(self) -> None:
        sketch = self._sketch
        if len(sketch) < _COUNTERS * self._capacity:
            # Twice the same: every key finds its count in the longer one, too.
            sketch *= 2
            self._mask = len(sketch) - 1
            return
        # The counters are halved in turns, so that no call has to wait for all of them.
        share = max(1, round(_CHORES * len(sketch) / (_MEMORY * self._capacity)))
        begin = self._cursor
        end = begin + share
        sketch[begin:end] = sketch[begin:end].translate(_HALVES)
        self._cursor = end if end < len(sketch) else 0

    def _tidy(self, steps: int) -> None:
        queue = max(self._window, self._probation, self._protected, key=len)
        if queue is self._probation:
            self._bar = -1
        for _ in range(min(steps, len(queue))):
            table, key = queue.pop()
            if _entry(table, key) is not None:
                queue.push(table, key)

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
        queue = (self._window, self._probation, self._protected)[which]
        self._bar = -1
        found, least = 0, math.inf
        for _ in range(min(steps, len(queue))):
            table, key = queue.pop()
            entry = _entry(table, key)
            if entry is None:
                continue
            deadline = entry.deadline
            if deadline <= now:
                found += 1
                expire(table, key)
            else:
                least = min(least, deadline)
                queue.push(table, key)
        return found, least


def _nothing(*_: object) -> None:
    pass


def _entry(table: Table, key: Any) -> Entry | None:
    """Return the entry that stands for this key object, if it is there still."""
    try:
        entry = table.kept.get(key)
    except Exception:
        # Its arguments cannot be hashed or compared any more: nobody finds it.
        return None
    return entry if entry is not None and entry.key is key else None
