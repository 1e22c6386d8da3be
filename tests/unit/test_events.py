"""What hooks are told, when, and what they cannot break."""

import asyncio
import gc
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

import pussycache
from pussycache import Cached, ConfigurationError, Forget, MemoryCache, events, hooks
from pussycache.engine import background
from pussycache.testing import FakeClock

PATIENCE = 60
METHOD = f"{__name__}.Users.get"


class Users:
    def __init__(self) -> None:
        self.act: Callable[[], object] = lambda: None
        self.result: Any = None

    def get(self, user_id: Any) -> Any:
        self.act()
        return self.result or f"user {user_id}"

    def get_many(self, ids: Iterable[int]) -> dict[int, str]:
        return {user_id: f"user {user_id}" for user_id in ids}

    async def fetch(self, user_id: int) -> str:
        self.act()
        return f"user {user_id}"

    def rename(self, user_id: int) -> None:
        pass


class Heard:
    """A hook that remembers what it was told."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self.came = threading.Event()

    def __call__(self, event: Any) -> None:
        self.all.append(event)
        self.came.set()

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.all if type(event) is kind]

    def wait_for(self, kind: type) -> Any:
        while not self.of(kind):
            assert self.came.wait(PATIENCE), f"no {kind.__name__}"
            self.came.clear()
        return self.of(kind)[0]


def all_told() -> None:
    """Wait until nothing goes on in the background: it has something to tell at its end."""
    while background._under_way:
        time.sleep(0.001)


@pytest.fixture
def heard() -> Iterator[Heard]:
    hook = Heard()
    with events.subscribe(hook):
        yield hook
    assert not hooks.active


def wrapped(cache: MemoryCache | None = None, **said: Any) -> Any:
    return pussycache.wrap(
        Users(),
        cache,
        cached_methods={
            "get": Cached(**said),
            "fetch": Cached(**said),
            "get_many": Cached(each="ids", **said),
        },
        invalidate_methods={"rename": [Forget("get", "user_id")]},
    )


# Misses, and why.


def reasons(hook: Heard) -> list[str]:
    return [event.reason for event in hook.of(events.Miss)]


def test_a_miss_says_why(heard: Heard) -> None:
    """The reason is what `explain` would have said of the call a moment before."""
    with FakeClock() as clock:
        cache = MemoryCache(ttl=10, max_entries=2)
        users = wrapped(cache)
        users.get(1)
        clock.advance(11)
        users.get(1)
        users.rename(1)
        users.get(1)
        users.get(2)
        users.get(3)
        users.get(4)
        gone = next(i for i in (1, 2, 3) if pussycache.explain(users.get, i).reason == "evicted")
        users.get(gone)
        with pussycache.writing(users.rename, 7):
            users.get(7)
    assert reasons(heard) == [
        *("never-cached", "expired", "invalidated"),
        *("never-cached",) * 3,
        *("evicted", "bypassed-by-write"),
    ]
    first = heard.of(events.Miss)[0]
    assert (first.method, first.cache, first.arguments) == (METHOD, "MemoryCache", (1,))


def test_a_miss_of_what_was_not_stored(heard: Heard) -> None:
    """What a policy has rejected, and what has no key, are misses with a reason of their own."""
    users = wrapped(when=lambda result: False)
    users.get(1)
    users.get(1)

    class Odd:
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            return self is other

    with pytest.warns(pussycache.UncacheableCallWarning):
        users.get(Odd())
    assert reasons(heard) == ["never-cached", "not-stored", "uncacheable"]


def test_a_plain_hit_is_no_event(heard: Heard) -> None:
    """Hits are counted and not told of."""
    users = wrapped()
    users.get(1)
    heard.all.clear()
    for _ in range(5):
        users.get(1)
    assert heard.all == []
    assert pussycache.info(users.get).hits == 5


def test_a_caller_that_waits_has_missed_too(heard: Heard) -> None:
    """Two callers of one load are two misses and one load."""
    users = wrapped()
    inside, go = threading.Event(), threading.Event()
    users._proxied.act = lambda: (inside.set(), go.wait(PATIENCE))
    callers = [threading.Thread(target=users.get, args=(1,)) for _ in range(2)]
    callers[0].start()
    assert inside.wait(PATIENCE)
    callers[1].start()
    while len(heard.of(events.Miss)) < 2:
        pass
    go.set()
    for caller in callers:
        caller.join(PATIENCE)
    assert len(heard.of(events.LoadBegun)) == len(heard.of(events.LoadEnded)) == 1


def test_each_id_of_a_batch_is_a_miss(heard: Heard) -> None:
    """A call for many ids misses once for each that is not remembered, and loads them in one."""
    users = wrapped()
    users.get_many([1, 2])
    users.get_many([1, 2, 3])
    assert len(heard.of(events.Miss)) == 3
    assert [event.ids for event in heard.of(events.LoadEnded)] == [2, 1]


# Loads.


def test_a_load_begins_and_ends(heard: Heard) -> None:
    """A load is told of twice; its end says which one it was, how long, and what it raised."""
    with FakeClock() as clock:
        users = wrapped()
        users._proxied.act = lambda: clock.advance(2.5)
        users.get(1)

        def fail() -> None:
            raise KeyError("gone")

        users._proxied.act = fail
        with pytest.raises(KeyError):
            users.get(2)
    (good, bad) = heard.of(events.LoadEnded)
    assert [good.begun, bad.begun] == heard.of(events.LoadBegun)
    assert (good.method, good.seconds, good.error) == (METHOD, 2.5, None)
    assert isinstance(bad.error, KeyError)
    assert bad.begun.arguments == (2,)


def test_an_awaited_load(heard: Heard) -> None:
    """A load of a coroutine method is told of in its task, also when it is cancelled."""
    users = wrapped()

    async def main() -> None:
        await users.fetch(1)
        never = asyncio.Event()
        users._proxied.fetch = lambda user_id: never.wait()
        task = asyncio.create_task(users.fetch(2))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    good, cancelled = heard.of(events.LoadEnded)
    assert good.error is None
    assert isinstance(cancelled.error, asyncio.CancelledError)


def test_without_caching_there_is_nothing_to_tell(heard: Heard) -> None:
    """While caching is switched off, calls are neither misses nor loads."""
    users = wrapped()
    with pussycache.disabled():
        users.get(1)
    assert heard.all == []


# What is made wrong, thrown out, old or wrong.


def test_an_invalidation_says_who_wrote(heard: Heard) -> None:
    """A write is told of once a method, with the writer and the call."""
    users = wrapped()
    users.get(1)
    users.rename(1)
    pussycache.forget(users.get, 1)
    pussycache.forget_all(users.get)
    told = heard.of(events.Invalidated)
    assert [event.writer for event in told] == ["Users.rename", "forget_all"]
    assert told[0].method == METHOD
    assert told[0].by.startswith("rename(user_id=1) in process")


@pytest.mark.parametrize(
    ("cache", "reason"),
    [
        (lambda: MemoryCache(max_entries=2), "max_entries"),
        (lambda: MemoryCache(max_bytes=20, weigh=lambda key, value: 10), "max_bytes"),
    ],
    ids=["entries", "bytes"],
)
def test_an_eviction_says_which_bound(
    heard: Heard, cache: Callable[[], MemoryCache], reason: str
) -> None:
    """Each entry that makes room is told of with the bound that was reached."""
    users = wrapped(cache())
    for user_id in range(300):
        users.get(user_id)
    told = heard.of(events.Evicted)
    assert [event.reason for event in told] == [reason] * 298
    assert pussycache.info(users).evicted == {reason: 298}


def test_an_expiry_is_told_of_when_it_is_found(heard: Heard) -> None:
    """An entry past its time is told of once, when it is replaced or taken out."""
    with FakeClock() as clock:
        cache = MemoryCache(ttl=10)
        users = wrapped(cache)
        users.get(1)
        users.get(2)
        clock.advance(11)
        users.get(1)
        len(cache)
    assert [event.reason for event in heard.of(events.Evicted)] == ["expired", "expired"]


def test_old_values_and_refreshes(heard: Heard) -> None:
    """An old value that is served, and the load that renews it in the background, are told of."""
    with FakeClock() as clock:
        users = wrapped(MemoryCache(ttl=10), stale_for=100)
        users.get(1)
        clock.advance(11)
        users.get(1)
        assert heard.wait_for(events.Refreshed).error is None
    assert [(event.reason, event.calls) for event in heard.of(events.Stale)] == [("aged", 1)]
    assert len(heard.of(events.LoadEnded)) == 2


def test_a_refresh_that_fails(heard: Heard, caplog: pytest.LogCaptureFixture) -> None:
    """A refresh that raises is told of with its error."""

    def fail() -> None:
        raise KeyError("gone")

    with FakeClock() as clock:
        users = wrapped(MemoryCache(ttl=10), stale_for=100)
        users.get(1)
        users._proxied.act = fail
        clock.advance(11)
        users.get(1)
        assert isinstance(heard.wait_for(events.Refreshed).error, KeyError)


def test_a_load_that_fails_is_stood_in_for(heard: Heard) -> None:
    """An old value in the place of an error is told of as such."""

    def fail() -> None:
        raise KeyError("gone")

    with FakeClock() as clock:
        users = wrapped(MemoryCache(ttl=10), stale_if_error=100)
        users.get(1)
        users._proxied.act = fail
        clock.advance(11)
        users.get(1)
    assert [event.reason for event in heard.of(events.Stale)] == ["load-failed"]
    assert reasons(heard) == ["never-cached", "expired"]


def test_a_caller_that_waits_no_longer(heard: Heard) -> None:
    """A caller whose timeout is over is told of."""
    users = wrapped(timeout=0.01)
    go = threading.Event()
    users._proxied.act = lambda: go.wait(PATIENCE)
    with pytest.raises(pussycache.LoadTimeout):
        users.get(1)
    go.set()
    assert heard.of(events.TimedOut) == [events.TimedOut(METHOD, "MemoryCache")]
    heard.wait_for(events.LoadEnded)


def test_a_disagreement(heard: Heard) -> None:
    """A remembered value that turns out to be wrong is told of with its age."""
    with FakeClock() as clock:
        users = wrapped(MemoryCache(ttl=100), verify=1.0)
        users.get(1)
        clock.advance(5)
        users._proxied.result = "somebody else"
        users.get(1)
        told = heard.wait_for(events.Disagreement)
        all_told()
    assert (told.method, told.age, told.writes) == (METHOD, 5.0, 0)


# What hooks cannot break.


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), asyncio.CancelledError()])
def test_a_hook_that_raises(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    """What a hook raises is logged, once for each kind of error, and reaches no caller."""
    heard = Heard()

    def fail(event: Any) -> None:
        raise error

    users = wrapped()
    with events.subscribe(fail), events.subscribe(heard):
        assert users.get(1) == "user 1"
        users.rename(1)
        assert users.get(1) == "user 1"
    assert len(heard.all) > 4
    (record,) = [record for record in caplog.records if record.name == "pussycache"]
    assert record.levelno == logging.ERROR
    assert "logged once" in record.getMessage()


def test_each_kind_of_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A hook that fails in another way is logged again."""
    errors = iter([ValueError(), ValueError(), KeyError(), ValueError()] + [None] * 9)

    def fail(event: Any) -> None:
        error = next(errors)
        if error is not None:
            raise error

    users = wrapped()
    with events.subscribe(fail, events.Miss):
        for user_id in range(5):
            users.get(user_id)
    assert len(caplog.records) == 2


def test_a_hook_that_calls_the_cache() -> None:
    """A hook may call cached methods, and write; what that brings about is not told."""
    told: list[str] = []
    users = wrapped(MemoryCache(max_entries=3))

    def again(event: Any) -> None:
        told.append(type(event).__name__)
        users.get(len(told))
        users.rename(len(told))
        users.get_many([1, 2])

    with events.subscribe(again):
        users.get(100)
        users.rename(100)
    assert [name for name in told if name != "Evicted"] == [
        *("Miss", "LoadBegun", "LoadEnded", "Invalidated"),
    ]


def test_a_hook_that_makes_the_very_call() -> None:
    """A hook may make the call that it is told of, also in the midst of its load."""
    users = wrapped()
    got: list[str] = []

    async def main() -> None:
        await users.fetch(1)

    kinds = events.LoadBegun, events.LoadEnded, events.Invalidated
    with events.subscribe(lambda event: got.append(users.get(1)), *kinds):
        users.get(1)
        users.rename(1)
        users.get(1)
        asyncio.run(main())
        users.get_many([1])
    assert got == ["user 1"] * 9


def test_what_a_hook_begins_in_the_background_is_not_told() -> None:
    """A refresh that a hook's call has begun is not told of, in whatever thread it runs."""
    with FakeClock() as clock:
        users = wrapped(MemoryCache(ttl=10), stale_for=100)
        users.get(1)
        clock.advance(11)
        heard = Heard()

        def call(event: Any) -> None:
            heard(event)
            users.get(1)

        with events.subscribe(call):
            users.get(2)
            while pussycache.info(users.get).refreshes < 1:
                pass
    assert {type(event) for event in heard.all} == {
        *(events.Miss, events.LoadBegun, events.LoadEnded)
    }


def everything(users: Any, clock: FakeClock) -> None:
    users.get(1)
    users.get(2)
    users.get(3)
    users.get(4)
    users.rename(3)
    pussycache.forget_all(users)
    users.get(1)
    clock.advance(11)
    users.get(1)
    users.get_many([1, 2, 3, 4, 5])
    asyncio.run(users.fetch(1))
    clock.advance(1000)
    users.get(1)
    pussycache.cache_of(users).clear()


def test_no_lock_is_held_while_a_hook_runs() -> None:
    """From inside of any hook, another thread can use the cache, and write."""
    with FakeClock() as clock:
        users = wrapped(MemoryCache(ttl=10, max_entries=3), stale_for=100)
        told: set[type] = set()

        def elsewhere(event: Any) -> None:
            told.add(type(event))

            def work() -> None:
                users.get(50)
                users.rename(50)
                pussycache.info(users)

            other = threading.Thread(target=work, daemon=True)
            # In a context of its own, as a thread of the program's is: it is told of.
            busy.append(other)
            other.start()
            other.join(PATIENCE)
            if other.is_alive():
                stuck.append(event)

        def once(event: Any) -> None:
            if threading.current_thread() not in busy:
                elsewhere(event)

        busy: list[threading.Thread] = []
        stuck: list[Any] = []
        with events.subscribe(once):
            everything(users, clock)
            all_told()
    assert not stuck
    assert told >= {
        *(events.Miss, events.LoadBegun, events.LoadEnded, events.Invalidated),
        *(events.Evicted, events.Stale),
    }


def test_what_is_freed_is_not_told() -> None:
    """An object that is freed tells nobody: that may be in the midst of anything."""
    heard = Heard()
    users = wrapped()
    users.get(1)
    with events.subscribe(heard):
        del users
        gc.collect()
    assert heard.all == []


# Subscribing.


def test_a_subscription_ends() -> None:
    """A hook is told nothing more when its subscription is called, or its block is left."""
    heard = Heard()
    users = wrapped()
    stop = events.subscribe(heard)
    users.get(1)
    stop()
    stop()
    users.get(2)
    with events.subscribe(heard):
        pass
    users.get(3)
    assert [event.arguments for event in heard.of(events.Miss)] == [(1,)]


def test_a_hook_may_be_there_twice() -> None:
    """A hook that was subscribed twice is told twice, and ended one at a time."""
    heard = Heard()
    users = wrapped()
    with events.subscribe(heard, events.Miss):
        with events.subscribe(heard, events.Miss):
            users.get(1)
        users.get(2)
    assert [event.arguments for event in heard.all] == [(1,), (1,), (2,)]


def test_a_hook_may_end_itself() -> None:
    """A hook that ends its own subscription is told nothing more, and others are."""
    heard, others = Heard(), Heard()
    users = wrapped()

    def first(event: Any) -> None:
        heard(event)
        stop()

    stop = events.subscribe(first)
    with events.subscribe(others):
        users.get(1)
    assert len(heard.all) == 1
    assert len(others.all) == 3


def test_only_what_was_asked_for() -> None:
    """A hook that names kinds of events is told of those alone, and hears of loads nevertheless."""
    heard = Heard()
    users = wrapped()
    with events.subscribe(heard, events.LoadEnded, events.Invalidated):
        users.get(1)
        users.rename(1)
    assert [type(event) for event in heard.all] == [events.LoadEnded, events.Invalidated]


async def awaited(event: Any) -> None:
    pass


@pytest.mark.parametrize(
    ("hook", "kinds", "message"),
    [
        (None, (), "hook must be a callable"),
        (awaited, (), "hooks are not awaited"),
        (print, ("Miss",), "kinds must be kinds of events"),
        (print, (str,), "kinds must be kinds of events"),
    ],
    ids=["none", "coroutine", "a name", "another type"],
)
def test_what_cannot_be_a_hook(hook: Any, kinds: tuple[Any, ...], message: str) -> None:
    """A hook that cannot be called, and a kind that is none, are refused; nothing is subscribed."""
    with pytest.raises(ConfigurationError, match=message):
        events.subscribe(hook, *kinds)
    assert not hooks.active
