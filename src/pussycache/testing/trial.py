"""One history, made on a caching and on a bare object side by side: where do they differ?

Which histories are tried, and what is made of a difference, is not said here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pussycache.errors import ConfigurationError
from pussycache.testing.answers import Same
from pussycache.testing.calls import MethodCall, Outcome
from pussycache.testing.declared import Declaration

__all__ = ["Difference", "Trial"]

_AGREE: Final = 10  # runs of two bare objects that must be alike


@dataclass(frozen=True)
class Difference:
    """The first call of a history that the caching object answered otherwise than the bare one."""

    history: tuple[MethodCall, ...]
    got: Outcome
    wanted: Outcome

    @property
    def read(self) -> MethodCall:
        return self.history[-1]


class Trial:
    """Makes histories on fresh objects."""

    def __init__(
        self, make_object: Callable[[], Any], declaration: Declaration, same: Same
    ) -> None:
        self.make_object = make_object
        self.declaration = declaration
        self.same = same
        # The class of a proxy is made once, and found again while there is one.
        self._alive = declaration.caching(make_object())

    def bare(self) -> Any:
        """Return a fresh object without caching."""
        return self.declaration.bare(self.make_object())

    async def run(
        self, history: Sequence[MethodCall], told: list[str] | None = None
    ) -> Difference | None:
        """Make the calls in both ways; ``told`` is given a line for each, as it is answered."""
        declaration = self.declaration
        made = self.make_object()
        return await self._compared(
            declaration.caching(made), declaration.bare(made), history, told
        )

    async def varies(self, history: Sequence[MethodCall]) -> Difference | None:
        """Make the calls on two bare objects: do these differ already?"""
        for _ in range(_AGREE):
            one = self.bare()
            with self.declaration.without_caching():
                found = await self._compared(one, one, history, None)
            if found is not None:
                return found
        return None

    async def _compared(
        self, caching: Any, target: Any, history: Sequence[MethodCall], told: list[str] | None
    ) -> Difference | None:
        bare = self.bare()
        for place, call in enumerate(history):
            got = await Outcome.of(caching, call)
            line = f"{call} -> {got}" if told is not None else ""
            wanted = await self._answer(bare, call)
            # At once: an answer may be changed by what comes later.
            same = self.same(call, got, wanted, (caching, target, bare))
            if told is not None:
                told.append(line if same else f"{line}    bare: {wanted}")
            if not same:
                return Difference(tuple(history[: place + 1]), got, wanted)
        return None

    async def answers(self, before: Sequence[MethodCall], read: MethodCall) -> tuple[Outcome, Any]:
        """Return what a fresh bare object answers after some calls, and that object."""
        bare = self.bare()
        with self.declaration.without_caching():
            for call in before:
                await Outcome.of(bare, call)
            return await Outcome.of(bare, read), bare

    async def wrong(
        self, caching: Any, target: Any, reads: Iterable[MethodCall]
    ) -> tuple[MethodCall, Outcome, Outcome] | None:
        """Return the first call that is not answered as the object itself answers it now."""
        alike = (caching, target)
        for call in reads:
            wanted = await self._answer(target, call)
            got = await Outcome.of(caching, call)
            if self.same(call, got, wanted, alike):
                continue
            again = await self._answer(target, call)
            if self.same(call, wanted, again, alike) and not self.same(call, got, again, alike):
                return call, got, wanted
        return None

    async def _answer(self, target: Any, call: MethodCall) -> Outcome:
        with self.declaration.without_caching():
            return await Outcome.of(target, call)

    async def shortest(self, found: Difference) -> Difference:
        """Leave out every call that a difference does not need."""
        place = 0
        while place < len(found.history) - 1:
            shorter = found.history[:place] + found.history[place + 1 :]
            again = await self.run(shorter)
            if again is None:
                place += 1
            else:
                found, place = again, 0
        return found

    async def settle(self, found: Difference) -> None:
        """Say so, where a difference says nothing of the declaration."""
        varied = await self.varies(found.history)
        if varied is not None:
            raise ConfigurationError(
                f"two fresh objects answer {varied.read} differently after the same calls, without "
                f"any cache: {varied.got} and {varied.wanted}. Either it is left to chance or to "
                "time: then leave it out of calls. Or the objects share state: then let "
                "make_object make all of it anew. Or the answers mean the same and are not equal: "
                "then say with equal= when they are"
            )
