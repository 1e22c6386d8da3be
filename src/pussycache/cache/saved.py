"""What is written of a method and of an entry when a cache is saved, and what is read of them.

How records lie in a file is said in savefile.py; whether an entry may be entered, in restoring.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pussycache.cache.annotations import taken_by
from pussycache.cache.compression import pack, unpack
from pussycache.cache.identity import identity
from pussycache.declare.arguments import arguments_of
from pussycache.declare.keys import encode, plain_key
from pussycache.engine.failures import Remembered
from pussycache.engine.keeping import Kept
from pussycache.types import MISSING

try:
    from pussycache.cache.serializers import Serializer
    from pussycache.cache.shared.payload import Writing
except ImportError as error:
    _package = (error.name or "").partition(".")[0]
    raise ImportError(
        f'to save and load a cache needs the package {_package!r}: pip install "pussycache[redis]"'
    ) from error

if TYPE_CHECKING:
    from pussycache.cache.described import Described

__all__ = ["ABSENT", "AGED", "ANY_TAG", "FAILED", "Heading", "Plain", "Row", "Rows", "how_keyed"]

AGED: Final = 1
"""The entry knows when it was loaded."""
FAILED: Final = 2
"""What is remembered is an exception."""
ABSENT: Final = 4
"""What is remembered is that there was nothing."""
ANY_TAG: Final = 8
"""The entry might carry any tag."""

_row = Struct(">IBddddII")
_length = Struct(">I")


class Heading(NamedTuple):
    """Which method the next entries are of: whose, how it is called, and how it makes its keys."""

    owner: str
    method: str
    how: str

    @classmethod
    def of(cls, described: Described) -> Heading:
        """Return the heading of a method.

        :raises ConfigurationError: if its object cannot be found again in another process.
        """
        owner = identity(described.target, described.namespace, described.version)
        return cls(owner, described.name, how_keyed(described))

    def packed(self) -> bytes:
        return _packed(self)

    @classmethod
    def read(cls, payload: bytes) -> Heading:
        """Return what was packed; raises ValueError if it is none."""
        return cls(*_texts(payload, 3))


class Row(NamedTuple):
    """One entry. Durations are in seconds, and count from when the file was made."""

    heading: int
    flags: int
    left: float
    """Until its ttl is over; negative afterwards."""
    age: float
    """Since it was loaded, if that is known."""
    unused: float
    cost: float
    tags: tuple[str, ...]
    key: bytes
    value: bytes

    def packed(self) -> bytes:
        fixed = _row.pack(*self[:6], len(self.tags), len(self.key))
        return fixed + self.key + _packed(self.tags) + self.value

    @classmethod
    def read(cls, payload: bytes) -> Row:
        """Return what was packed; raises ValueError if it is none."""
        if len(payload) < _row.size:
            raise ValueError("too short")
        heading, flags, left, age, unused, cost, tags, key = _row.unpack_from(payload)
        if any(math.isnan(number) for number in (left, age, unused, cost)):
            raise ValueError("not a number")
        start = _row.size + key
        texts = _texts(payload[start:], tags)
        start += sum(_length.size + len(_utf8(text)) for text in texts)
        written = payload[_row.size : _row.size + key]
        return cls(heading, flags, left, age, unused, cost, texts, written, payload[start:])


class Plain:
    """How the entries of `set` are written and read."""

    def __init__(self, serializer: Serializer) -> None:
        self._codec = serializer.bind(None)

    def key(self, key: tuple[Any, ...]) -> bytes:
        """Return a key as bytes.

        :raises NoInverse: if it is of arguments that cannot be told.
        :raises NotStorable: if the serializer does not take them.
        """
        values = key if len(key) == 1 else arguments_of(key)
        return self._codec.encode(values)

    def arguments(self, data: bytes) -> tuple[Any, tuple[Any, ...]]:
        """Return a key again, and the arguments of the call.

        :raises Exception: whatever is wrong with it.
        """
        values = _tuple(self._codec.decode(data), 1)
        return plain_key(values[0]), values

    def value(self, value: Any) -> tuple[int, bytes]:
        """Return flags and bytes for a value; raises `NotStorable`."""
        return 0, pack(self._codec.encode(value))

    def read(self, flags: int, body: bytes) -> Any:
        """Return the value; raises ValueError."""
        return self._codec.decode(unpack(body))


class Rows:
    """How the entries of one method are written and read."""

    def __init__(self, described: Described, serializer: Serializer) -> None:
        method, cached = described.method, described.cached
        self._writing = Writing(described.plan, serializer)
        self._arguments = serializer.bind(taken_by(method.raw))
        self._me = described.me
        self._width = len(method.params)
        # With a `key`, the one thing in the key is what that returned.
        self._at = None if cached.key is not None else method.key_positions(cached)

    def key(self, key: tuple[Any, ...]) -> bytes:
        values = arguments_of(key)
        data = self._arguments.encode(values)
        # What has an equality of its own might come back as another.
        if encode(_tuple(self._arguments.decode(data), len(values)), self._me) != key:
            raise ValueError("an argument does not come back equal")
        return data

    def arguments(self, data: bytes) -> tuple[Any, tuple[Any, ...]]:
        some = _tuple(self._arguments.decode(data), 1 if self._at is None else len(self._at))
        values: list[Any] = [MISSING] * self._width
        for at, value in zip(self._at or (), some, strict=False):
            values[at] = value
        return encode(some, self._me), tuple(values)

    def value(self, value: Any) -> tuple[int, bytes]:
        if value is MISSING:
            return ABSENT, b""
        if type(value) is Remembered:
            return FAILED, self._writing.write_error(value.again(), 0.0).payload
        return 0, self._writing.write(Kept(value, value, 0.0)).payload

    def read(self, flags: int, body: bytes) -> Any:
        if flags & ABSENT:
            return MISSING
        return self._writing.read_error(body) if flags & FAILED else self._writing.value(body)


def how_keyed(described: Described) -> str:
    """Return what has to be the same for a key, and for tags, to mean the same."""
    method, cached = described.method, described.cached
    parameters = [(parameter.name, parameter.kind) for parameter in method.params]
    tags = _named(cached.tags) if callable(cached.tags) else sorted(cached.tags)
    key = None if cached.key is None else _named(cached.key)
    return repr((parameters, sorted(cached.ignore), key, cached.materialize, cached.each, tags))


def _named(function: Any) -> str:
    kind = type(function)
    module = getattr(function, "__module__", kind.__module__)
    return f"{module}.{getattr(function, '__qualname__', kind.__qualname__)}"


def _tuple(value: object, length: int) -> tuple[Any, ...]:
    if type(value) is not tuple or len(value) != length:
        raise ValueError("not the arguments of a call")
    return value


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _packed(texts: Sequence[str]) -> bytes:
    return b"".join([_length.pack(len(data)) + data for data in map(_utf8, texts)])


def _texts(payload: bytes, count: int) -> tuple[str, ...]:
    texts, start = [], 0
    for _ in range(count):
        end = start + _length.size
        if len(payload) < end:
            raise ValueError("too short")
        (length,) = _length.unpack_from(payload, start)
        start = end + length
        if len(payload) < start:
            raise ValueError("too short")
        texts.append(payload[end:start].decode("utf-8", "surrogatepass"))
    return tuple(texts)
