"""Values that are set by hand, for those who go on when the server is away: what cannot be changed
there is removed as soon as it answers.

What a removal waits for is the keeper's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pussycache.cache.shared.plain import Plain
from pussycache.cache.shared.plain_nearby import PlainNearby
from pussycache.cache.shared.raised import Raised
from pussycache.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from pussycache.cache.shared.plain_nearby import Note
    from pussycache.cache.shared.raised import Command
    from pussycache.engine.asking import Ask

__all__ = ["PlainOwed", "PlainOwedNearby"]

_MOST: Final = 100_000
"""So many keys are remembered to be removed; then changes fail while the server is away."""


_NAME: Final = b"remove:"


class _Removal(Raised):
    """That a value has to be removed, as the keeper knows it."""

    __slots__ = ()

    def end(self) -> list[Command]:
        """Return what removes it."""
        place = self.writer.removeprefix(_NAME)
        return [(place, (b"UNLINK", place))]


def _of(place: bytes) -> _Removal:
    # One for each key, however often it was changed meanwhile.
    return _Removal(_NAME + place, ())


class PlainOwed(Plain):
    """While the server is away there is nothing, and what should be stored is not.

    A value that could not be replaced or removed is not given to anybody in this process any more,
    and is removed in the server as soon as that answers.
    """

    def _payloads(self, places: list[bytes]) -> Generator[Ask, Any, dict[bytes, bytes]]:
        if not self.tier.trusted:
            places = [place for place in places if not self.tier.owes(_of(place))]
        return (yield from super()._payloads(places))

    def set(self, key: Any, value: Any, lasting: float | None) -> Generator[Ask, Any, None]:
        try:
            yield from super().set(key, value, lasting)
        except BackendUnavailable:
            self._owe([key])

    def set_many(self, data: Mapping[Any, Any], lasting: float | None) -> Generator[Ask, Any, None]:
        try:
            yield from super().set_many(data, lasting)
        except BackendUnavailable:
            self._owe(data)

    def add(self, key: Any, value: Any, lasting: float | None) -> Generator[Ask, Any, bool]:
        try:
            return (yield from super().add(key, value, lasting))
        except BackendUnavailable:
            # Whoever adds to see whether he is the first is told that he is not.
            return False

    def touch(self, key: Any, lasting: float | None) -> Generator[Ask, Any, bool]:
        try:
            return (yield from super().touch(key, lasting))
        except BackendUnavailable:
            if lasting is not None and lasting <= 0:
                self._owe([key])
            return False

    def delete(self, key: Any) -> Generator[Ask, Any, bool]:
        try:
            return (yield from super().delete(key))
        except BackendUnavailable:
            self._owe([key])
            return False

    def delete_many(self, keys: Iterable[Any]) -> Generator[Ask, Any, None]:
        keys = list(keys)
        try:
            yield from super().delete_many(keys)
        except BackendUnavailable:
            self._owe(keys)

    def incr(self, key: Any, delta: int) -> Generator[Ask, Any, int]:
        try:
            return (yield from super().incr(key, delta))
        except BackendUnavailable as error:
            raise ValueError(f"Key {key!r} not found: {error}") from error

    def _told(
        self, places: list[bytes], commands: list[tuple[Any, ...]], again: bool = True
    ) -> Generator[Ask, Any, list[Any]]:
        owed: list[bytes] = []
        if not self.tier.trusted:
            owed = [place for place in places if self.tier.owes(_of(place))]
        first = [(b"UNLINK", place) for place in owed]
        replies = yield from super()._told(places, [*first, *commands], again)
        for place in owed:
            self.tier.delivered(_of(place))
        return replies[len(first) :]

    def _owe(self, keys: Iterable[Any]) -> None:
        for key in keys:
            removal = _of(self.place(key))
            if self.tier.debts >= _MOST and not self.tier.owes(removal):
                raise BackendUnavailable(
                    f"the server does not answer, and {_MOST:,} keys are to be removed there "
                    "already; try again later"
                )
            self.tier.put_off(removal)


class PlainOwedNearby(PlainOwed, PlainNearby):
    """The same for values that are kept in this process, too."""

    def _noted(self, places: list[bytes]) -> dict[bytes, Note]:
        notes = super()._noted(places)
        # After that: what comes to be owed from now on takes the note away.
        if not self.tier.trusted and any(self.tier.owes(_of(place)) for place in places):
            self._done(notes)
            return {}
        return notes

    def _owe(self, keys: Iterable[Any]) -> None:
        keys = list(keys)
        super()._owe(keys)
        self.changed([self.place(key) for key in keys])
        self.near.sweep()
