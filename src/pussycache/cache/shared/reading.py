"""What is asked about one call, and what follows from the replies; pure.

The promise of the shared tier is kept here: an entry is served only if every generation that
applies is a token, and is the one that the entry's load began under, on the same server.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pussycache.cache.envelope import AGED, ERROR, TAGGED, Refused
from pussycache.cache.shared import scripts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pussycache.cache.envelope import Opener, Sealer
    from pussycache.cache.shared.lease import Early
    from pussycache.cache.shared.places import Bucket

__all__ = [
    "ABSENT",
    "BYPASS",
    "CREATE",
    "DOWN",
    "HIT",
    "ONE",
    "RULES",
    "Reading",
    "Verdict",
    "fresh_token",
    "rules_of",
]

HIT: Final = "hit"
ABSENT: Final = "absent"
"""There is no entry that may be served; the generations are there."""
CREATE: Final = "create"
"""A generation is missing."""
BYPASS: Final = "bypassed-by-write"
RULES: Final = "rules"
"""The method's generation has other rules than were looked at."""
DOWN: Final = "backend-down"
"""There is no reply, or none to trust."""

ONE: Final = b"="
"""Stands in the place of a rule's names where a single call is meant."""

_TOKEN: Final = ord("T")
_WRITERS: Final = ord("W")
_RANDOM: Final = slice(1, 17)


def fresh_token() -> bytes:
    """Return a generation that nobody can guess, and that knows no rules."""
    return b"T" + os.urandom(16)


def rules_of(generation: bytes) -> bytes:
    """Return the rules that the readers of a token look at."""
    return generation[17:]


class Verdict(NamedTuple):
    """What the replies come to.

    ``header`` is what an entry must begin with to be served, and what the one that is loaded now
    will begin with; ``payload`` is what was found, ``is_error`` whether that is an exception, and
    ``left`` for how many milliseconds it is kept, if that was asked. ``missing`` says which
    generations are; ``rules`` are those to look at; ``refused`` is why an entry was not opened.
    """

    kind: str
    header: bytes = b""
    payload: bytes = b""
    is_error: bool = False
    left: int = -1
    missing: tuple[int, ...] = ()
    rules: bytes = b""
    refused: Refused | None = None


class Reading:
    """One call, as it is known to the server.

    ``generations`` are the keys of those that apply: the method's, and one for each rule. ``rules``
    are those that the method's token has, as far as is known, ``wanted`` those that it is to have
    when it is made anew. ``early`` is a lease that is asked for beside the entry. ``kind`` is that
    of the entries of this method, ``idle`` for how many milliseconds one is kept that nobody uses.
    """

    __slots__ = (
        "_arguments",
        "_idle",
        "_last",
        "_rules",
        "_wanted",
        "bucket",
        "early",
        "entry",
        "generations",
        "kind",
    )

    def __init__(
        self,
        bucket: Bucket,
        arguments: bytes,
        rules: bytes,
        matched: Sequence[tuple[bytes, bytes]],
        kind: int,
        wanted: bytes,
        idle: int | None = None,
    ) -> None:
        self._idle = idle
        self._last: tuple[list[bytes], bytes, Opener] | None = None
        self.early: Early | None = None
        self.bucket = bucket
        self._wanted = wanted
        self._arguments = arguments
        self.entry = bucket.entry + arguments
        self.kind = kind
        self._rules = rules
        self.generations = [bucket.generation]
        for name, value in matched:
            self.generations.append(bucket.rule(name, value))

    @property
    def lease(self) -> bytes:
        """The key of the lease for loading it."""
        return self.bucket.lease + self._arguments

    def look(self) -> list[tuple[Any, ...]]:
        """Return the commands that find out."""
        look: tuple[Any, ...] = (b"MGET", *self.generations, self.entry)
        if self.kind & ~TAGGED != AGED:
            return [look]
        if self._idle is None:
            return [look, (b"PTTL", self.entry)]
        # To look at it is to use it.
        used = self.bucket.used + self._arguments
        return [look, (b"PTTL", self.entry), (b"GETEX", used, b"PX", self._idle)]

    def told(self) -> tuple[Any, ...]:
        """Return what tells those who keep it in their own memory that it was replaced.

        They hear of keys that begin like a generation; what is stored there is of no use.
        """
        return (b"SET", self.bucket.rule(ONE, self._arguments), b"", b"PX", 1)

    def replaced(self, header: bytes) -> tuple[bytes, tuple[Any, ...]]:
        """Return what an entry begins with that is put in the place of another, under this header.

        With it comes the command that is to follow: it makes what was loaded before be of no use.
        """
        return header, self.told()

    def noted(self) -> list[tuple[Any, ...]]:
        """Return what notes that an entry is used, beside storing it."""
        if self._idle is None:
            return []
        return [(b"SET", self.bucket.used + self._arguments, b"1", b"PX", self._idle)]

    def served(self, replies: Sequence[Any], replication: bytes, sealer: Sealer) -> bytes | None:
        """Return what there is to serve; `None` if that is to be judged more closely.

        What `judge` says of a hit, and nothing else.
        """
        found = replies[0]
        if type(found) is not list:
            return None
        entry, generations = found[-1], found[:-1]
        if entry is None:
            return None
        last = self._last
        if last is not None and last[0] == generations and last[1] == replication:
            payload = last[2](entry)
            if payload is not None:
                return payload
        tokens = b""
        for generation in generations:
            if generation is None or generation[0] != _TOKEN:
                return None
            tokens += generation[_RANDOM]
        if generations[0][17:] != self._rules:
            return None
        header = sealer.beginning(replication, len(generations), self.kind) + tokens
        opens = sealer.opener(self.entry, header)
        payload = opens(entry)
        if payload is not None:
            self._last = generations, replication, opens
        return payload

    def judge(self, replies: Sequence[Any], replication: bytes, sealer: Sealer) -> Verdict:
        """Say what follows from the replies to `look`.

        :param replication: the id of the data set that the replies are from.
        """
        found = replies[0]
        if type(found) is not list:
            return Verdict(DOWN)
        *generations, entry = found
        missing: list[int] = []
        tokens: list[bytes] = []
        for generation in generations:
            if generation is None:
                missing.append(len(tokens) + len(missing))
            elif generation[0] == _TOKEN:
                tokens.append(generation[_RANDOM])
            else:
                return Verdict(BYPASS if generation[0] == _WRITERS else DOWN)
        method = found[0]
        if method is not None and rules_of(method) != self._rules:
            return Verdict(RULES, rules=rules_of(method))
        if missing:
            return Verdict(CREATE, missing=tuple(missing))
        header = sealer.header(replication, tokens, self.kind)
        if entry is None or (self._idle is not None and replies[2] is None):
            return Verdict(ABSENT, header)
        left = replies[1] if self.kind & ~TAGGED == AGED else -1
        payload = sealer.opens_with(self.entry, entry, header)
        if payload is not None:
            return Verdict(HIT, header, payload, False, left)
        # Of another generation or kind, or broken.
        opened = sealer.open(self.entry, entry)
        if isinstance(opened, Refused):
            return Verdict(ABSENT, header, refused=opened)
        error = ERROR | (self.kind & TAGGED)
        if opened.kind == error and entry.startswith(sealer.header(replication, tokens, error)):
            return Verdict(HIT, header, opened.payload, is_error=True, left=left)
        return Verdict(ABSENT, header)

    def create(self, missing: Sequence[int], lasting: int | None) -> list[tuple[Any, ...]]:
        """Return the commands that make the missing generations, unless somebody has by now.

        Each attempt has tokens of its own: one that was tried before may be dead.

        :param lasting: for how many milliseconds they are kept; `None` is for ever.
        """
        until = () if lasting is None else (b"PX", lasting)
        made: list[tuple[Any, ...]] = []
        for i in missing:
            if i:
                made.append((b"SET", self.generations[i], fresh_token(), b"NX", *until))
                continue
            keys = self.bucket.generation, self.bucket.rules
            lasts = b"" if lasting is None else lasting
            made.append(scripts.CREATE.call(keys, fresh_token(), self._wanted, lasts))
        return made
