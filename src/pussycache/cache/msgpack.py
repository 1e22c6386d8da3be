"""The format of the default serializer: msgpack, with extensions for what it has no types for.

Which classes there may be is for the shapes to say; no compression and no envelope is known here.

Whatever consists of the types of JSON is msgpack as anybody writes it, and is read by msgspec
alone. What else there is, inside of it too, is an extension: a code, and msgpack or a few bytes.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from struct import Struct
from typing import Any, Final
from uuid import UUID, SafeUUID

from msgspec.msgpack import Decoder, Encoder, Ext

from pussycache.cache import arrays, moments
from pussycache.cache.shapes import MARK_BYTES, Members, NotStorable, Shape, shape_of

__all__ = ["MsgpackCodec"]

_DEEPEST: Final = 64
_pack = Encoder().encode

# In the first attempt text and numbers are believed to be of the common kind: text without lone
# surrogates, numbers of 64 bits. In the second, which is rare, each is looked at.
_PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes})
_CAREFULLY: Final = _PLAIN - {int, str}


class _Writer:
    """Makes of a value one that msgpack has types for."""

    __slots__ = ("_shapes", "plain")

    def __init__(self, plain: frozenset[type], shapes: dict[type, Shape]) -> None:
        self.plain = plain
        self._shapes = shapes

    def write(self, value: Any, room: int) -> Any:
        kind = type(value)
        if kind in self.plain:
            return value
        if room <= 0:
            raise NotStorable(
                kind,
                f"it is nested deeper than {_DEEPEST} levels, or contains itself",
                "return less of it",
            )
        write = _WRITERS.get(kind)
        if write is not None:
            return write(self, value, room - 1)
        shape = self._shapes.get(kind)
        if shape is not None:
            values = shape.take(value)
            if type(shape) is Members:
                return Ext(_MEMBER, shape.mark + values[0].encode())
            return Ext(_OBJECT, shape.mark + self.pack_all(values, room - 1))
        try:
            parts = arrays.take(value)
        except TypeError as error:
            raise NotStorable(
                kind, str(error), "return an array of numbers, moments or text"
            ) from None
        if parts is not None:
            return Ext(_NUMPY, _pack(parts))
        shape_of(kind)  # says why, where it can never be
        raise NotStorable(
            kind,
            "the method's return type does not name it",
            "annotate the method's return type",
        )

    def all(self, values: Any, room: int) -> list[Any]:
        plain = self.plain
        write = self.write
        return [value if type(value) in plain else write(value, room) for value in values]

    def pack_all(self, values: Any, room: int) -> bytes:
        return _pack(self.all(values, room))

    def list(self, value: list[Any], room: int) -> Any:
        items = value.copy()
        if self.plain.issuperset(map(type, items)):
            return items
        kinds = set(map(type, items))
        if len(kinds) == 1 and len(items) > 1:
            # Rows, as they come from a database: read at once, and not one by one.
            kind = kinds.pop()
            if kind is tuple:
                return Ext(_TUPLES, _pack([self.all(row, room - 1) for row in items]))
            shape = self._shapes.get(kind)
            if shape is not None and type(shape) is not Members:
                rows = [self.all(shape.take(item), room - 1) for item in items]
                return Ext(_OBJECTS, shape.mark + _pack(rows))
        return self.all(items, room)

    def dict(self, value: dict[Any, Any], room: int) -> Any:
        items = value.copy()
        plain = self.plain
        if plain.issuperset(map(type, items)):
            for key, item in items.items():
                if type(item) not in plain:
                    items[key] = self.write(item, room)
            return items
        return Ext(_PAIRS, self.pairs(items, room))

    def pairs(self, value: Any, room: int) -> bytes:
        return self.pack_all([part for pair in value.items() for part in pair], room)

    def default(self, value: defaultdict[Any, Any], room: int) -> Ext:
        try:
            factory = _FACTORIES.index(value.default_factory)
        except ValueError:
            raise NotStorable(
                defaultdict, "its default_factory is not a built-in type", "return a dict"
            ) from None
        return Ext(_DEFAULT, bytes((factory,)) + self.pairs(value, room))


def _datetime(writer: _Writer, value: datetime, room: int) -> Any:
    if value.tzinfo is UTC and not value.fold:
        return value  # msgpack has a type for these, and for no others
    return Ext(_DATETIME, _pack(moments.take(value)))


def _int(writer: _Writer, value: int, room: int) -> Any:
    if -(2**63) <= value < 2**64:
        return value
    return Ext(_INT, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def _str(writer: _Writer, value: str, room: int) -> Any:
    try:
        value.encode()
    except UnicodeEncodeError:
        return Ext(_STR, value.encode("utf-8", "surrogatepass"))
    return value


def _uuid(writer: _Writer, value: UUID, room: int) -> Ext:
    if value.is_safe is SafeUUID.unknown:
        return Ext(_UUID, value.bytes)
    return Ext(_UUID, value.bytes + bytes((value.is_safe is SafeUUID.safe,)))


def _read_uuid(read: Callable[[Any], Any], data: memoryview) -> UUID:
    if len(data) == 16:
        return UUID(bytes=bytes(data))
    safe = (SafeUUID.unsafe, SafeUUID.safe)[data[16]]
    return UUID(bytes=bytes(data[:16]), is_safe=safe)


def _read_pairs(read: Callable[[Any], Any], data: memoryview) -> dict[Any, Any]:
    flat = _listed(read(data))
    pairs = dict(zip(flat[::2], flat[1::2], strict=True))
    if 2 * len(pairs) != len(flat):
        raise ValueError("a key is there twice")
    return pairs


def _read_default(read: Callable[[Any], Any], data: memoryview) -> defaultdict[Any, Any]:
    return defaultdict(_FACTORIES[data[0]], _read_pairs(read, data[1:]))


def _read_deque(read: Callable[[Any], Any], data: memoryview) -> deque[Any]:
    most, *items = read(data)
    return deque(items, most)


def _read_date(read: Callable[[Any], Any], data: memoryview) -> date:
    return date.fromordinal(int.from_bytes(data, "big"))


def _listed(value: Any) -> list[Any]:
    if type(value) is not list:
        raise TypeError(value)
    return value


_complex = Struct("<dd")
_timedelta = Struct("<iii")
# defaultdict's factories: bytes name them by their place here, so that none is moved.
_FACTORIES: Final[list[Any]] = [None, list, dict, set, int, float, str, tuple, bool, frozenset]

# The codes of extensions. They are in stores: never give one another meaning.
_INT, _STR, _BYTEARRAY, _TUPLE, _TUPLES, _SET, _FROZENSET = range(1, 8)
_PAIRS, _ORDERED, _COUNTER, _DEFAULT, _DEQUE = range(8, 13)
_DATETIME, _DATE, _TIME, _TIMEDELTA, _DECIMAL, _UUID = range(13, 19)
_COMPLEX, _RANGE, _SLICE, _NUMPY = range(19, 23)
_OBJECT, _OBJECTS, _MEMBER = range(23, 26)

_WRITERS: Final[dict[type, Callable[[_Writer, Any, int], Any]]] = {
    int: _int,
    str: _str,
    bytearray: lambda w, v, room: Ext(_BYTEARRAY, bytes(v)),
    list: _Writer.list,
    tuple: lambda w, v, room: Ext(_TUPLE, w.pack_all(v, room)),
    set: lambda w, v, room: Ext(_SET, w.pack_all(v.copy(), room)),
    frozenset: lambda w, v, room: Ext(_FROZENSET, w.pack_all(v, room)),
    dict: _Writer.dict,
    OrderedDict: lambda w, v, room: Ext(_ORDERED, w.pairs(v, room)),
    Counter: lambda w, v, room: Ext(_COUNTER, w.pairs(v, room)),
    defaultdict: _Writer.default,
    deque: lambda w, v, room: Ext(_DEQUE, w.pack_all([v.maxlen, *v], room)),
    datetime: _datetime,
    date: lambda w, v, room: Ext(_DATE, v.toordinal().to_bytes(4, "big")),
    time: lambda w, v, room: Ext(_TIME, _pack(moments.take(v))),
    timedelta: lambda w, v, room: Ext(
        _TIMEDELTA, _timedelta.pack(v.days, v.seconds, v.microseconds)
    ),
    Decimal: lambda w, v, room: Ext(_DECIMAL, str(v).encode()),
    UUID: _uuid,
    complex: lambda w, v, room: Ext(_COMPLEX, _complex.pack(v.real, v.imag)),
    range: lambda w, v, room: Ext(_RANGE, w.pack_all((v.start, v.stop, v.step), room)),
    slice: lambda w, v, room: Ext(_SLICE, w.pack_all((v.start, v.stop, v.step), room)),
}

_READERS: Final[dict[int, Callable[[Callable[[Any], Any], memoryview], Any]]] = {
    _INT: lambda read, data: int.from_bytes(data, "big", signed=True),
    _STR: lambda read, data: bytes(data).decode("utf-8", "surrogatepass"),
    _BYTEARRAY: lambda read, data: bytearray(data),
    _TUPLE: lambda read, data: tuple(_listed(read(data))),
    _SET: lambda read, data: set(_listed(read(data))),
    _FROZENSET: lambda read, data: frozenset(_listed(read(data))),
    _PAIRS: _read_pairs,
    _ORDERED: lambda read, data: OrderedDict(_read_pairs(read, data)),
    _COUNTER: lambda read, data: Counter(_read_pairs(read, data)),
    _DEFAULT: _read_default,
    _DEQUE: _read_deque,
    _DATETIME: lambda read, data: moments.make_datetime(*_listed(read(data))),
    _DATE: _read_date,
    _TIME: lambda read, data: moments.make_time(*_listed(read(data))),
    _TIMEDELTA: lambda read, data: timedelta(*_timedelta.unpack(data)),
    _DECIMAL: lambda read, data: Decimal(str(data, "ascii")),
    _UUID: _read_uuid,
    _COMPLEX: lambda read, data: complex(*_complex.unpack(data)),
    _RANGE: lambda read, data: range(*_listed(read(data))),
    _SLICE: lambda read, data: slice(*_listed(read(data))),
    _NUMPY: lambda read, data: arrays.make(_listed(read(data))),
}


class MsgpackCodec:
    """Writes and reads the values of one method.

    :param shapes: the only classes, beyond the built-in ones, that are written and made.
    """

    __slots__ = ("_members", "_read", "_read_rows", "_shapes", "_writers")

    def __init__(self, shapes: list[Shape]) -> None:
        # By mark, so that of two classes with one name and the same fields one is left out.
        self._shapes = {shape.mark: shape for shape in shapes}
        self._members = {
            shape.mark + name.encode(): member
            for shape in self._shapes.values()
            if type(shape) is Members
            for name, member in shape.members.items()
        }
        by_kind = {shape.kind: shape for shape in self._shapes.values()}
        self._writers = [_Writer(plain, by_kind) for plain in (_PLAIN, _CAREFULLY)]
        self._read = Decoder(ext_hook=self._extension).decode
        self._read_rows = Decoder(list[tuple[Any, ...]], ext_hook=self._extension).decode

    def encode(self, value: object) -> bytes:
        """Return the bytes for a value.

        :raises NotStorable: if it would not come back equal, and of the same types.
        """
        first, second = self._writers
        try:
            try:
                return _pack(first.write(value, _DEEPEST))
            except (UnicodeEncodeError, OverflowError):
                return _pack(second.write(value, _DEEPEST))
        except NotStorable:
            raise
        except Exception as error:
            # A class of the user's objected, or the value was changed meanwhile.
            raise NotStorable(
                type(value),
                f"{type(error).__name__}: {error}",
                "return what is not changed by others",
            ) from error

    def decode(self, data: bytes | memoryview) -> object:
        """Return the value that was written.

        :raises ValueError: if nothing that `encode` made looks like this.
        """
        try:
            return self._read(data)
        except Exception as error:
            # msgspec has errors of its own, and so has each type that refuses what it is given.
            raise ValueError(f"malformed: {type(error).__name__}: {error}") from None

    def _extension(self, code: int, data: memoryview) -> Any:
        reader = _READERS.get(code)
        if reader is not None:
            return reader(self._read, data)
        if code == _TUPLES:
            return self._read_rows(data)
        if code == _MEMBER:
            return self._members[bytes(data)]
        if code in (_OBJECT, _OBJECTS):
            shape = self._shapes[bytes(data[:MARK_BYTES])]
            values = _listed(self._read(data[MARK_BYTES:]))
            if code == _OBJECT:
                return shape.make(values)
            make = shape.make
            return [make(_listed(row)) for row in values]
        raise ValueError(f"extension {code} is not known")
