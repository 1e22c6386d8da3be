"""Values that are set by hand in a server and kept in this process, too: until they are changed.

How a connection is listened to is links.py's business. What is kept of methods is nearby.py's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pussycache.cache.shared.links import Links
from pussycache.cache.shared.places import PLAIN
from pussycache.cache.shared.plain import Plain
from pussycache.engine.asking import Ask
from pussycache.engine.clock import read

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from pussycache.cache.shared.tier import Tier
    from pussycache.cache.wire import Listening
    from pussycache.engine.home import Lock

__all__ = ["Note", "PlainNearby"]


class Note(NamedTuple):
    """A moment before a value was asked for; ``token`` says whether it has changed since."""

    token: object
    link: Listening
    replication: bytes
    at: float


class _Memory(Protocol):
    """Where values are kept: a `MemoryCache`."""

    lock: Lock

    def get(self, key: bytes, /) -> Any: ...

    def set(self, key: bytes, value: bytes, timeout: float, /) -> None: ...

    def delete(self, key: bytes, /) -> bool: ...

    def clear(self) -> None: ...

    def sweep(self) -> None: ...

    def __len__(self) -> int: ...


class PlainNearby(Plain):
    """Values as they are written, so that each caller is given an object of its own.

    A value is kept if nobody has said, between a moment before it was asked for and the moment it
    is kept, that it has changed; and dropped when somebody does. What this process writes it drops
    itself, because the server's word of it may come later than the return of the write.

    :param near: where they are kept; its bounds are theirs, and it has no other use.
    :param thread: have a thread listen; otherwise each hit looks first.
    """

    def __init__(self, tier: Tier, near: _Memory, *, thread: bool) -> None:
        super().__init__(tier)
        self.near = near
        self._lock = near.lock
        self._has_thread = thread
        self._tokens: dict[bytes, object] = {}
        beginning = b"%b:%b:" % (tier.prefix, PLAIN)
        self.links = Links(tier.server, beginning, self, near.lock, thread=thread)

    # What is said of them.

    def changed(self, keys: Sequence[bytes] | None) -> None:
        """Drop what is kept of these; `None`: everything."""
        with self._lock:
            if keys is None:
                self._tokens.clear()
                self.near.clear()
                return
            for key in keys:
                self._tokens.pop(key, None)
                self.near.delete(key)

    def changes_are_known(self) -> None:
        """Free what was dropped."""
        self.near.sweep()

    def close(self) -> None:
        """Listen no more, and drop everything."""
        self.links.close()
        self.changed(None)
        self.near.sweep()

    # Reading.

    def _payloads(self, places: list[bytes]) -> Generator[Ask, Any, dict[bytes, bytes]]:
        found: dict[bytes, bytes] = {}
        if self._has_thread or self.links.quiet():
            for place in places:
                payload = self.near.get(place)
                if payload is not None:
                    found[place] = payload
        rest = [place for place in places if place not in found]
        for part in self._together(rest):
            if self.links.is_due(part[0]):
                yield Ask(self.links, part[0])
            notes = self._noted(part)
            if not notes:
                found |= yield from super()._payloads(part)
                continue
            try:
                found |= yield from self._kept(part, notes)
            finally:
                self._done(notes)
        return found

    def _kept(
        self, places: list[bytes], notes: dict[bytes, Note]
    ) -> Generator[Ask, Any, dict[bytes, bytes]]:
        # First: a value that is replaced in between is kept for less long, not for longer.
        commands = [*((b"PTTL", place) for place in places), (b"MGET", *places)]
        seen = yield Ask(self.tier, places[0], commands)
        if seen is None or type(seen[0][-1]) is not list:
            return {}
        found = {}
        *lefts, entries = seen[0]
        for place, left, entry in zip(places, lefts, entries, strict=True):
            payload = self._payload(place, entry)
            if payload is not None:
                found[place] = payload
                if notes[place].replication == seen[1] and type(left) is int and left >= -1:
                    self._keep(place, payload, left, notes[place])
        self.near.sweep()
        return found

    def _noted(self, places: list[bytes]) -> dict[bytes, Note]:
        """Note this moment; nothing, if nobody listens to the server of these."""
        link = self.links.of(places[0])
        if link is None:
            return {}
        if not self._has_thread:
            # What has been said already is not about what is read from now on.
            self.links.quiet()
        replication = self.links.replication(link)
        if replication is None:
            return {}
        notes = {place: Note(object(), link, replication, read()) for place in places}
        with self._lock:
            self._tokens.update({place: note.token for place, note in notes.items()})
        return notes

    def _keep(self, place: bytes, payload: bytes, left: int, note: Note) -> None:
        lasting = math.inf if left == -1 else note.at + left / 1000 - read()
        with self._lock:
            if self._tokens.get(place) is note.token and not note.link.lost:
                self.near.set(place, payload, lasting)

    def _done(self, notes: dict[bytes, Note]) -> None:
        with self._lock:
            for place, note in notes.items():
                if self._tokens.get(place) is note.token:
                    del self._tokens[place]

    # Changing.

    def _told(
        self, places: list[bytes], commands: list[tuple[Any, ...]], again: bool = True
    ) -> Generator[Ask, Any, list[Any]]:
        try:
            return (yield from super()._told(places, commands, again))
        finally:
            # Also where it failed: it may have been carried out.
            self.changed(places)
            self.near.sweep()
