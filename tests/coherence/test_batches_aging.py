"""Old values of batches: which ids are given one, what renews them, and never across a write.

Each test is made with a plain method, whose callers are threads, and with a coroutine method.
"""

import asyncio
import logging
import os
import sys
import threading

import pytest
from sources import settled

import pussycache
from pussycache import MISSING, Cached, Forget, ForgetTag, LoadTimeout, forget_tag
from pussycache.engine import background

SOON = 0.02
LONG = 60
PATIENCE = 60


class People:
    """Each call has a number, and so has each of its results."""

    def __init__(self):
        self.calls = []
        self.gone = set()
        self.act = lambda: None

    def many(self, ids):
        self.calls.append(list(ids))
        number = len(self.calls)
        self.act()
        return {one: (one, number) for one in ids if one not in self.gone}

    async def amany(self, ids):
        # In a thread, so that what holds it up does not hold up the loop.
        return await asyncio.to_thread(self.many, ids)

    def one(self, user_id):
        return self.many([user_id])[user_id]

    def rename(self, user_id):
        pass


RULES = {
    "method": lambda name: name,
    "id": lambda name: Forget(name, ids="user_id"),
    "tag": lambda name: ForgetTag("user:{user_id}"),
}


class Side:
    """One way to call: ``name`` is the method, and ``ask`` calls it and waits."""

    def __init__(self, name, ask):
        self.name = name
        self.ask = ask

    def wrapped(self, rule="id", **said):
        tags = {"tags": ["user:{ids}"]} if rule == "tag" else {}
        return pussycache.wrap(
            People(),
            cached_methods={self.name: Cached(each="ids", ttl=10, **tags, **said)},
            invalidate_methods={"rename": [RULES[rule](self.name)]},
        )

    def method(self, proxy):
        return getattr(proxy, self.name)

    def info(self, proxy):
        return pussycache.info(self.method(proxy))

    def get(self, proxy, *ids):
        """The numbers of the results."""
        return {one: value[1] for one, value in self.ask(self.method(proxy), [*ids]).items()}

    def load(self, proxy, *ids):
        """Load some ids, however long that takes."""
        self.ask(pussycache.refresh, self.method(proxy), [*ids])

    def why(self, proxy, *ids):
        return str(pussycache.explain(self.method(proxy), [*ids]))


@pytest.fixture(params=["threads", "tasks"])
def side(request):
    if request.param == "threads":
        yield Side("many", lambda method, *args: method(*args))
        return
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def ask(method, *args):
        return asyncio.run_coroutine_threadsafe(method(*args), loop).result(PATIENCE)

    yield Side("amany", ask)

    async def end():
        await loop.shutdown_default_executor()
        loop.stop()

    asyncio.run_coroutine_threadsafe(end(), loop)
    thread.join(PATIENCE)
    loop.close()


rules = pytest.mark.parametrize("rule", list(RULES))


def fail():
    raise OSError("no route")


# stale_for


def test_stale_ids_are_answered_at_once_and_renewed_in_one_call(side, clock, gate, until):
    """One call in the background renews the ids that are stale, and no others."""
    proxy = side.wrapped(stale_for=5)
    side.get(proxy, 1, 2)
    clock.advance(5)
    side.get(proxy, 3)
    clock.advance(5)
    proxy.act = gate.hold
    assert side.get(proxy, 2, 3, 1) == {2: 1, 3: 2, 1: 1}
    gate.reached()
    assert side.get(proxy, 1) == {1: 1}
    gate.open()
    settled(until)
    assert side.get(proxy, 1, 2, 3) == {1: 3, 2: 3, 3: 2}
    assert proxy.calls == [[1, 2], [3], [2, 1]]
    info = side.info(proxy)
    assert (info.stale, info.refreshes, info.misses, info.loads) == (3, 2, 3, 5)


def test_ids_that_are_missing_are_loaded_beside_the_refresh(side, clock, until):
    """A caller waits for what is not there, and not for what is old."""
    proxy = side.wrapped(stale_for=5)
    side.get(proxy, 1)
    clock.advance(10)
    answer = side.get(proxy, 1, 7)
    settled(until)
    assert answer[1] == 1
    assert sorted(proxy.calls) == [[1], [1], [7]]
    assert side.get(proxy, 1)[1] > 1


def test_after_the_window_a_caller_waits(side, clock):
    """When ttl and stale_for are over the old values are gone."""
    proxy = side.wrapped(stale_for=5)
    side.get(proxy, 1, 2)
    clock.advance(15)
    assert side.get(proxy, 1, 2) == {1: 2, 2: 2}


@rules
def test_a_write_during_the_refresh(side, rule, clock, gate, until):
    """A refresh is not stored for the ids that a write overtakes; their old values go at once."""
    proxy = side.wrapped(rule, stale_for=5)
    side.get(proxy, 1, 2)
    clock.advance(10)
    proxy.act = gate.hold
    side.get(proxy, 1, 2)
    gate.reached()
    proxy.rename(1)
    proxy.act = lambda: None
    assert side.get(proxy, 1) == {1: 3}
    gate.open()
    settled(until)
    assert side.get(proxy, 1)[1] == 3
    assert side.get(proxy, 2)[2] == (4 if rule == "method" else 2)


@rules
def test_no_old_value_and_no_refresh_while_a_writer_is_at_work(side, rule, clock, until):
    """From the start of a write the ids it names have no old value, and nothing renews them."""
    proxy = side.wrapped(rule, stale_for=5)
    side.get(proxy, 1)
    clock.advance(10)
    with pussycache.writing(proxy.rename, 1):
        assert [side.get(proxy, 1)[1] for _ in range(2)] == [2, 3]
    assert side.get(proxy, 1) == {1: 4}
    settled(until)
    assert side.info(proxy).refreshes == 0


def test_a_failed_refresh_is_logged_once_and_tried_after_a_pause(side, clock, until, caplog):
    """One call that fails is one line in the log, and counts for each id."""
    proxy = side.wrapped(stale_for=5)
    side.get(proxy, 1, 2)
    clock.advance(10)
    proxy.act = fail
    with caplog.at_level(logging.WARNING, "pussycache"):
        assert side.get(proxy, 1, 2) == {1: 1, 2: 1}
        settled(until)
    assert [record.getMessage() for record in caplog.records] == [
        f"a refresh of People.{side.name} failed: OSError('no route')"
    ]
    assert side.get(proxy, 1, 2) == {1: 1, 2: 1}
    assert len(proxy.calls) == 2
    info = side.info(proxy)
    assert (info.failures, info.refresh_failures) == (2, 2)
    assert "OSError: no route" in side.why(proxy, 1)
    clock.advance(0.1)
    proxy.act = lambda: None
    side.get(proxy, 1, 2)
    settled(until)
    assert side.get(proxy, 1, 2) == {1: 3, 2: 3}


def test_an_id_that_a_refresh_does_not_find_is_gone(side, clock, until):
    """It is not old but gone: its old value is served no more."""
    proxy = side.wrapped(stale_for=5)
    side.get(proxy, 1, 2)
    clock.advance(10)
    proxy.gone = {2}
    assert side.get(proxy, 1, 2) == {1: 1, 2: 1}
    settled(until)
    assert side.get(proxy, 1, 2) == {1: 2}
    assert proxy.calls == [[1, 2], [1, 2], [2]]


def test_close_ends_a_refresh(side, clock, gate, until):
    """What a refresh brings after the cache was closed is not stored."""
    proxy = side.wrapped(stale_for=5)
    side.get(proxy, 1)
    clock.advance(10)
    proxy.act = gate.hold
    side.get(proxy, 1)
    gate.reached()
    pussycache.cache_of(proxy).close()
    gate.open()
    settled(until)
    clock.advance(5)
    proxy.act = lambda: None
    assert side.get(proxy, 1) == {1: 3}


# stale_if_error


def test_a_failed_load_is_answered_with_the_old_values(side, clock):
    """Where all ids that the load was for have an old value; the failure is counted and shown."""
    proxy = side.wrapped(stale_if_error=100)
    side.get(proxy, 1, 2)
    clock.advance(5)
    side.get(proxy, 3)
    clock.advance(5)
    proxy.act = fail
    assert side.get(proxy, 3, 2, 1) == {3: 2, 2: 1, 1: 1}
    assert proxy.calls[-1] == [2, 1]
    info = side.info(proxy)
    assert (info.failures, info.stale) == (2, 2)
    assert "OSError: no route" in side.why(proxy, 1)
    assert side.get(proxy, 1, 2) == {1: 1, 2: 1}
    assert len(proxy.calls) == 3
    clock.advance(100)
    with pytest.raises(OSError, match="no route"):
        side.get(proxy, 1)


def test_one_id_without_an_old_value_and_the_error_is_raised(side, clock):
    """An answer without it would say that it does not exist."""
    proxy = side.wrapped(stale_if_error=100)
    side.get(proxy, 1)
    clock.advance(10)
    proxy.act = fail
    with pytest.raises(OSError, match="no route"):
        side.get(proxy, 1, 2)
    assert side.get(proxy, 1) == {1: 1}


@rules
def test_a_write_between_the_failed_load_and_the_old_values(side, rule, clock):
    """A write while the load fails takes the old value of its id away: the error is raised."""
    proxy = side.wrapped(rule, stale_if_error=100)
    side.get(proxy, 1, 2)
    clock.advance(10)

    def write_and_fail():
        proxy.rename(1)
        fail()

    proxy.act = write_and_fail
    with pytest.raises(OSError, match="no route"):
        side.get(proxy, 1, 2)
    proxy.act = fail
    with pytest.raises(OSError, match="no route"):
        side.get(proxy, 1)
    if rule != "method":
        assert side.get(proxy, 2) == {2: 1}


def test_what_is_no_mapping_is_an_error_also_where_there_are_old_values(side, clock):
    """An old value stands in for a load that failed, and not for a wrong declaration."""
    proxy = side.wrapped(stale_if_error=100)
    side.get(proxy, 1)
    clock.advance(10)
    proxy._proxied.many = lambda ids: [1]
    with pytest.raises(pussycache.ConfigurationError, match="must return a mapping"):
        side.get(proxy, 1)


def test_an_id_that_is_not_in_the_answer_has_no_old_value(side, clock):
    """The load has not failed: the id is gone, and stays so when a later load fails."""
    proxy = side.wrapped(stale_if_error=100)
    side.get(proxy, 1, 2)
    clock.advance(10)
    proxy.gone = {2}
    assert side.get(proxy, 1, 2) == {1: 2}
    proxy.act = fail
    with pytest.raises(OSError, match="no route"):
        side.get(proxy, 2)


def test_who_waits_for_a_failing_load_is_given_the_old_value(side, clock, gate, spawn, joined):
    """Single-flight: one load fails, and all who waited for one of its ids are answered."""
    proxy = side.wrapped(stale_if_error=100)
    side.get(proxy, 1, 2)
    clock.advance(10)

    def hold_and_fail():
        gate.hold()
        fail()

    proxy.act = hold_and_fail
    first = spawn(side.get, proxy, 1, 2)
    gate.reached()
    second = spawn(side.get, proxy, 2)
    joined(side.method(proxy), 1)
    gate.open()
    assert first.result() == {1: 1, 2: 1}
    assert second.result() == {2: 1}
    assert len(proxy.calls) == 2


# refresh_ahead


@rules
def test_what_is_in_use_is_renewed_ahead(side, rule, clock, until, gate):
    """A hit late in the ttl starts one call for the ids it is due for; a write overtakes it."""
    proxy = side.wrapped(rule, refresh_ahead=0.5)
    side.get(proxy, 1, 2)
    clock.advance(5)
    assert side.get(proxy, 1, 2) == {1: 1, 2: 1}
    settled(until)
    assert side.get(proxy, 1, 2) == {1: 2, 2: 2}
    assert side.info(proxy).stale == 0
    clock.advance(5)
    proxy.act = gate.hold
    side.get(proxy, 1, 2)
    gate.reached()
    proxy.rename(2)
    proxy.act = lambda: None
    assert side.get(proxy, 2) == {2: 4}
    gate.open()
    settled(until)
    assert side.get(proxy, 2) == {2: 4}


# timeout


def test_a_caller_gives_up_and_the_load_goes_on(side, gate, until):
    """`LoadTimeout` names the method; what the load brings is stored for later calls."""
    proxy = side.wrapped(timeout=SOON)
    proxy.act = gate.hold
    with pytest.raises(LoadTimeout, match=f"People.{side.name} has not returned within"):
        side.get(proxy, 1, 2)
    gate.open()
    settled(until)
    assert side.get(proxy, 2, 1) == {2: 1, 1: 1}
    assert proxy.calls == [[1, 2]]
    assert side.info(proxy).timeouts == 1


def test_within_its_timeout_a_load_is_a_load_like_any_other(side, until):
    """Values, missing ids and exceptions come through."""
    proxy = side.wrapped(timeout=LONG)
    proxy.gone = {2}
    assert side.get(proxy, 1, 2) == {1: 1}
    proxy.act = fail
    with pytest.raises(OSError, match="no route"):
        side.get(proxy, 2)
    settled(until)
    assert side.get(proxy, 1) == {1: 1}


def test_old_values_after_the_timeout_where_all_have_one(side, clock, gate, until, gives_up_at):
    """What is answered is whole: one id without an old value, and `LoadTimeout` is raised."""
    proxy = side.wrapped(timeout=SOON, stale_if_error=100)
    side.load(proxy, 1, 2)
    clock.advance(10)
    gives_up_at(gate)
    proxy.act = gate.hold
    assert side.get(proxy, 1, 2) == {1: 1, 2: 1}
    assert side.info(proxy).stale == 2
    with pytest.raises(LoadTimeout):
        side.get(proxy, 1, 3)
    gate.open()
    settled(until)
    assert side.get(proxy, 1, 2, 3) == {1: 2, 2: 2, 3: 3}


def test_who_waits_for_anothers_load_gives_up_too(side, gate, spawn, until):
    """The timeout is each caller's own, and each id has one load."""
    proxy = side.wrapped(timeout=SOON)
    proxy.act = gate.hold
    callers = [spawn(side.get, proxy, *ids) for ids in ((1, 2), (2, 1), (1,))]
    assert [caller.raised() for caller in callers] == [LoadTimeout] * 3
    gate.open()
    settled(until)
    assert sorted(one for call in proxy.calls for one in call) == [1, 2]


@rules
def test_no_old_values_after_a_write_during_the_wait(side, rule, clock, gate, until, gives_up_at):
    """A caller whose wait ends after a write is not given what the write made wrong."""
    proxy = side.wrapped(rule, timeout=SOON, stale_if_error=100)
    side.load(proxy, 1, 2)
    clock.advance(10)

    def write_and_hold():
        proxy.rename(1)
        gate.hold()

    gives_up_at(gate)
    proxy.act = write_and_hold
    with pytest.raises(LoadTimeout):
        side.get(proxy, 1, 2)
    gate.open()
    settled(until)


@rules
def test_a_write_while_a_batch_is_half_loaded(side, rule, clock, gate, spawn, until):
    """Its callers are answered; no later call is given its id, or waits for it."""
    proxy = side.wrapped(rule, timeout=LONG, stale_if_error=100)
    proxy.act = gate.hold
    waiting = spawn(side.get, proxy, 1, 2)
    gate.reached()
    proxy.rename(1)
    proxy.act = lambda: None
    assert side.get(proxy, 1) == {1: 2}
    gate.open()
    assert waiting.result() == {1: 1, 2: 1}
    settled(until)
    assert side.get(proxy, 1) == {1: 2}
    assert side.get(proxy, 2) == {2: 3 if rule == "method" else 1}


def test_batches_that_overlap_load_each_id_once(side, gate, spawn, joined, until):
    """A batch with a timeout loads what nobody loads, and waits for the rest."""
    proxy = side.wrapped(timeout=LONG)
    proxy.act = gate.hold
    first = spawn(side.get, proxy, 1, 2)
    gate.reached()
    proxy.act = lambda: None
    second = spawn(side.get, proxy, 2, 3)
    joined(side.method(proxy), 1)
    gate.open()
    assert (first.result(), second.result()) == ({1: 1, 2: 1}, {2: 1, 3: 2})
    assert proxy.calls == [[1, 2], [3]]
    settled(until)


def test_close_lets_callers_load_anew(side, gate, spawn, until):
    """Who waits for a batch that `close` has ended loads again."""
    proxy = side.wrapped(timeout=LONG)
    proxy.act = gate.hold
    waiting = spawn(side.get, proxy, 1, 2)
    gate.reached()
    proxy.act = lambda: None
    pussycache.cache_of(proxy).close()
    assert waiting.result() == {1: 2, 2: 2}
    settled(until)


def test_inside_a_write_a_batch_runs_where_it_is_called():
    """A writer may hold what the load needs: there, nobody waits for another thread."""
    proxy = Side("many", None).wrapped(timeout=LONG)
    threads = []
    proxy.act = lambda: threads.append(threading.current_thread())
    with pussycache.writing(proxy.rename, 7):
        proxy.many([1, 2])
    assert threads == [threading.current_thread()]


def test_a_cancelled_caller_ends_no_load(run):
    """Whoever is cancelled, the others are answered by the one load."""
    proxy = Side("amany", None).wrapped(timeout=LONG)
    gate = threading.Event()
    proxy.act = lambda: gate.wait(PATIENCE)

    async def main():
        callers = [asyncio.create_task(proxy.amany([1, 2])) for _ in range(2)]
        while not proxy.calls:
            await asyncio.sleep(0)
        callers[0].cancel()
        await asyncio.sleep(0)
        gate.set()
        assert await callers[1] == {1: (1, 1), 2: (2, 1)}

    run(main)
    assert proxy.calls == [[1, 2]]
    assert not background._under_way


def test_a_mapping_that_raises_is_an_error_of_its_caller(side, until):
    """Also where the load goes on apart: it is told, and does not load again and again."""

    class Odd(dict):
        def get(self, one, default=None):
            raise ValueError("odd")

    proxy = side.wrapped(timeout=LONG)
    load = proxy.many if side.name == "amany" else proxy._proxied.many

    def odd(ids):
        return Odd(load(ids))

    async def aodd(ids):
        return Odd(load(ids))

    setattr(proxy._proxied, side.name, odd if side.name == "many" else aodd)
    with pytest.raises(ValueError, match="odd"):
        side.get(proxy, 1, 2)
    settled(until)
    assert proxy.calls == [[1, 2]]
    assert not side.method(proxy).__pussycache__.table(proxy).flights


def test_a_call_that_ends_before_its_load_begins_leaves_none_behind(monkeypatch):
    """Where the load cannot be handed to anybody, its ids are free for the next caller."""
    proxy = Side("many", None).wrapped(timeout=LONG)

    def in_thread(*_):
        raise MemoryError

    monkeypatch.setattr(background, "in_thread", in_thread)
    with pytest.raises(MemoryError):
        proxy.many([1, 2])
    monkeypatch.undo()
    assert not proxy.many.__pussycache__.table(proxy).flights
    assert set(proxy.many([1, 2])) == {1, 2}


# idle_ttl


def test_each_id_is_forgotten_when_it_is_not_used(side, clock):
    """A batch is a use of the ids that it asks for, and of no others."""
    proxy = side.wrapped(idle_ttl=4)
    side.get(proxy, 1, 2)
    clock.advance(3)
    side.get(proxy, 1)
    clock.advance(3)
    assert side.get(proxy, 1, 2) == {1: 1, 2: 2}
    for _ in range(3):
        clock.advance(2)
        side.get(proxy, 1)
    assert side.get(proxy, 1) == {1: 3}


# verify


@rules
def test_ids_are_verified_in_one_call(side, rule, clock, until, gate):
    """Each id is recomputed and compared; the new value wins; what a write overtakes counts not."""
    proxy = side.wrapped(rule, verify=1)
    side.get(proxy, 1, 2)
    clock.advance(3)
    assert side.get(proxy, 1, 2) == {1: 1, 2: 1}
    settled(until)
    assert proxy.calls == [[1, 2]] * 2
    info = side.info(proxy)
    assert (info.verified, info.disagreements, info.disagreement_age) == (2, 2, 6)
    proxy.act = gate.hold
    assert side.get(proxy, 1, 2) == {1: 2, 2: 2}
    gate.reached()
    proxy.rename(1)
    proxy.act = lambda: None
    assert side.get(proxy, 1) == {1: 4}
    gate.open()
    settled(until)
    assert pussycache.peek(side.method(proxy), [1])[1][1] >= 4
    assert side.info(proxy).verified == (2 if rule == "method" else 3)


def test_an_id_that_is_gone_disagrees(side, clock, until):
    """A verification that does not find an id has found out that it is wrong."""
    proxy = side.wrapped(verify=1)
    side.get(proxy, 1)
    proxy.gone = {1}
    assert side.get(proxy, 1) == {1: 1}
    settled(until)
    assert side.info(proxy).disagreements == 1
    assert side.get(proxy, 1) == {}


# tags that are known late


def test_a_tag_is_forgotten_while_a_batch_is_half_loaded(side, clock, gate, spawn):
    """Tags that only the results tell: what carries the tag is not stored, and joined by nobody."""
    proxy = side.wrapped(tags=lambda user, one: [f"parity:{one % 2}"])
    proxy.act = gate.hold
    waiting = spawn(side.get, proxy, 1, 2)
    gate.reached()
    forget_tag(pussycache.cache_of(proxy), "parity:0")
    proxy.act = lambda: None
    assert side.get(proxy, 2) == {2: 2}
    gate.open()
    assert waiting.result() == {1: 1, 2: 1}
    assert side.get(proxy, 1, 2) == {1: 1, 2: 2}


def test_a_tag_goes_with_old_values(side, clock, until):
    """A tag of one id takes its old value away, and leaves those of the others."""
    proxy = side.wrapped("tag", stale_if_error=100)
    side.get(proxy, 1, 2)
    clock.advance(10)
    forget_tag(pussycache.cache_of(proxy), "user:1")
    proxy.act = fail
    assert side.get(proxy, 2) == {2: 1}
    with pytest.raises(OSError, match="no route"):
        side.get(proxy, 1)
    assert "invalidated" in side.why(proxy, 1)
    assert pussycache.peek(side.method(proxy), [1]) is MISSING


# at any line

POLICIES = {
    "plain": {},
    "stale_for": {"stale_for": 5},
    "stale_if_error": {"stale_if_error": 100},
    "stale_if_error, failing": {"stale_if_error": 100},
    "refresh_ahead": {"refresh_ahead": 0.5},
    "timeout": {"timeout": LONG, "stale_if_error": 100},
    "verify": {"verify": 1.0},
    "guard": {"guard": True},
    "idle_ttl": {"idle_ttl": 9},
    "errors, missing": {"errors": {LookupError: 100}},
}


@rules
@pytest.mark.parametrize("policy", list(POLICIES))
def test_a_write_before_any_line_of_a_batch(rule, policy, clock, monkeypatch):
    """Wherever a write happens, also in what goes on beside: no later call is given what is old."""
    # What goes on beside is done at once, so that its lines are among those of the call.
    monkeypatch.setattr(background._pool, "submit", lambda job, at_once: [job()])
    engine = os.path.dirname(background.__file__)
    missing = "missing" in policy
    lines = 0
    step = list(RULES).index(rule)
    while step <= max(lines, 2):
        proxy = Side("many", None).wrapped(rule, **POLICIES[policy])
        proxy.gone = {1} if missing else set()
        proxy.many([1, 2])
        clock.advance({"refresh_ahead": 8, "verify": 1, "guard": 1}.get(policy, 10))
        proxy.act = fail if "failing" in policy else lambda: None
        lines, written = 0, []

        def line(frame, event, arg, at=step, proxy=proxy, written=written):
            nonlocal lines
            if event == "line":
                lines += 1
                if lines > at and not written:
                    cache = pussycache.cache_of(proxy)
                    if not cache.lock._is_owned():
                        written.append(len(proxy.calls))
                        proxy.gone = set()
                        proxy.rename(1)
            return line

        def trace(frame, event, arg, line=line):
            return line if frame.f_code.co_filename.startswith(engine) else None

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            proxy.many([1, 2, 3])
        except OSError:
            pass
        finally:
            sys.settrace(before)
        proxy.act = lambda: None
        answer = proxy.many([1])
        assert not written or answer[1][1] > written[0], f"old after a write at line {step}"
        assert not proxy.many.__pussycache__.table(proxy).flights
        # Each rule has lines of its own: together they have all.
        step += len(RULES)
    assert lines > 20
