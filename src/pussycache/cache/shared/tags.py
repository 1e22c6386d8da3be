"""Tags in a server: a generation for each, which entries carry in their payload.

All tags of a cache lie on one node. A load notes the epoch when it begins, which every forgetting
of a tag makes another: so tags may be known as late as the result. What a tag is, is declared.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from pussycache.cache.shared.authors import asked, latest
from pussycache.cache.shared.fences import lifting, raising, replacing
from pussycache.cache.shared.lease import lease_of
from pussycache.cache.shared.places import GENERATION, TOLD, told_among
from pussycache.cache.shared.raised import Target
from pussycache.cache.shared.reading import fresh_token
from pussycache.engine.asking import Ask
from pussycache.engine.tags import Tags

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from pussycache.cache.shared.authors import Author
    from pussycache.cache.shared.raised import Raised
    from pussycache.cache.shared.tier import Tier
    from pussycache.engine.entry import Cause
    from pussycache.engine.fences import Fence
    from pussycache.engine.singleflight import Flight

__all__ = ["SharedTags", "Tagging"]

_WEEK: Final = 604_800_000
_ATTEMPTS: Final = 5
_count: Final = Struct("<H")
_TOKEN: Final = ord("T")


class Tagging:
    """The tags of one result, each with the generation it was loaded under.

    The first stands for all tags: for when it is not known which are forgotten.
    """

    __slots__ = ("names", "tokens")

    def __init__(self, names: Sequence[bytes], tokens: Sequence[bytes]) -> None:
        self.names = names
        self.tokens = tokens

    def write(self) -> bytes:
        """Return what a payload begins with."""
        parts = [_count.pack(len(self.names))]
        for name, token in zip(self.names, self.tokens, strict=True):
            parts += [_count.pack(len(name)), name, token]
        return b"".join(parts)

    @classmethod
    def read(cls, payload: bytes) -> tuple[Tagging, bytes]:
        """Return what a payload begins with, and the rest.

        :raises ValueError: if it cannot be read.
        """
        names, tokens, at = [], [], _count.size
        for _ in range(_number(payload, 0)):
            start = at + _count.size
            end = start + _number(payload, at)
            at = end + 16
            names.append(payload[start:end])
            tokens.append(payload[end:at])
        if at > len(payload):
            raise ValueError("its tags are cut off")
        return cls(names, tokens), payload[at:]


def _here(generation: bytes, replication: bytes) -> bytes:
    """Return a token as it is in one data set: in that of a promoted replica it is another.

    An entry need not lie where the tags do, and says of its own server only which one it was.
    """
    token = int.from_bytes(generation[1:17], "big") ^ int.from_bytes(replication[:16], "big")
    return token.to_bytes(16, "big")


def _number(payload: bytes, at: int) -> int:
    part = payload[at : at + _count.size]
    if len(part) != _count.size:
        raise ValueError("its tags are cut off")
    number: int = _count.unpack(part)[0]
    return number


class SharedTags(Tags):
    """The tags of one cache, and the writers at work on them."""

    def __init__(self, tier: Tier, lock: Any) -> None:
        super().__init__(lock)
        self._tier = tier
        start = b"%b:%b:{tags}:" % (tier.prefix, GENERATION)
        self._epoch = start + b"epoch"
        self._start = start + b"tag:"
        self._told = b"%b:%b:{tags}" % (tier.prefix, TOLD)
        self._raised: dict[int, Raised] = {}

    # Loads.

    def epoch(self) -> Generator[Ask, Any, bytes | None]:
        """Return what a load notes before it begins; `None`: its result cannot be stored."""
        found = yield from self._made([self._epoch])
        return None if found is None else found[0]

    def leased(self, header: bytes) -> Generator[Ask, Any, tuple[bytes, bytes | None]]:
        """Return a lease for a load under these generations, and the epoch that it notes."""
        epoch = yield from self.epoch()
        return self.lease(header, epoch), epoch

    @staticmethod
    def lease(header: bytes, epoch: bytes | None) -> bytes:
        """Return a lease for a load that has noted an epoch.

        Who has noted another one does not wait for it: its result is not stored.
        """
        return lease_of(header + (epoch or b""))

    def standing(self, flights: Sequence[Flight]) -> Generator[Ask, Any, list[bool]]:
        """Say of each load whether no tag has been forgotten since it noted the epoch.

        Also one that its result does not carry: such a load is not stored, either.
        """
        # One that has noted nothing has not begun.
        begun = [hasattr(flight, "epoch") for flight in flights]
        epoch = (yield from self.epoch()) if any(begun) else None
        return [
            not has_begun or (epoch is not None and flight.epoch == epoch)
            for flight, has_begun in zip(flights, begun, strict=True)
        ]

    def tagging(
        self, names: Sequence[str], epoch: bytes | None
    ) -> Generator[Ask, Any, Tagging | None]:
        """Return the tags of a result, unless one has been forgotten since the load began."""
        if epoch is None:
            return None
        coded = [b"", *dict.fromkeys([name.encode("utf-8", "surrogatepass") for name in names])]
        keys = [self._start + name for name in coded]
        # The epoch after the tags, as a write makes it another before them: where they are not read
        # at one moment, no tag is found new, and the epoch still old.
        found = yield from self._made([*keys, self._epoch])
        if found is None or found.pop() != epoch:
            return None
        if not self._tier.reads_in_order and (yield from self.epoch()) != epoch:
            return None
        return Tagging(coded, found)

    def hold(self, tagging: Tagging) -> Generator[Ask, Any, bool]:
        """Whether none of an entry's tags has been forgotten since its load began."""
        keys = [self._start + name for name in tagging.names]
        seen = yield Ask(self._tier, self._epoch, [(b"MGET", *keys)])
        if seen is None or type(seen[0][0]) is not list:
            return False
        return all(
            found is not None and found[0] == _TOKEN and _here(found, seen[1]) == token
            for found, token in zip(seen[0][0], tagging.tokens, strict=True)
        )

    def author(self, names: Sequence[bytes]) -> Generator[Ask, Any, Author | None]:
        """Return who was the last to forget one of some tags, if that is known."""
        keys = [self._start + name for name in names]
        places = [told_among(self._told, key) for key in keys]
        seen = yield Ask(self._tier, self._epoch, asked(places))
        return None if seen is None else latest(seen[0], keys)

    def _made(self, keys: Sequence[bytes]) -> Generator[Ask, Any, list[bytes] | None]:
        """Return the tokens of generations, made where they are missing; `None` if one has none."""
        making: list[tuple[Any, ...]] = []
        for _ in range(_ATTEMPTS):
            seen = yield Ask(self._tier, self._epoch, [*making, (b"MGET", *keys)], not making)
            if seen is None or type(seen[0][-1]) is not list:
                return None
            found = seen[0][-1]
            if all(one is not None for one in found):
                tokens = [_here(one, seen[1]) for one in found]
                return tokens if all(one[0] == _TOKEN for one in found) else None
            making = [
                (b"SET", key, fresh_token(), b"NX", b"PX", _WEEK)
                for key, one in zip(keys, found, strict=True)
                if one is None
            ]
        return None

    # Writes.

    @property
    def distant(self) -> SharedTags:
        """What a write that forgets tags has to tell the server."""
        return self

    def raising(self, fence: Fence, cause: Cause) -> Generator[Ask, Any, None]:
        """Begin a write in the server."""
        # No load is stored that began before the end.
        targets, at_end = self._targets(fence), (self._of_all(),)
        self._raised[id(fence)] = yield from raising(self._tier, targets, cause, at_end)

    def lifting(self, fence: Fence, cause: Cause) -> Generator[Ask, Any, None]:
        """End a write in the server."""
        raised = self._raised.pop(id(fence), None)
        if raised is not None:
            yield from lifting(self._tier, raised)

    def replacing(self, fence: Fence, cause: Cause) -> Generator[Ask, Any, None]:
        """Tell the server of a write that begins and ends at once."""
        # The epoch first: a load that is stored after that has begun after it, and one that is
        # stored before it has the old generation of the tag.
        yield from replacing(self._tier, (self._of_all(), *self._targets(fence)), cause)

    def _targets(self, fence: Fence) -> tuple[Target, ...]:
        names = [b""]
        if fence.values is not None:
            names = [value[0].encode("utf-8", "surrogatepass") for value in fence.values]
        keys = [self._start + name for name in names]
        return tuple([Target(key, key, told_among(self._told, key), b"") for key in keys])

    def _of_all(self) -> Target:
        return Target(self._epoch, self._epoch, self._told, b"")
