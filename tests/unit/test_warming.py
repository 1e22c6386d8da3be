"""Calls that are made before anybody needs them."""

import asyncio
import contextvars
import logging
import threading

import pytest

import pussycache
from pussycache import ConfigurationError, warm

PATIENCE = 60


class Source:
    def __init__(self):
        self.seen = []
        self.act = lambda: None

    def read(self, a, b=2):
        self.seen.append((a, b))
        self.act()
        if a == "bad":
            raise ValueError(a)
        return a

    async def aread(self, a, b=2):
        await asyncio.sleep(0)
        return self.read(a, b)

    def plain(self):
        pass


@pytest.fixture
def proxy():
    return pussycache.wrap(Source(), cached_methods=["read", "aread"])


CALLS = [1, (2,), (3, 4), {"a": 5, "b": 6}, "bad", 1]


def test_calls_are_made_in_all_forms_and_remembered(proxy, caplog):
    """Tuples, mappings and single arguments; what raises is logged, and the others go on."""
    told = []
    with caplog.at_level(logging.WARNING, "pussycache"):
        assert warm(proxy.read, iter(CALLS), workers=2, progress=told.append) == 5
    assert told == [1, 2, 3, 4, 5, 6]
    assert sorted(proxy.seen, key=str) == sorted(
        [(1, 2), (2, 2), (3, 4), (5, 6), ("bad", 2)], key=str
    )
    assert "warming" in caplog.text
    assert pussycache.peek(proxy.read, 5, 6) == 5


def test_coroutine_methods_are_awaited(proxy):
    """For a coroutine method warm is awaited, and makes its calls in tasks."""
    told = []
    assert asyncio.run(warm(proxy.aread, CALLS, workers=3, progress=told.append)) == 5
    assert told == [1, 2, 3, 4, 5, 6]
    assert pussycache.peek(proxy.aread, 3, 4) == 3


def test_so_many_at_once_and_no_load_twice(proxy):
    """Workers work at the same time, and share loads with one another."""
    together = threading.Barrier(3)
    proxy.act = lambda: together.wait(PATIENCE)
    assert warm(proxy.read, [1, 2, 3, 1, 2, 3], workers=3) == 6
    assert len(proxy.seen) == 3


def test_calls_see_the_callers_context(proxy):
    """The workers have the context variables of the caller."""
    tenant = contextvars.ContextVar("tenant", default="nobody")
    seen = []
    proxy.act = lambda: seen.append(tenant.get())
    tenant.set("ada")
    warm(proxy.read, [1])
    assert seen == ["ada"]


def test_an_iterable_that_raises_is_told(proxy):
    """What goes wrong outside of the calls is raised to the caller."""

    def calls():
        yield 1
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        warm(proxy.read, calls())

    def stop(count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        warm(proxy.read, range(100), progress=stop)


def test_bad_input_is_refused(proxy):
    """What is no cached method, and no number of workers, is named, with the remedy."""
    with pytest.raises(ConfigurationError, match="warm takes a cached method"):
        warm(proxy.plain, [])
    with pytest.raises(ConfigurationError, match="workers must be a number of at least 1"):
        warm(proxy.read, [], workers=0)
