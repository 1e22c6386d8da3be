"""Frees large dictionaries in slices, so that no caller pays for a million entries at once.

A small one is freed on the spot. The rest of a large one is left to a thread that is started when
first needed, sleeps when there is nothing to free, and never keeps the interpreter alive.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

__all__ = ["reclaimer"]

_AT_ONCE: Final = 128
_SLICE: Final = 512
_PAUSE: Final = 0.0005


class Reclaimer:
    """The process's one freer of dictionaries."""

    def __init__(self) -> None:
        self._work: deque[
            tuple[dict[Any, Any] | deque[Any], Callable[[Any, Any], object] | None]
        ] = deque()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def forget_others(self) -> None:
        """Begin anew in a forked child, where the thread is not."""
        self._wake = threading.Event()
        self._thread = None

    def free(
        self,
        garbage: dict[Any, Any] | deque[Any],
        farewell: Callable[[Any, Any], object] | None = None,
    ) -> None:
        """Empty what nobody looks into any more; ``farewell`` sees a dictionary's items first."""
        self._slice(garbage, farewell, _AT_ONCE)
        if garbage:
            self._work.append((garbage, farewell))
            if not self._wake_up():
                self._empty(0)

    def _wake_up(self) -> bool:
        """Set the thread to work; false if there can be none, as when the interpreter ends."""
        if sys.is_finalizing():
            # A thread would never begin, and its starter wait for that for ever.
            return False
        thread = self._thread
        # A fork leaves the thread behind in the parent: then a new one is started.
        if thread is None or not thread.is_alive():
            thread = threading.Thread(target=self._run, name="pussycache-reclaimer", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return False
            self._thread = thread
        self._wake.set()
        return True

    @staticmethod
    def _slice(
        garbage: dict[Any, Any] | deque[Any],
        farewell: Callable[[Any, Any], object] | None,
        count: int,
    ) -> None:
        with suppress(KeyError, IndexError):
            if isinstance(garbage, deque):
                for _ in range(count):
                    garbage.pop()
                return
            for _ in range(count):
                key, value = garbage.popitem()
                if farewell is not None:
                    farewell(key, value)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            self._empty(_PAUSE)

    def _empty(self, pause: float) -> None:
        while self._work:
            try:
                garbage, farewell = self._work.popleft()
            except IndexError:
                return  # somebody else was faster
            while garbage:
                self._slice(garbage, farewell, _SLICE)
                if pause:
                    time.sleep(pause)
            del garbage, farewell


reclaimer: Final = Reclaimer()
