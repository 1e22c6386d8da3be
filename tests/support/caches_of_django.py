"""Django's backends for tests: each with what it needs, empty, as the default of `CACHES`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
from memcached import RunningMemcached
from redis import ConnectionPool
from servers import PATIENCE, RunningServer

PLAIN = "django.core.cache.backends."
STORES = ("locmem", "file", "database", "memcached", "redis")
"""Those that proxies can keep their results in."""


class Pool(ConnectionPool):
    """Connections that are closed when the backend is done with, in whatever thread or task.

    Django leaves them to the collector, who may come to a socket before its connection: then
    the socket warns, in whatever test that is.
    """

    made: ClassVar[list[ConnectionPool]] = []

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.made.append(self)

    @classmethod
    def close_all(cls) -> None:
        while cls.made:
            cls.made.pop().disconnect()


@pytest.fixture(scope="session")
def memcached() -> Iterator[RunningMemcached]:
    """A memcached of the session."""
    running = RunningMemcached()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RunningServer]:
    """A Redis of the session."""
    running = RunningServer("redis")
    yield running
    running.stop()


def settings_of(name: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return what is said of a backend in `CACHES`, and see that what it needs is there."""
    if name == "file":
        folder = request.getfixturevalue("tmp_path")
        return {"BACKEND": f"{PLAIN}filebased.FileBasedCache", "LOCATION": str(folder)}
    if name == "database":
        request.getfixturevalue("database")
        return {"BACKEND": f"{PLAIN}db.DatabaseCache", "LOCATION": "cached"}
    if name == "memcached":
        location = request.getfixturevalue("memcached").location
        return {"BACKEND": f"{PLAIN}memcached.PyMemcacheCache", "LOCATION": location}
    if name == "redis":
        url = request.getfixturevalue("redis_server").url
        options = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
        options["pool_class"] = f"{__name__}.{Pool.__name__}"
        return {"BACKEND": f"{PLAIN}redis.RedisCache", "LOCATION": url, "OPTIONS": options}
    if name == "pussycache":
        return {"BACKEND": "pussycache.contrib.django.CacheBackend", "LOCATION": "tests"}
    return {"BACKEND": f"{PLAIN}locmem.LocMemCache", "LOCATION": "of these tests"}


@contextmanager
def configured(name: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Have a backend be the default cache, empty, for a block."""
    from django.core.cache import caches
    from django.core.management import call_command
    from django.test import override_settings

    with override_settings(CACHES={"default": settings_of(name, request)}):
        if name == "database":
            call_command("createcachetable")
        caches["default"].clear()
        try:
            yield caches["default"]
        finally:
            _close()
            Pool.close_all()


def left(function: Any, *args: Any) -> Any:
    """Call a function, and close what Django has opened for this thread."""
    from django.db import connections

    try:
        return function(*args)
    finally:
        _close()
        connections.close_all()


def _close() -> None:
    from django.core.cache import caches

    for cache in caches.all(initialized_only=True):
        cache.close()
