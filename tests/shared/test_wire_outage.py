"""Servers that hang, are killed, come back, or will not have us."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from patience import BRIEF
from servers import PATIENCE, RunningServer, eventually

from pussycache import ConfigurationError
from pussycache.cache.wire import Address, Repeating, Server, Unreachable


class Hand:
    """A clock."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def server(running: RunningServer, clock: Hand) -> Iterator[Server]:
    server = Server(Address.parse(running.url), clock=clock)
    yield server
    server.close()


@pytest.fixture
def hasty(running: RunningServer, clock: Hand) -> Iterator[Server]:
    """One that soon takes a server for hung: also one that is only slow."""
    server = Server(Address.parse(running.url), timeout=BRIEF, clock=clock)
    yield server
    server.close()


@pytest.fixture(params=["threads", "tasks"])
def ask(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Asks one thing in a thread, or in a task of a loop that lives on."""
    if request.param == "threads":
        yield lambda server, *args, **options: server.ask_one(*args, **options)[0]
        return
    with asyncio.Runner() as runner:

        def ask(server: Server, *args: Any, **options: Any) -> Any:
            return runner.run(server.aask_one(*args, **options))[0]

        yield ask


def reason(ask: Callable[..., Any], server: Server, *args: Any, **options: Any) -> str:
    with pytest.raises(Unreachable) as caught:
        ask(server, *args, **options)
    return caught.value.reason


def first_reply(ask: Callable[..., Any], server: Server, *command: Any) -> Any:
    """Ask until the server answers, and return what it says first."""
    replies = []

    def answers() -> bool:
        with suppress(Unreachable):
            replies.append(ask(server, None, *command, repeatable=True))
        return replies != []

    eventually(answers, "a server that is asked again")
    return replies[0]


def test_hung(ask: Callable[..., Any], hasty: Server, running: RunningServer) -> None:
    """The first call to a hung server times out, later ones do not wait, until it answers again."""
    assert first_reply(ask, hasty, b"PING") == b"PONG"
    with running.paused():
        with pytest.raises(Unreachable) as caught:
            ask(hasty, b"k", b"SET", b"k", b"v")
        assert caught.value.reason == "timed out"
        assert caught.value.sent
        for _ in range(100):
            assert reason(ask, hasty, None, b"PING") == "waiting"
    assert first_reply(ask, hasty, b"ECHO", b"x") == b"x"


def test_hung_from_the_start(
    ask: Callable[..., Any], hasty: Server, running: RunningServer
) -> None:
    """A server that accepts connections and says nothing is a hung one."""
    with running.paused():
        assert reason(ask, hasty, None, b"PING") == "timed out"
        assert reason(ask, hasty, None, b"PING") == "waiting"
    assert first_reply(ask, hasty, b"PING") == b"PONG"


def test_threads_and_tasks_know_alike(hasty: Server, running: RunningServer) -> None:
    """What a thread has found out, tasks need not find out, and the other way round."""
    with running.paused():
        with pytest.raises(Unreachable, match="timed out"):
            hasty.ask_one(None, b"PING")
        with pytest.raises(Unreachable, match="waiting"):
            asyncio.run(hasty.aask_one(None, b"PING"))


def test_late_reply(ask: Callable[..., Any], hasty: Server, running: RunningServer) -> None:
    """The reply to a call that timed out is never taken for the reply to a later one."""
    assert first_reply(ask, hasty, b"ECHO", b"one") == b"one"
    with running.paused():
        assert reason(ask, hasty, None, b"ECHO", b"late") == "timed out"
    assert first_reply(ask, hasty, b"ECHO", b"two") == b"two"


def test_killed(
    ask: Callable[..., Any], server: Server, running: RunningServer, clock: Hand
) -> None:
    """A refusal is believed for 20 ms: then the next call tries, and finds the server if it is."""
    assert ask(server, None, b"PING") == b"PONG"
    running.kill()
    assert reason(ask, server, None, b"PING", repeatable=True) == "refused"
    assert reason(ask, server, None, b"PING", repeatable=True) == "waiting"
    clock.now = 0.02
    assert reason(ask, server, None, b"PING") == "refused"
    running.start()
    assert reason(ask, server, None, b"PING") == "waiting"
    clock.now = 0.04
    assert ask(server, None, b"PING") == b"PONG"
    assert ask(server, None, b"PING") == b"PONG"


def test_killed_while_hung(
    ask: Callable[..., Any], hasty: Server, running: RunningServer, clock: Hand
) -> None:
    """A hung server that is killed counts as refusing, so that its return is seen at once."""
    with running.paused():
        assert reason(ask, hasty, None, b"PING") == "timed out"
        running.kill()
        running.start()
        running.pause()
        running.kill()
    eventually(lambda: not hasty._find(None).is_open, "a closed breaker")  # type: ignore[union-attr]
    running.start()

    def answers() -> bool:
        clock.now += 1
        with suppress(Unreachable):
            return bool(ask(hasty, None, b"PING") == b"PONG")
        return False

    eventually(answers, "a server that is asked again")


@pytest.mark.parametrize("repeatable", [True, False])
def test_restarted(
    ask: Callable[..., Any], server: Server, running: RunningServer, repeatable: bool
) -> None:
    """A server that was restarted in between is not noticed: each call is carried out once."""
    ask(server, b"n", b"INCR", b"n")
    before = server.describe().replication_id
    running.restart()
    assert ask(server, b"n", b"INCR", b"n", repeatable=repeatable) == 1
    assert server.describe().replication_id != before


def test_confirmed_in_threads(server: Server, running: RunningServer, clock: Hand) -> None:
    """A connection that outlives what its server was is not believed for more than a second."""
    before = server.describe().replication_id
    running.do("REPLICAOF", "127.0.0.1", "1")
    running.do("REPLICAOF", "NO", "ONE")
    now = running.do("INFO")["master_replid"].encode()
    assert now != before
    clock.now = 1.1
    assert server.describe().replication_id == now


def test_confirmed_in_tasks(running: RunningServer, clock: Hand) -> None:
    """Tasks that share a connection learn together that its server is no longer what it was."""
    server = Server(Address.parse(running.url), clock=clock)

    async def main() -> None:
        first = (await server.aask_one(None, b"CLIENT", b"ID"))[0]
        clock.now += 1.1
        again = await asyncio.gather(
            *[server.aask_one(None, b"CLIENT", b"ID", repeatable=True) for _ in range(9)]
        )
        assert {reply for reply, _ in again} == {first}
        running.do("REPLICAOF", "127.0.0.1", "1")
        running.do("REPLICAOF", "NO", "ONE")
        now = running.do("INFO")["master_replid"].encode()
        clock.now += 1.1
        with pytest.raises(Unreachable, match="no longer the same primary"):
            await server.aask_one(None, b"PING")
        again = await asyncio.gather(
            *[server.aask_one(None, b"CLIENT", b"ID", repeatable=True) for _ in range(9)]
        )
        assert first not in {reply for reply, _ in again}
        assert {facts.replication_id for _, facts in again} == {now}
        await server.aclose()

    asyncio.run(main())


def test_replica(ask: Callable[..., Any], server: Server, running: RunningServer) -> None:
    """A replica is not asked for anything: it may be behind its primary."""
    running.do("REPLICAOF", "127.0.0.1", "1")
    try:
        assert reason(ask, server, b"k", b"GET", b"k") == "read-only"
    finally:
        running.do("REPLICAOF", "NO", "ONE")


def test_becomes_a_replica(
    ask: Callable[..., Any], server: Server, running: RunningServer, clock: Hand
) -> None:
    """A primary that has become a replica is noticed by the next write, and a second later."""
    ask(server, b"k", b"SET", b"k", b"v")
    running.do("REPLICAOF", "127.0.0.1", "1")
    try:
        assert reason(ask, server, b"k", b"SET", b"k", b"w") == "read-only"
        clock.now = 0.1
        assert reason(ask, server, b"k", b"GET", b"k") == "read-only"
    finally:
        running.do("REPLICAOF", "NO", "ONE")
    clock.now = 0.2
    assert ask(server, b"k", b"GET", b"k") == b"v"


def test_start_without_a_server(
    ask: Callable[..., Any], running: RunningServer, clock: Hand
) -> None:
    """Nothing is connected before it is asked for, and a missing server is an outage."""
    running.kill()
    server = Server(Address.parse(running.url), clock=clock)
    assert reason(ask, server, None, b"PING") == "refused"
    running.start()
    clock.now = 1
    assert ask(server, None, b"PING") == b"PONG"
    server.close()


def test_no_such_socket(ask: Callable[..., Any]) -> None:
    """A unix socket that is not there is an outage, too."""
    server = Server(Address.parse("unix:///no/such/socket"))
    assert reason(ask, server, None, b"PING") == "refused"
    server.close()


def test_loading(ask: Callable[..., Any]) -> None:
    """A server that is still reading its data, or runs a long script, is not there yet."""
    for error in ["LOADING Redis is loading the dataset", "BUSY Redis is busy", "MASTERDOWN no"]:
        with scripted(f"-{error}\r\n".encode()) as url:
            server = Server(Address.parse(url))
            assert reason(ask, server, b"k", b"GET", b"k") == "loading"
            server.close()


HELLO = b"*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$%d\r\n%b\r\n"


def test_old_server(ask: Callable[..., Any]) -> None:
    """A server that is too old is refused at first use, with its version and what is needed."""
    for version in (b"6.2.14", b"5.0"):
        hello = HELLO % (len(version), version)
        with scripted(b"+OK\r\n", hello) as url:
            server = Server(Address.parse(url))
            with pytest.raises(ConfigurationError) as caught:
                ask(server, b"k", b"GET", b"k")
            assert f"Redis {version.decode()}" in str(caught.value)
            assert "Redis 7.0 or Valkey 7.2 is needed" in str(caught.value)
            server.close()


def test_very_old_server(ask: Callable[..., Any]) -> None:
    """So is one that does not even know how to be greeted."""
    with scripted(b"+OK\r\n", b"-ERR unknown command `HELLO`\r\n") as url:
        server = Server(Address.parse(url))
        with pytest.raises(ConfigurationError, match=r"older than 6.0.*Valkey 7.2 is needed"):
            ask(server, b"k", b"GET", b"k")
        server.close()


def test_full_server(ask: Callable[..., Any]) -> None:
    """A server that has no room for us is an outage."""
    with scripted(b"", b"-ERR max number of clients reached\r\n") as url:
        server = Server(Address.parse(url))
        assert reason(ask, server, b"k", b"GET", b"k") == "busy"
        server.close()


def test_nonsense(ask: Callable[..., Any]) -> None:
    """A server that speaks another language is an outage, and that connection is not used again."""
    with scripted(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
        server = Server(Address.parse(url))
        for _ in range(2):
            assert reason(ask, server, b"k", b"GET", b"k") == "closed"
        server.close()


INFO = b"$4\r\na:b\n\r\n"


@contextmanager
def scripted(reply: bytes, hello: bytes = HELLO % (5, b"7.0.0")) -> Iterator[str]:
    """A server that answers a greeting with `hello`, and everything else with `reply`."""
    listener = socket.create_server(("127.0.0.1", 0))
    held = []

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            held.append(sock)
            threading.Thread(target=talk, args=(sock,), daemon=True).start()

    def talk(sock: socket.socket) -> None:
        with sock:
            while data := sock.recv(65536):
                sock.sendall(hello + INFO if b"HELLO" in data else reply)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        # close() alone does not wake a thread that accepts
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(60)


def test_interrupted_caller(server: Server, running: RunningServer) -> None:
    """A connection whose caller was interrupted half-way is not used again."""
    first = server.ask_one(None, b"CLIENT", b"ID")[0]
    node: Any = server._find(None)
    link = node._pool.free[-1]

    class Interrupted(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    link._into = interrupt
    with pytest.raises(Interrupted):
        server.ask_one(None, b"ECHO", b"lost", repeatable=True)
    assert server.ask_one(None, b"CLIENT", b"ID")[0] != first


def test_repeating() -> None:
    """What is repeated is attempted until it has succeeded, and then again when it is started."""
    left = [False, False, True, False, True]

    repeating = Repeating(lambda: left.pop(0), 0.001, "test")
    for still in (2, 0):
        repeating.start()
        eventually(lambda: repeating._thread is None, "a thread that has ended")
        assert len(left) == still
    repeating.close()
    repeating.start()
    assert repeating._thread is None


def test_repeating_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """If no thread is to be had, whoever starts it is told, and the next one starts it."""
    done = threading.Event()
    repeating = Repeating(lambda: done.set() or True, 0.001, "test")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", _no_thread)
        with pytest.raises(RuntimeError, match="new thread"):
            repeating.start()
    repeating.start()
    assert done.wait(PATIENCE)
    repeating.close()


def _no_thread(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_nobody_can_probe(running: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that hung is asked by the next call, if no thread was to be had that probes it."""
    server = Server(Address.parse(running.url), timeout=BRIEF)

    def answers() -> bool:
        with suppress(Unreachable):
            return bool(server.ask_one(None, b"PING")[0] == b"PONG")
        return False

    eventually(answers, "an answer")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", _no_thread)
        with running.paused(), pytest.raises(Unreachable, match="timed out"):
            server.ask_one(None, b"PING")
    eventually(answers, "an answer to somebody who was not told to wait")
    server.close()


def test_repeating_is_started_while_it_runs() -> None:
    """Who starts it during an attempt is not taken for one whom that attempt has answered."""
    began, go_on = threading.Semaphore(0), threading.Semaphore(0)

    def attempt() -> bool:
        began.release()
        return go_on.acquire(timeout=PATIENCE)

    repeating = Repeating(attempt, 0.001, "test")
    repeating.start()
    assert began.acquire(timeout=PATIENCE)
    for _ in range(2):
        repeating.start()
    go_on.release()
    assert began.acquire(timeout=PATIENCE), "it was not attempted again"
    go_on.release()
    eventually(lambda: repeating._thread is None, "a thread that has ended")
    assert not began.acquire(blocking=False)


def test_a_server_that_hangs_again_is_probed_again(running: RunningServer) -> None:
    """A call that times out just when a probe has succeeded does not leave the server unasked."""
    server = Server(Address.parse(running.url))
    node: Any = server._find(None)
    answered = node._answered

    def and_hangs_again() -> None:
        answered()
        node._answered = answered
        node.noted(Unreachable("timed out", "just now"))

    server.ask_one(None, b"PING")
    node._answered = and_hangs_again
    node.noted(Unreachable("timed out", "before"))
    eventually(lambda: node._answered is answered and not node.is_open, "a closed breaker")
    server.close()
