"""`Ledger`: what has been asked, loaded and written so far, held against the promise.

Knows neither the engine nor the explorer: whatever model tells it what happens, it says when the
promise is broken.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, NamedTuple

__all__ = ["Answer", "Call", "Ledger", "Written"]


class Call(NamedTuple):
    """One call of a cached method: the same call, whoever makes it."""

    method: str
    key: Any

    def __str__(self) -> str:
        return f"{self.method}({self.key!r})"


class Written(NamedTuple):
    """One write: each is another one, also if it writes the same.

    ``fails`` says that its method raises. One that is made ``by_hand`` (`pussycache.forget` and its
    like) has no method; its ``key`` is what it is about.
    """

    who: str
    number: int
    method: str
    key: Any
    fails: bool = False
    by_hand: bool = False

    def __str__(self) -> str:
        if self.by_hand:
            return f"{self.who}'s {self.method} of {self.key}"
        return f"{self.who}'s {self.method}({self.key!r})"


class Answer(NamedTuple):
    """What a load brings: which version it saw, and which writes had ended when it began."""

    call: Call
    version: Hashable
    after: frozenset[Written]


class Ledger:
    """Is told what happens, and raises an `AssertionError` when the promise is broken.

    :param affects: whether a write makes the answer of a call wrong.

    A write ends for loads when its method has returned or raised (`over`), and for callers when the
    write itself has (`returned`).
    """

    def __init__(self, affects: Callable[[Written, Call], bool]) -> None:
        self._affects = affects
        self._at_work: set[Written] = set()
        self._over: set[Written] = set()
        self._returned: set[Written] = set()

    def state(self) -> tuple[set[Written], ...]:
        """Return all that was noted, for fingerprints."""
        return self._at_work, self._over, self._returned

    @property
    def is_somebody_at_work(self) -> bool:
        """Whether a write is running its method."""
        return bool(self._at_work)

    def begun(self, write: Written) -> None:
        """Note that a write is about to run its method."""
        self._at_work.add(write)

    def over(self, write: Written) -> None:
        """Note that the method of a write has returned or raised."""
        self._at_work.discard(write)
        self._over.add(write)

    def returned(self, write: Written) -> None:
        """Note that a write has returned or raised, as its caller sees it."""
        self._returned.add(write)

    def loading(self, call: Call) -> frozenset[Written]:
        """Return which writes a load of a call that begins now comes after."""
        return frozenset([write for write in self._over if self._affects(write, call)])

    def asked(self, call: Call) -> frozenset[Written]:
        """Return which writes a call that starts now must be given the effects of."""
        return frozenset([write for write in self._returned if self._affects(write, call)])

    def answered(self, call: Call, asked: frozenset[Written], answer: Answer) -> None:
        """Check what a call was answered with; ``asked`` is what `asked` said at its start."""
        missing = sorted(asked - answer.after)
        if missing:
            raise AssertionError(
                f"{call} was asked for after {_all(missing)} had returned, and answered with "
                f"version {answer.version}, whose load began before that"
            )

    def findable(self, answers: Iterable[Answer]) -> None:
        """Check what can be found now: nothing that a write at work makes wrong."""
        if not self._at_work:
            return
        for answer in answers:
            for write in self._at_work:
                if self._affects(write, answer.call):
                    raise AssertionError(
                        f"version {answer.version} of {answer.call} can be found while {write} is "
                        "at work"
                    )


def _all(writes: list[Written]) -> str:
    return " and ".join(map(str, writes))
