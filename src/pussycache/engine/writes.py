"""A write, from its start to its end: which fences stand meanwhile and what is forgotten.

The one place that knows the order of things; how a write is called is compile's.
"""

from __future__ import annotations

from functools import partial

from pussycache.declare.rules import Call
from pussycache.engine import transactions
from pussycache.engine.asking import acarry, carry
from pussycache.engine.entry import Cause, shown
from pussycache.engine.fences import Fence
from pussycache.engine.singleflight import WRITING, AtWork
from pussycache.engine.tags import Tags
from pussycache.engine.watched import seen_write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping
    from typing import Any

    from pussycache.declare.rules import Match
    from pussycache.declare.templates import TagMatch
    from pussycache.engine.asking import Ask, Distant
    from pussycache.engine.generations import Table
    from pussycache.engine.scopes import Scope
    from pussycache.engine.transactions import View

    Fences = list[tuple["Effect", Fence]]

__all__ = ["Effect", "Write", "forget_table", "outlast"]


class Effect:
    """What one target of a write comes to: all of a table or scope, what a rule matches, a tag.

    ``distant`` is there where the entries are outside of this process.
    """

    __slots__ = ("distant", "match", "on")

    def __init__(self, on: Table | Scope | Tags, match: Match | TagMatch | None = None) -> None:
        self.on = on
        self.match = match
        self.distant: Distant | None = getattr(on, "distant", None)


class Write:
    """One call of an invalidating method. `begin` it, run the method, `end` it whatever happens.

    `abegin` and `aend` are for coroutines: a write may reach outside of this process.

    ``arguments`` are the bound arguments by name, or `None` if the call does not fit the signature
    (the method itself will say so); ``writer`` is the method as statistics name it.
    """

    __slots__ = (
        *("_arguments", "_at_work", "_cause", "_effects", "_fences", "_method", "_reaches"),
        *("_seen", "_writer"),
    )

    def __init__(
        self,
        method: str,
        effects: Iterable[Effect],
        arguments: Mapping[str, Any] | None,
        writer: str | None = None,
    ) -> None:
        self._method = method
        self._writer = writer
        self._effects = tuple(effects)
        self._arguments = arguments
        self._fences: list[tuple[Effect, Fence]] = []
        self._reaches = False
        for effect in self._effects:
            self._reaches = self._reaches or effect.distant is not None

    def begin(self, inside: bool = False) -> None:
        """Raise the fences, before anything is written.

        :param inside: whether all that the current code does until the end is part of the write.
        :raises BackendUnavailable: where they cannot be raised outside of this process, and the
            cache does not put that off.
        """
        self._shut(inside)
        if self._reaches:
            try:
                carry(self._raising())
            except BaseException:
                self.end()
                raise

    async def abegin(self, inside: bool = False) -> None:
        """As `begin`."""
        self._shut(inside)
        if self._reaches:
            try:
                await acarry(self._raising())
            except BaseException:
                await self.aend()
                raise

    def end(self, *result: Any) -> None:
        """Take the fences away, and whatever was stored in the meantime with them.

        Without a result the write has raised: rules that need one forget the whole method. Inside
        of a transaction that is watched, others do not see what was written before its end, and
        may never see it: so the fences stand until then.
        """
        try:
            self._settle(*result)
            if not self._outlasts() and self._reaches:
                carry(self._lifting())
        finally:
            self._open()

    async def aend(self, *result: Any) -> None:
        """As `end`."""
        try:
            self._settle(*result)
            if not self._outlasts() and self._reaches:
                await acarry(self._lifting())
        finally:
            self._open()

    def _shut(self, inside: bool) -> None:
        self._at_work = AtWork()
        if inside:
            WRITING.set((*WRITING.get(), self._at_work))
        arguments = self._arguments
        self._cause = Cause(self._method, shown(arguments or {}), self._writer)
        self._seen = seen_write(self._cause, inside)
        try:
            for effect in self._effects:
                match = effect.match
                if match is None or arguments is None:
                    fence = Fence()
                elif match.deferred:
                    fence = Fence(match.at, hides=True, names=match.names)
                else:
                    fence = Fence(match.at, match.values(Call(arguments)), names=match.names)
                self._fences.append((effect, fence))
                if self._seen is not None and not fence.hides:
                    self._seen.affects(effect.on, fence)
                effect.on.shut(fence, self._cause)
        except BaseException:
            self._settle()
            self._open()
            raise

    def _raising(self) -> Generator[Ask, Any, None]:
        for effect, fence in self._fences:
            if effect.distant is not None:
                yield from effect.distant.raising(fence, self._cause)

    def _settle(self, *result: Any) -> None:
        """Work out what the rules name that need the result."""
        for effect, fence in self._fences:
            if fence.hides and effect.match is not None:
                call = Call(self._arguments or {})
                if result:
                    call.result = result[0]
                fence.values = effect.match.values(call)

    def _outlasts(self) -> bool:
        """Leave the fences to the transactions that are open around, if there are any."""
        holds = transactions.around() if transactions.sources else None
        if not holds:
            return False
        fences, self._fences = self._fences, []
        fences = [(effect, self._succeeded(effect, fence)) for effect, fence in fences]
        try:
            transactions.put_off(holds, partial(self._ended, fences))
        except BaseException:
            # They are taken away at once, rather than never.
            self._fences = fences
            raise
        return True

    def _ended(self, fences: Fences) -> None:
        """Take fences away that were left to transactions."""
        self._fences = fences
        try:
            carry(self._lifting())
        finally:
            self._open()

    def _succeeded(self, effect: Effect, fence: Fence) -> Fence:
        """Have a fence that hides everything succeeded by one before what is affected."""
        if not fence.hides or effect.distant is not None:
            return fence
        narrow = Fence(fence.at, fence.values, names=fence.names, succeeds=True)
        effect.on.shut(narrow, self._cause)
        effect.on.open(fence, self._cause)
        return narrow

    def _lifting(self) -> Generator[Ask, Any, None]:
        for effect, fence in self._fences:
            if effect.distant is not None:
                yield from effect.distant.lifting(fence, self._cause)

    def _open(self) -> None:
        self._at_work.over = True
        if writes := WRITING.get():
            # Not reset: writes that overlap need not end in the order they began.
            WRITING.set(tuple([write for write in writes if not write.over]))
        fences, self._fences = self._fences, []
        views = transactions.views() if transactions.viewers else ()
        for effect, fence in fences:
            if views:
                _show(effect.on, fence, self._cause, views)
            if self._seen is not None and fence.hides:
                self._seen.affects(effect.on, fence)
            effect.on.open(fence, self._cause)
        if self._seen is not None:
            self._seen.end()


def _show(on: Any, fence: Fence, cause: Cause, views: Iterable[View]) -> None:
    """Have what was written kept from being stored by those who cannot see it yet."""
    for view in views:
        view.outdated(on, fence, cause)


def forget_table(table: Table, cause: Cause) -> Generator[Ask, Any, None]:
    """Forget every call of a method of one object, wherever its entries are."""
    distant = table.distant
    if distant is not None:
        yield from distant.replacing(Fence(), cause)
    table.forget_all(cause)
    if transactions.sources or transactions.viewers:
        yield from outlast(table, Fence(succeeds=True), cause)


def outlast(on: Table | Tags, fence: Fence, cause: Cause) -> Generator[Ask, Any, bool]:
    """Make what was forgotten by hand stay so until the transactions around have ended.

    False where there are none: then there is nothing to wait for.
    """
    holds = transactions.around() if transactions.sources else None
    if not holds:
        _show(on, fence, cause, transactions.views() if transactions.viewers else ())
        return False
    distant = Effect(on).distant

    def over() -> None:
        try:
            if distant is not None:
                carry(distant.lifting(fence, cause))
        finally:
            _show(on, fence, cause, transactions.views())
            on.open(fence, cause)

    on.shut(fence, cause)
    try:
        if distant is not None:
            yield from distant.raising(fence, cause)
    finally:
        # Also where that failed: what may have been written is not known to be wrong otherwise.
        transactions.put_off(holds, over)
    return True
