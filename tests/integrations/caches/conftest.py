"""What tests of proxies over Django's caches are made with: backends, and processes over them."""

from contextlib import suppress

import pytest
from caches_of_django import STORES, configured, memcached, redis_server  # noqa: F401 - fixtures
from gates import gate, new_gate, run, spawn, until, watchdog  # noqa: F401 - fixtures
from prices import wrapped

import pussycache
from pussycache import DjangoCache


@pytest.fixture(params=STORES)
def default(request):
    """Each backend as the default cache, empty."""
    with configured(request.param, request) as backend:
        yield backend


@pytest.fixture
def backend(request):
    """Make a backend of this name the default cache."""
    with configured(request.param, request) as backend:
        yield backend


@pytest.fixture
def amounts():
    """What all processes share beside the cache: a database, so to say."""
    return {"tea": 1, "milk": 1}


@pytest.fixture
def new_cache():
    """Make caches that are closed in the end."""
    made = []

    def make(*args, **settings):
        made.append(DjangoCache(*args, **settings))
        return made[-1]

    yield make
    for cache in made:
        with suppress(pussycache.InvalidationPending):
            cache.close()


@pytest.fixture
def new_process(amounts, new_cache):
    """Make what another process would have: a cache and a wrapped object of its own."""

    def make(hold=bool, **settings):
        return wrapped(amounts, new_cache(**settings), hold)

    return make


@pytest.fixture
def process(default, new_process):
    """The same, over each backend."""
    return new_process
