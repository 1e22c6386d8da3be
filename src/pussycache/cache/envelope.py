"""The envelope of an entry in a shared store: what is written around a payload, and checked first.

No payload is looked into here, and no store is known.

An envelope is a header (format, kind, number of generations, replication id, generations), a code
over key, header and payload, and the payload. So a reader that knows which header it may accept
compares it in one step.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from enum import Enum
from hashlib import blake2b
from hmac import compare_digest
from struct import Struct
from typing import Any, Final, NamedTuple
from zlib import crc32

from pussycache.engine.plan import level_of_the_caller
from pussycache.errors import ConfigurationError

__all__ = [
    "AGED",
    "ERROR",
    "GENERATION_BYTES",
    "NO_REPLICATION",
    "REPLICATION_BYTES",
    "TAGGED",
    "VALUE",
    "Opener",
    "Refused",
    "Sealed",
    "Sealer",
    "as_error",
    "last_generation",
]

VALUE: Final = 1
"""The kind of an entry whose payload is a result."""
ERROR: Final = 2
"""The kind of an entry whose payload is a remembered exception."""
AGED: Final = 3
"""The kind of an entry whose payload is a result, and how long that is good."""
TAGGED: Final = 0x10
"""Added to the kind of an entry whose payload begins with tags."""

GENERATION_BYTES: Final = 16
REPLICATION_BYTES: Final = 20
NO_REPLICATION: Final = bytes(REPLICATION_BYTES)
"""Stands for the replication id of a server that tells none."""

# The upper half says that it is ours. Below are three bits of version and one for "signed".
_OURS: Final = 0xD0
_VERSION: Final = 0x02
_SIGNED: Final = 0x01
_VERSIONS: Final = 0x0E
_BEFORE_GENERATIONS: Final = 3 + REPLICATION_BYTES
_CODE_BYTES: Final = 16
_CHECKSUM_BYTES: Final = 4
_FEW_BYTES: Final = 16

_length = Struct(">I").pack


_STAMPED: Final = 64
"""How many bytes of the payload belong to a stamp, beside its code."""


class Refused(Enum):
    """Why an entry was not opened; such an entry is a miss, and is overwritten."""

    TRUNCATED = "truncated"
    FOREIGN = "foreign"
    """It begins with no format of this library."""
    FUTURE = "future-format"
    """A later version wrote it."""
    UNSIGNED = "unsigned"
    """It has no signature, and this reader has secret keys."""
    SIGNED = "signed"
    """It has a signature, and this reader has no secret keys."""
    FORGED = "forged"
    """None of the secret keys made its code for this key and content."""
    CORRUPT = "corrupt"
    """Its checksum is not that of this key and content."""


def as_error(header: bytes) -> bytes:
    """Return the header of an exception under the same generations as another entry."""
    return header[:1] + bytes((ERROR | header[1] & TAGGED,)) + header[2:]


def last_generation(entry: bytes) -> bytes:
    """Return the last of the generations in an entry's header."""
    end = _BEFORE_GENERATIONS + GENERATION_BYTES * entry[2]
    return entry[end - GENERATION_BYTES : end]


Opener = Callable[[bytes], bytes | None]
"""What returns the payload of an entry, if it is sound and has the header that it is to have."""


class Sealed(NamedTuple):
    """What an opened entry says."""

    kind: int
    replication: bytes
    generations: bytes
    """One after the other, 16 bytes each."""
    payload: bytes


class Sealer:
    """Seals entries and opens them; with secret keys nobody else can make an entry.

    :param secret_keys: the first signs, all verify; `None`: entries have a checksum instead, which
        tells accidents and not forgeries.
    :raises ConfigurationError: for an empty list or an empty key, or keys that are no str or bytes.

    >>> sealer = Sealer(["a secret that is long enough"])
    >>> header = sealer.header(NO_REPLICATION, [bytes(16)])
    >>> entry = sealer.seal(b"key", header, b"payload")
    >>> sealer.opens_with(b"key", entry, header)
    b'payload'
    >>> sealer.open(b"another key", entry)
    <Refused.FORGED: 'forged'>
    """

    __slots__ = ("_code_bytes", "_format", "_macs")

    def __init__(self, secret_keys: Sequence[str | bytes] | None = None) -> None:
        self._macs: list[Any] = []
        if secret_keys is not None:
            self._macs = [blake2b(key=key, digest_size=_CODE_BYTES) for key in _keys(secret_keys)]
        self._format = _OURS | _VERSION | (_SIGNED if self._macs else 0)
        self._code_bytes = _CODE_BYTES if self._macs else _CHECKSUM_BYTES

    def beginning(self, replication: bytes, count: int, kind: int = VALUE) -> bytes:
        """Return what a header with so many generations has before them; may be kept."""
        return b"%c%c%c%b" % (self._format, kind, count, replication)

    def header(self, replication: bytes, generations: Sequence[bytes], kind: int = VALUE) -> bytes:
        """Return the header of an entry: what its reader has to accept.

        :param replication: 20 bytes, or `NO_REPLICATION`.
        :param generations: tokens of 16 bytes each, at most 255.
        """
        count = len(generations)
        return b"%c%c%c%b%b" % (self._format, kind, count, replication, b"".join(generations))

    def seal(self, key: bytes, header: bytes, payload: bytes) -> bytes:
        """Return the entry for a payload that is stored under a key."""
        if len(header) != _BEFORE_GENERATIONS + GENERATION_BYTES * header[2]:
            raise ValueError("a replication id has 20 bytes and a generation 16")
        message = b"".join((_length(len(key)), key, header, payload))
        if self._macs:
            code = _sign(self._macs[0], message)
        else:
            code = crc32(message).to_bytes(_CHECKSUM_BYTES, "big")
        return b"".join((header, code, payload))

    def opens_with(self, key: bytes, data: bytes, header: bytes) -> bytes | None:
        """Return the payload of an entry that has this very header and is sound, or `None`.

        This is all that a hit needs. Whoever wants to know what was wrong asks `open`.
        """
        if not data.startswith(header):
            return None
        before = len(header)
        start = before + self._code_bytes
        payload = data[start:]
        message = b"".join((_length(len(key)), key, header, payload))
        return payload if self._is_sound(message, data[before:start]) else None

    def opener(self, key: bytes, header: bytes) -> Opener:
        """Return what does the same as `opens_with`, for a key and header that are asked again."""
        start = len(header) + self._code_bytes
        before = len(header)
        message = b"".join((_length(len(key)), key, header))
        macs = self._macs
        if not macs:
            begun = crc32(message)

            def checks(data: bytes) -> bytes | None:
                if not data.startswith(header):
                    return None
                payload = data[start:]
                code = crc32(payload, begun).to_bytes(_CHECKSUM_BYTES, "big")
                return payload if code == data[before:start] else None

            return checks
        mac = macs[0].copy()
        mac.update(message)

        def verifies(data: bytes) -> bytes | None:
            if not data.startswith(header):
                return None
            payload = data[start:]
            if compare_digest(_sign(mac, payload), data[before:start]):
                return payload
            return self.opens_with(key, data, header)

        return verifies

    def stamp(self, data: bytes) -> bytes:
        """Return how an entry begins: enough to tell whether it has been replaced by another."""
        before = _BEFORE_GENERATIONS + GENERATION_BYTES * data[2]
        return data[: before + self._code_bytes + _STAMPED]

    def open(self, key: bytes, data: bytes) -> Sealed | Refused:
        """Return what an entry says, or why it is refused; raises nothing."""
        if not data:
            return Refused.TRUNCATED
        if data[0] != self._format:
            return _why_not(data[0])
        if len(data) < _BEFORE_GENERATIONS:
            return Refused.TRUNCATED
        before = _BEFORE_GENERATIONS + GENERATION_BYTES * data[2]
        start = before + self._code_bytes
        if len(data) < start:
            return Refused.TRUNCATED
        payload = data[start:]
        message = b"".join((_length(len(key)), key, data[:before], payload))
        if not self._is_sound(message, data[before:start]):
            return Refused.FORGED if self._macs else Refused.CORRUPT
        replication = data[3:_BEFORE_GENERATIONS]
        return Sealed(data[1], replication, data[_BEFORE_GENERATIONS:before], payload)

    def _is_sound(self, message: bytes, code: bytes) -> bool:
        if not self._macs:
            return crc32(message).to_bytes(_CHECKSUM_BYTES, "big") == code
        # In constant time: how far a guess was right must not be measurable.
        if compare_digest(_sign(self._macs[0], message), code):
            return True
        return any(compare_digest(_sign(mac, message), code) for mac in self._macs[1:])


def _sign(mac: Any, message: bytes) -> bytes:
    # A copy: to take in the key anew costs as much as to sign a small entry.
    mac = mac.copy()
    mac.update(message)
    return mac.digest()  # type: ignore[no-any-return]


def _why_not(first: int) -> Refused:
    if first & 0xF0 != _OURS or not first & _VERSIONS:
        return Refused.FOREIGN
    if first & _VERSIONS != _VERSION:
        return Refused.FUTURE
    return Refused.SIGNED if first & _SIGNED else Refused.UNSIGNED


def _keys(secret_keys: Sequence[str | bytes]) -> list[bytes]:
    remedy = "give a list of str or bytes, the one that signs first"
    if isinstance(secret_keys, (str, bytes)) or not isinstance(secret_keys, Sequence):
        kind = type(secret_keys).__name__
        raise ConfigurationError(f"secret_keys is of type {kind}; {remedy}")
    if not secret_keys:
        raise ConfigurationError(
            f"secret_keys is empty, and nothing would be signed; {remedy}, or leave it out"
        )
    keys = []
    each: Sequence[object] = secret_keys
    for position, key in enumerate(each):
        if not isinstance(key, (str, bytes)):
            kind = type(key).__name__
            raise ConfigurationError(f"secret_keys[{position}] is of type {kind}; {remedy}")
        if not key:
            raise ConfigurationError(f"secret_keys[{position}] is empty; {remedy}")
        keys.append(key.encode("utf-8", "surrogatepass") if isinstance(key, str) else key)
    if any(len(key) < _FEW_BYTES for key in keys):
        warnings.warn(
            f"secret_keys has a key of less than {_FEW_BYTES} bytes, which can be guessed; "
            "make one with secrets.token_hex(32)",
            RuntimeWarning,
            stacklevel=level_of_the_caller(),
        )
    # Of one length whatever the user's is, and of no use where the same secret signs other things.
    return [blake2b(key, digest_size=32, person=b"pussycache entry").digest() for key in keys]
