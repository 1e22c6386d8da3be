"""Connections that are told things: which keys have changed, and what others have finished."""

import os
import threading
from collections.abc import Iterator
from queue import Queue

import pytest
from patience import BRIEF
from servers import RunningServer, eventually

from pussycache.cache.wire import Address, Listening, Server, Unreachable, Waking


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
def said() -> list[list[bytes] | None]:
    return []


@pytest.fixture
def listening(server: Server, said: list[list[bytes] | None]) -> Iterator[Listening]:
    (node,) = server.nodes()
    listening = server.listen(node, [b"g:", b"h:"], said.append)
    yield listening
    listening.close()


def test_changes(listening: Listening, server: Server, said: list[list[bytes] | None]) -> None:
    """A change under the prefixes advances the number and is told, with its key; another not."""
    start = listening.poll()
    server.ask(None, [(b"SET", b"g:1", 1), (b"SET", b"i:1", 1)])
    assert listening.wait(60) == start + 1
    server.ask(None, [(b"DEL", b"g:1")])
    assert listening.wait(60) == start + 2
    server.ask(None, [(b"SET", b"h:2", 1)])
    assert listening.wait(60) == start + 3
    assert said == [[b"g:1"], [b"g:1"], [b"h:2"]]
    assert listening.poll() == start + 3
    assert not listening.lost


def test_everything(listening: Listening, server: Server, said: list[list[bytes] | None]) -> None:
    """A server that is emptied says that everything may have changed."""
    start = listening.poll()
    server.ask(None, [(b"FLUSHALL",)])
    assert listening.wait(60) == start + 1
    assert said == [None]
    assert not listening.lost


def test_lost(listening: Listening, running: RunningServer, said: list[list[bytes] | None]) -> None:
    """A connection that breaks is lost: the number advances, once, and all may have changed."""
    start = listening.poll()
    running.kill()
    assert listening.wait(60) == start + 1
    assert listening.lost
    assert said == [None]
    assert listening.poll() == start + 1
    assert listening.wait(0) == start + 1


def test_closed(listening: Listening, said: list[list[bytes] | None]) -> None:
    """Closing it counts as losing it."""
    start = listening.poll()
    listening.close()
    listening.close()
    assert listening.poll() == start + 1
    assert said == [None]


def test_silence(
    listening: Listening, running: RunningServer, clock: Hand, said: list[list[bytes] | None]
) -> None:
    """A server that was silent for long is asked for a sign of life, and kept if it gives one."""
    start = listening.poll()
    clock.now = 0.4
    assert listening.poll() == start
    clock.now = 100
    assert listening.poll() == start
    assert listening.poll() == start
    assert not listening.lost
    assert said == []


def test_sign_of_life_is_asked_in_time(
    listening: Listening, server: Server, clock: Hand, running: RunningServer
) -> None:
    """While it is used, the sign of life comes before the silence is too long: nobody waits."""
    start = listening.poll()
    clock.now = 0.6
    listening.poll()  # asks
    assert listening.wait(60) == start  # has the answer
    clock.now = 1.05
    with running.paused():  # it would not answer now
        assert listening.poll() == start
    assert not listening.lost


def test_hung(
    listening: Listening, running: RunningServer, clock: Hand, said: list[list[bytes] | None]
) -> None:
    """A server that is silent for too long, and does not answer, is lost."""
    start = listening.poll()
    listening._timeout = BRIEF
    with running.paused():
        clock.now = 0.6
        assert listening.poll() == start
        clock.now = 1.1
        assert listening.poll() == start + 1
    assert listening.lost
    assert said == [None]


def test_other_primary(listening: Listening, running: RunningServer, clock: Hand) -> None:
    """A server that is no longer the primary that it was is lost with the next sign of life."""
    start = listening.poll()
    running.do("REPLICAOF", "127.0.0.1", "1")
    try:
        clock.now = 2
        assert listening.poll() == start + 1
        assert listening.lost
    finally:
        running.do("REPLICAOF", "NO", "ONE")


def test_polled_by_many(
    listening: Listening, server: Server, said: list[list[bytes] | None]
) -> None:
    """Threads that poll at the same time lose no message and see the number only grow."""
    stop = threading.Event()
    wrong = []

    def poll() -> None:
        last = 0
        while not stop.is_set():
            now = listening.poll()
            if now < last:
                wrong.append((last, now))
            last = now

    threads = [threading.Thread(target=poll) for _ in range(4)]
    for thread in threads:
        thread.start()
    for i in range(500):
        server.ask_one(None, b"SET", b"g:%d" % i, 1)
    eventually(lambda: listening.sequence == 500, "500 messages")
    stop.set()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert said == [[b"g:%d" % i] for i in range(500)]


def test_nobody_overtakes_a_reader(listening: Listening, server: Server) -> None:
    """While one thread makes known what it has read, nobody gets the number from before that."""
    told, go_on = threading.Event(), threading.Event()
    start = listening.poll()

    def slowly(_: object) -> None:
        told.set()
        assert go_on.wait(60)

    listening._changed = slowly
    server.ask_one(None, b"SET", b"g:1", 1)
    server.ask_one(None, b"SET", b"g:2", 1)
    reader = threading.Thread(target=listening.wait, args=(10,))
    reader.start()
    assert told.wait(60)
    got: Queue[int] = Queue()
    other = threading.Thread(target=lambda: got.put(listening.poll()))
    other.start()
    go_on.set()
    reader.join(60)
    other.join(60)
    assert got.get_nowait() == start + 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks do not exist here")
def test_fork(listening: Listening, server: Server) -> None:
    """In a forked child it is lost; in the parent it goes on."""
    start = listening.poll()
    child = os.fork()
    if child == 0:
        os._exit(0 if listening.lost and listening.poll() != start else 1)
    assert os.waitpid(child, 0)[1] == 0
    server.ask_one(None, b"SET", b"g:1", 1)
    assert listening.wait(60) == start + 1
    assert not listening.lost


@pytest.fixture
def heard() -> Queue[bytes | None]:
    return Queue()


@pytest.fixture
def waking(server: Server, heard: Queue[bytes | None]) -> Iterator[Waking]:
    waking = server.waking(b"channel", heard.put)
    yield waking
    waking.close()


def test_woken(waking: Waking, server: Server, heard: Queue[bytes | None]) -> None:
    """What is published once it is started is heard, and nothing of other channels."""
    assert not waking.is_running
    for _ in range(2):
        waking.start()
    assert waking.is_running
    server.ask(None, [(b"PUBLISH", b"other", b"x"), (b"PUBLISH", b"channel", b"one")])
    server.ask_one(None, b"PUBLISH", b"channel", b"two")
    assert [heard.get(timeout=60) for _ in range(2)] == [b"one", b"two"]


def test_waking_breaks(
    waking: Waking, server: Server, running: RunningServer, heard: Queue[bytes | None]
) -> None:
    """When the connection breaks that is told, and it can be started again."""
    waking.start()
    running.do("CLIENT", "KILL", "TYPE", "pubsub")
    assert heard.get(timeout=60) is None
    assert not waking.is_running
    waking.start()
    server.ask_one(None, b"PUBLISH", b"channel", b"again")
    assert heard.get(timeout=60) == b"again"


def test_waking_without_a_server(waking: Waking, running: RunningServer) -> None:
    """Without a server it cannot be started."""
    running.kill()
    with pytest.raises(Unreachable):
        waking.start()
    assert not waking.is_running


def test_waking_closed(waking: Waking) -> None:
    """Once closed it is not started again."""
    waking.start()
    waking.close()
    assert not waking.is_running
    with pytest.raises(Unreachable, match="shut"):
        waking.start()
