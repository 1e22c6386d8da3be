"""Processes that are killed with SIGKILL in the midst of what they do, and those that are left."""

import multiprocessing
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dying import FENCE_MS, Shelf, load_and_die, wrapped, write_and_die
from servers import RunningServer

import pussycache

PLACES = [
    "before the fence",
    "after the fence",
    "before the effect",
    "after the effect",
    "before the new generation",
    "after the new generation",
]


def killed(target, *given: str) -> None:
    process = multiprocessing.get_context("spawn").Process(target=target, args=given)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "price"
    file.write_text("1")
    return str(file)


@pytest.fixture
def left(running: RunningServer, path: str) -> Iterator[Shelf]:
    """What a process that goes on has."""
    shelf = wrapped(running.unix_url, path)
    yield shelf
    shelf._cache.close()


@pytest.mark.parametrize(
    ("place", "method"),
    [*((place, "set_price") for place in PLACES), ("after the effect", "set_all")],
)
def test_a_writer_that_is_killed(
    running: RunningServer, path: str, left: Shelf, place: str, method: str, until
) -> None:
    """Wherever a writer is killed, what the others are answered is never older than its effect."""
    assert (left.price("tea"), left.price("tea")) == (1, 1)
    killed(write_and_die, running.unix_url, path, method, place)
    now = int(Path(path).read_text())
    # While its fence stands, and after it has lapsed.
    end = time.monotonic() + 2 * FENCE_MS / 1000
    while time.monotonic() < end:
        assert left.price("tea") == now
    assert now == (1 if place in PLACES[:3] else 2)
    until(lambda: (left.price("tea"), pussycache.peek(left.price, "tea")) == (now, now))
    loads = left._proxied.loads
    assert (left.price("tea"), left.price("tea")) == (now, now)
    assert left._proxied.loads == loads
    assert not running.do("KEYS", "pussycache:l:*")


def test_a_loader_that_is_killed(running: RunningServer, path: str, left: Shelf) -> None:
    """Its lease holds nobody up for ever: another process loads when it has lapsed."""
    killed(load_and_die, running.unix_url, path)
    (lease,) = running.do("KEYS", "pussycache:l:*")  # type: ignore[misc]
    running.do("PEXPIRE", lease, FENCE_MS)
    assert left.price("tea") == 1
    assert (left.price("tea"), left._proxied.loads) == (1, 1)
