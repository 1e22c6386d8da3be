"""Taking away what a cache has put into its servers, a few keys at a time.

Nothing here stalls a server: no command looks at more than some hundred keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pussycache.cache.shared.places import ENTRY, GENERATION, LEASE, PLAIN, TOLD, USED
from pussycache.cache.shared.scripts import LIFT
from pussycache.cache.shared.spreading import SPREAD
from pussycache.cache.wire import Unreachable
from pussycache.engine.asking import Ask
from pussycache.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from pussycache.cache.wire import Node, Server

__all__ = ["KINDS", "Nodes", "cleared", "matching"]

_AT_ONCE: Final = 500


class Nodes:
    """The servers, each by itself: to ask for `None` is to ask which there are."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def ask(self, node: Node | None, commands: Sequence[tuple[Any, ...]] = ()) -> Any:
        try:
            if node is None:
                return self._server.nodes()
            return self._server.ask_node(node, commands, repeatable=True)[0]
        except Unreachable:
            return None

    async def aask(self, node: Node | None, commands: Sequence[tuple[Any, ...]] = ()) -> Any:
        try:
            if node is None:
                return await self._server.anodes()
            return (await self._server.aask_node(node, commands, repeatable=True))[0]
        except Unreachable:
            return None


def matching(prefix: bytes) -> bytes:
    """Return the pattern of all keys that begin like this."""
    special = frozenset(b"*?[]^\\-")
    return b"".join([b"\\%c" % c if c in special else b"%c" % c for c in prefix]) + b"*"


KINDS: Final = ((ENTRY, LEASE, USED, PLAIN, TOLD), (GENERATION,))
"""What a cache puts into its servers, in the order in which it is removed."""


def cleared(
    nodes: Nodes, prefix: bytes, kinds: Sequence[Sequence[bytes]] = KINDS
) -> Generator[Ask, Any, None]:
    """Remove all keys of a prefix; generations come last, and not those with writers at work.

    :param kinds: which keys, a step after the other.

    What writers have told of their rules lapses by itself, some seconds after the last of them.
    """
    there = yield Ask(nodes, None)
    if there is None:
        raise BackendUnavailable("the server does not answer; nothing was cleared")
    for step in kinds:
        for node in there:
            for kind in step:
                yield from _cleared(nodes, node, b"%b:%b:" % (prefix, kind), kind == GENERATION)


def _cleared(
    nodes: Nodes, node: Node, beginning: bytes, generations: bool
) -> Generator[Ask, Any, None]:
    cursor: Any = b"0"
    while True:
        scan = (b"SCAN", cursor, b"MATCH", matching(beginning), b"COUNT", _AT_ONCE)
        seen = yield Ask(nodes, node, [scan])
        if seen is None or isinstance(seen[0], Exception):
            raise BackendUnavailable("the server does not answer; not everything was cleared")
        cursor, keys = seen[0]
        if keys:
            # In full: a single server is not asked again if it does not have a script.
            commands = [
                (b"EVAL", LIFT.source, 1, key) if generations else (b"UNLINK", key) for key in keys
            ]
            done = yield Ask(nodes, node, commands)
            if done is None or any(isinstance(reply, Exception) for reply in done):
                raise BackendUnavailable("the server does not answer; not everything was cleared")
        if cursor == b"0":
            yield Ask(nodes, node, SPREAD)
            return
