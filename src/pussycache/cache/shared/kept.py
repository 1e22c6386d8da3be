"""One call as it is known to a server and in this process, and what is kept of it here.

Whether anything is kept, and when it is dropped, is nearby.py's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pussycache.cache.shared.reading import HIT, Reading
from pussycache.engine.entry import Tended

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pussycache.cache.envelope import Sealer
    from pussycache.cache.shared.reading import Verdict
    from pussycache.cache.wire import Listening

__all__ = ["Kept", "LocalReading", "Marked", "Note"]


class Note(NamedTuple):
    """A moment: what had been heard of a table, over which connection, when."""

    heard: int
    link: Listening | None
    replication: bytes | None
    at: float


class LocalReading(Reading):
    """One call, as it is known to the server and in this process."""

    __slots__ = ("found", "me", "note", "noting", "values")

    noting: Callable[[bytes], Note | None]
    values: tuple[Any, ...]
    me: object
    note: Note | None
    found: bytes

    def look(self) -> list[tuple[Any, ...]]:
        # First: an entry that is replaced in between is kept for less long, not for longer.
        return [(b"PTTL", self.entry), *super().look()]

    def served(self, replies: Sequence[Any], replication: bytes, sealer: Sealer) -> bytes | None:
        return super().served(replies[1:], replication, sealer)

    def judge(self, replies: Sequence[Any], replication: bytes, sealer: Sealer) -> Verdict:
        left, *others = replies
        verdict = super().judge(others, replication, sealer)
        if verdict.kind == HIT:
            self.found = others[0][-1]
            if type(left) is int:
                verdict = verdict._replace(left=left)
        return verdict

    def noted(self) -> list[tuple[Any, ...]]:
        # Asked again as late as can be: what was heard while it was loaded need not count then.
        self.note = self.noting(self.entry)
        return [*super().noted(), (b"MGET", *self.generations)]

    def glance(self, length: int) -> list[tuple[Any, ...]]:
        """Return the commands that find out whether there is still that entry."""
        return [(b"MGET", *self.generations), (b"GETRANGE", self.entry, 0, length - 1)]

    def confirmed(
        self, replies: Sequence[Any], replication: bytes, stamp: bytes, sealer: Sealer
    ) -> bool:
        """Say whether there is, and it may be served."""
        generations, there = replies
        if there != stamp or type(generations) is not list or None in generations:
            return False
        tokens = [generation[1:17] for generation in generations]
        return stamp.startswith(sealer.header(replication, tokens, self.kind))

    def confirms(self, header: bytes, generations: Any) -> bool:
        """Whether these generations are those that an entry with this header is good for."""
        if type(generations) is not list or None in generations:
            return False
        return header.endswith(b"".join([token[1:17] for token in generations]))

    def marks(self) -> tuple[bytes, ...]:
        """Return by what messages name this call: a value for each rule, and its arguments."""
        own = len(self.bucket.generation) + 1
        values = [key[own:].partition(b":")[2] for key in self.generations[1:]]
        return (*values, self.entry[len(self.bucket.entry) :])


class Marked(tuple[Any, ...]):
    """The arguments of a call, with the marks by which messages name it."""

    marks: tuple[bytes, ...]


class Kept(Tended):
    """A value that is kept here, too; ``stamp`` is how its entry in the server begins."""

    __slots__ = ("stamp",)

    stamp: bytes
