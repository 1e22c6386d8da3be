"""What a compiled hit of a coroutine method returns, beside a coroutine of the interpreter."""

import asyncio
import collections.abc
import copy
import gc
import importlib
import inspect
import itertools
import os
import pickle
import subprocess
import sys
import tracemalloc
import types
import warnings
import weakref
from typing import Any

import pytest

import pussycache
from pussycache.testing import FakeClock

try:
    importlib.import_module("pussycache._speed")
except ImportError:
    if os.environ.get("PUSSYCACHE_REQUIRE_SPEED") == "1":
        raise
    pytest.skip("the extension is not built", allow_module_level=True)
if os.environ.get("PUSSYCACHE_PURE_PYTHON", "") not in ("", "0"):
    pytest.skip("the extension is not used", allow_module_level=True)


class Target:
    """Has a method to be cached, and the same for comparison."""

    def __init__(self) -> None:
        self.loads = 0

    async def get(self, a: Any, b: Any = 2) -> Any:
        """Return the arguments."""
        self.loads += 1
        await asyncio.sleep(0)
        if isinstance(a, Exception):
            raise a
        return [a, b]


def wrapped() -> Any:
    return pussycache.wrap(Target(), cached_methods=["get"])


def hit_on(target: Any, *args: Any) -> Any:
    """Have the call remembered, and return a coroutine for it that has not begun."""
    asyncio.run(target.get(*args))
    return target.get(*args)


def ended(coroutine: Any, *calls: str) -> Any:
    """Return what each call, and then one look at the states, came to."""
    said = []
    for call in calls:
        name, _, text = call.partition(" ")
        try:
            said.append(getattr(coroutine, name)(*([eval(text)] if text else [])))
        except BaseException as error:
            said.append((type(error), str(error)))
        said.append(inspect.getcoroutinestate(coroutine))
    coroutine.close()
    return said


@pytest.mark.parametrize(
    "calls",
    [
        ("send None", "send None", "send None"),
        ("send 5", "send None", "send None"),
        ("close", "close", "send None"),
        ("close", "throw KeyError('x')"),
        ("throw KeyError('x')", "send None"),
        ("throw GeneratorExit()", "throw KeyError('x')"),
        ("send None", "throw KeyError('x')", "send None", "close"),
        ("send None", "close", "throw KeyError('x')"),
    ],
    ids=" ".join,
)
def test_it_ends_as_a_coroutine(calls: tuple[str, ...]) -> None:
    """Sent to, thrown at and closed, before, in and after its work, it does what one does."""
    proxy, bare = wrapped(), Target()
    assert ended(proxy.get(1), *calls) == ended(bare.get(1), *calls)


def test_a_hit_ends_at_once() -> None:
    """A hit stops with the value at the first send, and cannot be sent to again."""
    proxy = wrapped()
    for value in ((), (1, 2), ValueError("as a value"), None):
        asyncio.run(proxy.get((value,)))
        pussycache.put(proxy.get, value, (value,))
        coroutine = proxy.get((value,))
        with pytest.raises(StopIteration) as stopped:
            coroutine.send(None)
        assert stopped.value.value is value
        with pytest.raises(RuntimeError, match="cannot reuse already awaited"):
            coroutine.send(None)
        assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED
        # Not by `send`: as `await` itself does.
        step = proxy.get((value,)).__await__()
        with pytest.raises(StopIteration) as stopped:
            next(step)
        assert stopped.value.value is value


def test_a_call_starts_when_it_is_awaited() -> None:
    """A write between the call and its await is seen, as with any coroutine."""
    proxy = wrapped()
    coroutine = hit_on(proxy, 1)
    pussycache.forget_all(proxy.get)
    assert asyncio.run(coroutine) == [1, 2]
    assert pussycache.info(proxy.get).loads == 2


def test_it_expires_when_it_is_awaited() -> None:
    """What expires between the call and its await is loaded again."""
    with FakeClock() as clock:
        proxy = pussycache.wrap(Target(), cached_methods={"get": 10})
        coroutine = hit_on(proxy, 1)
        clock.advance(10)
        asyncio.run(coroutine)
        assert pussycache.info(proxy.get).loads == 2


@pytest.mark.parametrize("hit", [True, False])
def test_it_looks_like_a_coroutine(hit: bool) -> None:
    """Whoever asks what it is, is told what a coroutine would be."""
    proxy = wrapped()
    coroutine = hit_on(proxy, 1) if hit else proxy.get(1)
    native = Target().get(1)
    for is_one in (
        inspect.iscoroutine,
        inspect.isawaitable,
        asyncio.iscoroutine,
        lambda it: isinstance(it, types.CoroutineType),
        lambda it: isinstance(it, collections.abc.Coroutine),
    ):
        assert is_one(coroutine)
    for kind in (collections.abc.Iterable, collections.abc.Iterator, collections.abc.Generator):
        assert not isinstance(coroutine, kind)
    assert not hasattr(coroutine, "__next__")
    for take in (iter, list):
        with pytest.raises(TypeError, match="'coroutine' object is not iterable"):
            take(coroutine)
    for looking in (inspect.getcoroutinestate, lambda it: it.__name__, lambda it: it.__qualname__):
        assert looking(coroutine) == looking(native)
    assert repr(coroutine).startswith("<coroutine object Target.get at ")
    for name in ("cr_running", "cr_await", "cr_suspended", "cr_origin"):
        assert getattr(coroutine, name) == getattr(native, name)
    assert coroutine.cr_frame is not None
    coroutine.__name__ = "another"
    assert coroutine.__name__ == "another"
    with pytest.raises(AttributeError):
        coroutine.none  # noqa: B018
    assert asyncio.run(coroutine) == [1, 2]
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED
    native.close()


@pytest.mark.parametrize("hit", [True, False])
def test_a_generator_may_delegate_to_it(hit: bool) -> None:
    """`yield from` works where it works with a coroutine: by its `__await__`, or as one."""
    proxy = wrapped()

    class Later:
        def __await__(self) -> Any:
            return (yield from coroutine.__await__())

    @types.coroutine
    def later() -> Any:
        return (yield from coroutine)

    async def wait(some: Any) -> Any:
        return await some

    for delegate in (Later, later):
        if not hit:
            pussycache.forget_all(proxy.get)
        coroutine = hit_on(proxy, 1) if hit else proxy.get(1)
        assert asyncio.run(wait(delegate())) == [1, 2]

    coroutine = proxy.get(1)

    def never() -> Any:
        yield from coroutine

    with pytest.raises(TypeError):
        next(never())
    coroutine.close()


@pytest.mark.parametrize("hit", [True, False])
def test_it_knows_who_made_it(hit: bool) -> None:
    """Where origins are tracked, it names the call and not whoever asks for it."""
    proxy = wrapped()
    if hit:
        asyncio.run(proxy.get(1))
    sys.set_coroutine_origin_tracking_depth(1)
    try:
        coroutine = proxy.get(1)
        native = Target().get(1)
        (origin,), (expected,) = coroutine.cr_origin, native.cr_origin
    finally:
        sys.set_coroutine_origin_tracking_depth(0)
    native.close()
    assert origin == (expected[0], expected[1] - 1, expected[2])
    assert asyncio.run(coroutine) == [1, 2]
    assert pussycache.info(proxy.get).hits == hit


def test_its_function_is_a_coroutine_function() -> None:
    """The method says that it has to be awaited."""
    proxy = wrapped()
    for get in (proxy.get, proxy.get.__func__):
        assert inspect.iscoroutinefunction(get)
    assert str(inspect.signature(proxy.get)) == str(inspect.signature(Target().get))
    assert proxy.get.__doc__ == "Return the arguments."


def test_wrong_arguments_are_told_at_the_call() -> None:
    """A call that does not fit raises before anything is awaited."""
    proxy = wrapped()
    for args, kwargs in (((), {}), ((1, 2, 3), {}), ((1,), {"c": 1}), ((1,), {"a": 1})):
        with pytest.raises(TypeError):
            proxy.get(*args, **kwargs)


def test_names_and_defaults_are_one_call() -> None:
    """Calls that mean the same are one entry, however they are written."""
    proxy = wrapped()

    async def calls() -> list[Any]:
        return [await proxy.get(1), await proxy.get(b=2, a=1), await proxy.get(1, b=2)]

    first, *others = asyncio.run(calls())
    assert all(other is first for other in others)


@pytest.mark.parametrize("hit", [True, False])
def test_one_that_is_never_awaited_is_warned_about(hit: bool) -> None:
    """A forgotten await is reported as always."""
    proxy = wrapped()
    coroutine = hit_on(proxy, 1) if hit else proxy.get(1)
    with pytest.warns(RuntimeWarning, match="'Target.get' was never awaited"):
        del coroutine
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        proxy.get(1).close()


def test_awaited_twice() -> None:
    """Two who await one coroutine are told so, as always."""
    proxy = wrapped()

    async def two() -> list[Any]:
        coroutine = proxy.get(1)

        async def one() -> Any:
            return await coroutine

        return await asyncio.gather(one(), one(), return_exceptions=True)

    first, second = asyncio.run(two())
    assert first == [1, 2]
    assert (type(second), str(second)) == (RuntimeError, "coroutine is being awaited already")


@pytest.mark.parametrize("hit", [True, False])
def test_asyncio_takes_it(hit: bool) -> None:
    """Tasks, timeouts, gathering and running take it for what it is."""
    proxy = wrapped()
    if hit:
        asyncio.run(proxy.get(1))

    async def use() -> list[Any]:
        task = asyncio.create_task(proxy.get(1), name="told")
        assert "Target.get" in repr(task)
        assert task.get_stack() or hit
        return [
            await task,
            await asyncio.wait_for(proxy.get(1), 60),
            *await asyncio.gather(proxy.get(1), proxy.get(1)),
            await asyncio.ensure_future(proxy.get(1)),
        ]

    assert asyncio.run(use(), debug=True) == [[1, 2]] * 5
    assert asyncio.run(proxy.get(1)) == [1, 2]


def test_a_cancelled_task_is_cancelled() -> None:
    """Cancelling reaches the load."""
    proxy = wrapped()

    async def use() -> None:
        task = asyncio.create_task(proxy.get(1))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await proxy.get(1) == [1, 2]

    asyncio.run(use())


def test_errors_of_the_load_come_out() -> None:
    """What the method raises is raised where it is awaited, with its traceback."""
    proxy = wrapped()
    error = KeyError("x")
    with pytest.raises(KeyError) as caught:
        asyncio.run(proxy.get(error))
    assert caught.value is error
    assert any(entry.name == "get" for entry in caught.traceback)


def test_a_comparison_that_awaits_it_again() -> None:
    """A key's own comparison that sends to the coroutine being looked up is refused."""
    proxy = wrapped()
    said = []

    class Key:
        armed: Any = None

        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            if Key.armed is not None:
                coroutine, Key.armed = Key.armed, None
                try:
                    coroutine.send(None)
                except ValueError as error:
                    said.append(str(error))
            return True

    asyncio.run(proxy.get(Key()))
    coroutine = Key.armed = proxy.get(Key())
    assert asyncio.run(coroutine)[1] == 2
    assert said == ["coroutine already executing"]


def test_under_a_tracer() -> None:
    """A debugger or coverage changes nothing of what comes out."""
    proxy = wrapped()
    asyncio.run(proxy.get(1))

    async def use() -> Any:
        return await proxy.get(1)

    before = sys.gettrace()
    sys.settrace(lambda *args: None)
    try:
        assert asyncio.run(use()) == [1, 2]
    finally:
        sys.settrace(before)


def test_it_cannot_be_copied_or_made() -> None:
    """There is no way to a coroutine but to call the method."""
    coroutine = hit_on(wrapped(), 1)
    for make in (pickle.dumps, copy.copy, type(coroutine)):
        with pytest.raises(TypeError):
            make(coroutine)
    coroutine.close()


def test_weak_references() -> None:
    """It can be watched, and is gone with its last reference."""
    coroutine = hit_on(wrapped(), 1)
    watch = weakref.ref(coroutine)
    assert watch() is coroutine
    coroutine.close()
    del coroutine
    assert watch() is None


def test_nothing_is_kept_alive() -> None:
    """Once awaited and gone, neither value nor arguments nor the object are held by anything."""

    class Value:
        pass

    class Holder:
        async def get(self, a: Any) -> Any:
            return Value()

    async def use(proxy: Any) -> list[Any]:
        argument = Value()
        refs = [weakref.ref(await proxy.get(argument)), weakref.ref(argument)]
        for _ in range(3):
            assert await proxy.get(argument) is refs[0]()
        return refs

    proxy = pussycache.wrap(Holder(), cached_methods=["get"])
    refs = asyncio.run(use(proxy))
    pussycache.forget_all(proxy.get)
    gc.collect()
    assert [ref() for ref in refs] == [None, None]


def test_a_cycle_is_collected() -> None:
    """A coroutine that reaches itself is freed, and warned about as any other."""

    class Box:
        pass

    proxy = wrapped()
    boxes = [Box()]
    boxes[0].coroutine = proxy.get(boxes[0])
    watch = weakref.ref(boxes[0])

    def drop() -> None:
        boxes.clear()
        gc.collect()

    # Not dropped before: the collector may come at any time.
    with pytest.warns(RuntimeWarning, match="never awaited"):
        drop()
    gc.collect()
    assert watch() is None


def test_a_cycle_through_a_load_is_collected() -> None:
    """A coroutine that was left in the midst of its load is freed with what the load holds."""

    class Box:
        pass

    proxy = wrapped()
    box = Box()
    box.coroutine = proxy.get(box)
    box.coroutine.send(None)
    watch = weakref.ref(box)
    del box, proxy
    gc.collect()
    assert watch() is None


def test_no_memory_is_lost() -> None:
    """Coroutines that come and go, in every way, do not make the process grow."""
    proxy = wrapped()

    async def everything() -> None:
        for _ in range(200):
            await proxy.get(1)
            coroutine = proxy.get(1)
            coroutine.close()
            several = [proxy.get(1) for _ in range(3)]
            for one in several:
                await one
                assert inspect.getcoroutinestate(one) == inspect.CORO_CLOSED

    def many() -> int:
        asyncio.run(everything())
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        many()
        sizes = [many() for _ in range(5)]
        assert min(b - a for a, b in itertools.pairwise(sizes)) < 2_000
    finally:
        tracemalloc.stop()


def test_a_plain_writer_that_returns_a_cached_coroutine() -> None:
    """Awaiting what a plain write returned is part of the write, also where that is a read."""

    class Target:
        def __init__(self) -> None:
            self.value = 1

        async def read(self) -> int:
            return self.value

        async def total(self) -> int:
            return self.value

        def write(self) -> Any:
            self.value += 1
            return self.read()

    async def use() -> list[int]:
        target = pussycache.wrap(
            Target(),
            cached_methods=["read", "total"],
            invalidate_methods={"write": ["total"]},
            self_calls=True,
        )
        await target.total()
        begun = target.write()
        seen = [await target.total()]
        target.value = 10
        await begun
        return [*seen, await target.total()]

    assert asyncio.run(use()) == [2, 10]


_ALL_OF_IT = """
import gc, importlib.util
from pussycache import _speed
from pussycache.engine.entry import Entry
from pussycache.engine.generations import Table

spec = importlib.util.spec_from_file_location("pussycache._speed", _speed.__file__)

class Owner:
    __slots__ = ("table",)

async def get(self, a):
    return a

def leave(backwards):
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    hit = module.Hit(
        get, table_type=Table, entry_type=Entry, names=("a",), key_positions=(0,), defaults=(),
        timed=False, asynchronous=True,
    )
    hit.bind_owner(Owner, "table")
    cycle = []
    coroutine = hit(Owner(), cycle)
    coroutine.close()
    cycle += [coroutine, hit, module]
    hit.cycle = cycle
    if backwards:
        cycle.reverse()

for backwards in (False, True) * 5:
    leave(backwards)
    gc.collect()
    gc.collect()
"""


def test_it_outlives_the_module() -> None:
    """One that is collected together with the extension itself reads nothing that is freed."""
    subprocess.run(
        [sys.executable, "-c", _ALL_OF_IT],
        check=True,
        env=os.environ | {"PYTHONMALLOC": "debug"},
    )
