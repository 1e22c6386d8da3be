"""Scripts that run on the server, by their digest where it has them.

What a script does is its owner's business; nothing here sends it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pussycache.cache.wire.resp import Command

__all__ = ["Script", "in_full"]

_sources: Final[dict[bytes, str]] = {}


class Script:
    """The source of a script, and the digest that servers call it by.

    A server that does not have it is sent the source instead; then what follows it in the same
    call has been carried out before it.

    >>> Script("return redis.call('GET', KEYS[1])").call([b"key"])[0]
    b'EVALSHA'
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest().encode()
        _sources[self.sha] = source

    def call(self, keys: Sequence[bytes], *arguments: bytes | str | int) -> Command:
        """Return the command that runs it."""
        return (b"EVALSHA", self.sha, len(keys), *keys, *arguments)


def in_full(command: Command) -> Command | None:
    """Return a command that names a script with its source instead; None if it is none of ours."""
    if command[0] != b"EVALSHA" or not isinstance(sha := command[1], bytes):
        return None
    source = _sources.get(sha)
    return None if source is None else (b"EVAL", source, *command[2:])
