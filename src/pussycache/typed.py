"""What of `typing` the running program needs, without importing it.

With what is below it, that would be a sixth of what it costs to import the library. So the modules
that everybody loads take `typing` for type checkers alone, and these from here. A name
`TYPE_CHECKING` that is false means to type checkers what that of `typing` does.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NamedTuple, Protocol, dataclass_transform, final

__all__ = ["NamedTuple", "Protocol", "dataclass_transform", "final"]

if not TYPE_CHECKING:

    class Protocol:
        """What a class is that only type checkers look at."""

        __slots__ = ()

    def final(kind: Any) -> Any:
        """Return the class: that nothing may inherit from it, type checkers see to."""
        return kind

    def dataclass_transform(**_: bool) -> Callable[[Any], Any]:
        """Return a decorator that says to type checkers what another one makes."""
        return lambda decorator: decorator

    class _Named(type):
        def __new__(cls, name: str, bases: tuple[type, ...], space: dict[str, Any]) -> type:
            if not bases:
                return super().__new__(cls, name, bases, space)
            # Wherever this version of Python has them.
            fields = type(name, (), dict(space)).__annotations__
            defaults = [space.pop(field) for field in fields if field in space]
            module = space["__module__"]
            made = namedtuple(name, fields, defaults=defaults, module=module)
            made.__annotations__ = made.__new__.__annotations__ = fields
            for attribute in space.keys() - _ITS_OWN:
                setattr(made, attribute, space[attribute])
            made.__orig_bases__ = bases
            return made

    _ITS_OWN = {"__annotations__", "__annotate__", "__annotate_func__", "__dict__", "__weakref__"}

    class NamedTuple(metaclass=_Named):
        """As that of `typing`: the annotated names are the fields, and may have defaults."""
