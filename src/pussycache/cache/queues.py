"""A queue of keys, and the entries that are found by them.

It holds keys only: a removed value is free at once, and its place is found empty. Who goes into
which queue is decided in eviction.py.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from pussycache.engine.entry import Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pussycache.engine.generations import Table

__all__ = ["Queue", "entry_of"]


class Queue:
    """First in, first out: keys, and in step with them the tables that their entries are in."""

    __slots__ = ("keys", "tables")

    def __init__(self) -> None:
        # Two queues in step cost 16 bytes an entry; a queue of pairs would cost 64.
        self.keys: deque[Any] = deque()
        self.tables: deque[Table] = deque()

    def __len__(self) -> int:
        return len(self.keys)

    def push(self, table: Table, key: Any) -> None:
        """Add one as the last."""
        self.keys.append(key)
        self.tables.append(table)

    def pop(self) -> tuple[Table, Any]:
        """Take out the first."""
        return self.tables.popleft(), self.keys.popleft()

    def pop_last(self) -> tuple[Table, Any]:
        """Take out the last."""
        return self.tables.pop(), self.keys.pop()

    def push_back(self, table: Table, key: Any) -> None:
        """Add one as the first."""
        self.keys.appendleft(key)
        self.tables.appendleft(table)

    def tidy(self, steps: int) -> None:
        """Take out the places of what is gone, of so many, which then are the last."""
        for _ in range(min(steps, len(self))):
            table, key = self.pop()
            if entry_of(table, key) is not None:
                self.push(table, key)

    def look(
        self, steps: int, now: float, expire: Callable[[Table, Any], object]
    ) -> tuple[int, float]:
        """Look at so many places, which then are the last, for what has expired.

        :return: how many entries have, and the earliest deadline of the others.
        """
        found, least = 0, math.inf
        for _ in range(min(steps, len(self))):
            table, key = self.pop()
            entry = entry_of(table, key)
            if entry is None:
                continue
            deadline = entry.deadline
            if deadline <= now:
                found += 1
                expire(table, key)
            else:
                least = min(least, deadline)
                self.push(table, key)
        return found, least


def entry_of(table: Table, key: Any) -> Entry | None:
    """Return the entry that stands for this key object, if it is there still."""
    try:
        entry = table.kept.get(key)
    except Exception:
        # Its arguments cannot be hashed or compared any more: nobody finds it.
        return None
    return entry if entry is not None and entry.key is key else None
