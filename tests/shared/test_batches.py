"""Calls for many ids whose results are in a shared store."""

from collections.abc import Iterator

import pytest
from servers import RunningServer

import pussycache
from pussycache import MISSING, Cached, Forget, RedisCache
from pussycache.cache.shared import batches
from pussycache.engine.singleflight import Flight


class Users:
    """It has no state: it is known by its class."""

    __slots__ = ("__weakref__",)

    def get(self, ids: list[int]) -> dict[int, str]:
        return {one: f"user {one}" for one in ids}


def test_each_id_is_looked_at_stored_and_forgotten(running: RunningServer) -> None:
    """One process puts, forgets and refreshes, and another one looks."""

    def process() -> Users:
        cache = RedisCache(60, running.url)
        return pussycache.wrap(Users(), cache, cached_methods={"get": Cached(each="ids")})

    users, others = process(), process()
    try:
        assert pussycache.peek(others.get, [1]) is MISSING
        assert pussycache.put(users.get, {1: "ada", 2: "bob"}, [1, 2])
        assert pussycache.peek(others.get, [2, 1]) == {2: "bob", 1: "ada"}
        assert pussycache.explain(others.get, [1, 2]).hit
        assert pussycache.forget(others.get, [2, 3])
        assert not pussycache.forget(users.get, [2, 3])
        assert pussycache.peek(users.get, [1, 2]) is MISSING
        assert pussycache.explain(users.get, [1, 2]).detail.startswith("id 2")
        assert not pussycache.put(users.get, {}, [1])
        assert pussycache.peek(others.get, [1]) is MISSING
        assert pussycache.refresh(users.get, [1]) == {1: "user 1"}
        assert pussycache.peek(others.get, [1]) == {1: "user 1"}
    finally:
        for one in (users, others):
            pussycache.cache_of(one).close()


class Shop:
    def __init__(self, prices: dict[int, int], hold=bool) -> None:
        self.prices = prices
        self.hold = hold
        self.calls: list[list[int]] = []

    def __cache_identity__(self) -> str:
        return "shop"

    def many(self, ids: list[int]) -> dict[int, int]:
        self.calls.append(list(ids))
        found = {one: self.prices[one] for one in ids if one in self.prices}
        self.hold()
        return found

    def one(self, number: int) -> int:
        self.calls.append([number])
        return self.prices[number]

    async def amany(self, ids: list[int]) -> dict[int, int]:
        return self.many(ids)

    def set(self, number: int, price: int) -> None:
        self.prices[number] = price

    def set_all(self, price: int) -> None:
        for number in self.prices:
            self.prices[number] = price


@pytest.fixture
def prices() -> dict[int, int]:
    return dict.fromkeys(range(20), 1)


@pytest.fixture
def process(running: RunningServer, prices: dict[int, int]) -> Iterator[object]:
    caches = []

    def make(hold=bool, **policy: object) -> Shop:
        cache = RedisCache(60, running.url)
        caches.append(cache)
        return pussycache.wrap(
            Shop(prices, hold),
            cache,
            cached_methods={
                "many": Cached(each="ids", item="one", **policy),
                "one": Cached(**policy),
                "amany": Cached(each="ids", **policy),
            },
            invalidate_methods={
                "set": [Forget("one", "number"), Forget("amany", ids="number")],
                "set_all": ["one", "many"],
            },
        )

    yield make
    for cache in caches:
        cache.close()


def test_only_what_is_missing_is_loaded_in_one_call(process) -> None:
    """Ids that any process has loaded, alone or with others, are not loaded again."""
    here, there = process(), process()
    assert here.many([1, 2]) == {1: 1, 2: 1}
    assert there.one(3) == 1
    assert there.many((4, 3, 2, 1)) == {4: 1, 3: 1, 2: 1, 1: 1}
    assert there._proxied.calls == [[3], [4]]
    assert (here.one(4), here.many([]), here.many({5, 1})) == (1, {}, {5: 1, 1: 1})
    assert here._proxied.calls == [[1, 2], [5]]


def test_a_write_makes_one_id_wrong_for_everybody(process) -> None:
    """A rule on one id leaves the others alone, and a write of all leaves nothing."""
    here, there = process(), process()
    here.many(range(10))
    there.set(3, 2)
    assert here.many(range(10)) == {number: 2 if number == 3 else 1 for number in range(10)}
    assert here._proxied.calls[-1] == [3]
    there.set_all(4)
    assert here.many([1, 2]) == {1: 4, 2: 4}


def test_a_half_loaded_batch_is_overtaken(process, spawn, gate) -> None:
    """An id that is written while a batch loads it is stored for nobody; the others are."""
    here, there = process(gate.hold), process()
    slow = spawn(here.many, [1, 2])
    gate.reached()
    there.set(1, 2)
    gate.open()
    assert slow.result() == {1: 1, 2: 1}
    assert there.many([1, 2]) == {1: 2, 2: 1}
    assert there._proxied.calls == [[1]]


def test_batches_that_overlap_load_each_id_once(process, spawn, gate, until) -> None:
    """Two calls of one process that want the same id at the same time load it once."""
    here = process(gate.hold)
    first = spawn(here.many, [1, 2])
    gate.reached()
    table = type(here).one.__pussycache__.table(here)
    second = spawn(here.many, [2])
    until(lambda: any(list(table.flights.values())), "nobody waits")
    gate.open()
    assert (first.result(), second.result()) == ({1: 1, 2: 1}, {2: 1})
    assert here._proxied.calls == [[1, 2]]


def test_nobody_joins_a_load_that_was_forgotten_elsewhere(process, prices, spawn, gate) -> None:
    """What an id was before another process had it forgotten is given to no later call."""
    here, there = process(gate.hold), process()
    slow = spawn(here.many, [1, 2])
    gate.reached()
    prices[1] = prices[2] = 5
    pussycache.forget(there.many, [1, 2])
    here._proxied.hold = bool
    assert spawn(here.many, [1]).result() == {1: 5}
    assert spawn(here.one, 2).result() == 5
    gate.open()
    assert slow.result() == {1: 1, 2: 1}
    assert there.many([1, 2]) == {1: 5, 2: 5}


def test_what_was_stored_since_is_not_loaded(process, spawn, new_gate, monkeypatch) -> None:
    """A call that looked before a load was stored, and begins after, is given what was stored."""
    loading, looked = new_gate(), new_gate()
    here = process(loading.hold)
    first = spawn(here.many, [1, 2])
    loading.reached()

    class Late(Flight):
        def __init__(self) -> None:
            looked.hold()

    monkeypatch.setattr(batches, "Flight", Late)
    second = spawn(here.many, [2, 1])
    looked.reached()
    loading.open()
    assert first.result() == {1: 1, 2: 1}
    looked.open()
    assert second.result() == {1: 1, 2: 1}
    assert here._proxied.calls == [[1, 2]]


def test_a_server_that_is_trusted_again_in_the_midst_of_a_batch(process, monkeypatch) -> None:
    """What was not asked for, because a write was still to be told, is computed."""
    here = process()
    tier = here._cache._tier
    asked = batches.ask_together

    def told_meanwhile(table, commands):
        tier.trusted = True
        return (yield from asked(table, commands))

    monkeypatch.setattr(batches, "ask_together", told_meanwhile)
    tier.trusted = False
    assert here.many([1, 2]) == {1: 1, 2: 1}
    assert here.many([1, 2]) == {1: 1, 2: 1}
    assert here._proxied.calls == [[1, 2], [1, 2]]


def test_who_joins_a_batch_is_given_a_copy(running, spawn, gate, until) -> None:
    """With copy="deep" nobody has the objects of another, also where one load answers several."""

    class Rows:
        def __cache_identity__(self) -> str:
            return "rows"

        def get(self, ids: list[int]) -> dict[int, list[int]]:
            gate.hold()
            return {one: [one] for one in ids}

    cache = RedisCache(60, running.url)
    rows = pussycache.wrap(Rows(), cache, cached_methods={"get": Cached(each="ids", copy="deep")})
    table = type(rows).get.__pussycache__.table(rows)
    first = spawn(rows.get, [1])
    gate.reached()
    others = [spawn(rows.get, [1]) for _ in range(2)]
    until(lambda: any(len(flight) == 2 for flight in list(table.flights.values())), "nobody waits")
    gate.open()
    found = [call.result() for call in (first, *others)]
    cache.close()
    assert found == [{1: [1]}] * 3
    assert len({id(one[1]) for one in found}) == 3


def test_what_is_missing_is_remembered_where_the_policy_says_so(process) -> None:
    """That an id is not in the answer is known to all processes, for as long as errors says."""
    here, there = process(errors={KeyError: 60}), process(errors={KeyError: 60})
    assert here.many([1, 99]) == {1: 1}
    assert there.many([99, 1]) == {1: 1}
    assert there._proxied.calls == []
    there.set(99, 5)
    assert here.many([99]) == {99: 5}


def test_old_values_and_timeouts(process, prices, spawn, gate, until) -> None:
    """A batch is answered with old values while they are renewed, and waits only so long."""
    here = process(ttl=0.05, stale_for=60)
    here.many([1, 2])
    until(lambda: pussycache.info(here.one).stale or not here.many([1, 2]), "nothing grows old")
    until(lambda: len(here._proxied.calls) == 2, "nothing is renewed")
    there = process(gate.hold, timeout=0.05)
    with pytest.raises(pussycache.LoadTimeout):
        there.many([7])
    gate.open()
    # However long that takes: to ask for it would be to wait so long and no longer.
    until(lambda: pussycache.peek(there.many, [7]) == {7: 1}, "it is never stored")
    assert there.many([7]) == {7: 1}
    assert there._proxied.calls == [[7]]


def test_async_batches(process, run) -> None:
    """Async methods for many ids share their entries, too."""
    here, there = process(), process()

    async def main() -> None:
        assert await here.amany([1, 2]) == {1: 1, 2: 1}
        assert await there.amany([2, 3]) == {2: 1, 3: 1}
        assert there._proxied.calls == [[3]]
        there.set(2, 5)
        assert await here.amany([2]) == {2: 5}
        await here._cache.aclose()
        await there._cache.aclose()

    run(main)
