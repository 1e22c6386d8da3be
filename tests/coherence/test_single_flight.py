"""One load for many callers: threads, recursion, and loads that end badly."""

import asyncio
import contextvars
import multiprocessing
import os
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

import pussycache
from pussycache import MISSING, Cached, Forget, MemoryCache


class Slow:
    """Holds every first load of a key at the gate."""

    def __init__(self, gate, outcome=lambda: "value"):
        self.gate = gate
        self.outcome = outcome
        self.loads = []

    def read(self, key=1):
        self.loads.append(key)
        if len(self.loads) == 1:
            self.gate.hold()
            return self.outcome()
        return "another"

    def write(self, key=1):
        pass


def slow(gate, *args, **options):
    return pussycache.wrap(
        Slow(gate, *args),
        cached_methods=options.pop("cached_methods", ["read"]),
        invalidate_methods={"write": ["read"]},
        **options,
    )


def raising(error):
    def outcome():
        raise error

    return outcome


def test_threads_share_one_load(gate, spawn, joined):
    """Many threads on a cold key load once, and are all given the same object."""
    proxy = slow(gate, object)
    callers = [spawn(proxy.read, 1) for _ in range(12)]
    gate.reached()
    joined(proxy.read, 11)
    gate.open()
    assert len({id(caller.result()) for caller in callers}) == 1
    assert proxy.loads == [1]
    figures = pussycache.info(proxy.read)
    assert (figures.hits, figures.misses, figures.loads) == (0, 12, 1)


def test_different_keys_do_not_wait_for_one_another(gate, spawn):
    """A load of one key holds up no call of another."""
    proxy = slow(gate)
    loading = spawn(proxy.read, 1)
    gate.reached()
    assert proxy.read(2) == "another"
    assert proxy.read(1.0) == "another"
    gate.open()
    loading.result()


def test_a_load_that_raises_raises_in_every_waiter(gate, spawn, joined):
    """All who waited get the error, nothing is stored, and the next call loads again."""
    proxy = slow(gate, raising(LookupError("no such thing")))
    callers = [spawn(proxy.read, 1) for _ in range(5)]
    gate.reached()
    joined(proxy.read, 4)
    gate.open()
    for caller in callers:
        with pytest.raises(LookupError, match="no such thing"):
            caller.result()
    assert proxy.loads == [1]
    assert pussycache.peek(proxy.read, 1) is MISSING
    assert proxy.read(1) == "another"
    assert pussycache.info(proxy.read).failures == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_load_that_is_interrupted_takes_no_waiter_with_it(error, gate, spawn, joined):
    """What is meant for one thread is raised in it alone; one of the waiters loads."""
    proxy = slow(gate, raising(error()))
    loading = spawn(proxy.read, 1)
    gate.reached()
    waiting = [spawn(proxy.read, 1) for _ in range(4)]
    joined(proxy.read, 4)
    gate.open()
    assert loading.raised() is error
    assert [one.raised() for one in waiting] == [None] * 4
    assert [one.result() for one in waiting] == ["another"] * 4
    assert proxy.loads == [1, 1]


def test_stop_iteration_is_an_error_like_others(gate, spawn, joined):
    """A load that raises StopIteration raises it in the caller and in the waiters."""
    proxy = slow(gate, raising(StopIteration("end")))
    callers = [spawn(proxy.read, 1) for _ in range(3)]
    gate.reached()
    joined(proxy.read, 2)
    gate.open()
    for caller in callers:
        with pytest.raises(StopIteration, match="end"):
            caller.result()


@pytest.mark.parametrize("field", ["when", "ttl", "copy"])
def test_a_policy_that_raises_raises_in_every_waiter(field, gate, spawn, joined):
    """An error of the user's own callable ends the load as an error of the load does."""
    proxy = slow(gate, cached_methods={"read": pussycache.Cached(**{field: lambda result: 1 / 0})})
    callers = [spawn(proxy.read, 1) for _ in range(3)]
    gate.reached()
    joined(proxy.read, 2)
    gate.open()
    for caller in callers:
        with pytest.raises(ZeroDivisionError):
            caller.result()
    assert pussycache.peek(proxy.read, 1) is MISSING
    assert proxy.loads == [1]


@pytest.mark.parametrize("by_argument", [True, False])
def test_a_call_after_a_write_does_not_join_an_older_load(by_argument, gate, spawn, joined):
    """Who waited before the write is answered by the old load; who comes after it loads."""
    proxy = pussycache.wrap(
        Slow(gate),
        cached_methods=["read"],
        invalidate_methods={"write": [Forget("read", "key") if by_argument else "read"]},
    )
    loading = spawn(proxy.read, 1)
    gate.reached()
    waiting = spawn(proxy.read, 1)
    joined(proxy.read, 1)
    proxy.write(1)
    assert proxy.read(1) == "another"
    gate.open()
    assert loading.result() == waiting.result() == "value"
    assert proxy.read(1) == "another"
    assert proxy.loads == [1, 1]


@pytest.mark.parametrize("by_argument", [True, False])
def test_a_waiter_of_an_overtaken_load_that_was_interrupted_loads_again(
    by_argument, gate, spawn, joined
):
    """A waiter whose load is overtaken and then given up is not stuck."""
    proxy = pussycache.wrap(
        Slow(gate, raising(KeyboardInterrupt())),
        cached_methods=["read"],
        invalidate_methods={"write": [Forget("read", "key") if by_argument else "read"]},
    )
    loading = spawn(proxy.read, 1)
    gate.reached()
    waiting = spawn(proxy.read, 1)
    joined(proxy.read, 1)
    proxy.write(1)
    gate.open()
    assert (loading.raised(), waiting.raised()) == (KeyboardInterrupt, None)
    assert waiting.result() == "another"


def test_what_cannot_be_stored_is_still_shared(gate, spawn, joined):
    """A result with a ttl of 0 goes to all who waited, and no further."""
    proxy = slow(gate, object, cached_methods={"read": 0})
    callers = [spawn(proxy.read, 1) for _ in range(3)]
    gate.reached()
    joined(proxy.read, 2)
    gate.open()
    assert len({id(caller.result()) for caller in callers}) == 1
    assert proxy.read(1) == "another"


def test_a_refresh_is_one_load_for_those_who_miss(gate, spawn, joined):
    """Who calls while a cold key is refreshed waits for it; an older load is not stored."""
    proxy = slow(gate)
    refreshing = spawn(pussycache.refresh, proxy.read, 1)
    gate.reached()
    waiting = spawn(proxy.read, 1)
    joined(proxy.read, 1)
    gate.open()
    assert refreshing.result() == waiting.result() == "value"
    assert proxy.loads == [1]


@pytest.mark.parametrize("guard", [False, True], ids=["plain", "guarded"])
@pytest.mark.parametrize("ttls", [[None], [60], [60, None]], ids=["ever", "timed", "mixed"])
def test_others_are_served_while_a_refresh_runs(ttls, guard, new_gate, spawn):
    """A refresh replaces what is remembered when it ends, and not before, however it is read."""
    first, second = new_gate(), new_gate()

    class Versions:
        version = 0

        def read(self):
            self.version += 1
            if self.version == 2:
                second.hold()
            return [self.version]

    first.open()
    target, cache = Versions(), MemoryCache()
    policies = [Cached(ttl=ttl, guard=guard) for ttl in ttls]
    proxies = [pussycache.wrap(target, cache, cached_methods={"read": said}) for said in policies]
    proxy = proxies[0]
    assert proxy.read() == [1]
    refreshing = spawn(pussycache.refresh, proxy.read)
    second.reached()
    readers = [spawn(one.read) for one in proxies]
    assert [reader.result() for reader in readers] == [[1]] * len(ttls)
    second.open()
    assert refreshing.result() == [2]
    assert proxy.read() == [2]


def test_a_refresh_that_raises_leaves_what_is_remembered(run):
    """A failed refresh raises, and the old value is still served."""

    class Once:
        calls = 0

        def read(self):
            self.calls += 1
            if self.calls > 1:
                raise LookupError
            return "first"

    proxy = pussycache.wrap(Once(), cached_methods=["read"])
    assert proxy.read() == "first"
    with pytest.raises(LookupError):
        pussycache.refresh(proxy.read)
    assert proxy.read() == "first"


# Recursion.


class Recursive:
    """Calls itself as it is told: by key, what to call next."""

    def __init__(self, plan):
        self.plan = plan
        self.depth = {}

    def a(self, key):
        return self._next("a", key)

    def b(self, key):
        return self._next("b", key)

    def _next(self, name, key):
        depth = self.depth[name, key] = self.depth.get((name, key), 0) + 1
        following = self.plan.get((name, key), [])
        if depth > 1 or not following:
            return [f"{name}{key}"]
        return [f"{name}{key}", *[getattr(self, n)(k) for n, k in following]]


@pytest.mark.parametrize(
    "plan",
    [
        {("a", 1): [("a", 1)]},
        {("a", 1): [("a", 2)], ("a", 2): [("a", 1)]},
        {("a", 1): [("b", 1)], ("b", 1): [("a", 1)]},
        {("a", 1): [("b", 1), ("b", 2)], ("b", 1): [("a", 2)], ("a", 2): [("a", 1), ("b", 2)]},
    ],
    ids=["itself", "other key", "other method", "round about"],
)
def test_a_load_that_needs_itself_computes(plan, spawn):
    """A method that calls itself, directly or through another, answers as without a cache."""
    bare = Recursive(plan).a(1)
    proxy = pussycache.wrap(Recursive(plan), cached_methods=["a", "b"], self_calls=True)
    assert spawn(proxy.a, 1).result() == bare


def test_recursion_over_keys_loads_each_once():
    """A recursive method is linear in its distinct keys."""

    class Fibonacci:
        loads = 0

        def of(self, n):
            self.loads += 1
            return n if n < 2 else self.of(n - 1) + self.of(n - 2)

    target = Fibonacci()
    proxy = pussycache.wrap(target, cached_methods=["of"], self_calls=True)
    assert proxy.of(60) == 1548008755920
    assert pussycache.info(proxy.of).loads == 61


def test_two_threads_that_cross_do_not_wait_for_one_another(new_gate, spawn):
    """One loads a and needs b, the other loads b and needs a: one of them computes."""
    at_a, at_b = new_gate(), new_gate()

    class Crossing:
        def a(self):
            if threading.current_thread() in first:
                at_a.hold()
                return ["a", self.b()]
            return ["a"]

        def b(self):
            if threading.current_thread() in second:
                at_b.hold()
                return ["b", self.a()]
            return ["b"]

    first, second = [], []
    proxy = pussycache.wrap(Crossing(), cached_methods=["a", "b"], self_calls=True)

    def call(who, method):
        who.append(threading.current_thread())
        return method()

    one = spawn(call, first, proxy.a)
    at_a.reached()
    other = spawn(call, second, proxy.b)
    at_b.reached()
    at_a.open()
    at_b.open()
    assert one.result()[0] == "a"
    assert other.result()[0] == "b"


@pytest.mark.parametrize("outer_first", [True, False])
def test_a_load_within_a_load_crosses_with_another(outer_first, new_gate, spawn, joined):
    """One loads a, within it b, and needs c; the other loads c and needs a."""
    at_b, at_c = new_gate(), new_gate()
    depth = {}

    class Crossing:
        def a(self):
            depth["a"] = depth.get("a", 0) + 1
            return ["a", *self.b()] if depth["a"] == 1 else ["a"]

        def b(self):
            at_b.hold()
            return ["b", *self.c()]

        def c(self):
            depth["c"] = depth.get("c", 0) + 1
            if depth["c"] > 1:
                return ["c"]
            at_c.hold()
            return ["c", *self.a()]

    proxy = pussycache.wrap(Crossing(), cached_methods=["a", "b", "c"], self_calls=True)
    one = spawn(proxy.a)
    at_b.reached()
    other = spawn(proxy.c)
    at_c.reached()
    if outer_first:
        at_b.open()
        joined(proxy.c, 1)
        at_c.open()
        assert other.result() == ["c", "a"]
        assert one.result() == ["a", "b", "c", "a"]
    else:
        at_c.open()
        joined(proxy.a, 1)
        at_b.open()
        assert one.result() == ["a", "b", "c"]
        assert other.result() == ["c", "a", "b", "c"]


@pytest.mark.parametrize("raises", [True, False])
def test_nothing_is_kept_of_a_wait_that_is_over(raises, gate, spawn, joined):
    """Who waited for whom is forgotten when the load has ended, well or badly."""
    from pussycache.engine import singleflight

    class Waiting:
        def outer(self):
            return ["outer", *self.inner()]

        def inner(self):
            gate.hold()
            if raises:
                raise LookupError
            return ["inner"]

    before = len(singleflight._waits)
    proxy = pussycache.wrap(Waiting(), cached_methods=["outer", "inner"], self_calls=True)
    inner = spawn(proxy.inner)
    gate.reached()
    outer = spawn(proxy.outer)
    joined(proxy.inner, 1)
    assert len(singleflight._waits) == before + 1
    gate.open()
    assert inner.raised() is outer.raised() is (LookupError if raises else None)
    assert len(singleflight._waits) == before


def test_three_threads_in_a_ring(new_gate, spawn):
    """Three loads that each need the next do not wait for ever."""
    gates = [new_gate() for _ in range(3)]
    inside = contextvars.ContextVar("inside", default=False)

    class Ring:
        def get(self, n):
            if inside.get():
                return [n]
            inside.set(True)
            gates[n].hold()
            return [n, *self.get((n + 1) % 3)]

    proxy = pussycache.wrap(Ring(), cached_methods=["get"], self_calls=True)
    threads = [spawn(proxy.get, n) for n in range(3)]
    for one in gates:
        one.reached()
    for one in gates:
        one.open()
    for n, thread in enumerate(threads):
        assert thread.result()[:2] == [n, (n + 1) % 3]


def test_a_load_in_a_pool_that_needs_the_load_it_belongs_to(spawn):
    """A load that hands part of its work to a copy of its context does not wait for itself."""

    class Pooled:
        calls = 0

        def read(self):
            self.calls += 1
            if self.calls > 1:
                return "inner"
            with ThreadPoolExecutor(1) as pool:
                context = contextvars.copy_context()
                return ["outer", pool.submit(context.run, self.read).result(5)]

    proxy = pussycache.wrap(Pooled(), cached_methods=["read"], self_calls=True)
    assert spawn(proxy.read).result() == ["outer", "inner"]


@pytest.mark.parametrize("room", range(4))
def test_running_out_of_stack_leaves_no_load_behind(room, spawn):
    """After a RecursionError, calls of the same keys load, and do not wait for what never ends."""

    class Deep:
        bottom = 10**6

        def read(self, n):
            return 0 if n >= self.bottom else 1 + self.read(n + 1)

    target = Deep()
    proxy = pussycache.wrap(target, cached_methods=["read"], self_calls=True)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(400 + room)
    try:
        with pytest.raises(RecursionError):
            proxy.read(0)
    finally:
        sys.setrecursionlimit(limit)
    target.bottom = 0
    for n in range(200):
        assert spawn(proxy.read, n).result() == 0


def test_a_caller_that_is_killed_between_two_steps_leaves_no_load_behind():
    """A flow that is closed where its load should run takes its load away with it."""
    from pussycache.engine.flow import answer

    proxy = pussycache.wrap([7], cached_methods=["index"])
    handle = type(proxy).__dict__["index"].__pussycache__
    table = handle.table(proxy)
    flow = answer(handle.plan(table), table, handle.bind(7), proxy._proxied)
    flow.send(None)
    flow.close()
    assert not table.flights


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_does_not_wait_for_its_parents_load(gate, spawn):
    """A load that ran in the parent when it forked ends in the parent only: the child loads."""
    proxy = slow(gate)
    loading = spawn(proxy.read, 1)
    gate.reached()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = multiprocessing.get_context("fork").Process(target=proxy.read, args=(1,))
        child.start()
    child.join(60)
    came_back = child.exitcode == 0
    child.kill()
    child.join()
    gate.open()
    loading.result()
    assert came_back


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize(
    "rule",
    ["*", "read", Forget("read", key=lambda call: 1)],
    ids=["everything", "method", "callable"],
)
def test_a_forked_child_does_not_wait_for_its_parents_write(rule, gate, spawn):
    """A write that ran in the parent when it forked ends in the parent only: the child caches."""

    class Writer:
        def read(self, key=1):
            return object()

        def first_read_later(self):
            return object()

        def write(self):
            gate.hold()

    target, cache = Writer(), pussycache.MemoryCache()
    proxy = pussycache.wrap(
        target, cache, cached_methods=["read"], invalidate_methods={"write": [rule]}
    )
    for key in range(10):
        proxy.read(key)
    writing = spawn(proxy.write)
    gate.reached()

    def child():
        later = pussycache.wrap(target, cache, cached_methods=["first_read_later"])
        assert later.first_read_later() is later.first_read_later()
        assert proxy.read(1) is proxy.read(1)
        entries = pussycache.info(proxy).entries
        assert len(cache) == entries, f"counted {len(cache)} of {entries}"

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
    process.join(60)
    ended_well = process.exitcode == 0
    process.kill()
    process.join()
    gate.open()
    writing.result()
    assert ended_well


def test_threads_and_loops_share_one_load(gate, spawn, joined):
    """Tasks of two event loops and one cache: one load, and each is answered in its own loop."""

    class Slowly:
        loads = 0

        async def read(self):
            self.loads += 1
            await asyncio.to_thread(gate.hold)
            return object()

    proxy = pussycache.wrap(Slowly(), cached_methods=["read"])

    def in_a_loop():
        async def main():
            return await asyncio.gather(proxy.read(), proxy.read())

        return asyncio.run(asyncio.wait_for(main(), 10))

    threads = [spawn(in_a_loop) for _ in range(3)]
    gate.reached()
    joined(proxy.read, 5)
    gate.open()
    results = [result for thread in threads for result in thread.result()]
    assert len(set(map(id, results))) == 1
    assert proxy.loads == 1
