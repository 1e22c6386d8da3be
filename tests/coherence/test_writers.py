"""While a write is at work: nothing affected is served, stored or joined, come what may."""

import asyncio
import contextlib
import threading

import pytest

import pussycache
from pussycache import MISSING, Forget, MemoryCache


class Shelf:
    """Counts the loads of each key; a write runs what it is given."""

    def __init__(self):
        self.loads = []

    def read(self, key=1):
        self.loads.append(key)
        return len(self.loads)

    def other(self, key=1):
        return ("other", self.read(key))

    def write(self, key=1, during=None):
        return during() if during is not None else None

    def write_again(self, key=1, during=None):
        return during() if during is not None else None

    async def awrite(self, key=1, during=None):
        return await during() if during is not None else None

    def stream(self, key=1):
        yield 1
        yield 2

    async def astream(self, key=1):
        yield 1
        yield 2


WRITES = ("write", "write_again", "awrite", "stream", "astream")
RULES = {
    "method": "read",
    "everything": "*",
    "argument": Forget("read", "key"),
    "callable": Forget("read", key=lambda call: call.args["key"]),
}


def shelf(rule="method", cache=None, **options):
    target = options.pop("target", None) or Shelf()
    return pussycache.wrap(
        target,
        cache,
        cached_methods=["read", "other"],
        invalidate_methods={name: [RULES[rule]] for name in WRITES},
        **options,
    )


def not_served_nor_stored(proxy, key=1):
    """Two calls load twice, and nothing is remembered of them."""
    before = proxy.loads.count(key)
    first, second = proxy.read(key), proxy.read(key)
    return (
        first != second
        and proxy.loads.count(key) == before + 2
        and pussycache.peek(proxy.read, key) is MISSING
    )


def served(proxy, key=1):
    """Two calls load at most once."""
    first = proxy.read(key)
    return proxy.read(key) == first


@pytest.mark.parametrize("rule", RULES)
def test_nothing_is_served_or_stored_while_a_write_runs(rule):
    """From the start of a write to its end, affected calls compute and are not kept."""
    proxy = shelf(rule)
    proxy.read(1)
    assert proxy.write(1, lambda: not_served_nor_stored(proxy))
    assert pussycache.peek(proxy.read, 1) is MISSING
    assert served(proxy)


def test_other_arguments_are_served_while_a_write_runs():
    """A write of key 1 does not keep key 2 from being served, stored and loaded once."""
    proxy = shelf("argument")
    proxy.read(2)
    assert proxy.write(1, lambda: served(proxy, 2) and served(proxy, 3))
    assert proxy.loads == [2, 3]


def test_other_arguments_outlive_a_write_with_a_callable():
    """What is hidden while a write runs is back afterwards, unless the rule names it."""
    proxy = shelf("callable")
    proxy.read(1), proxy.read(2)
    assert proxy.write(1, lambda: pussycache.peek(proxy.read, 2)) is MISSING
    assert pussycache.peek(proxy.read, 2) == 2
    assert pussycache.peek(proxy.read, 1) is MISSING


@pytest.mark.parametrize("rule", RULES)
def test_a_load_begun_during_a_write_is_not_stored_after_it(rule, gate, spawn):
    """Nor is it joined by a call that starts after the write."""

    class Slow(Shelf):
        def read(self, key=1):
            value = super().read(key)
            if value == 1:
                gate.hold()
            return value

    proxy = shelf(rule, target=Slow())

    def during():
        loading = spawn(proxy.read, 1)
        gate.reached()
        return loading

    loading = proxy.write(1, during)
    assert proxy.read(1) == 2
    gate.open()
    assert loading.result() == 1
    assert proxy.read(1) == 2


@pytest.mark.parametrize("rule", RULES)
def test_a_load_begun_before_a_write_ends_during_it(rule, gate, spawn):
    """Its caller is answered, and it is found neither during the write nor after it."""

    class Slow(Shelf):
        def read(self, key=1):
            value = super().read(key)
            if value == 1:
                gate.hold()
            return value

    proxy = shelf(rule, target=Slow())
    loading = spawn(proxy.read, 1)
    gate.reached()
    assert proxy.read(2) == 2

    def during():
        gate.open()
        return loading.result(), pussycache.peek(proxy.read, 1)

    assert proxy.write(1, during) == (1, MISSING)
    assert pussycache.peek(proxy.read, 1) is MISSING
    assert proxy.read(1) == 3


def test_a_load_of_another_key_outlives_a_write_with_a_callable(gate, spawn):
    """A load that the rule does not name in the end is stored, when it ends after the write."""

    class Slow(Shelf):
        def read(self, key=1):
            gate.hold()
            return super().read(key)

    proxy = shelf("callable", target=Slow())
    loading = spawn(proxy.read, 2)
    gate.reached()
    proxy.write(1)
    gate.open()
    loading.result()
    assert proxy.read(2) == 1


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_write_that_raises_is_a_write(rule, error):
    """It forgets what it names, lifts its fence, and its error is passed on."""
    proxy = shelf(rule)
    assert proxy.read(1) == 1

    def during():
        raise error

    with pytest.raises(error):
        proxy.write(1, during)
    assert pussycache.peek(proxy.read, 1) is MISSING
    assert served(proxy)


def test_a_rule_of_the_result_forgets_everything_when_the_write_raised():
    """Without a result, every entry of the method is forgotten."""
    proxy = pussycache.wrap(
        Shelf(),
        cached_methods=["read"],
        invalidate_methods={"write": [Forget("read", key=lambda call: call.result)]},
    )
    proxy.read(1), proxy.read(2)
    proxy.write(0, lambda: 2)
    assert pussycache.peek(proxy.read, 1) == 1
    with pytest.raises(ZeroDivisionError):
        proxy.write(0, lambda: 1 / 0)
    assert pussycache.peek(proxy.read, 1) is MISSING


@pytest.mark.parametrize("rule", RULES)
def test_an_async_write_is_at_work_until_it_is_awaited_to_the_end(rule, run):
    """An async write's fence stands while it is suspended."""
    proxy = shelf(rule)

    async def main():
        go = asyncio.Event()
        proxy.read(1)
        writing = asyncio.ensure_future(proxy.awrite(1, go.wait))
        await asyncio.sleep(0)
        during = not_served_nor_stored(proxy)
        go.set()
        await writing
        return during, pussycache.peek(proxy.read, 1)

    assert run(main) == (True, MISSING)
    assert served(proxy)


@pytest.mark.parametrize("rule", RULES)
def test_a_cancelled_write_is_a_write(rule, run):
    """A cancelled write forgets what it names, and lifts its fence."""
    proxy = shelf(rule)

    async def main():
        writing = asyncio.ensure_future(proxy.awrite(1, asyncio.Event().wait))
        await asyncio.sleep(0)
        proxy.read(1)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing

    run(main)
    assert pussycache.peek(proxy.read, 1) is MISSING
    assert served(proxy)


@pytest.mark.parametrize("rule", RULES)
def test_a_closed_async_write_is_a_write(rule):
    """A coroutine that is closed half-way, as when it is forgotten, has written."""
    proxy = shelf(rule)
    proxy.read(1)

    class Forever:
        def __await__(self):
            yield

    async def during():
        await Forever()

    writing = proxy.awrite(1, during)
    writing.send(None)
    assert not_served_nor_stored(proxy)
    writing.close()
    assert pussycache.peek(proxy.read, 1) is MISSING
    assert served(proxy)


@pytest.mark.parametrize("rule", RULES)
def test_a_generator_that_writes_is_at_work_until_it_ends(rule):
    """A write that is a generator lasts from its first item until it is exhausted or closed."""
    proxy = shelf(rule)
    for close in (False, True):
        proxy.read(1)
        writing = proxy.stream(1)
        assert next(writing) == 1
        assert not_served_nor_stored(proxy)
        if close:
            writing.close()
        else:
            assert list(writing) == [2]
        assert pussycache.peek(proxy.read, 1) is MISSING
        assert served(proxy)


@pytest.mark.parametrize("rule", RULES)
def test_an_async_generator_that_writes_is_at_work_until_it_ends(rule, run):
    """The same for an asynchronous generator."""
    proxy = shelf(rule)

    async def main():
        for close in (False, True):
            proxy.read(1)
            writing = proxy.astream(1)
            assert await anext(writing) == 1
            assert not_served_nor_stored(proxy)
            if close:
                await writing.aclose()
            else:
                assert [item async for item in writing] == [2]
            assert pussycache.peek(proxy.read, 1) is MISSING
            assert served(proxy)

    run(main)


def test_a_write_that_hands_on_an_awaitable_is_at_work_until_it_is_done(run):
    """A plain method that returns a task or a coroutine writes until that is done."""

    class Client(Shelf):
        value = "old"

        async def aread(self):
            return self.value

        async def _write(self, go):
            await go.wait()
            self.value = "new"

        def as_task(self, go):
            return asyncio.ensure_future(self._write(go))

        def as_coroutine(self, go):
            return self._write(go)

    async def main(name):
        proxy = pussycache.wrap(
            Client(), cached_methods=["aread"], invalidate_methods={name: ["aread"]}
        )
        go = asyncio.Event()
        assert await proxy.aread() == "old"
        writing = getattr(proxy, name)(go)
        assert await proxy.aread() == "old"
        go.set()
        await writing
        return await proxy.aread()

    assert run(lambda: main("as_coroutine")) == "new"
    assert run(lambda: main("as_task")) == "new"


def test_a_context_manager_that_writes_stays_one():
    """A method made by contextmanager can be a write, and is still entered with with."""

    class Bank(Shelf):
        @contextlib.contextmanager
        def transaction(self):
            yield "inside"

    proxy = pussycache.wrap(
        Bank(), cached_methods=["read"], invalidate_methods={"transaction": ["read"]}
    )
    proxy.read()
    with proxy.transaction() as inside:
        assert inside == "inside"
    assert pussycache.peek(proxy.read) is MISSING


def test_a_context_manager_that_writes_as_a_decorator():
    """A function that is decorated with such a write writes each time it is called."""

    class Bank(Shelf):
        @contextlib.contextmanager
        def transaction(self):
            yield

    proxy = pussycache.wrap(
        Bank(), cached_methods=["read"], invalidate_methods={"transaction": ["read"]}
    )

    @proxy.transaction()
    def transfer():
        return not_served_nor_stored(proxy)

    for _ in range(2):
        proxy.read(1)
        assert transfer()
        assert pussycache.peek(proxy.read, 1) is MISSING


def test_what_is_sent_to_an_async_generator_arrives(run):
    """An asynchronous generator that writes is still sent to and thrown into."""

    class Bank(Shelf):
        async def transfer(self):
            try:
                got = yield 1
                yield got
            except KeyError:
                yield "caught"

    proxy = pussycache.wrap(
        Bank(), cached_methods=["read"], invalidate_methods={"transfer": ["read"]}
    )

    async def main():
        first = proxy.transfer()
        await first.asend(None)
        sent = await first.asend("sent")
        await first.aclose()
        second = proxy.transfer()
        await second.asend(None)
        thrown = await second.athrow(KeyError())
        await second.aclose()
        return sent, thrown

    assert run(main) == ("sent", "caught")


# Several writers.


@pytest.mark.parametrize("first", RULES)
@pytest.mark.parametrize("second", RULES)
@pytest.mark.parametrize("in_turn", [True, False])
def test_a_writer_that_ends_leaves_anothers_fence(first, second, in_turn):
    """Of two overlapping writers of one call, whichever ends first lifts its own fence only."""
    proxy = pussycache.wrap(
        Shelf(),
        cached_methods=["read"],
        invalidate_methods={"write": [RULES[first]], "write_again": [RULES[second]]},
    )
    proxy.read(1)
    one = pussycache.writing(proxy.write, 1)
    two = pussycache.writing(proxy.write_again, 1)
    one.__enter__()
    two.__enter__()
    assert not_served_nor_stored(proxy)
    (one if in_turn else two).__exit__(None, None, None)
    assert not_served_nor_stored(proxy)
    (two if in_turn else one).__exit__(None, None, None)
    assert pussycache.peek(proxy.read, 1) is MISSING
    assert served(proxy)


@pytest.mark.parametrize("rule", RULES)
def test_the_same_write_twice_at_once(rule):
    """Two calls of one write, with the same arguments, have two fences."""
    proxy = shelf(rule)
    with contextlib.ExitStack() as outer:
        outer.enter_context(pussycache.writing(proxy.write, 1))
        with pussycache.writing(proxy.write, 1):
            assert not_served_nor_stored(proxy)
        assert not_served_nor_stored(proxy)
    assert served(proxy)


def test_two_writers_of_different_arguments():
    """A writer's end makes its own argument serve again, and not the other's."""
    proxy = shelf("argument")
    with pussycache.writing(proxy.write, 1):
        with pussycache.writing(proxy.write, 2):
            assert not_served_nor_stored(proxy, 1)
            assert not_served_nor_stored(proxy, 2)
        assert not_served_nor_stored(proxy, 1)
        assert served(proxy, 2)
    assert served(proxy, 1)


@pytest.mark.parametrize("in_turn", [True, False])
def test_two_writers_with_callables(in_turn):
    """What one of them hides is not served when the other ends."""

    def hold(key):
        go[key].set()
        assert done[key].wait(10)
        return key

    go = {1: threading.Event(), 2: threading.Event()}
    done = {1: threading.Event(), 2: threading.Event()}
    proxy = pussycache.wrap(
        Shelf(),
        cached_methods=["read"],
        invalidate_methods={"write": [Forget("read", key=lambda call: call.result)]},
    )
    proxy.read(1), proxy.read(2), proxy.read(3)
    threads = {
        key: threading.Thread(target=proxy.write, args=(key, lambda key=key: hold(key)))
        for key in (1, 2)
    }
    for key, thread in threads.items():
        thread.start()
        assert go[key].wait(10)
    order = (1, 2) if in_turn else (2, 1)
    for key in order:
        for hidden in (1, 2, 3):
            assert not_served_nor_stored(proxy, hidden)
        done[key].set()
        threads[key].join(10)
    assert pussycache.peek(proxy.read, 1) is MISSING
    assert pussycache.peek(proxy.read, 2) is MISSING
    assert pussycache.peek(proxy.read, 3) == 3


def test_a_load_overtaken_by_the_first_of_two_writers(gate, spawn):
    """A load that saw the end of one writer and the start of another is stored by neither."""

    class Slow(Shelf):
        def read(self, key=1):
            value = super().read(key)
            if value == 1:
                gate.hold()
            return value

    proxy = shelf("argument", target=Slow())
    one = pussycache.writing(proxy.write, 1)
    two = pussycache.writing(proxy.write_again, 1)
    one.__enter__()
    loading = spawn(proxy.read, 1)
    gate.reached()
    two.__enter__()
    one.__exit__(None, None, None)
    two.__exit__(None, None, None)
    gate.open()
    assert loading.result() == 1
    assert proxy.read(1) == 2


def test_a_method_that_is_first_read_during_a_write_of_everything():
    """A write of everything is a write of methods whose first call comes while it runs."""
    target, cache = Shelf(), MemoryCache()
    writer = pussycache.wrap(target, cache, invalidate_methods={"write": ["*"]})

    def during():
        reader = pussycache.wrap(target, cache, cached_methods=["read"])
        return reader, not_served_nor_stored(reader)

    reader, kept_away = writer.write(1, during)
    assert kept_away
    assert served(reader)


def test_a_rule_that_is_declared_during_a_load(gate, spawn):
    """A rule by argument also finds loads and entries that are older than its declaration."""

    class Slow(Shelf):
        def read(self, key=1):
            value = super().read(key)
            if value == 1:
                gate.hold()
            return value

    target, cache = Slow(), MemoryCache()
    reader = pussycache.wrap(target, cache, cached_methods=["read"])
    loading = spawn(reader.read, 1)
    gate.reached()
    reader.read(2)
    writer = pussycache.wrap(target, cache, invalidate_methods={"write": [Forget("read", "key")]})
    writer.write(1)
    writer.write(2)
    gate.open()
    assert loading.result() == 1
    assert reader.read(1) == 3
    assert reader.read(2) == 4


@pytest.mark.parametrize("rule", RULES)
def test_operations_while_a_write_runs(rule):
    """While a write runs, put stores nothing and refresh keeps nothing."""
    proxy = shelf(rule)
    proxy.read(1)

    def during():
        put = pussycache.put(proxy.read, "put", 1)
        return put, pussycache.refresh(proxy.read, 1), pussycache.peek(proxy.read, 1)

    assert proxy.write(1, during) == (False, 2, MISSING)
    assert pussycache.peek(proxy.read, 1) is MISSING
    assert served(proxy)


@pytest.mark.parametrize("rule", RULES)
def test_a_refresh_that_outlasts_a_write(rule, new_gate, spawn):
    """A refresh that began before or during a write is not kept after it."""

    class Slow(Shelf):
        def read(self, key=1):
            value = super().read(key)
            if value == 1:
                gate.hold()
            return value

    for before in (True, False):
        gate, proxy = new_gate(), shelf(rule, target=Slow())

        def refresh(gate=gate, proxy=proxy):
            running = spawn(pussycache.refresh, proxy.read, 1)
            gate.reached()
            return running

        if before:
            refreshing = refresh()
            proxy.write(1)
        else:
            refreshing = proxy.write(1, refresh)
        gate.open()
        refreshing.result()
        assert pussycache.peek(proxy.read, 1) is MISSING or proxy.read(1) != 1


@pytest.mark.parametrize("raises", [True, False])
@pytest.mark.parametrize("rule", RULES)
def test_an_overtaken_load_leaves_the_one_after_it_alone(rule, raises, new_gate, spawn, joined):
    """When it ends, well or badly, the load that was begun after the write is still shared."""
    gates = [new_gate(), new_gate()]

    class Slow(Shelf):
        def read(self, key=1):
            value = super().read(key)
            gates[value - 1].hold()
            if raises and value == 1:
                raise LookupError
            return value

    proxy = shelf(rule, target=Slow())
    old = spawn(proxy.read, 1)
    gates[0].reached()
    proxy.write(1)
    new = spawn(proxy.read, 1)
    gates[1].reached()
    gates[0].open()
    if raises:
        with pytest.raises(LookupError):
            old.result()
    else:
        assert old.result() == 1
    assert pussycache.peek(proxy.read, 1) is MISSING
    waiting = spawn(proxy.read, 1)
    joined(proxy.read, 1)
    gates[1].open()
    assert new.result() == waiting.result() == proxy.read(1) == 2


def test_a_put_that_stores_nothing_is_a_write(gate, spawn):
    """A load that was under way is not stored after a put that its policy refused."""

    class Slow(Shelf):
        def read(self, key=1):
            gate.hold()
            return super().read(key)

    policy = pussycache.Cached(when=lambda value: value != "refused")
    proxy = pussycache.wrap(Slow(), cached_methods={"read": policy})
    loading = spawn(proxy.read, 1)
    gate.reached()
    assert pussycache.put(proxy.read, "refused", 1) is False
    gate.open()
    assert loading.result() == 1
    assert pussycache.peek(proxy.read, 1) is MISSING


def test_arguments_that_refuse_to_be_compared():
    """An argument whose comparison raises does not break a write; it forgets what it may mean."""

    class Odd:
        def __hash__(self):
            return 1

        def __eq__(self, other):
            if other is self:
                return True
            raise TypeError("not to be compared")

    proxy = shelf("argument")
    one = Odd()
    proxy.read(one)
    assert proxy.write(Odd(), lambda: "written") == "written"
    assert pussycache.peek(proxy.read, one) is MISSING


def test_an_entry_whose_argument_refuses_to_be_compared_is_found_by_its_rule(spawn):
    """A value that could not be made findable for the rules is not kept."""

    class Odd:
        def __hash__(self):
            return 1

        def __eq__(self, other):
            if other is self:
                return True
            raise TypeError("not to be compared")

    class Pairs(Shelf):
        def read(self, key, page):
            return super().read(key)

    cache = MemoryCache()
    proxy = pussycache.wrap(
        Pairs(),
        cache,
        cached_methods=["read"],
        invalidate_methods={"write": [Forget("read", "key")]},
    )
    one, other = Odd(), Odd()
    proxy.read(one, 1)
    proxy.read(other, 2)
    pussycache.forget(proxy.read, one, 1)
    proxy.write(other)
    assert pussycache.peek(proxy.read, other, 2) is MISSING
    assert len(cache) == pussycache.info(proxy.read).entries
    assert spawn(proxy.read, other, 2).result() == 3


# Calls inside.


@pytest.mark.parametrize("rule", RULES)
def test_a_write_that_reads(rule):
    """Cached calls inside a write compute, and are not kept."""
    proxy = shelf(rule)
    assert proxy.write(1, lambda: [proxy.read(1), proxy.read(1)]) == [1, 2]
    assert proxy.read(1) == 3


def test_nested_and_reentrant_writes():
    """A write may call itself and other writes; its own fence stands until it has ended."""
    proxy = shelf("argument")
    proxy.read(1)

    def again():
        proxy.write(1, lambda: proxy.write_again(1))
        return not_served_nor_stored(proxy)

    assert proxy.write(1, again)
    assert served(proxy)


def test_a_load_that_writes_is_not_stored():
    """A load that itself calls a write of its method is overtaken by it."""

    class Odd(Shelf):
        def read(self, key=1):
            self.write(key)
            return super().read(key)

    proxy = pussycache.wrap(
        Odd(),
        cached_methods=["read"],
        invalidate_methods={"write": [Forget("read", "key")]},
        self_calls=True,
    )
    assert proxy.read(1) == 1
    assert pussycache.peek(proxy.read, 1) is MISSING


@pytest.mark.parametrize("self_calls", [True, False])
@pytest.mark.parametrize("inner_first", [True, False])
@pytest.mark.parametrize("by_argument", [True, False])
def test_a_load_that_reads_another_cached_method_around_a_write(
    self_calls, inner_first, by_argument, new_gate, spawn
):
    """A load that read an old entry of another method is not stored after the write."""
    before, after = new_gate(), new_gate()

    class Report:
        value = "old"
        held = False
        proxy = None

        def part(self, key):
            return self.value

        def whole(self, key):
            hold = not Report.held
            Report.held = True
            if hold:
                before.hold()
            part = (self if self_calls else Report.proxy).part(key)
            if hold:
                after.hold()
            return part

        def write(self, key):
            self.value = "new"

    rules = ["part", "whole"] if inner_first else ["whole", "part"]
    if by_argument:
        rules = [Forget(rule, "key") for rule in rules]
    Report.proxy = proxy = pussycache.wrap(
        Report(),
        cached_methods=["part", "whole"],
        invalidate_methods={"write": rules},
        self_calls=self_calls,
    )
    assert proxy.part(1) == "old"
    loading = spawn(proxy.whole, 1)
    before.reached()
    before.open()
    after.reached()
    proxy.write(1)
    after.open()
    assert loading.result() == "old"
    assert proxy.whole(1) == "new"
    assert proxy.part(1) == "new"


def test_a_write_that_holds_a_lock_reads_what_a_load_waits_for_the_lock_to_read(new_gate, spawn):
    """A cached call inside a write does not wait for a load that waits for the writer's lock."""
    loading, locked = new_gate(), new_gate()

    class Locked:
        def __init__(self):
            self.lock = threading.RLock()
            self.first = True

        def read(self, key):
            if self.first:
                self.first = False
                loading.hold()
            if not self.lock.acquire(timeout=20):
                raise TimeoutError
            try:
                return key
            finally:
                self.lock.release()

        def write(self, key):
            with self.lock:
                locked.hold()
                return self.read(2)

    proxy = pussycache.wrap(
        Locked(),
        cached_methods=["read"],
        invalidate_methods={"write": [Forget("read", "key")]},
        self_calls=True,
    )
    reader = spawn(proxy.read, 2)
    loading.reached()
    writer = spawn(proxy.write, 1)
    locked.reached()
    loading.open()
    locked.open()
    assert writer.result() == 2
    assert reader.result() == 2


def test_a_write_that_holds_a_lock_does_not_wait_for_a_load_of_its_own_call(new_gate, spawn):
    """Nor does it wait for a load that was begun while it ran, of the very call it makes wrong."""
    loading, locked = new_gate(), new_gate()

    class Locked:
        def __init__(self):
            self.lock = threading.RLock()

        def read(self, key):
            if not self.lock._is_owned():
                loading.hold()
            if not self.lock.acquire(timeout=20):
                raise TimeoutError
            try:
                return key
            finally:
                self.lock.release()

        def write(self, key):
            with self.lock:
                locked.hold()
                return self.read(key)

    proxy = pussycache.wrap(
        Locked(),
        cached_methods=["read"],
        invalidate_methods={"write": ["read"]},
        self_calls=True,
    )
    writer = spawn(proxy.write, 1)
    locked.reached()
    reader = spawn(proxy.read, 1)
    loading.reached()
    loading.open()
    locked.open()
    assert writer.result() == 1
    assert reader.result() == 1
