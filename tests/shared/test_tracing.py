"""trace over a server: what is said of calls whose entries are shared between processes."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from patience import BRIEF
from servers import RunningServer

import pussycache
from pussycache import Cached, Forget, MemoryCache, RedisCache, trace
from pussycache.cache.wire import Server


class Users:
    def __init__(self, hold: Callable[[], object] = bool) -> None:
        self.hold = hold

    def __cache_identity__(self) -> str:
        return "users"

    def get(self, key: int) -> str:
        self.hold()
        return f"user {key}"

    async def aget(self, key: int) -> str:
        return f"user {key}"

    def many(self, keys: list[int]) -> dict[int, str]:
        return {key: f"user {key}" for key in keys}

    def rename(self, key: int) -> None:
        pass


Make = Callable[..., Users]


@pytest.fixture
def make(running: RunningServer) -> Iterator[Make]:
    """Make what another process would have: a cache and a wrapped object of its own."""
    caches = []

    def process(
        policy: Cached | None = None, hold: Callable[[], object] = bool, **settings: object
    ) -> Users:
        cache = RedisCache(url=running.unix_url, **settings)
        caches.append(cache)
        return pussycache.wrap(
            Users(hold),
            cache,
            cached_methods={
                "get": policy or Cached(),
                "aget": Cached(),
                "many": Cached(each="keys"),
            },
            invalidate_methods={"rename": [Forget("get", "key"), "aget"]},
        )

    yield process
    for cache in caches:
        cache.close()


def test_hits_misses_and_writes(make: Make) -> None:
    """Also over a server a miss says why, a hit is one, and a write says what it forgot."""
    users = make()
    with trace() as t:
        users.get(1), users.get(1), users.rename(1), users.get(1)
    assert [call.outcome for call in t.calls] == ["miss", "hit", "write", "miss"]
    assert [call.reason for call in t.calls] == ["never-cached", None, None, "invalidated"]
    assert t.calls[2].forgot == [("get", "key=1", None), ("aget", None, None)]
    assert str(t.calls[3].why.by).startswith("rename(key=1)")
    figures = pussycache.info(users.get)
    assert (figures.hits, figures.misses, figures.loads) == (1, 2, 2)


def test_a_write_of_another_process(make: Make) -> None:
    """A miss names the write of another process that made it wrong."""
    users, others = make(), make()
    users.get(1)
    others.rename(1)
    with trace() as t:
        users.get(1)
    assert str(t.calls[0].why.by).startswith("rename(key=1)")


def test_a_hit_asks_the_server_as_often_as_without(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A traced hit is one round trip."""
    users = make()
    users.get(1)
    asked = []
    ask = Server.ask

    def counting(*given: object, **more: object) -> object:
        asked.append(given)
        return ask(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Server, "ask", counting)
    with trace() as t:
        users.get(1)
    assert [(call.outcome, call.why) for call in t.calls] == [("hit", None)]
    assert len(asked) == 1


def test_awaited_calls(make: Make) -> None:
    """Awaited calls are recorded, too."""
    users = make()

    async def main() -> list[str]:
        with trace() as t:
            await users.aget(1)
            await users.aget(1)
            users.rename(1)
            await users.aget(1)
        return [call.outcome for call in t.calls]

    assert asyncio.run(main()) == ["miss", "hit", "write", "miss"]


def test_many_ids(make: Make) -> None:
    """Of a call for many ids it is said how many were loaded."""
    users = make()
    users.many([1, 2])
    with trace() as t:
        users.many([1, 2, 3]), users.many([1, 3])
    assert [(call.outcome, call.ids) for call in t.calls] == [("miss", (3, 1)), ("hit", None)]


@pytest.mark.parametrize("coherence", ["poll", "listener", "strict"])
def test_entries_that_are_kept_here_too(make: Make, coherence: str) -> None:
    """With a local tier a hit is one, wherever it was found."""
    users = make(local=MemoryCache(), coherence=coherence)
    users.get(1), users.get(1)
    with trace() as t:
        assert users.get(1) == "user 1"
        users.rename(1)
        assert users.get(1) == "user 1"
    assert [call.outcome for call in t.calls] == ["hit", "write", "miss"]
    assert t.calls[2].reason == "invalidated"


def test_who_waits_for_another_process_has_waited(make: Make, gate, spawn, until) -> None:
    """A call that is given what another process has loaded meanwhile has not loaded."""
    loads, waits = make(hold=gate.hold), make()
    first = spawn(loads.get, 1)
    gate.reached()
    traces = []

    def traced() -> str:
        with trace() as t:
            traces.append(t)
            return waits.get(1)

    second = spawn(traced)
    until(lambda: waits._cache._wakes._waiting)
    gate.open()
    assert first.result() == second.result() == "user 1"
    (call,) = traces[0].calls
    assert (call.outcome, call.load_seconds) == ("waited", None)


def test_an_old_value(make: Make, until) -> None:
    """An old value is told from a fresh one, and the load beside is below the call."""
    users = make(Cached(ttl=0.01, stale_for=60))
    users.get(1)
    until(lambda: pussycache.explain(users.get, 1).when)
    with trace() as t:
        users.get(1)
        until(lambda: [call.outcome for call in t] == ["stale", "refresh"])


def test_the_server_does_not_answer(make: Make, running: RunningServer) -> None:
    """While the server is away a call says that it computed because of that."""
    users = make(timeout=BRIEF)
    with running.paused(), trace() as t:
        assert users.get(1) == "user 1"
    (call,) = t.calls
    assert (call.outcome, call.reason) == ("miss", "backend-down")
