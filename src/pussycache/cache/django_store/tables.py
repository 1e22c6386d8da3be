"""What is known in this process of methods whose entries are in a cache of Django's.

What such a table has beside that of any shared store: a generation for each call and one for the
whole cache, which make up for what takes one step in a server.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from pussycache.cache.django_store.commands import LOOK
from pussycache.cache.django_store.places import ROOT, call_of
from pussycache.cache.shared.reading import Reading, fresh_token
from pussycache.cache.shared.tables import SharedScope, SharedTable

if TYPE_CHECKING:
    from pussycache.cache.shared.places import Bucket
    from pussycache.engine.plan import Plan

__all__ = ["DjangoScope"]

_A_DAY: Final = 86_400_000
_A_MINUTE: Final = 60_000


class DjangoReading(Reading):
    """One call, as it is known to a cache of Django's.

    ``lasting`` is for how many milliseconds the generation of the call is kept; `None` is for ever.
    """

    __slots__ = ("_call", "lasting")

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
        super().__init__(bucket, arguments, rules, matched, kind, wanted, idle)
        self.lasting: int | None = None
        self._call = call_of(self.entry)
        # The call's is the last: see `replaced`.
        self.generations += [ROOT, self._call]

    def look(self) -> list[tuple[Any, ...]]:
        first, *others = super().look()
        return [(LOOK, self.lasting, *first[1:]), *others]

    def told(self) -> tuple[Any, ...]:
        return (b"UNLINK", self._call)

    def replaced(self, header: bytes) -> tuple[bytes, tuple[Any, ...]]:
        token = fresh_token()
        until = () if self.lasting is None else (b"PX", self.lasting)
        return header[: 1 - len(token)] + token[1:], (b"SET", self._call, token, *until)


class DjangoTable(SharedTable):
    """What is known of one method of one object whose entries are in a cache of Django's."""

    __slots__ = ()

    reading_type = DjangoReading

    def reading(self, plan: Plan, values: tuple[Any, ...], me: object) -> DjangoReading:
        reading = super().reading(plan, values, me)
        assert isinstance(reading, DjangoReading)
        lasting = self.lasting(plan)
        if lasting is not None:
            # There may be as many as calls: not much longer than what is stored under it.
            reading.lasting = max(_A_MINUTE, lasting - _A_DAY + _A_MINUTE)
        return reading


class DjangoScope(SharedScope):
    """The methods of one object whose entries are in a cache of Django's."""

    __slots__ = ()

    table_type = DjangoTable
