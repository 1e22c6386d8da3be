"""`cached` and `invalidates`, for classes and functions of one's own.

A decorated function is compiled like a proxy's method; what differs is where its table is found: by
the instance, which is never kept alive, or for a plain function in the function itself.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from functools import partial, update_wrapper
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

from pussycache.cache.base import Cache
from pussycache.cache.memory import MemoryCache
from pussycache.compile import Access, Handle, ids_of, planned, reader
from pussycache.declare.parameters import parameters
from pussycache.declare.policy import Cached
from pussycache.declare.rules import Forget, Match, Target, targets
from pussycache.declare.signatures import Method, method_of
from pussycache.declare.templates import ForgetTag
from pussycache.effects import of_item
from pussycache.engine.asking import carry
from pussycache.engine.entry import Cause
from pussycache.engine.generations import Table
from pussycache.engine.plan import Plan
from pussycache.engine.writes import Effect, forget_table
from pussycache.errors import ConfigurationError
from pussycache.instances import Shared, Tables, made_wrong, named_by, tags_near
from pussycache.source import binder
from pussycache.stats import CacheInfo
from pussycache.types import MISSING, Seconds, Ttl
from pussycache.writers import writer

if TYPE_CHECKING:
    from pussycache.cache.described import Described

__all__ = ["cached", "invalidates"]

F = TypeVar("F", bound=Callable[..., Any])

CacheOrFactory = Cache | Callable[[Any], Cache]


class LruInfo(NamedTuple):
    """What ``cache_info()`` of a decorated function says, as that of `functools.lru_cache` does."""

    hits: int
    misses: int
    maxsize: int | None
    currsize: int


@overload
def cached(function: F, /) -> F: ...
@overload
def cached(
    *,
    ttl: Ttl = None,
    idle_ttl: Seconds | None = None,
    jitter: float = 0.0,
    stale_for: Seconds | None = None,
    stale_if_error: Seconds | None = None,
    refresh_ahead: float | None = None,
    timeout: Seconds | None = None,
    errors: Mapping[type[Exception], Seconds] | None = None,
    when: Callable[[Any], object] | None = None,
    key: Callable[..., Any] | None = None,
    ignore: Iterable[str] = (),
    tags: Iterable[str] | Callable[..., Iterable[str]] = (),
    each: str | None = None,
    item: str | None = None,
    copy: str | Callable[[Any], Any] = "share",
    guard: bool = False,
    verify: float = 0.0,
    materialize: bool = False,
    cache: CacheOrFactory | None = None,
) -> Callable[[F], F]: ...
def cached(
    function: Any = MISSING, /, *, cache: CacheOrFactory | None = None, **fields: Any
) -> Any:
    """Remember what a method or a function returns; takes the fields of `Cached`, and a cache.

    :param cache: a cache, or a callable from the instance to one; `None`, the default, is a
        `MemoryCache` for the class, or for the function.
    :raises ConfigurationError: for a bad field at once; for names at first use.

    Works on functions, methods, static and class methods, sync and async, also without parentheses;
    around a property, ``@property`` is the outer one. Instances are not kept alive. The decorated
    function has ``cache_info()``, ``cache_clear()`` and ``__wrapped__``.

    >>> from pussycache import cached, invalidates
    >>> class Users:
    ...     names = {7: "ada"}
    ...     @cached(ttl=60)
    ...     def get_user(self, user_id):
    ...         return self.names[user_id]
    ...     @invalidates("get_user")
    ...     def rename_user(self, user_id, name):
    ...         self.names[user_id] = name
    >>> users = Users()
    >>> users.get_user(7), users.get_user(7), Users.get_user.cache_info().hits
    ('ada', 'ada', 1)
    >>> users.rename_user(7, "grace")
    >>> users.get_user(7)
    'grace'
    """
    if function is not MISSING and not callable(function) and not hasattr(function, "__func__"):
        if isinstance(function, property):
            raise ConfigurationError("cached goes below @property: put @property above @cached")
        raise ConfigurationError(
            f"cached takes its fields by name, not {function!r}; write cached(ttl={function!r})"
        )
    if (
        cache is not None
        and not isinstance(cache, Cache)
        and (isinstance(cache, type) or not callable(cache))
    ):
        raise ConfigurationError(
            f"cache must be a cache, or a callable from the instance to one, not {cache!r}"
        )
    policy = Cached(**fields)
    decorate = partial(_decorated, partial(_reader, policy, cache))
    return decorate if function is MISSING else decorate(function)


def invalidates(*made_wrong: Target) -> Callable[[F], F]:
    """Declare what a method makes wrong: names of methods, `Forget` rules, functions, or ``"*"``.

    :raises ConfigurationError: for names that do not exist, at first use.

    See `cached` for an example. On a plain function the targets are decorated functions.
    """
    bare = len(made_wrong) == 1 and isinstance(made_wrong[0], FunctionType)
    if not made_wrong or (bare and not hasattr(made_wrong[0], "__pussycache__")):
        raise ConfigurationError(
            "invalidates must be told what is made wrong: write @invalidates('a_method')"
        )
    rules = targets(made_wrong, "invalidates(...)")
    decorate: Callable[[F], F] = partial(_decorated, partial(_writer, rules))
    return decorate


# Whether a function is a method.

Build = Callable[[Any, bool], Any]


def _decorated(build: Build, function: Any) -> Any:
    if isinstance(function, property):
        raise ConfigurationError("cached goes below @property: put @property above @cached")
    if isinstance(function, staticmethod):
        return staticmethod(build(function.__func__, False))
    if isinstance(function, classmethod):
        return classmethod(build(function.__func__, True))
    try:
        first = next(iter([p.name for p in parameters(function)]), None)
    except (TypeError, ValueError):
        first = None
    if first in ("self", "cls"):
        return build(function, True)
    scope = getattr(function, "__qualname__", "").rpartition(".")[0]
    if scope and not scope.endswith("<locals>"):
        return _Undecided(build, function)
    return build(function, False)


class _Undecided:
    """A function in a class whose first parameter is not called self: a method or a static one.

    The class tells a method its name, and a static method it does not.
    """

    def __init__(self, build: Build, function: Any) -> None:
        self._build = build
        self._function = function
        self._static: Any = None
        update_wrapper(self, function)

    def __set_name__(self, owner: type, name: str) -> None:
        setattr(owner, name, self._build(self._function, True))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._made()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__pussycache") or name in ("cache_info", "cache_clear"):
            return getattr(self._made(), name)
        raise AttributeError(name)

    def _made(self) -> Any:
        if self._static is None:
            self._static = self._build(self._function, False)
        return self._static


# What stands behind a decorated function.


def _method(function: Any, is_method: bool) -> Method:
    name = getattr(function, "__name__", repr(function))
    owner = getattr(function, "__qualname__", "").rpartition(".")[0]
    owner = owner.rpartition("<locals>.")[2] or getattr(function, "__module__", None) or "function"
    method = method_of(name, function, owner, function)
    params = method.params[1:] if is_method else method.params
    return Method(name, function, method.kind, params, owner)


def _broken(function: Any, problem: ConfigurationError) -> Any:
    def complain(*args: Any, **kwargs: Any) -> Any:
        raise ConfigurationError(*problem.args)

    return update_wrapper(complain, function)


def _reader(policy: Cached, cache: CacheOrFactory | None, function: Any, is_method: bool) -> Any:
    method = _method(function, is_method)
    if hasattr(function, "__pussycache_writes__"):
        return _broken(
            function,
            ConfigurationError(
                f"{method.name!r} both writes and is cached; a method that writes cannot be "
                "cached: take one of its decorators away"
            ),
        )
    if policy.item is not None and not is_method:
        raise ConfigurationError(
            f"item of the function {method.name!r} names {policy.item!r}: there is no object whose "
            "method that could be; leave it out, and let the function for one call "
            f"{method.name}([one])[one], or make both methods of a class"
        )
    try:
        method.check(policy)
        if not is_method and cache is not None and not isinstance(cache, Cache):
            raise ConfigurationError(
                f"cache of the function {method.name!r} must be a cache: there is no instance "
                "that a callable could be given"
            )
        made = (_reading_method if is_method else _reading_function)(method, policy, cache)
    except ConfigurationError as problem:
        return _broken(function, problem)
    return made


def _reading_function(method: Method, policy: Cached, cache: Any) -> Any:
    home: Any = MemoryCache() if cache is None else cache
    function = method.raw
    # The scope is found by a thing of our own: a builtin function cannot own entries.
    anchor = _Anchor(function)
    scope = home.scope(anchor, anchor, None, None)
    # What statistics call it: by where the function is, and not by what stands for it.
    place = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"
    scope.place = place.rpartition(".")[0]
    table: Table = scope.table(method.name)
    plan = planned(method, policy, home.ttl, home.far)
    access = Access("$table", "$bare", "$anchor", first=False)
    apart = ids_of(method, policy, plan)
    ids = None if apart is None else lambda _: apart
    given = {"table": table, "bare": function, "anchor": anchor}
    made = reader(method, policy, plan, access, given, ids)
    handle = Handle(
        method,
        policy,
        lambda _: plan,
        table=lambda owner: table,
        call=lambda owner: function,
        me=lambda owner: anchor,
        bind=binder(method.params, method.name),
        owned=False,
        ids=ids,
    )
    table.teller = partial(_told_of, weakref.ref(handle), weakref.ref(anchor))
    waiting = table.home.waiting
    if waiting is not None:
        waiting.meet(table)
    return _dressed(made, handle, lambda: [table], lambda: home)


def _told_of(
    handle: weakref.ref[Handle], anchor: weakref.ref[_Anchor], table: Table
) -> Described | None:
    from pussycache.cache.described import Described

    found, owner = handle(), anchor()
    if found is None or owner is None:
        return None
    method = found.method
    return Described(method.name, method, found.cached, found.plan(table), owner, owner)


class _Anchor:
    """What the entries of a plain function belong to; in a shared store, they are known by it."""

    __slots__ = ("__weakref__", "_function")

    def __init__(self, function: Any) -> None:
        self._function = function

    def __cache_identity__(self) -> tuple[str, str]:
        """Return where the function is to be found.

        :raises ConfigurationError: if another one may bear the same name.
        """
        module = getattr(self._function, "__module__", None) or ""
        name = getattr(self._function, "__qualname__", "")
        if not module or not name or "<" in name:
            raise ConfigurationError(
                f"cache of the function {name or self._function!r} is shared by processes, and "
                "the function has no name by which another process could know it; define it at "
                "the top of a module"
            )
        return module, name


def _reading_method(method: Method, policy: Cached, cache: Any) -> Any:
    if policy.item is not None:
        return _reading_shared(method, policy, cache)
    function = method.raw
    tables = Tables(method, function, cache)
    plans: dict[tuple[float | None, Any], Plan] = {}

    def plan_of(table: Table) -> Plan:
        settings = table.settings
        plan = plans.get(settings)
        if plan is None:
            plan = plans.setdefault(settings, planned(method, policy, *settings))
        return plan

    # Where the cache is known by the instance only, its ttl may be anything: then time is checked.
    known = tables.cache.ttl if isinstance(tables.cache, Cache) else 1.0
    # Where the cache is known by the instance only, entries may be anywhere, too.
    plan = planned(method, policy, known, getattr(tables.cache, "far", None))
    bare = partial(MethodType, function)
    access = Access(
        table="$tables[$id($self)]",
        table_on_miss="$table_of($self)",
        call="$bare($self)",
        me="$self",
        plan="$plan_of($t)",
    )
    given = {
        "tables": tables.by_id,
        "id": id,
        "table_of": tables.of,
        "bare": bare,
        "plan_of": plan_of,
    }
    known_ids: dict[tuple[float | None, Any], Any] = {}

    def ids_by(table: Table) -> Any:
        settings = table.settings
        if settings not in known_ids:
            known_ids[settings] = ids_of(method, policy, plan_of(table))
        return known_ids[settings]

    ids = None if policy.each is None else ids_by
    made = reader(method, policy, plan, access, given, ids)
    handle = Handle(
        method,
        policy,
        plan_of,
        table=tables.of,
        call=bare,
        me=lambda owner: owner,
        bind=binder(method.params, method.name),
        everywhere=tables,
        ids=ids,
    )
    tables.handle = handle
    return _dressed(made, handle, lambda: list(tables.by_id.values()), lambda: tables.cache)


def _reading_shared(method: Method, policy: Cached, cache: Any) -> Any:
    """Return what stands for a method for many ids that shares the entries of one for one id."""
    shared = Shared(method, policy, cache)
    bare = partial(MethodType, method.raw)
    access = Access("$table_of($self)", "$bare($self)", "$self", plan="$plan_of($t)")
    given = {"table_of": shared.of, "bare": bare, "plan_of": shared.plan}
    # Of the function itself only; the plan of a call is that of the instance.
    plan = planned(method, policy, None)
    handle = Handle(
        method,
        policy,
        shared.plan,
        table=shared.of,
        call=bare,
        me=lambda owner: owner,
        bind=binder(method.params, method.name),
        ids=shared.ids,
        item=shared.item,
    )
    made = reader(method, policy, plan, access, given, shared.ids)
    return _dressed(made, handle, lambda: shared.tables, lambda: shared.cache)


def _dressed(
    function: Any, handle: Handle, tables: Callable[[], list[Table]], cache: Callable[[], Any]
) -> Any:
    def cache_info() -> LruInfo:
        """Return hits, misses, maxsize and currsize, of all instances together."""
        total = CacheInfo.total([table.info() for table in tables()])
        room = getattr(cache(), "max_entries", None)
        return LruInfo(total.hits, total.misses, room, total.entries)

    def cache_clear() -> None:
        """Forget every call and every figure, of all instances."""
        for table in tables():
            carry(forget_table(table, Cause("cache_clear")))
            table.forget_counts()

    function.__pussycache__ = handle
    function.cache_info = cache_info
    function.cache_clear = cache_clear
    return function


def _writer(rules: tuple[Forget | ForgetTag, ...], function: Any, is_method: bool) -> Any:
    method = _method(function, is_method)
    if hasattr(function, "__pussycache__"):
        return _broken(
            function,
            ConfigurationError(
                f"{method.name!r} both writes and is cached; a method that writes cannot be "
                "cached: take one of its decorators away"
            ),
        )
    if not is_method:
        return _writing_function(method, rules)

    def effects(owner: Any) -> list[Effect]:
        kind = owner if isinstance(owner, type) else type(owner)
        found = []
        for handle, of_class, match in made_wrong(kind, made.__pussycache_writes__, rules):
            on: Any
            if kind is owner and not of_class and handle.everywhere is not None:
                # A class method writes for all instances.
                on = handle.everywhere.for_all(
                    f"invalidates(...) of the class method {method.name!r}"
                )
            else:
                on = handle.table(kind if of_class else owner)
            if match is not None:
                on.index(match.at, match.names)
            found.append(Effect(on, match))
        for rule in rules:
            if isinstance(rule, ForgetTag):
                forgotten = rule.check(method.name, method.positions)
                found += [Effect(tags, forgotten) for tags in tags_near(kind, owner)]
        return found

    made: Any = writer(method, effects, partial(MethodType, function))
    made.__pussycache_rules__ = rules
    return made


def _writing_function(method: Method, rules: tuple[Forget | ForgetTag, ...]) -> Any:
    found: list[Any] = []
    try:
        for rule in rules:
            if isinstance(rule, ForgetTag):
                continue
            if isinstance(rule.method, str):
                raise ConfigurationError(
                    f"invalidates(...) of the function {method.name!r} names {rule.method!r}; "
                    "names are for methods of a class: give the decorated function itself"
                )
            for named, _ in named_by(object, rule, method.name):
                owner = getattr(rule.method, "__self__", None)
                said, handle = of_item(rule, named, type(owner))
                table = handle.table(owner)
                match = None
                if said.mapped:
                    match = Match.of(said, handle.method, handle.cached, method)
                    table.index(match.at, match.names)
                table.written_by(method.label)
                found.append(Effect(table, match))
        # A function has no object. Where it says what else it makes wrong, it is known where.
        near = list(dict.fromkeys([effect.on.tags for effect in found]))
        for rule in rules:
            if isinstance(rule, ForgetTag):
                forgotten = rule.check(method.name, method.positions)
                if not near:
                    raise ConfigurationError(
                        f"invalidates(...) of the function {method.name!r} has {rule!r}, but not "
                        "in which cache: name beside it what else the function makes wrong, as "
                        "Forget(a_function), or call forget_tag(cache, tag)"
                    )
                found += [Effect(tags, forgotten) for tags in near]
    except ConfigurationError as problem:
        return _broken(method.raw, problem)
    function = method.raw
    return writer(method, lambda owner: found, lambda owner: function, first=False)
