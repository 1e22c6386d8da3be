"""What entries weigh: a fair guess in bytes, and the policy for a cache that is bounded by weight.

Which entry goes is decided in eviction.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from sys import getsizeof

from pussycache.cache.eviction import LazyTinyLfu
from pussycache.engine.entry import Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from pussycache.engine.generations import Table

__all__ = ["WeighedTinyLfu", "size_of"]

# An entry, its key, its expiry, and its places in the dictionary and the queue.
_KEEPING: Final = 240
# So many objects inside a value are looked at, and of one container so many, so that what is in
# those is looked at, too; what is beyond is taken to be like them.
_NODES: Final = 1_000
_PARTS: Final = 100
_FLAT: Final = frozenset({int, float, bool, str, bytes, complex, bytearray, type(None)})
_AT_ONCE: Final = 64


def size_of(key: Any, value: Any) -> int:
    """Return about how many bytes an entry takes.

    Containers count with what is in them, objects with their attributes, and what is there twice
    counts once. At most 1,000 objects are looked at; the rest of a large container is taken to be
    like the part that was seen. What an object keeps in C, out of reach of `sys.getsizeof`, is not
    known.

    >>> size_of("key", "x" * 1_000) < size_of("key", ["x" * 1_000] * 3) < 2_000
    True
    """
    return _KEEPING + _deep(key, {}) + _deep(value, {})


def _deep(value: Any, seen: dict[int, Any]) -> int:
    if type(value) in _FLAT:
        return getsizeof(value, 0)
    total = 0
    todo: deque[tuple[Any, float]] = deque([(value, 1.0)])
    while todo:
        one, times = todo.popleft()
        if id(one) in seen:
            continue
        # Kept, so that nothing made on the way takes the same place in memory.
        seen[id(one)] = one
        total += int(times * _shallow(one))
        if type(one) in _FLAT:
            continue
        inside = _inside(one)
        room = min(_PARTS, _NODES - len(seen) - len(todo))
        if room <= 0 or not inside:
            continue
        if len(inside) > room:
            # Every so many-th, and not the first: what is alike often comes together.
            some = inside[:: -(-len(inside) // room)]
            times *= len(inside) / len(some)
            inside = some
        todo.extend([(part, times) for part in inside])
    return total


def _shallow(value: Any) -> int:
    try:
        return getsizeof(value, 0)
    except Exception:
        # Its own __sizeof__ failed.
        return 0


def _inside(value: Any) -> list[Any]:
    try:
        if isinstance(value, Mapping):
            return [part for pair in value.items() for part in pair]
        if isinstance(value, (list, tuple, set, frozenset, deque)):
            return list(value)
        if isinstance(value, type) or callable(value):
            # Shared with the program, as a rule.
            return []
        attributes = list(getattr(value, "__dict__", {}).values())
        for kind in type(value).__mro__:
            slots = kind.__dict__.get("__slots__", ())
            names = [slots] if isinstance(slots, str) else slots
            attributes += [getattr(value, name) for name in names if hasattr(value, name)]
        return attributes
    except Exception:
        # Changed by another thread while it was read, or unwilling to be read.
        return []


class WeighedTinyLfu(LazyTinyLfu):
    """The policy of eviction.py, for entries that may weigh no more than ``most`` together."""

    __slots__ = ("most", "weight")

    def __init__(
        self, room: float, most: float, evicted: Callable[[float], object], garbage: deque[Any]
    ) -> None:
        self.most = most
        super().__init__(room, evicted, garbage)

    def _begin(self) -> None:
        super()._begin()
        # Whatever sums of fractions came to.
        self.weight = 0.0

    def admit(self, table: Table, entry: Entry) -> Any:
        """Take note of a new entry, and throw out others for it; returns as elsewhere."""
        self.live += 1
        self._add(table, _weight(entry))
        self._window.push(table, entry.key)
        self._chores_in -= 1
        if self._chores_in <= 0:
            self._chores()
        if entry.deadline < self.soonest:
            self.sooner(entry.deadline)
        return self.shrink(_AT_ONCE), self.after

    def replaced(self, table: Table, old: Entry, new: Entry) -> Any:
        """Take note that an entry has another value, and throw out others if it is heavier."""
        self._add(table, _weight(new) - _weight(old))
        if new.deadline < self.soonest:
            self.sooner(new.deadline)
        return (old, self.shrink(_AT_ONCE)), self.after

    def left(self, table: Table, entry: Entry) -> None:
        """Take note that an entry is gone."""
        self._add(table, -_weight(entry))
        super().left(table, entry)

    def left_all(self, table: Table, count: int) -> None:
        """Take note that all entries of a table are gone."""
        self._add(table, -table.weight)
        super().left_all(table, count)

    def _add(self, table: Table, weight: float) -> None:
        table.weight += weight
        self.weight += weight

    def is_over(self) -> bool:
        """Whether there is more than there is room for."""
        if self.weight > self.most:
            return True
        return super().is_over()

    def _evict(self) -> Entry | None:
        # How many entries that much weight comes to is known only now.
        if not 0.8 * self._shares.capacity <= self.live <= 1.25 * self._shares.capacity:
            self._shares.measure(self.live)
        return super()._evict()

    def _throw_out(self, table: Table, key: Any, entry: Entry) -> Entry:
        table.outweighed += self.weight > self.most
        thrown = super()._throw_out(table, key, entry)
        self._add(table, -_weight(entry))
        return thrown

    def _bound(self) -> str:
        return "max_bytes" if self.weight > self.most else super()._bound()


def _weight(entry: Entry) -> float:
    # All that a weighed cache keeps has one; whether by one class or another makes no difference.
    return entry.weight  # type: ignore[attr-defined, no-any-return]
