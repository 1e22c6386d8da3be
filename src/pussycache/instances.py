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
from pussycache.compile import Handle
from pussycache.declare.rules import Match
from pussycache.declare.templates import ForgetTag
from pussycache.effects import attributes, decorated, handle_of, undecorated
from pussycache.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pussycache.declare.rules import Forget
    from pussycache.declare.signatures import Method
    from pussycache.engine.entry import Cause
    from pussycache.engine.fences import Fence
    from pussycache.engine.generations import Table
    from pussycache.engine.tags import Tags
    from pussycache.writers import Writing

__all__ = ["Tables", "declared_by", "made_wrong", "named_by", "tags_near"]

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
        # Not by the name alone: two functions may bear one.
        self._name = f"{function.__module__}.{function.__qualname__} {next(_serials)}"
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
        watch_writers(self)

    def of(self, owner: Any) -> Table:
        """Return the table of an instance, made at its first use."""
        table = self.by_id.get(id(owner))
        if table is not None:
            return table
        kind = owner if isinstance(owner, type) else type(owner)
        indexes = declared_by(kind).indexes.get(id(self.handle), ())
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
        table = cache.scope(owner, owner, None, None).table(self._name)
        for at in indexes:
            table.index(at)
        self._references[id(owner)] = reference
        self.by_id[id(owner)] = table
        # A writer for all instances writes for one that was not there when it began, too.
        with table.lock:
            table.fences = [*table.fences, *self._fences]
        return table

    def forget_others(self) -> None:
        """Forget the writers of threads that are not here: see cache/forks.py."""
        self._fences = []

    def index(self, at: tuple[int, ...]) -> None:
        """Make the entries of all instances findable by these arguments."""
        for table in list(self.by_id.values()):
            table.index(at)

    def shut(self, fence: Fence, cause: Cause) -> None:
        """Begin a write for all instances."""
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


class Declarations:
    """The declarations of one class, put together: by which arguments its entries must be found."""

    def __init__(self, kind: type) -> None:
        self.indexes: dict[int, set[tuple[int, ...]]] = {}
        for _, raw in attributes(kind):
            function = undecorated(raw)
            rules = getattr(function, "__pussycache_rules__", None)
            if rules is None:
                continue
            for handle, _, match in made_wrong(kind, function.__pussycache_writes__, rules):
                if match is not None:
                    self.indexes.setdefault(id(handle), set()).add(match.at)


def made_wrong(
    kind: type, writing: Writing, rules: tuple[Forget | ForgetTag, ...]
) -> Iterator[tuple[Handle, bool, Match | None]]:
    """Yield what a write makes wrong, as the class is now."""
    for rule in rules:
        if isinstance(rule, ForgetTag):
            continue
        for handle, of_class in named_by(kind, rule, writing.method.name):
            match = None
            if rule.mapped:
                match = Match.of(rule, handle.method, handle.cached, writing.method)
            yield handle, of_class, match


def tags_near(kind: type, owner: Any) -> list[Tags]:
    """Return the tags of the caches that the methods of a class, or of an instance, are kept in."""
    found: list[Tags] = []
    for handle, of_class in decorated(kind, "*"):
        everywhere = handle.everywhere
        if everywhere is None:
            continue
        if kind is not owner or of_class:
            tables = [handle.table(kind if of_class else owner)]
        else:
            # A class method writes for all instances.
            tables = list(everywhere.by_id.values())
        found += [table.home.tags for table in tables]
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
