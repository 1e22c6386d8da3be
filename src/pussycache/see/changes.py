"""How often the results of equal calls changed, and which other methods had been called before.

What came before a change need not be its cause. A cause is missing before no change; what comes
before changes and before their absence alike explains nothing. Pure: no clock and no lock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from random import Random
from statistics import median
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

__all__ = ["Before", "Changes", "Some", "Suspect", "suspects"]

T = TypeVar("T")


class Some(Generic[T]):
    """At most so many of a stream, each with the same chance (Vitter's algorithm R)."""

    __slots__ = ("_dice", "_most", "items", "seen")

    def __init__(self, most: int) -> None:
        self._most = most
        # The same dice each time: equal calls give an equal report.
        self._dice = Random(0)
        self.items: list[T] = []
        self.seen = 0

    def add(self, make: Callable[[], T]) -> None:
        """Take in one more, or not; it is made only if it is taken in."""
        self.seen += 1
        if len(self.items) < self._most:
            self.items.append(make())
            return
        place = int(self._dice.random() * self.seen)
        if place < self._most:
            self.items[place] = make()


class Before(NamedTuple):
    """A method that was called between two equal calls.

    ``same`` holds the names of a parameter of the changed method and of one of this method, where
    the two calls had equal arguments there; else it is `None`.
    """

    method: str
    same: tuple[str, str] | None = None


_MOST: Final = 500


class Changes:
    """Pairs of equal calls whose results could be compared, and what was called in between."""

    __slots__ = ("changed", "gaps", "same")

    def __init__(self) -> None:
        self.changed: Some[frozenset[Before]] = Some(_MOST)
        self.same: Some[frozenset[Before]] = Some(_MOST)
        self.gaps: Some[float] = Some(_MOST)

    def note(self, changed: bool, gap: float, before: Callable[[], frozenset[Before]]) -> None:
        """Note that two results could be compared, ``gap`` seconds after one another."""
        if changed:
            self.changed.add(before)
            self.gaps.add(lambda: gap)
        else:
            self.same.add(before)

    @property
    def compared(self) -> int:
        return self.changed.seen + self.same.seen

    @property
    def gap(self) -> float | None:
        """The median of the times after which a result had changed; `None` if none had."""
        return median(self.gaps.items) if self.gaps.items else None

    def share_after(self, found: Sequence[Suspect]) -> float:
        """Return the share of all pairs in which one of these had been called."""
        wanted = {Before(suspect.method, suspect.same) for suspect in found}
        total = 0.0
        for some in (self.changed, self.same):
            if some.items:
                hits = sum(not wanted.isdisjoint(pair) for pair in some.items)
                total += some.seen * hits / len(some.items)
        return total / self.compared if self.compared else 0.0


class Suspect(NamedTuple):
    """A method that was called before changes: ``before`` of so many ``changes``.

    ``otherwise`` is the share of pairs without a change in which it had been called, too. With
    ``same``, the calls that count had equal arguments: see `Before`.
    """

    method: str
    before: int
    changes: int
    otherwise: float
    same: tuple[str, str] | None = None


_Pairs: TypeAlias = "list[frozenset[Before]]"

_FEW: Final = 3
_REST: Final = 0.05
_NARROW: Final = 0.05


def suspects(changes: Changes) -> tuple[list[Suspect], float]:
    """Return the methods that explain the changes, and the share that none of them explains.

    The best explanation first: the one that comes most before changes, compared with how often it
    comes when nothing has changed. Then the best one for what is left.
    """
    changed, same = changes.changed.items, changes.same.items
    left = list(changed)
    found: list[Suspect] = []
    while left and len(left) > _REST * len(changed):
        best = max(_candidates(left, same), key=_order, default=None)
        if best is None:
            break
        score, before = best
        named = sum(before in pair for pair in left)
        # By chance, a method may come before some changes more often than before their absence.
        doubt = 1.6 * math.sqrt(0.25 / len(left) + 0.25 / (len(same) + 1))
        if named < max(_FEW, _REST * len(changed)) or score <= min(0.5, doubt):
            break
        found.append(_suspect(before, changed, same))
        left = [pair for pair in left if before not in pair]
    for at, suspect in enumerate(found):
        whole = Before(suspect.method)
        # A rule that is too wide costs loads; one that is too narrow is wrong.
        if suspect.same is not None and any(whole in pair for pair in left):
            found[at] = _suspect(whole, changed, same)
            left = [pair for pair in left if whole not in pair]
    return found, len(left) / len(changed) if changed else 0.0


def _suspect(before: Before, changed: _Pairs, same: _Pairs) -> Suspect:
    hits = sum(before in pair for pair in changed)
    return Suspect(before.method, hits, len(changed), _share(before, same), before.same)


def _candidates(left: _Pairs, same: _Pairs) -> Iterator[tuple[float, Before]]:
    for before in {one for pair in left for one in pair}:
        yield _share(before, left) - _share(before, same), before


def _share(before: Before, pairs: _Pairs) -> float:
    return sum(before in pair for pair in pairs) / len(pairs) if pairs else 0.0


def _order(candidate: tuple[float, Before]) -> tuple[float, Before]:
    # Equal arguments must tell more than the method alone does. Then by name, and not by chance.
    score, before = candidate
    narrow = before.same is not None
    return score - _NARROW * narrow, Before(before.method, before.same or ("", ""))
