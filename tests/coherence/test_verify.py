"""Hits that are recomputed and compared: what is found and counted, and what proves nothing."""

import asyncio
import logging

import pytest
from sources import settled

import pussycache
from pussycache import Cached, Forget
from pussycache.engine import background


class Source:
    """Its value changes when nobody says so."""

    def __init__(self):
        self.value = "old"
        self.loads = 0
        self.act = lambda: None

    def read(self, key):
        self.loads += 1
        value = self.value
        self.act()
        if isinstance(value, Exception):
            raise value
        return value

    async def aread(self, key):
        return self.read(key)

    def items(self):
        yield self.read(0)

    def write(self, key):
        pass

    def other(self):
        pass


def wrapped(verify=1.0, rule="read", **said):
    policy = Cached(verify=verify, **said)
    return pussycache.wrap(
        Source(),
        cached_methods={
            "read": policy,
            "aread": policy,
            "items": Cached(verify=verify, materialize=True),
        },
        invalidate_methods={"write": [rule], "other": [Forget("read", key=lambda call: 99)]},
    )


def test_a_value_that_agrees_is_counted_and_served(clock, until):
    """What is recomputed and is the same is a hit like any other."""
    proxy = wrapped()
    assert [proxy.read(1), proxy.read(1)] == ["old", "old"]
    settled(until)
    info = pussycache.info(proxy.read)
    assert (info.verified, info.disagreements, info.hits, info.misses) == (1, 0, 1, 1)


def test_a_disagreement_is_counted_with_age_and_writes_and_replaces_the_value(clock, until, caplog):
    """A value that nobody said was wrong is found out, and the new one wins."""
    proxy = wrapped()
    proxy.read(1)
    proxy.value = "new"
    proxy.other()
    clock.advance(12)
    with caplog.at_level(logging.WARNING, "pussycache"):
        assert proxy.read(1) == "old"
        settled(until)
    info = pussycache.info(proxy.read)
    assert (info.verified, info.disagreements, info.disagreement_age) == (1, 1, 12)
    assert info.disagreement_writes == 1
    assert "Source.read returned something else than was remembered for 12 s" in caplog.text
    assert pussycache.peek(proxy.read, 1) == "new"


def test_only_a_fraction_is_verified(clock, until):
    """Hits are sampled: of many about the fraction is recomputed."""
    proxy = wrapped(verify=0.25)
    proxy.read(1)
    for _ in range(200):
        proxy.read(1)
        settled(until)
    assert 30 < pussycache.info(proxy.read).verified < 70


@pytest.mark.parametrize("rule", ["read", Forget("read", "key")], ids=["method", "argument"])
def test_a_write_during_the_verification(rule, clock, gate, until):
    """What a write overtakes is neither stored nor counted."""
    proxy = wrapped(rule=rule)
    proxy.read(1)
    proxy.value, proxy.act = "between", gate.hold
    proxy.read(1)
    gate.reached()
    proxy.value, proxy.act = "new", lambda: None
    proxy.write(1)
    assert proxy.read(1) == "new"
    gate.open()
    settled(until)
    assert pussycache.peek(proxy.read, 1) == "new"
    assert pussycache.info(proxy.read).verified == 0


def test_a_value_that_is_not_to_be_stored_any_more_is_forgotten(clock, until):
    """Where the new value is not stored, the wrong one goes all the same."""
    proxy = wrapped(when=lambda value: value != "none")
    proxy.read(1)
    proxy.value = "none"
    proxy.read(1)
    settled(until)
    assert pussycache.info(proxy.read).disagreements == 1
    assert pussycache.peek(proxy.read, 1) is pussycache.MISSING


def test_a_verification_that_fails_proves_nothing(clock, until, caplog):
    """An exception is logged and counted as a failed load; the value stays."""
    proxy = wrapped()
    proxy.read(1)
    proxy.value = OSError("no route")
    with caplog.at_level(logging.WARNING, "pussycache"):
        assert proxy.read(1) == "old"
        settled(until)
    assert "a verification of Source.read failed" in caplog.text
    info = pussycache.info(proxy.read)
    assert (info.verified, info.disagreements, info.failures) == (0, 0, 1)
    assert pussycache.peek(proxy.read, 1) == "old"


def test_values_that_refuse_to_be_compared_are_no_disagreement(clock, until, caplog):
    """A `!=` that raises is logged."""

    class Odd:
        def __ne__(self, other):
            raise ValueError("ambiguous")

    proxy = wrapped()
    proxy.value = Odd()
    proxy.read(1)
    with caplog.at_level(logging.WARNING, "pussycache"):
        proxy.read(1)
        settled(until)
    assert "ambiguous" in caplog.text
    assert pussycache.info(proxy.read).disagreements == 0


def test_tasks_and_iterators_are_verified(clock, until, run):
    """Coroutine methods and materialized iterators are recomputed, too."""
    proxy = wrapped()

    async def main():
        assert [await proxy.aread(1), await proxy.aread(1)] == ["old", "old"]
        while background._under_way:
            await asyncio.sleep(0)

    run(main)
    assert pussycache.info(proxy.aread).verified == 1
    assert [list(proxy.items()), list(proxy.items())] == [["old"], ["old"]]
    settled(until)
    proxy.value = "new"
    assert list(proxy.items()) == ["old"]
    settled(until)
    info = pussycache.info(proxy.items)
    assert (info.verified, info.disagreements) == (2, 1)
    assert list(pussycache.peek(proxy.items)) == ["new"]


@pytest.mark.parametrize("verify", [2, -1, "1", None], ids=str)
def test_bad_input_is_refused_at_declaration(verify):
    """What is no fraction is named, with the remedy."""
    with pytest.raises(pussycache.ConfigurationError, match="verify must be a fraction"):
        Cached(verify=verify)
