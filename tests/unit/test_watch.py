"""What is asked before a local hit: whether anything has arrived on some sockets."""

import math
import socket
from collections.abc import Callable, Iterator

import pytest

from pussycache.cache.shared.watching import PlainWatch, Watch
from pussycache.engine import speed


@pytest.fixture(params=["c", "python"])
def made(request: pytest.FixtureRequest) -> Callable[[], Watch]:
    """The one in C where it was built, and the one in Python."""
    if request.param == "c" and speed.Watch is None:
        pytest.skip("the extension was not built")
    return speed.Watch if request.param == "c" else PlainWatch  # type: ignore[return-value]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    yield one, other
    one.close()
    other.close()


Pair = tuple[socket.socket, socket.socket]


def test_arrivals(made: Callable[[], Watch], pair: Pair) -> None:
    """It is quiet until something arrives, and when that has been read."""
    watch = made()
    watch.until = math.inf
    watch.look_at([pair[0].fileno()])
    assert watch()
    pair[1].send(b"x")
    assert not watch()
    assert not watch()
    pair[0].recv(1)
    assert watch()
    pair[1].close()
    assert not watch()


def test_any_of_several(made: Callable[[], Watch]) -> None:
    """Something on any of its sockets is enough; of others it knows nothing."""
    pairs = [socket.socketpair() for _ in range(4)]
    try:
        watch = made()
        watch.until = math.inf
        watch.look_at([pair[0].fileno() for pair in pairs[:3]])
        pairs[3][1].send(b"x")
        assert watch()
        pairs[2][1].send(b"x")
        assert not watch()
        watch.look_at([pair[0].fileno() for pair in pairs[:2]])
        assert watch()
    finally:
        for one, other in pairs:
            one.close()
            other.close()


def test_nobody(made: Callable[[], Watch], pair: Pair) -> None:
    """With no socket to look at, it is never quiet; nor is it before it was told until when."""
    watch = made()
    assert not watch()
    watch.look_at([pair[0].fileno()])
    assert not watch()
    watch.until = math.inf
    assert watch()
    watch.look_at(())
    assert not watch()


def test_busy_and_late(made: Callable[[], Watch], pair: Pair) -> None:
    """While somebody is reading, and when nobody was heard for long, it is not quiet."""
    watch = made()
    watch.look_at([pair[0].fileno()])
    watch.until = math.inf
    watch.busy = True
    assert not watch()
    watch.busy = False
    assert watch()
    watch.until = 0.0
    assert not watch()


def test_what_is_no_socket(made: Callable[[], Watch]) -> None:
    """Numbers of no socket are an error, and it looks at nothing then."""
    watch = made()
    watch.until = math.inf
    with pytest.raises((OSError, ValueError)):
        watch.look_at([10**6])
    assert not watch()
    with pytest.raises(TypeError):
        watch.look_at(5)  # type: ignore[arg-type]
