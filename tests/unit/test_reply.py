"""What a task waits for that has asked a server: it goes on as any task does, only sooner."""

import asyncio
import contextvars
from collections.abc import Callable

import pytest

from pussycache.cache.wire.reply import Reply

pytestmark = pytest.mark.parametrize(
    "task_type", [asyncio.Task, asyncio.tasks._PyTask], ids=["c", "python"]
)


async def waits(reply: Reply, said: list[object]) -> object:
    try:
        said.append(await reply)
    except BaseException as error:
        said.append(type(error))
        raise
    return "done"


def in_a_loop(task_type: type, scenario: Callable[..., object]) -> list[object]:
    """Run a scenario, in steps that are callbacks of the loop, as a protocol's are."""
    loop = asyncio.new_event_loop()
    loop.set_task_factory(lambda loop, coro, **how: task_type(coro, loop=loop, **how))
    said: list[object] = []
    failed: list[object] = []
    loop.set_exception_handler(lambda loop, context: failed.append(context))
    try:
        reply = Reply(loop)
        task = loop.create_task(waits(reply, said))
        # Until it waits.
        loop.run_until_complete(asyncio.sleep(0))
        scenario(loop, reply, task, said)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    assert not failed
    return said


def once(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    """Have a callback called by the loop, and nothing after it in the same turn."""
    loop.call_soon(callback)
    loop.call_soon(loop.stop)
    loop.run_forever()


def test_it_goes_on_at_once(task_type: type) -> None:
    """A task whose reply comes goes on within the callback that brings it, and ends as any."""

    def scenario(loop, reply, task, said):
        def comes():
            reply.come([b"7"])
            said.append("then")

        once(loop, comes)
        assert said == [[b"7"], "then"]
        assert loop.run_until_complete(task) == "done"

    assert in_a_loop(task_type, scenario) == [[b"7"], "then"]


def test_it_fails_soon(task_type: type) -> None:
    """A task whose connection breaks is told of it after the callback, and raises that."""

    def scenario(loop, reply, task, said):
        def fails():
            reply.fail(OSError("broken"))
            said.append("then")

        once(loop, fails)
        with pytest.raises(OSError, match="broken"):
            loop.run_until_complete(task)

    assert in_a_loop(task_type, scenario) == ["then", OSError]


def test_a_cancelled_task_is_given_nothing(task_type: type) -> None:
    """A task that is cancelled raises that, with its message; what comes later is for nobody."""

    def scenario(loop, reply, task, said):
        assert task.cancel("enough")
        assert not task.cancelled()
        assert reply.done()
        with pytest.raises(asyncio.CancelledError, match="enough"):
            loop.run_until_complete(task)
        assert not reply.cancel()

    assert in_a_loop(task_type, scenario) == [asyncio.CancelledError]


def test_a_timeout(task_type: type) -> None:
    """`asyncio.wait_for` and `asyncio.timeout` give up on it as on any future."""

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await Reply(asyncio.get_running_loop())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waits(Reply(asyncio.get_running_loop()), []), 0)

    def scenario(loop, reply, task, said):
        loop.run_until_complete(main())
        once(loop, lambda: reply.come(None))

    assert in_a_loop(task_type, scenario) == [None]


def test_what_is_there_is_not_waited_for(task_type: type) -> None:
    """A reply that has come, or failed, before anybody awaits it is given at once."""

    async def main(loop):
        here, broken = Reply(loop), Reply(loop)
        here.come(7)
        broken.fail(OSError("broken"))
        assert await here == 7
        with pytest.raises(OSError, match="broken"):
            await broken

    def scenario(loop, reply, task, said):
        loop.run_until_complete(main(loop))
        once(loop, lambda: reply.come(None))

    assert in_a_loop(task_type, scenario) == [None]


def test_from_within_a_task(task_type: type) -> None:
    """If a task is at work when it comes, as in a loop inside of a loop, it is woken after that."""

    async def brings(reply, said):
        reply.come(7)
        said.append("then")

    def scenario(loop, reply, task, said):
        loop.run_until_complete(brings(reply, said))
        loop.run_until_complete(task)

    assert in_a_loop(task_type, scenario) == ["then", 7]


def test_it_goes_on_in_its_own_context(task_type: type) -> None:
    """What a task has set in its context is so when it goes on, and is not anywhere else."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")

    async def asks(reply):
        variable.set("mine")
        await reply
        return variable.get()

    def scenario(loop, reply, task, said):
        other = Reply(loop)
        asking = loop.create_task(asks(other))
        loop.run_until_complete(asyncio.sleep(0))
        once(loop, lambda: other.come(None))
        assert loop.run_until_complete(asking) == "mine"
        assert variable.get() == "none"
        once(loop, lambda: reply.come(None))

    assert in_a_loop(task_type, scenario) == [None]


def test_an_interrupt_of_a_task_leaves_the_loop(task_type: type) -> None:
    """Ctrl-C in a task that goes on so is raised from the loop, as it is from any task."""

    async def interrupted(reply):
        await reply
        raise KeyboardInterrupt

    def scenario(loop, reply, task, said):
        other = Reply(loop)
        asking = loop.create_task(interrupted(other))
        loop.run_until_complete(asyncio.sleep(0))
        loop.call_soon(other.come, None)
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(asking)
        assert isinstance(asking.exception(), KeyboardInterrupt)
        once(loop, lambda: reply.come(None))

    assert in_a_loop(task_type, scenario) == [None]
