"""A number for each call, the same for calls that a cache would take for equal, and nothing kept.

What equal calls are is said in declare/keys.py; what is done with the numbers, elsewhere.
"""

from __future__ import annotations

import weakref
from typing import Any, Final, TypeAlias

from pussycache.declare.keys import ATOMS, Coded, encode
from pussycache.see.shards import mixed

__all__ = ["Links", "Numbers", "fingerprint"]

Links: TypeAlias = tuple[int | None, ...]


class Numbers:
    """A number for each object, by its identity; an object is not kept alive, nor its address.

    Without this, an object that takes the address of one that is gone would be taken for it.
    """

    def __init__(self) -> None:
        self.known: dict[int, tuple[int, weakref.ref[Any]]] = {}
        self._given = 0

    def of(self, thing: object) -> int:
        """Return the number of an object; its address, if it cannot be weakly referenced."""
        address = id(thing)
        known = self.known.get(address)
        if known is not None:
            return known[0]
        forget = self.known.pop
        try:
            reference = weakref.ref(thing, lambda _: forget(address, None))
        except TypeError:
            return address
        self._given += 1
        return self.known.setdefault(address, (self._given, reference))[0]


# -1 and -2 have one hash.
_MINUS_ONE: Final = "minus one", -1.5


def fingerprint(values: tuple[Any, ...], me: object, numbers: Numbers) -> tuple[int, Links]:
    """Return the number of a call, spread evenly over all numbers of 64 bits; and links.

    A link is a number for an argument, the same for arguments that are equal; `None` for one that
    is not plain.

    :param values: its arguments, bound and in order.
    :param me: the object whose method it is.
    :raises Unkeyable: if the call could not be cached.
    """
    kinds = tuple(map(type, values))
    owner = numbers.known.get(id(me))
    number = numbers.of(me) if owner is None else owner[0]
    if ATOMS.issuperset(kinds):
        links: Links = tuple(map(hash, values))
        if -1 in values:
            values = tuple([_MINUS_ONE if value == -1 else value for value in values])
        return mixed(hash((number, values, kinds))), links
    links = tuple([hash(value) if type(value) in ATOMS else None for value in values])
    return mixed(hash((number, _still(encode(values, me), numbers)))), links


def _still(part: Any, numbers: Numbers) -> Any:
    """Return a part of a key with numbers in the place of what is known by its identity."""
    kind = type(part)
    if kind in ATOMS or kind is float:
        return _MINUS_ONE if part == -1 else part
    if kind is Coded:
        return Coded, tuple([_still(inside, numbers) for inside in part.body])
    if kind is tuple:
        return tuple([_still(inside, numbers) for inside in part])
    if kind is frozenset:
        return frozenset([_still(inside, numbers) for inside in part])
    if kind.__hash__ in _BY_IDENTITY:
        return numbers.of(part)
    return part


_BY_IDENTITY: Final[tuple[Any, ...]] = (object.__hash__, type.__hash__)
