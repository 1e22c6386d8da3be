"""Does for threads what the flow asks for: loads, and waits for other threads' or tasks' loads.

No decision is taken here.
"""

from __future__ import annotations

import _thread
from collections.abc import Generator
from typing import Any

from pussycache.engine.flow import Plan, Step, Wait
from pussycache.engine.singleflight import ABANDONED, LOADING, Failure

__all__ = ["drive"]


def drive(flow: Generator[Step, Any, Any], plan: Plan, call: Any, values: tuple[Any, ...]) -> Any:
    """Run a flow to its end in this thread; ``call`` is the bare method."""
    invoke = plan.invoke
    got: Any = None
    try:
        while True:
            step = flow.send(got)
            if type(step) is Wait:
                got = _wait(step, flow)
                continue
            token = None if step is None else LOADING.set((step, LOADING.get()))  # type: ignore[arg-type]
            try:
                got = call(*values) if invoke is None else invoke(call, values)
            except BaseException as error:
                got = Failure(error)
            finally:
                if token is not None:
                    LOADING.reset(token)
    except StopIteration as stop:
        got = stop.value
    if type(got) is Failure:
        try:
            raise got.error
        finally:
            # The error's traceback holds this frame: without this, a cycle that holds the error.
            del got
    return got


def _wait(wish: Wait, flow: Generator[Step, Any, Any]) -> Any:
    told: list[Any] = []
    lock = _thread.allocate_lock()
    lock.acquire()

    def tell(outcome: Any) -> None:
        told.append(outcome)
        lock.release()

    if not wish.join(tell):
        return ABANDONED
    try:
        lock.acquire()
    except BaseException:
        flow.close()
        raise
    return told[0]
