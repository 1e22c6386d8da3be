"""Does for asyncio what the flow asks for: awaits loads, and waits without holding up the loop.

No decision is taken here. asyncio is imported when somebody waits, not before.
"""

from __future__ import annotations

from contextlib import suppress

from pussycache.engine import background, clock
from pussycache.engine.asking import Ask
from pussycache.engine.background import Apart
from pussycache.engine.flow import Part, Wait, answer
from pussycache.engine.singleflight import ABANDONED, LOADING, Failure
from pussycache.engine.watched import watched
from pussycache.types import MISSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator
    from typing import Any

    from pussycache.engine.flow import Step
    from pussycache.engine.generations import Table
    from pussycache.engine.plan import Plan

__all__ = ["drive", "replay", "run", "run_batch", "run_far"]


async def run(
    plan: Plan, table: Table, me: object, call: Any, values: tuple[Any, ...], key: Any
) -> Any:
    """Answer a call that the hit path could not; ``call`` is the bare coroutine method."""
    if plan.far is not None:
        return await run_far(plan, table, me, call, values, None)
    flow = answer(plan, table, values, me)
    if clock.watching:
        flow = watched(flow, plan, table, values, me)
    return await drive(flow, plan, call, values)


async def run_far(
    plan: Plan, table: Table, me: object, call: Any, values: tuple[Any, ...], key: Any
) -> Any:
    """Answer a call whose cache is outside of this process; ``call`` is the coroutine method."""
    if clock.watching:
        return await drive(watched(None, plan, table, values, me), plan, call, values)
    far: Any = plan.far
    found = far.begin(plan, table, values, me)
    begun = None, None
    if found is not None:
        asked, known = found
        seen = await asked.link.aask(*asked.what)
        value = far.serve(plan, table, known, seen)
        if value is not MISSING:
            return value
        begun = known, seen
    return await drive(far.answer(plan, table, values, me, begun), plan, call, values)


async def run_batch(
    flow: Callable[..., Generator[Step, Any, Any]],
    plan: Plan,
    table: Table,
    me: object,
    call: Any,
    values: tuple[Any, ...],
    key: Any,
) -> Any:
    """Answer a call for many ids, whose flow is given; ``call`` is the bare coroutine method."""
    steps = flow(plan, table, values, me)
    if clock.watching:
        steps = watched(steps, plan, table, values, me, "batch")
    return await drive(steps, plan, call, values)


async def replay(
    flow: Generator[Step, Any, Any], plan: Plan, call: Any, values: tuple[Any, ...]
) -> AsyncIterator[Any]:
    """Run a flow when its result, a materialized asynchronous iterator, is first asked for."""
    async for item in await drive(flow, plan, call, values):
        yield item


async def drive(
    flow: Generator[Step, Any, Any], plan: Plan, call: Any, values: tuple[Any, ...]
) -> Any:
    """Run a flow to its end in this task; ``call`` is the bare coroutine method."""
    invoke = plan.invoke
    got: Any = None
    token = None
    try:
        while True:
            step = flow.send(got)
            if token is not None:
                LOADING.reset(token)
                token = None
            if type(step) is Ask:
                try:
                    got = await step.link.aask(*step.what)
                except BaseException:
                    flow.close()
                    raise
                continue
            if isinstance(step, Wait):
                got = await _wait(step, flow, plan, call, values)
                continue
            if type(step) is Apart:
                background.in_task(step, drive, plan, call, values)
                got = None
                continue
            given = values
            if type(step) is Part:
                given = step.values
                for flight in step.flights:
                    flight.loop = _running_loop()
                    flight.token = LOADING.set(flight)
                    token = token or flight.token
            elif step is not None:
                step.loop = _running_loop()
                # To the next step: what the flow does with the result belongs to the load.
                step.token = token = LOADING.set(step)
            if step is not None:
                step.start(given)
            try:
                got = await (call(*given) if invoke is None else invoke(call, given))
            except BaseException as error:
                got = Failure(error)
            if step is not None:
                step.stop(got)
    except StopIteration as stop:
        got = stop.value
    finally:
        if token is not None:
            # A forgotten coroutine is closed by the garbage collector, anywhere.
            with suppress(ValueError):
                LOADING.reset(token)
    if type(got) is Failure:
        try:
            raise got.error
        finally:
            # The error's traceback holds this frame: without this, a cycle that holds the error.
            del got
    return got


def _running_loop() -> Any:
    # Under another framework than asyncio there is none, and waiting is not possible either.
    from asyncio import get_running_loop

    with suppress(RuntimeError):
        return get_running_loop()


async def _wait(
    wish: Wait, flow: Generator[Step, Any, Any], plan: Plan, call: Any, values: tuple[Any, ...]
) -> Any:
    from asyncio import get_running_loop

    loop = get_running_loop()
    future = loop.create_future()
    timer: Any = None

    def settle(outcome: Any) -> None:
        if not future.done():
            future.set_result(outcome)

    def tell(outcome: Any) -> None:
        # If the waiter's loop was closed meanwhile there is nobody left to tell.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, outcome)

    def ask(patience: float) -> None:
        verdict = wish.outlasted(patience)
        if verdict is None:
            be_patient()
        else:
            settle(verdict)

    def be_patient() -> None:
        nonlocal timer
        patience = wish.patience
        timer = loop.call_later(patience, ask, patience)

    if not wish.join(tell):
        return ABANDONED
    try:
        if wish.first is not None:
            background.in_task(wish.first, drive, plan, call, values)
        be_patient()
        return await future
    except BaseException:
        flow.close()
        raise
    finally:
        if timer is not None:
            timer.cancel()
