"""What was seen of the sources, and when: the latest snapshot, and totals over time; bounded.

A snapshot is taken when somebody asks. While nobody does there is no thread and no cost; what
happened meanwhile is one long step between two points. How it is shown is figures.py's.
"""

from __future__ import annotations

from collections import deque
from threading import Lock
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Final

from pussycache.web.figures import fields, figures

if TYPE_CHECKING:
    from pussycache.web.sources import Sources

__all__ = ["ROOM", "Journal"]

ROOM: Final = 720
"""How many points are kept: of ten minutes, with somewhat more than one a second."""
_BETWEEN: Final = 0.9
"""Seconds between two points at least."""
_QUICK: Final = 0.1
_SHARE: Final = 10
"""A snapshot that is not taken quickly answers everybody who asks for ten times as long."""


class Journal:
    """The latest figures, and points over time.

    :param sources: what is counted.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._taking = Lock()
        self._lock = Lock()
        self._points: deque[list[float]] = deque(maxlen=ROOM)
        self._count = 0
        self._latest: dict[str, Any] = {}
        self._stale_at = self._next_point = -1.0
        # What happens until somebody asks for the first time is the first step.
        self._look()

    def look(self, after: int) -> dict[str, Any]:
        """Return the figures, and the points that came after one.

        May take as long as a snapshot takes. Whoever comes while one is being taken is given the
        one before: threads that wait here would be missed elsewhere.
        """
        if self._taking.acquire(blocking=False):
            try:
                if monotonic() >= self._stale_at:
                    self._look()
            finally:
                self._taking.release()
        with self._lock:
            points = list(self._points)
            new = min(len(points), max(0, self._count - 1 - after))
            return {
                **self._latest,
                "last": self._count - 1,
                "history": points[len(points) - new :],
                "room": ROOM,
            }

    def _look(self) -> None:
        began = monotonic()
        seen = self._sources.snapshot()
        total = seen.total
        # Each method's loads are of their own length.
        saved = sum([info.time_saved for info in seen.methods.values()])
        latest = {
            "total": {**fields(total), "time_saved": saved},
            **figures(seen),
            "writes": self._sources.writes(),
        }
        now = monotonic()
        took = now - began
        with self._lock:
            self._latest = latest
            self._stale_at = began + took * (_SHARE if took > _QUICK else 1)
            if now >= self._next_point:
                self._next_point = now + _BETWEEN
                self._count += 1
                ended = total.loads + total.failures
                self._points.append([time(), total.hits, total.misses, ended, total.load_time])
