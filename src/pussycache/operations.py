"""Working on one call: forget, peek, refresh, bypass, put, explain, info; and writing by hand.

Each takes a method of a proxy or a decorated function, and the arguments of the call. What it does
is a flow that asks only caches outside of this process; the ``a`` twins carry it out in a task.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from pussycache.blocks import Block
from pussycache.cache.base import Cache
from pussycache.engine import clock, drivers, tasks
from pussycache.engine.asking import acarry, carry
from pussycache.engine.entry import Cause
from pussycache.engine.failures import Remembered
from pussycache.engine.fences import Fence
from pussycache.engine.flow import reload
from pussycache.engine.generations import Table
from pussycache.engine.landing import Absent
from pussycache.engine.plan import uncacheable
from pussycache.engine.tags import Tags
from pussycache.engine.watched import seen_operation, watched
from pussycache.engine.writes import forget_table, outlast
from pussycache.errors import ConfigurationError
from pussycache.explanation import Explanation, together, uncached
from pussycache.handed import NOTHING, Handed, handed
from pussycache.stats import CacheInfo
from pussycache.types import MISSING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from pussycache.engine.asking import Ask
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


def forget(method: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> bool:
    """Forget one call; true if its result was remembered.

    Counts as a write: a load of this call that is under way is not stored. Of a method for many ids
    (`Cached(each=...)`) it forgets each id, and is true if any was remembered.

    >>> import pussycache
    >>> users = pussycache.wrap({7: "ada"}, cached_methods=["get"])
    >>> users.get(7), pussycache.forget(users.get, 7), pussycache.forget(users.get, 7)
    ('ada', True, False)
    """
    return bool(carry(_forget(Handed(method, "forget"), args, kwargs)))


def _forget(
    what: Handed, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[Ask, Any, bool]:
    values, cause = what.values(args, kwargs), Cause("forget")
    with seen_operation(cause, what.plan.label) as seen:
        if what.ids is None:
            calls = [(what.plan, values)]
        else:
            wanted = what.wanted(what.ids, values)
            plan = what.ids.plan
            calls = [(plan, one.values) for one in wanted if not isinstance(one, Exception)]
        found = False
        for plan, call in calls:
            there = yield from what.forget(plan, call, cause)
            if seen is not None:
                seen.forgets(plan, call, there)
            found = there or found
        return found


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
    carry(_forget_all(what))


def _forget_all(what: object) -> Generator[Ask, Any, None]:
    cause = Cause("forget_all")
    with seen_operation(cause, "") as seen:
        for table in _tables(what, "forget_all"):
            if seen is not None:
                seen.affects(table, Fence())
            yield from forget_table(table, cause)


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
    carry(_forget_tag(cache, tag))


def _forget_tag(cache: Cache, tag: str) -> Generator[Ask, Any, None]:
    if not isinstance(tag, str):
        raise ConfigurationError(f"forget_tag takes a tag, which is a string, not {tag!r}")
    tags = getattr(cache, "tags", None)
    if not isinstance(tags, Tags):
        raise ConfigurationError(
            f"forget_tag takes a cache that keeps tags, not {cache!r}; for a proxy, give "
            "cache_of(proxy)"
        )
    cause = Cause("forget_tag", {"tag": repr(tag)})
    distant, fence = tags.distant, Fence((0,), frozenset([(tag,)]))
    with seen_operation(cause, "") as seen:
        if seen is not None:
            seen.affects(tags, fence)
        if distant is not None:
            yield from distant.replacing(fence, cause)
        tags.forget(tag, cause)
        yield from outlast(tags, Fence((0,), frozenset([(tag,)])), cause)


def _tables(what: Any, operation: str) -> list[Table]:
    if hasattr(type(what), "_pussycache_slots"):
        return list(what._pussycache_about.scope.tables.values())
    # Caches are of an abstract class, which takes its time to say what is one.
    if not hasattr(what, "__pussycache__") and isinstance(what, Cache):
        raise ConfigurationError(
            f"{operation} takes a proxy or a cached method, not {what!r}; a whole cache is emptied "
            "by its clear()"
        )
    handle, owner = handed(what, operation, "a proxy, or ")
    return [handle.table(owner)]


@overload
def peek(
    method: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
) -> R | Missing: ...
@overload
def peek(method: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R | Missing: ...
def peek(method: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Return what is remembered of a call, or `MISSING`. Loads nothing, counts nothing.

    Of a method for many ids, a mapping as a call would return it, if all are remembered.

    >>> import pussycache
    >>> users = pussycache.wrap({7: "ada"}, cached_methods=["get"])
    >>> pussycache.peek(users.get, 7), users.get(7), pussycache.peek(users.get, 7)
    (MISSING, 'ada', 'ada')
    """
    return carry(_peek(Handed(method, "peek"), args, kwargs))


def _peek(what: Handed, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Generator[Ask, Any, Any]:
    values = what.values(args, kwargs)
    if what.ids is None:
        value = yield from what.remembered(what.plan, values)
        return MISSING if value is NOTHING or type(value) is Remembered else value
    found = {}
    for one in what.wanted(what.ids, values):
        if isinstance(one, Exception):
            return MISSING
        value = yield from what.remembered(what.ids.plan, one.values)
        if value is NOTHING or (type(value) is Remembered and not value.absence):
            return MISSING
        if value is not MISSING and type(value) is not Remembered:
            found[one.id] = value
    return MISSING if clock.switches else found


def refresh(method: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Load a call now, whatever is remembered, store the result and return it.

    Meanwhile others are answered with what is remembered. For an async method, await the result. Of
    a method for many ids, all are loaded, in one call.
    """
    what = Handed(method, "refresh")
    values = what.values(args, kwargs)
    if what.ids is None:
        start = reload if what.far is None else what.far.reload
        flow = start(what.plan, what.table, values, what.me)
    elif what.far is None:
        # Asked for only here: few programs have methods for many ids.
        from pussycache.engine.batches import gather_anew

        flow = gather_anew(what.plan, what.ids, what.table, values, what.me)
    else:
        flow = what.far.gather_anew(what.plan, what.ids, what.table, values, what.me)
    if clock.watching:
        flow = watched(flow, what.plan, what.table, values, what.me, "refresh")
    drives: dict[str, Any] = {"coroutine": tasks.drive, "asyncgen": tasks.replay}
    drive = drives.get(what.handle.method.kind, drivers.drive)
    result: R = drive(flow, what.plan, what.handle.call(what.owner), values)
    return result


def bypass(method: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call the bare method: the cache is neither asked nor told."""
    what = Handed(method, "bypass")
    result: R = what.handle.call(what.owner)(*args, **kwargs)
    return result


def put(method: Callable[P, Any], value: Any, /, *args: P.args, **kwargs: P.kwargs) -> bool:
    """Remember a value as the result of a call; true if it was stored. Counts as a write.

    The method's policy is asked as for a load (its ttl, its ``when``). While another write of this
    call is at work, nothing is stored; nor inside of a transaction that is watched, where the call
    is forgotten: others cannot see yet what the value stands for. Of a method for many ids, the
    value is a mapping: each id is stored, and one that is not in it is forgotten, or remembered as
    missing where the policy says so; true if that is so of every id that the call asks for.

    >>> import pussycache
    >>> users = pussycache.wrap({7: "ada"}, cached_methods=["get"])
    >>> pussycache.put(users.get, "grace", 7), users.get(7)
    (True, 'grace')
    """
    return bool(carry(_put(Handed(method, "put"), value, args, kwargs)))


def _put(
    what: Handed, value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[Ask, Any, bool]:
    values = what.values(args, kwargs)
    with seen_operation(Cause("put"), what.plan.label):
        return bool((yield from _put_all(what, value, values)))


def _put_all(what: Handed, value: Any, values: tuple[Any, ...]) -> Generator[Ask, Any, bool]:
    if what.ids is None:
        return bool((yield from what.put(what.plan, values, value)))
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            f"put takes a mapping from ids to results for {what.plan.label}, not {value!r}"
        )
    stored = True
    for one in what.wanted(what.ids, values):
        if isinstance(one, Exception):
            uncacheable(what.plan, what.table, one)
            stored = False
            continue
        result = value.get(one.id, MISSING)
        given = Absent(one.id) if result is MISSING else result
        stored = (yield from what.put(what.ids.plan, one.values, given)) and stored
    return stored


def explain(method: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Explanation:
    """Say why a call would hit, or miss: see `Explanation`. Loads nothing, counts nothing.

    A call for many ids hits if each of them does; else the first one that does not is named.

    >>> import pussycache
    >>> users = pussycache.wrap({7: "ada"}, cached_methods=["get"])
    >>> print(pussycache.explain(users.get, 7))
    dict.get: miss, never-cached
    """
    explained: Explanation = carry(_explain(Handed(method, "explain"), args, kwargs))
    return explained


def _explain(
    what: Handed, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[Ask, Any, Explanation]:
    values = what.values(args, kwargs)
    if what.ids is None:
        return (yield from what.explain(what.plan, values))
    told = []
    try:
        for one in what.wanted(what.ids, values):
            if isinstance(one, Exception):
                raise one
            told.append((one.id, (yield from what.explain(what.ids.plan, one.values))))
    except Exception as error:
        return uncached(what.plan, error)
    return together(what.plan, told)


def info(what: object, /) -> CacheInfo:
    """Return what happened so far to the calls of a method, or of all of a proxy or a cache.

    Those of a cache are what happened in this process, also to objects that are no more, and to
    what was stored by `set`. A later one minus an earlier one is what happened in between.

    >>> import pussycache
    >>> users = pussycache.wrap({7: "ada"}, cached_methods=["get"])
    >>> users.get(7), users.get(7)
    ('ada', 'ada')
    >>> figures = pussycache.info(users.get)
    >>> figures.hits, figures.misses, figures.entries, figures.hit_ratio
    (1, 1, 1, 0.5)
    """
    if isinstance(what, Cache) and not hasattr(type(what), "_pussycache_slots"):
        total = CacheInfo.total(what.figures().values())
        # One may concern several methods.
        return total._replace(pending=getattr(what, "pending", 0))
    return CacheInfo.total([table.info() for table in _tables(what, "info")])


def writing(method: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Block:
    """Count a block as one call of an invalidating method, for code that writes by itself.

    In a coroutine, ``async with`` holds up nobody else while a shared store is told of it.

    Arguments that are left out are not known: rules that need them forget the whole method.

    :raises ConfigurationError: if the method is not an invalidating one.
    :raises TypeError: if it has no such parameters.

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
    return Block(method, args, kwargs)


async def aforget(method: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> bool:
    """As `forget`."""
    return bool(await acarry(_forget(Handed(method, "forget"), args, kwargs)))


async def aforget_all(what: object, /) -> None:
    """As `forget_all`."""
    await acarry(_forget_all(what))


async def aforget_tag(cache: Cache, tag: str, /) -> None:
    """As `forget_tag`."""
    await acarry(_forget_tag(cache, tag))


@overload
async def apeek(
    method: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
) -> R | Missing: ...
@overload
async def apeek(method: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R | Missing: ...
async def apeek(method: Any, /, *args: Any, **kwargs: Any) -> Any:
    """As `peek`."""
    return await acarry(_peek(Handed(method, "peek"), args, kwargs))


async def _awaited(result: Any) -> Any:
    import inspect

    return await result if inspect.isawaitable(result) else result


@overload
async def arefresh(
    method: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
) -> R: ...
@overload
async def arefresh(method: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
async def arefresh(method: Any, /, *args: Any, **kwargs: Any) -> Any:
    """As `refresh`, awaited also for an async method."""
    result = refresh(method, *args, **kwargs)
    return await _awaited(result)


@overload
async def abypass(method: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
@overload
async def abypass(method: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
async def abypass(method: Any, /, *args: Any, **kwargs: Any) -> Any:
    """As `bypass`, awaited also for an async method."""
    result = bypass(method, *args, **kwargs)
    return await _awaited(result)


async def aput(method: Callable[P, Any], value: Any, /, *args: P.args, **kwargs: P.kwargs) -> bool:
    """As `put`."""
    return bool(await acarry(_put(Handed(method, "put"), value, args, kwargs)))


async def aexplain(method: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Explanation:
    """As `explain`."""
    explained: Explanation = await acarry(_explain(Handed(method, "explain"), args, kwargs))
    return explained


async def ainfo(what: object, /) -> CacheInfo:
    """As `info`."""
    return info(what)
