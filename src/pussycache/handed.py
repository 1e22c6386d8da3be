"""A cached method as it is handed to an operation, and what can be done to one call of it.

What the operations mean is said in operations.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pussycache.compile import Handle
from pussycache.engine import clock
from pussycache.engine.entry import Cause
from pussycache.engine.failures import Remembered
from pussycache.engine.fences import Fence, KeyFence
from pussycache.engine.landing import Absent, placed
from pussycache.engine.plan import uncacheable
from pussycache.engine.staleness import SPENT
from pussycache.engine.writes import outlast
from pussycache.errors import ConfigurationError
from pussycache.explanation import Explanation, explained
from pussycache.types import MISSING

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from pussycache.engine.asking import Ask
    from pussycache.engine.generations import Table
    from pussycache.engine.ids import Ids, Wanted
    from pussycache.engine.plan import Plan

__all__ = ["NOTHING", "Handed", "handed"]

NOTHING: Final = object()
"""Stands for a call of which nothing is remembered."""


def handed(method: Any, operation: str, beside: str = "") -> tuple[Handle, Any]:
    """Return what a cached method is known by, and the object it belongs to."""
    handle = getattr(method, "__pussycache__", None)
    if not isinstance(handle, Handle):
        shown = getattr(method, "__qualname__", None) or repr(method)
        raise ConfigurationError(
            f"{operation} takes {beside}a cached method of a proxy or a decorated function, "
            f"not {shown}; name it in cached_methods and take it from the proxy, or decorate "
            "it with cached"
        )
    owner = getattr(method, "__self__", None)
    if owner is None and handle.owned:
        raise ConfigurationError(
            f"{operation} takes {method.__qualname__} of an object, not of its class; take the "
            "method from the proxy or the instance, and that of a property as "
            "Class.name.fget.__get__(instance)"
        )
    return handle, owner


class Handed:
    """A cached method as it was handed in, with the object it belongs to."""

    def __init__(self, method: Any, operation: str) -> None:
        handle, owner = handed(method, operation)
        self.handle, self.owner = handle, owner
        self.table: Table = handle.table(owner)
        self.me = handle.me(self.owner)
        self.plan = handle.plan(self.table)
        # How to go about it where the entries are outside of this process.
        self.far = self.plan.far
        # Where it is a method for many ids.
        self.ids: Ids | None = None if handle.ids is None else handle.ids(self.table)

    def values(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        return self.handle.bind(*args, **kwargs)

    def wanted(self, ids: Ids, values: tuple[Any, ...]) -> Iterator[Wanted | Exception]:
        """The calls for one id that a call for many stands for, or why there is no key for one."""
        read = ids.read(values)
        if read is None:
            raise ConfigurationError(
                f"{self.handle.cached.each!r} of {self.plan.label} must be a collection of ids, "
                f"not {values[ids.at]!r}"
            )
        for one in read[ids.at]:
            try:
                # It is to be a key of the answer, too.
                hash(one)
                yield ids.of(one, read, self.me)
            except Exception as error:
                yield error

    # Of one call, or of one id of a call for many: then with the plan of that.

    def key(self, plan: Plan, values: tuple[Any, ...]) -> Any:
        """The key, or `MISSING` where there is none."""
        try:
            return plan.encode(values, self.me)
        except Exception:
            return MISSING

    def forget(self, plan: Plan, values: tuple[Any, ...], cause: Cause) -> Generator[Ask, Any, Any]:
        """Forget it; true if it was there."""
        if self.far is not None:
            found = yield from self.far.forget(plan, self.table, values, self.me, cause)
        else:
            key = self.key(plan, values)
            found = key is not MISSING and self.table.forget(key, cause)
        yield from self.outlast(plan, values, cause)
        return found

    def outlast(
        self, plan: Plan, values: tuple[Any, ...], cause: Cause
    ) -> Generator[Ask, Any, bool]:
        """Have it stay so until the transactions around have ended; false if there are none."""
        key, me = self.key(plan, values), self.me
        if key is not MISSING:
            fence = KeyFence(key, lambda others: plan.encode(others, me))
            # It is counted elsewhere.
            fence.succeeds = True
            return (yield from outlast(self.table, fence, cause))
        if self.far is not None:
            return (yield from outlast(self.table, Fence(succeeds=True), cause))
        return False

    def remembered(self, plan: Plan, values: tuple[Any, ...]) -> Generator[Ask, Any, Any]:
        """What is remembered, as callers are given it; or `Remembered`, or `NOTHING`."""
        if self.far is not None:
            value = yield from self.far.peek(plan, self.table, values, self.me)
            return NOTHING if value is MISSING else value
        key = self.key(plan, values)
        entry = None if key is MISSING or clock.switches else self.table.entries.get(key)
        if entry is None or entry.deadline <= clock.read() or not entry.intact:
            return NOTHING
        if not self.table.current(entry) or entry.stage is SPENT:
            return NOTHING
        hand, value = plan.keeping.hand, entry.value
        if hand is None or value is MISSING or type(value) is Remembered:
            return value
        return hand(value)

    def put(self, plan: Plan, values: tuple[Any, ...], value: Any) -> Generator[Ask, Any, Any]:
        """Store a value, or that there is none (`Absent`); true if it is stored."""
        if (yield from self.outlast(plan, values, Cause("put"))):
            # Nobody else can see yet what it stands for.
            return False
        if self.far is not None:
            if type(value) is Absent:
                yield from self.far.forget(plan, self.table, values, self.me, Cause("put"))
                return False
            kind = self.handle.method.kind
            return (yield from self.far.put(plan, self.table, values, self.me, value, kind))
        try:
            key = plan.encode(values, self.me)
        except Exception as error:
            uncacheable(self.plan, self.table, error)
            return False
        if type(value) is not Absent:
            value = plan.keeping.given(value, self.handle.method.kind)
        return placed(plan, self.table, key, values, self.me, value)

    def explain(self, plan: Plan, values: tuple[Any, ...]) -> Generator[Ask, Any, Explanation]:
        """Say why it would hit, or miss."""
        if self.far is None or clock.switches:
            return explained(plan, self.table, self.me, values)
        found: Explanation = yield from self.far.explain(plan, self.table, values, self.me)
        return found
