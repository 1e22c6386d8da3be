"""How long tests wait for a server that does not answer at once.

A machine that is busy with something else holds a server up for as long as it likes. That is no
outage, and what a test counts must not change with it. So who does not say how long it waits, waits
as long as the test may; and a test that stops a server says `BRIEF`, and expects nothing of the
server before or after that but what it comes to in the end.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from servers import PATIENCE

from pussycache import RedisCache
from pussycache.cache.shared.links import Links
from pussycache.cache.shared.tier import Tier
from pussycache.cache.wire import Server

BRIEF = 0.25
"""Seconds to wait for a server that the test has stopped."""


@contextmanager
def patience() -> Iterator[None]:
    """Have caches and servers that are made without a timeout be patient, for a block."""
    with pytest.MonkeyPatch.context() as patched:
        for made in (RedisCache.__init__, Server.__init__, Server.over.__func__):  # type: ignore[attr-defined]
            assert "timeout" in made.__kwdefaults__
            patched.setitem(made.__kwdefaults__, "timeout", PATIENCE)
        # A process that was held up itself does not find what it keeps too old for that, nor does
        # it lose the lease of a load.
        patched.setitem(Links.__init__.__kwdefaults__, "silence", PATIENCE)
        patched.setattr(Tier, "lease_ms", 1000 * PATIENCE)
        yield


def alert(cache: RedisCache) -> RedisCache:
    """Have a cache see within a second that a server says nothing any more, as programs' do."""
    assert cache._nearby is not None
    cache._nearby.links._silence = 1.0
    return cache


@pytest.fixture(autouse=True)
def patient() -> Iterator[None]:
    """Have those of a test be patient."""
    with patience():
        yield
