"""Runs loads apart from the calls that asked for them: in a few threads, or as tasks.

Which loads, and what becomes of their results, is said by the flow. Nothing here keeps the
interpreter or a wrapped object alive: a load that has not begun is dropped with its object.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from types import MethodType

from pussycache.engine.singleflight import ABANDONED
from pussycache.typed import Protocol, final

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from typing import Any, Final

    from pussycache.engine.generations import Table
    from pussycache.engine.singleflight import Flight

__all__ = ["Apart", "end_of", "forget_others", "in_task", "in_thread", "tell_of_ends"]

_MOST: Final = 8
_IDLE: Final = 10.0
_GONE: Final = object()


class Leaving(Protocol):
    """Somebody who opens something for each thread."""

    def leave(self) -> None:
        """Close what this thread has opened."""


_leaving: Final[weakref.WeakSet[Leaving]] = weakref.WeakSet()
_registering = threading.Lock()


def tell_of_ends(leaving: Leaving) -> None:
    """Have somebody told, in each of the threads, that it ends."""
    with _registering:
        _leaving.add(leaving)


@final
class Apart:
    """Loads that have been entered, and are to be run apart from the call that entered them.

    They are run in one, and end together.

    :param loads: the keys and the loads; `None` when they have ended, or were given up.
    :param flow: given the wrapped object, returns the steps of the loads.
    :param at_once: whether somebody waits for them: then they do not stand in a queue.
    :param whole: what is told how all of them came out, if somebody waits for that.
    """

    __slots__ = (
        *("_call", "_flow", "_loop", "_me", "_table", "_task", "_whole"),
        *("at_once", "loads"),
    )

    def __init__(
        self,
        table: Table,
        loads: Sequence[tuple[Any, Flight]],
        flow: Callable[[Any], Generator[Any, Any, Any]],
        me: object,
        at_once: bool = False,
        whole: Flight | None = None,
    ) -> None:
        self._table = table
        self.loads: Sequence[tuple[Any, Flight]] | None = loads
        self._whole = whole
        self._flow = flow
        self._me = _weakly(me)
        self._call: Callable[[], Any] = lambda: _GONE
        self._loop: Any = None
        self._task: Any = None
        self.at_once = at_once

    def through(
        self, around: Callable[[Generator[Any, Any, Any]], Generator[Any, Any, Any]]
    ) -> None:
        """Have its steps go through the hands of somebody else."""
        flow = self._flow
        self._flow = lambda me: around(flow(me))

    @property
    def home(self) -> object:
        """The cache that this is done for."""
        return self._table.home

    @property
    def enlisted(self) -> bool:
        """Whether somebody will run them, or has."""
        return self.loads is None or self in _under_way

    def enlist(self, call: Any) -> None:
        """Take note of the bare method that they are to call."""
        self._call = _again(call)
        _under_way.add(self)

    def run(self, drive: Callable[..., Any], plan: Any, values: tuple[Any, ...]) -> None:
        """Run them in this thread."""
        begun = self._begun()
        if begun is not None:
            try:
                drive(begun[0], plan, begun[1], values)
            finally:
                self.drop()

    def start(self, loop: Any, drive: Callable[..., Any], plan: Any, values: Any) -> None:
        """Run them as a task of an event loop."""
        self._loop = loop
        for flight in [*[flight for _, flight in self.loads or ()], self._whole]:
            # Whoever waits for it finds out when the loop is closed before it has begun.
            if flight is not None:
                flight.loop = loop
        self._task = loop.create_task(self._awaited(drive, plan, values))
        # Also for a task that is cancelled before it has begun.
        self._task.add_done_callback(lambda task: self.drop())

    async def _awaited(self, drive: Callable[..., Any], plan: Any, values: Any) -> None:
        begun = self._begun()
        if begun is not None:
            await drive(begun[0], plan, begun[1], values)

    def _begun(self) -> tuple[Generator[Any, Any, Any], Any] | None:
        me, call = self._me(), self._call()
        if self.loads is None or me is _GONE or call is _GONE:
            self.drop()
            return None
        return self._flow(me), call

    def drop(self) -> None:
        """Give up what has not ended: it is not found any more, and who waits is told."""
        loads, self.loads = self.loads, None
        _under_way.discard(self)
        for key, flight in loads or ():
            if self._table.lose(key, flight):
                flight.land(ABANDONED)
        if self._whole is not None:
            # Who was told already does not listen any more.
            self._whole.land(ABANDONED)

    def end(self) -> None:
        """Give them up, also when they have begun: what they bring is not stored."""
        self.drop()
        if self._task is not None:
            # If its loop was closed meanwhile, it has ended.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._task.cancel)


_under_way: Final[set[Apart]] = set()
"""What is to be done, or being done; tasks are kept alive by nothing else."""


def _weakly(thing: Any) -> Callable[[], Any]:
    """Return what gives a thing for as long as it lives, or for ever if it cannot be watched."""
    try:
        found = weakref.ref(thing)
    except TypeError:
        return lambda: thing

    def look() -> Any:
        alive = found()
        return _GONE if alive is None else alive

    return look


def _again(call: Any) -> Callable[[], Any]:
    """Return what gives a method for as long as its object lives."""
    if type(call) is not MethodType:
        return lambda: call
    owner, function = _weakly(call.__self__), call.__func__

    def bind() -> Any:
        alive = owner()
        return _GONE if alive is _GONE else MethodType(function, alive)

    return bind


def in_thread(
    apart: Apart, drive: Callable[..., Any], plan: Any, call: Any, values: tuple[Any, ...]
) -> None:
    """Have a load run in another thread, with the context variables of this one."""
    apart.enlist(call)
    context = copy_context()
    if not _pool.submit(partial(context.run, apart.run, drive, plan, values), apart.at_once):
        # No thread can be started: the interpreter is about to end, or the system is full.
        if apart.at_once:
            apart.run(drive, plan, values)
        else:
            apart.drop()


def in_task(
    apart: Apart, drive: Callable[..., Any], plan: Any, call: Any, values: tuple[Any, ...]
) -> None:
    """Have a load run as a task of the running event loop; under another framework, not at all."""
    from asyncio import get_running_loop

    try:
        loop = get_running_loop()
    except RuntimeError:
        apart.drop()
        return
    apart.enlist(call)
    apart.start(loop, drive, plan, values)


def end_of(home: object) -> None:
    """End what is done for one cache; what runs in a thread goes on, and is not stored."""
    for apart in list(_under_way):
        if apart.home is home:
            apart.end()


class Pool:
    """A few threads that start when first needed, and end when there is nothing to do."""

    def __init__(self) -> None:
        self._jobs: deque[Callable[[], object]] = deque()
        self._changed = threading.Condition()
        self._threads = self._idle = 0

    def submit(self, job: Callable[[], object], at_once: bool) -> bool:
        """Have a job done, soon or at once; false if there is no thread to be had."""
        with self._changed:
            (self._jobs.appendleft if at_once else self._jobs.append)(job)
            if len(self._jobs) <= self._idle:
                self._changed.notify()
                return True
            if self._threads >= _MOST and not at_once:
                return True
            self._threads += 1
            try:
                threading.Thread(target=self._work, name="pussycache-loads", daemon=True).start()
            except RuntimeError:
                self._threads -= 1
                with suppress(ValueError):
                    self._jobs.remove(job)
                    return False
            return True

    def _work(self) -> None:
        while (job := self._next()) is not None:
            # What it raises was told to whom it concerns.
            with suppress(BaseException):
                job()
            del job
        with _registering:
            everybody = list(_leaving)
        for leaving in everybody:
            with suppress(Exception):
                leaving.leave()

    def _next(self) -> Callable[[], object] | None:
        """Return what is to be done next; `None` if there has been nothing for a while."""
        with self._changed:
            while not self._jobs:
                self._idle += 1
                told = self._changed.wait(_IDLE)
                self._idle -= 1
                if not told and not self._jobs:
                    self._threads -= 1
                    return None
            return self._jobs.popleft()


_pool = Pool()


def forget_others() -> None:
    """Begin anew in a forked child, where the threads are not, and no event loop runs on."""
    global _pool, _registering
    _pool, _registering = Pool(), threading.Lock()
    _under_way.clear()
