"""One load for many processes: the lease, and how it is taken. Waiting for one is elsewhere.py's.

A lease says only who loads. Whether what is loaded may be served is decided by generations: a lease
that lapses or is taken away costs a load and is never wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zlib import crc32

from pussycache.cache.shared.unique import unique
from pussycache.engine.singleflight import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["AGAIN", "COLD", "Early", "alike", "has_taken", "lease_of", "taking"]

AGAIN: Final = Failure(RuntimeError("what was waited for is over"))
"""What a flow is told when it is to begin anew."""

COLD: Final = 3
"""After how many calls in a row that were not found a lease is asked for beside the entry."""

_SAME: Final = 8


def lease_of(header: bytes) -> bytes:
    """Return a lease for a load under these generations: nobody else has it."""
    return b"%08x%b" % (crc32(header), unique())


def alike(lease: bytes, held: bytes) -> bool:
    """Whether a lease that is held is for a load whose result this one's callers may be given."""
    return lease[:_SAME] == held[:_SAME]


def taking(key: bytes, entry: bytes, lease: bytes, milliseconds: int) -> list[tuple[Any, ...]]:
    """Return the commands that take a lease, unless somebody holds it, or has stored meanwhile."""
    return [
        (b"SET", key, lease, b"NX", b"GET", b"PX", milliseconds),
        (b"EXISTS", entry),
    ]


def has_taken(replies: Sequence[Any], lease: bytes) -> bool:
    """Whether the lease was taken, and there is no entry."""
    held, there = replies[-2:]
    return held in (None, lease) and not there


class Early(NamedTuple):
    """A lease that is asked for beside the entry, for a load under these generations."""

    lease: bytes
    header: bytes
