"""The libraries that are measured beside this one, each used as its own documentation does.

What is measured is said in beside.py. A library that cannot be imported is named as not measured.
"""

from __future__ import annotations

import functools
import importlib.metadata
import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

TTL = 300


@dataclass(frozen=True)
class Peer:
    """One library.

    ``make(room)`` returns an object with a cached method ``get(a)`` in a cache with room for so
    many entries, and ``amake`` one with a coroutine method of that name. ``forget(o, a)`` makes one
    entry wrong. What the library does not have is `None`. Without ``bounded`` it throws nothing out
    for want of room, or by another measure than the number of entries.
    """

    name: str
    module: str
    idiom: str
    make: Callable[[int], Any] | None = None
    amake: Callable[[int], Any] | None = None
    forget: Callable[[Any, Any], object] | None = None
    bounded: bool = True
    on_disk: bool = False

    @property
    def version(self) -> str | None:
        """Its release; `None` if it is not installed, or does not run here."""
        if self.name == "functools":
            return "of the interpreter"
        try:
            importlib.import_module(self.module)
            return importlib.metadata.version(self.name)
        except Exception:
            # Whatever a library that is not made for this interpreter raises.
            return None


def _pussycache(room: int) -> Any:
    import pussycache

    class Target:
        def get(self, a):
            return a

        def write(self, a):
            pass

    cache = pussycache.MemoryCache(ttl=TTL, max_entries=room)
    return pussycache.wrap(
        Target(),
        cache,
        cached_methods=["get"],
        invalidate_methods={"write": [pussycache.Forget("get", "a")]},
    )


def _pussycache_alone(room: int) -> Any:
    import pussycache

    class Target:
        def get(self, a):
            return a

    cache = pussycache.MemoryCache(ttl=TTL, max_entries=room)
    return pussycache.wrap(Target(), cache, cached_methods=["get"])


def _pussycache_async(room: int) -> Any:
    import pussycache

    class Target:
        async def get(self, a):
            return a

    cache = pussycache.MemoryCache(ttl=TTL, max_entries=room)
    return pussycache.wrap(Target(), cache, cached_methods=["get"])


def _functools(room: int) -> Any:
    class Target:
        @functools.lru_cache(room)  # noqa: B019  the one target lives as long as the measurement
        def get(self, a):
            return a

    return Target()


def _cachetools(room: int) -> Any:
    import cachetools

    class Target:
        def __init__(self):
            self.cache = cachetools.TTLCache(room, TTL)
            self.lock = threading.RLock()

        @cachetools.cachedmethod(lambda self: self.cache, lock=lambda self: self.lock)
        def get(self, a):
            return a

    return Target()


def _cachetools_forget(o: Any, a: Any) -> None:
    with o.get.cache_lock:
        o.get.cache.pop(o.get.cache_key(a), None)


def _cachebox(room: int) -> Any:
    import cachebox

    class Target:
        @cachebox.cached(cachebox.TTLCache(room, TTL))
        def get(self, a):
            return a

    return Target()


def _cachebox_async(room: int) -> Any:
    import cachebox

    class Target:
        @cachebox.cached(cachebox.TTLCache(room, TTL))
        async def get(self, a):
            return a

    return Target()


def _moka(room: int) -> Any:
    import moka_py

    class Target:
        @moka_py.cached(maxsize=room, ttl=TTL)
        def get(self, a):
            return a

    return Target()


def _moka_async(room: int) -> Any:
    import moka_py

    class Target:
        @moka_py.cached(maxsize=room, ttl=TTL)
        async def get(self, a):
            return a

    return Target()


def _theine(room: int) -> Any:
    from theine import Memoize

    class Target:
        @Memoize(room, timedelta(seconds=TTL))
        def get(self, a):
            return a

        @get.key
        def _(self, a):
            return f"get:{a}"

    return Target()


def _theine_async(room: int) -> Any:
    from theine import Memoize

    class Target:
        @Memoize(room, timedelta(seconds=TTL))
        async def get(self, a):
            return a

        @get.key
        def _(self, a):
            return f"get:{a}"

    return Target()


def _dogpile(room: int) -> Any:
    from dogpile.cache import make_region

    region = make_region().configure("dogpile.cache.memory", expiration_time=TTL)

    class Target:
        @region.cache_on_arguments()
        def get(self, a):
            return a

    return Target()


class _Disk:
    """A directory for a cache, which goes with it."""

    def __init__(self, kind: type) -> None:
        self.path = tempfile.mkdtemp()
        self.cache = kind(self.path)

    def __del__(self) -> None:
        self.cache.close()
        shutil.rmtree(self.path, ignore_errors=True)


def _diskcache(room: int) -> Any:
    import diskcache

    disk = _Disk(diskcache.Cache)

    class Target:
        at = disk

        # Without the object, which would be pickled with each key.
        @disk.cache.memoize(expire=TTL, ignore={0})
        def get(self, a):
            return a

    return Target()


def _cashews(room: int) -> Any:
    import cashews

    cache = cashews.Cache()
    cache.setup(f"mem://?check_interval=10&size={room}")

    class Target:
        @cache(ttl=f"{TTL}s", key="get:{a}")
        async def get(self, a):
            return a

    return Target()


def _aiocache(room: int) -> Any:
    import aiocache

    class Target:
        @aiocache.cached(ttl=TTL, noself=True)
        async def get(self, a):
            return a

    return Target()


def _async_lru(room: int) -> Any:
    import async_lru

    class Target:
        @async_lru.alru_cache(maxsize=room, ttl=TTL)
        async def get(self, a):
            return a

    return Target()


def _cachebox_forget(o: Any, a: Any) -> object:
    import cachebox

    return o.get.cache.pop(cachebox.make_key(o, a), None)


OURS = Peer(
    "pussycache",
    "pussycache",
    "`wrap(target, MemoryCache(ttl=, max_entries=), cached_methods=)`",
    _pussycache_alone,
    _pussycache_async,
)
WRITING = Peer("pussycache", "pussycache", "", _pussycache, None, lambda o, a: o.write(a))
"""Ours, where something is made wrong: by a method that a rule names."""

OTHERS = (
    Peer("functools", "functools", "`@lru_cache(maxsize)`; no ttl", _functools),
    Peer(
        "cachetools",
        "cachetools",
        "`@cachedmethod(…TTLCache, lock=…RLock)`",
        _cachetools,
        None,
        _cachetools_forget,
    ),
    Peer(
        "cachebox",
        "cachebox",
        "`@cached(TTLCache(maxsize, ttl))`",
        _cachebox,
        _cachebox_async,
        _cachebox_forget,
    ),
    Peer("moka-py", "moka_py", "`@cached(maxsize=, ttl=)`", _moka, _moka_async),
    Peer("theine", "theine", "`@Memoize(size, ttl)` with `@get.key`", _theine, _theine_async),
    Peer(
        "dogpile.cache",
        "dogpile.cache",
        '`@region.cache_on_arguments()` of "dogpile.cache.memory"; no bound',
        _dogpile,
        None,
        lambda o, a: o.get.invalidate(o, a),
        bounded=False,
    ),
    Peer(
        "diskcache",
        "diskcache",
        "`@cache.memoize(expire=)`, on disk; bounded by bytes",
        _diskcache,
        None,
        lambda o, a: o.at.cache.delete(o.get.__cache_key__(o, a)),
        bounded=False,
        on_disk=True,
    ),
    Peer("cashews", "cashews", '`@cache(ttl=, key="get:{a}")` of "mem://"', None, _cashews),
    Peer(
        "aiocache",
        "aiocache",
        "`@cached(ttl=, noself=True)`, in memory; no bound",
        None,
        _aiocache,
        bounded=False,
    ),
    Peer("async-lru", "async_lru", "`@alru_cache(maxsize=, ttl=)`", None, _async_lru),
)
ALL = (OURS, *OTHERS)
