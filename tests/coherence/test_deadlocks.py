"""Nothing hangs: loads that wait for one another, and loads that depend on one that waits for them.

Of the former it is known who waits for whom, and nobody waits longer than it takes to see that. Of
the latter it is not: there patience ends, which these tests make short.
"""

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import pussycache
from pussycache import MISSING, Forget
from pussycache.engine.flow import PATIENCE, Wait
from pussycache.engine.generations import Table
from pussycache.engine.singleflight import OVERDUE, Flight

SOON = 0.01


# Known: the wait graph.


class Ring:
    """One of several objects; the load of each, at its outermost, asks the next one's method."""

    inside = contextvars.ContextVar("inside", default=False)

    def __init__(self, name, gate):
        self.name = name
        self.gate = gate
        self.following = None

    def ask(self):
        if self.inside.get():
            return [self.name]
        token = self.inside.set(True)
        try:
            self.gate.hold()
            return [self.name, *self.following.ask()]
        finally:
            self.inside.reset(token)


@pytest.mark.parametrize("members", [2, 3])
@pytest.mark.parametrize("caches", ["one cache", "caches of their own"])
def test_threads_in_a_ring_of_objects(members, caches, new_gate, spawn):
    """Loads of two or three objects that each need the next one's do not wait for ever."""
    shared = pussycache.MemoryCache()
    gates = [new_gate() for _ in range(members)]
    ring = [
        pussycache.wrap(
            Ring(name, gate),
            shared if caches == "one cache" else pussycache.MemoryCache(),
            cached_methods=["ask"],
        )
        for name, gate in enumerate(gates)
    ]
    for name, proxy in enumerate(ring):
        proxy.following = ring[(name + 1) % members]
    threads = [spawn(proxy.ask) for proxy in ring]
    for gate in gates:
        gate.reached()
    for gate in gates:
        gate.open()
    for name, thread in enumerate(threads):
        assert thread.result()[:2] == [name, (name + 1) % members]


@pytest.mark.parametrize("members", [2, 3])
def test_tasks_in_a_ring_of_objects_on_caches_of_their_own(members, run):
    """The same for tasks, and across caches."""

    class Member:
        inside = contextvars.ContextVar("inside", default=False)

        def __init__(self, name):
            self.name = name
            self.following = None

        async def ask(self):
            if self.inside.get():
                return [self.name]
            self.inside.set(True)
            await all_here.wait()
            return [self.name, *await self.following.ask()]

    async def main():
        nonlocal all_here
        all_here = asyncio.Barrier(members)
        ring = [pussycache.wrap(Member(name), cached_methods=["ask"]) for name in range(members)]
        for name, proxy in enumerate(ring):
            proxy.following = ring[(name + 1) % members]
        return await asyncio.gather(*[proxy.ask() for proxy in ring])

    all_here = None
    for name, answer in enumerate(run(main)):
        assert answer[:2] == [name, (name + 1) % members]


def test_a_thread_and_a_task_that_cross(new_gate, spawn, run):
    """A thread's load needs a task's and that one needs the thread's: one of them computes."""
    at_plain, at_async = new_gate(), new_gate()
    inside = contextvars.ContextVar("inside", default=False)

    class Mixed:
        def plain(self):
            if inside.get():
                return ["plain"]
            inside.set(True)
            at_plain.hold()
            asking = asyncio.run_coroutine_threadsafe(proxy.awaited(), loop)
            return ["plain", *asking.result()]

        async def awaited(self):
            if inside.get():
                return ["awaited"]
            inside.set(True)
            await asyncio.to_thread(at_async.hold)
            return ["awaited", *await asyncio.to_thread(proxy.plain)]

    proxy = pussycache.wrap(Mixed(), cached_methods=["plain", "awaited"])
    loop = None

    async def main():
        nonlocal loop
        loop = asyncio.get_running_loop()
        thread = spawn(proxy.plain)
        await asyncio.to_thread(at_plain.reached)
        task = asyncio.ensure_future(proxy.awaited())
        await asyncio.to_thread(at_async.reached)
        at_plain.open()
        at_async.open()
        return await task, await asyncio.to_thread(thread.result)

    awaited, plain = run(main)
    assert awaited[:2] == ["awaited", "plain"]
    assert plain[:2] == ["plain", "awaited"]


def test_children_of_two_loads_that_cross(run):
    """Loads that gather child tasks, which ask for the other one's load, do not wait for ever."""

    class Crossing:
        inside = contextvars.ContextVar("inside", default=False)

        async def get(self, one, other):
            if self.inside.get():
                return [one]
            self.inside.set(True)
            await both_here.wait()
            return [one, *await asyncio.gather(proxy.get(other, one), proxy.get(one, other))]

    proxy = pussycache.wrap(Crossing(), cached_methods=["get"])

    async def main():
        nonlocal both_here
        both_here = asyncio.Barrier(2)
        return await asyncio.gather(proxy.get("a", "b"), proxy.get("b", "a"))

    both_here = None
    a, b = run(main)
    assert [a[0], *[answer[0] for answer in a[1:]]] == ["a", "b", "a"]
    assert [b[0], *[answer[0] for answer in b[1:]]] == ["b", "a", "b"]


# Not known: patience.


class Pooled:
    """The outermost load waits for a pool's thread, which knows nothing of it."""

    def __init__(self, threads=1, failing=False):
        self.threads = threads
        self.failing = failing
        self.calls = 0
        self.lock = threading.Lock()

    def read(self):
        with self.lock:
            self.calls += 1
            first = self.calls == 1
        if not first:
            if self.failing:
                raise LookupError
            return "inner"
        with ThreadPoolExecutor(self.threads) as pool:
            asked = [pool.submit(self.proxy.read) for _ in range(self.threads)]
            return ["outer", *[one.exception(10) or one.result() for one in asked]]


def pooled(*args):
    target = Pooled(*args)
    proxy = target.proxy = pussycache.wrap(target, cached_methods=["read"])
    return proxy


@pytest.mark.parametrize("threads", [1, 4])
def test_a_load_that_waits_for_a_pool_that_asks_for_it(threads, patience, spawn):
    """A pool's thread that asks for the load that waits for it computes when patience ends."""
    patience(SOON)
    proxy = pooled(threads)
    assert spawn(proxy.read).result() == ["outer", *["inner"] * threads]
    # What was computed to help is as good as the rest, and the first to end is remembered.
    assert proxy.read() == "inner"
    assert not proxy.read.__pussycache__.table(proxy).flights


def test_a_helper_that_raises_raises_alone(patience, spawn):
    """An error of a load that was to help is its caller's; the load that it was to help counts."""
    patience(SOON)
    proxy = pooled(1, True)
    first, second = spawn(proxy.read).result()
    assert first == "outer"
    assert type(second) is LookupError
    assert proxy.read() == [first, second]


class Locking:
    """Its loads need a lock, which a caller may hold."""

    def __init__(self, gate):
        self.gate = gate
        self.lock = threading.RLock()
        self.loads = 0
        self.value = 0

    def read(self):
        self.loads += 1
        if self.loads == 1:
            self.gate.hold()
        with self.lock:
            return [self.value]

    def write(self):
        self.value += 1


def test_a_lock_around_a_cached_call_whose_load_wants_it(gate, patience, spawn):
    """Who holds the lock that the load wants computes when patience ends, and all go on."""
    patience(SOON)
    proxy = pussycache.wrap(Locking(gate), cached_methods=["read"])
    loading = spawn(proxy.read)
    gate.reached()
    with proxy.lock:
        gate.open()
        helped = proxy.read()
    assert loading.result() == helped == [0]
    assert proxy.read() is helped
    assert pussycache.info(proxy.read).loads == 2


def test_every_waiter_gets_its_turn(new_gate, patience, spawn, joined, until):
    """Waiters that cannot help either do not keep the one who can from it."""
    patience(SOON)
    gate = new_gate()
    proxy = pussycache.wrap(Locking(gate), cached_methods=["read"])
    loading = spawn(proxy.read)
    gate.reached()
    with proxy.lock:
        stuck = [spawn(proxy.read) for _ in range(3)]
        until(lambda: proxy.loads == 4)  # all three have begun to help, and want the lock
        gate.open()
        answer = proxy.read()
    assert [one.result() for one in [loading, *stuck]] == [answer] * 4


def test_a_lock_of_asyncio_around_a_cached_call_whose_load_wants_it(patience, run):
    """The same for tasks and a lock of asyncio."""
    patience(SOON)

    class Api:
        def __init__(self):
            self.lock = asyncio.Lock()
            self.begun = asyncio.Event()

        async def read(self):
            self.begun.set()
            if holder is not asyncio.current_task():
                async with self.lock:
                    return "loaded"
            return "helped"

    async def main():
        nonlocal holder
        proxy = pussycache.wrap(Api(), cached_methods=["read"])
        holder = asyncio.current_task()
        async with proxy.lock:
            loading = asyncio.ensure_future(proxy.read())
            await proxy.begun.wait()
            helped = await proxy.read()
        return await loading, helped, await proxy.read()

    holder = None
    assert run(main) == ("loaded", "helped", "helped")


def test_a_helper_that_asks_for_itself(gate, patience, spawn):
    """What a load that helps asks of its own call is computed at once, and not waited for."""

    class Recursive:
        depth = threading.local()
        helping = 0

        def read(self):
            depth = self.depth.__dict__.setdefault("at", 0)
            self.depth.at = depth + 1
            try:
                if threading.current_thread() is threading.main_thread():
                    patience(10_000.0)
                    return ["helped", *proxy.read()] if depth == 0 else ["within"]
                gate.hold()
                return ["loaded"]
            finally:
                self.depth.at = depth

    proxy = pussycache.wrap(Recursive(), cached_methods=["read"])
    loading = spawn(proxy.read)
    gate.reached()
    patience(SOON)
    assert proxy.read() == ["helped", "within"]
    gate.open()
    assert loading.result() == ["loaded"]


@pytest.mark.parametrize("rule", ["read", "*", Forget("read")], ids=["name", "all", "Forget"])
def test_what_a_helper_brings_is_overtaken_by_a_write(rule, new_gate, patience, spawn):
    """A load that helps is overtaken by a write as the one that it helps is: it is not stored."""
    patience(SOON)
    first, second = new_gate(), new_gate()

    class Versions:
        value = 0
        loads = 0

        def read(self):
            self.loads += 1
            value, number = self.value, self.loads
            if number <= 2:
                [first, second][number - 1].hold()
            return value

        def write(self):
            self.value += 1

    proxy = pussycache.wrap(
        Versions(), cached_methods=["read"], invalidate_methods={"write": [rule]}
    )
    loading = spawn(proxy.read)
    first.reached()
    helping = spawn(proxy.read)
    second.reached()
    proxy.write()
    second.open()
    assert helping.result() == 0
    assert pussycache.peek(proxy.read) is MISSING
    assert proxy.read() == 1
    first.open()
    assert loading.result() == 0
    assert proxy.read() == 1


def test_who_waits_is_answered_by_whoever_ends_first(new_gate, patience, spawn, joined):
    """One waiter helps, and what it brings answers the others, too."""
    patience(SOON)
    first, second = new_gate(), new_gate()

    class Slow:
        loads = 0

        def read(self):
            self.loads += 1
            if self.loads == 1:
                first.hold()
                return "loaded"
            patience(10_000.0)
            second.hold()
            return "helped"

    proxy = pussycache.wrap(Slow(), cached_methods=["read"])
    loading = spawn(proxy.read)
    first.reached()
    helping = spawn(proxy.read)
    second.reached()
    others = [spawn(proxy.read) for _ in range(3)]
    joined(proxy.read, 4)
    second.open()
    assert [one.result() for one in [helping, *others]] == ["helped"] * 4
    assert proxy.read() == "helped"
    first.open()
    assert loading.result() == "loaded"
    assert proxy.read() == "helped"
    assert proxy.loads == 2


def helpers_of_a_load(seconds, waiters):
    """When the waiters of a load of so many seconds begin to load as well."""
    table = Table(pussycache.MemoryCache(), "read")
    flight = Flight()
    waits = {Wait(table, (), flight): 0.0 for _ in range(waiters)}
    begun = []
    while waits:
        wait = min(waits, key=lambda one: waits[one] + one.patience)
        patience = wait.patience
        waits[wait] += patience
        if waits[wait] >= seconds:
            break
        if wait.outlasted(patience) is OVERDUE:
            begun.append(waits.pop(wait))
    return begun


def test_a_slow_load_is_no_stampede(patience):
    """Of fifty that wait for a slow load, a few begin to load as well, ever further apart."""
    patience(PATIENCE)
    assert helpers_of_a_load(4.9, 50) == []
    assert helpers_of_a_load(9, 50) == [5]
    assert helpers_of_a_load(60, 50) == [5, 10, 20, 40]
    assert helpers_of_a_load(300, 50) == [5, 10, 20, 40, 80, 140, 200, 260]
