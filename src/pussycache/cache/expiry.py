"""Finds entries whose time is over without being asked for them.

`Expiry` looks through one cache's entries, some at a time; `janitor` is the one thread that has it
do so when nobody calls. Whether an entry may be served is not decided here: expiry is exact.
"""

from __future__ import annotations

import math
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from sys import is_finalizing

from pussycache.engine.clock import is_real
from pussycache.typed import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from pussycache.cache.eviction import LazyTinyLfu
    from pussycache.engine.generations import Table
    from pussycache.engine.home import Lock

__all__ = ["Expiry", "janitor"]

_SLICE: Final = 512
_PAUSE: Final = 0.0005
# Between two rounds lies a second, or more if they find little: a round that finds less than an
# eighth doubles it.
_SOONEST: Final = 1.0
_LATEST: Final = 30.0
_LITTLE: Final = 0.125
_LONGEST_SLEEP: Final = 3600.0


class Expiry:
    """Looks for what has expired in one cache; a round at a time, some steps at once.

    A round looks at each entry once, and is due when the first of them can have expired. There is
    no list of deadlines, which would cost every entry memory and every miss time: rounds are rare
    enough that looking at an entry again and again is a small part of having stored it.

    :param budget: knows the entries.
    :param expire: takes out an entry whose time is over.
    """

    __slots__ = (
        "_budget",
        "_expire",
        "_found",
        "_least",
        "_looked",
        "_not_before",
        "_spacing",
        "_todo",
        "due",
    )

    def __init__(self, budget: LazyTinyLfu, expire: Callable[[Table, Any], object]) -> None:
        # Its `soonest`: no entry expires before; those that a round under way has seen apart.
        self._budget = budget
        self._expire = expire
        # When the next round may begin.
        self.due = math.inf
        self._spacing = _SOONEST
        self._not_before = -math.inf
        self._todo: list[int] | None = None
        self._found = self._looked = 0
        self._least = math.inf

    def note(self, expires: float) -> None:
        """Take note of an entry that expires sooner than all others."""
        self._budget.soonest = expires
        self.due = min(self.due, max(expires, self._not_before))

    @property
    def idle(self) -> bool:
        """Whether nothing here can expire."""
        return self._todo is None and self._budget.soonest == math.inf

    def is_due(self, now: float) -> bool:
        """Whether there is something to do: a round is under way, or may begin."""
        return self._todo is not None or self.due <= now

    def step(self, steps: int, now: float) -> bool:
        """Look at so many entries, under the cache's lock; true if a round has ended."""
        todo = self._todo
        if todo is None:
            if self.due > now:
                return True
            todo = self._begin()
        while steps > 0:
            while todo and not todo[-1]:
                todo.pop()
            if not todo:
                self._end(now)
                return True
            some = min(steps, todo[-1])
            todo[-1] -= some
            steps -= some
            found, least = self._budget.look(len(todo) - 1, some, now, self._expire)
            self._looked += some
            self._found += found
            self._least = min(self._least, least)
        return False

    def everything(self, now: float) -> None:
        """Take out all that has expired by now, at once."""
        if self._todo is not None or self._budget.soonest <= now:
            self._begin()
            while not self.step(1 << 30, now):
                pass

    def _begin(self) -> list[int]:
        self._todo = todo = self._budget.lengths()
        self._found = self._looked = 0
        self._least = self._budget.soonest = self.due = math.inf
        return todo

    def _end(self, now: float) -> None:
        self._todo = None
        little = self._found < _LITTLE * self._looked
        self._spacing = min(_LATEST, 2 * self._spacing) if little else _SOONEST
        self._not_before = now + self._spacing
        self._budget.soonest = min(self._budget.soonest, self._least)
        self.due = max(self._budget.soonest, self._not_before)


class Visited(Protocol):
    """What the janitor asks of a cache."""

    lock: Lock
    expiry: Expiry

    def sweep(self) -> None: ...


class Janitor:
    """The process's one thread that visits caches when entries may have expired.

    It is started when first needed, ends when nothing is due any more, never keeps a cache or the
    interpreter alive, and ends before the process forks. Where no thread can be started,
    misses do its work.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._caches: weakref.WeakSet[Visited] = weakref.WeakSet()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._stop = False

    def expect(self, cache: Visited) -> None:
        """Visit a cache when its next round is due; none that goes by a clock of a test's."""
        if not is_real():
            return
        with self._lock:
            self._caches.add(cache)
            self._start()
        self._wake.set()

    def _start(self) -> None:
        # At the end of the interpreter a new thread never begins to run, and to start one is to
        # wait for that.
        if self._thread is None and not self._stop and not is_finalizing():
            thread = threading.Thread(target=self._run, name="pussycache-janitor", daemon=True)
            # There may be none to be had.
            with suppress(RuntimeError):
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        while True:
            self._wake.clear()
            with self._lock:
                caches = list(self._caches)
                if self._stop or not caches:
                    self._thread = None
                    return
            if not is_real():
                # What those caches go by is no business of another thread's.
                caches.clear()
                self._wake.wait(_SOONEST)
                continue
            next_due = math.inf
            for cache in caches:
                if cache.expiry.is_due(time.monotonic()):
                    self._visit(cache)
                with cache.lock:
                    next_due = min(next_due, cache.expiry.due)
                    if cache.expiry.idle:
                        with self._lock:
                            self._caches.discard(cache)
            caches.clear()
            del cache
            self._wake.wait(min(_LONGEST_SLEEP, max(0.0, next_due - time.monotonic())))

    def _visit(self, cache: Visited) -> None:
        over = False
        while not over and not self._stop:
            with cache.lock:
                over = cache.expiry.step(_SLICE, time.monotonic())
            cache.sweep()
            time.sleep(_PAUSE)

    def pause(self) -> None:
        """Have no thread, until `resume`."""
        with self._lock:
            self._stop = True
            thread = self._thread
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            # Whoever forks inside of a call may hold the lock that a visit waits for.
            thread.join(1.0)

    def resume(self) -> None:
        """Let there be a thread again, when next somebody expects something."""
        self._stop = False

    def forget_others(self) -> None:
        """Begin anew in a forked child: misses, and what is stored there, wake it up."""
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._thread = None
        self._stop = False


janitor: Final = Janitor()
