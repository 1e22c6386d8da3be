"""Values that are set by hand in a server: the words of a cache, each a flow that asks.

What is kept of methods is no business of this module's.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pussycache.cache.compression import pack, unpack
from pussycache.cache.envelope import NO_REPLICATION, Refused
from pussycache.cache.names import Unkeyable, encode_arguments
from pussycache.cache.serializers import NotStorable
from pussycache.cache.shared.places import PLAIN
from pussycache.cache.shared.scripts import EXCHANGE
from pussycache.engine.asking import Ask
from pussycache.errors import BackendUnavailable, ConfigurationError
from pussycache.types import MISSING

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from pussycache.cache.shared.tier import Tier

__all__ = ["Plain"]

_Command = tuple[Any, ...]


class Plain:
    """The values of one cache that have keys of their user's own.

    Reading never fails because the server did; changing something does. ``lasting`` is in seconds,
    `None` for ever, and at most 0 for not at all.
    """

    def __init__(self, tier: Tier) -> None:
        self.tier = tier
        self._codec = tier.serializer.bind(None)
        self._header = tier.sealer.header(NO_REPLICATION, [])

    # Reading.

    def get(self, key: Any, default: Any) -> Generator[Ask, Any, Any]:
        place = self.place(key)
        payloads = yield from self._payloads([place])
        return self._decoded(payloads.get(place), default)

    def get_many(self, keys: list[Any]) -> Generator[Ask, Any, dict[Any, Any]]:
        places = [self.place(key) for key in keys]
        payloads = yield from self._payloads(places)
        found = {}
        for key, place in zip(keys, places, strict=True):
            value = self._decoded(payloads.get(place), MISSING)
            if value is not MISSING:
                found[key] = value
        return found

    def _payloads(self, places: list[bytes]) -> Generator[Ask, Any, dict[bytes, bytes]]:
        """Return what is under some keys, as far as it can be believed."""
        found = {}
        for part in self._together(places):
            seen = yield Ask(self.tier, part[0], [(b"MGET", *part)])
            entries = [None] * len(part) if seen is None else seen[0][0]
            # An error is no list.
            for place, entry in zip(part, entries if type(entries) is list else (), strict=False):
                payload = self._payload(place, entry)
                if payload is not None:
                    found[place] = payload
        return found

    # Changing.

    def set(self, key: Any, value: Any, lasting: float | None) -> Generator[Ask, Any, None]:
        place = self.place(key)
        yield from self._told([place], [self._setting(place, self._sealed(place, value), lasting)])

    def set_many(self, data: Mapping[Any, Any], lasting: float | None) -> Generator[Ask, Any, None]:
        sealed = {}
        for key, value in data.items():
            place = self.place(key)
            sealed[place] = self._setting(place, self._sealed(place, value), lasting)
        for part in self._together(list(sealed)):
            yield from self._told(part, [sealed[place] for place in part])

    def add(self, key: Any, value: Any, lasting: float | None) -> Generator[Ask, Any, bool]:
        """Store a value unless there is one; what is not kept at all is not stored either."""
        place = self.place(key)
        entry = self._sealed(place, value)
        if lasting is not None and lasting <= 0:
            return False
        command = (b"SET", place, entry, b"NX", *_until(lasting))
        (reply,) = yield from self._told([place], [command], again=False)
        return bool(reply == b"OK")

    def touch(self, key: Any, lasting: float | None) -> Generator[Ask, Any, bool]:
        place = self.place(key)
        command: _Command
        if lasting is None or lasting == math.inf:
            # Where there was no expiry, PERSIST says 0.
            commands: list[_Command] = [(b"PERSIST", place), (b"EXISTS", place)]
            replies = yield from self._told([place], commands)
            return bool(replies[1])
        command = (b"PEXPIRE", place, _ms(lasting)) if lasting > 0 else (b"UNLINK", place)
        (reply,) = yield from self._told([place], [command])
        return bool(reply)

    def delete(self, key: Any) -> Generator[Ask, Any, bool]:
        place = self.place(key)
        (reply,) = yield from self._told([place], [(b"UNLINK", place)])
        return bool(reply)

    def delete_many(self, keys: Iterable[Any]) -> Generator[Ask, Any, None]:
        for part in self._together([self.place(key) for key in keys]):
            yield from self._told(part, [(b"UNLINK", *part)])

    def incr(self, key: Any, delta: int) -> Generator[Ask, Any, int]:
        place = self.place(key)
        while True:
            (entry,) = yield from self._told([place], [(b"GET", place)])
            number = self._value(place, entry, MISSING)
            if number is MISSING:
                raise ValueError(f"Key {key!r} not found")
            number += delta
            # Unless somebody has come in between.
            command = EXCHANGE.call((place,), entry, self._sealed(place, number))
            (reply,) = yield from self._told([place], [command], again=False)
            if reply:
                return int(number)

    def _told(
        self, places: list[bytes], commands: list[_Command], again: bool = True
    ) -> Generator[Ask, Any, list[Any]]:
        """Have something changed that lies on one server."""
        seen = yield Ask(self.tier, places[0], commands, again)
        if seen is None:
            raise BackendUnavailable(self.tier.silence(places[0]))
        replies: list[Any] = seen[0]
        for reply in replies:
            if isinstance(reply, Exception):
                raise BackendUnavailable(f"the server refuses: {reply}") from reply
        return replies

    # Keys and values.

    def place(self, key: Any) -> bytes:
        """Return where the value of a key is.

        :raises ConfigurationError: if it cannot be one.
        """
        try:
            return b"%b:%b:%b" % (self.tier.prefix, PLAIN, encode_arguments((key,)))
        except Unkeyable as error:
            raise ConfigurationError(f"key cannot be used: {error}; use a string") from None

    def _together(self, places: list[bytes]) -> list[list[bytes]]:
        """Return keys in groups that lie on one server."""
        if self.tier.buckets > 1:
            return [[place] for place in places]
        return [places] if places else []

    def _setting(self, place: bytes, entry: bytes, lasting: float | None) -> _Command:
        if lasting is not None and lasting <= 0:
            return (b"UNLINK", place)
        return (b"SET", place, entry, *_until(lasting))

    def _sealed(self, place: bytes, value: Any) -> bytes:
        try:
            payload = pack(self._codec.encode(value))
        except NotStorable as error:
            raise ConfigurationError(f"value cannot be stored: {error}") from None
        return self.tier.sealer.seal(place, self._header, payload)

    def _value(self, place: bytes, entry: Any, default: Any) -> Any:
        return self._decoded(self._payload(place, entry), default)

    def _payload(self, place: bytes, entry: Any) -> bytes | None:
        """Return what an entry holds; `None` if there is none, or it is not to be believed."""
        if not isinstance(entry, bytes):
            return None
        payload = self.tier.sealer.opens_with(place, entry, self._header)
        if payload is not None:
            with suppress(ValueError):
                return unpack(payload)
            self.tier.refuse("undecodable")
            return None
        opened = self.tier.sealer.open(place, entry)
        self.tier.refuse(opened.value if isinstance(opened, Refused) else "foreign")
        return None

    def _decoded(self, payload: bytes | None, default: Any) -> Any:
        if payload is None:
            return default
        with suppress(ValueError):
            return self._codec.decode(payload)
        self.tier.refuse("undecodable")
        return default


def _until(lasting: float | None) -> _Command:
    if lasting is None or lasting == math.inf:
        return ()
    return (b"PX", _ms(lasting))


def _ms(lasting: float) -> int:
    # A server keeps what it is given until more than so many of its milliseconds have passed.
    return max(1, int(lasting * 1000) - 1)
