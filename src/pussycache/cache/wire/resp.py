"""The servers' language: commands packed, replies read, errors as exceptions. hiredis does it.

What an error means for a caller is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeAlias, cast

import hiredis
from redis.exceptions import NoScriptError, ResponseError

from pussycache.cache.wire.packed import Packed

__all__ = [
    "BROKEN",
    "INCOMPLETE",
    "Command",
    "Parser",
    "Push",
    "pack",
    "pack_all",
    "parser",
]

Command: TypeAlias = tuple[bytes | str | int | float, ...]

BROKEN: Final = hiredis.HiredisError
"""Raised by a parser at what is not the language."""

Push: Final = hiredis.PushNotification
"""The class of what a server says unasked; a list."""

INCOMPLETE: Final[Any] = object()
"""What a parser gives while there is no whole reply yet."""


class Parser(Protocol):
    """What is used of hiredis' reader; its own annotations know no bytearray."""

    def feed(self, data: bytes | bytearray, start: int = ..., count: int = ..., /) -> None: ...

    def gets(self) -> Any: ...


def _error(text: str) -> ResponseError:
    # The server's words whole: redis-py takes the code away from some of them.
    return (NoScriptError if text.startswith("NOSCRIPT") else ResponseError)(text)


def parser() -> Parser:
    """Return a parser whose replies are bytes, and whose error replies are exceptions."""
    return cast("Parser", hiredis.Reader(replyError=_error, notEnoughData=INCOMPLETE))


# Its annotations also know only commands of one word.
pack = cast("Callable[[Command], bytes]", hiredis.pack_command)


def pack_all(commands: Sequence[Command]) -> bytes:
    """Pack several commands to be sent in one go."""
    if type(commands) is Packed:
        try:
            return commands.packed
        except AttributeError:
            commands.packed = b"".join(map(pack, commands))
            return commands.packed
    return pack(commands[0]) if len(commands) == 1 else b"".join(map(pack, commands))
