"""What of a result is written into an entry, and what is read from one.

How values become bytes is the serializer's; whether an entry may be served is decided elsewhere.
"""

from __future__ import annotations

import copy
import math
import types
import typing
from collections.abc import AsyncIterable, Iterable
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pussycache.cache.compression import pack, unpack
from pussycache.cache.envelope import AGED, TAGGED, VALUE
from pussycache.cache.serializers import returned_by
from pussycache.cache.shared.remembered import read_error, write_error
from pussycache.declare.parameters import kind_of
from pussycache.engine.clock import read
from pussycache.engine.keeping import AsyncItems, Items, fresh
from pussycache.engine.staleness import FRESH

if TYPE_CHECKING:
    from pussycache.cache.serializers import Codec, Serializer
    from pussycache.engine.failures import Remembered
    from pussycache.engine.keeping import Kept
    from pussycache.engine.plan import Plan
    from pussycache.engine.staleness import Age

__all__ = ["Found", "Writing", "Written"]

_AGED: Final = Struct("<ddd")


class Found(NamedTuple):
    """What was read: what the caller is given, and how old it is, if that is asked."""

    value: Any
    age: Age | None = None

    @property
    def stage(self) -> str:
        return FRESH if self.age is None else self.age.stage(read())

    def given(self, plan: Plan) -> Any:
        """Return what a caller is given; it is nobody else's already."""
        hand = plan.keeping.hand
        return self.value if hand is None or hand is copy.deepcopy else hand(self.value)


class Written(NamedTuple):
    """What is to be stored, and for how many milliseconds; `None` is for ever."""

    payload: bytes
    milliseconds: int | None


class Writing:
    """How the results of one method are written and read."""

    __slots__ = ("_aging", "_codec", "_items", "_kinds", "_plain", "idle", "keyed", "kind")

    def __init__(self, plan: Plan, serializer: Serializer) -> None:
        self._aging = plan.keeping.aging
        self.kind = VALUE if self._aging is None else AGED
        if plan.tags is not None:
            self.kind |= TAGGED
        self.keyed = plan.keeping.keyed.encode()
        self._items: type[Items] | None = None
        returns = returned_by(plan.function)
        if plan.keeping.hand is fresh:
            kind = typing.get_origin(returns)
            given = typing.get_args(returns)
            lazily = isinstance(kind, type) and issubclass(kind, AsyncIterable)
            # What it is, where no annotation says it: whoever reads may never have written any.
            function = getattr(plan.function, "__func__", plan.function)
            lazily = lazily or kind_of(function) == "asyncgen"
            self._items = AsyncItems if lazily else Items
            if isinstance(kind, type) and issubclass(kind, (Iterable, AsyncIterable)) and given:
                returns = types.GenericAlias(tuple, (given[0], ...))
            else:
                returns = None
        self._codec: Codec = serializer.bind(returns)
        self._plain: Codec = serializer.bind(None)
        # That an id is missing is stored as a KeyError, whatever else is remembered.
        self._kinds = (*plan.keeping.kinds, KeyError)
        idle = math.inf if self._aging is None else self._aging.idle
        self.idle = None if idle == math.inf else max(1, int(idle * 1000.0))

    def write(self, kept: Kept) -> Written:
        """Return what is to be stored of a result.

        :raises NotStorable: if it would not come back as it is.
        """
        stored = kept.stored
        if self._items is not None and isinstance(stored, Items):
            self._items = type(stored)
            stored = tuple(stored)
        body = pack(self._codec.encode(stored))
        now = read()
        age = None if kept.made is None else kept.made.age
        if age is None:
            return Written(body, _milliseconds(abs(kept.expires or 0.0) - now))
        # Want of use is told by a key of its own, which each use keeps for longer.
        total = self._aging.most - age.over(now) if self._aging is not None else 0.0
        body = _AGED.pack(-age.over(now), total, age.cost) + body
        return Written(body, _milliseconds(total))

    def write_error(self, error: BaseException, seconds: float) -> Written:
        """Return what is to be stored of an exception.

        :raises NotStorable: if it would not come back as it is.
        """
        return Written(write_error(error, self._plain), _milliseconds(seconds))

    def read_error(self, payload: bytes) -> Remembered:
        """Return an exception that was remembered.

        :raises ValueError: if it cannot be read, or none is remembered any more.
        """
        return read_error(payload, self._kinds, self._plain)

    def read(self, payload: bytes, left: int) -> Found:
        """Return what an entry says.

        :raises ValueError: if it cannot be read.
        """
        if self._aging is None:
            return Found(self.value(payload))
        if len(payload) < _AGED.size:
            raise ValueError("it has no age")
        lasting, total, cost = _AGED.unpack_from(payload)
        now = read()
        loaded = now if left < 0 or total == math.inf else now + left / 1000.0 - total
        return Found(self.value(payload[_AGED.size :]), self._aging.age(loaded, lasting, cost))

    def value(self, body: bytes) -> Any:
        """Return what the body of an entry says.

        :raises ValueError: if it cannot be read.
        """
        value: Any = self._codec.decode(unpack(body))
        return value if self._items is None else self._items(value)


def _milliseconds(seconds: float) -> int | None:
    return None if seconds == math.inf else max(1, int(seconds * 1000.0))
