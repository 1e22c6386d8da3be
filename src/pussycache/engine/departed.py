"""What was counted of objects that are no more, by method, so that sums never go down.

What is counted, and what of it is shown, is said in generations.py and stats.py.
"""

from __future__ import annotations

import math
from collections import deque

from pussycache.stats import OTHERS, CacheInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from pussycache.engine.generations import Table
    from pussycache.engine.home import Lock

__all__ = ["Departed"]

_MOST: Final = 1000
"""So many methods are told apart; the rest are added up."""


class Departed:
    """The figures of objects that are no more; entries, and what they weigh, went with them.

    :param lock: under which they are added up.
    """

    __slots__ = ("_adding", "_figures", "_lock", "_waiting")

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._waiting: deque[tuple[str, CacheInfo]] = deque()
        self._figures: dict[str, CacheInfo] = {}
        self._adding = False

    def add(self, tables: Iterable[Table]) -> None:
        """Take over what tables have counted that nobody uses any more.

        Waits for nobody: garbage may be collected anywhere.
        """
        for table in tables:
            if table.misses or table.invalidations or table.uncacheable or table.loads:
                # At the end of time there are no entries.
                known = table.figures(math.inf)._replace(bytes=None)
                self._waiting.append((table.label, known))
        if self._waiting and self._lock.acquire(blocking=False):
            try:
                self._add_up()
            finally:
                self._lock.release()

    def figures(self) -> dict[str, CacheInfo]:
        """Return them by method."""
        with self._lock:
            self._add_up()
            return dict(self._figures)

    def _add_up(self) -> None:
        if self._adding:
            # Garbage was collected in the midst of it.
            return
        self._adding = True
        try:
            while self._waiting:
                label, gone = self._waiting.popleft()
                figures = self._figures
                if label not in figures and len(figures) >= _MOST:
                    label = OTHERS
                known = figures.get(label)
                figures[label] = gone if known is None else CacheInfo.total([known, gone])
        finally:
            self._adding = False
