"""What is in a shared cache, by what it belongs to: counted a few hundred keys at a time.

Nothing here stalls a server, and nothing is changed but by `forgotten`.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from pussycache.cache.shared.cleaning import matching
from pussycache.cache.shared.places import ENTRY, GENERATION, PLAIN
from pussycache.cache.shared.scripts import END
from pussycache.engine.asking import Ask
from pussycache.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Generator

    from pussycache.cache.shared.cleaning import Nodes

__all__ = ["Line", "answering", "forgotten", "survey"]

_AT_ONCE: Final = 500
_TAG: Final = re.compile(rb"\{(.*):([^:]*):\d+\}")
_WRITER: Final = ord("W")
_A_WEEK: Final = 604_800_000
PLAIN_NAME: Final = "(set by hand)"


@dataclass
class Line:
    """What there is of one method of what one namespace stands for.

    ``size`` is that of the entries in bytes, without what the server needs beside. ``generations``
    are tokens; ``writers`` are at work, or have died a short while ago.
    """

    owner: str
    method: str
    entries: int = 0
    size: int = 0
    generations: int = 0
    writers: int = 0


def answering(nodes: Nodes) -> Generator[Ask, Any, bool]:
    """Say whether each server answers; one that is known not to is not asked."""
    there = yield Ask(nodes, None)
    for node in there or ():
        replies = yield Ask(nodes, node, [(b"PING",)])
        if replies is None or isinstance(replies[0], Exception):
            return False
    return bool(there)


def survey(nodes: Nodes, prefix: bytes) -> Generator[Ask, Any, list[Line]]:
    """Count what is there, by namespace and method."""
    lines: dict[tuple[str, str], Line] = defaultdict(lambda: Line("", ""))
    for node in (yield from _there(nodes)):
        cursor: Any = b"0"
        while True:
            scan = (b"SCAN", cursor, b"MATCH", matching(prefix + b":"), b"COUNT", _AT_ONCE)
            cursor, keys = (yield from _asked(nodes, node, [scan]))[0]
            looks = [
                (b"GETRANGE", key, 0, -1) if _kind(prefix, key) == GENERATION else (b"STRLEN", key)
                for key in keys
            ]
            found = (yield from _asked(nodes, node, looks)) if looks else []
            for key, reply in zip(keys, found, strict=True):
                _note(lines, prefix, key, reply)
            if cursor == b"0":
                break
    return sorted(lines.values(), key=lambda line: (line.owner, line.method))


def _note(lines: dict[tuple[str, str], Line], prefix: bytes, key: bytes, reply: Any) -> None:
    kind = _kind(prefix, key)
    if kind == PLAIN:
        name = PLAIN_NAME, ""
    else:
        tag = _TAG.search(key)
        if kind not in (ENTRY, GENERATION) or tag is None:
            return
        name = _read(tag[1]), _read(tag[2])
    line = lines[name]
    line.owner, line.method = name
    if kind == GENERATION:
        if isinstance(reply, bytes) and reply[:1] and reply[0] == _WRITER:
            line.writers += reply.count(b"=")
        else:
            line.generations += 1
    elif isinstance(reply, int):
        line.entries += 1
        line.size += reply


def forgotten(
    nodes: Nodes, prefix: bytes, owner: str, method: str | None
) -> Generator[Ask, Any, int]:
    """Forget all that belongs to a namespace, or a method of it; returns how many generations.

    Counts as a write: loads that are under way are not stored. Writers at work stay so.
    """
    count = 0
    writer = os.urandom(16).hex().encode()
    for node in (yield from _there(nodes)):
        cursor: Any = b"0"
        start = b"%b:%b:" % (prefix, GENERATION)
        while True:
            scan = (b"SCAN", cursor, b"MATCH", matching(start), b"COUNT", _AT_ONCE)
            cursor, keys = (yield from _asked(nodes, node, [scan]))[0]
            commands = []
            for key in keys:
                tag = _TAG.search(key)
                if tag and _read(tag[1]) == owner and method in (None, _read(tag[2])):
                    # In full: a single server is not asked again if it does not have a script.
                    commands.append(
                        (b"EVAL", END.source, 3, key, key, key, writer, b"", b"", _A_WEEK)
                    )
            if commands:
                yield from _asked(nodes, node, commands)
                count += len(commands)
            if cursor == b"0":
                break
    return count


def _kind(prefix: bytes, key: bytes) -> bytes:
    return key[len(prefix) + 1 : len(prefix) + 2]


def _read(name: bytes) -> str:
    return unquote_to_bytes(name).decode("utf-8", "replace")


def _there(nodes: Nodes) -> Generator[Ask, Any, Any]:
    there = yield Ask(nodes, None)
    if there is None:
        raise BackendUnavailable("the server does not answer; try again later")
    return there


def _asked(nodes: Nodes, node: Any, commands: list[tuple[Any, ...]]) -> Generator[Ask, Any, Any]:
    replies = yield Ask(nodes, node, commands)
    if replies is None:
        raise BackendUnavailable("the server does not answer; try again later")
    for reply in replies:
        if isinstance(reply, Exception):
            raise BackendUnavailable(f"the server refuses: {reply}") from reply
    return replies
