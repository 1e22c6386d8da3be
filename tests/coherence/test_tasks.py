"""The promise and single flight, for asyncio tasks."""

import asyncio
import contextlib
import warnings

import pytest

import pussycache
from pussycache import MISSING, Forget


class Api:
    """Each load waits for an event, if there is one."""

    def __init__(self):
        self.value = "old"
        self.loads = 0
        self.events = []

    async def read(self, key=1):
        value = self.value
        self.loads += 1
        if self.events:
            await self.events.pop(0).wait()
        return value

    async def write(self, key=1):
        await asyncio.sleep(0)
        self.value = "new"
        await asyncio.sleep(0)

    def write_now(self, key=1):
        self.value = "new"


RULES = {
    "method": "read",
    "everything": "*",
    "argument": Forget("read", "key"),
    "callable": Forget("read", key=lambda call: call.args["key"]),
}


def api(rule="method", cached_methods=("read",)):
    return pussycache.wrap(
        Api(),
        cached_methods=cached_methods,
        invalidate_methods={"write": [RULES[rule]], "write_now": [RULES[rule]]},
    )


async def let_run():
    """Let every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("write", ["write", "write_now"])
def test_a_load_overtaken_by_a_write(rule, write, run):
    """A task's load that a write overtook answers those who waited, and nobody else."""
    proxy = api(rule)

    async def main():
        go = asyncio.Event()
        proxy.events.append(go)
        loading = asyncio.ensure_future(proxy.read(1))
        waiting = asyncio.ensure_future(proxy.read(1))
        await let_run()
        written = getattr(proxy, write)(1)
        if written is not None:
            await written
        after = await proxy.read(1)
        go.set()
        return await loading, await waiting, after, await proxy.read(1)

    assert run(main) == ("old", "old", "new", "new")
    assert proxy.loads == 2


def test_tasks_share_one_load(run):
    """Many tasks on a cold key load once."""
    proxy = api()

    async def main():
        return await asyncio.gather(*[proxy.read(1) for _ in range(20)])

    assert run(main) == ["old"] * 20
    assert proxy.loads == 1
    figures = pussycache.info(proxy.read)
    assert (figures.hits, figures.misses, figures.loads) == (0, 20, 1) or figures.hits > 0


def test_waiting_does_not_hold_up_the_loop(run):
    """While a load is under way, tasks that wait for it let others run."""
    proxy = api()

    async def main():
        go = asyncio.Event()
        proxy.events.append(go)
        tasks = [asyncio.ensure_future(proxy.read(1)) for _ in range(3)]
        await let_run()
        assert await proxy.read(2) == "old"
        go.set()
        return await asyncio.gather(*tasks)

    assert run(main) == ["old"] * 3


def test_a_load_that_raises_raises_in_every_waiter(run):
    """All who waited get the error, and the next call loads again."""

    class Failing:
        loads = 0

        async def read(self):
            self.loads += 1
            await asyncio.sleep(0)
            if self.loads == 1:
                raise LookupError
            return "fine"

    proxy = pussycache.wrap(Failing(), cached_methods=["read"])

    async def main():
        outcomes = await asyncio.gather(*[proxy.read() for _ in range(4)], return_exceptions=True)
        return [type(outcome) for outcome in outcomes], await proxy.read()

    assert run(main) == ([LookupError] * 4, "fine")


def test_a_cancelled_load_takes_no_waiter_with_it(run):
    """When the task that loads is cancelled, one of the waiting tasks loads."""
    proxy = api()

    async def main():
        proxy.events.append(asyncio.Event())
        loading = asyncio.ensure_future(proxy.read(1))
        await let_run()
        waiting = [asyncio.ensure_future(proxy.read(1)) for _ in range(3)]
        await let_run()
        loading.cancel()
        outcomes = await asyncio.gather(*waiting)
        return outcomes, loading.cancelled()

    assert run(main) == (["old"] * 3, True)
    assert proxy.loads == 2


def test_a_cancelled_waiter_harms_nobody(run):
    """When a waiting task is cancelled, the load and the other waiters go on."""
    proxy = api()

    async def main():
        go = asyncio.Event()
        proxy.events.append(go)
        loading = asyncio.ensure_future(proxy.read(1))
        await let_run()
        waiting = [asyncio.ensure_future(proxy.read(1)) for _ in range(3)]
        await let_run()
        waiting[1].cancel()
        await let_run()
        go.set()
        assert await loading == "old"
        return [await waiting[0], waiting[1].cancelled(), await waiting[2]]

    assert run(main) == ["old", True, "old"]
    assert proxy.loads == 1


def test_a_waiter_with_a_timeout_of_its_own(run):
    """wait_for around a call that waits ends that call only."""
    proxy = api()

    async def main():
        go = asyncio.Event()
        proxy.events.append(go)
        loading = asyncio.ensure_future(proxy.read(1))
        await let_run()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(proxy.read(1), 0.001)
        go.set()
        return await loading, await proxy.read(1)

    assert run(main) == ("old", "old")
    assert proxy.loads == 1


def test_a_load_whose_coroutine_is_closed_takes_no_waiter_with_it(run):
    """A call that is closed half-way, as when it is forgotten, gives its load up."""
    proxy = api()

    async def main():
        proxy.events.append(asyncio.Event())
        loading = proxy.read(1)
        loading.send(None)
        waiting = asyncio.ensure_future(proxy.read(1))
        await let_run()
        loading.close()
        return await waiting

    assert run(main) == "old"


def test_a_load_that_calls_itself_in_child_tasks(run):
    """Tasks that a load starts belong to it, and do not wait for it."""

    class Tree:
        calls = 0

        async def read(self, key):
            self.calls += 1
            if self.calls > 1:
                return "leaf"
            return await asyncio.gather(self.read(key), self.read(key), self.read("other"))

    proxy = pussycache.wrap(Tree(), cached_methods=["read"], self_calls=True)

    async def main():
        return await proxy.read("root")

    assert run(main) == ["leaf"] * 3


def test_a_load_that_calls_itself_in_a_thread(run):
    """What a load hands to to_thread belongs to it, and does not wait for it."""

    class Threaded:
        calls = 0

        def part(self):
            self.calls += 1
            if self.calls > 1:
                return "inner"
            return asyncio.run(self.whole())

        async def whole(self):
            return ["whole", await asyncio.to_thread(self.part)]

    proxy = pussycache.wrap(Threaded(), cached_methods=["part", "whole"], self_calls=True)

    async def main():
        return await proxy.whole()

    assert run(main) == ["whole", ["whole", "inner"]]


def test_two_tasks_that_cross_do_not_wait_for_one_another(run):
    """One task loads a and needs b, the other loads b and needs a: one of them computes."""

    class Crossing:
        def __init__(self):
            self.here = {"a": asyncio.Event(), "b": asyncio.Event()}
            self.calls = []

        async def get(self, one, other):
            first = one not in self.calls
            self.calls.append(one)
            if not first:
                return [one]
            self.here[one].set()
            await self.here[other].wait()
            return [one, *await self.get(other, one)]

    async def main():
        proxy = pussycache.wrap(Crossing(), cached_methods=["get"], self_calls=True)
        return await asyncio.gather(proxy.get("a", "b"), proxy.get("b", "a"))

    a, b = run(main)
    assert (a[:2], b[:2]) == (["a", "b"], ["b", "a"])


def test_a_background_task_outlives_the_load_that_started_it(run):
    """A task that a load leaves behind may call the same method when the load is over."""

    class Leaving:
        task = None
        calls = 0

        async def read(self):
            self.calls += 1
            if self.calls == 1:
                self.task = asyncio.ensure_future(self.later())
            return self.calls

        async def later(self):
            await asyncio.sleep(0)
            pussycache.forget_all(proxy.read)
            return await asyncio.gather(proxy.read(), proxy.read())

    proxy = pussycache.wrap(Leaving(), cached_methods=["read"])

    async def main():
        assert await proxy.read() == 1
        return await proxy.task

    assert run(main) == [2, 2]


def test_a_background_task_outlives_the_write_that_started_it(run):
    """A task that a write leaves behind shares loads when the write is over."""

    class Leaving:
        loads = 0

        async def read(self):
            self.loads += 1
            await asyncio.sleep(0)
            return self.loads

        async def write(self, over):
            return [asyncio.ensure_future(self.later(over))]

        async def later(self, over):
            await over.wait()
            return await asyncio.gather(*[proxy.read() for _ in range(5)])

    proxy = pussycache.wrap(
        Leaving(), cached_methods=["read"], invalidate_methods={"write": ["read"]}
    )

    async def main():
        over = asyncio.Event()
        (task,) = await proxy.write(over)
        over.set()
        return await task

    assert run(main) == [1] * 5


def test_a_loop_that_was_closed_leaves_no_load_behind(run):
    """A load whose loop is closed never ends: a call in another loop loads for itself."""
    proxy = api()
    kept = []

    async def main():
        kept.append(asyncio.Event())
        proxy.events.append(kept[0])
        kept.append(asyncio.ensure_future(proxy.read(1)))
        await let_run()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()

    async def second():
        return await asyncio.wait_for(proxy.read(1), 3)

    try:
        assert run(second) == "old"
    finally:
        kept[1]._log_destroy_pending = False
        with contextlib.suppress(RuntimeError):
            kept[1].get_coro().close()


def test_a_loop_that_was_closed_with_a_waiter(run, gate, spawn):
    """A load ends well when the loop of one who waited for it is closed."""

    class Slow:
        async def read(self):
            await asyncio.to_thread(gate.hold)
            return "value"

    proxy = pussycache.wrap(Slow(), cached_methods=["read"])
    loading = spawn(lambda: asyncio.run(proxy.read()))
    gate.reached()
    kept = []

    async def main():
        kept.append(asyncio.ensure_future(proxy.read()))
        await let_run()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
    gate.open()
    assert loading.result() == "value"
    kept[0]._log_destroy_pending = False
    kept[0].get_coro().close()
    assert run(proxy.read) == "value"


def test_a_call_that_is_never_awaited_does_nothing():
    """A coroutine that nobody awaits loads nothing and leaves nothing behind."""
    proxy = api()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        proxy.read(1).close()
    assert proxy.loads == 0
    assert pussycache.peek(proxy.read, 1) is MISSING


def test_a_refresh_of_an_async_method(run):
    """refresh of an async method is awaited, and replaces what was remembered."""
    proxy = api()

    async def main():
        await proxy.read(1)
        proxy._proxied.value = "new"
        refreshed = await pussycache.refresh(proxy.read, 1)
        again = await pussycache.arefresh(proxy.read, 1)
        return refreshed, again, await proxy.read(1), await pussycache.bypass(proxy.read, 1)

    assert run(main) == ("new",) * 4
    assert proxy.loads == 4
