"""The figures of several methods, objects and caches at one moment: what pages and exporters read.

Nothing is counted here; what the figures mean is said in stats.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, final

from pussycache.cache import forks
from pussycache.cache.base import Cache
from pussycache.compile import Handle
from pussycache.errors import ConfigurationError
from pussycache.stats import OTHERS, CacheInfo, added_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pussycache.engine.generations import Table
    from pussycache.engine.home import Figured
    from pussycache.stats import Store

__all__ = ["Snapshot", "snapshot", "tables"]

_MOST: Final = 500
"""So many methods are told apart; the rest are added up."""


@final
class Snapshot:
    """What had happened by one ``moment``, seconds of the wall clock since 1970.

    ``methods`` has the `CacheInfo` of each method by its label: the module and the name of its
    class, and its own. Where methods of several kinds of caches would have the same, the cache is
    named, too; ``caches`` says for each label which cache it is in. Of very many methods those
    called most are told apart, and the rest are added up as ``"(others)"``. ``edges`` says how
    often a writer has made a method's entries wrong, by both; those that are declared and have not
    written yet have 0. ``stores`` has a `Store` for each shared cache.

    A later snapshot minus an earlier one is what happened in between.
    """

    __slots__ = ("caches", "methods", "moment", "stores")

    moment: float
    methods: Mapping[str, CacheInfo]
    caches: Mapping[str, str]
    stores: tuple[Store, ...]

    def __init__(
        self,
        moment: float,
        methods: Mapping[str, CacheInfo],
        caches: Mapping[str, str],
        stores: Iterable[Store] = (),
    ) -> None:
        for name, value in (
            ("moment", moment),
            ("methods", MappingProxyType(dict(methods))),
            ("caches", MappingProxyType(dict(caches))),
            ("stores", tuple(stores)),
        ):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a snapshot does not change; take another one")

    def __reduce__(self) -> tuple[Any, ...]:
        return Snapshot, (self.moment, dict(self.methods), dict(self.caches), self.stores)

    def __repr__(self) -> str:
        return f"<Snapshot of {len(self.methods)} methods at {self.moment:.3f}>"

    @property
    def total(self) -> CacheInfo:
        """The figures of all methods together."""
        return CacheInfo.total(self.methods.values())

    @property
    def edges(self) -> Mapping[tuple[str, str], int]:
        """How often what writer made the entries of what method wrong."""
        return {
            (writer, label): count
            for label, info in self.methods.items()
            for writer, count in info.invalidated.items()
        }

    def __sub__(self, earlier: Snapshot) -> Snapshot:
        then = earlier.methods
        between = {
            label: info - then[label] if label in then else info
            for label, info in self.methods.items()
            if label != OTHERS and (label in then or OTHERS not in then)
        }
        if OTHERS in self.methods or OTHERS in then:
            # What is told apart may not be the same methods; the sum is of the same.
            apart = CacheInfo.total(between.values())
            others = (self.total - earlier.total) - apart
            gauges = CacheInfo.total([i for n, i in self.methods.items() if n not in between])
            between[OTHERS] = others._replace(entries=gauges.entries, bytes=gauges.bytes)
        caches = {label: self.caches.get(label, "") for label in between}
        return Snapshot(self.moment, between, caches, self.stores)


def snapshot(*sources: object) -> Snapshot:
    """Return the figures of proxies, decorated functions and caches, as they are now.

    :param sources: without any, all caches of this process.
    :raises ConfigurationError: for anything else, or an invalidating method.

    It asks no server. Several objects of one class have their figures added up. What several
    sources have in common, such as two proxies of one object, is counted once.

    >>> import pussycache
    >>> users = pussycache.wrap(
    ...     {7: "ada"}, cached_methods=["get"], invalidate_methods={"update": ["get"]}
    ... )
    >>> before = pussycache.snapshot(users)
    >>> users.get(7), users.get(7), users.update({8: "grace"})
    ('ada', 'ada', None)
    >>> between = pussycache.snapshot(users) - before
    >>> between.methods["builtins.dict.get"].hits, between.edges
    (1, {('dict.update', 'builtins.dict.get'): 1})
    """
    parts: dict[str, list[tuple[str, CacheInfo]]] = {}
    stores: list[Store] = []
    # Of caches alone nobody has to look through all objects.
    alone = not any(map(_is_no_cache, sources))
    whole = {id(cache): cache for cache in sources or forks.known()}
    for source, known in [(cache, []) for cache in whole.values()] if alone else _apart(sources):
        for cache, found in _parts(source, known):
            parts.setdefault(cache.label, []).extend(found)
            store = cache.store
            if store is not None and store not in stores:
                stores.append(store)
    by_cache = {name: added_up(found) for name, found in parts.items()}
    methods: dict[str, CacheInfo] = {}
    caches = {}
    for name, figures in by_cache.items():
        for label, info in figures.items():
            alone = sum(label in others for others in by_cache.values()) == 1
            shown = label if alone else f"{label} in {name}"
            methods[shown], caches[shown] = info, name
    return Snapshot(time(), *_bounded(methods, caches), stores)


def tables(*sources: object) -> list[Table]:
    """Return what this process knows of each method of each object among the same sources."""
    return [table for _, found in _apart(sources or forks.known()) for table in found]


def _apart(sources: Iterable[Any]) -> list[tuple[Any, list[Table]]]:
    """Return each source with the methods that none before it has; caches, which have most, first.

    :raises ConfigurationError: for what is no source.
    """
    seen: dict[int, object] = {}
    apart = []
    for source in sorted(sources, key=_is_no_cache):
        found = []
        for table in _tables(source):
            if id(table) not in seen:
                # Kept: one that was made for this one time would leave its number to another.
                seen[id(table)] = table
                found.append(table)
        if id(source) not in seen:
            seen[id(source)] = source
            apart.append((source, found))
    return apart


def _parts(
    source: Any, found: list[Table]
) -> Iterator[tuple[Figured, list[tuple[str, CacheInfo]]]]:
    """Yield figures by label, and what they are figures of."""
    if not _is_no_cache(source):
        # With those of objects that are gone.
        yield source, list(source.figures().items())
    elif _is_proxy(source):
        # The cache also of one that only writes.
        yield source._pussycache_about.cache, _told(found)
    else:
        for table in found:
            yield table.cache, _told([table])


def _is_no_cache(source: object) -> bool:
    return not issubclass(type(source), Cache)


def _is_proxy(source: object) -> bool:
    return hasattr(type(source), "_pussycache_slots")


def _told(found: Iterable[Table]) -> list[tuple[str, CacheInfo]]:
    return [(table.label, table.info()) for table in found]


def _tables(source: Any) -> list[Table]:
    if issubclass(type(source), Cache):
        return [table for _, table in source.labelled()]
    if _is_proxy(source):
        return list(source._pussycache_about.scope.tables.values())
    handle = getattr(source, "__pussycache__", None)
    if not isinstance(handle, Handle):
        raise ConfigurationError(
            f"snapshot takes proxies, cached functions and caches, not {source!r}; wrap the object "
            "or decorate the function first, or give the cache"
        )
    owner = getattr(source, "__self__", None)
    if owner is None and handle.owned:
        everywhere = handle.everywhere
        return [] if everywhere is None else list(everywhere.by_id.values())
    return [handle.table(owner)]


def _bounded(
    methods: dict[str, CacheInfo], caches: dict[str, str]
) -> tuple[dict[str, CacheInfo], dict[str, str]]:
    """Add up all but the methods that are called most."""
    if len(methods) <= _MOST:
        return methods, caches
    most = sorted(methods, key=lambda label: methods[label].hits + methods[label].misses)
    apart = set(most[-_MOST + 1 :]) - {OTHERS}
    others = CacheInfo.total([info for label, info in methods.items() if label not in apart])
    kept = {label: info for label, info in methods.items() if label in apart}
    return kept | {OTHERS: others}, {label: caches[label] for label in kept} | {OTHERS: ""}
