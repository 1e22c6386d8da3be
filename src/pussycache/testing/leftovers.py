"""What a write leaves at work when it has returned: threads and tasks, and what they change later.

Threads are held before their first step, so that what they do is done after the return.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from types import TracebackType
from typing import Any, Final

from pussycache.testing.calls import MethodCall, Outcome
from pussycache.testing.trial import Trial

__all__ = ["changed_later"]

_RETURNS: Final = 1.0  # seconds in which a write returns that does not wait for its thread
_ARRIVES: Final = 10.0  # seconds until a thread that was started has come to its first step
_HELD: Final = 2.0  # seconds that a thread is held at most: a read may be waiting for it
_POOL: Final = 1.0  # seconds given to a thread that does not end, as those of pools do not


async def changed_later(
    trial: Trial, write: MethodCall, reads: tuple[MethodCall, ...]
) -> tuple[MethodCall, Outcome, Outcome] | None:
    """Return a call that is wrong once a write's leftovers are done; what it and the object say."""
    made = trial.make_object()
    caching, target = trial.declaration.caching(made), trial.declaration.bare(made)
    tasks = _tasks()
    with _Caught() as caught:
        await Outcome.of(caching, write)
        caught.returned.set()
        left = _tasks() - tasks
        if not caught.held() and not left:
            return None
        for call in reads:
            await Outcome.of(caching, call)
    caught.finish()
    if left:
        await asyncio.wait(left, timeout=_POOL)
    return await trial.wrong(caching, target, reads)


def _tasks() -> set[asyncio.Task[Any]]:
    try:
        return asyncio.all_tasks()
    except RuntimeError:
        return set()


class _Caught:
    """Holds the threads that are started in the block, until it is left.

    ``returned`` is to be set when the call has returned that may start some.
    """

    def __enter__(self) -> _Caught:
        self._before = set(threading.enumerate())
        self._threads: list[threading.Thread] = []
        self._arrived = threading.Condition()
        self.returned = threading.Event()
        self._gate = threading.Event()
        self._hook = threading.getprofile()
        # The one thing that every new thread looks at before its first step.
        threading.setprofile(self._catch)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        threading.setprofile(self._hook)
        self.returned.set()
        self._gate.set()

    def _catch(self, *event: object) -> None:
        sys.setprofile(None)
        with self._arrived:
            self._threads.append(threading.current_thread())
            self._arrived.notify_all()
        if self.returned.wait(_RETURNS):
            self._gate.wait(_HELD)

    def held(self) -> bool:
        """Whether a thread was started that is still alive."""
        new = [thread for thread in threading.enumerate() if thread not in self._before]
        with self._arrived:
            self._arrived.wait_for(
                lambda: all(one in self._threads or not one.is_alive() for one in new), _ARRIVES
            )
        return any(thread.is_alive() for thread in self._threads)

    def finish(self) -> None:
        """Wait until the threads are done."""
        deadline = time.monotonic() + _POOL
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
