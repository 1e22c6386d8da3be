"""What makes two calls the same: arguments turned into keys, by encoding and not by hope.

A key is a tuple of one part for each argument, followed by the argument's exact type, so that
``1``, ``1.0``, ``True`` and ``"1"`` never meet. An argument whose own equality is as fine as its
meaning (an int, a string, an object of the user's) is its own part, and such a key can be built in
the hit path without a call. Every other argument (a container, a float zero, a datetime with a
zone) is replaced by a `Coded`, which is equal to nothing but another `Coded`: a look-up with the
bare argument can then only miss, and the miss encodes it.

No entry and no cache is known here.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Hashable
from contextlib import suppress
from types import MappingProxyType, MemberDescriptorType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

__all__ = [
    "ATOMS",
    "ITSELF",
    "Coded",
    "Unkeyable",
    "compares_by_fields",
    "encode",
    "loose",
    "plain_key",
    "stands_for",
    "why_not",
]


class Unkeyable(Exception):
    """An argument that cannot be part of a key; says which and why."""


def why_not(error: Exception) -> str:
    """Return why a call has no key, from what making it raised."""
    return str(error) if isinstance(error, Unkeyable) else f"making its key raised {error!r}"


class Coded:
    """The part of a key that stands for an argument by its content; equal to its like only."""

    __slots__ = ("_hash", "body")

    def __init__(self, *body: Any) -> None:
        self.body = body
        self._hash = hash(body)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return type(other) is Coded and self.body == other.body

    def __repr__(self) -> str:
        return f"Coded{self.body!r}"


ATOMS: Final = frozenset({int, str, bytes, bool, type(None)})
"""Types whose values are parts of keys as they are: the commonest ones, asked for first."""

ITSELF: Final = Coded("the object itself")
"""Stands for the wrapped object among its own arguments, so that a key never keeps it alive."""


def encode(values: tuple[Any, ...], me: object = ATOMS) -> tuple[Any, ...]:
    """Return the key of a call's arguments: their parts, then their types.

    :param me: the wrapped object, which stands for itself among its arguments.
    :raises Unkeyable: if an argument cannot be part of a key.
    """
    parts = tuple([_part(value, me) for value in values])
    return parts + tuple([type(value) for value in values])


def plain_key(key: Any) -> tuple[Any, ...]:
    """Return what stands for a key that was given as one; a string, the commonest, as it is.

    :raises Unkeyable: if it cannot be a key.
    """
    return (key,) if type(key) is str else encode((key,))


def _part(value: Any, me: object) -> Hashable:
    kind = type(value)
    if kind in ATOMS:
        return value  # type: ignore[no-any-return]
    if value is me or stands_for(value, me):
        return ITSELF
    try:
        own = getattr(kind, "__cache_key__", None)
        if own is not None:
            return Coded(kind, *encode((own(value),), me))
        encoder = _encoder_of(kind)
        if encoder is not None:
            return encoder(value, me)
        if compares_by_fields(kind):
            fields = [f.name for f in kind.__dataclass_fields__.values() if f.compare]
            return Coded(kind, *encode(tuple([getattr(value, name) for name in fields]), me))
        hash(value)
    except (Unkeyable, RecursionError):
        raise
    except Exception as error:
        raise Unkeyable(
            f"{_named(kind)} has no canonical form ({type(error).__name__}: {error})"
        ) from None
    return value  # type: ignore[no-any-return]


def stands_for(value: Any, me: object) -> bool:
    return hasattr(type(value), "_pussycache_slots") and value._pussycache_target is me


def _encoder_of(kind: type) -> Callable[[Any, object], Hashable] | None:
    """Return what encodes the values of a type: its own encoder, or that of the type it extends.

    A subclass that compares in its own way is taken at its word, and one that adds attributes is
    encoded with them. What a subclass of a mutable container holds is for the subclass to say.
    """
    for base in kind.__mro__[:-1]:
        encoder = _ENCODERS.get(base) or _ENCODERS.get(f"{base.__module__}.{base.__qualname__}")
        if encoder is None:
            continue
        if kind is base:
            return encoder
        if (
            getattr(kind, "__hash__", None) is None
            or kind.__hash__ is not base.__hash__
            or kind.__eq__ is not base.__eq__
        ):
            return None
        plain = encoder
        return lambda value, me: Coded(kind, plain(value, me), _state(value, me))
    return None


def _state(value: Any, me: object) -> Hashable:
    own = dict(getattr(value, "__dict__", {}))
    for base in type(value).__mro__:
        for name, slot in base.__dict__.items():
            if isinstance(slot, MemberDescriptorType):
                # By the descriptor: it knows its place also where the name is a private one.
                with suppress(AttributeError):
                    own[f"{base.__qualname__}.{name}"] = slot.__get__(value)
    return _mapping(own, me) if own else None


def _named(kind: type) -> str:
    return f"an argument of type {kind.__module__}.{kind.__qualname__}"


def compares_by_fields(kind: type) -> bool:
    # A dataclass's own equality ignores the types of its fields, so that P(1) == P(True). One that
    # the user wrote the comparison for is taken at its word instead.
    params = getattr(kind, "__dataclass_params__", None)
    compare: Any = kind.__eq__
    code = getattr(compare, "__code__", None)
    return bool(params and params.eq and code and code.co_filename.startswith("<"))


def _sequence(value: Any, me: object) -> Coded:
    return Coded(type(value), *encode(tuple(value), me))


def _unordered(value: Any, me: object) -> Coded:
    # Counted, because two that are not equal to one another (nan) may have one part.
    return Coded(type(value), frozenset(Counter([encode((item,), me) for item in value]).items()))


def _mapping(value: Any, me: object) -> Coded:
    pairs = Counter([encode(pair, me) for pair in value.items()])
    return Coded(type(value), frozenset(pairs.items()))


def _float(value: float, me: object) -> Hashable:
    # 0.0 == -0.0 and nan != nan: their text tells the first apart and the second together.
    return value if value and value == value else Coded(float, float.__repr__(value))


def _encoders() -> dict[type | str, Callable[[Any, object], Hashable]]:
    def by(*of: Callable[[Any], Hashable]) -> Callable[[Any, object], Hashable]:
        return lambda value, me: Coded(type(value), *[get(value) for get in of])

    # Equal moments of two zones answer differently, as do the two sides of a fold.
    clock = by(
        lambda v: v.replace(tzinfo=None, fold=0).isoformat(),
        lambda v: v.fold,
        lambda v: v.tzinfo,
        lambda v: repr(v.tzinfo),
    )
    return {
        float: _float,
        complex: by(repr),
        tuple: _sequence,
        list: _sequence,
        dict: _mapping,
        set: _unordered,
        frozenset: _unordered,
        deque: lambda value, me: Coded(deque, value.maxlen, *encode(tuple(value), me)),
        OrderedDict: lambda value, me: Coded(OrderedDict, _sequence(list(value.items()), me)),
        Counter: _mapping,
        MappingProxyType: _mapping,
        defaultdict: lambda value, me: Coded(_part(value.default_factory, me), _mapping(value, me)),
        bytearray: by(bytes),
        memoryview: by(lambda v: v.format, lambda v: v.shape, bytes),
        range: by(lambda v: (v.start, v.stop, v.step)),
        slice: lambda value, me: Coded(slice, *encode((value.start, value.stop, value.step), me)),
        # By name: their modules are imported only by programs that have such values.
        "datetime.datetime": clock,
        "datetime.time": clock,
        "decimal.Decimal": by(str),
    }


_ENCODERS: Final = _encoders()

_OTHER: Final = Coded("unhashable")


def loose(value: Any) -> Hashable:
    """Return a stand-in such that equal arguments have equal stand-ins, also across types.

    Rules match by ``==``. Arguments that are not hashable share one stand-in: a rule then forgets
    more than it had to, which costs a load and is never wrong.

    >>> loose(1) == loose(True) == loose(1.0), loose({1}) == loose(frozenset([1]))
    (True, True)
    """
    if type(value) in ATOMS:
        return value  # type: ignore[no-any-return]
    if hasattr(type(value), "__cache_key__"):
        # It says itself which of its like have one entry, whatever its comparison says.
        return _OTHER
    if isinstance(value, tuple):
        value = tuple([loose(item) for item in value])
    elif isinstance(value, set):
        value = frozenset(value)
    elif isinstance(value, (bytearray, memoryview)):
        value = bytes(value)
    try:
        hash(value)
        return value if value == value else _OTHER
    except Exception:
        return _OTHER
