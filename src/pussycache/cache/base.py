"""The vocabulary that all caches share: that of Django's low-level cache API, sync and async.

A cache brings a few primitives and gets the rest from here. How proxies use a cache is not said
here: see `pussycache.engine.home.Home`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from pussycache.declare.policy import seconds
from pussycache.types import MISSING, Missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta
    from typing import Any, TypeAlias

    from pussycache.engine.asking import Far
    from pussycache.engine.generations import Table
    from pussycache.engine.scopes import Scope
    from pussycache.stats import CacheInfo, Store

__all__ = ["Cache", "Timeout"]

Timeout: TypeAlias = "float | int | timedelta | Missing | None"


class Cache(ABC):
    """What every cache can do.

    ``timeout`` is in seconds or a `timedelta`; `None` means for ever, ``0`` not at all, and leaving
    it out the cache's own ttl. `None` is a value like any other: ``get(key, MISSING)`` tells it
    from absence. A cache is always true, also when it is empty.
    """

    ttl: float | None

    far: Far | None = None
    """How calls are answered, where entries are outside of this process: see engine/asking.py."""

    @property
    def label(self) -> str:
        """What statistics call it: by its class."""
        return type(self).__name__

    @property
    def store(self) -> Store | None:
        """How it stands with its server, where that is shared."""
        return None

    @abstractmethod
    def scope(self, target: object, proxy: object, namespace: str | None, version: Any) -> Scope:
        """Return what is remembered of an object here; proxies ask for it when they are made."""

    def labelled(self) -> list[tuple[str, Table]]:
        """Return the methods that are remembered here, as statistics call them.

        Objects of one class have one name.
        """
        return []

    def figures(self) -> dict[str, CacheInfo]:
        """Return what happened so far in this process, by method; see `pussycache.info`."""
        return {}

    @abstractmethod
    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value of a key, or ``default``."""

    @abstractmethod
    def set(self, key: Any, value: Any, timeout: Timeout = MISSING) -> None:
        """Store a value."""

    @abstractmethod
    def add(self, key: Any, value: Any, timeout: Timeout = MISSING) -> bool:
        """Store a value unless the key has one; true if it was stored."""

    @abstractmethod
    def touch(self, key: Any, timeout: Timeout = MISSING) -> bool:
        """Give a key a new timeout; false if it is not there."""

    @abstractmethod
    def delete(self, key: Any) -> bool:
        """Remove a key; true if it was there."""

    @abstractmethod
    def incr(self, key: Any, delta: int = 1) -> int:
        """Add to a number and return the sum; ValueError if the key is not there."""

    @abstractmethod
    def clear(self) -> None:
        """Remove all that this cache has put there, and nothing else."""

    def lasting(self, timeout: Timeout) -> float | None:
        """Return a timeout in seconds, `None` for ever; at most 0 means not at all."""
        if isinstance(timeout, Missing):
            return self.ttl
        if timeout is None:
            return None
        # As in Django, a moment that has passed already is no error here.
        if isinstance(timeout, (int, float)) and timeout < 0:
            return 0.0
        return seconds(timeout, "timeout")

    def decr(self, key: Any, delta: int = 1) -> int:
        """Subtract from a number and return the difference; ValueError if the key is not there."""
        return self.incr(key, -delta)

    def has_key(self, key: Any) -> bool:
        """Whether a key has a value."""
        return self.get(key, MISSING) is not MISSING

    def __contains__(self, key: Any) -> bool:
        return self.has_key(key)

    def __bool__(self) -> bool:
        return True

    def get_or_set(self, key: Any, default: Any, timeout: Timeout = MISSING) -> Any:
        """Return the value of a key; where there is none, store ``default``, called if it can."""
        value = self.get(key, MISSING)
        if value is MISSING:
            value = default() if callable(default) else default
            # Somebody may have stored another meanwhile: all are given the same one.
            if not self.add(key, value, timeout):
                value = self.get(key, value)
        return value

    def get_many(self, keys: Iterable[Any]) -> dict[Any, Any]:
        """Return the values of those of the keys that have one."""
        found = {key: self.get(key, MISSING) for key in keys}
        return {key: value for key, value in found.items() if value is not MISSING}

    def set_many(self, data: Mapping[Any, Any], timeout: Timeout = MISSING) -> list[Any]:
        """Store several values; returns the keys that could not be stored."""
        for key, value in data.items():
            self.set(key, value, timeout)
        return []

    def delete_many(self, keys: Iterable[Any]) -> None:
        """Remove several keys."""
        for key in keys:
            self.delete(key)

    def close(self) -> None:  # noqa: B027 - a cache that holds nothing open has nothing to do
        """Release what the cache holds open, and end what is done for it in the background."""

    # For caches without I/O the asynchronous vocabulary is the same calls.

    async def aget(self, key: Any, default: Any = None) -> Any:
        """As `get`."""
        return self.get(key, default)

    async def aset(self, key: Any, value: Any, timeout: Timeout = MISSING) -> None:
        """As `set`."""
        self.set(key, value, timeout)

    async def aadd(self, key: Any, value: Any, timeout: Timeout = MISSING) -> bool:
        """As `add`."""
        return self.add(key, value, timeout)

    async def aget_or_set(self, key: Any, default: Any, timeout: Timeout = MISSING) -> Any:
        """As `get_or_set`; ``default`` may be a coroutine function."""
        value = await self.aget(key, MISSING)
        if value is MISSING:
            value = default() if callable(default) else default
            if hasattr(value, "__await__"):
                value = await value
            if not await self.aadd(key, value, timeout):
                value = await self.aget(key, value)
        return value

    async def atouch(self, key: Any, timeout: Timeout = MISSING) -> bool:
        """As `touch`."""
        return self.touch(key, timeout)

    async def adelete(self, key: Any) -> bool:
        """As `delete`."""
        return self.delete(key)

    async def aget_many(self, keys: Iterable[Any]) -> dict[Any, Any]:
        """As `get_many`."""
        return self.get_many(keys)

    async def aset_many(self, data: Mapping[Any, Any], timeout: Timeout = MISSING) -> list[Any]:
        """As `set_many`."""
        return self.set_many(data, timeout)

    async def adelete_many(self, keys: Iterable[Any]) -> None:
        """As `delete_many`."""
        self.delete_many(keys)

    async def aincr(self, key: Any, delta: int = 1) -> int:
        """As `incr`."""
        return self.incr(key, delta)

    async def adecr(self, key: Any, delta: int = 1) -> int:
        """As `decr`."""
        return self.decr(key, delta)

    async def ahas_key(self, key: Any) -> bool:
        """As `has_key`."""
        return self.has_key(key)

    async def aclear(self) -> None:
        """As `clear`."""
        self.clear()

    async def aclose(self) -> None:
        """As `close`."""
        self.close()
