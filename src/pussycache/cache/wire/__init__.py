"""The connection layer of the shared tier: servers, connections, commands.

It knows nothing of entries, generations and serializers. Most of it needs redis-py and hiredis,
and is loaded when it is asked for: not every shared store is behind it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pussycache.cache.wire.addresses import Address, Place
    from pussycache.cache.wire.handshake import Facts
    from pussycache.cache.wire.listening import Listening
    from pussycache.cache.wire.nodes import Node
    from pussycache.cache.wire.packed import Packed
    from pussycache.cache.wire.repeating import Repeating
    from pussycache.cache.wire.resp import Command
    from pussycache.cache.wire.scripts import Script
    from pussycache.cache.wire.server import Server
    from pussycache.cache.wire.unreachable import Unreachable
    from pussycache.cache.wire.waking import Waking

__all__ = [
    "Address",
    "Command",
    "Facts",
    "Listening",
    "Node",
    "Packed",
    "Place",
    "Repeating",
    "Script",
    "Server",
    "Unreachable",
    "Waking",
]

_WHERE = {
    "Address": "addresses",
    "Command": "resp",
    "Facts": "handshake",
    "Listening": "listening",
    "Node": "nodes",
    "Packed": "packed",
    "Place": "addresses",
    "Repeating": "repeating",
    "Script": "scripts",
    "Server": "server",
    "Unreachable": "unreachable",
    "Waking": "waking",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    return found
