"""The figures of several objects and caches at one moment, and what happened between two."""

import gc
import pickle
import time

import pytest

import pussycache
from pussycache import CacheInfo, ConfigurationError, MemoryCache
from pussycache.see import snapshots
from pussycache.see.snapshots import Snapshot, snapshot
from pussycache.stats import OTHERS, Counts

HERE = __name__


class Users:
    def get(self, user_id: int) -> int:
        return user_id

    def find(self, name: str) -> str:
        return name

    def rename(self, user_id: int) -> None:
        pass


def users(cache: MemoryCache | None = None) -> Users:
    return pussycache.wrap(
        Users(), cache, cached_methods=["get", "find"], invalidate_methods={"rename": ["get"]}
    )


def test_of_proxies_and_functions_and_caches() -> None:
    """Each kind of source gives its methods, and several objects of one class are added up."""
    cache = MemoryCache()

    @pussycache.cached(cache=cache)
    def double(number: int) -> int:
        return 2 * number

    class Shop:
        @pussycache.cached
        def price(self, item: int) -> int:
            return item

    ada, grace = users(), users()
    shops = Shop(), Shop()
    ada.get(1)
    grace.get(1)
    double(1)
    for shop in shops:
        shop.price(1)
    seen = snapshot(ada, grace).methods
    assert set(seen) == {f"{HERE}.Users.get", f"{HERE}.Users.find"}
    assert seen[f"{HERE}.Users.get"].misses == 2
    assert snapshot(ada.get).total.misses == 1
    assert snapshot(Shop.price).total.misses == 2
    assert snapshot(shops[0].price).total.misses == 1
    for source in (double, cache):
        ((label, info),) = snapshot(source).methods.items()
        assert label.endswith("<locals>.double")
        assert info.misses == 1


def test_what_sources_have_in_common_is_counted_once() -> None:
    """Two proxies of one object, a method of one, and their cache tell of one call once."""
    cache, target = MemoryCache(), Users()
    reading = pussycache.wrap(target, cache, cached_methods=["get"])
    writing = pussycache.wrap(target, cache, invalidate_methods={"rename": ["get"]})
    reading.get(1)
    for sources in (
        (reading, writing),
        (writing, reading, reading),
        (reading.get, reading),
        (reading, cache),
        (cache, reading.get, cache),
    ):
        assert snapshot(*sources).total.misses == 1


def test_of_all_caches_of_this_process() -> None:
    """Without sources, whatever is cached in this process is among the methods."""
    ada = users()
    before = snapshot()
    ada.get(1)
    ada.get(1)
    between = snapshot() - before
    assert between.methods[f"{HERE}.Users.get"].hits == 1
    assert between.caches[f"{HERE}.Users.get"] == "MemoryCache"


def test_when_it_was() -> None:
    """A snapshot has the time of day at which it was taken; a difference, that of the later one."""
    before = time.time()
    first = snapshot(users())
    assert before <= first.moment <= time.time()
    assert (snapshot(users()) - first).moment >= first.moment


def test_who_makes_what_wrong() -> None:
    """Edges lead from who wrote to what was made wrong, also where nobody has written yet."""
    ada = users()
    edge = ("Users.rename", f"{HERE}.Users.get")
    assert snapshot(ada).edges == {edge: 0}
    ada.rename(1)
    before = snapshot(ada)
    ada.rename(1)
    assert before.edges == {edge: 1}
    assert (snapshot(ada) - before).edges == {edge: 1}


def test_a_difference_is_of_what_both_know_and_of_what_is_new() -> None:
    """What was not there at first counts from its beginning; what is gone does not count."""
    info = CacheInfo(hits=5, entries=2, invalidated=Counts({"w": 1}))
    first = Snapshot(1.0, {"a": info, "gone": info}, {"a": "c", "gone": "c"})
    later = Snapshot(2.0, {"a": info._replace(hits=7), "new": info}, {"a": "c", "new": "c"})
    between = later - first
    assert set(between.methods) == {"a", "new"}
    assert [between.methods[name].hits for name in ("a", "new")] == [2, 5]
    assert between.methods["a"].entries == 2


def test_labels_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of very many methods those called most are told apart, and no call is lost or made up."""
    monkeypatch.setattr(snapshots, "_MOST", 10)
    cache = MemoryCache()
    kept = []

    def called(kind: int, times: int) -> None:
        made = pussycache.wrap(type(f"Users{kind}", (Users,), {})(), cache, cached_methods=["get"])
        for i in range(times):
            made.get(i)
        kept.append(made)

    for kind in range(30):
        called(kind, kind)
    first = snapshot(cache)
    assert len(first.methods) == 10
    assert f"{HERE}.Users29.get" in first.methods
    assert first.total.misses == sum(range(30))
    for kind in range(100, 130):
        called(kind, 50)
    later = snapshot(cache)
    between = later - first
    assert len(later.methods) == 10
    assert between.total.misses == 30 * 50
    assert OTHERS in between.methods
    assert between.total.entries == later.total.entries


def test_a_million_labels_are_a_bounded_answer() -> None:
    """However many methods figures are told of, a snapshot has some hundreds."""

    class Many(MemoryCache):
        def figures(self) -> dict[str, CacheInfo]:
            one = CacheInfo(misses=1)
            return {f"method {i}": one for i in range(100_000)}

    seen = snapshot(Many())
    assert len(seen.methods) <= 500
    assert seen.total.misses == 100_000


def test_kinds_of_caches_are_told_apart_where_need_be() -> None:
    """The cache is part of a label where the same method is in several kinds of caches, only."""

    class Special(MemoryCache):
        pass

    special = Special()
    ada, grace = users(), users(special)
    assert set(snapshot(special).methods) == {f"{HERE}.Users.get", f"{HERE}.Users.find"}
    both = snapshot(ada, grace)
    label = f"{HERE}.Users.get in Special"
    assert label in both.methods
    assert both.caches[label] == "Special"


def test_it_does_not_change() -> None:
    """A snapshot cannot be changed, and is the same in another process."""
    seen = snapshot(users())
    with pytest.raises(AttributeError, match="does not change"):
        seen.moment = 0.0
    with pytest.raises(TypeError):
        seen.methods["x"] = CacheInfo()  # type: ignore[index]
    again = pickle.loads(pickle.dumps(seen))
    assert (again.methods, again.caches, again.moment) == (seen.methods, seen.caches, seen.moment)


def test_it_keeps_nothing_alive() -> None:
    """A snapshot outlives what it is of, and its cache."""
    cache = MemoryCache()
    ada = users(cache)
    ada.get(1)
    seen = snapshot(ada)
    del ada, cache
    gc.collect()
    assert seen.total.misses == 1


@pytest.mark.parametrize("source", [Users(), "users", Users.get, None])
def test_what_it_cannot_be_taken_of(source: object) -> None:
    """Anything else is refused, with what to do about it."""
    with pytest.raises(ConfigurationError, match="snapshot takes proxies"):
        snapshot(source)
