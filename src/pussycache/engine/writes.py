"""A write, from its start to its end: which fences stand meanwhile and what is forgotten.

The one place that knows the order of things; how a write is called is compile's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pussycache.declare.rules import Call
from pussycache.engine.entry import Cause, shown
from pussycache.engine.fences import Fence
from pussycache.engine.singleflight import WRITING, AtWork

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pussycache.declare.rules import Match
    from pussycache.declare.templates import TagMatch
    from pussycache.engine.generations import Table
    from pussycache.engine.scopes import Scope
    from pussycache.engine.tags import Tags

__all__ = ["Effect", "Write"]


class Effect:
    """What one target of a write comes to: all of a table or scope, what a rule matches, a tag."""

    __slots__ = ("match", "on")

    def __init__(self, on: Table | Scope | Tags, match: Match | TagMatch | None = None) -> None:
        self.on = on
        self.match = match


class Write:
    """One call of an invalidating method. `begin` it, run the method, `end` it whatever happens.

    ``arguments`` are the bound arguments by name, or `None` if the call does not fit the signature
    (the method itself will say so).
    """

    __slots__ = ("_arguments", "_at_work", "_cause", "_effects", "_fences", "_method")

    def __init__(
        self, method: str, effects: Iterable[Effect], arguments: Mapping[str, Any] | None
    ) -> None:
        self._method = method
        self._effects = tuple(effects)
        self._arguments = arguments
        self._fences: list[tuple[Effect, Fence]] = []

    def begin(self, inside: bool = False) -> None:
        """Raise the fences, before anything is written.

        :param inside: whether all that the current code does until the end is part of the write.
        """
        self._at_work = AtWork()
        if inside:
            WRITING.set((*WRITING.get(), self._at_work))
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
        self._at_work.over = True
        if WRITING.get():
            # Not reset: writes that overlap need not end in the order they began.
            WRITING.set(tuple([write for write in WRITING.get() if not write.over]))
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
