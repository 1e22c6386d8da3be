"""Working on one call: forget, peek, refresh, bypass, put, explain, info; and writing by hand.

Each takes a method of a proxy or a decorated function, and the arguments of the call. The ``a``
twins are for caches that need I/O; with the ones of this process they do the same.
"""

from __future__ import annotations

import inspect
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar, overload

from pussycache.compile import Handle
from pussycache.engine import clock, drivers, tasks
from pussycache.engine.entry import Cause, Tended
from pussycache.engine.failures import Remembered
from pussycache.engine.flow import reload, uncacheable
from pussycache.engine.generations import CHANGED, Table
from pussycache.engine.staleness import AHEAD, FRESH, SPENT, STALE
from pussycache.engine.tags import Tags
from pussycache.engine.writes import Write
from pussycache.errors import ConfigurationError
from pussycache.stats import CacheInfo
from pussycache.types import MISSING
from pussycache.writers import Writing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from datetime import datetime

    from pussycache.cache.base import Cache
    from pussycache.engine.entry import Entry
    from pussycache.types import Missing

__all__ = [
    "Explanation",
    "abypass",
    "aexplain",
    "aforget",
    "aforget_all",
    "aforget_tag",
    "ainfo",
    "apeek",
    "aput",
    "arefresh",
    "bypass",
    "explain",
    "forget",
    "forget_all",
    "forget_tag",
    "info",
    "peek",
    "put",
    "refresh",
    "writing",
]

P = ParamSpec("P")
R = TypeVar("R")


class Explanation(NamedTuple):
    """Why a call would hit or miss, in fields and, as text, in one line.

    ``reason`` is ``"hit"`` or one of ``never-cached``, ``expired``, ``invalidated``, ``evicted``,
    ``not-stored``, ``uncacheable`` and ``bypassed-by-write``. ``when`` is the aware moment it
    happened, where that is known. ``by`` says which call of which method, in which process, made
    the entry wrong; ``detail`` what else is known.
    """

    method: str
    hit: bool
    reason: str
    when: datetime | None = None
    by: str | None = None
    detail: str | None = None

    def __str__(self) -> str:
        text = f"{self.method}: {'hit' if self.hit else 'miss, ' + self.reason}"
        if self.when is not None:
            text += f" at {self.when.astimezone().isoformat(timespec='seconds')}"
        if self.by is not None:
            text += f" by {self.by}"
        return f"{text} ({self.detail})" if self.detail else text


_FOR_MANY = ("bypass", "forget_all", "info")


class _Method:
    """A cached method as it was handed in, with the object it belongs to."""

    def __init__(self, method: Any, operation: str) -> None:
        handle = getattr(method, "__pussycache__", None)
        if not isinstance(handle, Handle):
            shown = getattr(method, "__qualname__", None) or repr(method)
            raise ConfigurationError(
                f"{operation} takes a cached method of a proxy or a decorated function, not "
                f"{shown}; name it in cached_methods, or decorate it with cached"
            )
        if handle.cached.each is not None and operation not in _FOR_MANY:
            raise ConfigurationError(
                f"{operation} works on one result, and {handle.method.name!r} has one for each of "
                "its ids; use the method that its item= names"
            )
        self.handle = handle
        self.owner = getattr(method, "__self__", None)
        if self.owner is None and handle.owned:
            raise ConfigurationError(
                f"{operation} takes {method.__qualname__} of an object, not of its class; "
                "take the method from the proxy or the instance"
            )
        self.table: Table = handle.table(self.owner)
        self.me = handle.me(self.owner)
        self.plan = handle.plan(self.table)

    def values(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        return self.handle.bind(*args, **kwargs)

    def key(self, values: tuple[Any, ...]) -> Any:
        """The key, or `MISSING` where there is none."""
        try:
            return self.plan.encode(values, self.me)
        except Exception:
            return MISSING


def forget(method: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> bool:
    """Forget one call; true if its result was remembered.

    Counts as a write: a load of this call that is under way is not stored.

    >>> import pussycache
    >>> users = pussycache.wrap({7: "ada"}, cached_methods=["get"])
    >>> users.get(7), pussycache.forget(users.get, 7), pussycache.forget(users.get, 7)
    ('ada', True, False)
    """
    what = _Method(method, "forget")
    key = what.key(what.values(args, kwargs))
    return key is not MISSING and what.table.forget(key, Cause("forget"))


def forget_all(what: object, /) -> None:
    """Forget every call of a method, or of all methods of a proxy. Counts as a write.

    >>> import pussycache
    >>> users = pussycache.wrap({7: "ada"}, cached_methods=["get"])
    >>> users.get(7)
    'ada'
    >>> pussycache.forget_all(users)
    >>> pussycache.peek(users.get, 7)
    MISSING
    """
    for table in _tables(what, "forget_all"):
        table.forget_all(Cause("forget_all"))


def forget_tag(cache: Cache, tag: str, /) -> None:
    """Forget everything in a cache that carries a tag. Counts as a write.

    Costs the same for one entry and for a million. A load that is under way and turns out to carry
    the tag is not stored.

    >>> import pussycache
    >>> cache = pussycache.MemoryCache()
    >>> users = pussycache.wrap(
    ...     {7: "ada"}, cache, cached_methods={"get": pussycache.Cached(tags=["people"])}
    ... )
    >>> users.get(7)
    'ada'
    >>> pussycache.forget_tag(cache, "people")
    >>> pussycache.peek(users.get, 7)
    MISSING
    """
    if not isinstance(tag, str):
        raise ConfigurationError(f"forget_tag takes a tag, which is a string, not {tag!r}")
    tags = getattr(cache, "tags", None)
    if not isinstance(tags, Tags):
        raise ConfigurationError(
            f"forget_tag takes a cache that keeps tags, not {cache!r}; for a proxy, give "
            "cache_of(proxy)"
        )
    tags.forget(tag, Cause("forget_tag", {"tag": repr(tag)}))


def _tables(what: Any, operation: str) -> list[Table]:
    if hasattr(type(what), "_pussycache_slots"):
        return list(what._pussycache_about.scope.tables.values())
    return [_Method(what, operation).table]


@overload
def peek(
    method: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
) -> R | Missing: ...
@overload
def peek(method: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R | Missing: ...
def peek(method: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Return what is remembered of a call, or `MISSING`. Loads nothing, counts nothing.

    >>> import pussycache
    >>> users = pussycache.wrap({7: "ada"}, cached_methods=["get"])
    >>> pussycache.peek(users.get, 7), users.get(7), pussycache.peek(users.get, 7)
    (MISSING, 'ada', 'ada')
    """
    what = _Method(method, "peek")
    key = what.key(what.values(args, kwargs))
    if key is MISSING or clock.switches:
        return MISSING
    entry = what.table.entries.get(key)
    if entry is None or entry.deadline <= clock.read() or not entry.intact:
        return MISSING
    if not what.table.current(entry):
        return MISSING
    if entry.stage is SPENT or type(entry.value) is Remembered:
        return MISSING
    hand = what.plan.keeping.hand
    return entry.value if hand is None else hand(entry.value)


def refresh(method: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Load a call now, whatever is remembered, store the result and return it.

    Meanwhile others are answered with what is remembered. For an async method, await the result.
    """
    what = _Method(method, "refresh")
    values = what.values(args, kwargs)
    flow = reload(what.plan, what.table, values, what.me)
    drives: dict[str, Any] = {"coroutine": tasks.drive, "asyncgen": tasks.replay}
    drive = drives.get(what.handle.method.kind, drivers.drive)
    result: R = drive(flow, what.plan, what.handle.call(what.owner), values)
    return result


def bypass(method: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call the bare method: the cache is neither asked nor told."""
    what = _Method(method, "bypass")
    result: R = what.handle.call(what.owner)(*args, **kwargs)
    return result


def put(method: Callable[P, Any], value: Any, /, *args: P.args, **kwargs: P.kwargs) -> bool:
    """Remember a value as the result of a call; true if it was stored. Counts as a write.

    The method's policy is asked as for a load (its ttl, its ``when``). While another write of this
    call is at work, nothing is stored.

    >>> import pussycache
    >>> users = pussycache.wrap({7: "ada"}, cached_methods=["get"])
    >>> pussycache.put(users.get, "grace", 7), users.get(7)
    (True, 'grace')
    """
    what = _Method(method, "put")
    values = what.values(args, kwargs)
    try:
        key = what.plan.encode(values, what.me)
    except Exception as error:
        uncacheable(what.plan, what.table, error)
        return False
    kept = what.plan.keeping.of(what.plan.keeping.given(value, what.handle.method.kind), what.me)
    if what.plan.tags is not None and kept.made is not None:
        kept.made.tags = what.plan.tags.of(values, kept.stored)
    expires = None if clock.switches else kept.expires
    return what.table.put(key, values, kept.stored, expires, kept.made)


def explain(method: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Explanation:
    """Say why a call would hit, or miss: see `Explanation`. Loads nothing, counts nothing.

    >>> import pussycache
    >>> users = pussycache.wrap({7: "ada"}, cached_methods=["get"])
    >>> print(pussycache.explain(users.get, 7))
    dict.get: miss, never-cached
    """
    what = _Method(method, "explain")
    values = what.values(args, kwargs)
    label, table = what.plan.label, what.table
    if clock.switches:
        return Explanation(label, False, "not-stored", detail="caching is switched off")
    try:
        key = what.plan.encode(values, what.me)
    except Exception as error:
        return Explanation(label, False, "uncacheable", detail=str(error))
    if table.fences and table.fenced(values):
        return Explanation(label, False, "bypassed-by-write", detail="a writer is at work")
    entry = table.entries.get(key)
    if entry is not None:
        left = entry.deadline - clock.read()
        if left > 0 and isinstance(entry, Tended) and not table.current(entry):
            cause = table.home.tags.why(entry)
            moment = None if cause is None else _moment(cause.when)
            return Explanation(
                label, False, "invalidated", moment, by=None if cause is None else str(cause)
            )
        if left > 0 and not entry.intact:
            return Explanation(label, False, "invalidated", detail=CHANGED)
        if left > 0:
            return _aged(label, entry, left)
        return Explanation(label, False, "expired", _moment(clock.wall() + left))
    event = table.home.history.last(table.serial, key)
    if event is None:
        return Explanation(label, False, "never-cached")
    reason, when, why = event
    moment = None if when is None else _moment(when)
    if isinstance(why, Cause):
        return Explanation(label, False, reason, moment, by=str(why))
    return Explanation(label, False, reason, moment, detail=why)


def _aged(label: str, entry: Entry, left: float) -> Explanation:
    if type(entry.value) is Remembered:
        again = f"raises {entry.value} again, for {left:.3g} s more"
        return Explanation(label, True, "hit", detail=again)
    age = entry.age if isinstance(entry, Tended) else None
    if age is None:
        return Explanation(label, True, "hit", detail=_good_for(left))
    stage, over = age.stage(clock.read()), age.over(clock.read())
    error = f"; the last load failed: {age.error}" if age.error else ""
    if stage in (FRESH, AHEAD):
        good = f"good for {min(left, -over):.3g} s more" if left != math.inf else ""
        if left < -over:
            good += " if it is not used"
        ahead = ", and due for a refresh" if stage is AHEAD else ""
        return Explanation(label, True, "hit", detail=f"{good}{ahead}{error}" or None)
    expired = _moment(clock.wall() - over)
    if stage is STALE:
        old = f"stale for {over:.3g} s, served for {left:.3g} s more{error}"
        return Explanation(label, True, "hit", expired, detail=old)
    old = f"the old value is served if the load fails, for {left:.3g} s more{error}"
    return Explanation(label, False, "expired", expired, detail=old)


def _good_for(seconds: float) -> str | None:
    return None if seconds == float("inf") else f"good for {seconds:.3g} s more"


def _moment(wall: float) -> datetime:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(wall, UTC)


def info(what: object, /) -> CacheInfo:
    """Return what happened so far to the calls of a method, or of all methods of a proxy.

    >>> import pussycache
    >>> users = pussycache.wrap({7: "ada"}, cached_methods=["get"])
    >>> users.get(7), users.get(7)
    ('ada', 'ada')
    >>> figures = pussycache.info(users.get)
    >>> figures.hits, figures.misses, figures.entries, figures.hit_ratio
    (1, 1, 1, 0.5)
    """
    return CacheInfo.total([CacheInfo(), *[table.info() for table in _tables(what, "info")]])


@contextmanager
def writing(method: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Iterator[None]:
    """Count a block as one call of an invalidating method, for code that writes by itself.

    Arguments that are left out are not known: rules that need them forget the whole method.

    >>> import pussycache
    >>> users = pussycache.wrap(
    ...     {7: "ada"},
    ...     cached_methods=["get"],
    ...     invalidate_methods={"update": [pussycache.Forget("get")]},
    ... )
    >>> users.get(7)
    'ada'
    >>> with pussycache.writing(users.update):
    ...     users[7] = "grace"
    >>> users.get(7)
    'grace'
    """
    declared = getattr(method, "__pussycache_writes__", None)
    if not isinstance(declared, Writing):
        shown = getattr(method, "__qualname__", None) or repr(method)
        raise ConfigurationError(
            f"writing takes an invalidating method, not {shown}; name it in invalidate_methods, or "
            "decorate it with invalidates"
        )
    signature = inspect.Signature(list(declared.method.params))
    bound = signature.bind_partial(*args, **kwargs)
    bound.apply_defaults()
    owner = getattr(method, "__self__", None)
    write = Write(declared.method.name, declared.effects(owner), bound.arguments)
    write.begin(inside=True)
    try:
        yield
    finally:
        write.end()


async def aforget(method: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> bool:
    """As `forget`."""
    return forget(method, *args, **kwargs)


async def aforget_all(what: object, /) -> None:
    """As `forget_all`."""
    forget_all(what)


async def aforget_tag(cache: Cache, tag: str, /) -> None:
    """As `forget_tag`."""
    forget_tag(cache, tag)


@overload
async def apeek(
    method: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
) -> R | Missing: ...
@overload
async def apeek(method: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R | Missing: ...
async def apeek(method: Any, /, *args: Any, **kwargs: Any) -> Any:
    """As `peek`."""
    return peek(method, *args, **kwargs)


@overload
async def arefresh(
    method: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
) -> R: ...
@overload
async def arefresh(method: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
async def arefresh(method: Any, /, *args: Any, **kwargs: Any) -> Any:
    """As `refresh`, awaited also for an async method."""
    result = refresh(method, *args, **kwargs)
    return await result if inspect.isawaitable(result) else result


@overload
async def abypass(method: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
@overload
async def abypass(method: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
async def abypass(method: Any, /, *args: Any, **kwargs: Any) -> Any:
    """As `bypass`, awaited also for an async method."""
    result = bypass(method, *args, **kwargs)
    return await result if inspect.isawaitable(result) else result


async def aput(method: Callable[P, Any], value: Any, /, *args: P.args, **kwargs: P.kwargs) -> bool:
    """As `put`."""
    return put(method, value, *args, **kwargs)


async def aexplain(method: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Explanation:
    """As `explain`."""
    return explain(method, *args, **kwargs)


async def ainfo(what: object, /) -> CacheInfo:
    """As `info`."""
    return info(what)
