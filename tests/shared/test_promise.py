"""The promise across processes: each cache object stands for one, and shares nothing else."""

import asyncio
import gc
import os
import signal
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from patience import BRIEF
from servers import RunningServer

import pussycache
from pussycache import Forget, RedisCache
from pussycache.cache.shared.elsewhere import Elsewhere
from pussycache.cache.shared.lease import COLD, lease_of
from pussycache.cache.shared.scripts import MARK
from pussycache.cache.shared.tables import SharedTable
from pussycache.cache.shared.tier import Tier


class Price:
    """Something in a database that all processes share: `amounts`."""

    amounts: dict[str, int]

    def __init__(self, amounts: dict[str, int], hold: Callable[[], None] = bool) -> None:
        self.amounts = amounts
        self.hold = hold
        self.loads = 0

    def __cache_identity__(self) -> str:
        return "prices"

    def get(self, name: str) -> int:
        self.loads += 1
        amount = self.amounts[name]
        self.hold()
        return amount

    def plain(self, name: str) -> int:
        """As `get`, and no rule looks at the name."""
        return self.get(name)

    async def aget(self, name: str) -> int:
        self.loads += 1
        return self.amounts[name]

    def set(self, name: str, amount: int) -> None:
        self.amounts[name] = amount

    def held_set(self, name: str, amount: int) -> None:
        self.hold()
        self.amounts[name] = amount
        self.hold()

    async def aset(self, name: str, amount: int) -> None:
        self.amounts[name] = amount

    def set_all(self, amount: int) -> None:
        for name in self.amounts:
            self.amounts[name] = amount

    def fail(self, name: str, amount: int) -> None:
        self.amounts[name] = amount
        raise ArithmeticError


ONE = [Forget("get", "name"), Forget("aget", "name")]
Process = Callable[..., Price]


@pytest.fixture
def amounts() -> dict[str, int]:
    return {"tea": 1, "milk": 1}


@pytest.fixture
def process(running: RunningServer, amounts: dict[str, int]) -> Iterator[Process]:
    """Make what another process would have: a cache and a wrapped object of its own."""
    caches: list[RedisCache] = []

    def make(hold: Callable[[], None] = bool, **settings: object) -> Price:
        cache = RedisCache(url=running.unix_url, **settings)
        caches.append(cache)
        return pussycache.wrap(
            Price(amounts, hold),
            cache,
            cached_methods=["get", "aget", "plain"],
            invalidate_methods={
                "set": ONE,
                "held_set": ONE,
                "aset": ONE,
                "fail": ONE,
                "set_all": ["*"],
            },
        )

    yield make
    for cache in caches:
        with suppress(pussycache.InvalidationPending):
            cache.close()


def loads(proxy: Price) -> int:
    return proxy._proxied.loads


def test_what_one_process_loads_another_is_served(process: Process) -> None:
    """Processes share their entries, sync and async, and each value of an argument is one."""
    one, other = process(), process()
    assert (one.get("tea"), other.get("tea"), other.get("milk")) == (1, 1, 1)
    assert (loads(one), loads(other)) == (1, 1)


@pytest.mark.parametrize("write", ["set", "set_all", "fail"])
def test_a_write_is_seen_by_all_processes(process: Process, write: str) -> None:
    """After a write in one process, also one that raises, no process is served what was before."""
    one, other = process(), process()
    for proxy in (one, other):
        assert (proxy.get("tea"), proxy.get("milk")) == (1, 1)
    arguments = (2,) if write == "set_all" else ("tea", 2)
    with suppress(ArithmeticError):
        getattr(one, write)(*arguments)
    for proxy in (one, other):
        assert proxy.get("tea") == 2
    assert other.get("milk") == (2 if write == "set_all" else 1)


def test_a_rule_leaves_other_values_alone(process: Process) -> None:
    """A write of one value makes nobody load the others again."""
    one, other = process(), process()
    one.get("tea"), one.get("milk")
    other.set("tea", 2)
    assert (other.get("milk"), loads(other)) == (1, 0)
    assert (other.get("tea"), loads(other)) == (2, 1)


def test_a_rule_matches_both_sides_of_a_fold(running: RunningServer) -> None:
    """When clocks are put back two moments are equal: a write of one makes the other wrong."""
    amounts = {"tea": 1}

    class Times:
        def get(self, when: datetime) -> int:
            return amounts["tea"]

        def set(self, when: datetime, amount: int) -> None:
            amounts["tea"] = amount

    first = datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    with closing(RedisCache(url=running.unix_url)) as cache:
        times = pussycache.wrap(
            Times(),
            cache,
            cached_methods=["get"],
            invalidate_methods={"set": [Forget("get", "when")]},
        )
        assert (times.get(first), times.get(first.replace(fold=1))) == (1, 1)
        times.set(first.replace(fold=1), 2)
        assert times.get(first) == 2


def test_an_overtaken_load_is_never_served(process: Process, spawn, gate) -> None:
    """A load that another process's write has overtaken answers its caller and nobody else."""
    reading, writing = process(gate.hold), process()
    slow = spawn(reading.get, "tea")
    gate.reached()
    writing.set("tea", 2)
    gate.open()
    assert slow.result() == 1
    assert (writing.get("tea"), reading.get("tea")) == (2, 2)


def test_nobody_waits_for_a_load_that_a_write_has_overtaken(process: Process, spawn, gate) -> None:
    """A call that starts after a write does not join a load from before it, in any process."""
    reading, writing = process(gate.hold), process()
    slow = spawn(reading.get, "tea")
    gate.reached()
    writing.set("tea", 2)
    assert writing.get("tea") == 2
    gate.open()
    assert slow.result() == 1


def test_while_a_writer_is_at_work_nothing_is_served_or_stored(
    process: Process, spawn, gate, amounts: dict[str, int]
) -> None:
    """From its start to its end the others compute, and what they compute is kept for nobody."""
    writing, reading = process(gate.hold), process()
    reading.get("tea")
    reading.get("milk")
    write = spawn(writing.held_set, "tea", 2)
    gate.reached()
    assert [reading.get("tea") for _ in range(2)] == [1, 1]
    assert loads(reading) == 4
    assert reading.get("milk") == 1
    assert loads(reading) == 4
    gate.open()
    write.wait()
    assert (reading.get("tea"), reading.get("tea"), loads(reading)) == (2, 2, 5)


def test_one_writer_does_not_lift_anothers_fence(
    process: Process, spawn, new_gate, amounts: dict[str, int]
) -> None:
    """Of two writers that overlap, the first to end leaves the other's fence standing."""
    first, second = new_gate(), new_gate()
    one, other, reading = process(first.hold), process(second.hold), process()
    a = spawn(one.held_set, "tea", 2)
    first.reached()
    b = spawn(other.held_set, "tea", 3)
    second.reached()
    first.open()
    a.wait()
    assert reading.get("tea") == 2
    assert reading.get("tea") == 2
    assert loads(reading) == 2
    second.open()
    b.wait()
    assert (reading.get("tea"), reading.get("tea"), loads(reading)) == (3, 3, 3)


@pytest.mark.parametrize("by", ["forget", "put"])
def test_what_is_forgotten_while_caching_is_off_is_served_to_nobody(
    process: Process, amounts: dict[str, int], by: str
) -> None:
    """Caching that is switched off in one process is on in others, who hear of what it forgets."""
    one, other = process(), process()
    assert other.plain("tea") == 1
    amounts["tea"] = 2
    with pussycache.disabled():
        if by == "forget":
            assert pussycache.forget(one.plain, "tea")
        else:
            assert not pussycache.put(one.plain, 2, "tea")
    assert other.plain("tea") == 2


@pytest.mark.parametrize("by", ["forget", "put"])
def test_what_is_forgotten_while_a_write_begins_is_served_to_nobody(
    process: Process, amounts: dict[str, int], spawn, gate, by: str
) -> None:
    """A writer of this process that the server has not heard of yet keeps nothing from it."""
    one, other = process(), process()
    assert other.get("tea") == 1
    tier = one._cache._tier
    ask = tier.ask

    def held(*what: object) -> object:
        gate.hold()
        return ask(*what)

    tier.ask = held
    write = spawn(one.set, "tea", 3)
    gate.reached()
    tier.ask = ask
    amounts["tea"] = 2
    if by == "forget":
        assert pussycache.forget(one.get, "tea")
    else:
        assert not pussycache.put(one.get, 2, "tea")
    assert other.get("tea") == 2
    gate.open()
    write.wait()
    assert other.get("tea") == 3


@pytest.mark.parametrize("by", ["forget", "put"])
def test_who_does_not_know_a_rule_forgets_for_those_who_do(
    process: Process, running: RunningServer, amounts: dict[str, int], by: str
) -> None:
    """An earlier version, whose parameter has another name, forgets what a later one has stored."""
    later = process()
    later.get("tea")
    later.set("tea", 2)
    assert later.get("tea") == 2

    class Earlier(Price):
        def get(self, article: str) -> int:
            return self.amounts[article]

    Earlier.__module__, Earlier.__qualname__ = Price.__module__, Price.__qualname__
    with closing(RedisCache(url=running.unix_url)) as cache:
        earlier = pussycache.wrap(Earlier(amounts), cache, cached_methods=["get"])
        assert earlier.get("tea") == 2
        assert pussycache.explain(earlier.get, "tea").reason == "uncacheable"
        amounts["tea"] = 3
        if by == "forget":
            pussycache.forget(earlier.get, "tea")
        else:
            assert not pussycache.put(earlier.get, 3, "tea")
        assert later.get("tea") == 3


def test_a_lost_generation_brings_nothing_back(
    process: Process, running: RunningServer, amounts: dict[str, int]
) -> None:
    """Where a generation is lost, its entries are gone for good."""
    one, other = process(), process()
    one.get("tea")
    with running.client() as client:
        client.delete(*client.keys("pussycache:g:*"))
    amounts["tea"] = 2
    assert (one.get("tea"), other.get("tea"), other.get("tea")) == (2, 2, 2)
    assert loads(other) == 0


def test_processes_that_declare_different_rules(
    running: RunningServer, amounts: dict[str, int]
) -> None:
    """A reader that does not know a writer's rule is not served what the rule makes wrong."""
    plain, writing = RedisCache(url=running.unix_url), RedisCache(url=running.unix_url)
    reader = pussycache.wrap(Price(amounts), plain, cached_methods=["get"])
    writer = pussycache.wrap(
        Price(amounts), writing, invalidate_methods={"set": [Forget("get", "name")]}
    )
    for amount in (2, 3, 4):
        reader.get("tea")
        writer.set("tea", amount)
        assert reader.get("tea") == amount
    for cache in (plain, writing):
        cache.close()


def test_one_load_for_all_processes(process: Process, spawn, gate, until) -> None:
    """Concurrent callers of a cold key in two processes load once, and all are given the value."""
    one, other = process(gate.hold), process()
    slow = spawn(one.get, "tea")
    gate.reached()
    waiting = [spawn(other.get, "tea") for _ in range(5)]
    tier = other._cache._tier
    until(lambda: tier.wakes._waiting, "nobody waits for the lease")
    gate.open()
    assert [call.result() for call in (slow, *waiting)] == [1] * 6
    assert (loads(one), loads(other)) == (1, 0)


def test_who_is_about_to_wait_is_not_told_in_vain(
    process: Process, monkeypatch: pytest.MonkeyPatch, spawn, gate, until
) -> None:
    """A load elsewhere that ends before its waiter is waiting is not waited for."""
    monkeypatch.setattr(Elsewhere, "outlasted", lambda *_: pytest.fail("nobody woke it"))
    one, other = process(gate.hold), process()
    slow = spawn(one.get, "tea")
    gate.reached()
    tier = other._cache._tier
    ask = tier.ask

    def held_up(key: bytes, commands: list[tuple[object, ...]], again: bool = True) -> object:
        heard, replies = tier.wakes.heard, ask(key, commands, again)
        if MARK.sha in commands[0]:
            gate.open()
            until(lambda: tier.wakes.heard > heard, "the end of the load is not heard of")
        return replies

    monkeypatch.setattr(tier, "ask", held_up)
    assert spawn(other.get, "tea").result() == 1
    assert slow.result() == 1
    assert loads(other) == 0


def test_who_joins_after_the_look_is_not_given_what_was_found(
    process: Process, amounts: dict[str, int], spawn, new_gate, until, monkeypatch
) -> None:
    """Of those who wait for another process's load, each that came after a forget loads anew."""
    load, found = new_gate(), new_gate()
    one, other = process(load.hold), process()
    joined: list[bool] = []
    join, opened = SharedTable.join, SharedTable.opened

    def counted(table: SharedTable, *what: object) -> bool:
        joined.append(join(table, *what))
        return joined[-1]

    def held(table: SharedTable, *what: object) -> object:
        if not found.arrived.is_set():
            found.hold()
        return opened(table, *what)

    monkeypatch.setattr(SharedTable, "join", counted)
    slow = spawn(one.get, "tea")
    load.reached()
    first = spawn(other.get, "tea")
    until(lambda: other._cache._tier.wakes._waiting, "nobody waits for the lease")
    early = spawn(other.get, "tea")
    until(lambda: joined == [True], "nobody waits for the other")
    monkeypatch.setattr(SharedTable, "opened", held)
    load.open()
    found.reached()
    amounts["tea"] = 2
    pussycache.forget(one.get, "tea")
    late = spawn(other.get, "tea")
    until(lambda: joined == [True] * 2, "nobody waits for the other")
    found.open()
    assert [call.result() for call in (slow, first, early, late)] == [1, 1, 1, 2]
    assert (loads(one), loads(other)) == (1, 1)


def test_a_load_inside_of_a_load_waits_for_nobody(process: Process, spawn, gate) -> None:
    """Two processes whose loads ask for one another's come to an end."""
    one, other = process(gate.hold), process()

    class Outer:
        def total(self) -> int:
            return other.get("tea")

    outer = pussycache.wrap(Outer(), other._cache, cached_methods=["total"])
    slow = spawn(one.get, "tea")
    gate.reached()
    assert outer.total() == 1
    gate.open()
    slow.wait()


def cold(*processes: Process) -> None:
    """Have calls in a row that are not found: the next takes its lease beside the look.

    The lease would stand for longer than any test.
    """
    for proxy in processes:
        proxy._cache._tier.lease_ms = 60_000
        for i in range(COLD):
            proxy._proxied.amounts[f"cold {i} {id(proxy)}"] = 0
            proxy.plain(f"cold {i} {id(proxy)}")


@pytest.fixture
def leases(running: RunningServer) -> Callable[[], list[bytes]]:
    """Say which leases are held."""

    def held() -> list[bytes]:
        with running.client() as client:
            found: list[bytes] = client.keys("pussycache:l:*")
            return found

    return held


def test_a_miss_after_others_is_one_round_trip_less(process: Process, monkeypatch) -> None:
    """When calls are not found, the next takes its lease with the look; a hit ends that."""
    one = process()
    asked: list[threading.Thread] = []
    ask = Tier.ask

    def counted(*what: object) -> object:
        asked.append(threading.current_thread())
        return ask(*what)

    monkeypatch.setattr(Tier, "ask", counted)

    def round_trips(name: str) -> int:
        asked.clear()
        one.plain(name)
        return asked.count(threading.current_thread())

    one._proxied.amounts.update({str(i): i for i in range(9)})
    one.plain("8")
    cold(one)
    assert [round_trips("1"), round_trips("2")] == [2, 2]
    assert [round_trips("1"), round_trips("3")] == [1, 3]
    assert loads(one) == COLD + 4


def test_a_lease_that_was_taken_beside_a_hit_is_given_back(process: Process, leases, until) -> None:
    """Who takes a lease with the look, and finds an entry, leaves the lease to others."""
    one, other = process(), process()
    assert one.plain("tea") == 1
    cold(other)
    assert other.plain("tea") == 1
    until(lambda: not leases(), "the lease was kept")
    assert pussycache.info(other.plain).hits == 1


def test_a_lease_for_generations_that_are_gone_is_given_back(
    process: Process, amounts: dict[str, int], leases, until
) -> None:
    """After a write a call that took its lease with the look loads under the new generations."""
    one, other = process(), process()
    cold(other)
    one.set_all(5)
    assert (other.plain("tea"), one.plain("tea")) == (5, 5)
    until(lambda: not leases(), "the lease was kept")
    cold(other)
    with pussycache.writing(one.set_all, 6):
        assert other.plain("milk") == 5
        amounts["milk"] = 6
    assert (other.plain("milk"), one.plain("milk")) == (6, 6)
    until(lambda: not leases(), "the lease was kept")


def test_a_block_in_a_coroutine_holds_up_nobody(
    process: Process, running: RunningServer, amounts: dict[str, int]
) -> None:
    """While the server is told of a block with `async with`, other tasks run; and it is a write."""
    one, other = process(), process()

    async def main() -> None:
        await one.aget("tea"), await other.aget("tea")
        writing = pussycache.writing(one.set, "tea")
        with running.paused():
            entering = asyncio.create_task(writing.__aenter__())
            for _ in range(100):
                await asyncio.sleep(0)
            assert not entering.done()
        await entering
        assert await other.aget("tea") == 1
        amounts["tea"] = 2
        with running.paused():
            leaving = asyncio.create_task(writing.__aexit__(None, None, None))
            for _ in range(100):
                await asyncio.sleep(0)
            assert not leaving.done()
        await leaving
        assert (await other.aget("tea"), await one.aget("tea")) == (2, 2)

    asyncio.run(main())


def test_one_load_where_nothing_is_expected(process: Process, spawn, gate, until) -> None:
    """A lease that was taken with the look is one for the generations that were found."""
    one, other = process(), process(gate.hold)
    gate.open()
    cold(other)
    one.set_all(5)
    one.plain("milk")
    gate.arrived.clear()
    gate.opened.clear()
    calls = [spawn(other.plain, "tea")]
    gate.reached()
    before = loads(one)
    calls.append(spawn(one.plain, "tea"))
    until(lambda: one._cache._tier.wakes._waiting, "nobody waits for the lease")
    gate.open()
    assert [call.result() for call in calls] == [5, 5]
    assert loads(one) == before


def test_who_takes_the_lease_of_anothers_load_gives_it_back(
    process: Process, spawn, gate, until, monkeypatch
) -> None:
    """Of two threads one may take the lease with the look, and the other load: neither waits."""
    one = process()
    cold(one)
    ask = Tier.ask

    def held(*what: object) -> object:
        seen = ask(*what)
        if not gate.arrived.is_set():
            gate.hold()
        return seen

    monkeypatch.setattr(Tier, "ask", held)
    first = spawn(one.plain, "tea")
    gate.reached()
    second = spawn(one.plain, "tea")
    until(lambda: one._cache._tier.wakes._waiting, "nobody waits for the lease")
    gate.open()
    assert (first.result(), second.result(), loads(one)) == (1, 1, COLD + 1)


def test_a_dead_holders_lease_lapses(process: Process, running: RunningServer, spawn, gate) -> None:
    """Where a lease is left behind, the next caller waits until it lapses, and loads."""
    one = process()
    one.get("milk")
    tier = one._cache._tier
    with running.client() as client:
        one.get("tea")
        (entry,) = client.keys("pussycache:e:*tea*")
        header = client.get(entry)[: -len(client.get(entry)) + 39]
        client.delete(entry)
        # The lease of a load under the same generations, whose process is gone.
        client.set(entry.replace(b":e:", b":l:", 1), lease_of(header)[:8] + b"gone", px=300)
    assert one.get("tea") == 1
    assert loads(one) == 3
    assert tier.failures == {}


def test_forget_takes_a_running_load_along(process: Process, spawn, gate) -> None:
    """A load that is under way in another process when its call is forgotten is not stored."""
    one, other = process(gate.hold), process()
    slow = spawn(one.get, "tea")
    gate.reached()
    pussycache.forget(other.get, "tea")
    gate.open()
    slow.wait()
    assert pussycache.peek(other.get, "tea") is pussycache.MISSING


def test_put_wins_over_a_running_load(process: Process, spawn, gate) -> None:
    """What is put while another process loads is what is served then."""
    one, other = process(gate.hold), process()
    slow = spawn(one.get, "tea")
    gate.reached()
    assert pussycache.put(other.get, 7, "tea")
    gate.open()
    slow.wait()
    assert (one.get("tea"), other.get("tea")) == (7, 7)


def test_tasks_and_threads_share(process: Process, run) -> None:
    """Async methods keep the promise across processes, too."""
    one, other = process(), process()

    async def main() -> None:
        assert (await one.aget("tea"), await other.aget("tea")) == (1, 1)
        await one.aset("tea", 2)
        assert (await one.aget("tea"), await other.aget("tea")) == (2, 2)
        assert loads(one) == 2
        await one._cache.aclose()
        await other._cache.aclose()

    run(main)


def test_reads_compute_while_the_server_is_away(
    process: Process, running: RunningServer, amounts: dict[str, int]
) -> None:
    """Without a server every call computes, and none raises."""
    one = process()
    one.get("tea")
    running.kill()
    amounts["tea"] = 2
    assert [one.get("tea") for _ in range(3)] == [2, 2, 2]
    running.start()


def test_a_write_during_an_outage_is_delivered(
    process: Process, running: RunningServer, until
) -> None:
    """What the server could not be told is told without a call, as soon as it answers."""
    one, other = process(timeout=BRIEF), process()
    one.get("tea")
    with running.paused():
        one.set("tea", 2)
        assert one._cache.pending > 0
        assert pussycache.info(one.get).pending == 1
        # This process trusts nothing until then.
        assert one.get("tea") == 2
    until(lambda: one._cache.pending == 0, "the write is never delivered")
    assert (one.get("tea"), other.get("tea")) == (2, 2)


def test_refuse_raises_before_the_method_runs(
    process: Process, running: RunningServer, amounts: dict[str, int], until
) -> None:
    """With on_outage="refuse" a write raises, and nothing has been written."""
    one = process(on_outage="refuse")
    one.get("tea")
    running.kill()
    with pytest.raises(pussycache.BackendUnavailable, match="set was not called"):
        one.set("tea", 2)
    assert amounts["tea"] == 1
    assert one._cache.pending == 0
    running.start()

    def is_written() -> bool:
        with suppress(pussycache.BackendUnavailable):
            one.set("tea", 2)
        return amounts["tea"] == 2

    until(is_written, "the server is never found again")
    assert one.get("tea") == 2


def test_a_program_starts_without_a_server(running: RunningServer) -> None:
    """A cache can be made, and objects wrapped and used, before there is a server."""
    running.kill()
    cache = RedisCache(url=running.unix_url)
    price = pussycache.wrap(Price({"tea": 1}), cache, cached_methods=["get"])
    assert (price.get("tea"), cache.get("key", "none")) == (1, "none")
    running.start()
    price.get("tea")
    deadline = time.monotonic() + 60
    while pussycache.info(price.get).hits == 0 and time.monotonic() < deadline:
        price.get("tea")
    assert pussycache.info(price.get).hits
    cache.close()


def test_nothing_is_left_running(process: Process, running: RunningServer) -> None:
    """A closed cache has no thread left."""
    before = set(threading.enumerate())
    one = process()
    one.get("tea")
    one.set("tea", 2)
    one._cache.close()
    assert set(threading.enumerate()) <= before


def test_an_evicting_policy_is_warned_about_once(process: Process, running: RunningServer) -> None:
    """A server that may throw out a fence is warned about, by each cache once, to its caller."""
    running.do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    running.do("CONFIG", "SET", "maxmemory", "100mb")
    try:
        one = process()
        with pytest.warns(RuntimeWarning, match="maxmemory-policy is allkeys-lru") as caught:
            one.get("tea")
        assert [warning.filename for warning in caught] == [__file__]
        one.set("tea", 2)
    finally:
        running.do("CONFIG", "SET", "maxmemory-policy", "noeviction")
        running.do("CONFIG", "SET", "maxmemory", "0")


def test_what_no_replica_has_heard_of_counts_as_not_told(process: Process) -> None:
    """With durability="replicated" and no replica, a write is pending, or refused."""
    one, careful = (
        process(durability="replicated"),
        process(durability="replicated", on_outage="refuse"),
    )
    one.set("tea", 2)
    assert one._cache.pending > 0
    assert one.get("tea") == 2
    with pytest.raises(pussycache.BackendUnavailable):
        careful.set("tea", 3)


def test_over_a_client_of_the_users_own(process: Process, running: RunningServer, spawn) -> None:
    """With a client in the place of a url everything is the same, and the client stays open."""
    import redis

    client = redis.Redis(unix_socket_path=running.path)
    one, other = process(), process(client=client)
    assert (one.get("tea"), other.get("tea"), loads(other)) == (1, 1, 0)
    other.set("tea", 2)
    assert (one.get("tea"), other.get("tea")) == (2, 2)
    other._cache.clear()
    other._cache.close()
    assert client.ping()
    client.close()


def cancelling(proxy: Price, at: int) -> None:
    """Have the task cancelled that asks the server, at the so many-th time."""
    tier = proxy._cache._tier
    real, left = type(tier).aask, at

    async def aask(*given):
        nonlocal left
        left -= 1
        if left == 0:
            asyncio.current_task().cancel()
        return await real(tier, *given)

    tier.aask = aask


async def kept(call: Awaitable[object]) -> BaseException:
    """Return what a task of its own raises: whoever has that has its frames, and all in them."""
    raised: list[BaseException] = []

    async def keep() -> None:
        try:
            await call
        except BaseException as error:
            raised.append(error)
            raise

    await asyncio.gather(keep(), return_exceptions=True)
    return raised[0]


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_cancelled_load_takes_nobody_along(process: Process, run, at: int) -> None:
    """A task that is cancelled while the server is asked leaves no load behind, at any step."""
    one = process()

    async def main() -> None:
        await one.aget("milk")
        cancelling(one, at)
        error = await kept(one.aget("tea"))
        async with asyncio.timeout(30):
            assert await one.aget("tea") == 1
        assert isinstance(error, asyncio.CancelledError)
        await one._cache.aclose()

    run(main)


@pytest.mark.parametrize("at", [1, 2])
def test_a_write_that_is_cancelled_at_its_end_is_delivered(
    process: Process, run, until, at: int
) -> None:
    """A task that is cancelled while the server is told of a write: it is told later."""
    one, other = process(), process()
    assert other.get("tea") == 1

    async def main() -> None:
        cancelling(one, at)
        error = await kept(one.aset("tea", 2))
        amount = one._proxied.amounts["tea"]
        await asyncio.to_thread(until, lambda: one._cache.pending == 0, "it is never delivered")
        assert await one.aget("tea") == amount == other.get("tea")
        assert isinstance(error, asyncio.CancelledError)
        await one._cache.aclose()

    run(main)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_goes_on(process: Process, spawn, gate) -> None:
    """A child has connections, threads and locks of its own, and keeps the promise."""
    one = process()
    one.get("tea")
    tier = one._cache._tier

    def busy() -> None:
        with tier._lock, tier.wakes._lock, tier.keeper._changed:
            gate.hold()

    # Another thread is at work, and is not there in the child.
    other = spawn(busy)
    gate.reached()
    with warnings.catch_warnings():
        # From 3.12 on Python warns of threads when it forks.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 1
        signal.alarm(60)
        with suppress(BaseException):
            assert one.get("tea") == 1
            one.set("tea", 2)
            assert one.get("tea") == 2
            assert one._cache.pending == 0
            code = 0
        os._exit(code)
    gate.open()
    other.wait()
    assert os.waitpid(child, 0)[1] == 0
    assert pussycache.peek(one.get, "tea") is not pussycache.MISSING
    assert pussycache.info(one.get).loads == 1


def test_calls_that_are_keyed_in_another_way_do_not_meet(running: RunningServer) -> None:
    """Processes that key the calls of a method differently do not answer for one another."""

    class Sums:
        def add(self, a: int, b: int) -> int:
            return a + b

    caches = [RedisCache(url=running.unix_url) for _ in range(3)]
    ways = [{"ignore": ["a"]}, {"ignore": ["b"]}, {"key": lambda a, b: 1}]
    sums = [
        pussycache.wrap(Sums(), cache, cached_methods={"add": pussycache.Cached(**way)})
        for cache, way in zip(caches, ways, strict=True)
    ]
    assert [one.add(*given) for one, given in zip(sums, [(5, 1), (1, 7), (9, 9)], strict=True)] == [
        6,
        8,
        18,
    ]
    for cache in caches:
        cache.close()


def test_a_cache_that_is_closed_too_early_says_so(
    running: RunningServer, amounts: dict[str, int]
) -> None:
    """To close a cache with a write that cannot be told raises; once it can, it is told first."""
    cache = RedisCache(url=running.unix_url)
    price = pussycache.wrap(
        Price(amounts), cache, cached_methods=["get"], invalidate_methods={"set": ["get"]}
    )
    price.get("tea")
    running.kill()
    price.set("tea", 2)
    with pytest.raises(pussycache.InvalidationPending, match="1 invalidations have not reached"):
        cache.close()
    running.start()


def twice(number: int) -> int:
    return 2 * number


class Doubler:
    def __init__(self, cache: RedisCache) -> None:
        self.cache = cache

    def __cache_identity__(self) -> str:
        return "doubler"

    @pussycache.cached(cache=lambda self: self.cache)
    def twice(self, number: int) -> int:
        return 2 * number


def test_cache_clear_forgets_in_the_server(running: RunningServer) -> None:
    """`cache_clear()` of a decorated function, or method, forgets for other processes, too."""
    caches = RedisCache(url=running.unix_url), RedisCache(url=running.unix_url)
    here, there = (pussycache.cached(cache=cache)(twice) for cache in caches)
    one, other = map(Doubler, caches)
    for clear, mine, theirs in (
        (here.cache_clear, here, there),  # type: ignore[attr-defined]
        (Doubler.twice.cache_clear, one.twice, other.twice),  # type: ignore[attr-defined]
    ):
        mine(7)
        assert pussycache.peek(theirs, 7) == 14
        clear()
        assert pussycache.peek(theirs, 7) is pussycache.MISSING
        assert "by cache_clear()" in str(pussycache.explain(theirs, 7))
    for cache in caches:
        cache.close()


def test_a_method_that_is_replaced_is_forgotten_in_the_server(
    running: RunningServer, amounts: dict[str, int]
) -> None:
    """A method that is replaced through the proxy answers at once, whatever the server has."""
    cache = RedisCache(url=running.unix_url)
    price = pussycache.wrap(Price(amounts), cache, cached_methods=["get"])
    price.get("tea")
    price.get = lambda name: -1  # type: ignore[method-assign]
    assert price.get("tea") == -1
    cache.close()


def test_a_cache_that_is_dropped_leaves_no_connection(
    running: RunningServer, amounts: dict[str, int]
) -> None:
    """Who does not close a cache but drops it has its connections closed, and is not warned."""
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cache = RedisCache(url=running.unix_url)
        price = pussycache.wrap(Price(amounts), cache, cached_methods=["get"])
        price.get("tea")
        del cache, price
        gc.collect()
    assert not caught


def test_a_cache_that_was_closed_says_that_and_not_that_its_server_is_away(
    running: RunningServer, amounts: dict[str, int]
) -> None:
    """What needs a closed cache says that it was closed; of a server that is away, it says why."""
    cache = RedisCache(url=running.unix_url)
    price = pussycache.wrap(Price(amounts), cache, cached_methods=["get"])
    price.get("tea")
    cache.close()
    with pytest.raises(pussycache.BackendUnavailable, match="the cache was closed; make another"):
        cache.set("key", 1)
    with pytest.raises(pussycache.BackendUnavailable, match="get was not forgotten: the cache was"):
        pussycache.forget(price.get, "tea")
    assert "the cache was closed" in str(pussycache.explain(price.get, "tea"))
    away = RedisCache(url="redis://127.0.0.1:1/0")
    with pytest.raises(
        pussycache.BackendUnavailable, match=r"does not answer \(refused: .*\); try"
    ):
        away.set("key", 1)
    away.close()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"ttl": -1}, "ttl must not be negative"),
        ({"url": "http://x"}, "url begins with 'http'"),
        ({"client": 3}, "client is int"),
        ({"prefix": ""}, "prefix must be a string"),
        ({"on_outage": "ignore"}, "on_outage must be 'queue' or 'refuse'"),
        ({"durability": 1}, "durability must be 'primary' or 'replicated'"),
        ({"timeout": 0}, "timeout must be a number of seconds above 0"),
        ({"max_connections": 0}, "max_connections must be a positive number"),
        ({"secret_keys": []}, "secret_keys is empty"),
        ({"serializer": "pickle"}, "executes whatever is in the store"),
        ({"serializer": "yaml"}, "serializer is 'yaml'"),
    ],
)
def test_wrong_settings(wrong: dict[str, object], said: str) -> None:
    """An argument that cannot work is named at once, with the remedy."""
    with pytest.raises(pussycache.ConfigurationError, match=said):
        RedisCache(**wrong)


def test_an_object_with_state_must_say_what_it_stands_for(running: RunningServer) -> None:
    """Two objects with attributes of their own never answer for one another by accident."""

    class Client:
        def __init__(self) -> None:
            self.tenant = "acme"

        def get(self) -> int:
            return 1

    cache = RedisCache(url=running.unix_url)
    with pytest.raises(pussycache.ConfigurationError, match="namespace is needed"):
        pussycache.wrap(Client(), cache, cached_methods=["get"])
    named = pussycache.wrap(
        Client(), cache, cached_methods=["get"], namespace="acme", version=(1, 2)
    )
    assert named.get() == 1
    cache.close()


def test_forged_and_damaged_entries_are_misses_that_are_counted(running: RunningServer) -> None:
    """Whatever somebody writes into the store, it is not decoded, and the call is computed."""
    cache = RedisCache(url=running.unix_url, secret_keys=["a secret that is long enough"])
    price = pussycache.wrap(Price({"tea": 1, "milk": 2}), cache, cached_methods=["get"])
    for _ in range(3):
        assert (price.get("tea"), price.get("milk")) == (1, 2)
    with running.client() as client:
        tea, milk = sorted(client.keys("pussycache:e:*"), key=lambda key: b"tea" not in key)
        for damage in (
            client.get(milk),
            client.get(tea)[:-1] + b"x",
            client.get(tea)[:30],
            b"",
            b"\0",
        ):
            client.set(tea, damage)
            loads_before = loads(price)
            assert price.get("tea") == 1
            assert loads(price) == loads_before + 1
    assert sum(cache._tier.refused.values()) == 5
    cache.close()


def test_an_entry_of_another_version_is_loaded_once(running: RunningServer) -> None:
    """What an older version of a program stored is counted as such, and replaced by one load."""

    @dataclass
    class Old:
        name: str

    @dataclass
    class New:
        name: str
        amount: int

    loaded: list[object] = []

    class Shop:
        def __cache_identity__(self) -> str:
            return "shop"

        def get(self, name: str) -> object:
            loaded.append(kind)
            return Old(name) if kind is Old else New(name, 1)

    caches = []
    for kind in (Old, New, New):
        Shop.get.__annotations__["return"] = kind
        caches.append(RedisCache(url=running.unix_url))
        shop = pussycache.wrap(Shop(), caches[-1], cached_methods=["get"])
        for _ in range(2):
            assert type(shop.get("tea")) is kind
    assert loaded == [Old, New]
    assert [set(cache._tier.refused) for cache in caches] == [set(), {"undecodable"}, set()]
    for cache in caches:
        cache.close()
