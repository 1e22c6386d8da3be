"""What a task waits for that has asked a server: replies, handed over as soon as they are there.

A future of asyncio's wakes its task in the loop's next turn, after another look at all sockets. A
`Reply` wakes it in this one, since it is the loop that brings it and no task is at work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any, Final

__all__ = ["Reply"]

_NOTHING: Final = object()


class Reply:
    """What one task waits for, once; asyncio takes it for a future.

    That is told by the names that follow, as its documentation of futures has them: see "Future
    Object" there. A task that is cancelled meanwhile has the reply thrown away.
    """

    __slots__ = ("_asyncio_future_blocking", "_context", "_error", "_loop", "_value", "_wake")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asyncio_future_blocking = False
        self._loop = loop
        self._value: Any = _NOTHING
        self._error: BaseException | None = None
        self._wake: Callable[[Any], object] | None = None
        self._context: Context | None = None

    # What a stream calls.

    def done(self) -> bool:
        """Whether it has come, or nobody waits for it any more."""
        return self._value is not _NOTHING or self._error is not None

    def come(self, value: Any) -> None:
        """Give the task what it waits for, from a callback of the loop: it goes on within this."""
        self._value = value
        wake = self._wake
        if wake is None:
            return
        if self._context is None or asyncio.current_task(self._loop) is not None:
            # In a loop that runs inside of another's task.
            self._wake_soon()
            return
        self._wake = None
        self._context.run(wake, self)

    def fail(self, error: BaseException) -> None:
        """Have the task raise an error, soon: another one may be at work just now."""
        self._error = error
        self._wake_soon()

    def _wake_soon(self) -> None:
        wake, self._wake = self._wake, None
        if wake is not None:
            self._loop.call_soon(wake, self, context=self._context)

    # What asyncio calls.

    def __await__(self) -> Generator[Any, None, Any]:
        if not self.done():
            self._asyncio_future_blocking = True
            yield self
        return self.result()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def add_done_callback(
        self, wake: Callable[[Any], object], *, context: Context | None = None
    ) -> None:
        self._wake, self._context = wake, context
        if self.done():
            self._wake_soon()

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._value

    def cancel(self, msg: Any = None) -> bool:
        if self.done():
            return False
        self.fail(asyncio.CancelledError() if msg is None else asyncio.CancelledError(msg))
        return True
