"""Exceptions as entries: by the name of their class and their arguments.

Which ones are remembered is declared. What the bytes name is looked for among those classes and
what is derived from them, and nothing else is ever made; no constructor of a user's is run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pussycache.cache.shapes import NotStorable, class_name
from pussycache.engine.failures import Remembered

if TYPE_CHECKING:
    from pussycache.cache.serializers import Codec

__all__ = ["read_error", "write_error"]


def write_error(error: BaseException, codec: Codec) -> bytes:
    """Return an exception as bytes.

    :raises NotStorable: if it would not come back as it is.
    """
    own = {name: found for name, found in error.__dict__.items() if name != "__notes__"}
    written = codec.encode((class_name(type(error)), error.args, own))
    _, args, own_again = _parts(codec.decode(written))
    if args != error.args or own_again != own:
        raise NotStorable(type(error), "its arguments do not come back equal", "leave it out")
    return written


def read_error(payload: bytes, kinds: Iterable[type[Exception]], codec: Codec) -> Remembered:
    """Return what was remembered.

    :param kinds: the classes that are remembered, each with those derived from it.
    :raises ValueError: if it cannot be read.
    """
    name, args, own = _parts(codec.decode(payload))
    kind = next((kind for kind in _derived(kinds) if class_name(kind) == name), None)
    if kind is None:
        raise ValueError(f"no class {name!r} is remembered")
    try:
        # As pickle does it, but for the constructor.
        made = kind.__new__(kind, *args)
        made.args = args
        made.__dict__.update(own)
        return Remembered(made)
    except Exception as error:
        raise ValueError(f"{name} cannot be made: {error}") from None


def _parts(found: Any) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    if type(found) is not tuple or [type(part) for part in found] != [str, tuple, dict]:
        raise ValueError("not an exception")
    return found


def _derived(kinds: Iterable[type[Exception]]) -> Iterator[type[Exception]]:
    for kind in kinds:
        yield kind
        yield from _derived(kind.__subclasses__())
