"""Does for threads what the flow asks for: loads, and waits for other threads' or tasks' loads.

No decision is taken here.
"""

from __future__ import annotations

from _queue import Empty, SimpleQueue
from collections.abc import Callable, Generator
from contextlib import suppress

from pussycache.declare.keys import ATOMS
from pussycache.engine import background, clock
from pussycache.engine.asking import Ask
from pussycache.engine.background import Apart
from pussycache.engine.flow import Part, Step, Wait, answer
from pussycache.engine.generations import Table
from pussycache.engine.landing import landed
from pussycache.engine.plan import Plan
from pussycache.engine.singleflight import ABANDONED, LOADING, Failure, Flight
from pussycache.engine.watched import watched
from pussycache.hooks import active
from pussycache.types import MISSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["drive", "run", "run_batch", "run_far"]


def run(plan: Plan, table: Table, me: object, call: Any, values: tuple[Any, ...], key: Any) -> Any:
    """Answer a call that the hit path could not; ``call`` is the bare method.

    A load that meets nobody on its way takes the steps of the flow without the generator, at a
    quarter less: ``key`` is known where the arguments are plain, and `None` elsewhere.
    """
    if plan.far is not None:
        return run_far(plan, table, me, call, values, None)
    if key is None or clock.aside or active:
        flow = answer(plan, table, values, me)
        if clock.watching:
            flow = watched(flow, plan, table, values, me)
        return drive(flow, plan, call, values)
    found: Any = None
    token = None
    try:
        found = table.enter(key, values)
        if type(found) is not Flight:
            return drive(answer(plan, table, values, me, (key, found)), plan, call, values)
        found.token = token = LOADING.set(found)
        found.begun = clock.hot["time"]()
        try:
            got = call(*values) if plan.invoke is None else plan.invoke(call, values)
        except BaseException as error:
            got = Failure(error)
        now = clock.hot["time"]()
        found.took = now - found.begun
        keeping = plan.keeping
        if keeping.plain and type(got) in ATOMS:
            table.finish(key, found, values, got, now + keeping.lasting)
            if found:
                found.land(got)
            return got
        got = landed(plan, table, key, found, values, me, got)
    except BaseException:
        if type(found) is Flight:
            # Out of stack, as a rule: no call that needs a frame of its own, then.
            table.acquire()
            if table.flights.get(key) is found:
                del table.flights[key]
            table.release()
            for tell in found:
                tell(ABANDONED)
        raise
    finally:
        if token is not None:
            LOADING.reset(token)
    if type(got) is Failure:
        try:
            raise got.error
        finally:
            # The error's traceback holds this frame: without this, a cycle that holds the error.
            del got
    return got


def run_far(
    plan: Plan, table: Table, me: object, call: Any, values: tuple[Any, ...], key: Any
) -> Any:
    """Answer a call whose cache is outside of this process; ``call`` is the bare method."""
    if clock.watching:
        return drive(watched(None, plan, table, values, me), plan, call, values)
    far: Any = plan.far
    found = far.begin(plan, table, values, me)
    begun = None, None
    if found is not None:
        asked, known = found
        seen = asked.link.ask(*asked.what)
        value = far.serve(plan, table, known, seen)
        if value is not MISSING:
            return value
        begun = known, seen
    return drive(far.answer(plan, table, values, me, begun), plan, call, values)


def run_batch(
    flow: Callable[..., Generator[Step, Any, Any]],
    plan: Plan,
    table: Table,
    me: object,
    call: Any,
    values: tuple[Any, ...],
    key: Any,
) -> Any:
    """Answer a call for many ids, whose flow is given; ``call`` is the bare method."""
    steps = flow(plan, table, values, me)
    if clock.watching:
        steps = watched(steps, plan, table, values, me, "batch")
    return drive(steps, plan, call, values)


def drive(flow: Generator[Step, Any, Any], plan: Plan, call: Any, values: tuple[Any, ...]) -> Any:
    """Run a flow to its end in this thread; ``call`` is the bare method."""
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
                    got = step.link.ask(*step.what)
                except BaseException:
                    flow.close()
                    raise
                continue
            if isinstance(step, Wait):
                got = _wait(step, flow, plan, call, values)
                continue
            if type(step) is Apart:
                background.in_thread(step, drive, plan, call, values)
                got = None
                continue
            given = values
            if type(step) is Part:
                given = step.values
                for flight in step.flights:
                    flight.token = LOADING.set(flight)
                    token = token or flight.token
            elif step is not None:
                # To the next step: what the flow does with the result belongs to the load.
                step.token = token = LOADING.set(step)
            if step is not None:
                step.start(given)
            try:
                got = call(*given) if invoke is None else invoke(call, given)
            except BaseException as error:
                got = Failure(error)
            if step is not None:
                step.stop(got)
    except StopIteration as stop:
        got = stop.value
    finally:
        if token is not None:
            LOADING.reset(token)
    if type(got) is Failure:
        try:
            raise got.error
        finally:
            # The error's traceback holds this frame: without this, a cycle that holds the error.
            del got
    return got


def _wait(
    wish: Wait, flow: Generator[Step, Any, Any], plan: Plan, call: Any, values: tuple[Any, ...]
) -> Any:
    # Its put is no Python code: telling it needs no stack.
    told: SimpleQueue[Any] = SimpleQueue()
    if not wish.join(told.put):
        return ABANDONED
    try:
        if wish.first is not None:
            background.in_thread(wish.first, drive, plan, call, values)
        while True:
            patience = wish.patience
            with suppress(Empty):
                return told.get(timeout=patience)
            verdict = wish.outlasted(patience)
            if verdict is not None:
                return verdict
    except BaseException:
        flow.close()
        raise
