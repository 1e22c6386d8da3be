"""`CacheBackend`: this library's memory, or a server, as a backend of Django's cache framework.

Keys, versions and default timeouts are Django's own. Where values are kept, and how, is said in
memory.py and shared.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.exceptions import SynchronousOnlyOperation

from pussycache.contrib.django.memory import Memory
from pussycache.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pussycache.cache.base import Cache

__all__ = ["CacheBackend", "is_server"]


def is_server(location: Any) -> bool:
    """Whether a ``LOCATION`` is a server, and not a name."""
    return isinstance(location, str) and "://" in location


class CacheBackend(BaseCache):  # type: ignore[misc] # Django has no types
    """For ``CACHES``: values in this process's memory, or in a server that processes share.

    ``LOCATION`` is empty or a name, and aliases with the same one share what is in memory; or it is
    the URL of a Redis or Valkey server, as `pussycache.RedisCache` takes it. ``TIMEOUT``,
    ``KEY_PREFIX``, ``VERSION`` and ``KEY_FUNCTION`` mean what they mean for Django's own backends.
    Nobody changes what others get. The async methods do not go through a thread.

    In memory, values are pickled; of ``OPTIONS`` there are ``MAX_ENTRIES`` and ``CULL_FREQUENCY``.
    The difference to Django's ``LocMemCache``: a read takes no lock, what has expired is freed
    without anybody asking for it and is the first to be culled, and the clock is monotonic.

    In a server, values are pickled and signed with ``SECRET_KEY``, and `clear` removes those of
    this ``KEY_PREFIX`` only. ``OPTIONS`` are in docs/django.md.

    :raises ConfigurationError: for a ``LOCATION`` or ``OPTIONS`` that cannot work.
    :raises ImportError: for a server, without the packages of ``pussycache[redis]``.

    >>> from pussycache.contrib.django import CacheBackend
    >>> cache = CacheBackend("example", {"TIMEOUT": 60})
    >>> cache.set("mykey", "my value")
    >>> cache.get("mykey")
    'my value'
    """

    def __init__(self, location: Any, params: dict[str, Any]) -> None:
        super().__init__(params)
        if not isinstance(location, str):
            raise ConfigurationError(f"LOCATION must be a name or a URL, not {location!r}")
        self.store: Cache
        if is_server(location):
            from pussycache.contrib.django.shared import shared

            self.store = shared(location, self.key_prefix, params.get("OPTIONS") or {})
        else:
            self.store = Memory(location, lambda: (self._max_entries, self._cull_frequency))

    def _lasting(self, timeout: Any) -> float | None:
        lasting = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        return None if lasting is None else float(lasting)

    def _key(self, key: Any, version: int | None) -> Any:
        return self.make_and_validate_key(key, version)

    def _keys(self, keys: Iterable[Any], version: int | None) -> dict[Any, Any]:
        return {self._key(key, version): key for key in keys}

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        return self.store.get(self._key(key, version), default)

    def set(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None:
        self.store.set(self._key(key, version), value, self._lasting(timeout))

    def add(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        key, lasting = self._key(key, version), self._lasting(timeout)
        added = self.store.add(key, value, lasting)
        # As in Django: also with a timeout of 0, which keeps nothing.
        return added or (lasting is not None and lasting <= 0 and not self.store.has_key(key))

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return self.store.touch(self._key(key, version), self._lasting(timeout))

    def delete(self, key: Any, version: int | None = None) -> bool:
        return self.store.delete(self._key(key, version))

    def has_key(self, key: Any, version: int | None = None) -> bool:
        return self.store.has_key(self._key(key, version))

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> Any:
        return self.store.incr(self._key(key, version), delta)

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        names = self._keys(keys, version)
        return {names[key]: value for key, value in self.store.get_many(names).items()}

    def set_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        values = {self._key(key, version): value for key, value in data.items()}
        return self.store.set_many(values, self._lasting(timeout))

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        self.store.delete_many(self._keys(keys, version))

    def clear(self) -> None:
        self.store.clear()

    def __len__(self) -> int:
        """How many entries there are, of all aliases that share them; a server is asked."""
        return len(self.store)  # type: ignore[arg-type] # both kinds have it

    def __bool__(self) -> bool:
        return True

    # Nothing is handed to a thread, but values that ask the database when pickled.

    async def aget(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        return await self.store.aget(self._key(key, version), default)

    async def aset(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None:
        try:
            await self.store.aset(self._key(key, version), value, self._lasting(timeout))
        except SynchronousOnlyOperation:
            await super().aset(key, value, timeout, version)

    async def aadd(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        place, lasting = self._key(key, version), self._lasting(timeout)
        try:
            added = await self.store.aadd(place, value, lasting)
        except SynchronousOnlyOperation:
            return bool(await super().aadd(key, value, timeout, version))
        if added or lasting is None or lasting > 0:
            return added
        return not await self.store.ahas_key(place)

    async def atouch(
        self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        return await self.store.atouch(self._key(key, version), self._lasting(timeout))

    async def adelete(self, key: Any, version: int | None = None) -> bool:
        return await self.store.adelete(self._key(key, version))

    async def ahas_key(self, key: Any, version: int | None = None) -> bool:
        return await self.store.ahas_key(self._key(key, version))

    async def aincr(self, key: Any, delta: int = 1, version: int | None = None) -> Any:
        return await self.store.aincr(self._key(key, version), delta)

    async def aget_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        names = self._keys(keys, version)
        return {names[key]: value for key, value in (await self.store.aget_many(names)).items()}

    async def aset_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        values = {self._key(key, version): value for key, value in data.items()}
        try:
            return await self.store.aset_many(values, self._lasting(timeout))
        except SynchronousOnlyOperation:
            return list(await super().aset_many(data, timeout, version))

    async def adelete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        await self.store.adelete_many(self._keys(keys, version))

    async def aclear(self) -> None:
        await self.store.aclear()
