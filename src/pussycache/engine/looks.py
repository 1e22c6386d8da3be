"""What a value looks like: a description of all that it consists of, to compare with later ones.

Nothing here runs other people's code: no ``__eq__``, ``__hash__`` or ``__repr__``, no property and
no ``__iter__`` of theirs. What the comparison is good for is not known here.
"""

from __future__ import annotations

import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from enum import EnumMeta
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType
from typing import Any, Final, TypeAlias, final

from pussycache.declare.keys import ATOMS

__all__ = ["MODULES_OF_VALUES", "VALUES", "look", "readers_of", "same"]


class _Bag(frozenset[Any]):
    """The plain members of a set, in no order."""

    __slots__ = ()


@final
class _Mark:
    """Stands where there is no value to show."""


_BELOW: Final = _Mark()
_UNSET: Final = _Mark()
_ITSELF: Final = _Mark()

VALUES: Final = ATOMS | {float, complex, _Bag, _Mark}
# Their objects cannot be changed, and are compared by what they stand for.
MODULES_OF_VALUES: Final = frozenset(
    {"datetime", "decimal", "fractions", "ipaddress", "pathlib", "pathlib._local", "uuid"}
)
# Locks, loggers, connections: their attributes are no part of a value. Nor are our own objects'.
_OPAQUE: Final = (sys.stdlib_module_names | {"pussycache"}) - {"collections", "types"}
_MOST: Final = 100_000

_Reader: TypeAlias = Callable[[Any], Sequence[Any]]


def same(a: Any, b: Any) -> bool:
    """Whether two parts of descriptions that are not the same object tell the same."""
    kind = type(a)
    if kind is not type(b) or not (kind in VALUES or kind.__module__ in MODULES_OF_VALUES):
        return False
    # The second half is for "not a number".
    return bool(a == b or (a != a and b != b))


def look(value: object, me: int) -> tuple[list[Any], bool]:
    """Return a description of all that a value consists of, and whether anything can change.

    For each object in it, from the outside in: its type and what it has in it, plain values as
    themselves. What was described before is given by its number. Beyond so many values only sizes
    are told.
    """
    looks: list[Any] = []
    changeable = False
    known: dict[int, int] = {}
    # Numbers by address are good for as long as the objects live.
    held: list[Any] = []
    readers = dict(_READERS)
    todo = [value]
    while todo:
        node = todo.pop()
        if id(node) == me:
            looks.append(_ITSELF)
            continue
        kind = type(node)
        how = readers.get(kind)
        if how is None:
            how = readers[kind] = readers_of(kind)
        if not how:
            looks.append(node)
            continue
        number = known.setdefault(id(node), len(known))
        if number < len(held):
            looks.append(number)
            continue
        held.append(node)
        looks.append(kind)
        changeable = changeable or not _FIXED.issuperset(how)
        for read in how:
            try:
                row = read(node)
            except RuntimeError:
                # It is being changed, in another thread: this look is like no other.
                row = [object()]
            looks.append(len(row))
            if len(looks) + len(row) > _MOST:
                row = row[: max(0, _MOST - len(looks))]
            if VALUES.issuperset(map(type, row)):
                looks += row
            else:
                looks += [part if type(part) in VALUES else _BELOW for part in row]
                todo += [part for part in row if type(part) not in VALUES]
    return looks, changeable


def _of_tuple(node: tuple[Any, ...]) -> list[Any]:
    return [*tuple.__iter__(node)]


def _of_dict(node: dict[Any, Any]) -> list[Any]:
    return [*dict.__iter__(node), *dict.values(node)]


def _of_ordered(node: OrderedDict[Any, Any]) -> list[Any]:
    # `move_to_end` changes the order that this iterator has, and not that of the dictionary.
    return [*OrderedDict.__iter__(node), *dict.values(node)]


def _of_deque(node: deque[Any]) -> list[Any]:
    return [*deque.__iter__(node)]


def _of_bytearray(node: bytearray) -> list[Any]:
    return [hash(bytes(node))]


def _of_set(node: set[Any]) -> list[Any]:
    return _members([*set.__iter__(node)])


def _of_frozenset(node: frozenset[Any]) -> list[Any]:
    return _members([*frozenset.__iter__(node)])


def _members(members: list[Any]) -> list[Any]:
    if VALUES.issuperset(map(type, members)):
        return [_Bag(members)]
    plain = [part for part in members if type(part) in VALUES]
    # While the same objects are there, they sort alike.
    others = sorted([part for part in members if type(part) not in VALUES], key=id)
    return [_Bag(plain), *others]


_CONTAINERS: Final[dict[type, _Reader]] = {
    # The narrower one first.
    OrderedDict: _of_ordered,
    dict: _of_dict,
    list: list.copy,
    tuple: _of_tuple,
    set: _of_set,
    frozenset: _of_frozenset,
    deque: _of_deque,
    bytearray: _of_bytearray,
}
_FIXED: Final[frozenset[_Reader]] = frozenset({_of_tuple, _of_frozenset})
_READERS: Final[dict[type, tuple[_Reader, ...]]] = {
    kind: (read,) for kind, read in _CONTAINERS.items()
}


def readers_of(kind: type) -> tuple[_Reader, ...]:
    """Return what reads the objects of a type; nothing if they are opaque."""
    if issubclass(kind, type) or issubclass(type(kind), EnumMeta):
        return ()
    how = [read for base, read in _CONTAINERS.items() if issubclass(kind, base)][:1]
    how += _array_reader(kind)
    module: Any = kind.__module__
    if type(module) is str and module.partition(".")[0] not in _OPAQUE:
        how += _attribute_reader(kind)
    return tuple(how)


def _array_reader(kind: type) -> list[_Reader]:
    # Asked for, and not imported: who has arrays has them there.
    array = getattr(sys.modules.get("array"), "array", None)
    if array is not None and issubclass(kind, array):
        return [lambda node: [hash(array.tobytes(node))]]
    numpy: Any = sys.modules.get("numpy")
    ndarray = getattr(numpy, "ndarray", None)
    if ndarray is None or not issubclass(kind, ndarray):
        return []

    def read(node: Any) -> list[Any]:
        looks = [str(node.dtype), *node.shape]
        if node.dtype.hasobject:
            return looks + list(ndarray.tolist(ndarray.ravel(node)))
        return [*looks, hash(ndarray.tobytes(node))]

    return [read]


_CALLABLES: Final = (FunctionType, classmethod, staticmethod)


def _computes(made: type) -> bool:
    """Whether an attribute of this type answers where, and until, the object has none itself."""
    return made not in _CALLABLES and hasattr(made, "__get__") and not hasattr(made, "__set__")


def _attribute_reader(kind: type) -> list[_Reader]:
    own: Any = None
    slots: list[Any] = []
    lazy: set[str] = set()
    for base in kind.__mro__:
        for name, raw in base.__dict__.items():
            made = type(raw)
            if made is MemberDescriptorType:
                slots.append(raw.__get__)
            elif made is GetSetDescriptorType:
                if name == "__dict__":
                    own = own or raw.__get__
            elif _computes(made):
                # What a `functools.cached_property`, or the like, puts beside itself when it is
                # first asked was part of the value before.
                lazy.add(name)
        if "__array__" in base.__dict__:
            # Frames and tensors keep more in their attributes than what they show.
            return []
    if own is None and not slots:
        return []

    def read(node: Any) -> list[Any]:
        row: list[Any] = []
        if own is not None:
            found = own(node)
            if not lazy.isdisjoint(dict.keys(found)):
                found = {name: part for name, part in dict.items(found) if name not in lazy}
            row += _of_dict(found)
        for get in slots:
            try:
                row.append(get(node))
            except AttributeError:
                row.append(_UNSET)
        return row

    return [read]
