"""The stand-in: `BaseProxy` and `wrap`.

A proxy's class is made for the target's class and the declaration: cached methods are compiled
functions, plain methods are forwarded, and everything else is the target's. What happens in a call
is decided below; here is only who stands for what.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FunctionType, MethodType
from typing import Any, Final, TypeVar, cast

from pussycache.cache.base import Cache
from pussycache.cache.memory import MemoryCache
from pussycache.compile import Access, Handle, binder, forwarder, planned, reader, writer
from pussycache.declare.policy import Cached, CachedMethods, declared
from pussycache.declare.rules import Forget, InvalidateMethods, Match, written
from pussycache.declare.signatures import Method, find
from pussycache.engine.entry import Cause
from pussycache.engine.flow import Plan
from pussycache.engine.generations import Scope, Table
from pussycache.engine.writes import Effect
from pussycache.errors import ConfigurationError
from pussycache.specials import specials

__all__ = ["BaseProxy", "cache_of", "wrap"]

T = TypeVar("T")

_TARGET: Final = "_pussycache_target"
_OWN: Final = frozenset({"_cache", "_proxied"})


@dataclass
class About:
    """What a proxy was told, so that another one can be told the same; and what it came to."""

    maker: type[BaseProxy]
    cache: Cache
    cached: Mapping[str, Cached]
    writes: Mapping[str, tuple[Forget, ...]]
    namespace: str | None
    version: Any
    self_calls: bool
    scope: Scope
    effects: dict[str, list[Effect]] = field(default_factory=dict)


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

    __slots__ = ("__weakref__", "_pussycache_about", "_pussycache_target")

    cached_methods: CachedMethods = ()
    invalidate_methods: InvalidateMethods = {}

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
        methods = {name: find(target, name, "cached_methods") for name in cached}
        methods |= {name: find(target, name, "invalidate_methods") for name in writes}
        made = _class_for(maker, target, cache, cached, methods, tuple(writes), self_calls)
        self = object.__new__(made)
        put = object.__setattr__
        put(self, _TARGET, target)
        scope = cache.scope(target, self, namespace, version)
        about = About(maker, cache, cached, writes, namespace, version, bool(self_calls), scope)
        put(self, "_pussycache_about", about)
        _declare(about, self, target, methods)
        for slot, name in zip(made._pussycache_slots, cached, strict=True):  # type: ignore[attr-defined]
            put(self, slot, scope.table(name))
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pussycache_target, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._pussycache_target, name, value)
        _replaced(self, name)

    def __delattr__(self, name: str) -> None:
        delattr(self._pussycache_target, name)
        _replaced(self, name)

    def __copy__(self) -> Any:
        import copy

        return _again(self, copy.copy(self._pussycache_target))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        import copy

        return _again(self, copy.deepcopy(self._pussycache_target, memo))

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        about = self._pussycache_about
        declaration = {
            "cached_methods": about.cached,
            "invalidate_methods": about.writes,
            "namespace": about.namespace,
            "version": about.version,
            "self_calls": about.self_calls,
        }
        return _restored, (about.maker, self._pussycache_target, about.cache, declaration)


def _restored(
    maker: type[BaseProxy], target: Any, cache: Cache, declaration: dict[str, Any]
) -> Any:
    return maker(target, cache, **declaration)


def _again(proxy: Any, target: Any) -> Any:
    """Return a proxy with the same declarations over another object."""
    about = proxy._pussycache_about
    cached = {name: said for name, said in about.cached.items() if hasattr(target, name)}
    writes = {name: said for name, said in about.writes.items() if hasattr(target, name)}
    return about.maker(
        target,
        about.cache,
        cached_methods=cached,
        invalidate_methods=writes,
        namespace=about.namespace,
        version=about.version,
        self_calls=about.self_calls,
    )


def _replaced(proxy: BaseProxy, name: str) -> None:
    about = proxy._pussycache_about
    if name in about.cached:
        about.scope.table(name).forget_all(Cause(f"{name} was replaced"))


def _declare(about: About, proxy: object, target: object, methods: Mapping[str, Method]) -> None:
    """Check the rules against both signatures, and make the tables that they speak of."""
    checked: list[tuple[str, Any, str | None, Match | None]] = []
    for name, rules in about.writes.items():
        for rule in rules:
            if rule.method == "*":
                if rule.mapped:
                    raise ConfigurationError(f"{rule!r}: '*' forgets everything, without names")
                checked.append((name, about.scope, None, None))
                continue
            scope, read, cached, inner = _read_by(about, rule, target, name, methods)
            match = Match.of(rule, read, cached, methods[name]) if rule.mapped else None
            checked.append((name, scope, read.name, match))
            if inner is not None:
                checked.append((name, inner, None, match))
    for name, cached in about.cached.items():
        plan_timed = _timed(cached, about.cache)
        about.scope.table(name).keyed_by(
            (cached.key, tuple(sorted(cached.ignore))), plan_timed, proxy
        )
    for name in about.writes:
        about.effects[name] = []
    for name, on, reads, match in checked:
        table = on.table(reads) if isinstance(on, Scope) and reads is not None else on
        if match is not None:
            table.index(match.at)
        about.effects[name].append(Effect(table, match))


def _timed(cached: Cached, cache: Cache) -> bool:
    from pussycache.engine.keeping import Keeping

    return Keeping("", cached, cache.ttl).timed


def _read_by(
    about: About, rule: Forget, target: object, name: str, methods: Mapping[str, Method]
) -> tuple[Scope, Method, Cached | None, Table | None]:
    """Return whose method a rule names, that method, its policy, and its decorator's own table."""
    if isinstance(rule.method, str):
        read = methods.get(rule.method) or find(
            target, rule.method, f"invalidate_methods[{name!r}]"
        )
        handle = getattr(getattr(read.raw, "__func__", read.raw), "__pussycache__", None)
        inner = handle.table(target) if isinstance(handle, Handle) else None
        return about.scope, read, about.cached.get(rule.method), inner
    owner = getattr(rule.method, "__self__", None)
    handle = getattr(rule.method, "__pussycache__", None)
    if not isinstance(handle, Handle):
        raise ConfigurationError(
            f"{rule!r} in invalidate_methods[{name!r}] names no cached method; name a cached "
            "method of a proxy or a decorated function, or a method of this object as a string"
        )
    table = handle.table(owner)
    return _Holding(table), handle.method, handle.cached, None  # type: ignore[return-value]


class _Holding(Scope):
    """A scope of one table that is there already."""

    __slots__ = ("_table",)

    def __init__(self, table: Table) -> None:
        super().__init__(table.home)
        self._table = table

    def table(self, name: str) -> Table:
        return self._table


# The class of a proxy.

_made: Final[dict[Any, type]] = {}
_MOST_MADE: Final = 512


def _class_for(
    maker: type,
    target: object,
    cache: Cache,
    cached: Mapping[str, Cached],
    methods: Mapping[str, Method],
    writes: tuple[str, ...],
    self_calls: bool,
) -> type:
    kind = type(target)
    key = None
    own: Any = getattr(target, "__dict__", {})
    lasting = not any(name in own for name in methods)
    if lasting and all(_keeps_nothing_alive(said) for said in cached.values()):
        raws = tuple([method.raw for method in methods.values()])
        try:
            key = (maker, kind, cache.ttl, tuple(cached.items()), writes, raws, bool(self_calls))
            known = _made.get(key)
        except TypeError:
            key = known = None
        if known is not None:
            return known
    made = _make_class(maker, target, cache, cached, methods, writes, self_calls)
    if key is not None:
        _made[key] = made
        while len(_made) > _MOST_MADE:
            try:
                del _made[next(iter(_made))]
            except (KeyError, RuntimeError):
                break
    return made


def _keeps_nothing_alive(cached: Cached) -> bool:
    # A class is kept for the next object; a closure in its policy could hold this one.
    said = (cached.ttl, cached.when, cached.key, cached.copy)
    return all(
        not callable(part)
        or isinstance(part, type)
        or (type(part) is FunctionType and part.__closure__ is None)
        for part in said
    )


def _make_class(
    maker: type,
    target: object,
    cache: Cache,
    cached: Mapping[str, Cached],
    methods: Mapping[str, Method],
    writes: tuple[str, ...],
    self_calls: bool,
) -> type:
    kind = type(target)
    slots = tuple([f"_pussycache_t{i}" for i in range(len(cached))])
    space: dict[str, Any] = specials(kind, operator.attrgetter(_TARGET), _again, self_calls)
    space |= _forwards(maker, kind, self_calls)
    call_of = _rebound if self_calls else _bound
    for slot, (name, said) in zip(slots, cached.items(), strict=True):
        method = methods[name]
        plan = planned(method, said, cache.ttl)
        access = Access(
            table=f"$self.{slot}",
            call=f"$bare($self, {'$'}name)" if self_calls else f"$getattr($self.{_TARGET}, $name)",
            me=f"$self.{_TARGET}",
        )
        given = {"bare": _rebound, "getattr": getattr, "name": name}
        function = reader(method, said, plan, access, given)
        function.__pussycache__ = Handle(  # type: ignore[attr-defined]
            method,
            said,
            _always(plan),
            table=operator.attrgetter(slot),
            call=_calling(call_of, name),
            me=operator.attrgetter(_TARGET),
            bind=binder(method.params),
        )
        space[name] = function
    for name in writes:
        space[name] = writer(
            methods[name],
            effects=_effects_of(name),
            call=_calling(call_of, name),
        )
    space["__slots__"] = slots
    space["_pussycache_slots"] = slots
    space["_pussycache_maker"] = maker
    space["__module__"] = maker.__module__
    space["__qualname__"] = f"{maker.__qualname__}[{kind.__qualname__}]"
    space |= {name: _reading(name) for name in ("__class__", "__dict__", "__doc__")}
    made = type(maker)(f"{maker.__name__}[{kind.__name__}]", (maker,), space)
    # What the class itself needed until here is read from the target by now.
    for name in ("__module__", "__annotations__", "__slots__"):
        type.__setattr__(made, name, _reading(name))
    return made


def _effects_of(name: str) -> Callable[[Any], list[Effect]]:
    return lambda proxy: cast("list[Effect]", proxy._pussycache_about.effects[name])


def _always(plan: Plan) -> Callable[[Table], Plan]:
    return lambda table: plan


def _calling(
    call_of: Callable[[Any, str], Callable[..., Any]], name: str
) -> Callable[[Any], Callable[..., Any]]:
    return lambda proxy: call_of(proxy, name)


def _bound(proxy: Any, name: str) -> Any:
    return getattr(proxy._pussycache_target, name)


def _rebound(proxy: Any, name: str) -> Any:
    """Return an attribute of the target; one of its methods in Python with the proxy as self."""
    target = proxy._pussycache_target
    raw = getattr(type(target), name, None)
    own: Any = getattr(target, "__dict__", {})
    if name not in own:
        if isinstance(raw, property) and type(raw.fget) is FunctionType:
            return raw.fget(proxy)
        if type(raw) is FunctionType:
            return MethodType(raw, proxy)
    return getattr(target, name)


def _reading(name: str) -> property:
    return property(lambda proxy: getattr(proxy._pussycache_target, name))


def _forwards(maker: type, kind: type, self_calls: bool) -> dict[str, Any]:
    """Return what finds the attributes of the target that would be hidden or slow otherwise."""
    made: dict[str, Any] = {
        "cached_methods": _reading("cached_methods"),
        "invalidate_methods": _reading("invalidate_methods"),
        "_cache": property(_cache_or_own),
        "_proxied": property(_proxied_or_own),
    }
    kept = {
        name for base in maker.__mro__[: maker.__mro__.index(BaseProxy)] for name in base.__dict__
    } - {"cached_methods", "invalidate_methods"}
    for name in dir(kind):
        if name.startswith("__") or name in made or name in kept or "." in name:
            continue
        if self_calls:
            made[name] = property(_getting(name))
            continue
        raw = _static(kind, name)
        function = forwarder(name, raw, _TARGET)
        made[name] = function or property(operator.attrgetter(f"{_TARGET}.{name}"))
    return made


def _getting(name: str) -> Callable[[Any], Any]:
    return lambda proxy: _rebound(proxy, name)


def _static(kind: type, name: str) -> Any:
    for base in kind.__mro__:
        if name in base.__dict__:
            return base.__dict__[name]
    return None


def _cache_or_own(proxy: Any) -> Any:
    try:
        return proxy._pussycache_target._cache
    except AttributeError:
        return proxy._pussycache_about.cache


def _proxied_or_own(proxy: Any) -> Any:
    try:
        return proxy._pussycache_target._proxied
    except AttributeError:
        return proxy._pussycache_target


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
    return cast(
        "T",
        BaseProxy(
            target,
            cache,
            cached_methods=cached_methods,
            invalidate_methods=invalidate_methods,
            namespace=namespace,
            version=version,
            self_calls=self_calls,
        ),
    )


def cache_of(proxy: object) -> Cache:
    """Return the cache of a proxy, for type checkers, and where the target has a ``_cache`` too.

    >>> import pussycache
    >>> cache = pussycache.MemoryCache()
    >>> pussycache.cache_of(pussycache.wrap([], cache)) is cache
    True
    """
    if not issubclass(type(proxy), BaseProxy):
        raise ConfigurationError(f"cache_of takes a proxy, not {proxy!r}; wrap the object first")
    return cast("BaseProxy", proxy)._pussycache_about.cache
