"""What the C extension throws out of a full cache, beside the same in Python: the same things."""

import gc
import importlib
import itertools
import os
import random
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest

import pussycache
from pussycache import Forget, MemoryCache
from pussycache.engine import clock, generations
from pussycache.stats import LoadTimes

try:
    importlib.import_module("pussycache._speed")
except ImportError:
    if os.environ.get("PUSSYCACHE_REQUIRE_SPEED") == "1":
        raise
    pytest.skip("the extension is not built", allow_module_level=True)
if os.environ.get("PUSSYCACHE_PURE_PYTHON", "") not in ("", "0"):
    pytest.skip("the extension is not used", allow_module_level=True)


def in_python() -> Any:
    """Another clock, in which the extension has no part."""
    return clock.replaced(lambda: time.monotonic())


def untimed(info: Any) -> Any:
    """Figures without how long loads took."""
    return info._replace(load_time=0.0, load_times=LoadTimes())


class Target:
    def get(self, a: Any) -> Any:
        return 1

    def other(self, a: Any) -> Any:
        return 2

    def write(self) -> None:
        pass

    def write_one(self, a: Any) -> None:
        pass


class Scene:
    """A proxy of a target, and all that its cache's policy knows."""

    def __init__(self, cache: MemoryCache) -> None:
        self.cache = cache
        self.proxy = pussycache.wrap(
            Target(),
            cache,
            cached_methods=["get", "other"],
            # So the entries of one method have an index, and those of the other have none.
            invalidate_methods={"write": ["other"], "write_one": [Forget("get", "a")]},
        )

    def state(self) -> Any:
        policy = self.cache.budget
        queues = (policy._window, policy._probation, policy._protected)
        return (
            untimed(pussycache.info(self.proxy.get)),
            untimed(pussycache.info(self.proxy.other)),
            policy.live,
            policy._bar,
            policy._chores_in,
            bytes(policy._sketch.counters),
            [[str(key) for key in queue.keys] for queue in queues],
            [[table.name for table in queue.tables] for queue in queues],
            # Without the times.
            [told for told in self.cache.history._evicted if type(told) is int],
        )


Play = Callable[[Scene], Iterator[None]]


def new_only(scene: Scene) -> Iterator[None]:
    for i in range(2_000):
        scene.proxy.other(i)
        yield


def some_again(scene: Scene) -> Iterator[None]:
    chance = random.Random(1)
    for _ in range(3_000):
        scene.proxy.other(int(chance.paretovariate(0.5)))
        yield


def two_methods(scene: Scene) -> Iterator[None]:
    chance = random.Random(2)
    for _ in range(3_000):
        chance.choice([scene.proxy.get, scene.proxy.other])(int(chance.paretovariate(0.7)))
        yield


def written_meanwhile(scene: Scene) -> Iterator[None]:
    chance = random.Random(3)
    for i in range(3_000):
        chance.choice([scene.proxy.get, scene.proxy.other])(int(chance.paretovariate(0.7)))
        if i % 97 == 0:
            scene.proxy.write()
        if i % 7 == 0:
            scene.proxy.write_one(i % 20)
        yield


def hidden_meanwhile(scene: Scene) -> Iterator[None]:
    for i in range(300):
        scene.proxy.get(i)
    with pussycache.writing(scene.proxy.write_one, 5):
        for i in range(100):
            scene.proxy.other(i)
            yield
    with pussycache.writing(scene.proxy.write):
        for i in range(300):
            scene.proxy.get(i)
            yield
    for i in range(500):
        scene.proxy.other(-i)
        yield


def resized(scene: Scene) -> Iterator[None]:
    for room in (50, 20, 80, None, 7):
        scene.cache.resize(max_entries=room)
        for i in range(500):
            scene.proxy.other(i if i % 3 else i // 3)
        yield


class Odd:
    """An argument that does something when it is looked for, once it was told to."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act
        self.told = False

    def __hash__(self) -> int:
        if self.told:
            self.act()
        return 7

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return "odd"


def refuse() -> None:
    raise RuntimeError("not now")


def some_refuse(scene: Scene) -> Iterator[None]:
    for i in range(1_000):
        if i % 5:
            scene.proxy.other(i)
        else:
            odd = Odd(refuse)
            scene.proxy.other(odd)
            odd.told = True
        yield


def some_write(scene: Scene) -> Iterator[None]:
    acts = itertools.cycle(
        [
            lambda: scene.proxy.write(),
            lambda: scene.proxy.other(-1),
            lambda: scene.cache.clear(),
            lambda: pussycache.forget(scene.proxy.other, 3),
        ]
    )
    for i in range(1_000):
        if i % 50:
            scene.proxy.other(i)
        else:
            odd = Odd(next(acts))
            scene.proxy.other(odd)
            odd.told = True
        # What a write within an admission threw away is freed now or at the next occasion.
        scene.cache.sweep()
        yield


@pytest.mark.parametrize("ttl", [None, 300])
# No more than is freed by the caller itself: what a thread of the library's own notes comes late.
@pytest.mark.parametrize("room", [1, 2, 30, 120])
@pytest.mark.parametrize(
    "play",
    [
        new_only,
        some_again,
        two_methods,
        written_meanwhile,
        hidden_meanwhile,
        resized,
        some_refuse,
        some_write,
    ],
)
def test_it_is_as_in_python(
    play: Play, room: int, ttl: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was asked for, the same entries go, and the policy knows the same of the others."""

    def played(where: Any) -> list[Any]:
        # What is thrown out depends on it a little.
        monkeypatch.setattr(generations, "_serials", itertools.count(1))
        with where:
            scene = Scene(MemoryCache(ttl=ttl, max_entries=room))
            return [scene.state() for step, _ in enumerate(play(scene)) if step % 10 == 0]

    for step, (ours, python) in enumerate(
        zip(played(nullcontext()), played(in_python()), strict=True)
    ):
        assert ours == python, f"step {10 * step}"


def test_it_is_run_by_the_extension() -> None:
    """Where nothing is used, hardly any miss enters Python code of the policy's."""
    scene = Scene(MemoryCache(max_entries=1_000))
    seen: Counter[str] = Counter()

    def tracing(frame: Any, event: str, arg: Any) -> None:
        if "pussycache" in frame.f_code.co_filename:
            seen[frame.f_code.co_name] += 1

    before = sys.gettrace()
    sys.settrace(tracing)
    try:
        for i in range(4_000):
            scene.proxy.other(i)
    finally:
        sys.settrace(before)
    assert pussycache.info(scene.proxy).evictions == 3_000
    assert seen["admit"] < 400


@pytest.mark.parametrize("changed", ["the class's method", "the object's class"])
def test_another_policy_is_asked(changed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy of another class, or whose method was replaced, is asked as any is."""
    asked = []
    cache = MemoryCache(max_entries=10)
    kind = type(cache.budget)
    admit = kind.admit

    def asking(self: Any, table: Any, entry: Any) -> Any:
        asked.append(entry.key)
        return admit(self, table, entry)

    if changed == "the class's method":
        monkeypatch.setattr(kind, "admit", asking)
    else:
        cache.budget.__class__ = type("Other", (kind,), {"__slots__": (), "admit": asking})
    scene = Scene(cache)
    for i in range(50):
        scene.proxy.other(i)
    assert len(asked) == 50
    assert len(cache) == 10


def test_no_memory_is_lost() -> None:
    """However an entry goes, nothing of it is kept."""
    scene = Scene(MemoryCache(max_entries=50))

    def everything() -> int:
        for play in (new_only, some_again, two_methods, some_refuse):
            for _ in play(scene):
                pass
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        for _ in range(3):
            # Until the history of evictions is full, and all in it has been traced.
            everything()
        sizes = [everything() for _ in range(5)]
        assert min(b - a for a, b in itertools.pairwise(sizes)) < 1_000
    finally:
        tracemalloc.stop()


def test_what_the_extension_is_told_must_fit() -> None:
    """A class without the slots that the extension reads is refused, and none is known then."""
    speed = importlib.import_module("pussycache._speed")
    known = MemoryCache().budget
    try:
        with pytest.raises((TypeError, AttributeError)):
            speed.use_policy(int, int, list)
        scene = Scene(MemoryCache(max_entries=5))
        for i in range(20):
            scene.proxy.other(i)
        assert len(scene.cache) == 5
    finally:
        speed.use_policy(type(known), type(known._sketch), type(known._keys))
