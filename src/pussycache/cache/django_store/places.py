"""What the keys of the shared tier are called in a cache of Django's, whatever its backend.

Every name is legal for memcached: at most 250 bytes, with a prefix and a version, and none of them
a space. What is kept under a name is said elsewhere.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Final

from pussycache.cache.shared.places import GENERATION, LEASE

__all__ = ["FENCES", "GENERATION", "LEASE", "PREFIX", "ROOT", "TOKEN", "call_of", "kind", "name"]

PREFIX: Final = b"pussycache"

TOKEN: Final = b"t"
"""The kind of a generation that no writer is ever at work on: it is replaced at one moment."""
ROOT: Final = PREFIX + b":t:"
"""The generation of all that the cache holds, which `clear` replaces."""

FENCES: Final = ("!0", "!1", "!")
"""What is put after the name of a generation: a fence for one writer, another, and for the rest."""

_AT: Final = len(PREFIX) + 1


def kind(key: bytes) -> bytes:
    """Return what a key is about."""
    return key[_AT : _AT + 1]


def call_of(entry: bytes) -> bytes:
    """Return the key of the generation of the single call that an entry is of."""
    return PREFIX + b":t" + entry[_AT + 1 :]


@lru_cache(4096)
def name(key: bytes) -> str:
    """Return the name of a key; distinct ones stay so.

    >>> name(b"pussycache:e:{users.Users:get:0}:7")
    'pussycache:e:de62cb2ecfd86f955e3786ac7ac875c02ccb81b9'
    """
    digest = blake2b(key, digest_size=20).hexdigest()
    return f"pussycache:{key[_AT : _AT + 1].decode('latin-1')}:{digest}"
