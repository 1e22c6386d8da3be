"""`DjangoCache`: any cache that Django is configured with, for proxies and by our vocabulary.

The face: settings, identity and the vocabulary. How the promise is kept over such a cache is said
in django_store, and nothing of it here.
"""

from __future__ import annotations

import re
import secrets
import threading
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, Literal

from pussycache.cache import forks
from pussycache.cache.base import Cache
from pussycache.declare.policy import seconds
from pussycache.errors import BackendUnavailable, ConfigurationError, InvalidationPending
from pussycache.types import MISSING

try:
    import django  # noqa: F401 # what needs it imports it when called, with settings there
except ImportError as error:
    raise ImportError(
        f'DjangoCache needs the package {error.name!r}: pip install "pussycache[django]"'
    ) from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import timedelta

    from pussycache.cache.base import Timeout
    from pussycache.cache.django_store.store import Store
    from pussycache.cache.serializers import Serializer
    from pussycache.engine.asking import Far
    from pussycache.engine.generations import Table
    from pussycache.engine.scopes import Scope
    from pussycache.engine.tags import Tags
    from pussycache.stats import CacheInfo
    from pussycache.stats import Store as State

__all__ = ["DjangoCache"]

_GENERATION: Final = "pussycache:generation"
_ORDINARY: Final = re.compile("[!-~]{1,128}")
_PLAIN: Final = (str, bytes, int, float, bool, type(None))


class DjangoCache(Cache):
    """A cache of Django's ``CACHES``, whatever its backend.

    :param alias: which one of ``CACHES``.
    :param ttl: seconds (or a `timedelta`) that entries are good where nothing else is said; `None`,
        the default, is the ``TIMEOUT`` of the alias.
    :param serializer: how results of proxies are written: ``"msgpack"``, ``"pickle"``, or a
        `Serializer`.
    :param secret_keys: with what those are signed: the first signs, all verify.
    :param insecure: allow pickle without ``secret_keys``.
    :param on_outage: what a write does when the backend cannot be told of it: ``"queue"`` runs it,
        and tells the backend as soon as it answers; ``"refuse"`` raises `BackendUnavailable` before
        the method runs.
    :raises ConfigurationError: for an argument that cannot work.

    As the cache of a proxy it is a shared store: what holds over which backend is told in
    docs/django-caches.md. Reads never fail because the backend did: they compute.

    In the vocabulary, keys are texts, bytes, numbers, `None`, and tuples of these. They are made
    legal for memcached, and apart from those that others put into the same cache: `clear` makes all
    that was put there by this class, in whatever process, be gone at once, and leaves the rest
    alone. What it costs is a second look-up for each call: keys begin with a random token, which is
    kept in the cache, too. Where the token is lost, what was stored with it is never found again.
    """

    def __init__(
        self,
        alias: str = "default",
        ttl: float | int | timedelta | None = None,
        *,
        serializer: str | Serializer = "msgpack",
        secret_keys: Sequence[str | bytes] | None = None,
        insecure: bool = False,
        on_outage: Literal["queue", "refuse"] = "queue",
    ) -> None:
        if not isinstance(alias, str):
            raise ConfigurationError(f"alias must be the name of one of CACHES, not {alias!r}")
        if on_outage not in ("queue", "refuse"):
            raise ConfigurationError(f"on_outage must be 'queue' or 'refuse', not {on_outage!r}")
        self.alias = alias
        self._ttl = None if ttl is None else seconds(ttl, "ttl")
        self._writing: dict[str, Any] = {
            "serializer": serializer,
            "secret_keys": secret_keys,
            "insecure": insecure,
            "on_outage": on_outage,
        }
        self._lock = threading.Lock()
        self._made: Store | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.alias!r}, ttl={self._ttl!r})"

    def __getstate__(self) -> dict[str, Any]:
        # A copy is one with the same settings.
        return {**self.__dict__, "_lock": None, "_made": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    @property
    def ttl(self) -> float | None:  # type: ignore[override] # its settings may be read later
        """Seconds that entries are good where nothing else is said, `None` for ever."""
        if self._ttl is not None:
            return self._ttl
        lasting: float | None = self._django.default_timeout
        return lasting

    @property
    def _handler(self) -> Any:
        """Where the backend is found."""
        from django.core.cache import caches

        return caches

    @property
    def _django(self) -> Any:
        """The backend, as Django has it for the current context."""
        try:
            return self._handler[self.alias]
        except Exception as error:
            raise _explained(error, self.alias) from error

    # For proxies.

    @property
    def _store(self) -> Store:
        """What proxies keep their results in; the settings are read when it is first asked for."""
        with self._lock:
            if self._made is None:
                from pussycache.cache.django_store.store import Store

                lasting = self.ttl
                self._made = Store(self._handler, self.alias, lasting, self.label, **self._writing)
                forks.enlist(self)
            return self._made

    @property
    def far(self) -> Far | None:  # type: ignore[override] # as above
        """How calls are answered whose entries are there."""
        return self._store.far

    @property
    def tags(self) -> Tags:
        """The tags of its entries: see `forget_tag`."""
        return self._store.tags

    @property
    def pending(self) -> int:
        """How many invalidations the backend has not been told of yet."""
        return self._store.pending

    def scope(self, target: object, proxy: object, namespace: str | None, version: Any) -> Scope:
        """Return what is remembered of an object: that of all that stand for the same."""
        return self._store.scope(target, proxy, namespace, version)

    # For those who look at it; nothing is asked for that.

    @property
    def label(self) -> str:
        """What statistics call it: by its class and its alias."""
        return f"{type(self).__name__}({self.alias})"

    @property
    def store(self) -> State | None:
        """How it stands with its backend, where proxies use it."""
        return None if self._made is None else self._made.state

    def labelled(self) -> list[tuple[str, Table]]:
        return [] if self._made is None else self._made.labelled()

    def figures(self) -> dict[str, CacheInfo]:
        return {} if self._made is None else self._made.figures()

    # The vocabulary.

    def _place(self, key: Any) -> str:
        return self._places([key])[0]

    def _places(self, keys: Iterable[Any]) -> list[str]:
        django = self._django
        legal = [_legal(key) for key in keys]
        token = django.get(_GENERATION)
        if token is None:
            token = secrets.token_urlsafe(12)
            if not django.add(_GENERATION, token, None):
                # Somebody else was first. One that is lost again already is as good as any.
                token = django.get(_GENERATION, token)
        return [f"pussycache:{token}:{key}" for key in legal]

    def get(self, key: Any, default: Any = None) -> Any:
        try:
            return self._django.get(self._place(key), default)
        except ConfigurationError:
            raise
        except Exception:
            # Whatever a backend raises that is away, or cannot read what it finds.
            return default

    def set(self, key: Any, value: Any, timeout: Timeout = MISSING) -> None:
        lasting = self.lasting(timeout)
        if lasting is not None and lasting <= 0:
            self.delete(key)
        else:
            self._django.set(self._place(key), value, lasting)

    def add(self, key: Any, value: Any, timeout: Timeout = MISSING) -> bool:
        lasting = self.lasting(timeout)
        if lasting is not None and lasting <= 0:
            return False
        return bool(self._django.add(self._place(key), value, lasting))

    def touch(self, key: Any, timeout: Timeout = MISSING) -> bool:
        lasting = self.lasting(timeout)
        if lasting is not None and lasting <= 0:
            return self.delete(key)
        return bool(self._django.touch(self._place(key), lasting))

    def delete(self, key: Any) -> bool:
        return bool(self._django.delete(self._place(key)))

    def has_key(self, key: Any) -> bool:
        try:
            return bool(self._django.has_key(self._place(key)))
        except ConfigurationError:
            raise
        except Exception:
            return False

    def incr(self, key: Any, delta: int = 1) -> int:
        return self._counted("incr", key, delta)

    def decr(self, key: Any, delta: int = 1) -> int:
        return self._counted("decr", key, delta)

    def _counted(self, call: str, key: Any, delta: int) -> int:
        place = self._place(key)
        try:
            number: int = getattr(self._django, call)(place, delta)
        except ValueError as error:
            if place not in str(error):
                raise
            # Backends name the key as it was given to them.
            raise ValueError(f"Key {key!r} not found") from error
        return number

    def get_many(self, keys: Iterable[Any]) -> dict[Any, Any]:
        keys = list(keys)
        try:
            places = self._places(keys)
            found = self._django.get_many(places)
        except ConfigurationError:
            raise
        except Exception:
            return {}
        return {
            key: found[place] for key, place in zip(keys, places, strict=True) if place in found
        }

    def set_many(self, data: Mapping[Any, Any], timeout: Timeout = MISSING) -> list[Any]:
        lasting = self.lasting(timeout)
        if lasting is not None and lasting <= 0:
            self.delete_many(data)
            return []
        keys = dict(zip(self._places(data), data, strict=True))
        failed = self._django.set_many({place: data[keys[place]] for place in keys}, lasting)
        # Some backends name what failed as they were given it, some as they stored it.
        return [keys[place] for place in failed or () if place in keys]

    def delete_many(self, keys: Iterable[Any]) -> None:
        self._django.delete_many(self._places(keys))

    def clear(self) -> None:
        """Make all be gone that was put there by this class, also for proxies.

        Loads that are under way are not stored. A writer at work stays one.

        :raises BackendUnavailable: if the backend does not do it.
        """
        # What bears the old token is never found again; it is freed as it expires.
        django = self._django
        try:
            django.set(_GENERATION, secrets.token_urlsafe(12), None)
        except Exception as error:
            raise BackendUnavailable(f"nothing was cleared: {error}; try again later") from error
        self._store.clear()

    def close(self) -> None:
        """End what is done for proxies in the background, and close this thread's connection.

        The vocabulary opens it again when needed; proxies compute from then on.

        :raises InvalidationPending: if the backend could not be told of a write, also now.
        """
        with self._lock:
            made = self._made
        if made is not None:
            forks.delist(self)
            made.close()
        self._django.close()
        if made is not None and made.pending:
            raise InvalidationPending(
                f"{made.pending} invalidations have not reached the backend, and will not from "
                "here: other processes may be served what they made wrong, until it expires; clear "
                f"the cache {self.alias!r}"
            )

    # Django's backends block, and the one in the database may not be used in an event loop.

    async def aget(self, key: Any, default: Any = None) -> Any:
        return await _in_thread(self.get, key, default)

    async def aset(self, key: Any, value: Any, timeout: Timeout = MISSING) -> None:
        await _in_thread(self.set, key, value, timeout)

    async def aadd(self, key: Any, value: Any, timeout: Timeout = MISSING) -> bool:
        return bool(await _in_thread(self.add, key, value, timeout))

    async def atouch(self, key: Any, timeout: Timeout = MISSING) -> bool:
        return bool(await _in_thread(self.touch, key, timeout))

    async def adelete(self, key: Any) -> bool:
        return bool(await _in_thread(self.delete, key))

    async def ahas_key(self, key: Any) -> bool:
        return bool(await _in_thread(self.has_key, key))

    async def aincr(self, key: Any, delta: int = 1) -> int:
        return int(await _in_thread(self.incr, key, delta))

    async def adecr(self, key: Any, delta: int = 1) -> int:
        return int(await _in_thread(self.decr, key, delta))

    async def aget_many(self, keys: Iterable[Any]) -> dict[Any, Any]:
        found: dict[Any, Any] = await _in_thread(self.get_many, keys)
        return found

    async def aset_many(self, data: Mapping[Any, Any], timeout: Timeout = MISSING) -> list[Any]:
        failed: list[Any] = await _in_thread(self.set_many, data, timeout)
        return failed

    async def adelete_many(self, keys: Iterable[Any]) -> None:
        await _in_thread(self.delete_many, keys)

    async def aclear(self) -> None:
        await _in_thread(self.clear)

    async def aclose(self) -> None:
        await _in_thread(self.close)


def _explained(error: Exception, alias: str) -> Exception:
    """Return what is raised where Django does not give a cache."""
    from django.core.cache.backends.base import InvalidCacheBackendError
    from django.core.exceptions import ImproperlyConfigured

    if isinstance(error, InvalidCacheBackendError):
        return ConfigurationError(
            f"alias is {alias!r}, and Django cannot make that cache: {error}; name one of CACHES "
            "in the settings"
        )
    if isinstance(error, ImproperlyConfigured):
        return ConfigurationError(
            f"alias {alias!r} is one of Django's settings, and there are none: {error} Use "
            "DjangoCacheBackend(timeout, backend, location), which configures Django"
        )
    return error


async def _in_thread(function: Callable[..., Any], *args: Any) -> Any:
    from asgiref.sync import sync_to_async

    # The one in which Django keeps its connections.
    return await sync_to_async(function, thread_sensitive=True)(*args)


def _legal(key: Any) -> str:
    """Return a key that every backend takes, and that no other key has."""
    if type(key) is str and _ORDINARY.fullmatch(key):
        return f"={key}"
    _check(key)
    # These are written differently where they differ in type or content.
    return "#" + blake2b(repr(key).encode("utf-8", "surrogatepass"), digest_size=24).hexdigest()


def _check(key: Any) -> None:
    if type(key) is tuple:
        for part in key:
            _check(part)
    elif type(key) not in _PLAIN:
        raise ConfigurationError(
            f"key cannot be used: {key!r} is no text, bytes, number, None or tuple of these; use a "
            "string"
        )
