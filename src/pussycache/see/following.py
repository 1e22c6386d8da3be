"""Follows calls and writes while they are done, and records them where they belong.

What is recorded is in traced.py; where a trace begins and ends is said in tracing.py.
"""

from __future__ import annotations

from collections.abc import Sized
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from pussycache.engine.asking import Ask
from pussycache.engine.background import Apart
from pussycache.engine.entry import Cause, shown
from pussycache.engine.flow import Part, Wait
from pussycache.engine.generations import Table
from pussycache.engine.scopes import Scope
from pussycache.engine.singleflight import TIMED_OUT, Failure
from pussycache.engine.watched import WATCHER, far_answer
from pussycache.explanation import explained
from pussycache.see.traced import Forgotten, TracedCall

if TYPE_CHECKING:
    from collections.abc import Generator

    from pussycache.engine.fences import Fence
    from pussycache.engine.plan import Plan
    from pussycache.engine.reasons import Explanation

__all__ = ["Owner", "Spot"]

_LONGEST: Final = 200


class Owner(Protocol):
    """Whose record it is: a trace."""

    def has_room(self) -> bool:
        """Whether one more call is to be recorded, which counts it."""


class Spot:
    """A place where calls are recorded, in one trace or several: below a trace, or below a call."""

    __slots__ = ("lists",)

    def __init__(self, lists: list[tuple[Owner, list[TracedCall]]]) -> None:
        self.lists = lists

    def record(self, method: str, arguments: str, where: Cause) -> tuple[TracedCall, Spot] | None:
        """Record one more call, and return it with the place below it; `None`: it is not."""
        chosen = [(owner, calls) for owner, calls in self.lists if owner.has_room()]
        if not chosen:
            return None
        made = TracedCall(method, arguments, where.thread, where.task)
        for calls in {id(calls): calls for _, calls in chosen}.values():
            calls.append(made)
        return made, Spot([(owner, made.children) for owner, _ in chosen])

    # What the engine tells: see engine/watched.py.

    def call(
        self, flow: Any, plan: Plan, table: Table, values: tuple[Any, ...], me: object, kind: str
    ) -> Any:
        recorded = self.record(plan.label, _arguments(plan, values), Cause(plan.label))
        if recorded is None:
            return far_answer(plan, table, values, me) if flow is None else flow
        followed = _Followed(*recorded, plan, table, values, me)
        if flow is None:
            flow = far_answer(plan, table, values, me, followed.ask_why)
        return followed.run(flow, kind)

    def write(self, cause: Cause, inside: bool, about: str = "") -> FollowedWrite:
        return FollowedWrite(self, cause, inside, about)


def _arguments(plan: Plan, values: tuple[Any, ...]) -> str:
    texts = shown(dict(zip(plan.names, values, strict=True)))
    return _short(", ".join(map("=".join, texts.items())))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _said(error: BaseException) -> str:
    if isinstance(error, GeneratorExit):
        return "nothing: it was given up"
    try:
        text = str(error)
    except Exception:
        # Its own code.
        text = ""
    return _short(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def _enter(spot: Spot) -> Any:
    before = WATCHER.get()
    WATCHER.set(spot)
    return before


def _leave(spot: Spot, before: Any) -> None:
    # Not reset by a token: what is closed by the garbage collector is closed anywhere.
    if WATCHER.get() is spot:
        WATCHER.set(before)


class _Followed:
    """One call under way, and what has been seen of it."""

    __slots__ = ("_failed", "_made", "_me", "_plan", "_spot", "_table", "_values")

    def __init__(
        self,
        made: TracedCall,
        spot: Spot,
        plan: Plan,
        table: Table,
        values: tuple[Any, ...],
        me: object,
    ) -> None:
        self._made = made
        self._spot = spot
        self._plan = plan
        self._table = table
        self._values = values
        self._me = me
        # Whether a load has failed, or was not waited for to its end.
        self._failed = False

    def run(self, flow: Generator[Any, Any, Any], kind: str) -> Generator[Any, Any, Any]:
        """Take the steps of a call, and record what they come to."""
        made = self._made
        begun = perf_counter()
        before = _enter(self._spot)
        result: Any = Failure(GeneratorExit())
        try:
            if kind == "call" and self._plan.far is None:
                made.why = self._explained()
            result = yield from self._steps(flow)
            return result
        except BaseException as error:
            result = Failure(error)
            raise
        finally:
            _leave(self._spot, before)
            made.seconds = perf_counter() - begun
            self._conclude(result, kind)
            # An error's traceback holds this frame.
            del result

    def ask_why(self) -> Generator[Any, Any, None]:
        """Ask the server why it is no plain hit."""
        far: Any = self._plan.far
        self._made.why = yield from far.explain(self._plan, self._table, self._values, self._me)

    def _explained(self) -> Explanation | None:
        try:
            return explained(self._plan, self._table, self._me, self._values)
        except Exception:
            # Keys that refuse to be compared: the call itself knows what to do then.
            return None

    def _steps(self, flow: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        got: Any = None
        try:
            while True:
                try:
                    step = flow.send(got)
                except StopIteration as stop:
                    return stop.value
                if type(step) is Apart:
                    step.through(self._beside)
                elif isinstance(step, Wait) and step.first is not None:
                    step.first.through(self._beside)
                begun = perf_counter()
                got = yield step
                self._note(step, got, perf_counter() - begun)
        finally:
            flow.close()

    def _note(self, step: Any, got: Any, seconds: float) -> None:
        made = self._made
        if isinstance(step, (Ask, Apart)):
            return
        if isinstance(step, Wait) and step.first is None:
            made.wait_seconds = (made.wait_seconds or 0.0) + seconds
            self._failed = self._failed or got is TIMED_OUT
            return
        made.load_seconds = (made.load_seconds or 0.0) + seconds
        # Also what is not waited for any longer.
        self._failed = self._failed or type(got) is Failure
        if type(step) is Part:
            for some, asked in zip(step.values, self._values, strict=False):
                if some is not asked and isinstance(some, Sized) and isinstance(asked, Sized):
                    made.ids = len(asked), (made.ids or (0, 0))[1] + len(some)

    def _beside(self, flow: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Follow a load that goes on beside the call, in a thread or task of its own."""
        made = self._made
        recorded = self._spot.record(made.method, made.arguments, Cause(made.method))
        if recorded is None:
            return flow
        beside = _Followed(*recorded, self._plan, self._table, self._values, self._me)
        return beside.run(flow, "refresh")

    def _conclude(self, result: Any, kind: str) -> None:
        made, why = self._made, self._made.why
        raised = type(result) is Failure
        if raised:
            made.error = _said(result.error)
        if kind == "refresh":
            made.outcome = "refresh"
        elif self._failed and not raised:
            made.outcome = "stale"
        elif made.load_seconds is not None or made.wait_seconds is not None:
            made.outcome = "waited" if made.load_seconds is None else "miss"
            made.reason = None if why is None or why.hit else why.reason
        else:
            made.outcome = "stale" if why is not None and why.hit and why.when else "hit"
        if made.outcome == "miss" and kind == "call" and self._plan.far is None and not raised:
            now = self._explained()
            made.stored = None if now is None else now.hit


class FollowedWrite:
    """One write under way."""

    __slots__ = ("_before", "_begun", "_made", "_spot")

    def __init__(self, spot: Spot, cause: Cause, inside: bool, about: str) -> None:
        about = about or ", ".join(map("=".join, cause.arguments.items()))
        recorded = spot.record(cause.method, _short(about), cause)
        self._made: TracedCall | None = None
        self._spot: Spot | None = None
        if recorded is not None:
            self._made, self._spot = recorded
        self._begun = perf_counter()
        self._before: Any = None
        if inside and self._spot is not None:
            self._before = _enter(self._spot)

    def __enter__(self) -> FollowedWrite:
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    def affects(self, on: Any, fence: Fence) -> None:
        if self._made is None:
            return
        forgot = self._made.forgot
        for one in list(on.tables.values()) if isinstance(on, Scope) else [on]:
            if isinstance(one, Table):
                forgot.append(_forgotten(one, fence))
            else:
                tags = ["*"] if fence.values is None else [tag for (tag,) in fence.values]
                forgot += [Forgotten(f"tag {tag}", None, None) for tag in tags]

    def forgets(self, plan: Plan, values: tuple[Any, ...], found: bool) -> None:
        if self._made is not None:
            name = plan.label.rpartition(".")[2]
            self._made.forgot.append(Forgotten(name, _arguments(plan, values), int(found)))

    def end(self) -> None:
        made, spot = self._made, self._spot
        # It may be told twice, where a transaction ends later than the method.
        if made is not None and spot is not None and made.outcome == "open":
            made.outcome = "write"
            made.seconds = perf_counter() - self._begun
            _leave(spot, self._before)


def _forgotten(table: Table, fence: Fence) -> Forgotten:
    # Those of decorated methods say where they are from, too.
    name = table.name.partition(" ")[0].rpartition(".")[2]
    at, values = fence.at, fence.values
    if at is None or values is None:
        return Forgotten(name, None, len(table.kept) if table.distant is None else None)
    texts = [_pairs(fence.names, value) for value in list(values)[:_LONGEST]]
    if table.distant is not None:
        return Forgotten(name, _short(" or ".join(texts)), None)
    index = table.indexes.get(at, {})
    entries: int | None = None
    # Arguments that refuse to be compared: the write itself knows what to do then.
    with suppress(Exception):
        entries = sum([len(index.get(value, ())) for value in values])
    return Forgotten(name, _short(" or ".join(texts)), entries)


def _pairs(names: tuple[str, ...], values: Any) -> str:
    return ", ".join(map("=".join, shown(dict(zip(names, values, strict=True))).items()))
