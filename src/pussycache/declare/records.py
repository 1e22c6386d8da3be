"""`record`: frozen dataclasses that are made without `dataclasses`.

To import that module, with `inspect` below it, and to make the classes there would be a quarter of
what it costs to import the library. What the records are is not said here.
"""

from __future__ import annotations

from pussycache.typed import dataclass_transform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn, TypeVar

    C = TypeVar("C", bound=type)

__all__ = ["record"]


@dataclass_transform(frozen_default=True)
def record(cls: C) -> C:
    """Make a class with annotated fields, and a `__post_init__`, a frozen dataclass.

    What `dataclasses` itself wants to know of one is made when it asks for it.

    >>> import dataclasses
    >>> from pussycache.declare.records import record
    >>> @record
    ... class Point:
    ...     x: float
    ...     y: float = 0.0
    ...     def __post_init__(self):
    ...         object.__setattr__(self, "x", float(self.x))
    >>> dataclasses.replace(Point(1), y=2.0)
    Point(x=1.0, y=2.0)
    """
    names = tuple(cls.__annotations__)
    defaults = {name: cls.__dict__[name] for name in names if name in cls.__dict__}
    made = {
        "__init__": _init(cls, names, defaults),
        "__match_args__": names,
        "__repr__": _repr,
        "__eq__": _eq,
        "__hash__": _hash,
        "__setattr__": _setattr,
        "__delattr__": _delattr,
        "__replace__": _replace,
    }
    for name in ("__dataclass_fields__", "__dataclass_params__"):
        made[name] = _Asked(cls, name, defaults)
    for name, found in made.items():
        setattr(cls, name, found)
    return cls


def _init(cls: type, names: tuple[str, ...], defaults: dict[str, Any]) -> Callable[..., None]:
    # The interpreter itself binds the arguments, and says what is wrong with them.
    space: dict[str, Any] = {}
    exec(
        f"def __init__(self, {', '.join(names)}):\n"
        f"    self.__dict__.update({', '.join([f'{name}={name}' for name in names])})\n"
        "    self.__post_init__()\n",
        space,
    )
    init: Any = space["__init__"]
    # Those of the last parameters, in order.
    init.__defaults__ = tuple(defaults.values())
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__module__ = cls.__module__
    init.__annotations__ = {**cls.__annotations__, "return": None}
    return init  # type: ignore[no-any-return]


def _values(self: Any) -> tuple[Any, ...]:
    return tuple([getattr(self, name) for name in self.__match_args__])


def _repr(self: Any) -> str:
    pairs = zip(self.__match_args__, _values(self), strict=True)
    return f"{type(self).__qualname__}({', '.join([f'{name}={said!r}' for name, said in pairs])})"


def _eq(self: Any, other: Any) -> Any:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _setattr(self: Any, name: str, value: Any) -> NoReturn:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _delattr(self: Any, name: str) -> NoReturn:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _replace(self: Any, /, **changes: Any) -> Any:
    from dataclasses import replace

    return replace(self, **changes)


class _Asked:
    """What `dataclasses` asks a class for: taken, when it does, from a dataclass just like it."""

    def __init__(self, cls: type, name: str, defaults: dict[str, Any]) -> None:
        self._cls = cls
        self._name = name
        self._defaults = defaults

    def __get__(self, instance: object, owner: type) -> Any:
        from dataclasses import dataclass

        cls = self._cls
        like: Any = type(
            cls.__name__, (), {**self._defaults, "__annotations__": cls.__annotations__}
        )
        found = getattr(dataclass(frozen=True)(like), self._name)
        setattr(cls, self._name, found)
        return found
