"""A load and a write that overlap, in every order of the points at which they can be held.

How a call is held is said in held.py; whether it was to be expected what came of it, in blame.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from pussycache.declare.signatures import Method
from pussycache.testing.calls import MethodCall, Outcome
from pussycache.testing.held import Actor, InTask, InThread, stand_in
from pussycache.testing.trial import Trial

__all__ = ["Meeting", "Order", "Overlap", "orders"]

Order = tuple[tuple[str, str], ...]
"""Who goes on (``"load"`` or ``"write"``), and how far: ``"before"``, ``"after"``, ``"end"``."""


def _points(method: Method, in_task: bool) -> tuple[str, ...]:
    """Where a call can be held: a plain method in a task would hold the whole loop."""
    held = "coroutine" if in_task else "function"
    return ("before", "after", "end") if method.kind == held else ("end",)


def orders(load: Method, write: Method) -> Iterator[Order]:
    """Yield every order in which a load and a write can go on from point to point."""
    in_task = _in_task(load, write)
    loads = [("load", point) for point in _points(load, in_task)]
    writes = [("write", point) for point in _points(write, in_task)]
    total = len(loads) + len(writes)
    for places in itertools.combinations(range(total), len(loads)):
        mine, others = iter(loads), iter(writes)
        yield tuple([next(mine) if place in places else next(others) for place in range(total)])


def _in_task(load: Method, write: Method) -> bool:
    return not {"coroutine", "asyncgen"}.isdisjoint((load.kind, write.kind))


_TOLD: Final = {
    "before": "{call} starts, and is held before the real method",
    "after": "{call} runs the real method, and is held before it returns",
    "end": "{call} runs to its end",
}


class Meeting(NamedTuple):
    """A load and a write, the order of their steps, and the calls that go before."""

    before: tuple[MethodCall, ...]
    load: MethodCall
    write: MethodCall
    order: Order

    def story(self) -> list[str]:
        """Tell it, a line for each step."""
        told = [f"{call} runs to its end" for call in self.before]
        begun: set[str] = set()
        for who, point in self.order:
            text = _TOLD[point].format(call=self.load if who == "load" else self.write)
            if point == "end" and who in begun:
                text = text.replace("runs to its end", "returns")
            begun.add(who)
            told.append(text)
        return told


class Overlap:
    """Lets a load and a write of fresh objects overlap, and asks every cached call afterwards."""

    def __init__(
        self, trial: Trial, methods: dict[str, Method], reads: tuple[MethodCall, ...]
    ) -> None:
        self._trial = trial
        self._methods = methods
        self._reads = reads
        self._kind = stand_in(methods)
        # The class of a proxy is made once, and found again while there is one.
        self._alive = self._caching(trial.bare())

    def _caching(self, target: object) -> Any:
        return self._trial.declaration.around(self._kind(target))

    async def run(self, meeting: Meeting) -> tuple[MethodCall, Outcome, Outcome] | None:
        """Return a call that is wrong afterwards, what it answered and what the object does."""
        target = self._trial.bare()
        caching = self._caching(target)
        for call in meeting.before:
            await Outcome.of(caching, call)
        load, write = (self._methods[call.name] for call in (meeting.load, meeting.write))
        in_task = _in_task(load, write)
        make = InTask if in_task else InThread
        actors: dict[str, Actor] = {
            "load": make(caching, meeting.load, _points(load, in_task)),
            "write": make(caching, meeting.write, _points(write, in_task)),
        }
        try:
            for who, _ in meeting.order:
                await actors[who].go_on()
        finally:
            for actor in actors.values():
                actor.let_go()
        return await self._trial.wrong(caching, target, self._reads)
