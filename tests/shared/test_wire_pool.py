"""The pool: bounded, the last used first, nobody forgotten."""

import threading

import pytest
from servers import eventually

from pussycache.cache.wire.pool import Pool
from pussycache.cache.wire.unreachable import Unreachable

PATIENCE = 60


class FakeLink:
    closed = False

    def close(self) -> None:
        self.closed = True


def test_last_used_first() -> None:
    """The link that was given back last is taken first, so that the others may grow old."""
    pool = Pool(FakeLink, 3, PATIENCE)
    links = [pool.more()[0] for _ in range(3)]
    for link in links:
        pool.give(link)
    assert pool.free.pop() is links[-1]


def test_limit() -> None:
    """No more links are made than allowed: who finds none free gives up in the end."""
    pool = Pool(FakeLink, 2, 0.01)
    first, _ = pool.more()
    pool.more()
    with pytest.raises(Unreachable, match="all 2 connections are in use"):
        pool.more()
    pool.drop(first)
    assert first.closed
    assert pool.more()[1]


@pytest.mark.parametrize("how", ["give", "drop"])
def test_who_waits_is_woken(how: str) -> None:
    """A thread that waits gets the link given back, or a new one for one that was dropped."""
    pool = Pool(FakeLink, 1, PATIENCE)
    link, _ = pool.more()
    got = []
    thread = threading.Thread(target=lambda: got.append(pool.more()))
    thread.start()
    eventually(lambda: pool._waiting, "a thread that waits")
    getattr(pool, how)(link)
    thread.join(PATIENCE)
    assert [fresh for _, fresh in got] == [how == "drop"]
    assert (got[0][0] is link) == (how == "give")


def test_failed_connection_is_not_counted() -> None:
    """A connection that could not be made takes nobody's place."""

    def fails() -> FakeLink:
        raise Unreachable("refused")

    pool = Pool(fails, 1, 0.01)
    for _ in range(3):
        with pytest.raises(Unreachable, match="refused"):
            pool.more()


def test_closed() -> None:
    """A closed pool gives nothing out, wakes who waits, and closes what comes back."""
    pool = Pool(FakeLink, 1, PATIENCE)
    link, _ = pool.more()
    errors = []

    def wait() -> None:
        try:
            pool.more()
        except Unreachable as error:
            errors.append(error.reason)

    thread = threading.Thread(target=wait)
    thread.start()
    eventually(lambda: pool._waiting, "a thread that waits")
    pool.close()
    thread.join(PATIENCE)
    assert errors == ["shut"]
    pool.give(link)
    assert link.closed
