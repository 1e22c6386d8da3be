"""The commands of the shared tier, carried out by a cache of Django's.

The flows of cache/shared say what they want in the words of Redis. Here those words are given the
meaning that they have there, in as few calls of the backend as may be. What they are wanted for is
none of this module's business.
"""

from __future__ import annotations

import math
from contextlib import suppress
from struct import Struct
from time import time
from typing import TYPE_CHECKING, Any, Final

from pussycache.cache.django_store.generations import Generations, names, token_of
from pussycache.cache.django_store.leases import Leases
from pussycache.cache.django_store.places import (
    GENERATION,
    LEASE,
    ROOT,
    TOKEN,
    call_of,
    kind,
    name,
)
from pussycache.cache.envelope import last_generation
from pussycache.cache.shared import scripts
from pussycache.cache.shared.reading import fresh_token
from pussycache.cache.wire.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pussycache.cache.django_store.backend import Backend

__all__ = ["LOOK", "Commands"]

LOOK: Final = b"LOOK"
"""MGET for one call: the generations of kind `TOKEN` that are missing are made. After the command
come the milliseconds for which they are kept, and the keys."""

_Command = tuple[Any, ...]
_until: Final = Struct(">d")
_FOR_EVER: Final = -1
_GONE: Final = -2


class Commands:
    """What carries commands out."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.generations = Generations(backend)
        self._leases = Leases()
        self._scripts = {
            scripts.START.sha: self._start,
            scripts.END.sha: self._end,
            scripts.CREATE.sha: self._create,
            scripts.STORE.sha: self._store,
            scripts.RELEASE.sha: self._release,
            scripts.RENEW.sha: self._renew,
            scripts.MARK.sha: self._mark,
        }

    def carry_out(self, commands: Sequence[_Command]) -> list[Any]:
        """Carry out commands one after the other, and return the replies.

        :raises Unreachable: if the backend fails; some of them may have been carried out then.
        """
        replies: list[Any] = []
        reads: list[_Command] = []
        for command in commands:
            if command[0] in _READS:
                reads.append(command)
                continue
            replies += self._read(reads)
            reads = []
            replies.append(self._change(command))
        return replies + self._read(reads)

    def clear(self) -> None:
        """Put the generation to death that all entries are stored under."""
        self.generations.kill(ROOT)

    # Reading.

    def _read(self, commands: Sequence[_Command]) -> list[Any]:
        """Carry out commands that read, with one look at the backend."""
        keys = [key for command in commands for key in command[slice(*_READS[command[0]])]]
        found = self._found(keys) if keys else {}
        replies: list[Any] = []
        for command in commands:
            word, key = command[0], command[-1]
            if word == LOOK:
                replies.append([self._looked(key, command[1], found) for key in command[2:]])
            elif word == b"MGET":
                replies.append([self._value(key, found) for key in command[1:]])
            elif word == b"EXISTS":
                replies.append(int(self._value(key, found) is not None))
            elif word == b"PTTL":
                replies.append(_left(found.get(name(key))))
            elif word == b"PING":
                replies.append(b"PONG")
            else:
                key = command[1]
                value = self._value(key, found)
                if word == b"GETEX" and value is not None:
                    # Only to be used: it need not be there for longer if that fails.
                    with suppress(Unreachable):
                        self._put(key, value, command[3])
                replies.append(value)
        return replies

    def _found(self, keys: Iterable[bytes]) -> dict[str, Any]:
        first: list[str] = []
        fences: list[str] = []
        for key in keys:
            what = kind(key)
            if what == GENERATION:
                token, *others = names(key)
                first.append(token)
                fences += others
            elif what != LEASE:
                first.append(name(key))
        asked = first + fences
        # The tokens before the fences.
        found = self._backend.get_many(asked) if asked else {}
        if fences and not self._backend.in_order:
            found |= self._backend.get_many(fences)
        return found

    def _looked(self, key: bytes, milliseconds: Any, found: Mapping[str, Any]) -> bytes | None:
        value = self._value(key, found)
        if value is None and kind(key) == TOKEN:
            token = fresh_token()
            # With that of the whole cache, everything would expire.
            lasts = None if key == ROOT else _seconds(milliseconds)
            if self.generations.make(key, token, lasts):
                return token
            value = token_of(self._backend.get(name(key)))
        return value

    def _value(self, key: bytes, found: Mapping[str, Any]) -> bytes | None:
        what = kind(key)
        if what == LEASE:
            return self._leases.held(key)
        if what == GENERATION:
            return self.generations.read(key, found)
        value: Any = found.get(name(key))
        if what == TOKEN:
            return token_of(value)
        return None if _left(value) == _GONE else value[_until.size :]

    # Changing.

    def _change(self, command: _Command) -> Any:
        word = command[0]
        if word == b"SET":
            return self._set(*command[1:])
        if word in (b"DEL", b"UNLINK"):
            return self._remove(command[1])
        count = command[2]
        keys, arguments = command[3 : 3 + count], command[3 + count :]
        return self._scripts[command[1]](keys, arguments)

    def _set(self, key: bytes, value: bytes, *how: Any) -> bytes | None:
        milliseconds = how[-1] if b"PX" in how else None
        what = kind(key)
        if what == LEASE:
            held = self._leases.take(key, value, how[-1], b"NX" in how)
            if b"GET" in how:
                return held
            return b"OK" if held is None or b"NX" not in how else None
        if what == GENERATION:
            return b"OK" if self.generations.make(key, value, _seconds(milliseconds)) else None
        if what == TOKEN:
            self.generations.replace(key, value, _seconds(milliseconds))
        else:
            self._put(key, value, milliseconds)
        return b"OK"

    def _put(self, key: bytes, value: bytes, milliseconds: Any) -> None:
        seconds = _seconds(milliseconds)
        until = math.inf if seconds is None else time() + seconds
        self._backend.set(name(key), _until.pack(until) + value, seconds)

    def _remove(self, key: bytes) -> int:
        what = kind(key)
        if what == LEASE:
            return int(self._leases.drop(key))
        if what in (GENERATION, TOKEN):
            self.generations.kill(key)
        else:
            self._backend.delete(name(key))
        return 1

    # What takes several steps.

    def _start(self, keys: Sequence[bytes], arguments: Sequence[Any]) -> int:
        writer, rule, milliseconds = arguments[:3]
        rules = keys[2] if rule else None
        self.generations.begin(keys[0], keys[1], rules, writer, rule, milliseconds)
        return 1

    def _end(self, keys: Sequence[bytes], arguments: Sequence[Any]) -> int:
        writer, rule, cause, milliseconds = arguments[:4]
        self.generations.end(keys[0], keys[1], writer, rule)
        if cause:
            # It is told to those who ask why; nothing rests on it.
            with suppress(Unreachable):
                self._put(keys[2], cause, milliseconds)
        return 1

    def _create(self, keys: Sequence[bytes], arguments: Sequence[Any]) -> int:
        token, wanted, milliseconds = arguments
        lasts = _seconds(milliseconds)
        return int(self.generations.create(keys[0], keys[1], token, wanted, lasts))

    def _store(self, keys: Sequence[bytes], arguments: Sequence[Any]) -> int:
        lease, _, entry, milliseconds = arguments
        if self._leases.held(keys[0]) != lease:
            return 0
        try:
            # What is too large for the backend, say, is not stored.
            with suppress(Unreachable):
                # Of no use, and it would take the place of what was put there meanwhile.
                if self._is_of(entry, self._backend.get(name(call_of(keys[1])))):
                    self._put(keys[1], entry, milliseconds)
        finally:
            self._leases.drop(keys[0], lease)
        return 1

    @staticmethod
    def _is_of(entry: bytes, token: Any) -> bool:
        """Whether an entry is stored under this generation of its call."""
        live = token_of(token)
        return live is not None and last_generation(entry) == live[1:]

    def _release(self, keys: Sequence[bytes], arguments: Sequence[Any]) -> int:
        return int(self._leases.drop(keys[0], arguments[0]))

    def _renew(self, keys: Sequence[bytes], arguments: Sequence[Any]) -> int:
        return int(self._leases.renew(keys[0], arguments[0], arguments[1]))

    def _mark(self, keys: Sequence[bytes], arguments: Sequence[Any]) -> int:
        return self._leases.left(keys[0], arguments[0])


_READS: Final[dict[bytes, tuple[int, int | None]]] = {
    LOOK: (2, None),
    b"MGET": (1, None),
    b"GET": (1, 2),
    b"GETEX": (1, 2),
    b"EXISTS": (1, 2),
    b"PTTL": (1, 2),
    b"PING": (0, 0),
}
"""The commands that only read, and where their keys stand in them."""


def _seconds(milliseconds: Any) -> float | None:
    return None if milliseconds in (b"", None) else milliseconds / 1000


def _left(found: Any) -> int:
    """Return for how many milliseconds what was found is good, as PTTL does."""
    if not isinstance(found, bytes) or len(found) < _until.size:
        return _GONE
    until = _until.unpack_from(found)[0]
    if until == math.inf:
        return _FOR_EVER
    left = until - time()
    return math.ceil(left * 1000) if left > 0 else _GONE
