"""What to throw away when a cache is full.

The policy is told what was admitted and is asked for a victim; it learns of hits from the entries'
own counts, and of removals by finding a key gone. It is used under the cache's lock, and it holds
keys only: a removed value is free at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from pussycache.engine.entry import Entry
from pussycache.engine.generations import Table

__all__ = ["SecondChance"]

_MOST_CHANCES: Final = 64
_TIDY_AT_ONCE: Final = 8


class SecondChance:
    """First in, first out, but who was used since the last look goes round once more.

    Source: F. J. Corbató, "A paging experiment with the Multics system", 1968 (CLOCK).

    :param room: how many entries there may be.
    :param evicted: is told a number for each entry thrown out, for explanations.
    :param garbage: takes what is to be freed once no lock is held.
    """

    __slots__ = ("_evicted", "_garbage", "_keys", "_room", "_tables", "live")

    def __init__(self, room: float, evicted: Callable[[int], object], garbage: deque[Any]) -> None:
        # Two queues in step cost 16 bytes an entry; a queue of pairs would cost 64.
        self._keys: deque[Any] = deque()
        self._tables: deque[Table] = deque()
        self._room = room
        self._evicted = evicted
        self._garbage = garbage
        self.live = 0

    def admit(self, table: Table, key: Any) -> Entry | None:
        """Take note of a new entry; if it is one too many, throw one out and return it."""
        keys, tables = self._keys, self._tables
        keys.append(key)
        tables.append(table)
        live = self.live
        if live < self._room:
            self.live = live + 1
            if len(keys) > 2 * live + 64:
                self._tidy()
            return None
        chances = _MOST_CHANCES
        while True:
            key, table = keys.popleft(), tables.popleft()
            entries = table.entries if table.hidden is None else table.hidden
            try:
                entry = entries.get(key)
            except Exception:
                # Its arguments cannot be hashed or compared any more: nobody finds it.
                continue
            if entry is None or entry.key is not key:
                continue
            if entry.hits:
                table.hits += entry.hits
                if chances:
                    chances -= 1
                    entry.hits = 0
                    keys.append(key)
                    tables.append(table)
                    continue
            del entries[key]
            table.evictions += 1
            if table.indexes:
                table.unindex(key)
            self._evicted(hash(key) ^ table.serial)
            return entry

    def left(self, count: int) -> None:
        """Take note that so many entries are gone; which ones is found out in time."""
        self.live -= count
        if self.live <= 0:
            self.live = 0
            self._garbage += (self._keys, self._tables)
            self._keys, self._tables = deque(), deque()

    def _tidy(self) -> None:
        # More than half of the queue is gone: a few steps with every admission keep it so bounded.
        keys, tables = self._keys, self._tables
        for _ in range(_TIDY_AT_ONCE):
            key, table = keys.popleft(), tables.popleft()
            if _entry(table, key) is not None:
                keys.append(key)
                tables.append(table)

    def expired(self, now: float) -> list[tuple[Table, Any]]:
        """Return the entries whose time is over."""
        return [
            (table, key)
            for key, table in zip(self._keys, self._tables, strict=True)
            if (entry := _entry(table, key)) is not None and entry.deadline <= now
        ]


def _entry(table: Table, key: Any) -> Entry | None:
    """Return the entry that stands for this key object, if it is there still."""
    try:
        entry = table.kept.get(key)
    except Exception:
        return None
    return entry if entry is not None and entry.key is key else None
