"""Saving: which entries of a cache in memory are written into a file, and how old they are.

How an entry is written is said in saved.py; nothing is read here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pussycache.cache.envelope import Sealer
from pussycache.cache.saved import AGED, ANY_TAG, Heading, Plain, Row, Rows
from pussycache.cache.savefile import ENTRY, TABLE, Writer
from pussycache.cache.serializers import NotStorable, choose
from pussycache.engine.clock import read, wall
from pussycache.engine.entry import Entry, Tended
from pussycache.engine.tags import ANY

if TYPE_CHECKING:
    import os

    from pussycache.cache.described import Described
    from pussycache.cache.serializers import Serializer
    from pussycache.engine.generations import Table

__all__ = ["Saved", "save"]

_AT_ONCE: Final = 256
_MOST_REASONS: Final = 100


class Saved(NamedTuple):
    """What `MemoryCache.save` has done.

    ``left_out`` says by reason how many entries were not written: ``"unnamed"``, because their
    object cannot be found again in another process; ``"ambiguous"``, because several objects bear
    its name and do not share their entries; ``"arguments"`` and ``"value"``, because these cannot
    be written; ``"changed"``, because the value was changed in place. ``why`` says it in a sentence
    for each method.
    """

    saved: int
    left_out: Mapping[str, int]
    why: Sequence[str]


class _Report:
    def __init__(self) -> None:
        self.saved = 0
        self.left_out: Counter[str] = Counter()
        self._why: dict[tuple[str, str], str] = {}

    def leave_out(self, method: str, reason: str, why: str, count: int = 1) -> None:
        self.left_out[reason] += count
        if len(self._why) < _MOST_REASONS:
            self._why.setdefault((method, reason), f"{method or 'set'}: {why}")

    def made(self) -> Saved:
        return Saved(self.saved, dict(self.left_out), tuple(self._why.values()))


def save(
    plain: Table,
    tables: Sequence[Table],
    path: str | os.PathLike[str],
    *,
    serializer: str | Serializer,
    secret_keys: Sequence[str | bytes] | None,
    insecure: bool,
) -> Saved:
    """Write entries into a file.

    :param plain: the table of `set`; ``tables`` are those of methods.
    """
    chosen = choose(serializer, secret_keys=secret_keys, insecure=insecure)
    sealer = Sealer(secret_keys)
    report = _Report()
    # All durations count from here.
    now, created = read(), wall()
    with Writer(path, sealer, chosen.name, created) as file:
        found = chain([(Heading("", "", ""), plain, None)], _found_again(tables, report))
        for number, (heading, table, described) in enumerate(found):
            file.add(TABLE, heading.packed())
            rows = Plain(chosen) if described is None else Rows(described, chosen)
            label = "" if described is None else described.plan.label
            for row in _rows(table, rows, number, now, label, report):
                file.add(ENTRY, row.packed())
                report.saved += 1
    return report.made()


def _found_again(
    tables: Sequence[Table], report: _Report
) -> Iterator[tuple[Heading, Table, Described]]:
    """Yield the tables whose method is known by a name, if by it no other one is known."""
    places: dict[tuple[str, str], list[tuple[Heading, Table]]] = {}
    for table in tables:
        if not table.kept:
            continue
        try:
            described = table.teller and table.teller(table)
            if not described:
                why = "nobody uses it any more, so nothing says which object it is of"
                report.leave_out(table.name, "unnamed", why, len(table.kept))
                continue
            heading = Heading.of(described)
        except Exception as error:
            # Among others what the object's own `__cache_identity__` raises.
            report.leave_out(table.name, "unnamed", str(error), len(table.kept))
            continue
        places.setdefault(heading[:2], []).append((heading, table))
        del described
    for (owner, name), found in places.items():
        if len(found) > 1:
            why = (
                f"{len(found)} objects are known as {owner}, and each has entries of its own; "
                "give them a namespace= each, or one that they share"
            )
            report.leave_out(name, "ambiguous", why, sum([len(table.kept) for _, table in found]))
            continue
        ((heading, table),) = found
        # Asked for anew: kept alive while it is written, and no longer.
        described = table.teller and table.teller(table)
        if described:
            yield heading, table, described


def _rows(
    table: Table, rows: Plain | Rows, number: int, now: float, label: str, report: _Report
) -> Iterator[Row]:
    with table.lock:
        # Keys only, and in one step; their entries some at a time.
        keys = list(table.entries)
    for start in range(0, len(keys), _AT_ONCE):
        with table.lock:
            some = [_entry(table, key) for key in keys[start : start + _AT_ONCE]]
        for key, entry in zip(keys[start : start + _AT_ONCE], some, strict=True):
            if entry is None:
                continue
            if not entry.intact:
                why = "what it returned was changed in place; see Cached(guard=True)"
                report.leave_out(label, "changed", why)
                continue
            try:
                written = rows.key(key)
            except Exception as error:
                # Its class has a say in whether it can be written, and compared.
                report.leave_out(label, "arguments", str(error))
                continue
            try:
                flags, value = rows.value(entry.value)
            except (NotStorable, ValueError) as error:
                report.leave_out(label, "value", str(error))
                continue
            yield _row(entry, number, now, flags, written, value)


def _entry(table: Table, key: Any) -> Entry | None:
    """Return an entry as it is now, if it may be served."""
    try:
        # None that a writer has made wrong is among these, and none that it hides.
        entry = table.entries.get(key)
    except Exception:
        return None
    if entry is None or entry.deadline <= read() or not table.current(entry):
        return None
    return entry


def _row(entry: Entry, number: int, now: float, flags: int, key: bytes, value: bytes) -> Row:
    if type(entry) is not Tended:
        return Row(number, flags, entry.deadline - now, 0.0, 0.0, 0.0, (), key, value)
    tags = entry.tags
    if tags is ANY:
        flags, tags = flags | ANY_TAG, ()
    age = entry.age
    if age is None:
        return Row(number, flags, entry.deadline - now, 0.0, 0.0, 0.0, tags, key, value)
    unused = max(0.0, now - entry.used)
    left, since = -age.over(now), max(0.0, now - age.loaded)
    cost = age.cost if math.isfinite(age.cost) else 0.0
    return Row(number, flags | AGED, left, since, unused, cost, tags, key, value)
