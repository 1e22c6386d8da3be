"""What the server says unasked to a process that keeps entries of its own, and when it gets there.

What is dropped then is the local tier's own business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pussycache.cache.shared.nearby import Nearby
from pussycache.cache.shared.tiered import COHERENCE

__all__ = ["TIERED", "Pushes", "changed_by"]

TIERED: Final = COHERENCE["poll"]
"""How calls are answered in a process with a local tier: it polls before each hit."""


class Pushes:
    """Stands for the connections on which a process is told which generations have changed.

    The server sends what a command has changed before it carries out the next one. What has been
    sent has arrived, and is known when the process looks.
    """

    watch = None
    lost = False

    def __init__(self, running: Any) -> None:
        self._running = running
        self.unread: list[bytes] = []
        running.network.server.hearers += 1
        # Nobody listens in a thread of its own, and there is no server to connect to.
        self.near = Nearby(running.tier.server, running.home, b"p", thread=False, strict=True)
        self.near.watched = True
        self.near.links = self  # type: ignore[assignment]

    def of(self, key: bytes) -> Pushes:
        """Return the connection to the server of a key."""
        return self

    def replication(self, link: object) -> bytes:
        """Return the id of the data set that is spoken of."""
        replication: bytes = self._running.network.server.replication
        return replication

    def is_due(self, key: bytes) -> bool:
        """Whether the server is to be listened to, and is not."""
        return False

    def quiet(self) -> bool:
        """Drop what is said to have changed; what is left may be served."""
        keys, self.unread = self.unread, []
        if keys:
            self.near.changed(keys)
        return True


def changed_by(
    command: Sequence[Any], before: Mapping[bytes, Any], after: Mapping[bytes, Any]
) -> list[bytes]:
    """Return the generations that a command has changed, given all that the server had and has."""
    keys = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    if command[0] == b"SET":
        # Also by what was there already.
        keys.add(command[1])
    return sorted(key for key in keys if key.startswith(b"p:g:"))
