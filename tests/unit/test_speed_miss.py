"""A miss that the C extension runs, beside the same in Python: nobody can tell which it was."""

import asyncio
import gc
import importlib
import itertools
import os
import sys
import threading
import time
import traceback
import tracemalloc
import weakref
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any

import pytest

import pussycache
from pussycache import Cached, Forget, MemoryCache, NullCache
from pussycache.engine import clock, generations
from pussycache.engine.singleflight import LOADING
from pussycache.stats import LoadTimes

try:
    importlib.import_module("pussycache._speed")
except ImportError:
    if os.environ.get("PUSSYCACHE_REQUIRE_SPEED") == "1":
        raise
    pytest.skip("the extension is not built", allow_module_level=True)
if os.environ.get("PUSSYCACHE_PURE_PYTHON", "") not in ("", "0"):
    pytest.skip("the extension is not used", allow_module_level=True)

PATIENCE = 60


def in_python() -> Any:
    """Another clock, in which the extension has no part."""
    return clock.replaced(lambda: time.monotonic())


class Target:
    """Its load does what it is told, and returns what it is told."""

    def __init__(self) -> None:
        self.loads = 0
        self.act: Callable[[], object] = lambda: None
        self.result: Any = None

    def get(self, a: Any, b: Any = 2) -> Any:
        self.loads += 1
        self.act()
        if isinstance(self.result, BaseException):
            raise self.result
        return self.loads if self.result is None else self.result

    def other(self, a: Any) -> Any:
        return a

    def write(self, a: Any = 0) -> None:
        pass

    def write_one(self, a: Any = 0) -> None:
        pass


class Scene:
    """A proxy of a target, and what can be seen of it from outside and inside."""

    def __init__(self, cache: Any = None, ttl: Any = None, rule: bool = False, **said: Any) -> None:
        self.target = Target()
        self.cache = MemoryCache() if cache is None else cache
        invalidating: dict[str, Any] = {"write": ["get"]}
        if rule:
            invalidating["write_one"] = [Forget("get", "a")]
        self.proxy = pussycache.wrap(
            self.target,
            self.cache,
            cached_methods={"get": Cached(ttl=ttl, **said), "other": None},
            invalidate_methods=invalidating,
        )
        self.table = type(self.proxy).get.__pussycache__.table(self.proxy)
        self.said: list[Any] = []

    def call(self, *args: Any, **kwargs: Any) -> None:
        """Call, and note what came of it and how things stand then."""
        try:
            got = self.proxy.get(*args, **kwargs)
        except BaseException as error:
            got = (type(error), str(error))
        self.said += [self.shown(got), self.state()]

    def shown(self, value: Any) -> Any:
        known = value is self.target or hasattr(value, "__next__")
        return type(value).__name__ if known else value

    def state(self) -> Any:
        table = self.table
        info = pussycache.info(self.proxy.get)
        return (
            # How many loads were timed; how long each took is another matter.
            info._replace(load_time=0.0, load_times=LoadTimes()),
            info.load_times.total,
            info.load_time > 0.0,
            [(key, self.shown(entry.value)) for key, entry in table.kept.items()],
            [entry.key is key for key, entry in table.kept.items()],
            [entry.hits for entry in table.kept.values()],
            [entry.expires < 0 for entry in table.kept.values()],
            len(table.flights),
            self.cache.budget.live,
            LOADING.get(),
            self.target.loads,
            not table.lock._is_owned(),
        )


def once(scene: Scene, act: Callable[[], object]) -> None:
    """Have the next load do something, and those after it nothing."""

    def acting() -> None:
        scene.target.act = lambda: None
        act()

    scene.target.act = acting


def plain(scene: Scene) -> None:
    scene.call(1)
    scene.call(a=1, b=2)
    scene.call("x", None)
    scene.call(True)


def odd_arguments(scene: Scene) -> None:
    for args in ((1.5,), ([1],), ((1, 2),), (scene.target,), (scene.proxy,), (), (1, 2, 3)):
        scene.call(*args)
        scene.call(*args)


def results(scene: Scene) -> None:
    for i, result in enumerate(["text", b"bytes", False, 2**70, [1], scene.target, iter([])]):
        scene.target.result = result
        scene.call(i)
        scene.call(i)


def errors(scene: Scene) -> None:
    for error in (KeyError("x"), KeyboardInterrupt("y"), StopIteration(1), RecursionError("z")):
        scene.target.result = error
        scene.call(1)
    scene.target.result = None
    scene.call(1)


def inside(act: Callable[[Scene], object]) -> Callable[[Scene], None]:
    def play(scene: Scene) -> None:
        scene.call(7)
        once(scene, lambda: act(scene))
        scene.call(1)
        scene.call(1)
        scene.call(7)

    return play


def with_another_ttl(scene: Scene) -> None:
    scene.other = pussycache.wrap(  # type: ignore[attr-defined]
        scene.target, scene.cache, cached_methods={"get": float("inf")}
    )
    plain(scene)


def switched_off(scene: Scene) -> None:
    with pussycache.disabled():
        scene.call(1)
        scene.call(1)


def a_writer_at_work(scene: Scene) -> None:
    with pussycache.writing(scene.proxy.write):
        scene.call(1)
        scene.call(1)
    scene.call(1)


def begin_to_write(scene: Scene) -> None:
    scene.writing = pussycache.writing(scene.proxy.write)  # type: ignore[attr-defined]
    scene.writing.__enter__()  # type: ignore[attr-defined]


def written_until_after_it(scene: Scene) -> None:
    once(scene, lambda: begin_to_write(scene))
    scene.call(1)
    scene.writing.__exit__(None, None, None)  # type: ignore[attr-defined]
    scene.call(1)


def written_until_within_it(scene: Scene) -> None:
    begin_to_write(scene)
    once(scene, lambda: scene.writing.__exit__(None, None, None))  # type: ignore[attr-defined]
    scene.call(1)
    scene.call(1)


def evicting(scene: Scene) -> None:
    for i in range(30):
        scene.call(i)
        scene.call(i % 7)


def attribute_errors(scene: Scene) -> None:
    scene.target.get = lambda a, b: [a, b]  # type: ignore[method-assign]
    scene.call(1)
    scene.target.get = 5  # type: ignore[method-assign, assignment]
    scene.call(2)


SCENES: dict[str, tuple[dict[str, Any], Callable[[Scene], None]]] = {
    "plain": ({}, plain),
    "with a ttl": ({"ttl": 60}, plain),
    "odd arguments": ({}, odd_arguments),
    "results": ({}, results),
    "errors": ({}, errors),
    "a rule on arguments": ({"rule": True}, plain),
    "ignored": ({"ignore": ["b"]}, plain),
    "when": ({"when": lambda result: False}, plain),
    "a ttl of nothing": ({"ttl": 0}, plain),
    "copied": ({"copy": "deep"}, results),
    "materialized": ({"materialize": True}, results),
    "switched off": ({}, switched_off),
    "with another ttl": ({"ttl": 60}, with_another_ttl),
    "with another ttl itself": ({"ttl": 60}, inside(with_another_ttl)),
    "a writer at work": ({}, a_writer_at_work),
    "written until after it": ({}, written_until_after_it),
    "written until within it": ({}, written_until_within_it),
    "another method": ({}, attribute_errors),
    "written inside": ({}, inside(lambda s: s.proxy.write())),
    "one written inside": ({"rule": True}, inside(lambda s: s.proxy.write_one(1))),
    "another written inside": ({"rule": True}, inside(lambda s: s.proxy.write_one(7))),
    "forgotten inside": ({}, inside(lambda s: pussycache.forget(s.proxy.get, 1))),
    "all forgotten inside": ({}, inside(lambda s: pussycache.forget_all(s.proxy.get))),
    "put inside": ({}, inside(lambda s: pussycache.put(s.proxy.get, "put", 1))),
    "refreshed inside": ({}, inside(lambda s: pussycache.refresh(s.proxy.get, 1))),
    "cleared inside": ({}, inside(lambda s: s.cache.clear())),
    "asked for itself": ({}, inside(lambda s: s.call(1))),
    "asked for another": ({}, inside(lambda s: s.call(2))),
    "asked for another method": ({}, inside(lambda s: s.proxy.other(1))),
    "declared inside": (
        {},
        inside(
            lambda s: pussycache.wrap(
                s.target, s.cache, invalidate_methods={"write_one": [Forget("get", "a")]}
            )
        ),
    ),
}
CACHES: dict[str, Callable[[], Any]] = {
    "room": MemoryCache,
    "room for one": lambda: MemoryCache(max_entries=1),
    "room for five, a while": lambda: MemoryCache(ttl=300, max_entries=5),
    "null": NullCache,
}


@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("name", [*SCENES, "evicting"])
def test_it_is_as_in_python(name: str, cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is called and whatever happens in a load, all that can be seen is the same."""
    options, play = SCENES.get(name, ({}, evicting))

    def played(where: Any) -> list[Any]:
        # What is thrown out depends on it a little.
        monkeypatch.setattr(generations, "_serials", itertools.count(1))
        with where:
            scene = Scene(CACHES[cache](), **options)
            play(scene)
            return [str(part) for part in scene.said]

    assert played(nullcontext()) == played(in_python())


def test_it_is_run_by_the_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain miss enters no Python code of the engine's."""
    scene = Scene()
    seen = []

    def tracing(frame: Any, event: str, arg: Any) -> None:
        seen.append(frame.f_code.co_name)

    before = sys.gettrace()
    sys.settrace(tracing)
    try:
        scene.proxy.get(1)
    finally:
        sys.settrace(before)
    assert seen == ["get", "<lambda>"]


class Interrupted(BaseException):
    pass


MOMENTS = ("before the lock is taken", "in the admission", "before the lock is given back")


def at(scene: Scene, moment: str, act: Callable[[], object]) -> None:
    """Have something happen, once, where Python code runs in the end of a load."""
    table = scene.table
    acquire, release, admit = table.acquire, table.release, table._admit
    left = [act]

    def acting() -> None:
        if left:
            left.pop()()

    def before_acquire() -> Any:
        acting()
        return acquire()

    def before_release() -> Any:
        try:
            acting()
        finally:
            release()

    def in_admit(*args: Any) -> Any:
        acting()
        return admit(*args)

    if moment == MOMENTS[0]:
        table.acquire = before_acquire
    elif moment == MOMENTS[1]:
        table._admit = in_admit
    else:
        table.release = before_release


@pytest.mark.parametrize(
    ("moment", "rule"), [*[(moment, False) for moment in MOMENTS], (MOMENTS[1], True)]
)
def test_a_write_at_the_end_of_a_load(moment: str, rule: bool) -> None:
    """A write that comes in while a load is being stored leaves nothing of it."""
    for act in ("write", "write_one", "forget", "forget_all", "clear", "put"):
        if (act == "write_one" and not rule) or (act == "put" and rule):
            continue
        scene = Scene(rule=rule)
        acts: dict[str, Callable[[], object]] = {
            "write": lambda scene=scene: scene.proxy.write(),
            "write_one": lambda scene=scene: scene.proxy.write_one(1),
            "forget": lambda scene=scene: pussycache.forget(scene.proxy.get, 1),
            "forget_all": lambda scene=scene: pussycache.forget_all(scene.proxy.get),
            "clear": lambda scene=scene: scene.cache.clear(),
            "put": lambda scene=scene: pussycache.put(scene.proxy.get, 10, 1),
        }
        at(scene, moment, acts[act])
        assert scene.proxy.get(1) == 1
        assert scene.proxy.get(1) == (10 if act == "put" else 2), act
        assert scene.table.flights == {}
        assert len(scene.table.entries) == 1
        if moment != MOMENTS[1]:
            # What happens in the midst of an admission is counted before it.
            assert scene.cache.budget.live == 1


class Meddling(type):
    """A class with the same hash as `int`."""

    __eq__ = type.__eq__

    def __hash__(cls) -> int:
        return hash(int)


class Meddler(metaclass=Meddling):
    """An argument with the same hash as 5; acts at one of the comparisons with it."""

    def __init__(self) -> None:
        self.left = 0
        self.act: Callable[[], object] = lambda: None

    def __hash__(self) -> int:
        return hash(5)

    def __eq__(self, other: object) -> bool:
        self.left -= 1
        if self.left == 0:
            self.act()
        return self is other


@pytest.mark.parametrize("act", ["write", "put", "call"])
@pytest.mark.parametrize("loading", [False, True])
@pytest.mark.parametrize("when", range(1, 8))
def test_another_key_meddles(act: str, loading: bool, when: int) -> None:
    """A write by the comparison of a key with the same hash is as one that comes in just then."""
    meddler = Meddler()

    def meddle(scene: Scene) -> Any:
        meddler.left = when
        got = scene.proxy.get(5)
        meddler.left = 0
        return got

    scene = Scene()
    target, proxy = scene.target, scene.proxy
    written: list[int] = []

    def do() -> None:
        if act == "write":
            written.append(target.loads)
            proxy.write()
        elif act == "put":
            pussycache.put(proxy.get, 100, 5)
        else:
            proxy.get(5)

    meddler.act = do
    if loading:
        results: list[Any] = []

        def nested() -> None:
            target.act = lambda: None
            results.append(meddle(scene))

        target.act = nested
        proxy.get(meddler)
    else:
        proxy.get(meddler)
        results = [meddle(scene)]
    assert type(results[0]) is int
    after = proxy.get(5)
    if written:
        assert after > written[0]
    assert scene.table.flights == {}
    assert not scene.table.lock._is_owned()
    kept = scene.table.entries
    assert scene.cache.budget.live == len(kept) == len(scene.cache)
    assert all(entry.key is key for key, entry in kept.items())


@pytest.mark.parametrize("moment", MOMENTS[:2])
@pytest.mark.parametrize("error", [ValueError, Interrupted])
def test_an_error_at_the_end_of_a_load(moment: str, error: type[BaseException]) -> None:
    """An exception while a load is being stored leaves no load, no lock and no waiter behind."""
    scene = Scene()
    told: list[Any] = []

    def fail() -> None:
        raise error("inside")

    at(scene, moment, fail)
    once(scene, lambda: next(iter(scene.table.flights.values())).append(told.append))
    if moment == MOMENTS[1] and error is ValueError:
        # A key that refuses to be compared looks like this: the call is answered.
        assert scene.proxy.get(1) == 1
        assert told == [1]
        assert scene.table.entries == {}
    else:
        with pytest.raises(error, match="inside"):
            scene.proxy.get(1)
        assert len(told) == 1
    assert scene.table.flights == {}
    assert not scene.table.lock._is_owned()
    assert LOADING.get() is None
    assert scene.proxy.get(2) == 2


@pytest.mark.parametrize("result", [None, [1], KeyError("x"), Interrupted("y")], ids=repr)
def test_waiters_are_told(result: Any) -> None:
    """Who waits for a load is answered with its result, or loads by itself if it was given up."""
    scene = Scene()
    scene.target.result = result
    outcomes: list[Any] = []

    def call() -> None:
        try:
            outcomes.append(scene.proxy.get(1))
        except BaseException as error:
            outcomes.append(error)

    second = threading.Thread(target=call)

    def wait_for_a_waiter() -> None:
        flight = next(iter(scene.table.flights.values()))
        second.start()
        deadline = time.monotonic() + PATIENCE
        while not flight and time.monotonic() < deadline:
            time.sleep(0.001)
        assert flight

    once(scene, wait_for_a_waiter)
    call()
    second.join(PATIENCE)
    assert len(outcomes) == 2
    assert scene.target.loads == (2 if isinstance(result, Interrupted) else 1)
    assert outcomes[0] is outcomes[1] or outcomes[0] == outcomes[1] == 1


def test_a_task_waits_for_a_thread() -> None:
    """A waiter in an event loop is told by a load in a thread."""
    scene = Scene()
    gate, reached = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        gate.wait(PATIENCE)

    once(scene, hold)

    async def both() -> list[Any]:
        first = asyncio.create_task(asyncio.to_thread(scene.proxy.get, 1))
        await asyncio.to_thread(reached.wait, PATIENCE)
        second = asyncio.create_task(asyncio.to_thread(scene.proxy.get, 1))
        while not any(scene.table.flights.values()):
            await asyncio.sleep(0.001)
        gate.set()
        return [await first, await second]

    assert asyncio.run(both()) == [1, 1]


def test_the_lock_is_waited_for() -> None:
    """A load that ends while another thread is at work on the table is stored after it."""
    scene = Scene()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with scene.table.lock:
            held.set()
            done.wait(0.05)
            scene.table.forget_all(pussycache.engine.entry.Cause("another thread"))

    thread = threading.Thread(target=hold)

    def start() -> None:
        thread.start()
        held.wait(PATIENCE)

    once(scene, start)
    assert scene.proxy.get(1) == 1
    thread.join(PATIENCE)
    assert scene.proxy.get(1) == 2, "what another thread has forgotten was stored"


def test_out_of_stack() -> None:
    """A load that runs out of stack, at whatever depth, leaves nothing behind."""
    scene = Scene()
    target: Any = scene.target

    def deep(n: int) -> Any:
        return scene.proxy.get(1) if n == 0 else deep(n - 1)

    limit = sys.getrecursionlimit()
    depth = len(traceback.extract_stack())
    try:
        sys.setrecursionlimit(depth + 120)
        for n in range(40, 120):
            with suppress(RecursionError):
                assert deep(n) == target.loads
            assert scene.table.flights == {}
            assert LOADING.get() is None
            pussycache.forget_all(scene.proxy.get)
    finally:
        sys.setrecursionlimit(limit)
    assert not scene.table.lock._is_owned()


def test_the_traceback_is_the_loads() -> None:
    """An error comes out as it was raised, and nothing keeps it alive."""

    class Watched(Exception):
        pass

    scene = Scene()
    scene.target.result = error = Watched("x")
    with pytest.raises(Watched) as raised:
        scene.proxy.get(1)
    assert raised.value is error
    assert raised.value.__context__ is None
    assert raised.traceback[-1].name == "get"
    watch = weakref.ref(error)
    error.__traceback__ = None
    scene.target.result = None
    gc.disable()
    try:
        del error, raised
        assert watch() is None
    finally:
        gc.enable()


def test_a_lost_table_type_is_refused() -> None:
    """What the extension is told must fit, and can be told once."""
    hit = type(Scene().proxy).get
    with pytest.raises(TypeError):
        hit.bind_miss()
    with pytest.raises(TypeError):
        hit.bind_miss(
            target="_pussycache_target",
            name="get",
            plan=None,
            lasting=1.0,
            landed=None,
            abandoned=None,
            loading=LOADING,
            flight_type=list,
            failure_type=list,
        )


def test_nothing_is_kept_alive() -> None:
    """The object is freed with its last reference, however its load ended."""
    for result in (None, [1], KeyError("x")):
        scene = Scene()
        scene.target.result = result
        scene.call(1)
        if isinstance(result, KeyError):
            # It has been where the object is.
            result.__traceback__ = None
        watch = weakref.ref(scene.target)
        del scene
        gc.collect()
        assert watch() is None


def test_no_memory_is_lost() -> None:
    """Misses of every kind do not make the process grow."""
    scene = Scene(MemoryCache(max_entries=10))
    numbers = itertools.count()

    def everything() -> None:
        for _ in range(50):
            for result in (None, "text", [1], KeyError("x")):
                scene.target.result = result
                for _ in range(5):
                    try:
                        scene.proxy.get(next(numbers))
                    except KeyError as error:
                        error.__traceback__ = None
            once(scene, lambda: scene.proxy.get(next(numbers)))
            scene.target.result = None
            scene.proxy.get(next(numbers))

    def many() -> int:
        everything()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    for _ in range(10):
        # Until the history of evictions is full.
        everything()
    tracemalloc.start()
    try:
        many()
        sizes = [many() for _ in range(5)]
        assert min(b - a for a, b in itertools.pairwise(sizes)) < 2_000
    finally:
        tracemalloc.stop()
