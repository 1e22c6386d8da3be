"""What a `DjangoCache` is for proxies: a shared store, or over Django's dummy cache none at all.

How calls are answered, and how the backend is asked, is said elsewhere.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

from pussycache.cache.django_store.backend import Backend
from pussycache.cache.envelope import Sealer
from pussycache.cache.identity import identity
from pussycache.cache.memory import MemoryCache
from pussycache.cache.null import NullCache
from pussycache.cache.wire.unreachable import Unreachable
from pussycache.engine import background
from pussycache.engine.scopes import place_of
from pussycache.errors import BackendUnavailable
from pussycache.stats import CacheInfo, added_up

try:
    from pussycache.cache.django_store.tables import DjangoScope
    from pussycache.cache.django_store.tier import DjangoTier
    from pussycache.cache.serializers import Serializer, choose
    from pussycache.cache.shared.operations import SHARED
    from pussycache.cache.shared.tags import SharedTags
except ImportError as error:
    raise ImportError(
        f"DjangoCache, as the cache of a proxy, needs the package {error.name!r}: "
        'pip install "pussycache[django]"'
    ) from error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pussycache.engine.asking import Far
    from pussycache.engine.generations import Table
    from pussycache.engine.scopes import Scope
    from pussycache.engine.tags import Tags
    from pussycache.stats import Store as State

__all__ = ["Store"]


class Store:
    """What the proxies of one `DjangoCache` share.

    :param handler: where the cache of Django's is found by its alias.
    :param ttl: seconds that entries are good where nothing else is said; `None` is for ever.
    :raises ConfigurationError: if nothing can be promised over that cache.
    """

    def __init__(
        self,
        handler: Any,
        alias: str,
        ttl: float | None,
        label: str,
        *,
        serializer: str | Serializer,
        secret_keys: Sequence[str | bytes] | None,
        insecure: bool,
        on_outage: str,
    ) -> None:
        chosen = choose(serializer, secret_keys=secret_keys, insecure=insecure)
        sealer = Sealer(secret_keys)
        self._backend = Backend(handler, alias)
        self._tier: DjangoTier | None = None
        if not self._backend.keeps:
            self._near: MemoryCache = NullCache()
            self.far: Far | None = None
            self.tags: Tags = self._near.tags
            return
        # What of the tables is in this process: their counts, loads and history.
        self._near = MemoryCache(ttl, max_entries=1)
        self.far = SHARED
        self._tier = DjangoTier(
            self._backend,
            ttl,
            self.far,
            chosen,
            sealer,
            refuses=on_outage == "refuse",
            label=label,
        )
        self.tags = self._shared_tags = SharedTags(self._tier, threading.RLock())
        self._scopes: weakref.WeakValueDictionary[str, DjangoScope] = weakref.WeakValueDictionary()

    @property
    def pending(self) -> int:
        """How many invalidations the backend has not been told of yet."""
        return 0 if self._tier is None else self._tier.debts

    def scope(self, target: object, proxy: object, namespace: str | None, version: Any) -> Scope:
        """Return what is remembered of an object: that of all that stand for the same."""
        owner, place = identity(target, namespace, version), place_of(target)
        if self._tier is None:
            return self._near.scope(target, proxy, namespace, version)
        with self._near.lock:
            scope = self._scopes.get(owner)
            if scope is None:
                scope = DjangoScope(self._near, place, self._tier, self._shared_tags, owner)
                self._scopes[owner] = scope
                self._near.host(scope)
            return scope

    @property
    def state(self) -> State | None:
        """How it stands with the backend, without asking it."""
        return None if self._tier is None else self._tier.store

    def labelled(self) -> list[tuple[str, Table]]:
        """Return the methods that are remembered here, as statistics call them."""
        if self._tier is None:
            return self._near.labelled()
        with self._near.lock:
            scopes = list(self._scopes.values())
        tables = [table for scope in scopes for table in list(scope.tables.values())]
        return [(table.label, table) for table in tables]

    def figures(self) -> dict[str, CacheInfo]:
        """Return what happened so far in this process, by method."""
        if self._tier is None:
            return self._near.figures()
        parts = [(label, table.info()) for label, table in self.labelled()]
        return added_up([*parts, *self._tier.departed.figures().items()])

    def clear(self) -> None:
        """Make all entries be gone.

        :raises BackendUnavailable: if the backend does not do it.
        """
        if self._tier is not None:
            try:
                self._tier.clear()
            except Unreachable as error:
                raise BackendUnavailable(f"nothing was cleared: {error}; try again") from error

    def close(self) -> None:
        """End what is done in the background, and deliver what is pending, once."""
        if self._tier is not None:
            background.end_of(self._near)
            self._tier.keeper.close()
            self._tier.keeper.deliver_now()
            self._backend.close()
