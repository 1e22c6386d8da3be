"""Caches that are bounded by weight, and bounds that change."""

import logging
import math
import threading

import pytest

import pussycache
from pussycache import ConfigurationError, MemoryCache
from pussycache.cache.weights import size_of
from pussycache.testing import FakeClock


@pytest.fixture(name="clock")
def fake_clock():
    with FakeClock() as clock:
        yield clock


class Source:
    def __init__(self):
        self.loads = 0

    def read(self, key, size=1):
        self.loads += 1
        return "x" * size


def heavy(most, **more):
    cache = MemoryCache(max_bytes=most, weigh=lambda key, value: len(value), **more)
    return cache, pussycache.wrap(Source(), cache, cached_methods=["read"])


def test_all_entries_together_weigh_no_more():
    """What proxies and `set` store stays within max_bytes, whatever each entry weighs."""
    cache, proxy = heavy(1_000)
    for i in range(500):
        proxy.read(i, 1 + i * 7 % 90)
        cache.set(f"key {i}", "y" * (i * 5 % 70))
        assert cache.weight <= 1_000
    assert cache.weight > 900
    kept = [cache.get(f"key {i}", "") for i in range(500)]
    there = [pussycache.peek(proxy.read, i, 1 + i * 7 % 90) for i in range(500)]
    assert cache.weight == sum(map(len, kept)) + sum(len(one) for one in there if one)


def test_a_heavier_value_in_the_place_of_a_light_one():
    """A weight that changes when an entry is replaced is taken into account."""
    cache, _ = heavy(100)
    for key in "abc":
        cache.set(key, "x" * 30)
    cache.set("c", "x")
    assert cache.weight == 61
    cache.set("c", "x" * 90)
    assert cache.weight == 90
    assert cache.get("c") == "x" * 90
    cache.delete("c")
    assert cache.weight == 0


@pytest.mark.parametrize("how", ["forget", "clear", "forget_all", "expire"])
def test_what_is_gone_weighs_nothing(how, clock):
    """However entries go, their weight goes with them."""
    cache, proxy = heavy(1_000, ttl=10)
    cache.set("other", "x" * 7, None)
    for i in range(5):
        proxy.read(i, 100)
    assert cache.weight == 507
    if how == "forget":
        for i in range(5):
            pussycache.forget(proxy.read, i, 100)
    elif how == "clear":
        cache.clear()
    elif how == "forget_all":
        pussycache.forget_all(proxy)
    else:
        clock.advance(10)
        assert len(cache) == 1
    assert cache.weight == (0 if how == "clear" else 7)


def test_an_entry_heavier_than_the_cache():
    """It is handed to its caller and not stored, which is counted and explained."""
    cache, proxy = heavy(100)
    cache.set("other", "x" * 50)
    assert len(proxy.read(1, 101)) == 101
    assert len(cache) == 1
    assert pussycache.info(proxy).rejected == 1
    why = pussycache.explain(proxy.read, 1, 101)
    assert why.reason == "not-stored"
    assert why.detail == "it weighs 101, and the whole cache may weigh 100"


def test_a_value_that_has_become_too_heavy():
    """When a value is replaced by one that is heavier than the cache, neither is there."""
    cache, _ = heavy(100)
    cache.set("a", "x")
    cache.set("a", "x" * 101)
    assert cache.get("a") is None
    assert cache.weight == 0


def test_one_heavy_entry_throws_out_many():
    """Room is made for a heavy entry before its caller has it back."""
    cache, proxy = heavy(10_000)
    for i in range(9_000):
        proxy.read(i)
    proxy.read("heavy", 9_000)
    assert cache.weight <= 10_000
    assert pussycache.peek(proxy.read, "heavy", 9_000) == "x" * 9_000


def test_the_number_of_entries_is_bounded_too():
    """With both bounds, both hold."""
    cache, proxy = heavy(10_000, max_entries=10)
    for i in range(100):
        proxy.read(i)
    assert len(cache) == 10


@pytest.mark.parametrize("bad", ["raises", -1, math.nan, "much"])
def test_a_weight_that_cannot_be(bad, caplog):
    """An entry whose weighing fails is handed over, not stored, and the failure is logged."""

    def weigh(key, value):
        if bad == "raises":
            raise LookupError("no scales")
        return bad

    proxy = pussycache.wrap(
        Source(), MemoryCache(max_bytes=100, weigh=weigh), cached_methods=["read"]
    )
    with caplog.at_level(logging.ERROR, "pussycache"):
        assert proxy.read(1) == "x"
    assert pussycache.info(proxy).entries == 0
    assert pussycache.explain(proxy.read, 1).reason == "not-stored"
    assert "could not be weighed" in caplog.text


def test_what_is_weighed():
    """``weigh`` is given the key of `set`, and of a method the tuple of its arguments."""
    seen = []
    cache = MemoryCache(max_bytes=100, weigh=lambda key, value: seen.append((key, value)) or 1)
    proxy = pussycache.wrap(Source(), cache, cached_methods=["read"])
    cache.set("key", 5)
    cache.set(7, 6)
    proxy.read([1, 2])
    assert seen == [("key", 5), (7, 6), (([1, 2], 1), "x")]


def test_nobody_is_weighed_under_the_lock():
    """While an entry is weighed, other threads can use the cache."""

    def weigh(key, value):
        other = threading.Thread(target=cache.get, args=("other",))
        another = threading.Thread(target=len, args=(cache,))
        for thread in (other, another):
            thread.start()
            thread.join(30)
            assert not thread.is_alive()
        return 1

    cache = MemoryCache(max_bytes=100, weigh=weigh)
    cache.set("a", 1)
    proxy = pussycache.wrap(Source(), cache, cached_methods=["read"])
    assert proxy.read(1) == "x"
    assert len(cache) == 2


# The default.


class Plain:
    def __init__(self, data):
        self.data = data


class Slotted:
    __slots__ = ("data",)

    def __init__(self, data):
        self.data = data


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda data: [data],
        lambda data: (1, data),
        lambda data: {data},
        lambda data: frozenset([data]),
        lambda data: {"key": data},
        lambda data: {data: 1},
        Plain,
        Slotted,
        lambda data: [[Plain({"a": (data,)})]],
    ],
    ids=["list", "tuple", "set", "frozenset", "value", "key", "object", "slots", "nested"],
)
def test_containers_count_with_what_is_in_them(wrapped):
    """A container weighs as much more as what is in it does."""
    light, heavy = size_of("k", wrapped("x")), size_of("k", wrapped("x" * 10_001))
    assert heavy - light == 10_000


def test_what_is_there_twice_counts_once():
    """Shared parts, and parts that contain themselves, count once."""
    part = "x" * 10_000
    assert size_of("k", [part] * 100) < 12_000
    loop = [part]
    loop.append(loop)
    assert size_of("k", loop) < 12_000


def test_a_large_container_is_estimated():
    """Of a very large value a part is looked at, and the estimate is about right."""
    rows = [{"id": i, "name": f"name {i}" * 10} for i in range(50_000)]
    each = size_of("k", rows[:100]) / 100
    assert 0.7 * 50_000 * each < size_of("k", rows) < 1.4 * 50_000 * each


def test_the_default_bound_is_in_bytes():
    """Without ``weigh``, max_bytes is about the memory that is taken."""
    cache = MemoryCache(max_bytes=1_000_000, max_entries=None)
    proxy = pussycache.wrap(Source(), cache, cached_methods=["read"])
    for i in range(300):
        proxy.read(i, 10_000)
    assert 90 <= len(cache) <= 100


def test_unreadable_values_have_a_weight():
    """A value that does not let itself be looked at is weighed by what is known."""

    class Hidden:
        def __sizeof__(self):
            raise LookupError

        def __getattribute__(self, name):
            raise LookupError(name)

    assert size_of("k", [Hidden()]) > 0


# Bounds that change.


def test_a_smaller_bound_holds_at_once():
    """After `resize` returns, the cache is within the new bound, and stays so."""
    cache = MemoryCache(max_entries=5_000)
    proxy = pussycache.wrap(Source(), cache, cached_methods=["read"])
    for i in range(5_000):
        proxy.read(i)
    cache.resize(max_entries=100)
    assert len(cache) == pussycache.info(proxy).entries == 100
    for i in range(1_000):
        proxy.read(-i)
        assert len(cache) <= 100
    assert cache.max_entries == 100


@pytest.mark.parametrize("filled", [400, 799, 999, 1_000])
@pytest.mark.parametrize("bound", [999, 512, 300])
def test_a_smaller_bound_for_what_is_not_full_yet(filled, bound):
    """A cache may be made smaller at any time: also before it has thrown anything out."""
    cache = MemoryCache(max_entries=1_000)
    proxy = pussycache.wrap(Source(), cache, cached_methods=["read"])
    for i in range(filled):
        proxy.read(i)
    cache.resize(max_entries=bound)
    assert len(cache) == min(filled, bound)
    for i in range(2_000):
        proxy.read(-i)
    assert len(cache) == pussycache.info(proxy).entries == bound


def test_a_larger_bound():
    """After `resize` to more, or to no bound, more is kept."""
    cache = MemoryCache(max_entries=10)
    proxy = pussycache.wrap(Source(), cache, cached_methods=["read"])
    for bound, expected in [(10, 10), (1_000, 1_000), (None, 5_000), (70, 70)]:
        cache.resize(max_entries=bound)
        for i in range(5_000):
            proxy.read(i)
        assert len(cache) == expected


def test_another_bound_by_weight():
    """The bound by weight can be changed, and taken away."""
    cache, proxy = heavy(1_000, max_entries=None)
    for i in range(10):
        proxy.read(i, 100)
    cache.resize(max_bytes=500)
    assert cache.weight == 500
    cache.resize(max_bytes=None)
    for i in range(100):
        proxy.read(-i, 100)
    assert cache.weight > 9_000
    cache.resize(max_bytes=300, max_entries=2)
    assert cache.weight == 200


def test_what_was_forgotten_before_resize():
    """Gaps that forgotten entries left do not hold `resize` up."""
    cache = MemoryCache(max_entries=3_000)
    one, two = (pussycache.wrap(Source(), cache, cached_methods=["read"]) for _ in "ab")
    for i in range(1_500):
        one.read(i)
    for i in range(1_500):
        two.read(i)
    pussycache.forget_all(one)
    cache.resize(max_entries=10)
    assert len(cache) == 10


def test_bounds_that_cannot_be():
    """A bound that cannot work is refused, with what to do instead."""
    light = MemoryCache(max_bytes=1)
    refused = [
        (lambda: MemoryCache(max_bytes=0), "max_bytes must be a positive number"),
        (lambda: MemoryCache(max_bytes=True), "max_bytes must be a positive number"),
        (lambda: MemoryCache(max_bytes=math.nan), "max_bytes must be a positive number"),
        (lambda: MemoryCache(weigh=lambda key, value: 1), "bound that with max_bytes="),
        (lambda: MemoryCache(max_bytes=1, weigh=3), "weigh must be a callable"),
        (lambda: light.resize(max_entries=0), "max_entries must be a positive number"),
        (lambda: MemoryCache().resize(max_bytes=10), "make the cache with max_bytes="),
        (lambda: light.resize(max_bytes=-1), "max_bytes must be a positive number"),
    ]
    for make, remedy in refused:
        with pytest.raises(ConfigurationError, match=remedy):
            make()
    assert (light.max_bytes, light.max_entries) == (1, 10_000)


def test_a_pickled_cache_has_the_same_bounds():
    """A copy of a cache is empty, and bounded by weight as it was."""
    import copy

    cache = MemoryCache(max_bytes=100, weigh=size_of)
    cache.set("a", 1)
    again = copy.deepcopy(cache)
    assert (len(again), again.max_bytes, repr(again)) == (0, 100, repr(cache))
