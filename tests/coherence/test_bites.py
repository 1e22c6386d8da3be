"""What bites users of caches: each of these fails on a naive one.

More of the same kind is beside its subject: one-shot results in test_results.py, closed loops in
test_tasks.py, copies and pickles in tests/unit/test_transparency_life.py.
"""

import asyncio
import copy
import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import warnings
import weakref

import pytest

import pussycache
from pussycache import MISSING, Forget, MemoryCache, cached, invalidates

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


class Store:
    """Answers from its state, and counts loads."""

    def __init__(self, value="old"):
        self.value = value
        self.loads = 0

    def read(self, key=1):
        self.loads += 1
        return (self.value, key)

    async def aread(self, key=1):
        self.loads += 1
        await asyncio.sleep(0)
        return (self.value, key)

    def write(self, value, key=1):
        self.value = value


def store(cache=None, target=None):
    return pussycache.wrap(
        Store() if target is None else target,
        cache,
        cached_methods=["read", "aread"],
        invalidate_methods={"write": ["read", "aread"]},
    )


# Forks.


def forked(function):
    """Whether a forked child that calls the function ends well, and soon."""
    with warnings.catch_warnings():
        # From Python 3.12 on, a fork with threads about is worth a warning.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = multiprocessing.get_context("fork").Process(target=function)
        child.start()
    child.join(60)
    ended_well = child.exitcode == 0
    child.kill()
    child.join()
    return ended_well


@needs_fork
def test_a_fork_after_warm_up():
    """The child is served what was remembered, loads, writes and forgets, and so does the parent.

    Neither sees what the other does.
    """
    proxy = store(MemoryCache(max_entries=None))
    for key in range(5000):
        proxy.read(key)
    asyncio.run(proxy.aread(1))

    def child():
        assert proxy.read(1) == ("old", 1)
        assert asyncio.run(proxy.aread(1)) == ("old", 1)
        assert proxy.loads == 5001
        proxy.write("child's")  # so many entries are freed by a thread, which is not here yet
        assert proxy.read(1) == ("child's", 1)
        assert asyncio.run(proxy.aread(1)) == ("child's", 1)
        assert proxy.loads == 5003
        assert forked(grandchild)

    def grandchild():
        assert proxy.read(1) == ("child's", 1)
        assert proxy.loads == 5003

    assert forked(child)
    assert proxy.read(1) == ("old", 1)
    assert proxy.loads == 5001
    proxy.write("parent's")
    assert proxy.read(1) == ("parent's", 1)


def fork_among_threads():
    """Fork again and again while threads use two caches; each child must end well."""
    proxy, cache = store(MemoryCache(max_entries=50)), MemoryCache()
    enough = threading.Event()

    def busy(number):
        key = 0
        while not enough.is_set():
            key += 1
            proxy.read(key % 100)
            cache.set(str(key % 10), key)
            if key % 7 == number:
                proxy.write("new", key)

    threads = [threading.Thread(target=busy, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()

    def child():
        proxy.write("child's")
        assert proxy.read(7) == ("child's", 7)
        assert cache.get_or_set("mine", 1) == 1

    try:
        for _ in range(10):
            assert forked(child)
    finally:
        enough.set()
    for thread in threads:
        thread.join()


@needs_fork
def test_forks_while_other_threads_use_the_cache():
    """A child shares no lock with the threads of its parent, whatever these were doing."""
    # In a process of its own, which no tracer for coverage looks into: that has a lock, too, and
    # shares it.
    subprocess.run([sys.executable, __file__], check=True, timeout=120)


# Threads and loops.


def test_one_cache_for_threads_and_two_loops(new_gate, spawn):
    """A write in one event loop, or in a thread, is a write for the tasks of another loop."""
    proxy = store()
    asked, written = [new_gate(), new_gate()], [new_gate(), new_gate()]

    async def reader():
        answers = [await proxy.aread(1), proxy.read(1)]
        for mine, others in zip(asked, written, strict=True):
            mine.open()
            await asyncio.to_thread(others.opened.wait, 10)
            answers += [await proxy.aread(1), proxy.read(1)]
        return answers

    async def writer():
        await asyncio.to_thread(asked[0].opened.wait, 10)
        assert await proxy.aread(1) == ("old", 1)
        proxy.write("from a loop")
        written[0].open()

    def thread():
        asked[1].opened.wait(60)
        proxy.write("from a thread")
        written[1].open()

    one, two, three = spawn(asyncio.run, reader()), spawn(asyncio.run, writer()), spawn(thread)
    answers = [value for value, key in one.result()]
    two.result(), three.result()
    assert answers == ["old"] * 2 + ["from a loop"] * 2 + ["from a thread"] * 2
    assert proxy.loads == 6


def test_a_second_loop_after_one_that_ended_in_the_midst_of_loads():
    """asyncio.run cancels what is under way when it ends; the next one's calls load afresh."""

    class Slow(Store):
        async def aread(self, key=1):
            self.loads += 1
            if self.value == "old":
                await asyncio.Event().wait()
            return (self.value, key)

    proxy = store(target=Slow())

    async def first():
        tasks = [asyncio.ensure_future(proxy.aread(1)) for _ in range(3)]
        await asyncio.sleep(0)
        return tasks

    assert all(task.cancelled() for task in asyncio.run(first()))
    before = proxy.loads
    proxy._proxied.value = "new"
    assert asyncio.run(proxy.aread(1)) == ("new", 1)
    assert proxy.loads == before + 1


# The end of the interpreter.

SHUTDOWN = """
import asyncio, atexit, gc, threading, pussycache
from pussycache import MemoryCache, cached

started = threading.Event()

class Slow:
    def read(self, key):
        if key == "slow":
            started.set()
            threading.Event().wait()
        return object()

    async def aread(self, key):
        await asyncio.Event().wait()

    def write(self):
        pass

class Last:
    def __del__(self):
        assert remembered(1) == 2  # modules may be gone by now

@cached
def remembered(number):
    return number + 1

proxy = pussycache.wrap(
    Slow(), MemoryCache(max_entries=None),
    cached_methods=["read", "aread"], invalidate_methods={"write": ["read"]},
)
for key in range(50_000):
    proxy.read(key)
for _ in range(2):  # one loads for ever, and one waits for it
    threading.Thread(target=proxy.read, args=("slow",), daemon=True).start()
assert started.wait(60)

async def main():
    task = asyncio.ensure_future(proxy.aread(1))
    await asyncio.sleep(0)
    return task

asyncio.run(main())
loop = asyncio.new_event_loop()
kept = loop.run_until_complete(main())
kept._log_destroy_pending = False
last, remembered(1)
atexit.register(lambda: (proxy.read(1), proxy.write(), proxy.read(1)))
proxy.write()  # leaves fifty thousand entries to be freed in the background
print("done")
"""


def test_the_interpreter_ends_with_work_in_the_background():
    """Loads and waits under way, and entries still to be freed, neither hold up nor spoil exit."""
    code = SHUTDOWN.replace("last, remembered(1)", "last = Last()")
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")


# Bounds.


def growth(make, warm, count):
    """How many blocks of memory more there are after so many steps, once it is warm."""
    for number in range(warm):
        make(number)
    gc.collect()
    before = sys.getallocatedblocks()
    for number in range(warm, count):
        make(number)
    gc.collect()
    return sys.getallocatedblocks() - before


def test_a_million_keys():
    """A million distinct calls leave no more than the bound, and memory that does not grow."""
    cache = MemoryCache(max_entries=1000)
    proxy = pussycache.wrap([], cache, cached_methods=["count"])
    grown = growth(proxy.count, 100_000, 1_000_000)
    assert len(cache) == 1000
    assert pussycache.info(proxy.count).loads == 1_000_000
    # A single block for each would be 900,000.
    assert grown < 20_000


@pytest.mark.parametrize("how", ["decorated", "wrapped"])
def test_a_hundred_thousand_instances(how):
    """Instances that come and go leave nothing behind, and none is answered for by a dead one."""
    cache = MemoryCache()

    class Decorated:
        def __init__(self, value):
            self.value = value

        @cached(cache=cache)
        def read(self):
            return (self.value, 1)

    def come_and_go(number):
        if how == "wrapped":
            one = pussycache.wrap(Store(number), cache, cached_methods=["read"])
        else:
            one = Decorated(number)
        assert one.read() == (number, 1)
        assert one.read() == (number, 1)

    # To wrap an object costs more than to make one.
    count = 20_000 if how == "wrapped" else 100_000
    # A single block for each would be 10,000.
    assert growth(come_and_go, count - 10_000, count) < 2000
    assert len(cache) <= 1


# Classes.


def test_an_override_that_calls_super():
    """A method and the one that it overrides have entries of their own, and both are forgotten."""
    loads = []

    class Base:
        value = 1

        @cached
        def read(self, key):
            loads.append("base")
            return [self.value, key]

        @invalidates(Forget("read", "key"))
        def write(self, key, value):
            self.value = value

    class Override(Base):
        @cached
        def read(self, key):
            loads.append("override")
            return ["override", *super().read(key)]

    class Plain(Base):
        def read(self, key):
            return ["plain", *super().read(key)]

    class Below(Override):
        @invalidates("read")
        def write(self, key, value):
            super().write(key, value)

        @cached
        def read(self, key):
            loads.append("below")
            return ["below", *super().read(key)]

    base, override, plain, below = Base(), Override(), Plain(), Below()
    for _ in range(2):
        assert base.read(1) == [1, 1]
        assert override.read(1) == ["override", 1, 1]
        assert plain.read(1) == ["plain", 1, 1]
        assert below.read(1) == ["below", "override", 1, 1]
    assert sorted(loads) == sorted(["base"] * 4 + ["override"] * 2 + ["below"])
    for one in (base, override, plain, below):
        one.write(1, 2)
    assert base.read(1) == [2, 1]
    assert override.read(1) == ["override", 2, 1]
    assert plain.read(1) == ["plain", 2, 1]
    assert below.read(1) == ["below", "override", 2, 1]


def test_a_wrapped_override_that_calls_super():
    """A wrapped object's override calls the method of its base, and not itself or the cache."""

    class Base(Store):
        pass

    class Override(Base):
        def read(self, key=1):
            return ("override", *super().read(key))

    for self_calls in (False, True):
        proxy = pussycache.wrap(
            Override(),
            cached_methods=["read"],
            invalidate_methods={"write": ["read"]},
            self_calls=self_calls,
        )
        assert proxy.read(1) == proxy.read(1) == ("override", "old", 1)
        assert proxy.loads == 1
        proxy.write("new")
        assert proxy.read(1) == ("override", "new", 1)


# Proxies as objects.


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda proxy: pickle.loads(pickle.dumps(proxy))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_copy_of_a_warm_proxy_has_entries_of_its_own(duplicate):
    """A copy is not answered from the original's entries, nor is it forgotten with them."""
    proxy = store()
    assert proxy.read(1) == ("old", 1)
    other = duplicate(proxy)
    other._proxied.value = "copied"
    assert other.read(1) == ("copied", 1)
    other.write("written")
    assert (proxy.read(1), other.read(1)) == (("old", 1), ("written", 1))
    proxy.write("new")
    before = other.loads
    assert (proxy.read(1), other.read(1)) == (("new", 1), ("written", 1))
    assert other.loads == before


def test_weak_references_to_a_proxy():
    """Weak references and weak containers see a proxy live and die, and keep nothing alive."""
    died = []
    target = Store()
    proxy = store(target=target)
    reference = weakref.ref(proxy, died.append)
    weakref.finalize(proxy, died.append, "finalized")
    among = weakref.WeakSet([proxy])
    by_name = weakref.WeakValueDictionary(proxy=proxy)
    assert reference() is by_name["proxy"] is proxy
    assert weakref.proxy(proxy).read(1) == ("old", 1)
    assert proxy in among
    alive = weakref.ref(target)
    del proxy, target
    gc.collect()
    assert reference() is None
    assert sorted(map(str, died)) == sorted([str(reference), "finalized"])
    assert (len(among), len(by_name)) == (0, 0)
    assert alive() is None


# Arguments.


class Looks:
    """All look the same, and none is equal to another."""

    def __init__(self, value):
        self.value = value

    def __repr__(self):
        return "<the same>"

    __str__ = __repr__


class Text(str):
    __slots__ = ()


def test_arguments_that_look_the_same():
    """Arguments of equal repr that are not equal are different calls."""

    class Reader:
        def read(self, what):
            return what

    proxy = pussycache.wrap(Reader(), cached_methods=["read"])
    pairs = [
        (Looks(1), Looks(2)),
        ([one := Looks(1)], [Looks(1)]),
        (Text("a"), "a"),
        ("1", 1),
        ("(1, 2)", (1, 2)),
        (b"a", "b'a'"),
        (float("nan"), "nan"),
        (type("T", (), {}), type("T", (), {})),
        ("a,b", ("a", "b")),
    ]
    for left, right in pairs:
        assert proxy.read(left) is left
        assert proxy.read(right) is right
        assert proxy.read(left) is left
    assert proxy.read([one]) == [one]


def test_equal_objects_are_told_apart_where_it_matters():
    """Objects that are equal but not the same share no entries as targets.

    As arguments they stand for one another: that is what equality says.
    """

    class Point:
        def __init__(self, x, note):
            self.x, self.note = x, note

        def __eq__(self, other):
            return type(other) is Point and other.x == self.x

        def __hash__(self):
            return hash(self.x)

        def read(self):
            return self.note

        def mark(self, other):
            return other.note

    one, other = Point(1, "one"), Point(1, "other")
    cache = MemoryCache()
    first = pussycache.wrap(one, cache, cached_methods=["read", "mark"])
    second = pussycache.wrap(other, cache, cached_methods=["read", "mark"])
    assert (first.read(), second.read()) == ("one", "other")
    asking = pussycache.wrap(Point(2, "asks"), cache, cached_methods=["mark"])
    assert asking.mark(one) == asking.mark(other) == "one"


SAME = [
    lambda f: f(1),
    lambda f: f(a=1),
    lambda f: f(1, "b"),
    lambda f: f(1, b="b"),
    lambda f: f(b="b", a=1),
]
DIFFERENT = [
    lambda f: f(True),
    lambda f: f(1.0),
    lambda f: f("1"),
    lambda f: f(1 + 0j),
    lambda f: f(None),
    lambda f: f(1, None),
    lambda f: f(1, "c"),
    lambda f: f(1, "b", 2),
    lambda f: f(1, "b", 2.0),
    lambda f: f(1, "b", 2, 3),
    lambda f: f(1, "b", (2, 3)),
    lambda f: f(1, "b", [2, 3]),
    lambda f: f(1, x=1),
    lambda f: f(1, x=True),
    lambda f: f(1, y=1),
    lambda f: f(1, x=1, y=2),
    lambda f: f(1, x=2, y=1),
    lambda f: f(1, "b", ("x", 1)),
    lambda f: f(1, "b", "x", 1),
]


@pytest.mark.parametrize("how", ["wrapped", "decorated", "function", "async"])
def test_forms_of_a_call(how, run):
    """Calls that mean the same are one call, in whatever form, and others are others."""
    loads = []

    class Target:
        def call(self, a, b="b", *args, **kwargs):
            loads.append((a, b, args, kwargs))
            return len(loads)

        async def acall(self, a, b="b", *args, **kwargs):
            return self.call(a, b, *args, **kwargs)

    class Decorated(Target):
        call = cached(Target.call)

    @cached
    def function(a, b="b", *args, **kwargs):
        return Target().call(a, b, *args, **kwargs)

    proxy = pussycache.wrap(Target(), cached_methods=["call", "acall"])

    def awaited(*args, **kwargs):
        return run(lambda: proxy.acall(*args, **kwargs))

    f = {
        "wrapped": proxy.call,
        "decorated": Decorated().call,
        "function": function,
        "async": awaited,
    }[how]
    assert [call(f) for call in SAME] == [1] * len(SAME)
    for _ in range(2):
        assert [call(f) for call in DIFFERENT] == list(range(2, len(DIFFERENT) + 2))
    assert f(1, x=1, y=2) == f(1, y=2, x=1) == f(y=2, x=1, a=1)
    assert len(loads) == 1 + len(DIFFERENT)
    assert f is awaited or pussycache.peek(f, 1, y=2, x=1) is not MISSING


if __name__ == "__main__":
    fork_among_threads()
