"""A write, from its start to its end: which fences stand meanwhile and what is forgotten.

The one place that knows the order of things; how a write is called is compile's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pussycache.declare.rules import Call, Match
from pussycache.engine.entry import Cause, shown
from pussycache.engine.generations import Fence

__all__ = ["Effect", "Shuttable", "Write"]


class Shuttable(Protocol):
    """What a fence can stand before: a table, or all tables of an object."""

    def shut(self, fence: Fence, cause: Cause) -> None:
        """Begin a write."""

    def open(self, fence: Fence, cause: Cause) -> None:
        """End a write."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What one target of a write comes to: the whole of something, or what a rule matches."""

    on: Shuttable
    match: Match | None = None


class Write:
    """One call of an invalidating method. `begin` it, run the method, `end` it whatever happens.

    ``arguments`` are the bound arguments by name, or `None` if the call does not fit the signature
    (the method itself will say so).
    """

    __slots__ = ("_arguments", "_cause", "_effects", "_fences", "_method")

    def __init__(
        self, method: str, effects: Iterable[Effect], arguments: Mapping[str, Any] | None
    ) -> None:
        self._method = method
        self._effects = tuple(effects)
        self._arguments = arguments
        self._fences: list[tuple[Effect, Fence]] = []

    def begin(self) -> None:
        """Raise the fences, before anything is written."""
        arguments = self._arguments
        self._cause = Cause(self._method, shown(arguments or {}))
        try:
            for effect in self._effects:
                match = effect.match
                if match is None or arguments is None:
                    fence = Fence()
                elif match.deferred:
                    fence = Fence(match.at, hides=True)
                else:
                    fence = Fence(match.at, match.values(Call(arguments)))
                self._fences.append((effect, fence))
                effect.on.shut(fence, self._cause)
        except BaseException:
            self.end()
            raise

    def end(self, *result: Any) -> None:
        """Take the fences away, and whatever was stored in the meantime with them.

        Without a result the write has raised: rules that need one forget the whole method.
        """
        fences, self._fences = self._fences, []
        try:
            for effect, fence in fences:
                if fence.hides and effect.match is not None:
                    call = Call(self._arguments or {})
                    if result:
                        call.result = result[0]
                    fence.values = effect.match.values(call)
        finally:
            for effect, fence in fences:
                effect.on.open(fence, self._cause)
