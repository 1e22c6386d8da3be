"""`DjangoCache` as the store of proxies, over each of Django's backends.

Each `DjangoCache` here stands for a process: it has tables, loads and fences of its own, and shares
with the others what is in the backend and nothing else.
"""

import asyncio
import gc
import threading
import time
import warnings
from contextlib import suppress

import pytest
from caches_of_django import left
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache, memcache_key_warnings
from django.db import connections
from prices import Price, wrapped

import pussycache
from pussycache import MISSING, Cached, DjangoCache, Forget, ForgetTag
from pussycache.cache import forks
from pussycache.cache.django_store import places
from pussycache.cache.django_store.backend import Backend, _Own
from pussycache.cache.names import encode_arguments
from pussycache.cache.shared import keeper
from pussycache.cache.shared.loosely import loosely
from pussycache.engine import background


def loads(proxy):
    return proxy._proxied.loads


def fence_of(proxy):
    """Have writes of a process that has died count as under way for a moment only."""
    proxy._cache._store._tier.fence_ms = 1000


def test_what_one_process_loads_another_is_served(process):
    """Processes share their entries, and each value of an argument is one."""
    one, other = process(), process()
    assert (one.get("tea"), other.get("tea"), other.get("milk")) == (1, 1, 1)
    assert (loads(one), loads(other)) == (1, 1)


@pytest.mark.parametrize("write", ["set", "set_all", "fail"])
def test_a_write_is_seen_by_all_processes(process, write):
    """After a write in one process, also one that raises, no process is served what was before."""
    one, other = process(), process()
    for proxy in (one, other):
        assert (proxy.get("tea"), proxy.get("milk")) == (1, 1)
    with suppress(ArithmeticError):
        getattr(one, write)(*((2,) if write == "set_all" else ("tea", 2)))
    for proxy in (one, other):
        assert proxy.get("tea") == 2
    assert other.get("milk") == (2 if write == "set_all" else 1)


def test_a_rule_leaves_other_values_alone(process):
    """A write of one value makes nobody load the others again."""
    one, other = process(), process()
    one.get("tea"), one.get("milk")
    other.set("tea", 2)
    assert (other.get("milk"), loads(other)) == (1, 0)
    assert (other.get("tea"), loads(other)) == (2, 1)


def test_awaiting_is_the_same(process, run):
    """Async methods and writes keep the promise across processes, too, and in one look-up."""
    one, other = process(), process()

    async def main():
        assert (await one.aget("tea"), await other.aget("tea")) == (1, 1)
        await one.aset("tea", 2)
        assert (await one.aget("tea"), await other.aget("tea")) == (2, 2)
        assert loads(one) == 2
        assert await pussycache.apeek(other.aget, "tea") == 2
        assert await pussycache.aforget(other.aget, "tea")
        assert await pussycache.apeek(one.aget, "tea") is MISSING
        assert await pussycache.aput(one.aget, 7, "tea")
        assert await other.aget("tea") == 7
        assert await pussycache.arefresh(other.aget, "tea") == 2
        assert (await pussycache.aexplain(one.aget, "tea")).hit
        await pussycache.aforget_all(one)
        assert await pussycache.apeek(other.aget, "tea") is MISSING

    run(main)


def test_a_hit_is_one_look(process, default, monkeypatch):
    """A hit asks the backend once, for the entry and for all that it rests on."""
    one = process()
    one.get("tea"), one.get("tea")
    asked = []
    for what in ("get", "get_many", "add", "set", "delete"):
        bare = getattr(type(default), what)
        monkeypatch.setattr(
            type(default),
            what,
            lambda *args, bare=bare, what=what, **kwargs: (
                asked.append(what) or bare(*args, **kwargs)
            ),
        )
    assert one.get("tea") == 1
    # What Django's own `get_many` does is its business.
    assert asked[0] == "get_many"
    assert set(asked[1:]) <= {"get"}


def test_an_overtaken_load_is_never_served(process, spawn, gate):
    """A load that another process's write has overtaken answers its caller and nobody else."""
    reading, writing = process(gate.hold), process()
    slow = spawn(left, reading.get, "tea")
    gate.reached()
    writing.set("tea", 2)
    gate.open()
    assert slow.result() == 1
    assert (writing.get("tea"), reading.get("tea")) == (2, 2)


def test_nobody_waits_for_a_load_that_a_write_has_overtaken(process, spawn, gate):
    """A call that starts after a write does not join a load from before it."""
    reading = process(gate.hold)
    slow = spawn(left, reading.get, "tea")
    gate.reached()
    reading.set("tea", 2)
    reading._proxied.hold = bool
    assert reading.get("tea") == 2
    gate.open()
    assert slow.result() == 1
    assert reading.get("tea") == 2


def test_one_load_for_all_threads(process, spawn, gate, until):
    """Concurrent callers of a cold call load once in a process, and all are given the value."""
    one = process(gate.hold)
    first = spawn(left, one.get, "tea")
    gate.reached()
    waiting = [spawn(left, one.get, "tea") for _ in range(4)]
    table = next(iter(one._cache._store._scopes.values())).tables["get"]
    until(lambda: any(len(flight) == 4 for flight in list(table.flights.values())))
    gate.open()
    assert [call.result() for call in (first, *waiting)] == [1] * 5
    assert loads(one) == 1


def test_while_a_writer_is_at_work_nothing_is_served_or_stored(process, spawn, gate):
    """From its start to its end the others compute, and what they compute is kept for nobody."""
    writing, reading = process(gate.hold), process()
    reading.get("tea")
    reading.get("milk")
    write = spawn(left, writing.held_set, "tea", 2)
    gate.reached()
    assert [reading.get("tea") for _ in range(2)] == [1, 1]
    assert loads(reading) == 4
    assert (reading.get("milk"), loads(reading)) == (1, 4)
    assert pussycache.explain(reading.get, "tea").reason == "bypassed-by-write"
    gate.open()
    write.wait()
    assert (reading.get("tea"), reading.get("tea"), loads(reading)) == (2, 2, 5)


@pytest.mark.parametrize("first_to_end", [0, 1, 2, 3])
def test_no_writer_lifts_anothers_fence(process, spawn, new_gate, first_to_end):
    """Of overlapping writers, none ends another's fence: also where there are more than places."""
    gates = [new_gate() for _ in range(4)]
    writers = [process(gate.hold) for gate in gates]
    reading = process()
    reading.get("tea")
    calls = []
    for number, writer in enumerate(writers):
        calls.append(spawn(left, writer.held_set, "tea", 2 + number))
        gates[number].reached()
    *ending, last = sorted(range(4), key=lambda number: number != first_to_end)
    for number in ending:
        gates[number].open()
        calls[number].wait()
        before = loads(reading)
        assert [reading.get("tea") for _ in range(2)] == [2 + number] * 2
        assert loads(reading) == before + 2
    gates[last].open()
    calls[last].wait()
    assert reading.get("tea") == 2 + last


def test_two_writers_leave_the_call_cacheable(process, spawn, new_gate):
    """After two writers have overlapped and ended, the call is remembered again at once."""
    gates = [new_gate(), new_gate()]
    calls = []
    for number, gate in enumerate(gates):
        calls.append(spawn(left, process(gate.hold).held_set, "tea", number))
        gate.reached()
    for call, gate in zip(calls, gates, strict=True):
        gate.open()
        call.wait()
    reading = process()
    assert (reading.get("tea"), reading.get("tea"), loads(reading)) == (1, 1, 1)


def test_a_dead_writers_fence_lapses(process, amounts, until):
    """A writer that dies counts as a write: what was stored before is gone when it lapses."""
    reading, dying = process(), process()
    fence_of(dying)
    reading.get("tea")
    write = pussycache.writing(dying.set, "tea", 2)
    write.__enter__()
    # It takes effect, and the process dies: nothing is renewed, nothing ends.
    amounts["tea"] = 2
    dying._cache._store._tier.keeper.close()
    assert (reading.get("tea"), loads(reading)) == (2, 2)
    until(lambda: reading.get("tea") == 2 and pussycache.peek(reading.get, "tea") == 2)


def test_a_live_writer_is_renewed(process, amounts, spawn, gate, monkeypatch):
    """A write that takes longer than a fence stands has one all the time."""
    writing, reading = process(gate.hold), process()
    fence_of(writing)
    tier = writing._cache._store._tier
    together, raised = tier.together, []

    def noted(commands):
        raised.append(time.monotonic())
        return together(commands)

    monkeypatch.setattr(tier, "together", noted)
    write = spawn(left, writing.held_set, "tea", 2)
    gate.reached()
    begun = time.monotonic()
    while len(raised) < 8 or time.monotonic() < begun + 2:
        # The one before: the last may not be written yet.
        last = raised[-2:][0]
        assert reading.get("tea") == 1
        # Where the thread that renews it was held up for longer, it has lapsed.
        is_there = pussycache.peek(reading.get, "tea") is MISSING
        assert is_there or time.monotonic() > last + 1
    gate.open()
    write.wait()
    assert (reading.get("tea"), reading.get("tea")) == (2, 2)


def test_a_load_that_has_not_seen_the_fence_dies_with_its_token(
    process, spawn, gate, amounts, until
):
    """A writer that comes between a reader's look and its load is no writer too late.

    It dies in the midst, so that no end of a write puts anything right.
    """
    reading, dying = process(gate.hold), process()
    fence_of(dying)
    slow = spawn(left, reading.get, "tea")
    gate.reached()
    pussycache.writing(dying.set, "tea", 2).__enter__()
    amounts["tea"] = 2
    dying._cache._store._tier.keeper.close()
    reading._proxied.hold = bool
    gate.open()
    assert slow.result() == 1
    other = process()
    until(lambda: pussycache.peek(other.get, "tea") == other.get("tea"))
    assert (other.get("tea"), reading.get("tea")) == (2, 2)


@pytest.mark.parametrize("lost", ["method", "value", "call", "cache"])
def test_a_lost_generation_brings_nothing_back(process, default, amounts, lost):
    """Where a generation is lost, its entries are gone for good."""
    one, other = process(), process()
    one.get("tea")
    (bucket,) = next(iter(one._cache._store._scopes.values())).tables["get"].places.buckets
    entry = bucket.entry + encode_arguments(("tea",))
    keys = {
        "method": bucket.generation,
        "value": bucket.rule(b"name", loosely(("tea",))),
        "call": places.call_of(entry),
        "cache": places.ROOT,
    }
    assert default.get(places.name(entry))
    assert default.delete(places.name(keys[lost]))
    amounts["tea"] = 2
    assert (one.get("tea"), other.get("tea"), other.get("tea")) == (2, 2, 2)
    assert loads(other) == 0


def test_processes_that_declare_different_rules(default, amounts, new_cache):
    """A reader that does not know a writer's rule is not served what the rule makes wrong."""
    reader = pussycache.wrap(Price(amounts), new_cache(), cached_methods=["get"])
    writer = pussycache.wrap(
        Price(amounts), new_cache(), invalidate_methods={"set": [Forget("get", "name")]}
    )
    for amount in (2, 3, 4):
        reader.get("tea")
        writer.set("tea", amount)
        assert reader.get("tea") == amount
    # It has learned of the rule.
    reader.get("milk")
    before = loads(reader)
    writer.set("tea", 5)
    assert (reader.get("milk"), loads(reader)) == (1, before)


def test_forget_takes_a_running_load_along(process, spawn, gate):
    """A load that is under way when its call is forgotten elsewhere is not served then."""
    one, other = process(gate.hold), process()
    one._proxied.hold = bool
    one.get("milk")
    one._proxied.hold = gate.hold
    slow = spawn(left, one.get, "tea")
    gate.reached()
    pussycache.forget(other.get, "tea")
    gate.open()
    slow.wait()
    assert pussycache.peek(other.get, "tea") is MISSING
    # Other calls of the method are left alone.
    assert pussycache.peek(other.get, "milk") == 1


def test_put_wins_over_a_running_load(process, spawn, gate):
    """What is put while another process loads is what is served then."""
    one, other = process(gate.hold), process()
    slow = spawn(left, one.get, "tea")
    gate.reached()
    assert pussycache.put(other.get, 7, "tea")
    gate.open()
    slow.wait()
    assert (one.get("tea"), other.get("tea")) == (7, 7)


def test_clear_takes_a_running_load_along(process, spawn, gate):
    """After `clear` nothing is served that was loaded, or being loaded, before it."""
    one, other = process(gate.hold), process()
    slow = spawn(left, one.get, "tea")
    gate.reached()
    other._cache.clear()
    gate.open()
    slow.wait()
    assert pussycache.peek(other.get, "tea") is MISSING


def test_tags(process, amounts):
    """What bears a tag is forgotten with it, in all processes, and nothing else."""
    one, other = process(), process()
    assert (one.tagged("tea"), one.tagged("milk"), other.tagged("tea")) == (1, 1, 1)
    assert loads(other) == 0
    amounts.update(tea=2, milk=2)
    pussycache.forget_tag(other._cache, "price:tea")
    assert (one.tagged("tea"), one.tagged("milk")) == (2, 1)


def test_a_load_that_ends_while_its_tag_is_being_forgotten(process, amounts, spawn, new_gate):
    """Whatever steps the end of a write has: nothing is stored in between that began before."""
    loading, ending = new_gate(), new_gate()
    one, other = process(loading.hold), process()
    slow = spawn(left, one.tagged, "tea")
    loading.reached()
    generations = other._cache._store._tier._commands.generations
    end = generations.end

    def held(key, *how):
        if key.endswith(b"epoch"):
            ending.hold()
        end(key, *how)

    generations.end = held
    writer = pussycache.wrap(
        other._proxied, other._cache, invalidate_methods={"set": [ForgetTag("price:{name}")]}
    )
    write = spawn(left, writer.set, "tea", 2)
    ending.reached()
    loading.open()
    assert slow.result() == 1
    ending.open()
    write.wait()
    assert other.tagged("tea") == 2


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("backend", ["locmem"], indirect=True)
def test_tags_are_read_one_after_the_other(
    backend, new_process, amounts, spawn, new_gate, in_order
):
    """A tag is forgotten and a new one made while a load reads its tags: it is not stored."""
    loading, reading = new_gate(), new_gate()
    one, other = new_process(loading.hold), new_process()
    slow = spawn(one.tagged, "tea")
    loading.reached()
    tier = one._cache._store._tier
    tier.reads_in_order = in_order
    get_many = tier.backend.get_many
    epoch = places.name(one._cache.tags._epoch)

    def apart(keys):
        keys = list(keys)
        if epoch not in keys or reading.arrived.is_set():
            return get_many(keys)
        if not in_order:
            keys.sort(key=lambda key: key != epoch)
        found = get_many(keys[:1])
        reading.hold()
        return found | get_many(keys[1:])

    other.tagged("tea")
    tier.backend.get_many = apart
    loading.open()
    reading.reached()
    amounts["tea"] = 2
    pussycache.forget_tag(other._cache, "price:tea")
    assert other.tagged("tea") == 2
    reading.open()
    assert slow.result() == 1
    assert other.tagged("tea") == 2


def test_many_ids_are_entries_of_their_own(process):
    """A call for many ids loads the missing ones only, and a rule forgets one of them."""
    one, other = process(), process()
    assert one.many(["tea"]) == {"tea": 1}
    assert other.many(["tea", "milk"]) == {"tea": 1, "milk": 1}
    other.set("milk", 5)
    assert one.many(["tea", "milk"]) == {"tea": 1, "milk": 5}
    assert (loads(one), loads(other)) == (2, 1)


def test_the_operations(process, amounts):
    """Each operation on one call does what it says."""
    one, other = process(), process()
    assert pussycache.peek(one.get, "tea") is MISSING
    one.get("tea")
    assert pussycache.peek(other.get, "tea") == 1
    amounts["tea"] = 2
    assert pussycache.bypass(one.get, "tea") == 2
    assert pussycache.peek(one.get, "tea") == 1
    assert pussycache.refresh(one.get, "tea") == 2
    assert other.get("tea") == 2
    assert pussycache.forget(other.get, "tea") is True
    assert pussycache.forget(one.get, "tea") is False
    assert pussycache.put(one.get, None, "tea") is True
    assert other.get("tea") is None
    pussycache.forget_all(other.get)
    assert pussycache.peek(one.get, "tea") is MISSING
    one.get("tea")
    other.set("tea", 3)
    said = pussycache.explain(one.get, "tea")
    assert (said.reason, said.by is not None) == ("invalidated", True)
    assert pussycache.info(one.get).loads == 3


class Clock:
    def now(self) -> float:
        return time.monotonic()

    def fail(self):
        raise LookupError("no such thing")


def test_times(default, until, new_cache):
    """A ttl below a second is kept exactly, and is not mistaken for "not at all" or "for ever"."""
    clock = pussycache.wrap(Clock(), new_cache(ttl=0.4), cached_methods=["now"])
    # At once, as a rule.
    until(lambda: clock.now() == clock.now())
    first = clock.now()
    until(lambda: clock.now() != first)
    assert time.monotonic() - first > 0.39


@pytest.fixture
def brief_threads(monkeypatch, until):
    """Have threads of ours end as soon as they have nothing to do, and wait for that."""
    monkeypatch.setattr(background, "_IDLE", 0.01)
    yield
    ours = ("pussycache-loads", "pussycache-keeper")
    until(lambda: not any(thread.name in ours for thread in threading.enumerate()))


@pytest.mark.parametrize("backend", ["database"], indirect=True)
def test_a_thread_of_a_dropped_cache_leaves_nothing_open(backend, amounts, until, monkeypatch):
    """Where a cache was dropped and never closed, its thread closes its connections, too."""
    monkeypatch.setattr(keeper, "_IDLE", 0.01)
    left_open, leave = [], Backend.leave

    def leaving(backend):
        leave(backend)
        left_open.append(any(one.connection is not None for one in connections.all(True)))

    monkeypatch.setattr(Backend, "leave", leaving)
    shelf = wrapped(amounts, DjangoCache(), bool)
    shelf._cache._store._tier.keeper.release(b"pussycache:l:nobody's", b"lease")
    del shelf
    gc.collect()
    until(lambda: left_open, "its thread does not end")
    assert left_open == [False]


@pytest.mark.usefixtures("brief_threads")
def test_old_values_and_errors(default, amounts, until, new_cache):
    """Old values, and exceptions, are remembered; no thread of ours leaves a connection open."""
    policy = {
        "get": Cached(ttl=0.2, stale_for=60),
        "fail": Cached(errors={LookupError: 60}),
    }

    class Both(Price):
        failures = 0

        def fail(self):
            self.failures += 1
            raise LookupError("no such thing")

    one = pussycache.wrap(Both(amounts), new_cache(), cached_methods=policy)
    other = pussycache.wrap(Both(amounts), new_cache(), cached_methods=policy)
    for proxy in (one, other):
        with pytest.raises(LookupError, match="no such thing"):
            proxy.fail()
    assert (one._proxied.failures, other._proxied.failures) == (1, 0)
    assert one.get("tea") == 1
    amounts["tea"] = 2
    until(lambda: pussycache.explain(other.get, "tea").reason != "never-cached")
    until(lambda: other.get("tea") == 2)
    assert pussycache.info(other.get).stale >= 1


def test_idle_entries_are_forgotten(default, amounts, until, new_cache):
    """What nobody uses for its `idle_ttl` is forgotten, and what is used is not."""
    policy = {"get": Cached(idle_ttl=1.0)}
    one = pussycache.wrap(Price(amounts), new_cache(), cached_methods=policy)

    def was_used_all_the_time():
        start = last = time.monotonic()
        one.get("tea")
        before = loads(one)
        while time.monotonic() < start + 1.5:
            begun = time.monotonic()
            one.get("tea")
            if time.monotonic() - last > 0.5:
                return False  # this thread was held up
            last = begun
        assert loads(one) == before
        return True

    until(was_used_all_the_time)
    before = loads(one)
    time.sleep(1.1)
    one.get("tea")
    assert loads(one) == before + 1


def test_an_object_with_state_must_say_what_it_stands_for(default, new_cache):
    """Two tenants' clients never answer for one another: without a name there is an error."""

    class Client:
        def __init__(self, tenant):
            self.tenant = tenant

        def get(self):
            return self.tenant

    with pytest.raises(pussycache.ConfigurationError, match="namespace is needed"):
        pussycache.wrap(Client(1), new_cache(), cached_methods=["get"])
    one, two = [
        pussycache.wrap(Client(n), new_cache(), cached_methods=["get"], namespace=f"tenant {n}")
        for n in (1, 2)
    ]
    assert (one.get(), two.get(), one.get()) == (1, 2, 1)


def test_what_others_wrote_is_not_believed(process, default):
    """An entry that was not signed with a secret of ours is a miss, and is never decoded."""
    secret = ["a secret that is long enough"]
    one, other = process(secret_keys=secret), process(secret_keys=["another that is long enough"])
    one.get("tea")
    assert (other.get("tea"), loads(other)) == (1, 1)
    assert other._cache._store._tier.refused["forged"] >= 1


def test_names_are_legal_for_memcached(process, monkeypatch):
    """Whatever the arguments, tags and rules: names are short, and have no spaces in them."""
    names = set()
    make = BaseCache.make_key

    def make_key(self, key, version=None):
        self.key_prefix = "p" * 100
        names.add(make(self, key, version))
        return make(self, key, version)

    monkeypatch.setattr(BaseCache, "make_key", make_key)
    for name in ("a b\n", "ü" * 500, "k" * 1000):
        one = process()
        one._proxied.amounts[name] = 1
        assert (one.get(name), one.tagged(name), one.many([name])) == (1, 1, {name: 1})
        one.set(name, 2)
        assert one.get(name) == 2
        pussycache.forget(one.get, name)
        pussycache.forget_tag(one._cache, f"price:{name}")
    assert len(names) > 20
    assert [warning for name in names for warning in memcache_key_warnings(name)] == []


def test_a_copy_has_the_same_settings(default, new_cache):
    """A cache is copied and pickled by its settings."""
    import copy
    import pickle

    cache = new_cache(ttl=7, on_outage="refuse")
    pussycache.wrap(Price({}), cache, cached_methods=["get"])
    for made in (copy.copy(cache), pickle.loads(pickle.dumps(cache))):
        assert (made.alias, made.ttl, made._writing["on_outage"]) == ("default", 7, "refuse")
        assert pussycache.wrap(Price({"tea": 1}), made, cached_methods=["get"]).get("tea") == 1
        made.close()


def test_a_closed_cache_computes(process):
    """After `close` nothing is served, and nothing raises."""
    one = process()
    one.get("tea")
    one._cache.close()
    assert (one.get("tea"), loads(one)) == (1, 2)


def test_in_a_loop_the_loop_goes_on(process):
    """While the backend is asked, other tasks run."""
    one = process()

    async def main():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        await one.aget("tea")
        ticking.cancel()
        return ticks

    assert asyncio.run(main()) > 1


@pytest.mark.parametrize("backend", ["memcached", "redis"], indirect=True)
@pytest.mark.usefixtures("backend")
def test_one_that_is_collected_says_nothing():
    """What a thread had open is closed with a cycle that it is in, and no socket warns of that."""
    gc.collect()
    gc.disable()
    try:
        django = caches.create_connection("default")
        # Its socket is older than what closes it: the collector comes to it first.
        django.get("tea")
        cycle = [_Own(django, None)]
        cycle.append(cycle)
        del django, cycle
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            gc.collect()
    finally:
        gc.enable()
    assert [one for one in said if one.category is ResourceWarning] == []


def test_statistics_know_it(process):
    """A cache is among those that statistics are told of, under the name of its alias."""
    one = process()
    one.get("tea"), one.get("tea")
    cache = one._cache
    assert cache in forks.known()
    assert cache.store == ("DjangoCache(default)", "", "closed", 0)
    (figures,) = [found for name, found in cache.figures().items() if name.endswith(".get")]
    assert (figures.hits, figures.misses) == (1, 1)
    cache.close()
    assert cache not in forks.known()
