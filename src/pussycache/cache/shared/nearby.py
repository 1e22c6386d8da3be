"""What of a shared store is kept in this process, too: which entries, and when they are dropped.

A generation of this process's own tells whether anything was heard since a moment: `heard` of a
table advances with every message that concerns it, and with every write of this process. What was
read from the server is kept only if it has not, and dropped when it does. Who listens is links.py's
business, and what is asked, that of tiered.py.
"""

from __future__ import annotations

import math
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from pussycache.cache.shared.kept import Kept, LocalReading, Marked, Note
from pussycache.cache.shared.links import Links
from pussycache.cache.shared.loosely import loosely
from pussycache.cache.shared.places import near_channel
from pussycache.cache.shared.reading import ONE
from pussycache.cache.shared.tables import SharedScope, SharedTable
from pussycache.engine.clock import read
from pussycache.engine.entry import Cause
from pussycache.engine.singleflight import Flight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pussycache.cache.shared.payload import Found
    from pussycache.cache.shared.reading import Reading, Verdict
    from pussycache.cache.shared.tags import SharedTags
    from pussycache.cache.shared.tier import Tier
    from pussycache.cache.wire import Server
    from pussycache.engine.fences import Fence
    from pussycache.engine.home import Home
    from pussycache.engine.keeping import Kept as Result
    from pussycache.engine.plan import Plan

__all__ = ["LocalScope", "LocalTable", "Nearby"]


class Nearby:
    """The tables of one cache that keep entries in this process, too, and who drops them.

    :param home: the memory that they are kept in.
    :param thread: see `Links`.
    :param strict: nothing is served that the server has not confirmed: nobody needs to listen.
    """

    def __init__(
        self, server: Server, home: Home, prefix: bytes, *, thread: bool, strict: bool
    ) -> None:
        self.home = home
        self._lock = home.lock
        self._beginning = prefix + b":g:{"
        self._tables: weakref.WeakValueDictionary[bytes, LocalTable] = weakref.WeakValueDictionary()
        self.links: Links | None = None
        if not strict:
            beginning, channel = prefix + b":g:", near_channel(prefix)
            self.links = Links(server, beginning, self, home.lock, thread=thread, channel=channel)
        self.watched = not (strict or thread)

    def enlist(self, table: LocalTable) -> None:
        """Have a table told what has changed."""
        with self._lock:
            self._tables[table.tag] = table

    def changed(self, keys: Sequence[bytes] | None) -> None:
        """Drop what these keys make wrong; `None`: everything."""
        if keys is None:
            self.forget_all("the link to the server was lost, or begun anew")
            return
        for key in keys:
            tag, _, rest = key[len(self._beginning) :].partition(b"}")
            table = self._tables.get(tag.rpartition(b":")[0])
            if table is not None:
                table.changed(rest[1:])

    def changes_are_known(self) -> None:
        """Free what was dropped, and tell who wants to know."""
        self.home.sweep()

    def forget_all(self, why: str) -> None:
        """Drop everything."""
        cause = Cause(why)
        with self._lock:
            for table in list(self._tables.values()):
                table.forgo(cause)

    def close(self) -> None:
        """Listen no more, and drop everything."""
        if self.links is not None:
            self.links.close()
        self.forget_all("close")
        self.home.sweep()


class LocalTable(SharedTable):
    """What is known of one method of one object, and what of its entries is kept here, too."""

    __slots__ = ("heard", "near", "tag")

    reading_type = LocalReading

    def __init__(self, home: Home, name: str, scope: SharedScope) -> None:
        assert isinstance(scope, LocalScope)
        self.heard = 0
        self.near = scope.near
        super().__init__(home, name, scope)
        self.tag = self.places.tag
        self.indexes: dict[Any, dict[Any, set[Any]]] = {ONE: {}}
        if scope.near.watched and scope.near.links is not None:
            self.watch = scope.near.links.watch
        scope.near.enlist(self)

    # What makes entries wrong.

    def changed(self, what: bytes) -> None:
        """Drop what a message names: everything, or what has one value of a rule."""
        rule, _, value = what.partition(b":")
        with self.lock:
            self.heard += 1
            # What names a rule that is not looked at here names, to be sure, everything.
            index = self.indexes.get(rule)
            if index is None:
                self.forgo(_ELSEWHERE)
                return
            for key in tuple(index.get(value, ())):
                self.remove(key)
                self.home.history.note(self.serial, key, "invalidated", _ELSEWHERE)

    def forgo(self, cause: Cause) -> None:
        """Drop everything that is kept here; loads that run are another matter."""
        with self.lock:
            self.heard += 1
            self._thrown_away(self._turned_out(), cause)

    def _replace(self, cause: Cause) -> None:
        self.heard += 1
        super()._replace(cause)

    def _drop(self, fence: Fence, cause: Cause) -> None:
        self.heard += 1
        index = self.indexes.get(",".join(fence.names).encode())
        values: list[bytes] | None = None
        if fence.at is not None and fence.values is not None:
            with suppress(Exception):
                values = [loosely(value) for value in fence.values]
        if values is None or index is None:
            self._replace(cause)
            return
        for name, flight in list(self.flights.items()):
            if not hasattr(flight, "values") or fence.covers(flight.values):
                self.flights.pop(name, None)
        for value in values:
            for key in tuple(index.get(value, ())):
                self.remove(key)

    # Rules.

    def index(self, at: tuple[int, ...], names: tuple[str, ...] = ()) -> None:
        super().index(at, names)
        self._index_anew()

    def adopt(self, rules: bytes, plan: Plan) -> bool:
        adopted = super().adopt(rules, plan)
        self._index_anew()
        return adopted

    def _index_anew(self) -> None:
        with self.lock:
            names = [*[rule for rule, _ in self._rules[1]], ONE]
            if names != list(self.indexes):
                self.forgo(Cause("a rule was declared"))
                self.indexes, self.marks = {name: {} for name in names}, {}

    def _index(self, key: Any, values: tuple[Any, ...]) -> None:
        assert isinstance(values, Marked)
        if key in self.marks:
            self.unindex(key)
        for index, mark in zip(self.indexes.values(), values.marks, strict=True):
            index.setdefault(mark, set()).add(key)
        self.marks[key] = values.marks

    # One call.

    def reading(self, plan: Plan, values: tuple[Any, ...], me: object) -> LocalReading:
        reading = super().reading(plan, values, me)
        assert isinstance(reading, LocalReading)
        reading.noting, reading.values, reading.me = self.noting, values, me
        reading.note = self.noting(reading.entry) if plan.keeping.nearby else None
        return reading

    def noting(self, key: bytes) -> Note | None:
        """Return what has been heard by now; `None` if nobody listens to the server of a key."""
        links = self.near.links
        if links is None:
            return Note(self.heard, None, None, read())
        link = links.of(key)
        if link is None:
            return None
        if self.near.watched:
            links.quiet()
        replication = links.replication(link)
        return None if replication is None else Note(self.heard, link, replication, read())

    def given(self, plan: Plan, reading: Reading, verdict: Verdict, found: Found) -> Any:
        assert isinstance(reading, LocalReading)
        note, hand, lasting = reading.note, plan.keeping.hand, plan.keeping.lasting
        if note is not None and verdict.left >= -1:
            until = math.inf if verdict.left == -1 else note.at + verdict.left / 1000.0
            if found.age is not None:
                until = min(until, found.age.expires(read()))
            if lasting is not None:
                until = min(until, note.at + lasting)
            if self.keep(plan, reading, verdict.header, reading.found, found.value, until):
                # It is not the caller's alone any more.
                return found.value if hand is None else hand(found.value)
        return found.given(plan)

    def stored(
        self, plan: Plan, reading: Reading, header: bytes, entry: bytes, kept: Result, replies: Any
    ) -> None:
        assert isinstance(reading, LocalReading)
        if replies is not None and kept.shared and kept.expires is not None:
            generations, done = replies[0][-2:]
            made = kept.made
            until = abs(kept.expires) if made is None or made.age is None else made.renewed()
            if (
                done == 1
                and reading.confirms(header, generations)
                and self.keep(plan, reading, header, entry, kept.stored, until)
            ):
                return
        # What was kept before is older than this.
        self.forget_one(plan, reading.values, reading.me)

    def keep(
        self,
        plan: Plan,
        reading: LocalReading,
        header: bytes,
        entry: bytes,
        value: Any,
        until: float,
    ) -> bool:
        """Keep a value here, too, unless it may have been made wrong since it was noted.

        :param entry: the entry in the server, whose header is ``header``.
        :param until: when it is not good any more.
        """
        note = reading.note
        if note is None or not plan.keeping.nearby or until <= read():
            return False
        sealer = self.tier.sealer
        if note.replication is not None and not header.startswith(
            sealer.beginning(note.replication, len(reading.generations), reading.kind)
        ):
            return False
        made = Kept(None, plan.keeping.sealed(value, reading.me))
        made.stamp = sealer.stamp(entry) if note.link is None else b""
        # A negative expiry sends everybody to the flow, which compares the value.
        expires = until if made.seal is None else -until
        values = Marked(reading.values)
        values.marks = reading.marks()
        weight = None
        if self.home.watched:
            weighed = self.home.weight_of(self, values, value)
            if isinstance(weighed, str):
                return False
            weight = weighed
        key = plan.encode(reading.values, reading.me)
        with self.lock:
            if self.heard != note.heard or (note.link is not None and note.link.lost):
                return False
            if not self.tier.trusted:
                # It does not know yet of a write of this process, that may have made this wrong.
                return False
            flight = self.flights[key] = Flight()
            flight.values = values
            stored = self.finish(key, flight, values, value, expires, made, weight)
            self.loads -= 1
        self.home.sweep()
        return stored

    def forget_one(self, plan: Plan, values: tuple[Any, ...], me: object) -> None:
        """Drop what is kept of one call; nothing is kept that was noted before."""
        with self.lock:
            self.heard += 1
            try:
                self.remove(plan.encode(values, me))
            except Exception:
                self.forgo(Cause("arguments that cannot be compared"))
        self.home.sweep()

    def found(self, plan: Plan, values: tuple[Any, ...], me: object) -> Kept | None:
        """Return what is kept of a call and may be served as far as this process knows."""
        try:
            entry: Any = self.entries.get(plan.encode(values, me))
        except Exception:
            return None
        return entry if entry is not None and entry.deadline > read() else None


_ELSEWHERE: Final = Cause("a write elsewhere")


class LocalScope(SharedScope):
    """The methods of one object whose entries are in a server, and here, too."""

    __slots__ = ("near",)

    table_type = LocalTable

    def __init__(
        self, home: Home, place: str, tier: Tier, tags: SharedTags, owner: str, near: Nearby
    ) -> None:
        super().__init__(home, place, tier, tags, owner)
        self.near = near
