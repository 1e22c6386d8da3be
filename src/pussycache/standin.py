"""The class of a proxy, made for the class of its target and for the declaration.

Says where each attribute of a proxy is found: cached and invalidating methods are compiled, plain
ones are forwarded, special ones come from the table of `specials`, and all else is the target's.
"""

from __future__ import annotations

import functools
import itertools
import operator
import sys
import weakref
from collections.abc import Callable, Mapping
from types import FunctionType, MethodDescriptorType, WrapperDescriptorType

from pussycache.cache.base import Cache
from pussycache.compile import Access, Handle, at_home, forwarder, ids_of, planned, reader
from pussycache.declare.parameters import LAZY
from pussycache.declare.policy import Cached
from pussycache.declare.signatures import Method
from pussycache.engine.plan import Plan
from pussycache.engine.speed import quicken, through
from pussycache.engine.writes import Effect
from pussycache.source import binder
from pussycache.specials import PATTERNS, specials, static
from pussycache.writers import writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, TypeVar

    Made = TypeVar("Made")

__all__ = ["MORE_SLOTS", "TARGET", "class_for"]

TARGET: Final = "_pussycache_target"
"""Where a proxy keeps what it stands for."""

_METHODS: Final = "_pussycache_methods"

MORE_SLOTS: Final = () if through is None else (_METHODS,)
"""The slots that a proxy needs for the extension's sake: methods of its target."""

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


def class_for(
    maker: type,
    target: object,
    cache: Cache,
    cached: Mapping[str, Cached],
    methods: Mapping[str, Method],
    writes: tuple[str, ...],
    self_calls: bool,
    again: Callable[[Any, Any], Any],
    bare: Callable[[Any], Any],
) -> type:
    """Return the class of a proxy for this target and declaration, made or known.

    :param maker: the subclass that declares, or `BaseProxy` itself.
    :param again: given a proxy and a new object, returns a proxy of that.
    :param bare: returns what stands behind a proxy, and anything else as it is.
    """
    kind = type(target)
    own: Any = getattr(target, "__dict__", {})
    alone = any(
        type(method.raw) not in _OF_THE_CLASS or method.raw is not static(kind, name) or name in own
        for name, method in methods.items()
    )
    if alone or not all(_keeps_nothing_alive(said) for said in cached.values()):
        # Not for the next object: its methods may be others, or the class may hold this object.
        return _make_class(maker, target, cache, cached, methods, writes, self_calls, again, bare)
    # When the class of targets changes, so does that of proxies. By ids, for a key holds nothing;
    # what they stand for is held by the class that was made, as far as it matters.
    looks = [(*base.__dict__, *map(id, tuple(base.__dict__.values()))) for base in kind.__mro__]
    home = cache.ttl, cache.far
    key = (id(maker), id(kind), home, tuple(cached.items()), writes, tuple(looks), self_calls)
    made = _made.get(key)
    if made is None:
        made = _make_class(maker, target, cache, cached, methods, writes, self_calls, again, bare)
        _made[key] = made
        if _is_importable(kind) and _is_importable(maker):
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
    return all(
        not callable(part)
        or (isinstance(part, type) and _is_importable(part))
        or (
            type(part) is FunctionType
            and not (part.__closure__ or part.__defaults__ or part.__kwdefaults__)
        )
        for part in (
            *(cached.ttl, cached.when, cached.key, cached.copy, cached.tags),
            *(cached.errors or ()),
        )
    )


def _make_class(
    maker: type,
    target: object,
    cache: Cache,
    cached: Mapping[str, Cached],
    methods: Mapping[str, Method],
    writes: tuple[str, ...],
    self_calls: bool,
    again: Callable[[Any, Any], Any],
    bare: Callable[[Any], Any],
) -> type:
    kind = type(target)
    slots = tuple([f"_pussycache_t{i}" for i in range(len(cached))])
    said = _said_by(maker)
    space: dict[str, Any] = specials(kind, operator.attrgetter(TARGET), bare, again, self_calls)
    space |= {name: _reading(name) for name in ("__getstate__", "__reduce__", "__sizeof__")}
    space = {name: found for name, found in space.items() if name not in said}
    space |= _forwards(said, kind, self_calls)
    call_of = _rebound if self_calls else _bound
    plans: dict[str, Plan] = {}
    handles: dict[str, Handle] = {}
    # A batch after the method whose entries it shares.
    for slot, (name, policy) in sorted(
        zip(slots, cached.items(), strict=True), key=lambda said: said[1][1].item is not None
    ):
        method, item = methods[name], None
        if policy.item is not None:
            item = methods[policy.item], cached[policy.item], plans[policy.item]
        plan = plans[name] = planned(method, policy, cache.ttl, cache.far, item and item[2])
        access = Access(
            table=f"$self.{slot}",
            call=f"$bare($self, {'$'}name)" if self_calls else f"$getattr($self.{TARGET}, $name)",
            me=f"$self.{TARGET}",
            slot=True,
        )
        given = {"bare": _rebound, "getattr": getattr, "name": name}
        ids = ids_of(method, policy, plan, item)
        known = None if ids is None else _always(ids)
        function = reader(method, policy, plan, access, given, known)
        handles[name] = function.__pussycache__ = Handle(  # type: ignore[attr-defined]
            method,
            policy,
            _always(plan),
            table=operator.attrgetter(slot),
            call=_calling(call_of, name),
            me=operator.attrgetter(TARGET),
            bind=binder(method.params, name),
            ids=known,
            item=None if policy.item is None else _always(handles[policy.item]),
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
    space["_pussycache_kind"] = kind
    space["__module__"] = maker.__module__
    space["__qualname__"] = f"{maker.__qualname__}[{kind.__qualname__}]"
    space |= {name: _reading(name) for name in ("__class__", "__dict__", "__doc__")}
    patterns = [base for flag, base in PATTERNS if kind.__flags__ & flag]
    made = type(maker)(f"{maker.__name__}[{kind.__name__}]", (maker, *patterns), space)
    for slot, name in zip(slots, cached, strict=True):
        at_home(space[name], made, slot, plans[name], None if self_calls else TARGET)
    # What the class itself needed until here is read from the target by now.
    for name in ("__module__", "__annotations__", "__slots__"):
        type.__setattr__(made, name, _reading(name))
    if quicken is not None and not said & {"__getattr__", "__getattribute__"}:
        quicken(made, TARGET, _METHODS)
    return made


def _effects_of(name: str) -> Callable[[Any], list[Effect]]:
    def of(proxy: Any) -> list[Effect]:
        found: list[Effect] = proxy._pussycache_about.effects[name]
        return found

    return of


def _always(thing: Made) -> Callable[[Any], Made]:
    return lambda asked: thing


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
    bases = itertools.takewhile(lambda base: TARGET not in base.__dict__, maker.__mro__)
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
    names = [
        name
        for name in dir(kind)
        if not (name.startswith(("__", "_pussycache_")) or name in made or name in said)
        and "." not in name
    ]
    for i, name in enumerate(names):
        if self_calls:
            made[name] = property(_getting(name))
        elif through is not None:
            made[name] = through(name, i, len(names))
        else:
            raw = static(kind, name)
            function = forwarder(name, raw, TARGET) if _is_plain(raw, kind) else None
            made[name] = function or property(operator.attrgetter(f"{TARGET}.{name}"))
    return made


def _is_plain(raw: Any, kind: type) -> bool:
    """Whether a function in the place of this one is told from it by nobody.

    Before 3.12 a property is as fast as that, and true to every method that may come later.
    """
    return (
        sys.version_info >= (3, 12)
        and type(raw) is FunctionType
        and not raw.__dict__
        and not raw.__code__.co_flags & LAZY
        and kind.__getattribute__ is object.__getattribute__
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
