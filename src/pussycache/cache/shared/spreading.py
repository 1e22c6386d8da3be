"""Doing in a server, in one step, what others have to hear of who keep entries in their own memory.

A server has sent what one command has changed by the time it replies to the next one. A write has
two steps, and needs no third; what takes one step is followed by another, if there is somebody to
hear of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pussycache.cache.wire import Packed
from pussycache.engine.asking import Ask

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from pussycache.cache.shared.tier import Seen, Tier

__all__ = ["SPREAD", "heard", "spread"]

SPREAD: Final[tuple[tuple[bytes], ...]] = ((b"PING",),)
"""Asked after what is done in one step: by its reply, those have been sent word."""


def heard(tier: Tier, commands: Sequence[tuple[Any, ...]]) -> Packed:
    """Return commands for `spread`: before them it is asked whether there is somebody to hear."""
    return Packed(commands if tier.near is None else [(b"PUBSUB", b"NUMSUB", tier.near), *commands])


def spread(tier: Tier, key: bytes, commands: Packed) -> Generator[Ask, Any, Seen | None]:
    """Have commands carried out, and see that word of it has been sent; return the replies."""
    seen: Seen | None = yield Ask(tier, key, commands)
    if seen is None or tier.near is None:
        return seen
    (count, *replies), replication = seen
    # Whoever is not allowed to ask takes it that there is somebody.
    if type(count) is not list or count[1]:
        yield Ask(tier, key, SPREAD)
    return replies, replication
