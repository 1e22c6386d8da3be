"""explain over a server: why a call would miss, and which call of which process is to blame."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from patience import BRIEF
from servers import RunningServer

import pussycache
from pussycache import Cached, Explanation, Forget, ForgetTag, MemoryCache, RedisCache


class Users:
    def __init__(self, hold: Callable[[], object] = bool) -> None:
        self.hold = hold

    def __cache_identity__(self) -> str:
        return "users"

    def get(self, user_id: object) -> object:
        self.hold()
        return "ada"

    def odd(self, user_id: object) -> object:
        return object()

    def rename(self, user_id: int, name: str = "") -> None:
        pass

    async def arename(self, user_id: int) -> None:
        pass

    def reset(self, secret: str) -> None:
        pass


Make = Callable[..., Users]


@pytest.fixture
def make(running: RunningServer) -> Iterator[Make]:
    """Make what another process would have: a cache and a wrapped object of its own."""
    caches = []

    def process(
        policy: Cached | None = None, hold: Callable[[], object] = bool, **settings: object
    ) -> Users:
        cache = RedisCache(**{"url": running.unix_url, **settings})
        caches.append(cache)
        return pussycache.wrap(
            Users(hold),
            cache,
            cached_methods={"get": policy or Cached(), "odd": Cached()},
            invalidate_methods={
                "rename": [Forget("get", "user_id")],
                "arename": [Forget("get", "user_id")],
                "reset": ["get"],
            },
        )

    yield process
    for cache in caches:
        cache.close()


def why(users: Users, user_id: object = 7) -> Explanation:
    return pussycache.explain(users.get, user_id)


HERE = f"{socket.gethostname()}:{os.getpid()}"

WRITER = """
import sys, threading
import pussycache
from pussycache import Forget, RedisCache

class Users:
    def __cache_identity__(self):
        return "users"
    def get(self, user_id):
        pass
    def rename(self, user_id, name=""):
        pass
Users.__module__, Users.__qualname__ = sys.argv[2], "Users"

users = pussycache.wrap(
    Users(), RedisCache(url=sys.argv[1], timeout=20), invalidate_methods={"rename": ["get"]}
)
thread = threading.Thread(target=users.rename, args=(7, "grace"), name="a worker")
thread.start()
thread.join()
"""


def test_a_write_of_another_process_is_named(make: Make, running: RunningServer) -> None:
    """Who asks why is told the call, the arguments, the thread, the process and the time."""
    users = make()
    users.get(7)
    before = datetime.now(UTC)
    process = subprocess.Popen([sys.executable, "-c", WRITER, running.unix_url, __name__])
    assert process.wait(60) == 0
    said = why(users)
    assert (said.hit, said.reason) == (False, "invalidated")
    host = socket.gethostname()
    assert said.process == f"{host}:{process.pid}"
    assert said.by == f"rename(user_id=7, name='grace') in process {host}:{process.pid}"
    assert (said.thread, said.task) == ("a worker", None)
    assert said.when is not None
    about = timedelta(seconds=0.1)
    assert before - about <= said.when <= datetime.now(UTC) + about
    assert str(said).endswith(", thread a worker")
    assert "\n" not in str(said)


@pytest.mark.parametrize("coherence", ["poll", "listener", "strict"])
def test_with_a_local_tier(make: Make, coherence: str, until) -> None:
    """Also who keeps entries in his own memory is told what the server knows."""
    users, others = make(local=MemoryCache(), coherence=coherence), make()
    assert why(users).reason == "never-cached"
    users.get(7), users.get(7)
    assert why(users).hit
    others.rename(7)
    assert str(why(users).by).startswith("rename(user_id=7, ")
    # A listener may take a moment to hear of it.
    until(lambda: (users.get(7), why(users).hit)[1], "it was not loaded anew")
    users.rename(7)
    assert str(why(users).by).startswith("rename(user_id=7, ")


def test_the_task_is_named(make: Make) -> None:
    """A write of a task says which, also to who asks in a task."""
    users, others = make(), make()
    users.get(7)

    async def main() -> Explanation:
        await asyncio.create_task(others.arename(7), name="the renaming")
        return await pussycache.aexplain(users.get, 7)

    said = asyncio.run(main())
    assert (said.task, said.thread) == ("the renaming", "MainThread")
    assert said.process == HERE


def test_the_last_write_of_that_very_argument_is_named(make: Make) -> None:
    """Writes of other arguments, however many, are not taken for the one that made it wrong."""
    users, others = make(), make()
    users.get(7), users.get(8)
    others.rename(7, "grace")
    for other in range(1_000, 1_050):
        others.rename(other, "eve")
    said = why(users)
    # It is told in one of 64 places; where another has taken that, nobody is named.
    assert said.by in (None, f"rename(user_id=7, name='grace') in process {HERE}")
    others.rename(8, "grace")
    assert str(why(users, 8).by).startswith("rename(user_id=8")
    # Times are told in milliseconds: the next one is another.
    time.sleep(0.005)
    others.reset("s")
    assert str(why(users).by).startswith("reset(")
    assert str(why(users, 8).by).startswith("reset(")


def test_what_is_told_of_a_write_is_short(make: Make, running: RunningServer) -> None:
    """However long the arguments, and however many writes, little is kept in the server."""
    users = make()
    users.reset("x" * 100_000)
    for number in range(200):
        users.rename(number, "y" * 100_000)
    keys = running.do("KEYS", "pussycache:c:*")
    assert isinstance(keys, list)
    assert 1 < len(keys) <= 1 + 64
    for key in keys:
        assert running.do("STRLEN", key) < 1_000
        assert 0 < running.do("PTTL", key) <= 7 * 86_400_000


@pytest.mark.parametrize("name", ["x" * 5_000, "a\x1fb", "\udc80", "\n"])
def test_odd_names_of_threads(make: Make, name: str) -> None:
    """A thread of any name can write, and is named as well as can be."""
    users, others = make(), make()
    users.get(7)
    thread = threading.Thread(target=others.rename, args=(7,), name=name)
    thread.start()
    thread.join()
    said = why(users)
    assert said.thread
    assert len(said.thread) <= 60
    assert said.by == f"rename(user_id=7, name='') in process {HERE}"


@pytest.mark.parametrize("told", [b"nonsense", b"", b"\xff" * 50, b"\x1f" * 9])
def test_what_is_told_may_be_nonsense(make: Make, running: RunningServer, told: bytes) -> None:
    """What cannot be read of who wrote is left out."""
    users = make()
    users.get(7)
    users.reset("s")
    for key in running.do("KEYS", "pussycache:c:*"):  # type: ignore[attr-defined]
        running.do("SET", key, told)
    assert (why(users).reason, why(users).by) == ("invalidated", None)


def test_forgotten_by_hand_elsewhere(make: Make) -> None:
    """One call that was forgotten by another process says so."""
    users, others = make(), make()
    users.get(7)
    assert pussycache.forget(others.get, 7)
    assert why(users).reason == "invalidated"
    assert why(users).by == f"forget() in process {HERE}"
    users.get(7)
    assert why(users).hit
    pussycache.forget_all(others.get)
    assert str(why(users).by).startswith("forget_all()")


def test_a_forgotten_tag_is_named(make: Make) -> None:
    """An entry whose tag was forgotten names what forgot it, and not another write."""
    users, others = make(Cached(tags=["all", "user:{user_id}"])), make()
    users.rename(7)
    users.get(7)
    assert why(users).hit
    pussycache.forget_tag(others._cache, "user:7")
    said = why(users)
    assert said.reason == "invalidated"
    assert str(said.by).startswith("forget_tag(tag='user:7')")


def test_never_cached_and_hit(make: Make) -> None:
    """A call that nobody made misses; one that is remembered hits, and says for how long."""
    users = make(Cached(ttl=60))
    assert why(users).reason == "never-cached"
    users.get(7)
    assert why(users).hit
    assert str(why(users)).startswith("Users.get: hit (good for ")
    figures = pussycache.info(users.get)
    assert (figures.misses, figures.loads) == (1, 1)


def test_expired(make: Make, running: RunningServer, until: Callable[..., None]) -> None:
    """A value whose time is over says when that was, to the process that stored it."""
    users, others = make(Cached(ttl=0.05)), make()
    before = datetime.now(UTC)
    users.get(7)
    after = datetime.now(UTC)
    until(lambda: why(users).reason == "expired")
    said = why(users)
    assert said.when is not None
    lasting, about = timedelta(seconds=0.05), timedelta(seconds=0.01)
    assert before - about <= said.when - lasting <= after + about
    assert why(others).reason == "never-cached"
    assert "the server does not tell" in str(why(others))


def test_evicted(make: Make, running: RunningServer) -> None:
    """A value that the server has thrown out before its time says so."""
    users = make(Cached(ttl=60))
    users.get(7)
    for key in running.do("KEYS", "pussycache:e:*"):  # type: ignore[attr-defined]
        running.do("DEL", key)
    assert why(users).reason == "evicted"
    assert "thrown it out" in str(why(users))


def test_not_used_for_long_enough(make: Make, running: RunningServer) -> None:
    """An entry that nobody has used for its idle_ttl has expired, and no write is blamed."""
    users = make(Cached(ttl=60, idle_ttl=50))
    users.rename(7)
    users.get(7)
    for key in running.do("KEYS", "pussycache:u:*"):  # type: ignore[attr-defined]
        running.do("DEL", key)
    assert (why(users).reason, why(users).by) == ("expired", None)
    assert "idle_ttl" in str(why(users))


@pytest.mark.parametrize(
    ("policy", "said"),
    [(Cached(when=lambda user: False), "when"), (Cached(ttl=lambda user: 0), "ttl")],
)
def test_not_stored(make: Make, policy: Cached, said: str) -> None:
    """A result that its policy did not want to keep says why."""
    users = make(policy)
    users.get(7)
    assert why(users).reason == "not-stored"
    assert said in str(why(users).detail)


def test_what_has_no_bytes_is_not_stored(make: Make) -> None:
    """A result that cannot be written says what it is, and the warning points at the call."""
    users = make()
    with pytest.warns(pussycache.UncacheableCallWarning) as caught:
        users.odd(7)
    assert [warning.filename for warning in caught] == [__file__]
    said = pussycache.explain(users.odd, 7)
    assert said.reason == "not-stored"
    assert "object" in str(said.detail)


def test_what_the_server_has_is_refused(make: Make, running: RunningServer) -> None:
    """An entry that is broken says that it is."""
    users = make()
    users.get(7)
    (key,) = running.do("KEYS", "pussycache:e:*")  # type: ignore[misc]
    running.do("APPEND", key, "x")
    assert why(users).reason == "not-stored"
    assert "corrupt" in str(why(users).detail)


def test_overtaken_by_a_write(make: Make, gate, spawn) -> None:
    """A load that was overtaken by what another process has forgotten says so, and by whom."""
    users, others = make(hold=gate.hold), make()
    caller = spawn(users.get, 7)
    gate.reached()
    pussycache.forget(others.get, 7)
    gate.open()
    caller.result()
    said = why(users)
    assert (said.reason, said.detail) == ("bypassed-by-write", "a write has overtaken the load")
    assert str(said.by).startswith("forget()")


def test_overtaken_by_a_write_of_the_method(make: Make, gate, spawn) -> None:
    """A load that a declared write has overtaken was made wrong by it."""
    users, others = make(hold=gate.hold), make()
    caller = spawn(users.get, 7)
    gate.reached()
    others.rename(7)
    gate.open()
    caller.result()
    assert why(users).reason == "invalidated"
    assert str(why(users).by).startswith("rename(user_id=7, ")


def test_a_writer_is_at_work(make: Make) -> None:
    """While a write runs, its own process is told whose it is, another one that there is one."""
    users, others = make(), make()
    users.get(7)
    with pussycache.writing(others.rename, 7):
        assert why(users).reason == "bypassed-by-write"
        said = why(others)
        assert said.reason == "bypassed-by-write"
        assert str(said.by).startswith("rename(user_id=7, ")
        assert said.thread == "MainThread"
    assert str(why(users).by).startswith("rename(user_id=7, ")


def test_uncacheable(make: Make) -> None:
    """A call whose arguments have no key says which; asking neither counts nor warns."""
    users = make()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert why(users, object()).reason == "uncacheable"
    assert "object" in str(why(users, object()).detail)
    assert pussycache.info(users.get).uncacheable == 0


def test_the_server_hangs(make: Make, running: RunningServer, until: Callable[..., None]) -> None:
    """While the server does not answer, that is said, with since when; nothing is raised."""
    users = make(timeout=BRIEF)
    until(lambda: (users.get(7), why(users).hit)[1], "it was not stored")
    before = datetime.now(UTC)
    with running.paused():
        said = why(users)
        assert said.reason == "backend-down"
        assert said.when is not None
        about = timedelta(seconds=0.01)
        assert before - about <= said.when <= datetime.now(UTC) + about
        assert "timed out" in str(said.detail)
        users.rename(7)
        assert "1 invalidations are pending" in str(why(users).detail)
    until(lambda: not users._cache.pending)


def test_the_server_is_gone(make: Make, running: RunningServer) -> None:
    """A server that is gone, and one that never was, are told from each other by when."""
    users, others = make(), make(url="redis://127.0.0.1:1/0")
    users.get(7)
    running.kill()
    before = time.time()
    assert why(users).reason == "backend-down"
    said = why(users)
    assert said.when is not None
    assert said.when.timestamp() >= before - 1
    assert why(others).reason == "backend-down"
    assert "refused" in str(why(others).detail)


def test_decimals_are_named_by_their_type(make: Make) -> None:
    """Of arguments that are no plain values only the type is shown, to other processes, too."""
    users, others = make(), make()
    users.get(Decimal(7))
    others.rename(Decimal(7))  # type: ignore[arg-type]
    assert str(why(users, Decimal(7)).by).startswith("rename(user_id=<Decimal>, name='')")


def test_a_tag_that_a_method_forgets(running: RunningServer) -> None:
    """Where a declared method forgets a tag, that call is named."""
    cache = RedisCache(url=running.unix_url)
    users = pussycache.wrap(
        Users(),
        cache,
        cached_methods={"get": Cached(tags=["user:{user_id}"])},
        invalidate_methods={"rename": [ForgetTag("user:{user_id}")]},
    )
    users.get(7)
    users.rename(7)
    assert str(why(users).by).startswith("rename(user_id=7")
    cache.close()
