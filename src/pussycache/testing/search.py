"""Which histories and overlaps are tried for one assertion, in which order, and for how long.

How one is made is said in trial.py, interleavings.py and leftovers.py, who is to blame in blame.py.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NoReturn

from pussycache.errors import ConfigurationError
from pussycache.testing.blame import blame, overlapped, too_late
from pussycache.testing.held import Hang
from pussycache.testing.incoherent import IncoherentError, Tried
from pussycache.testing.interleavings import Meeting, Overlap, orders
from pussycache.testing.leftovers import changed_later
from pussycache.testing.trial import Trial

if TYPE_CHECKING:
    from pussycache.declare.signatures import Method
    from pussycache.testing.calls import MethodCall, Outcome
    from pussycache.testing.interleavings import Order
    from pussycache.testing.trial import Difference

__all__ = ["Search"]

_LONGER: Final = 9  # how much longer than `length` the histories at random are, at most


class Search:
    """Everything that is tried for one assertion."""

    def __init__(
        self,
        trial: Trial,
        calls: tuple[MethodCall, ...],
        methods: dict[str, Method],
        length: int,
        histories: int,
        seed: int,
        seconds: float,
    ) -> None:
        self._trial = trial
        self._calls = calls
        self._methods = methods
        self._length = length
        self._histories = histories
        self._seed = seed
        self._start, self._seconds = time.monotonic(), seconds
        self._random = random.Random(seed)
        cached = trial.declaration.cached
        self._reads = tuple([call for call in calls if call.name in cached])
        self._writes = tuple([call for call in calls if call.name not in cached])
        self._tried = self._overlaps = 0
        self._complete = True

    async def all(self) -> Tried:
        for write in self._writes:
            late = await changed_later(self._trial, write, self._reads)
            if late is not None:
                told = [f"{write} runs to its end, and leaves something at work"]
                told += [f"{late[0]} runs to its end", "what was left at work is done"]
                self._wrong(told, late, write, too_late)
        for history in self._short():
            if self._over(0.5):
                break
            await self._try(history)
        # A decorated method is called by itself: there is no place between to hold it.
        decorated = self._trial.declaration.decorated
        overlap = None if decorated else Overlap(self._trial, self._methods, self._reads)
        if overlap is not None:
            for load, write in itertools.product(self._reads, self._writes):
                for order in self._orders(load, write):
                    if not self._over(0.75):
                        await self._meet(overlap, Meeting((), load, write, order))
        pick = self._random.choices
        for _ in range(self._histories):
            if self._over(0.9):
                break
            length = self._length + self._random.randint(1, _LONGER)
            await self._try(tuple(pick(self._calls, k=length)))
        if overlap is not None and self._writes:
            for _ in range(self._histories):
                if self._over(1):
                    break
                before = tuple(pick(self._calls, k=self._random.randint(1, self._length)))
                (load,), (write,) = pick(self._reads), pick(self._writes)
                (order,) = pick(self._orders(load, write))
                await self._meet(overlap, Meeting(before, load, write, order))
        return Tried(self._tried, self._overlaps, self._complete, self._seed)

    def _orders(self, load: MethodCall, write: MethodCall) -> list[Order]:
        return list(orders(self._methods[load.name], self._methods[write.name]))

    def _short(self) -> Iterator[tuple[MethodCall, ...]]:
        for length in range(1, self._length + 1):
            yield from itertools.product(self._calls, repeat=length)

    def _over(self, share: float) -> bool:
        if time.monotonic() < self._start + share * self._seconds:
            return False
        self._complete = False
        return True

    async def _try(self, history: tuple[MethodCall, ...]) -> None:
        self._tried += 1
        found = await self._trial.run(history)
        if found is not None:
            await self._fail(found)

    async def _fail(self, found: Difference) -> None:
        await self._trial.settle(found)
        found = await self._trial.shortest(found)
        await self._trial.settle(found)
        guilty = await blame(self._trial, found)
        told: list[str] = []
        again = await self._trial.run(found.history, told)
        if again is None:
            raise ConfigurationError(
                f"{found.read} was answered {found.got} instead of {found.wanted}, but not when "
                "the same calls were made again: something outside of the objects changes; let "
                "make_object make all that the calls use anew"
            )
        raise IncoherentError(
            tuple(told),
            again.read,
            _plain(again.got),
            _plain(again.wanted),
            guilty.write,
            guilty.remedy,
            self._seed,
        )

    async def _meet(self, overlap: Overlap, meeting: Meeting) -> None:
        self._overlaps += 1
        try:
            found = await overlap.run(meeting)
        except Hang as problem:
            steps = "".join(f"\n  {step}" for step in meeting.story())
            raise AssertionError(f"{problem}:{steps}") from None
        if found is None:
            return
        # It may take no overlap: one call after the other is easier to understand.
        read = found[0]
        plain = await self._trial.run((*meeting.before, read, meeting.write, read))
        if plain is not None:
            await self._fail(plain)
        self._wrong(meeting.story(), found, meeting.write, overlapped)

    def _wrong(
        self,
        told: list[str],
        found: tuple[MethodCall, Outcome, Outcome],
        write: MethodCall,
        remedy: Callable[[Trial, MethodCall, MethodCall], str],
    ) -> NoReturn:
        read, got, wanted = found
        raise IncoherentError(
            (*told, f"{read} -> {got}    bare: {wanted}"),
            read,
            _plain(got),
            _plain(wanted),
            write,
            remedy(self._trial, write, read),
            self._seed,
        )


def _plain(outcome: Outcome) -> object:
    return outcome.value if outcome.error is None else outcome.error
