"""Something done again and again in a thread of its own, until it has succeeded.

Nothing here knows what is done: a server is probed, or what is pending is delivered.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["Repeating"]


class Repeating:
    """Calls `attempt` until it returns true, then is done; it can be started again.

    Who starts it sees an attempt that begins after that: one under way may have succeeded already.
    The thread is a daemon and exists only meanwhile. `attempt` must not raise.
    """

    def __init__(self, attempt: Callable[[], bool], every: float, name: str) -> None:
        self._attempt = attempt
        self._every = every
        self._name = name
        self.forget_others()

    def forget_others(self) -> None:
        """Begin anew: in a forked child the thread is not there."""
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._wanted = False

    def start(self) -> None:
        """See that it is being attempted, the first time at once.

        :raises RuntimeError: if there is no thread to be had; then nothing is attempted.
        """
        with self._lock:
            self._wanted = True
            if self._thread is None and not self._stop.is_set():
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._stop.is_set() or not self._wanted:
                    self._thread = None
                    return
                self._wanted = False
            if not self._attempt():
                self._wanted = True
                self._stop.wait(self._every)

    def stop(self) -> None:
        """Stop for good; an attempt under way goes on to its end."""
        self._stop.set()

    def close(self) -> None:
        """Stop for good, and wait for an attempt under way."""
        self.stop()
        with self._lock:
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
