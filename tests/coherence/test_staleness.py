"""Old values: who is given one, who renews it, and that none is served across a write."""

import asyncio
import contextvars
import gc
import logging
import os
import sys
import threading
import weakref

import pytest
from sources import Source

import pussycache
from pussycache import Cached, Forget, MemoryCache
from pussycache.engine import background
from pussycache.testing import FakeClock


def wrapped(source=None, rule="read", cache=None, **said):
    policy = Cached(ttl=10, **said)
    return pussycache.wrap(
        source or Source(),
        cache,
        cached_methods={"read": policy, "aread": policy},
        invalidate_methods={"write": [rule, "aread"]},
    )


RULES = pytest.mark.parametrize("rule", ["read", Forget("read", "key")], ids=["method", "argument"])


def renewed(proxy, until, count=1):
    """Wait until so many refreshes have ended."""
    until(
        lambda: pussycache.info(proxy.read).refreshes == count and not background._under_way,
        "nothing was refreshed",
    )


# stale_for


def test_stale_for_answers_at_once_and_renews_in_the_background(clock, gate, spawn, until):
    """After the ttl everybody is given the old value while one load runs beside; then the new."""
    proxy = wrapped(stale_for=5)
    assert proxy.read(1) == 1
    proxy.act = gate.hold
    clock.advance(10)
    assert [proxy.read(1) for _ in range(3)] == [1, 1, 1]
    gate.reached()
    assert [running.result() for running in [spawn(proxy.read, 1) for _ in range(5)]] == [1] * 5
    gate.open()
    renewed(proxy, until)
    assert proxy.read(1) == 2
    assert proxy.loads == 2
    info = pussycache.info(proxy.read)
    assert (info.hits, info.misses, info.stale, info.refreshes) == (9, 1, 8, 1)
    assert proxy.threads[0] is not proxy.threads[1]


def test_after_the_window_a_caller_waits(clock):
    """When ttl and stale_for are over, the old value is gone."""
    proxy = wrapped(stale_for=5)
    proxy.read(1)
    clock.advance(15)
    assert pussycache.peek(proxy.read, 1) is pussycache.MISSING
    assert len(pussycache.cache_of(proxy)) == 0
    assert proxy.read(1) == 2
    assert pussycache.info(proxy.read).stale == 0


def test_after_the_window_a_caller_joins_the_refresh_that_runs(clock, gate, spawn, joined):
    """A refresh that was begun in time is the load that later callers wait for."""
    proxy = wrapped(stale_for=5)
    proxy.read(1)
    proxy.act = gate.hold
    clock.advance(14)
    proxy.read(1)
    gate.reached()
    clock.advance(1)
    late = spawn(proxy.read, 1)
    joined(proxy.read, 1)
    gate.open()
    assert late.result() == 2
    assert proxy.loads == 2


def test_what_ages_is_a_hit_until_then(clock):
    """Before the ttl is over, stale_for changes nothing."""
    proxy = wrapped(stale_for=5, stale_if_error=5)
    proxy.read(1)
    clock.advance(9.9)
    assert proxy.read(1) == 1
    assert pussycache.explain(proxy.read, 1).detail == "good for 0.1 s more"
    assert pussycache.info(proxy.read).stale == 0


@RULES
def test_a_write_during_the_background_refresh(rule, clock, gate, until):
    """A refresh that a write overtakes is not stored, and the old value is served no more."""
    proxy = wrapped(rule=rule, stale_for=5)
    proxy.read(1)
    proxy.act = gate.hold
    clock.advance(10)
    assert proxy.read(1) == 1
    gate.reached()
    proxy.write(1)
    proxy.act = lambda: None
    assert proxy.read(1) == 3
    gate.open()
    renewed(proxy, until)
    assert proxy.read(1) == 3


@RULES
def test_no_old_value_and_no_refresh_while_a_writer_is_at_work(rule, clock):
    """From the start of a write the old value is not served, and nothing is renewed beside it."""
    proxy = wrapped(rule=rule, stale_for=5)
    proxy.read(1)
    clock.advance(10)
    with pussycache.writing(proxy.write, 1):
        assert proxy.read(1) == 2
        assert proxy.read(1) == 3
    assert proxy.read(1) == 4
    assert pussycache.info(proxy.read).refreshes == 0


def test_stale_values_of_tasks_are_renewed_by_a_task(clock, run):
    """For a coroutine method the refresh is a task of the running loop, also with its answer."""
    proxy = wrapped(stale_for=5)

    async def main():
        assert await proxy.aread(1) == 1
        clock.advance(10)
        opened = asyncio.Event()
        proxy.act = opened.wait
        assert [await proxy.aread(1) for _ in range(3)] == [1, 1, 1]
        gc.collect()
        opened.set()
        proxy.act = lambda: None
        while pussycache.info(proxy.aread).refreshes == 0:
            await asyncio.sleep(0)
        assert await proxy.aread(1) == 2

    run(main)
    assert proxy.loads == 2
    assert not background._under_way


def test_a_write_during_the_refresh_of_a_task(clock, run):
    """A task's refresh that a write overtakes is not stored either."""
    proxy = wrapped(stale_for=5)

    async def main():
        await proxy.aread(1)
        clock.advance(10)
        entered, opened = asyncio.Event(), asyncio.Event()

        async def hold():
            entered.set()
            await opened.wait()

        proxy.act = hold
        await proxy.aread(1)
        await entered.wait()
        proxy.write(1)
        opened.set()
        proxy.act = lambda: None
        while pussycache.info(proxy.aread).refreshes == 0:
            await asyncio.sleep(0)
        assert await proxy.aread(1) == 3

    run(main)


def test_a_loop_that_closes_before_its_refresh_is_in_nobodys_way(clock):
    """A refresh whose loop ends first is forgotten; the next loop begins another."""
    proxy = wrapped(stale_for=5)

    async def first():
        await proxy.aread(1)
        clock.advance(10)
        proxy.act = asyncio.Event().wait
        assert await proxy.aread(1) == 1

    async def second():
        proxy.act = lambda: None
        assert await proxy.aread(1) == 1
        while pussycache.info(proxy.aread).loads < 2:
            await asyncio.sleep(0)
        return await proxy.aread(1)

    asyncio.run(first())
    assert asyncio.run(second()) > 1
    assert not background._under_way


def test_who_comes_late_renews_nothing(clock):
    """Who saw an old entry that has been renewed since starts no refresh of the new one."""
    proxy = wrapped(stale_for=5)
    proxy.read(1)
    table = proxy.read.__pussycache__.table(proxy)
    ((key, entry),) = table.entries.items()
    assert table.begin_again(key, (1,), entry) is not None
    pussycache.refresh(proxy.read, 1)
    assert table.begin_again(key, (1,), entry) is None


def test_a_proxy_without_the_policy_serves_no_old_value(clock):
    """What one proxy of an object keeps beyond its ttl is not served by another that does not."""
    source, cache = Source(), MemoryCache()
    lenient = wrapped(source, cache=cache, stale_for=5)
    strict = wrapped(source, cache=cache)
    assert (lenient.read(1), strict.read(1)) == (1, 1)
    clock.advance(10)
    assert strict.read(1) == 2


# What the background is, and is not.


def test_the_callers_context_goes_with_a_refresh(clock, until):
    """A refresh sees the context variables of the call that started it."""
    tenant = contextvars.ContextVar("tenant", default="nobody")
    seen = []
    proxy = wrapped(stale_for=5)
    proxy.read(1)
    proxy.act = lambda: seen.append(tenant.get())
    clock.advance(10)
    token = tenant.set("ada")
    proxy.read(1)
    tenant.reset(token)
    renewed(proxy, until)
    assert seen == ["ada"]


def test_a_failed_refresh_is_counted_logged_and_tried_again_after_a_pause(clock, until, caplog):
    """An exception in the background is never lost, and does not come at every call."""
    proxy = wrapped(stale_for=5)
    proxy.read(1)

    def fail():
        raise OSError("no route")

    proxy.act = fail
    clock.advance(10)
    with caplog.at_level(logging.WARNING, "pussycache"):
        assert proxy.read(1) == 1
        renewed(proxy, until)
    assert "Source.read" in caplog.text
    assert "no route" in caplog.text
    assert proxy.read(1) == 1
    assert proxy.loads == 2
    info = pussycache.info(proxy.read)
    assert (info.failures, info.refresh_failures) == (1, 1)
    said = str(pussycache.explain(proxy.read, 1))
    assert "stale for 0 s" in said
    assert "OSError: no route" in said
    proxy.act = lambda: None
    clock.advance(0.1)
    assert proxy.read(1) == 1
    renewed(proxy, until, 2)
    assert proxy.read(1) == 3


def test_an_object_is_not_kept_alive_for_a_refresh(clock, monkeypatch):
    """A refresh that has not begun goes with its object."""
    jobs = []
    monkeypatch.setattr(background._pool, "submit", lambda job, at_once: jobs.append(job) or True)
    source = Source()
    proxy = wrapped(source, stale_for=5)
    proxy.read(1)
    clock.advance(10)
    proxy.read(1)
    alive, table = weakref.ref(source), proxy.read.__pussycache__.table(proxy)
    assert len(jobs) == 1
    del source, proxy
    gc.collect()
    assert alive() is None
    jobs.pop()()
    assert (table.loads, table.failures, table.flights) == (1, 0, {})
    assert not background._under_way


def test_close_ends_what_is_done_in_the_background(clock, gate, until):
    """What a refresh brings after the cache was closed is not stored."""
    proxy = wrapped(stale_for=5)
    proxy.read(1)
    proxy.act = gate.hold
    clock.advance(10)
    proxy.read(1)
    gate.reached()
    pussycache.cache_of(proxy).close()
    assert not background._under_way
    gate.open()
    renewed(proxy, until)
    clock.advance(5)
    proxy.act = lambda: None
    assert proxy.read(1) == 3


def test_close_cancels_tasks(clock, run):
    """A refresh that runs as a task is cancelled when the cache is closed."""
    proxy = wrapped(stale_for=5)
    cancelled = []

    async def hold():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def main():
        await proxy.aread(1)
        clock.advance(10)
        proxy.act = hold
        await proxy.aread(1)
        await asyncio.sleep(0)
        pussycache.cache_of(proxy).close()
        while not cancelled:
            await asyncio.sleep(0)

    run(main)


def test_where_no_thread_can_be_started_the_old_value_is_served(clock, monkeypatch):
    """At the end of the interpreter nothing is renewed, and nothing is left behind."""
    proxy = wrapped(stale_for=5)
    proxy.read(1)
    clock.advance(10)
    monkeypatch.setattr(background, "_pool", background.Pool())
    monkeypatch.setattr(threading.Thread, "start", _no_thread)
    assert proxy.read(1) == 1
    monkeypatch.undo()
    assert not background._under_way
    clock.advance(5)
    assert proxy.read(1) == 2


def _no_thread(thread):
    raise RuntimeError("can't start new thread")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own(clock, gate, until):
    """A child that was forked during a refresh refreshes by itself."""
    proxy = wrapped(stale_for=5)
    for key in (1, 2):
        proxy.read(key)
    clock.advance(10)
    # One thread has nothing to do, and another one has.
    proxy.read(2)
    until(lambda: background._pool._idle > 0, "no thread is idle")
    proxy.act = gate.hold
    proxy.read(1)
    gate.reached()
    until(lambda: background._pool._idle == 0 or background._pool._threads > 1, "no thread works")
    background._pool.submit(lambda: None, at_once=True)
    until(lambda: background._pool._idle > 0, "no thread is idle")
    child = os.fork()
    if not child:
        code = 1
        try:
            proxy.act = lambda: None
            if proxy.read(1) == 1:
                until(lambda: proxy.read(1) > 3)
                code = 0
        finally:
            os._exit(code)
    gate.open()
    assert os.waitpid(child, 0)[1] == 0


# stale_if_error


def failing(proxy):
    def fail():
        raise OSError("no route")

    proxy.act = fail


def test_stale_if_error_answers_a_failed_load_with_the_old_value(clock):
    """After the ttl each call loads; where that fails it is given the old value, until the end."""
    proxy = wrapped(stale_if_error=100)
    proxy.read(1)
    clock.advance(10)
    assert pussycache.peek(proxy.read, 1) is pussycache.MISSING
    assert "the old value is served if the load fails" in str(pussycache.explain(proxy.read, 1))
    failing(proxy)
    assert proxy.read(1) == 1
    info = pussycache.info(proxy.read)
    assert (info.misses, info.failures, info.stale) == (2, 1, 1)
    assert "OSError: no route" in str(pussycache.explain(proxy.read, 1))
    clock.advance(100)
    with pytest.raises(OSError, match="no route"):
        proxy.read(1)


def test_between_attempts_lies_a_pause_twice_as_long_each_time(clock):
    """While a load fails it is tried after 0.1 s, 0.2 s and so on, and not at every call."""
    proxy = wrapped(stale_if_error=1000)
    proxy.read(1)
    failing(proxy)
    clock.advance(10)
    tried = []
    for _ in range(100):
        before = proxy.loads
        assert proxy.read(1) == 1
        if proxy.loads > before:
            tried.append(round(clock() - 1010, 2))
        clock.advance(0.125)
    assert tried == [0.0, 0.12, 0.38, 0.88, 1.75, 3.38, 6.62]
    clock.advance(3.2)
    proxy.act = lambda: None
    assert proxy.read(1) == 9
    assert pussycache.explain(proxy.read, 1).detail == "good for 10 s more"


def test_pauses_have_an_end(clock):
    """However often a load failed, it is tried every ten seconds."""
    proxy = wrapped(stale_if_error=100_000)
    proxy.read(1)
    failing(proxy)
    clock.advance(10)
    for _ in range(1500):
        proxy.read(1)
        clock.advance(10)
    assert proxy.loads == 1501


@RULES
def test_a_write_between_the_failed_load_and_the_old_value(rule, clock):
    """A write while the load fails takes the old value away: the error is raised."""
    proxy = wrapped(rule=rule, stale_if_error=100)
    proxy.read(1)
    clock.advance(10)

    def fail():
        proxy.write(1)
        raise OSError("no route")

    proxy.act = fail
    with pytest.raises(OSError, match="no route"):
        proxy.read(1)


@RULES
def test_a_write_at_any_line_of_a_failing_load(rule, clock):
    """Wherever a write happens while an old value is looked up, no later call is given it."""
    engine = os.path.dirname(background.__file__)
    step = lines = 0
    while step <= lines:
        proxy = wrapped(rule=rule, stale_if_error=100)
        proxy.read(1)
        clock.advance(10)
        failing(proxy)
        lines, written = 0, False

        def line(frame, event, arg, at=step, proxy=proxy):
            nonlocal lines, written
            if event == "line":
                lines += 1
                if lines > at and not written:
                    cache = pussycache.cache_of(proxy)
                    if not cache.lock._is_owned():
                        written = True
                        proxy.write(1)
            return line

        def trace(frame, event, arg, line=line):
            return line if frame.f_code.co_filename.startswith(engine) else None

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            proxy.read(1)
        except OSError:
            pass
        finally:
            sys.settrace(before)
        proxy.act = lambda: None
        loads = proxy.loads
        assert proxy.read(1) > loads or not written, f"an old value after a write at line {step}"
        step += 1
    assert lines > 20


def test_who_waits_for_a_failing_load_is_given_the_old_value(clock, gate, spawn, joined):
    """Single-flight: one load fails, and all who waited are answered."""
    proxy = wrapped(stale_if_error=100)
    proxy.read(1)
    clock.advance(10)

    def fail():
        gate.hold()
        raise OSError("no route")

    proxy.act = fail
    callers = [spawn(proxy.read, 1) for _ in range(4)]
    gate.reached()
    joined(proxy.read, 3)
    gate.open()
    assert [caller.result() for caller in callers] == [1] * 4
    assert proxy.loads == 2
    assert pussycache.info(proxy.read).stale == 4


def test_a_task_whose_load_fails_is_given_the_old_value(clock, run):
    """stale_if_error is the same for coroutine methods."""
    proxy = wrapped(stale_if_error=100)

    async def fail():
        raise OSError("no route")

    async def main():
        await proxy.aread(1)
        clock.advance(10)
        proxy.act = fail
        assert [await proxy.aread(1), await proxy.aread(1)] == [1, 1]

    run(main)
    assert proxy.loads == 2


def test_a_refresh_by_hand_tells_that_it_failed(clock):
    """`refresh` raises what the load raised, though callers are given an old value."""
    proxy = wrapped(stale_if_error=100)
    proxy.read(1)
    clock.advance(10)
    failing(proxy)
    with pytest.raises(OSError, match="no route"):
        pussycache.refresh(proxy.read, 1)
    assert proxy.read(1) == 1


def test_what_is_no_exception_is_raised(clock):
    """Ctrl-C during a load is not answered with an old value."""
    proxy = wrapped(stale_if_error=100)
    proxy.read(1)
    clock.advance(10)

    def interrupt():
        raise KeyboardInterrupt

    proxy.act = interrupt
    with pytest.raises(KeyboardInterrupt):
        proxy.read(1)


def test_both_windows_count_from_the_end_of_the_ttl(clock, until):
    """Old at once for stale_for, and after that for stale_if_error only if the load fails."""
    proxy = wrapped(stale_for=5, stale_if_error=20)
    proxy.read(1)
    failing(proxy)
    clock.advance(14)
    assert proxy.read(1) == 1
    renewed(proxy, until)
    clock.advance(1)
    assert proxy.read(1) == 1
    assert proxy.loads == 3
    proxy.act = lambda: None
    clock.advance(1)
    assert proxy.read(1) == 4


# refresh_ahead


def test_refresh_ahead_renews_what_is_used_near_its_end(clock, gate, spawn, until):
    """A hit in the last part of the ttl starts one refresh, and everybody is given the value."""
    proxy = wrapped(refresh_ahead=0.8)
    proxy.read(1)
    clock.advance(7.9)
    assert proxy.read(1) == 1
    proxy.act = gate.hold
    clock.advance(0.1)
    assert "due for a refresh" in str(pussycache.explain(proxy.read, 1))
    assert [proxy.read(1) for _ in range(3)] == [1, 1, 1]
    gate.reached()
    assert [caller.result() for caller in [spawn(proxy.read, 1) for _ in range(3)]] == [1, 1, 1]
    gate.open()
    renewed(proxy, until)
    assert proxy.read(1) == 2
    assert proxy.loads == 2
    clock.advance(7.9)
    assert proxy.read(1) == 2
    info = pussycache.info(proxy.read)
    assert (info.refreshes, info.stale, info.misses) == (1, 0, 1)


def test_unused_values_are_not_renewed(clock):
    """Without a hit in the last part of the ttl there is no refresh, and the value expires."""
    proxy = wrapped(refresh_ahead=0.8)
    proxy.read(1)
    clock.advance(10)
    assert pussycache.peek(proxy.read, 1) is pussycache.MISSING
    assert proxy.read(1) == 2
    assert pussycache.info(proxy.read).refreshes == 0


def test_a_dear_load_is_renewed_earlier(clock, until):
    """A load that took long may be renewed before its time, the likelier the nearer the end."""
    begun = []
    for at in (3.5, 5.0, 7.5):
        early = 0
        for _ in range(200):
            proxy = wrapped(refresh_ahead=0.8)
            proxy.act = lambda: clock.advance(2)
            proxy.read(1)
            proxy.act = lambda: None
            clock.advance(at)
            proxy.read(1)
            table = proxy.read.__pussycache__.table(proxy)
            early += bool(table.flights) or pussycache.info(proxy.read).loads > 1
        begun.append(early)
    assert begun[0] < begun[1] < begun[2] < 200
    # exp(-6.5 / 2), exp(-5 / 2), exp(-2.5 / 2), of 200
    assert begun == pytest.approx([8, 16, 57], abs=15)
    until(lambda: not background._under_way, "a refresh did not end")


def test_a_cheap_load_is_not_renewed_earlier(clock):
    """Where a load takes no time, nothing is drawn before the fraction of the ttl."""
    proxy = wrapped(refresh_ahead=0.8)
    proxy.read(1)
    clock.advance(7.99)
    for _ in range(100):
        proxy.read(1)
    assert pussycache.info(proxy.read).loads == 1
    assert not background._under_way


def test_a_failed_refresh_ahead_is_in_nobodys_way(clock, until):
    """The value is good until its ttl is over, and attempts pause."""
    proxy = wrapped(refresh_ahead=0.5)
    proxy.read(1)
    failing(proxy)
    clock.advance(5)
    assert proxy.read(1) == 1
    renewed(proxy, until)
    assert [proxy.read(1) for _ in range(5)] == [1] * 5
    assert proxy.loads == 2
    assert "OSError" in str(pussycache.explain(proxy.read, 1))


def test_for_ever_is_never_refreshed():
    """A ttl without an end has no last part."""
    proxy = pussycache.wrap(Source(), cached_methods={"read": Cached(refresh_ahead=0, stale_for=1)})
    assert [proxy.read(1) for _ in range(3)] == [1, 1, 1]


# idle_ttl


def test_idle_ttl_forgets_what_is_not_used(clock):
    """A value is good for so long after its last use, and each use moves that on."""
    proxy = pussycache.wrap(Source(), cached_methods={"read": Cached(idle_ttl=10)})
    proxy.read(1)
    (entry,) = proxy.read.__pussycache__.table(proxy).entries.values()
    for step in (9.9, 0, 0.1, 9.9, 5, 9.9):
        clock.advance(step)
        assert proxy.read(1) == 1
        # So that the next hit is a quick one.
        assert entry.expires > clock()
    clock.advance(10)
    assert pussycache.peek(proxy.read, 1) is pussycache.MISSING
    assert len(pussycache.cache_of(proxy)) == 0
    assert proxy.read(1) == 2


def test_looking_is_no_use(clock):
    """`peek`, `explain` and `info` keep no value alive."""
    proxy = pussycache.wrap(Source(), cached_methods={"read": Cached(idle_ttl=10)})
    proxy.read(1)
    clock.advance(9)
    assert pussycache.peek(proxy.read, 1) == 1
    assert pussycache.explain(proxy.read, 1).detail == "good for 1 s more if it is not used"
    assert pussycache.info(proxy.read).entries == 1
    clock.advance(1)
    assert proxy.read(1) == 2


def test_idle_ttl_does_not_prolong_the_ttl(clock):
    """However often a value is used, its ttl ends."""
    proxy = pussycache.wrap(Source(), cached_methods={"read": Cached(ttl=10, idle_ttl=4)})
    proxy.read(1)
    for _ in range(3):
        clock.advance(3)
        assert proxy.read(1) == 1
    clock.advance(1)
    assert proxy.read(1) == 2


def test_idle_ttl_goes_before_old_values(clock):
    """What was not used for so long is not served as an old value either."""
    proxy = wrapped(idle_ttl=4, stale_for=100)
    proxy.read(1)
    clock.advance(4)
    assert proxy.read(1) == 2


def test_a_coroutine_method_forgets_what_is_not_used(clock, run):
    """idle_ttl is the same for coroutine methods."""
    proxy = pussycache.wrap(Source(), cached_methods={"aread": Cached(idle_ttl=10)})

    async def main():
        for step in (0, 9, 9):
            clock.advance(step)
            assert await proxy.aread(1) == 1
        clock.advance(10)
        assert await proxy.aread(1) == 2

    run(main)


def test_hits_by_the_real_clock_note_the_use_too():
    """Where no test moves the time, hits note when they were: also those of the extension."""
    proxy = pussycache.wrap(
        Source(), cached_methods={"read": Cached(idle_ttl=1000), "aread": Cached(idle_ttl=1000)}
    )

    async def aread():
        return await proxy.aread(1)

    for read in (lambda: proxy.read(1), lambda: asyncio.run(aread())):
        read()
    for method, read in (
        (proxy.read, lambda: proxy.read(1)),
        (proxy.aread, lambda: asyncio.run(aread())),
    ):
        (entry,) = method.__pussycache__.table(proxy).entries.values()
        seen = [entry.used]
        for _ in range(3):
            read()
            seen.append(entry.used)
        assert seen == sorted(seen)
        assert len(set(seen)) == 4
        assert entry.hits == 3


def test_a_proxy_without_idle_ttl_shares_the_entries(clock):
    """Of two proxies of one object, only the hits of the one with idle_ttl note the use."""
    source, cache = Source(), MemoryCache()
    idle = pussycache.wrap(source, cache, cached_methods={"read": Cached(ttl=100, idle_ttl=10)})
    other = pussycache.wrap(source, cache, cached_methods={"read": Cached(ttl=100)})
    assert (idle.read(1), other.read(1)) == (1, 1)
    assert (other.read(2), idle.read(2)) == (2, 2)
    clock.advance(10)
    assert idle.read(2) == 2
    assert other.read(1) == 3


# jitter


def test_jitter_spreads_ttls_and_is_the_same_in_each_test():
    """What was stored together expires apart, never later than its ttl, and alike in each test."""

    def lasted():
        with FakeClock() as clock:
            proxy = pussycache.wrap(Source(), cached_methods={"read": Cached(ttl=10, jitter=0.5)})
            for key in range(50):
                proxy.read(key)
            left = []
            for _ in range(11):
                left.append(
                    sum(pussycache.peek(proxy.read, k) is not pussycache.MISSING for k in range(50))
                )
                clock.advance(1)
            return left

    first = lasted()
    assert first == lasted()
    assert first[:5] == [50] * 5
    assert first[10] == 0
    assert len(set(first[5:])) > 4


# A declaration that cannot work.


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"stale_for": -1}, "stale_for must not be negative"),
        ({"stale_for": "5"}, "stale_for must be a number of seconds or a timedelta"),
        ({"stale_if_error": float("nan")}, "stale_if_error must be a number"),
        ({"refresh_ahead": 1.5}, "refresh_ahead must be a fraction between 0 and 1"),
        ({"refresh_ahead": "0.5"}, "refresh_ahead must be a fraction"),
        ({"refresh_ahead": True}, "refresh_ahead must be a fraction"),
        ({"idle_ttl": 0}, "idle_ttl must be more than 0"),
        ({"idle_ttl": -1}, "idle_ttl must not be negative"),
        ({"jitter": -0.1}, "jitter must be a fraction"),
        ({"jitter": None}, "jitter must be a fraction"),
    ],
    ids=lambda value: str(value),
)
def test_bad_input_is_refused_at_declaration(said, message):
    """A field that cannot work is named, with the remedy."""
    with pytest.raises(pussycache.ConfigurationError, match=message):
        Cached(**said)
