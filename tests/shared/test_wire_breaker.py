"""The breaker: when a server is asked, by a clock that the test turns."""

import pytest

from pussycache.cache.wire.breaker import PROBE_EVERY, REFUSED_FOR, Breaker
from pussycache.cache.wire.unreachable import Unreachable

TIMED_OUT = Unreachable("timed out", "there")
REFUSED = Unreachable("refused", "there")


class Hand:
    """A clock."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Hand:
    return Hand()


def is_admitted(breaker: Breaker) -> bool:
    try:
        breaker.admit()
    except Unreachable as error:
        return (error.reason, "there" in error.detail) != ("waiting", True)
    return True


def test_timeout_opens_it(clock: Hand) -> None:
    """After a timeout nobody is admitted, however long it takes, until the server has answered."""
    breaker = Breaker(clock)
    assert breaker.failed(TIMED_OUT)
    assert breaker.shut
    assert breaker.is_open
    clock.now = 1000
    assert not is_admitted(breaker)
    breaker.answered()
    assert not breaker.shut
    assert is_admitted(breaker)


def test_it_opens_once(clock: Hand) -> None:
    """Of several callers that time out, one is told to see to the probes."""
    breaker = Breaker(clock)
    assert [breaker.failed(TIMED_OUT) for _ in range(3)] == [True, False, False]


def test_refusal_does_not_open_it(clock: Hand) -> None:
    """After a refusal one caller is admitted each 20 ms, and the others are not."""
    breaker = Breaker(clock)
    assert not breaker.failed(REFUSED)
    assert not breaker.is_open
    assert not is_admitted(breaker)
    clock.now = REFUSED_FOR
    assert [is_admitted(breaker) for _ in range(3)] == [True, False, False]
    clock.now = 2 * REFUSED_FOR
    assert is_admitted(breaker)
    breaker.answered()
    assert [is_admitted(breaker) for _ in range(3)] == [True, True, True]


def test_refusal_does_not_close_it(clock: Hand) -> None:
    """A breaker that is open stays so when a call that was under way is refused."""
    breaker = Breaker(clock)
    breaker.failed(TIMED_OUT)
    breaker.failed(REFUSED)
    clock.now = 1000
    assert not is_admitted(breaker)


def test_broken_connection_does_nothing(clock: Hand) -> None:
    """A connection that broke says nothing of the next one."""
    breaker = Breaker(clock)
    breaker.failed(Unreachable("closed", "there"))
    assert not breaker.shut


def test_without_probes(clock: Hand) -> None:
    """Where nobody probes, one caller tries again half a second after a timeout."""
    breaker = Breaker(clock, probed=False)
    assert not breaker.failed(TIMED_OUT)
    clock.now = PROBE_EVERY - 0.1
    assert not is_admitted(breaker)
    clock.now = PROBE_EVERY
    assert [is_admitted(breaker) for _ in range(2)] == [True, False]


def test_since_when_it_has_been_so(clock: Hand) -> None:
    """An outage has its beginning, however often and in which way asking fails since."""
    breaker = Breaker(clock)
    assert breaker.outage is None
    clock.now = 10
    breaker.failed(TIMED_OUT)
    clock.now = 12
    breaker.failed(TIMED_OUT)
    assert breaker.outage == ("timed out: there", 2)
    clock.now = 15
    breaker.answered(for_good=False)
    breaker.failed(REFUSED)
    assert not breaker.is_open
    assert breaker.shut
    assert breaker.outage == ("refused: there", 5)
    breaker.answered()
    assert breaker.outage is None
    clock.now = 20
    breaker.failed(REFUSED)
    clock.now = 21
    assert breaker.outage == ("refused: there", 1)
