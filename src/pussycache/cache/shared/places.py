"""Under which keys of the server the entries of a method, their generations and leases are kept.

All that belongs to one call has one hash tag, so that it lies on one node of a cluster. Nothing is
asked here.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple
from zlib import crc32

from pussycache.cache.shared.raised import Target

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ENTRY",
    "GENERATION",
    "LEASE",
    "PLAIN",
    "RULES",
    "TOLD",
    "USED",
    "Bucket",
    "Places",
    "near_channel",
    "readable",
    "told_among",
]

ENTRY: Final = b"e"
GENERATION: Final = b"g"
LEASE: Final = b"l"
USED: Final = b"u"
TOLD: Final = b"c"
RULES: Final = b"r"
PLAIN: Final = b"v"

_LONGEST: Final = 120
_AUTHORS: Final = [b":%d" % number for number in range(64)]
_SAFE: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-<>,")


class Bucket(NamedTuple):
    """The keys of those calls of a method that lie together."""

    generation: bytes
    entry: bytes
    lease: bytes
    used: bytes
    told: bytes
    rules: bytes

    def rule(self, name: bytes, value: bytes) -> bytes:
        """Return the key of the generation of what a rule matches."""
        return b"%b:%b:%b" % (self.generation, name, value)

    def told_at(self, key: bytes) -> bytes:
        """Return where it is told who made a generation another, or who has forgotten an entry."""
        return self.told if key == self.generation else told_among(self.told, key)


class Places:
    """The keys of one method of one object; ``targets`` is what a write of all of it makes others.

    :param buckets: over how many hash tags its calls are spread; 1 for a single server.
    """

    __slots__ = ("buckets", "tag", "targets")

    def __init__(self, prefix: bytes, owner: str, method: str, buckets: int) -> None:
        # By which the keys of the method are told from those of others.
        self.tag = b"%b:%b" % (readable(owner), readable(method))
        self.buckets: Sequence[Bucket] = [_bucket(prefix, self.tag, i) for i in range(buckets)]
        self.targets = tuple(
            [Target(b.generation, b.generation, b.told, b"") for b in self.buckets]
        )

    def of(self, arguments: bytes) -> Bucket:
        """Return where a call with these encoded arguments lies."""
        buckets = self.buckets
        return buckets[0] if len(buckets) == 1 else buckets[crc32(arguments) % len(buckets)]


def _bucket(prefix: bytes, name: bytes, number: int) -> Bucket:
    tag = b"{%b:%d}" % (name, number)
    generation, entry, lease, used, told, rules = [
        b"%b:%b:%b" % (prefix, kind, tag) for kind in (GENERATION, ENTRY, LEASE, USED, TOLD, RULES)
    ]
    return Bucket(generation, entry + b":", lease + b":", used + b":", told, rules)


def near_channel(prefix: bytes) -> bytes:
    """Return the channel of those who keep entries in their own memory; nothing is said on it."""
    return prefix + b":near"


def told_among(told: bytes, key: bytes) -> bytes:
    """Return one of a few places, so that it takes little room however many keys there are."""
    return told + _AUTHORS[crc32(key) & 63]


def readable(text: str) -> bytes:
    """Return a name in bytes that are easy to read, of bounded length; distinct ones stay so."""
    raw = text.encode("utf-8", "surrogatepass")
    safe = b"".join([bytes((c,)) if c in _SAFE else b"%%%02x" % c for c in raw])
    if len(safe) <= _LONGEST:
        return safe
    digest = blake2b(raw, digest_size=16).hexdigest().encode()
    return b"%b~%b" % (safe[:_LONGEST], digest)
