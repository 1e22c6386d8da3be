"""The stand-in: `BaseProxy` and `wrap`.

Who stands for what, how that is declared, copied and pickled. Where each attribute of a proxy comes
from is said by its class (standin.py); what happens in a call is decided below that.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType

from pussycache.cache.base import Cache
from pussycache.cache.memory import MemoryCache
from pussycache.declare.policy import Cached, CachedMethods, declared
from pussycache.declare.rules import Forget, InvalidateMethods, written
from pussycache.declare.signatures import find
from pussycache.declare.templates import ForgetTag
from pussycache.effects import written_through
from pussycache.engine.asking import carry
from pussycache.engine.entry import Cause
from pussycache.engine.generations import Table
from pussycache.engine.keeping import Keeping
from pussycache.engine.scopes import Scope
from pussycache.engine.writes import Effect, forget_table
from pussycache.errors import ConfigurationError
from pussycache.specials import static
from pussycache.standin import MORE_SLOTS, TARGET, class_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    from pussycache.cache.described import Described

    T = TypeVar("T")

__all__ = ["BaseProxy", "cache_of", "wrap"]


class About:
    """What a proxy was told, so that another one can be told the same; and what it came to."""

    def __init__(
        self,
        maker: type[BaseProxy],
        cache: Cache,
        cached: Mapping[str, Cached],
        writes: Mapping[str, tuple[Forget | ForgetTag, ...]],
        namespace: str | None,
        version: Any,
        self_calls: bool,
        scope: Scope,
    ) -> None:
        self.maker = maker
        self.cache = cache
        self.cached = cached
        self.writes = writes
        self.namespace = namespace
        self.version = version
        self.self_calls = self_calls
        self.scope = scope
        self.effects: dict[str, list[Effect]] = {}


class BaseProxy:
    """An object that stands for another one and remembers what its methods returned.

    :param target: the object to stand for; any object, of any class.
    :param cache: where results are kept; `None`, the default, is a private `MemoryCache`.
    :param cached_methods: names of methods to remember, or a mapping from a name to a `Cached` or
        a ttl in seconds.
    :param invalidate_methods: a mapping from the name of a method to a list of what a call of it
        makes wrong: names of methods, `Forget` rules, methods of other proxies, or ``"*"``.
    :param namespace: objects of a class that are wrapped with the same namespace share entries.
    :param version: keeps entries of different versions of a program apart.
    :param self_calls: run the target's methods with the proxy as ``self``, so that the calls inside
        the object are cached, and invalidate, too.
    :raises ConfigurationError: for a declaration that cannot work; nothing is wrapped then.

    A subclass declares for many objects:

    >>> from pussycache.proxy import BaseProxy
    >>> class Thesaurus:
    ...     def synonyms(self, word):
    ...         print("looking up", word)
    ...         return [word + "ish"]
    >>> class CachedThesaurus(BaseProxy):
    ...     cached_methods = {"synonyms": 60}
    >>> words = CachedThesaurus(Thesaurus())
    >>> words.synonyms("blue"), words.synonyms("blue")
    looking up blue
    (['blueish'], ['blueish'])
    >>> isinstance(words, Thesaurus)
    True
    """

    __slots__ = ("__weakref__", "_pussycache_about", "_pussycache_target", *MORE_SLOTS)

    cached_methods: CachedMethods = ()
    invalidate_methods: InvalidateMethods = {}  # noqa: RUF012

    _pussycache_about: About
    _pussycache_target: Any

    def __new__(
        cls,
        target: Any,
        cache: Cache | None = None,
        *,
        cached_methods: CachedMethods | None = None,
        invalidate_methods: InvalidateMethods | None = None,
        namespace: str | None = None,
        version: Any = None,
        self_calls: bool = False,
    ) -> Any:
        if cache is None:
            cache = MemoryCache()
        elif not isinstance(cache, Cache):
            raise ConfigurationError(f"cache must be a cache such as MemoryCache(), not {cache!r}")
        if namespace is not None and not isinstance(namespace, str):
            raise ConfigurationError(f"namespace must be a string, not {namespace!r}")
        try:
            hash(version)
        except TypeError:
            raise ConfigurationError(
                f"version must be hashable, not {version!r}; give a number, a string or a tuple"
            ) from None
        if not isinstance(self_calls, bool):
            raise ConfigurationError(f"self_calls must be True or False, not {self_calls!r}")
        maker = cls.__dict__.get("_pussycache_maker", cls)
        cached = declared(maker.cached_methods) | declared(
            () if cached_methods is None else cached_methods
        )
        writes = written(maker.invalidate_methods) | written(
            {} if invalidate_methods is None else invalidate_methods
        )
        for name in writes:
            if name in cached:
                raise ConfigurationError(
                    f"invalidate_methods names {name!r}, which cached_methods names, too; a method "
                    "that writes cannot be cached: take it out of one of them"
                )
        return _standing_for(target, maker, cache, cached, writes, namespace, version, self_calls)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pussycache_target, name)

    def __setattr__(self, name: str, value: Any) -> None:
        target = self._pussycache_target
        raw = static(type(target), name) if self._pussycache_about.self_calls else None
        if type(raw) is property and type(raw.fset) is FunctionType:
            raw.fset(self, value)
        else:
            setattr(target, name, value)
        _replaced(self, name)

    def __delattr__(self, name: str) -> None:
        delattr(self._pussycache_target, name)
        _replaced(self, name)

    def __copy__(self) -> Any:
        import copy

        return _again(self, copy.copy(self._pussycache_target))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        import copy

        target = copy.deepcopy(self._pussycache_target, memo)
        # An object that knows its proxy has copied it by now.
        return memo[id(self)] if id(self) in memo else _again(self, target)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        about = self._pussycache_about
        maker = about.maker
        # What the class declares is not pickled; it may hold lambdas.
        cached, writes = declared(maker.cached_methods), written(maker.invalidate_methods)
        declaration = {
            "cached_methods": {n: c for n, c in about.cached.items() if cached.get(n) != c},
            "invalidate_methods": {n: w for n, w in about.writes.items() if writes.get(n) != w},
            "namespace": about.namespace,
            "version": about.version,
            "self_calls": about.self_calls,
        }
        return _restored, (maker, self._pussycache_target, about.cache, declaration)


def _standing_for(
    target: Any,
    maker: type[BaseProxy],
    cache: Cache,
    cached: Mapping[str, Cached],
    writes: Mapping[str, tuple[Forget | ForgetTag, ...]],
    namespace: str | None,
    version: Any,
    self_calls: bool,
) -> Any:
    """Return a proxy with exactly these declarations, or say what is wrong with them."""
    for name, said in cached.items():
        if said.item is not None and said.item not in cached:
            raise ConfigurationError(
                f"item of cached_methods[{name!r}] names {said.item!r}, which cached_methods does "
                "not; name it there, too"
            )
        if said.item is not None and cached[said.item].each is not None:
            raise ConfigurationError(
                f"item of cached_methods[{name!r}] names {said.item!r}, whose entries it cannot "
                "share: that is for many ids, too; name the method for one"
            )
    methods = {name: find(_having(target, name), name, "cached_methods") for name in cached}
    methods |= {name: find(_having(target, name), name, "invalidate_methods") for name in writes}
    made = class_for(
        maker, target, cache, cached, methods, tuple(writes), self_calls, _again, _bare
    )
    proxy: Any = object.__new__(made)
    put = object.__setattr__
    put(proxy, TARGET, target)
    scope = cache.scope(target, proxy, namespace, version)
    about = About(maker, cache, cached, writes, namespace, version, self_calls, scope)
    put(proxy, "_pussycache_about", about)
    about.effects = written_through(scope, target, methods, cached, writes)
    for name, said in cached.items():
        timed = Keeping(name, said, cache.ttl).timed
        # The entries of a batch may be those of the method for one id.
        own = said if said.item is None else cached[said.item]
        scope.table(said.item or name).keyed_by(
            (own.key, tuple(sorted(own.ignore)), own.materialize, own.tags), timed, proxy
        )
    for slot, name in zip(made._pussycache_slots, cached, strict=True):  # type: ignore[attr-defined]
        table = scope.table(cached[name].item or name)
        put(proxy, slot, table)
        table.teller = _described
    # Asked for once: when nothing waits any more, there is nobody.
    waiting = scope.home.waiting
    if waiting is not None:
        for name, said in cached.items():
            if said.item is None:
                waiting.meet(scope.table(name))
    return proxy


def _described(table: Table) -> Described | None:
    from pussycache.cache.described import Described

    for proxy in table.users:
        handle = type(proxy).__dict__[table.name].__pussycache__
        about: About = proxy._pussycache_about
        target = proxy._pussycache_target
        return Described(
            *(table.name, handle.method, handle.cached, handle.plan(table), target, target),
            *(about.namespace, about.version),
        )
    return None


def _restored(
    maker: type[BaseProxy], target: Any, cache: Cache, declaration: dict[str, Any]
) -> Any:
    return maker(target, cache, **declaration)


def _again(proxy: Any, target: Any) -> Any:
    """Return a proxy of another object, with the same declarations as far as it has the methods."""
    about = proxy._pussycache_about
    cached, writes = about.cached, about.writes
    if type(target) is not type(proxy._pussycache_target):

        def has(said: str | Forget | ForgetTag) -> bool:
            name = said.method if isinstance(said, Forget) else said
            return not isinstance(name, str) or name == "*" or hasattr(target, name)

        cached = {name: said for name, said in cached.items() if has(name)}
        writes = {n: tuple(filter(has, rules)) for n, rules in writes.items() if has(n)}
    return _standing_for(
        target,
        about.maker,
        about.cache,
        cached,
        writes,
        about.namespace,
        about.version,
        about.self_calls,
    )


def _having(target: Any, name: str) -> Any:
    """Return the object whose method it is, where the target is a proxy that hands it on."""
    while issubclass(type(target), BaseProxy) and type(static(type(target), name)) is property:
        target = target._pussycache_target
    return target


def _bare(some: Any) -> Any:
    """Return what stands behind a proxy; anything else as it is."""
    return some._pussycache_target if issubclass(type(some), BaseProxy) else some


def _replaced(proxy: BaseProxy, name: str) -> None:
    about = proxy._pussycache_about
    said = about.cached.get(name)
    name = (said and said.item) or name
    if name in about.scope.tables:
        carry(forget_table(about.scope.table(name), Cause(f"{name} was replaced")))


def wrap(
    target: T,
    cache: Cache | None = None,
    *,
    cached_methods: CachedMethods = (),
    invalidate_methods: InvalidateMethods | None = None,
    namespace: str | None = None,
    version: Any = None,
    self_calls: bool = False,
) -> T:
    """Return a stand-in for an object that remembers what its methods returned.

    The parameters are those of `BaseProxy`, and so is the result, typed as the target: it is the
    object for every purpose but caching.

    >>> import pussycache
    >>> class Users:
    ...     def __init__(self):
    ...         self.names = {7: "ada"}
    ...     def get_user(self, user_id):
    ...         print("asking the database")
    ...         return self.names[user_id]
    ...     def rename_user(self, user_id, name):
    ...         self.names[user_id] = name
    >>> users = pussycache.wrap(
    ...     Users(),
    ...     cached_methods=["get_user"],
    ...     invalidate_methods={"rename_user": ["get_user"]},
    ... )
    >>> users.get_user(7), users.get_user(user_id=7)
    asking the database
    ('ada', 'ada')
    >>> users.rename_user(7, "grace")
    >>> users.get_user(7)
    asking the database
    'grace'
    """
    proxy: Any = BaseProxy(
        target,
        cache,
        cached_methods=cached_methods,
        invalidate_methods=invalidate_methods,
        namespace=namespace,
        version=version,
        self_calls=self_calls,
    )
    # What it stands in for, to type checkers.
    stand_in: T = proxy
    return stand_in


def cache_of(proxy: object) -> Cache:
    """Return the cache of a proxy, for type checkers, and where the target has a ``_cache`` too.

    >>> import pussycache
    >>> cache = pussycache.MemoryCache()
    >>> pussycache.cache_of(pussycache.wrap([], cache)) is cache
    True
    """
    if not issubclass(type(proxy), BaseProxy):
        raise ConfigurationError(f"cache_of takes a proxy, not {proxy!r}; wrap the object first")
    known: Any = proxy
    cache: Cache = known._pussycache_about.cache
    return cache
