"""The stand-in: `BaseProxy` and `wrap`.

A proxy's class is made for the target's class and the declaration: cached methods are compiled
functions, plain methods are forwarded, and everything else is the target's. What happens in a call
is decided below; here is only who stands for what.
"""

from __future__ import annotations

import functools
import inspect
import operator
import sys
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FunctionType, MethodDescriptorType, WrapperDescriptorType
from typing import Any, Final, TypeVar, cast

from pussycache.cache.base import Cache
from pussycache.cache.memory import MemoryCache
from pussycache.compile import Access, Handle, at_home, binder, forwarder, planned, reader, writer
from pussycache.declare.policy import Cached, CachedMethods, declared
from pussycache.declare.rules import Forget, InvalidateMethods, written
from pussycache.declare.signatures import Method, find
from pussycache.effects import written_through
from pussycache.engine.entry import Cause
from pussycache.engine.flow import Plan
from pussycache.engine.generations import Scope, Table
from pussycache.engine.keeping import Keeping
from pussycache.engine.writes import Effect
from pussycache.errors import ConfigurationError
from pussycache.specials import PATTERNS, specials, static

__all__ = ["BaseProxy", "cache_of", "wrap"]

T = TypeVar("T")

_TARGET: Final = "_pussycache_target"


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
        return _standing_for(
            target, maker, cache, cached, writes, namespace, version, bool(self_calls)
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pussycache_target, name)

    def __setattr__(self, name: str, value: Any) -> None:
        raw = static(type(self._pussycache_target), name)
        if self._pussycache_about.self_calls and isinstance(raw, property) and raw.fset:
            raw.fset(self, value)
        else:
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
    writes: Mapping[str, tuple[Forget, ...]],
    namespace: str | None,
    version: Any,
    self_calls: bool,
) -> Any:
    """Return a proxy with exactly these declarations, or say what is wrong with them."""
    methods = {name: find(_having(target, name), name, "cached_methods") for name in cached}
    methods |= {name: find(_having(target, name), name, "invalidate_methods") for name in writes}
    made = _class_for(maker, target, cache, cached, methods, tuple(writes), self_calls)
    proxy: Any = object.__new__(made)
    put = object.__setattr__
    put(proxy, _TARGET, target)
    scope = cache.scope(target, proxy, namespace, version)
    about = About(maker, cache, cached, writes, namespace, version, self_calls, scope)
    put(proxy, "_pussycache_about", about)
    about.effects = written_through(scope, target, methods, cached, writes)
    for name, said in cached.items():
        timed = Keeping(name, said, cache.ttl).timed
        scope.table(name).keyed_by((said.key, tuple(sorted(said.ignore))), timed, proxy)
    for slot, name in zip(made._pussycache_slots, cached, strict=True):  # type: ignore[attr-defined]
        put(proxy, slot, scope.table(name))
    return proxy


def _restored(
    maker: type[BaseProxy], target: Any, cache: Cache, declaration: dict[str, Any]
) -> Any:
    return maker(target, cache, **declaration)


def _again(proxy: Any, target: Any) -> Any:
    """Return a proxy of another object, with the same declarations as far as it has the methods."""
    about = proxy._pussycache_about
    cached, writes = about.cached, about.writes
    if type(target) is not type(proxy._pussycache_target):

        def has(said: str | Forget) -> bool:
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
    if name in about.cached:
        about.scope.table(name).forget_all(Cause(f"{name} was replaced"))


# The class of a proxy.

_made: Final[weakref.WeakValueDictionary[Any, type]] = weakref.WeakValueDictionary()
# Those that are worth keeping for the next object, when no proxy is left.
_kept: Final[dict[Any, type]] = {}
_MOST_KEPT: Final = 512

_OF_THE_CLASS: Final = (
    FunctionType,
    MethodDescriptorType,
    WrapperDescriptorType,
    staticmethod,
    classmethod,
)


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
    own: Any = getattr(target, "__dict__", {})
    for name, method in methods.items():
        if (
            type(method.raw) not in _OF_THE_CLASS
            or method.raw is not static(kind, name)
            or name in own
        ):
            # A method of this object alone: the next one's may have other parameters.
            return _make_class(maker, target, cache, cached, methods, writes, self_calls)
    # The class may change while it is in use: then the next proxy's class is made anew. What of it
    # matters is held by the class that was made, so an id stands for one object only.
    looks = [(*base.__dict__, *map(id, tuple(base.__dict__.values()))) for base in kind.__mro__]
    key = (maker, kind, cache.ttl, tuple(cached.items()), writes, tuple(looks), self_calls)
    try:
        made = _made.get(key)
    except TypeError:
        return _make_class(maker, target, cache, cached, methods, writes, self_calls)
    if made is None:
        made = _make_class(maker, target, cache, cached, methods, writes, self_calls)
        _made[key] = made
        if (
            _is_importable(kind)
            and _is_importable(maker)
            and all(_keeps_nothing_alive(said) for said in cached.values())
        ):
            _kept[key] = made
            while len(_kept) > _MOST_KEPT:
                try:
                    del _kept[next(iter(_kept))]
                except (KeyError, RuntimeError):
                    break
    return made


def _is_importable(kind: type) -> bool:
    # Such a class is kept alive by its module anyway; another one may hold the object itself.
    found: Any = sys.modules.get(str(kind.__module__))
    for part in kind.__qualname__.split("."):
        found = getattr(found, "__dict__", {}).get(part)
    return found is kind


def _keeps_nothing_alive(cached: Cached) -> bool:
    # A class is kept for the next object; a closure in its policy could hold this one.
    return all(
        not callable(part)
        or (isinstance(part, type) and _is_importable(part))
        or (
            type(part) is FunctionType
            and not (part.__closure__ or part.__defaults__ or part.__kwdefaults__)
        )
        for part in (cached.ttl, cached.when, cached.key, cached.copy)
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
    said = _said_by(maker)
    space: dict[str, Any] = specials(kind, operator.attrgetter(_TARGET), _bare, _again, self_calls)
    space |= {name: _reading(name) for name in ("__getstate__", "__reduce__", "__sizeof__")}
    space = {name: found for name, found in space.items() if name not in said}
    space |= _forwards(said, kind, self_calls)
    call_of = _rebound if self_calls else _bound
    for slot, (name, policy) in zip(slots, cached.items(), strict=True):
        method = methods[name]
        plan = planned(method, policy, cache.ttl)
        access = Access(
            table=f"$self.{slot}",
            call=f"$bare($self, {'$'}name)" if self_calls else f"$getattr($self.{_TARGET}, $name)",
            me=f"$self.{_TARGET}",
            slot=True,
        )
        given = {"bare": _rebound, "getattr": getattr, "name": name}
        function = reader(method, policy, plan, access, given)
        function.__pussycache__ = Handle(  # type: ignore[attr-defined]
            method,
            policy,
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
    patterns = [base for flag, base in PATTERNS if kind.__flags__ & flag]
    made = type(maker)(f"{maker.__name__}[{kind.__name__}]", (maker, *patterns), space)
    for slot, name in zip(slots, cached, strict=True):
        at_home(space[name], made, slot)
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


# What a method taken from a class turns into, when it is taken, is made with the object it is for.
_BINDING: Final = (
    FunctionType,
    functools.cached_property,
    functools.partialmethod,
    functools.singledispatchmethod,
)


def _rebound(proxy: Any, name: str) -> Any:
    """Return an attribute of the target; one of its methods in Python with the proxy as self."""
    target = proxy._pussycache_target
    raw = static(type(target), name)
    own: Any = getattr(target, "__dict__", {})
    if isinstance(raw, property):
        if type(raw.fget) is FunctionType:
            return raw.fget(proxy)
    elif type(raw) in _BINDING and name not in own:
        return raw.__get__(proxy, type(target))
    return getattr(target, name)


def _reading(name: str) -> property:
    return property(lambda proxy: getattr(proxy._pussycache_target, name))


def _said_by(maker: type) -> set[str]:
    """Return the names that a subclass defines for itself; they are not the target's."""
    bases = maker.__mro__[: maker.__mro__.index(BaseProxy)]
    return {name for base in bases for name in base.__dict__} - _NOT_SAID


_NOT_SAID: Final = frozenset(vars(type("", (), {"__slots__": ()}))) | {
    "__annotations__",
    "__dict__",
    "__qualname__",
    "__weakref__",
    "cached_methods",
    "invalidate_methods",
}


def _forwards(said: set[str], kind: type, self_calls: bool) -> dict[str, Any]:
    """Return what finds the attributes of the target that would be hidden or slow otherwise."""
    made: dict[str, Any] = {
        "cached_methods": _reading("cached_methods"),
        "invalidate_methods": _reading("invalidate_methods"),
        "_cache": property(_cache_or_own),
        "_proxied": property(_proxied_or_own),
    }
    for name in dir(kind):
        if name.startswith(("__", "_pussycache_")) or name in made or name in said or "." in name:
            continue
        if self_calls:
            made[name] = property(_getting(name))
            continue
        raw = static(kind, name)
        function = forwarder(name, raw, _TARGET) if _is_plain(raw, kind) else None
        made[name] = function or property(operator.attrgetter(f"{_TARGET}.{name}"))
    return made


def _is_plain(raw: Any, kind: type) -> bool:
    """Whether a function in the place of this one is told from it by nobody.

    Before 3.12 a property is as fast as that, and true to every method that may come later.
    """
    return (
        sys.version_info >= (3, 12)
        and type(raw) is FunctionType
        and not raw.__dict__
        and not raw.__code__.co_flags & _LAZY
        and kind.__getattribute__ is object.__getattribute__
    )


_LAZY: Final = (
    inspect.CO_GENERATOR
    | inspect.CO_COROUTINE
    | inspect.CO_ITERABLE_COROUTINE
    | inspect.CO_ASYNC_GENERATOR
)


def _getting(name: str) -> Callable[[Any], Any]:
    return lambda proxy: _rebound(proxy, name)


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
