"""Restoring: entries of a saved cache enter one in memory, unless something newer is known.

A method is known by the name of its object and its own. What is read of one that is not there yet
waits until it is. Whether a write has come in between is noted by the tables (`Table.bring`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import WeakSet

from pussycache.cache.envelope import Refused, Sealer
from pussycache.cache.saved import (
    ABSENT,
    AGED,
    ANY_TAG,
    FAILED,
    Heading,
    Plain,
    Row,
    Rows,
    how_keyed,
)
from pussycache.cache.savefile import ENTRY, TABLE, Reader
from pussycache.cache.serializers import choose
from pussycache.engine.clock import read, wall
from pussycache.engine.entry import Tended
from pussycache.engine.tags import ANY
from pussycache.engine.touched import Touched

if TYPE_CHECKING:
    import os

    from pussycache.cache.described import Described
    from pussycache.cache.serializers import Serializer
    from pussycache.engine.generations import Table
    from pussycache.engine.home import Lock
    from pussycache.engine.home import Waiting as Meeting
    from pussycache.engine.keeping import Keeping
    from pussycache.engine.scopes import Scope
    from pussycache.engine.tags import Tags

__all__ = ["Loaded", "Waiting"]

_AT_ONCE: Final = 256
_Place = tuple[str, str]


class Loaded:
    """What `MemoryCache.load` has done, and what it does as objects are wrapped.

    ``loaded`` entries are in the cache, ``waiting`` ones wait for their object, ``expired`` ones
    were too old. ``refused`` says by reason how many others were not entered: ``"present"``,
    because something newer was there; ``"overtaken"``, because something was made wrong after the
    loading began; ``"declared-otherwise"``, because the method has other parameters, key or tags by
    now; ``"no-room"``, because too many wait; ``"too-heavy"``; ``"undecodable"``;
    ``"another-serializer"``; ``"gone"``, because the object was freed meanwhile; and what is wrong
    with damaged ones: ``"truncated"``, ``"corrupt"``, ``"forged"``, ``"signed"``, ``"unsigned"``,
    ``"foreign"``, ``"future-format"``.
    """

    def __init__(self) -> None:
        self.loaded = 0
        self.waiting = 0
        self.expired = 0
        self._refused: Counter[str] = Counter()

    @property
    def refused(self) -> Mapping[str, int]:
        """How many entries were refused, by reason."""
        return dict(self._refused)

    def __repr__(self) -> str:
        return (
            f"Loaded(loaded={self.loaded}, waiting={self.waiting}, expired={self.expired}, "
            f"refused={self.refused})"
        )

    def count(self, outcome: str | None, many: int = 1) -> None:
        """Count what has become of entries: `None` is that they are in."""
        if outcome is None:
            self.loaded += many
        elif outcome == _EXPIRED:
            self.expired += many
        else:
            self._refused[outcome] += many


_EXPIRED: Final = "expired"


class Home(Protocol):
    """What is asked of a cache."""

    lock: Lock
    tags: Tags
    max_entries: int | None
    waiting: Meeting | None


class _Loading:
    """One call of `load`: how much time has passed, and when it began among the writes."""

    def __init__(self, serializer: Serializer, moment: int, cleared: int) -> None:
        self.serializer = serializer
        self.moment = moment
        self.cleared = cleared
        self.report = Loaded()
        self._passed = 0.0
        self._since = read()

    def made(self, created: float) -> None:
        """Take note of when the file was made.

        Only the time of day is known to both processes. If that has gone back, no time has passed;
        so nothing lasts longer than it would have.
        """
        passed = wall() - created
        self._passed = passed if passed > 0.0 else 0.0

    @property
    def passed(self) -> float:
        return self._passed + read() - self._since


class Waiting:
    """Brings saved entries into one cache, and keeps those whose object is not there yet.

    :param home: the cache; while something is brought in or waits, it is its ``waiting``.
    :param plain: its table of `set`.
    :param scopes: gives all that is remembered of objects.
    """

    def __init__(self, home: Home, plain: Table, scopes: Callable[[], Sequence[Scope]]) -> None:
        self._home = home
        self._plain = plain
        self._scopes = scopes
        self._at_work = 0
        self._cleared = 0
        self._met: dict[_Place, WeakSet[Table]] = {("", ""): WeakSet([plain])}
        self._pending: dict[_Place, list[tuple[_Loading, Heading, Row]]] = {}
        self._many = 0

    def load(
        self,
        path: str | os.PathLike[str],
        *,
        serializer: str | Serializer,
        secret_keys: Sequence[str | bytes] | None,
        insecure: bool,
    ) -> Loaded:
        """Read a file, and enter what may be entered."""
        chosen = choose(serializer, secret_keys=secret_keys, insecure=insecure)
        sealer = Sealer(secret_keys)
        with self._home.lock:
            # From here on, writes are taken note of.
            self._at_work += 1
            self._home.waiting = self
            self._plain.touched = self._plain.touched or Touched()
            tables = []
            for scope in self._scopes():
                for table in list(scope.tables.values()):
                    scope.watch(table)
                    tables.append(table)
            loading = _Loading(chosen, self._home.tags.moment, self._cleared)
        try:
            for table in tables:
                self._register(table)
            del tables
            with Reader(path, sealer) as file:
                self._read(file, loading)
        finally:
            self._leave()
        return loading.report

    def meet(self, table: Table) -> None:
        """Enter what has waited for a table."""
        with self._home.lock:
            self._at_work += 1
        try:
            place = self._register(table)
            if place is None:
                return
            with self._home.lock:
                waited = self._pending.pop(place, [])
                self._many -= len(waited)
                for loading, _, _ in waited:
                    loading.report.waiting -= 1
            self._bring(place, waited)
        finally:
            self._leave()

    def forget(self) -> None:
        """Forget what waits, and what is being read: the cache is cleared, under its lock."""
        self._cleared += 1
        for waited in self._pending.values():
            for loading, _, _ in waited:
                loading.report.waiting -= 1
                loading.report.count("overtaken")
        self._pending, self._many = {}, 0
        self._rest()

    def _leave(self) -> None:
        with self._home.lock:
            self._at_work -= 1
            self._rest()

    def _rest(self) -> None:
        """Have nothing noted any more, if nobody is at work and nothing waits."""
        if self._at_work or self._pending or self._home.waiting is not self:
            return
        self._home.waiting = None
        self._plain.touched = None
        for scope in self._scopes():
            scope.written = False
            for table in list(scope.tables.values()):
                table.touched = None

    def _register(self, table: Table) -> _Place | None:
        if table.settings[1] is not None:
            # Its entries are outside of this process, and what is here of them is not ours.
            return None
        # What its users' code says of it, too: no reason not to wrap an object.
        with suppress(Exception):
            described = table.teller and table.teller(table)
            if described:
                heading = Heading.of(described)
                with self._home.lock:
                    self._met.setdefault(heading[:2], WeakSet()).add(table)
                return heading[:2]
        return None

    # Reading.

    def _read(self, file: Reader, loading: _Loading) -> None:
        report = loading.report
        head = file.head
        seen = 0
        expected = 1 if isinstance(head, Refused) else head.entries
        if not isinstance(head, Refused):
            loading.made(head.created)
            if head.serializer != loading.serializer.name:
                report.count("another-serializer", head.entries)
                return
        headings: list[Heading | Refused] = []
        some: list[tuple[_Loading, Heading, Row]] = []
        for kind, payload in file.records():
            if kind == TABLE:
                self._bring_some(some)
                headings.append(_heading(payload))
                continue
            if kind != ENTRY:
                continue
            seen += 1
            row = _row(payload, headings)
            if isinstance(row, Refused):
                self._count(report, row.value)
                continue
            if len(some) >= _AT_ONCE or (some and some[-1][2].heading != row.heading):
                self._bring_some(some)
            some.append((loading, headings[row.heading], row))  # type: ignore[arg-type]
        self._bring_some(some)
        if seen < expected:
            why = head if isinstance(head, Refused) else Refused.TRUNCATED
            self._count(report, why.value, expected - seen)

    def _count(self, report: Loaded, outcome: str | None, many: int = 1) -> None:
        with self._home.lock:
            report.count(outcome, many)

    def _bring_some(self, some: list[tuple[_Loading, Heading, Row]]) -> None:
        """Bring in entries of one method, or have them wait."""
        if not some:
            return
        rows, some[:] = list(some), []
        loading, heading, _ = rows[0]
        place = heading[:2]
        with self._home.lock:
            if not self._met.get(place):
                self._wait(loading, place, rows)
                return
        self._bring(place, rows)

    def _wait(
        self, loading: _Loading, place: _Place, rows: list[tuple[_Loading, Heading, Row]]
    ) -> None:
        report = loading.report
        if loading.cleared != self._cleared:
            report.count("overtaken", len(rows))
            return
        most = self._home.max_entries
        room = math.inf if most is None else most - self._many
        fitting = rows if room >= len(rows) else rows[: max(0, int(room))]
        if fitting:
            self._pending.setdefault(place, []).extend(fitting)
            self._many += len(fitting)
            report.waiting += len(fitting)
        if len(fitting) < len(rows):
            report.count("no-room", len(rows) - len(fitting))

    # Entering.

    def _bring(self, place: _Place, rows: list[tuple[_Loading, Heading, Row]]) -> None:
        with self._home.lock:
            tables = list(self._met.get(place, ()))
        outcomes: list[str | None] = ["gone"] * len(rows)
        for table in tables:
            described = None if table is self._plain else table.teller and table.teller(table)
            if described is None and table is not self._plain:
                continue
            entering = _Entering(table, described)
            for at, (loading, heading, row) in enumerate(rows):
                outcome: str | None = "overtaken"
                if loading.cleared == self._cleared:
                    outcome = entering.enter(loading, heading, row)
                # Of several objects of one name, one that has it is enough.
                outcomes[at] = None if outcomes[at] is None else outcome
        with self._home.lock:
            for (loading, _, _), outcome in zip(rows, outcomes, strict=True):
                loading.report.count(outcome)


class _Entering:
    """Enters the entries of one table."""

    def __init__(self, table: Table, described: Described | None) -> None:
        self._table = table
        self._described = described
        self._how = "" if described is None else how_keyed(described)
        self._rows: tuple[Serializer, Plain | Rows] | None = None

    def enter(self, loading: _Loading, heading: Heading, row: Row) -> str | None:
        """Enter one, or say why not."""
        described = self._described
        if heading.how != self._how:
            return "declared-otherwise"
        try:
            rows = self._bound(loading.serializer)
            key, values = rows.arguments(row.key)
            if described is None:
                return self._enter_plain(loading, row, rows, key, values)
            return self._enter(loading, row, rows, key, values, described)
        except Exception:
            # Whatever the bytes said: a user's class may object to being made of them, too.
            return "undecodable"

    def _bound(self, serializer: Serializer) -> Plain | Rows:
        known = self._rows
        if known is None or known[0] is not serializer:
            described = self._described
            made = Plain(serializer) if described is None else Rows(described, serializer)
            known = self._rows = serializer, made
        return known[1]

    def _enter_plain(
        self, loading: _Loading, row: Row, rows: Plain | Rows, key: Any, values: tuple[Any, ...]
    ) -> str | None:
        left = row.left - loading.passed
        if left <= 0.0:
            return _EXPIRED
        value = rows.read(row.flags, row.value)
        return self._table.bring(key, values, value, read() + left, None, loading.moment)

    def _enter(
        self,
        loading: _Loading,
        row: Row,
        rows: Plain | Rows,
        key: Any,
        values: tuple[Any, ...],
        described: Described,
    ) -> str | None:
        keeping = described.plan.keeping
        passed = loading.passed
        left = row.left - passed
        if left <= 0.0 and (keeping.aging is None or row.flags & FAILED):
            return _EXPIRED
        value = rows.read(row.flags, row.value)
        if row.flags & ABSENT and keeping.absent(described.me) is None:
            return "declared-otherwise"
        revived: tuple[float, Tended | None] | None
        if row.flags & FAILED:
            revived = _failure(keeping, value, left)
        else:
            age = row.age + passed if row.flags & AGED else None
            unused, me = row.unused + passed, described.me
            revived = keeping.revived(value, me, left, age, unused, row.cost)
        if revived is None:
            return _EXPIRED
        expires, made = revived
        if made is not None:
            made.tags = ANY if row.flags & ANY_TAG else row.tags
            self._table.tagged = self._table.tagged or bool(made.tags)
        return self._table.bring(key, values, value, expires, made, loading.moment)


def _failure(keeping: Keeping, value: Any, left: float) -> tuple[float, Tended] | None:
    """Return what becomes of an exception that was remembered; `None` if none is any more."""
    error = value.again()
    remembered = keeping.failure(error)
    if remembered is None and value.absence:
        # Of a method for many ids: that there was none of this one.
        remembered = keeping.absence(error.args[0])
    if remembered is None:
        return None
    # Negative: the hit path raises nothing.
    return -min(read() + left, remembered[1]), Tended()


def _heading(payload: bytes | Refused) -> Heading | Refused:
    if isinstance(payload, Refused):
        return payload
    try:
        return Heading.read(payload)
    except ValueError:
        return Refused.CORRUPT


def _row(payload: bytes | Refused, headings: list[Heading | Refused]) -> Row | Refused:
    """Return an entry whose method is known, or what is wrong with it."""
    if isinstance(payload, Refused):
        return payload
    try:
        row = Row.read(payload)
        heading = headings[row.heading]
    except (ValueError, IndexError):
        return Refused.CORRUPT
    return heading if isinstance(heading, Refused) else row
