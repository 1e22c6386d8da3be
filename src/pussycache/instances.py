"""What decorated classes declare, and where the entries of their instances are found.

Instances are known by their identity and never kept alive. What a decorator makes of a function is
the business of decorators.py.
"""

from __future__ import annotations

import itertools
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pussycache.cache.base import Cache
from pussycache.cache.forks import watch_writers
from pussycache.cache.memory import MemoryCache
from pussycache.compile import Handle, ids_of, planned
from pussycache.declare.rules import Match
from pussycache.declare.templates import ForgetTag
from pussycache.effects import attributes, decorated, handle_of, of_item, undecorated
from pussycache.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pussycache.cache.described import Described
    from pussycache.declare.policy import Cached
    from pussycache.declare.rules import Forget
    from pussycache.declare.signatures import Method
    from pussycache.engine.entry import Cause
    from pussycache.engine.fences import Fence
    from pussycache.engine.generations import Table
    from pussycache.engine.ids import Ids
    from pussycache.engine.plan import Plan
    from pussycache.engine.tags import Tags
    from pussycache.writers import Writing

__all__ = ["Shared", "Tables", "declared_by", "made_wrong", "named_by", "tags_near"]

_serials: Final[Iterator[int]] = itertools.count(1)
_caches: Final[weakref.WeakValueDictionary[tuple[str, str], MemoryCache]] = (
    weakref.WeakValueDictionary()
)


class Tables:
    """The tables of one decorated method, by the identity of the instance."""

    handle: Handle

    def __init__(
        self, method: Method, function: Any, cache: Cache | Callable[[Any], Cache] | None
    ) -> None:
        # Not by the name alone: two functions may bear one. In a shared store it has to do.
        self._shared_name = f"{function.__module__}.{function.__qualname__}"
        self._name = f"{self._shared_name} {next(_serials)}"
        self._method = method
        if cache is None:
            place = (function.__module__, function.__qualname__.rpartition(".")[0])
            cache = _caches.get(place) or _caches.setdefault(place, MemoryCache())
        self.cache: Cache | Callable[[Any], Cache] = cache
        # An address is given to a new object only after the callback of the old one's reference
        # has taken it out of here.
        self.by_id: dict[int, Table] = {}
        self._references: dict[int, weakref.ref[Any]] = {}
        self._fences: list[Fence] = []
        self._written = False
        watch_writers(self)

    def of(self, owner: Any) -> Table:
        """Return the table of an instance, made at its first use."""
        table = self.by_id.get(id(owner))
        if table is not None:
            return table
        kind = owner if isinstance(owner, type) else type(owner)
        declared = declared_by(kind)
        indexes = declared.indexes.get(id(self.handle), ())
        cache: Any = self.cache if isinstance(self.cache, Cache) else self.cache(owner)
        if not isinstance(cache, Cache):
            raise ConfigurationError(
                f"the cache callable of {self._method.name!r} returned {cache!r}; return a cache"
            )
        try:
            reference = weakref.ref(owner, partial(self._gone, id(owner)))
        except TypeError:
            raise ConfigurationError(
                f"instances of {kind.__qualname__} cannot be weakly referenced, so cached methods "
                "cannot know when they are gone; add '__weakref__' to its __slots__"
            ) from None
        name = self._name if cache.far is None else self._shared_name
        table = cache.scope(owner, owner, None, None).table(name)
        for at, names in indexes:
            table.index(at, names)
        for writer in declared.writers.get(id(self.handle), ()):
            table.written_by(writer)
        self._references[id(owner)] = reference
        self.by_id[id(owner)] = table
        # A writer for all instances writes for one that was not there when it began, too.
        with table.lock:
            table.fences = [*table.fences, *self._fences]
            if table.touched is not None and self._written:
                table.touched.everything()
        table.teller = partial(_described, weakref.ref(self), reference)
        waiting = table.home.waiting
        if waiting is not None:
            waiting.meet(table)
        return table

    def for_all(self, where: str) -> Tables:
        """Return what is written for all instances.

        :param where: what would write for them.
        :raises ConfigurationError: where their entries, as far as that is known, are outside of
            this process.
        """
        caches = [self.cache, *[table.cache for table in list(self.by_id.values())]]
        if any(getattr(cache, "far", None) is not None for cache in caches):
            raise ConfigurationError(
                f"{where} names {self._method.name!r} of all instances, whose results are in a "
                "shared store: which instances other processes have is not known; give the "
                "results a tag, and forget that in its place"
            )
        return self

    def forget_others(self) -> None:
        """Forget the writers of threads that are not here: see cache/forks.py."""
        self._fences = []

    def index(self, at: tuple[int, ...], names: tuple[str, ...] = ()) -> None:
        """Make the entries of all instances findable by these arguments."""
        for table in list(self.by_id.values()):
            table.index(at, names)

    def shut(self, fence: Fence, cause: Cause) -> None:
        """Begin a write for all instances."""
        self._written = True
        self._fences = [*self._fences, fence]
        for table in list(self.by_id.values()):
            table.shut(fence, cause)

    def open(self, fence: Fence, cause: Cause) -> None:
        """End a write for all instances."""
        self._fences = [other for other in self._fences if other is not fence]
        for table in list(self.by_id.values()):
            table.open(fence, cause)

    def _gone(self, ident: int, reference: object) -> None:
        if self._references.get(ident) is reference:
            del self._references[ident], self.by_id[ident]


def _described(
    tables: weakref.ref[Tables], owner: weakref.ref[Any], table: Table
) -> Described | None:
    from pussycache.cache.described import Described

    found, instance = tables(), owner()
    if found is None or instance is None:
        return None
    handle = found.handle
    return Described(
        found._shared_name, handle.method, handle.cached, handle.plan(table), instance, instance
    )


class Shared:
    """Where a decorated method for many ids finds the entries of the method for one.

    Which method that is, is asked of the class of each instance: a subclass may have another one.
    """

    def __init__(
        self, method: Method, policy: Cached, cache: Cache | Callable[[Any], Cache] | None
    ) -> None:
        self._method = method
        self._policy = policy
        self._cache = cache
        # By what of the cache they depend on, too.
        self._by_class: weakref.WeakKeyDictionary[type, dict[Any, tuple[Plan, Ids]]] = (
            weakref.WeakKeyDictionary()
        )
        self._by_table: weakref.WeakKeyDictionary[Table, tuple[Plan, Ids]] = (
            weakref.WeakKeyDictionary()
        )

    @property
    def tables(self) -> list[Table]:
        """The tables that are known."""
        return list(self._by_table)

    @property
    def cache(self) -> Cache | None:
        """The cache of the last instance that is known."""
        tables = self.tables
        return tables[-1].home if tables else None  # type: ignore[return-value]

    def plan(self, table: Table) -> Plan:
        """Return the plan for an instance, by its table."""
        return self._by_table[table][0]

    def ids(self, table: Table) -> Ids:
        """Return how calls come apart, for an instance, by its table."""
        return self._by_table[table][1]

    def of(self, owner: Any) -> Table:
        """Return the table of an instance."""
        kind = owner if isinstance(owner, type) else type(owner)
        handle = self.item(kind)
        table = handle.table(owner)
        if table not in self._by_table:
            known = self._by_class.setdefault(kind, {})
            settings = table.settings
            if settings not in known:
                known[settings] = self._made(handle, table)
            if known[settings][0].keeping.timed and not handle.plan(table).keeping.timed:
                # What is there so far, of the method for one, lasts for ever.
                table.mixed = True
            self._by_table[table] = known[settings]
        return table

    def _made(self, handle: Handle, table: Table) -> tuple[Plan, Ids]:
        item = handle.plan(table)
        plan = planned(self._method, self._policy, *table.settings, item)
        ids = ids_of(self._method, self._policy, plan, (handle.method, handle.cached, item))
        assert ids is not None
        return plan, ids

    def item(self, kind: type) -> Handle:
        """Return what stands behind the method for one id of a class."""
        name = self._policy.item
        raw = next((raw for known, raw in attributes(kind) if known == name), None)
        handle = getattr(undecorated(raw), "__pussycache__", None)
        where = f"item of {self._method.name!r} names {name!r}"
        if not isinstance(handle, Handle) or handle.everywhere is None:
            raise ConfigurationError(
                f"{where}, which is no cached method of {kind.__qualname__}; decorate it with "
                "cached, too"
            )
        if self._cache is not None and self._cache is not handle.everywhere.cache:
            raise ConfigurationError(
                f"{where}, whose results are in another cache; leave cache= out, and say it there"
            )
        return handle


class Declarations:
    """The declarations of one class, put together: who makes its entries wrong, and by which
    arguments they must be found."""

    def __init__(self, kind: type) -> None:
        self.writers: dict[int, list[str]] = {}
        self.indexes: dict[int, set[tuple[tuple[int, ...], tuple[str, ...]]]] = {}
        for _, raw in attributes(kind):
            function = undecorated(raw)
            rules = getattr(function, "__pussycache_rules__", None)
            if rules is None:
                continue
            writing = function.__pussycache_writes__
            for handle, _, match in made_wrong(kind, writing, rules):
                self.writers.setdefault(id(handle), []).append(writing.method.label)
                if match is not None:
                    self.indexes.setdefault(id(handle), set()).add((match.at, match.names))


def made_wrong(
    kind: type, writing: Writing, rules: tuple[Forget | ForgetTag, ...]
) -> Iterator[tuple[Handle, bool, Match | None]]:
    """Yield what a write makes wrong, as the class is now."""
    for rule in rules:
        if isinstance(rule, ForgetTag):
            continue
        for named, of_class in named_by(kind, rule, writing.method.name):
            said, handle = of_item(rule, named, kind)
            match = None
            if said.mapped:
                match = Match.of(said, handle.method, handle.cached, writing.method)
            yield handle, of_class, match


def tags_near(kind: type, owner: Any) -> list[Tags]:
    """Return the tags of the caches that the methods of a class, or of an instance, are kept in."""
    found: list[Tags] = []
    for handle, of_class in decorated(kind, "*"):
        everywhere = handle.everywhere
        if everywhere is None:
            continue
        tags = getattr(everywhere.cache, "tags", None)
        if kind is not owner or of_class:
            found.append(handle.table(kind if of_class else owner).tags)
        elif tags is not None:
            # A class method writes for all instances, in other processes, too.
            found.append(tags)
        else:
            found += [table.tags for table in list(everywhere.by_id.values())]
    return list(dict.fromkeys(found))


def named_by(kind: type, rule: Forget, writing: str) -> Iterator[tuple[Handle, bool]]:
    """Yield what a rule names, in the class and in those it overrides."""
    if not isinstance(rule.method, str):
        yield handle_of(rule, f"invalidates(...) of {writing!r}"), False
        return
    if rule.method == "*" and rule.mapped:
        raise ConfigurationError(f"{rule!r}: '*' forgets everything, without names")
    if rule.method != "*" and not hasattr(kind, rule.method):
        raise ConfigurationError(
            f"invalidates(...) of {writing!r} names {rule.method!r}, but {kind.__qualname__} has "
            "no such attribute; name a method of the class"
        )
    yield from decorated(kind, rule.method)


_classes: Final[weakref.WeakKeyDictionary[type, Declarations]] = weakref.WeakKeyDictionary()


def declared_by(kind: type) -> Declarations:
    known = _classes.get(kind)
    if known is None:
        known = _classes[kind] = Declarations(kind)
    return known
