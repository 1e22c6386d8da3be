"""Callers who wait for so long and no longer: what they get, and what becomes of the load."""

import asyncio
import contextvars
import threading

import pytest
from sources import Source, settled

import pussycache
from pussycache import Cached, Forget, LoadTimeout
from pussycache.engine import background, flow

SOON = 0.02
LONG = 60


def wrapped(timeout=SOON, rule="read", **said):
    policy = Cached(timeout=timeout, **said)
    return pussycache.wrap(
        Source(),
        cached_methods={"read": policy, "aread": policy, "outer": policy},
        invalidate_methods={"write": [rule, "aread"]},
        self_calls=True,
    )


def test_a_load_within_its_timeout_is_a_load_like_any_other(until):
    """A caller gets the value, of one load, and it is stored; exceptions come through."""
    proxy = wrapped(LONG)
    assert [proxy.read(1), proxy.read(1)] == [1, 1]

    def fail():
        raise OSError("no route")

    proxy.act = fail
    with pytest.raises(OSError, match="no route"):
        proxy.read(2)
    info = pussycache.info(proxy.read)
    assert (info.hits, info.misses, info.loads, info.failures, info.timeouts) == (1, 2, 1, 1, 0)
    assert threading.current_thread() not in proxy.threads


def test_a_caller_gives_up_and_the_load_goes_on(gate, until):
    """`LoadTimeout` names the method; what the load brings is stored for later calls."""
    proxy = wrapped()
    proxy.act = gate.hold
    with pytest.raises(
        LoadTimeout, match=r"Source.read has not returned within its timeout of 0.02"
    ):
        proxy.read(1)
    gate.open()
    settled(until)
    assert proxy.read(1) == 1
    assert proxy.loads == 1
    assert pussycache.info(proxy.read).timeouts == 1


def test_who_waits_for_anothers_load_gives_up_too(gate, spawn, until):
    """The timeout is each caller's own, and there is one load."""
    proxy = wrapped()
    proxy.act = gate.hold
    callers = [spawn(proxy.read, 1) for _ in range(4)]
    assert [caller.raised() for caller in callers] == [LoadTimeout] * 4
    gate.open()
    settled(until)
    assert proxy.loads == 1
    assert pussycache.info(proxy.read).timeouts == 4


def test_the_old_value_where_a_policy_allows_one(clock, gate, until, gives_up_at):
    """After the timeout the old value is served within stale_if_error, and later no more."""
    proxy = wrapped(ttl=10, stale_if_error=100)
    # However long that takes.
    pussycache.refresh(proxy.read, 1)
    clock.advance(10)
    gives_up_at(gate)
    proxy.act = gate.hold
    assert proxy.read(1) == 1
    assert pussycache.info(proxy.read).stale == 1
    clock.advance(100)
    with pytest.raises(LoadTimeout):
        proxy.read(1)
    gate.open()
    settled(until)
    assert proxy.read(1) == 2


@pytest.mark.parametrize("rule", ["read", Forget("read", "key")], ids=["method", "argument"])
def test_a_write_while_a_caller_waits(rule, clock, gate, spawn, joined, until):
    """After a write, neither the old value nor the load that it overtook answers a later call."""
    proxy = wrapped(LONG, rule, ttl=10, stale_if_error=100)
    proxy.read(1)
    clock.advance(10)
    proxy.act = gate.hold
    waiting = spawn(proxy.read, 1)
    gate.reached()
    joined(proxy.read, 1)
    proxy.write(1)
    proxy.act = lambda: None
    assert proxy.read(1) == 3
    gate.open()
    assert waiting.result() == 2
    settled(until)
    assert proxy.read(1) == 3


@pytest.mark.parametrize("rule", ["read", Forget("read", "key")], ids=["method", "argument"])
def test_no_old_value_after_a_write_that_ran_during_the_wait(rule, clock, gate, until, gives_up_at):
    """A caller whose wait ends after a write is not given what the write made wrong."""
    proxy = wrapped(SOON, rule, ttl=10, stale_if_error=100)
    pussycache.refresh(proxy.read, 1)
    clock.advance(10)

    def write_and_hold():
        proxy.write(1)
        gate.hold()

    gives_up_at(gate)
    proxy.act = write_and_hold
    with pytest.raises(LoadTimeout):
        proxy.read(1)
    gate.open()
    settled(until)


@pytest.mark.parametrize("rule", ["read", Forget("read", "key")], ids=["method", "argument"])
def test_a_write_before_the_load_has_begun(rule, spawn, joined, monkeypatch):
    """Who waits for a load that a write overtakes before its thread has it is answered by it."""
    proxy = wrapped(LONG, rule)
    join, waiting = flow.Wait.join, []

    def overtaken(wish, waiter):
        if wish.first is not None and not waiting:
            waiting.append(spawn(proxy.read, 1))
            joined(proxy.read, 1)
            proxy.write(1)
        return join(wish, waiter)

    monkeypatch.setattr(flow.Wait, "join", overtaken)
    assert proxy.read(1) == 1
    assert waiting[0].result() == 1
    assert proxy.read(1) == 2


def test_inside_a_write_the_load_runs_where_it_is_called():
    """A writer may hold what the load needs: there, nobody waits for another thread."""
    proxy = wrapped(LONG)
    with pussycache.writing(proxy.write, 1):
        proxy.outer(2)
    assert set(proxy.threads) == {threading.current_thread()}
    assert not proxy.outer.__pussycache__.table(proxy).flights
    assert proxy.outer(2) == 1


def test_loads_within_loads_do_not_wait_for_one_another(until):
    """A load that reads what waits for it computes, and does not wait for the timeout."""
    proxy = wrapped(LONG)
    again = []

    def ask():
        if not again:
            again.append(True)
            again.append(proxy.read(1))

    proxy.act = ask
    assert proxy.read(1) == 1
    assert again == [True, 2]


def test_the_callers_context_goes_with_the_load():
    """The load sees the context variables of its caller."""
    tenant = contextvars.ContextVar("tenant", default="nobody")
    seen = []
    proxy = wrapped(LONG)
    proxy.act = lambda: seen.append(tenant.get())
    tenant.set("ada")
    proxy.read(1)
    assert seen == ["ada"]


def test_more_loads_than_threads_in_the_pool(new_gate, spawn, until):
    """A load that somebody waits for never stands in a queue."""
    # Not with self_calls: its own counting is to be the object's.
    proxy = pussycache.wrap(Source(), cached_methods={"read": Cached(timeout=LONG)})
    gate = new_gate()
    proxy.act = gate.hold
    callers = [spawn(proxy.read, key) for key in range(3 * background._MOST)]
    until(lambda: proxy.loads == 3 * background._MOST, "a load stands in a queue")
    gate.open()
    assert sorted(caller.result() for caller in callers) == list(range(1, 3 * background._MOST + 1))


def test_where_no_thread_can_be_started_the_load_runs_where_it_is_called(monkeypatch):
    """At the end of the interpreter calls are answered all the same."""
    proxy = wrapped(LONG)
    monkeypatch.setattr(background, "_pool", background.Pool())

    def no_thread(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    assert proxy.read(1) == 1
    assert set(proxy.threads) == {threading.current_thread()}


def test_close_lets_callers_load_anew(gate, spawn, joined):
    """Who waits for a load that `close` has ended loads again."""
    proxy = wrapped(LONG)
    proxy.act = gate.hold
    waiting = spawn(proxy.read, 1)
    gate.reached()
    joined(proxy.read, 1)
    proxy.act = lambda: None
    pussycache.cache_of(proxy).close()
    assert waiting.result() == 2


def test_tasks_give_up_too_and_their_load_goes_on(run):
    """For a coroutine method the load is a task of its own."""
    proxy = wrapped()

    async def main():
        opened = asyncio.Event()
        proxy.act = opened.wait
        with pytest.raises(LoadTimeout):
            await proxy.aread(1)
        opened.set()
        while background._under_way:
            await asyncio.sleep(0)
        assert await proxy.aread(1) == 1

    run(main)
    assert proxy.loads == 1


def test_tasks_share_one_load_and_a_cancelled_caller_ends_no_load(run):
    """Whoever is cancelled, the others are answered."""
    proxy = wrapped(LONG)

    async def main():
        opened = asyncio.Event()
        proxy.act = opened.wait
        callers = [asyncio.create_task(proxy.aread(1)) for _ in range(3)]
        while not proxy.loads:
            await asyncio.sleep(0)
        callers[0].cancel()
        await asyncio.sleep(0)
        opened.set()
        assert [await caller for caller in callers[1:]] == [1, 1]

    run(main)
    assert proxy.loads == 1


@pytest.mark.parametrize("timeout", [0, -1, "1", float("nan")], ids=str)
def test_bad_input_is_refused_at_declaration(timeout):
    """What is no time to wait is named, with the remedy."""
    with pytest.raises(pussycache.ConfigurationError, match="timeout must"):
        Cached(timeout=timeout)
