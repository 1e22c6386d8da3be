"""What the figures say: of loads and their time, of what is thrown out, and of who wrote."""

import asyncio
import gc
import pickle
import threading
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pussycache
from pussycache import Cached, CacheInfo, Forget, MemoryCache, NullCache
from pussycache.stats import OTHERS, Counts, LoadTimes
from pussycache.testing import FakeClock

PATIENCE = 60


class Users:
    """Its loads take as many seconds as they are told, by the test's clock."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.clock = clock
        self.seconds = 0.0
        self.error: Exception | None = None

    def _work(self) -> None:
        if self.clock is not None:
            self.clock.advance(self.seconds)
        if self.error is not None:
            raise self.error

    def get(self, user_id: int) -> str:
        self._work()
        return f"user {user_id}"

    def get_many(self, ids: Iterable[int]) -> dict[int, str]:
        self._work()
        return {user_id: f"user {user_id}" for user_id in ids}

    async def fetch(self, user_id: int) -> str:
        self._work()
        return f"user {user_id}"

    def rename(self, user_id: int) -> None:
        pass

    def drop(self) -> None:
        pass


def about(seconds: float) -> object:
    return pytest.approx(seconds, rel=1.0)


# The histogram.


@given(st.lists(st.floats(1e-6, 1000.0), min_size=1), st.integers(1, 100))
def test_a_percentile_is_wrong_by_a_factor_of_two_at_most(times: list[float], q: int) -> None:
    """A percentile lies within a factor of 2 of the duration that so many percent do not exceed."""
    exact = sorted(times)[max(0, -(-len(times) * q // 100) - 1)]
    assert exact / 2 <= LoadTimes.of(times).percentile(q) <= exact * 2


@given(st.lists(st.floats(0.0, 1e9)), st.lists(st.floats(0.0, 1e9)))
def test_histograms_add_and_subtract(some: list[float], more: list[float]) -> None:
    """A sum of histograms is that of all durations, and less one of them it is the other."""
    both = LoadTimes.of(some) + LoadTimes.of(more)
    assert both == LoadTimes.of(some + more)
    assert both - LoadTimes.of(more) == LoadTimes.of(some)
    assert both.total == len(some) + len(more)


def test_what_is_out_of_range_is_counted_at_the_ends() -> None:
    """Durations of nothing, below zero and of years are in the first and the last bucket."""
    counts = LoadTimes.of([0.0, -1.0, 1e-9, 1e9, 1e300]).counts
    assert (counts[0], counts[-1], sum(counts)) == (3, 2, 5)


def test_each_bucket_ends_where_the_next_begins() -> None:
    """A duration is counted in the first bucket whose bound it is below."""
    for i, bound in enumerate(LoadTimes.bounds[:-1]):
        assert LoadTimes.of([bound * 0.999]).counts[i] == 1
        assert LoadTimes.of([bound]).counts[i + 1] == 1


def test_a_histogram_does_not_change() -> None:
    """Load times cannot be set, are equal and hash by what they hold, and can be pickled."""
    times = LoadTimes.of([0.1])
    with pytest.raises(AttributeError, match="do not change"):
        times.counts = ()
    again = pickle.loads(pickle.dumps(times))
    assert again == times
    assert hash(again) == hash(times)
    assert times != (0,) * 32


def test_without_loads_all_estimates_are_zero() -> None:
    """Before the first load there is no median, no average and no time saved."""
    info = CacheInfo(hits=3)
    assert (info.load_times.median, info.average_load, info.time_saved) == (0.0, 0.0, 0.0)


# A snapshot less another.


def test_a_later_snapshot_less_an_earlier_one() -> None:
    """Counts are subtracted; entries, bytes and what is pending stay those of the later one."""
    cache = MemoryCache(max_bytes=10_000, weigh=lambda key, value: 100)
    users = pussycache.wrap(
        Users(), cache, cached_methods=["get"], invalidate_methods={"rename": ["get"]}
    )
    users.get(1)
    users.rename(1)
    earlier = pussycache.info(users)
    users.get(1)
    users.get(1)
    users.get(2)
    users.rename(2)
    users.get(3)
    between = pussycache.info(users) - earlier
    assert (between.hits, between.misses, between.loads) == (1, 3, 3)
    assert between.load_times.total == 3
    assert between.invalidated == {"Users.rename": 1}
    assert (between.entries, between.bytes) == (1, 100)
    assert (between - between)._replace(entries=0, bytes=None) == CacheInfo(
        invalidated=Counts({"Users.rename": 0})
    )


def test_figures_can_be_pickled() -> None:
    """A snapshot is the same in another process."""
    users = pussycache.wrap(Users(), cached_methods=["get"])
    users.get(1)
    info = pussycache.info(users)
    assert pickle.loads(pickle.dumps(info)) == info


# Loads.


def test_the_time_of_loads_that_end_well_and_that_fail() -> None:
    """Both kinds of loads are counted with the time they took, and hits take none."""
    with FakeClock() as clock:
        target = Users(clock)
        users = pussycache.wrap(target, cached_methods=["get"])
        target.seconds = 2.0
        users.get(1)
        users.get(1)
        target.seconds, target.error = 0.5, KeyError("gone")
        with pytest.raises(KeyError):
            users.get(2)
        info = pussycache.info(users.get)
    assert (info.loads, info.failures, info.load_time) == (1, 1, 2.5)
    assert info.load_times == LoadTimes.of([2.0, 0.5])
    assert info.average_load == 1.25


def test_with_the_real_clock_each_load_is_timed() -> None:
    """Each load is counted once in the histogram, also where the C extension has run it."""
    users = pussycache.wrap(Users(), cached_methods=["get"])
    for i in range(50):
        users.get(i)
    info = pussycache.info(users)
    assert info.load_times.total == info.loads == 50
    assert 0.0 < info.load_time < PATIENCE
    assert info.load_time / 50 == info.average_load


def test_time_saved_is_hits_times_the_usual_load() -> None:
    """One load that took very long does not make the estimate of what was saved better."""
    with FakeClock() as clock:
        target = Users(clock)
        users = pussycache.wrap(target, cached_methods=["get"])
        for user_id, target.seconds in enumerate([0.010, 0.010, 0.010, 500.0]):
            users.get(user_id)
        for _ in range(100):
            users.get(0)
        info = pussycache.info(users)
    assert info.time_saved == about(100 * 0.010)


def test_who_waits_records_a_miss_and_no_load() -> None:
    """Of two callers that miss at once, both record a miss, and one load is recorded and timed."""
    inside, go = threading.Event(), threading.Event()

    class Slow:
        def get(self, user_id: int) -> int:
            inside.set()
            assert go.wait(PATIENCE)
            return user_id

    slow = pussycache.wrap(Slow(), cached_methods=["get"])
    table = type(slow).get.__pussycache__.table(slow)
    callers = [threading.Thread(target=slow.get, args=(1,)) for _ in range(2)]
    callers[0].start()
    assert inside.wait(PATIENCE)
    callers[1].start()
    while not any(list(table.flights.values())):
        pass
    go.set()
    for caller in callers:
        caller.join(PATIENCE)
    info = pussycache.info(slow)
    assert (info.misses, info.loads, info.load_times.total) == (2, 1, 1)


def test_an_awaited_load_is_timed() -> None:
    """Loads of coroutine methods are counted with the time they took."""
    with FakeClock() as clock:
        target = Users(clock)
        users = pussycache.wrap(target, cached_methods=["fetch"])
        target.seconds = 3.0
        asyncio.run(users.fetch(1))
        assert pussycache.info(users).load_time == 3.0


def test_one_load_of_many_ids_is_shared_out() -> None:
    """A call that loads four ids in a second counts as four loads of a quarter of a second."""
    with FakeClock() as clock:
        target = Users(clock)
        users = pussycache.wrap(target, cached_methods={"get_many": Cached(each="ids")})
        target.seconds = 1.0
        users.get_many([1, 2, 3, 4])
        info = pussycache.info(users)
    assert (info.loads, info.load_time) == (4, 1.0)
    assert info.load_times == LoadTimes.of([0.25] * 4)


def test_reloads_are_timed_and_values_from_outside_are_not() -> None:
    """A refresh is a load with a time; a put is none."""
    with FakeClock() as clock:
        target = Users(clock)
        users = pussycache.wrap(target, cached_methods=["get"])
        target.seconds = 1.0
        pussycache.put(users.get, "someone", 7)
        assert pussycache.info(users).load_times.total == 0
        pussycache.refresh(users.get, 7)
        assert pussycache.info(users).load_time == 1.0


def test_what_is_not_stored_is_timed_too() -> None:
    """A load whose result a policy rejects counts with its time."""
    with FakeClock() as clock:
        target = Users(clock)
        target.seconds = 1.0
        users = pussycache.wrap(target, cached_methods={"get": Cached(when=lambda user: False)})
        users.get(1)
        info = pussycache.info(users)
    assert (info.rejected, info.load_time) == (1, 1.0)


# What is thrown out.


def test_evictions_by_the_bound_they_made_room_under() -> None:
    """Evictions say which bound was reached, and their sum is all of them."""
    few = pussycache.wrap(Users(), MemoryCache(max_entries=2), cached_methods=["get"])
    light = pussycache.wrap(
        Users(),
        MemoryCache(max_entries=None, max_bytes=200, weigh=lambda key, value: 100),
        cached_methods=["get"],
    )
    for user_id in range(5):
        few.get(user_id)
        light.get(user_id)
    assert pussycache.info(few).evicted == {"max_entries": 3}
    assert pussycache.info(few).evictions == 3
    assert pussycache.info(light).evicted == {"max_bytes": 3}
    assert pussycache.info(light).bytes == 200
    assert pussycache.info(few).bytes is None


def test_expiries_are_no_evictions() -> None:
    """An entry past its time is counted when it is found so: by a new load, or a look around."""
    with FakeClock() as clock:
        cache = MemoryCache(ttl=10)
        users = pussycache.wrap(Users(), cache, cached_methods=["get"])
        users.get(1)
        users.get(2)
        clock.advance(11)
        users.get(1)
        assert pussycache.info(users).expired == 1
        assert len(cache) == 1
        info = pussycache.info(users)
        users.get(1)
        pussycache.refresh(users.get, 1)
        assert (info.expired, info.evictions, info.entries) == (2, 0, 1)
        assert pussycache.info(users).expired == 2


# Who wrote.


def test_invalidations_by_who_wrote() -> None:
    """Each write is counted under the method or the operation, and one declared but idle with 0."""
    users = pussycache.wrap(
        Users(),
        cached_methods=["get"],
        invalidate_methods={"rename": [Forget("get", "user_id")], "drop": ["*"]},
    )
    users.get(1)
    users.rename(1)
    users.rename(1)
    users.get(1)
    pussycache.forget(users.get, 1)
    pussycache.forget_all(users.get)
    info = pussycache.info(users)
    assert info.invalidated == {
        "Users.rename": 2,
        "Users.drop": 0,
        "forget": 1,
        "forget_all": 1,
    }
    assert info.invalidations == sum(info.invalidated.values())


def test_decorators_declare_who_writes_too() -> None:
    """What decorated methods and functions make wrong is known before they have."""

    class Shop:
        @pussycache.cached
        def price(self, item: int) -> int:
            return item

        @pussycache.invalidates("price")
        def sale(self) -> None:
            pass

    @pussycache.cached
    def rate() -> float:
        return 1.5

    @pussycache.invalidates(rate)
    def set_rate() -> None:
        pass

    shop = Shop()
    shop.price(1)
    (declared,) = pussycache.info(shop.price).invalidated
    assert declared.endswith("Shop.sale")
    ((writer, count),) = pussycache.info(rate).invalidated.items()
    assert writer.endswith(".set_rate")
    assert count == 0


def test_so_many_who_wrote_are_told_apart() -> None:
    """Writers are counted one by one up to a bound, and the rest together."""
    users = pussycache.wrap(Users(), cached_methods=["get"])
    table = type(users).get.__pussycache__.table(users)
    for i in range(100):
        table.forget_all(pussycache.engine.entry.Cause(f"writer {i}"))
    invalidated = pussycache.info(users).invalidated
    assert len(invalidated) == 33
    assert invalidated[OTHERS] == 68


# Of a whole cache.


def test_of_a_cache() -> None:
    """A cache's figures are those of all methods, objects and functions in it, and of its keys."""
    cache = MemoryCache()

    @pussycache.cached(cache=cache)
    def double(number: int) -> int:
        return 2 * number

    ada, grace = (pussycache.wrap(Users(), cache, cached_methods=["get"]) for _ in range(2))
    ada.get(1)
    ada.get(1)
    grace.get(1)
    double(2)
    cache.set("key", "value")
    cache.get("key")
    cache.get("no key")
    info = pussycache.info(cache)
    assert (info.hits, info.misses, info.loads, info.entries) == (2, 4, 3, 4)
    assert asyncio.run(pussycache.ainfo(cache)).hits == 2
    labels = cache.figures()
    where = f"{__name__}.Users.get"
    assert labels[where].misses == 2
    assert [name for name in labels if name.endswith("test_of_a_cache.<locals>.double")]
    assert labels["(set by hand)"].entries == 1


def test_what_is_no_more_has_counted() -> None:
    """What was counted of an object stays in its cache's figures when the object is gone."""
    cache = MemoryCache()
    for _ in range(3):
        users = pussycache.wrap(
            Users(), cache, cached_methods=["get"], invalidate_methods={"rename": ["get"]}
        )
        users.get(1)
        users.get(1)
        users.rename(1)
        users.get(1)
        del users
        gc.collect()
    info = pussycache.info(cache)
    assert (info.hits, info.misses, info.loads, info.entries) == (3, 6, 6, 0)
    assert info.load_times.total == 6
    assert info.invalidated == {"Users.rename": 3}


def test_what_shared_a_namespace_has_counted() -> None:
    """So it is for objects that are known by a namespace, once nobody knows of it any more."""
    cache = MemoryCache()
    users = pussycache.wrap(Users(), cache, cached_methods=["get"], namespace="n")
    users.get(1)
    del users
    gc.collect()
    info = pussycache.info(cache)
    assert (info.misses, info.loads) == (1, 1)


def test_so_many_methods_that_are_no_more_are_told_apart() -> None:
    """A program that makes classes for ever has a bounded number of names in its figures."""
    cache = MemoryCache()
    for i in range(1100):
        made = type(f"Made{i}", (Users,), {})
        pussycache.wrap(made(), cache, cached_methods=["get"]).get(1)
    gc.collect()
    figures = cache.figures()
    assert len(figures) <= 1001 + len(cache.labelled())
    assert figures[OTHERS].loads >= 50
    assert pussycache.info(cache).loads == 1100


def test_a_cache_that_stores_nothing_counts() -> None:
    """Calls through a `NullCache` are misses, and nothing is loaded for others."""
    cache = NullCache()
    users = pussycache.wrap(Users(), cache, cached_methods=["get"])
    users.get(1)
    assert pussycache.info(cache).misses == 1


def test_what_has_no_figures() -> None:
    """Of anything but a method, a proxy or a cache there are no figures, and the error says so."""
    with pytest.raises(pussycache.ConfigurationError, match="info takes a proxy, or a cached"):
        pussycache.info("users")
