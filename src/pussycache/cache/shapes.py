"""Classes whose instances may go to a shared store: how one is taken apart, and made again.

What a method is annotated with says which classes those are. No bytes are written or read here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, Flag
from functools import cached_property
from hashlib import blake2b
from inspect import getattr_static
from types import MemberDescriptorType
from typing import Any, Final

__all__ = ["MARK_BYTES", "Members", "NotStorable", "Shape", "class_name", "shape_of"]

MARK_BYTES: Final = 8
_ANOTHER = "return a copy as plain data, or choose serializer='pickle'"


class NotStorable(Exception):
    """A value that would not come back from a shared store as it went in.

    :param kind: the type that is the cause, which may be that of a part of the value.
    :param why: what is wrong with it, as the end of "cannot be stored: ".
    :param remedy: what the user can do.
    """

    def __init__(self, kind: type, why: str, remedy: str) -> None:
        self.kind = kind
        self.remedy = remedy
        super().__init__(f"a value of type {class_name(kind)} cannot be stored: {why}; {remedy}")


class Shape:
    """How the instances of one class are taken apart into values, and made of these again.

    No method of the class runs on the way back: what was taken apart had been made by it before.

    :ivar mark: stands for the class and its fields in the bytes. An entry of a deployment where
        the class has other fields is unreadable, and so a miss.
    """

    def __init__(self, kind: type, fields: Sequence[str]) -> None:
        self.kind = kind
        self.fields = tuple(fields)
        text = "\0".join((class_name(kind), *self.fields))
        self.mark = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=MARK_BYTES).digest()

    def take(self, value: Any) -> list[Any]:
        """Return the values that an instance is made of.

        :raises NotStorable: if there is more to it.
        """
        raise NotImplementedError

    def make(self, values: list[Any]) -> Any:
        """Return an instance of the values; raises whatever, if they are not what `take` gave."""
        raise NotImplementedError

    def _refuse(self, why: str, remedy: str = _ANOTHER) -> NotStorable:
        return NotStorable(self.kind, why, remedy)


def class_name(kind: type) -> str:
    """Return the full name of a class: the same in the processes of one program.

    A program's main module has another name in the processes that multiprocessing starts.

    >>> class_name(NotStorable)
    'pussycache.cache.shapes.NotStorable'
    """
    module = kind.__module__
    return f"{'__main__' if module == '__mp_main__' else module}.{kind.__qualname__}"


class Members(Shape):
    """An Enum: its members are not made, but found by their names."""

    def __init__(self, kind: Any) -> None:
        super().__init__(kind, ())
        self.members: Mapping[Any, Any] = kind.__members__

    def take(self, value: Any) -> list[Any]:
        name = value._name_
        if self.members.get(name) is not value:
            raise self._refuse("it is not among the members of its class")
        return [name]

    def make(self, values: list[Any]) -> Any:
        (name,) = values
        return self.members[name]


class _Flags(Shape):
    """A Flag, by its value: a combination of members has no name of its own."""

    def take(self, value: Any) -> list[Any]:
        return [value._value_]

    def make(self, values: list[Any]) -> Any:
        (value,) = values
        _expect(type(value) is int)
        return self.kind(value)


class _Named(Shape):
    """A named tuple."""

    def take(self, value: Any) -> list[Any]:
        if getattr(value, "__dict__", None):
            raise self._refuse(f"it has attributes beyond its fields: {', '.join(vars(value))}")
        return list(value)

    def make(self, values: list[Any]) -> Any:
        _expect(len(values) == len(self.fields))
        return tuple.__new__(self.kind, values)


class _Fields(Shape):
    """A dataclass or a class of attrs: its attributes, whether in slots or not."""

    def __init__(self, kind: type, fields: Sequence[str]) -> None:
        super().__init__(kind, fields)
        _check_plain(kind)
        slots = _slots(kind)
        self._slots = [(name, slots.pop(name)) for name in self.fields if name in slots]
        self._names = [name for name in self.fields if name not in dict(self._slots)]
        self._beyond = slots

    def take(self, value: Any) -> list[Any]:
        values = _attributes(self, value, self._names)
        for name, slot in self._slots:
            try:
                values.append(slot.__get__(value))
            except AttributeError:
                raise self._refuse(f"its field {name!r} is not set") from None
        for name, slot in self._beyond.items():
            if _is_set(slot, value):
                raise self._refuse(f"it has an attribute beyond its fields: {name}")
        return values

    def make(self, values: list[Any]) -> Any:
        _expect(len(values) == len(self.fields))
        made: Any = object.__new__(self.kind)
        if self._names:
            made.__dict__.update(zip(self._names, values, strict=False))
        for (_, slot), value in zip(self._slots, values[len(self._names) :], strict=True):
            slot.__set__(made, value)
        return made


class _Struct(Shape):
    """A Struct of msgspec, which only its own constructor makes."""

    def __init__(self, kind: Any) -> None:
        super().__init__(kind, kind.__struct_fields__)
        if not kind.__struct_config__.eq:
            raise _identity(kind)

    def take(self, value: Any) -> list[Any]:
        if getattr(value, "__dict__", None):
            raise self._refuse("it has attributes beyond its fields")
        try:
            values = [getattr(value, name) for name in self.fields]
        except AttributeError as error:
            raise self._refuse(str(error)) from None
        if hasattr(self.kind, "__post_init__"):
            again = self.make(values)
            if any(getattr(again, n) is not v for n, v in zip(self.fields, values, strict=True)):
                raise self._refuse("its __post_init__ changes what it is given")
        return values

    def make(self, values: list[Any]) -> Any:
        return self.kind(**dict(zip(self.fields, values, strict=True)))


class _Model(Shape):
    """A model of pydantic, with its extra and private attributes, and what of it was set."""

    _OWN: Final = frozenset(
        {"__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__"}
    )

    def __init__(self, kind: Any) -> None:
        super().__init__(kind, list(kind.model_fields))
        _check_plain(kind)
        if _slots(kind).keys() - self._OWN:
            raise self._refuse("it has slots")

    def take(self, value: Any) -> list[Any]:
        return [
            _attributes(self, value, self.fields),
            sorted(value.__pydantic_fields_set__),
            value.__pydantic_extra__,
            value.__pydantic_private__,
        ]

    def make(self, values: list[Any]) -> Any:
        attributes, given, extra, private = values
        _expect(type(attributes) is list and len(attributes) == len(self.fields))
        _expect(type(given) is list and all(type(name) is str for name in given))
        for names in (extra, private):
            _expect(names is None or set(map(type, dict(names))) <= {str})
        made: Any = object.__new__(self.kind)
        put = object.__setattr__
        put(made, "__dict__", dict(zip(self.fields, attributes, strict=True)))
        put(made, "__pydantic_fields_set__", set(given))
        put(made, "__pydantic_extra__", extra)
        put(made, "__pydantic_private__", private)
        return made


def shape_of(kind: type) -> Shape:
    """Return the shape of a class that has one.

    :raises NotStorable: if it has none; says why, and what to do.
    """
    for has, make in _SHAPES:
        if has(kind):
            return make(kind)
    known = [base.__name__ for base in kind.__mro__[1:] if base in _BUILTINS]
    if known:
        raise NotStorable(
            kind, f"it extends {known[0]}, and would come back as one", f"return a {known[0]}"
        )
    raise NotStorable(
        kind,
        "nothing says what it consists of",
        "return data (a dict, or a dataclass that the method's return type names), "
        "or choose serializer='pickle'",
    )


# What typing notes in an object that was made by way of `Page[int]`.
_ASIDE: Final = ("__orig_class__",)
_BUILTINS: Final = frozenset({int, float, complex, str, bytes, bytearray, list, tuple, dict, set})

_SHAPES: Final[Sequence[tuple[Callable[[Any], bool], Callable[[Any], Shape]]]] = (
    (lambda kind: issubclass(kind, Flag), lambda kind: _Flags(kind, ())),
    (lambda kind: issubclass(kind, Enum), Members),
    (
        lambda kind: issubclass(kind, tuple) and hasattr(kind, "_fields"),
        lambda kind: _Named(kind, kind._fields),
    ),
    (lambda kind: hasattr(kind, "__struct_fields__"), _Struct),
    (lambda kind: hasattr(kind, "__pydantic_root_model__"), _Model),
    (
        lambda kind: hasattr(kind, "__attrs_attrs__"),
        lambda kind: _Fields(kind, [a.name for a in kind.__attrs_attrs__]),
    ),
    (
        dataclasses.is_dataclass,
        lambda kind: _Fields(kind, [field.name for field in dataclasses.fields(kind)]),
    ),
)


def _check_plain(kind: Any) -> None:
    if kind.__new__ is not object.__new__:
        raise NotStorable(kind, "it has a __new__ of its own, or extends a built-in type", _ANOTHER)
    if kind.__eq__ is object.__eq__:
        raise _identity(kind)


def _identity(kind: type) -> NotStorable:
    return NotStorable(
        kind,
        "without an __eq__ it is equal to itself only, and not to what comes back",
        "give it an __eq__",
    )


def _attributes(shape: Shape, value: Any, names: Sequence[str]) -> list[Any]:
    state = getattr(value, "__dict__", {})
    try:
        values = [state[name] for name in names]
    except KeyError as error:
        raise shape._refuse(f"its field {error} is not set") from None
    if len(state) > len(values):
        for name in set(state).difference(names, _ASIDE):
            # What a cached property has worked out is worked out again.
            if not isinstance(getattr_static(shape.kind, name, None), cached_property):
                raise shape._refuse(
                    f"it has an attribute beyond its fields: {name}", f"make {name} a field"
                )
    return values


def _slots(kind: type) -> dict[str, Any]:
    return {
        name: slot
        for base in reversed(kind.__mro__)
        for name, slot in vars(base).items()
        if isinstance(slot, MemberDescriptorType)
    }


def _is_set(slot: Any, value: Any) -> bool:
    try:
        slot.__get__(value)
    except AttributeError:
        return False
    return True


def _expect(sound: bool) -> None:
    if not sound:
        raise ValueError("not what an instance was taken apart into")
