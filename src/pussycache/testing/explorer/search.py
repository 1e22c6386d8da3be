"""`explore`: visits all schedules of a small program of actors, and tells the shortest bad one.

Knows nothing of caches: what the actors do, and what must hold, is the program's. Programs that
explore this library are in the modules beside this one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from contextvars import Context, ContextVar
from dataclasses import dataclass
from time import monotonic
from typing import Final, TypeAlias

__all__ = ["ABANDONED", "Actor", "Exploration", "Pause", "Program", "PromiseBroken", "explore"]

ABANDONED: Final[ContextVar[bool]] = ContextVar("pussycache_explorer_abandoned", default=False)
"""Whether the current actor is being thrown away: its cleaning up must do nothing any more."""

# How many runs are kept where they stopped, to go on from there without doing all again.
_KEPT: Final = 4000


@dataclass(frozen=True, slots=True)
class Pause:
    """A scheduling point: what the actor does next, and when it can.

    :param text: what it does next, for the story.
    :param ready: says whether it can go on; `None`, the default, always.
    :param needless: says whether it does no harm if it never goes on; `None`, the default: it does.
    """

    text: str
    ready: Callable[[], object] | None = None
    needless: Callable[[], object] | None = None


Actor: TypeAlias = "Generator[Pause | str, None, None]"


class Program:
    """A bounded program of actors; subclass it, and hand `explore` something that makes one.

    Each run makes a new one, so that nothing is left over from the run before; it must do the same
    whenever its actors are moved in the same order.

    >>> from pussycache.testing import Program, PromiseBroken, explore
    >>> class Counter(Program):
    ...     value = 0
    ...     def add(self):
    ...         yield "reads the counter"
    ...         seen = self.value
    ...         yield f"writes {seen + 1}"
    ...         self.value = seen + 1
    ...     def actors(self):
    ...         return {"ada": self.add(), "bob": self.add()}
    ...     def check_end(self):
    ...         assert self.value == 2, f"the counter is {self.value} after two additions"
    >>> try:
    ...     explore(Counter)
    ... except PromiseBroken as broken:
    ...     print(broken)
    the counter is 1 after two additions
      1. ada reads the counter
      2. bob reads the counter
      3. ada writes 1
      4. bob writes 1
    """

    notes: list[str]
    running: tuple[Actor, ...]
    """The actors, as `actors` has returned them: for a fingerprint."""

    def actors(self) -> Mapping[str, Actor]:
        """Return the actors by name: generators. Each ``yield`` is a scheduling point.

        It yields a `Pause`, or just what it does next, as a text. Its code before the first
        ``yield`` is run when the program is made. What the world does by itself (time passes, a
        process dies) is an actor, too. Each runs in a `contextvars.Context` of its own.
        """
        raise NotImplementedError

    def fingerprint(self) -> Hashable:
        """Return all that decides what can still happen, the places of the actors included.

        Of two schedules that come to equal fingerprints only one is followed further: what tells
        them apart and is left out here hides errors. `None`, the default: none are equal.
        """
        return None

    def check(self) -> None:
        """Raise an `AssertionError` if something is wrong; called after every step."""

    def check_end(self) -> None:
        """Raise an `AssertionError` if something is wrong once all actors have ended."""

    def tell(self, what: str) -> None:
        """Say in the story what this step did, in the place of what its pause announced."""
        self.notes.append(what)


class PromiseBroken(AssertionError):
    """A schedule in which something went wrong; no other one is shorter.

    ``reason`` says what is wrong, ``schedule`` which actor moved in each step, and ``story`` what
    it did. As text: the reason, and the story with a numbered line for each step.
    """

    def __init__(self, reason: str, schedule: tuple[str, ...], story: tuple[str, ...]) -> None:
        width = len(str(len(story))) + 2
        lines = [f"{number:{width}}. {line}" for number, line in enumerate(story, 1)]
        super().__init__("\n".join([reason, *lines]))
        self.reason = reason
        self.schedule = schedule
        self.story = story


@dataclass(frozen=True, slots=True)
class Exploration:
    """What an exploration that found nothing wrong has covered.

    ``schedules`` is how many complete schedules there are (`math.inf` where actors can go in
    circles); ``states`` how many different situations they lead through, each of which was visited
    once; ``steps`` how many steps lead from one to the next; ``longest`` how many steps it takes at
    most to come to a new one.
    """

    schedules: float
    states: int
    steps: int
    longest: int
    seconds: float

    def __str__(self) -> str:
        count = self.schedules
        shown = f"{count:,}" if count < 10**9 else f"{float(count):.2g}"
        return f"{shown} schedules, {self.states:,} states, {self.seconds:.1f} s"


def explore(
    make: Callable[[], Program],
    *,
    prune: bool = True,
    most_states: int = 1_000_000,
    progress: Callable[[int, int], object] | None = None,
) -> Exploration:
    """Visit all schedules of a program; see `Program` for an example.

    :param make: returns a new program, always the same.
    :param prune: follow only one of two schedules that come to equal fingerprints.
    :param most_states: after how many states to give up: such a program is not small.
    :param progress: is told now and then how many states were found, and how many of them are
        done with.
    :raises PromiseBroken: with the shortest schedule in which a check fails, an actor raises, or
        nobody can go on before all have ended.
    :raises RuntimeError: for a program that is too large, or does not do the same each time.

    Breadth first, each situation once: stateless search by running again from the start (P.
    Godefroid, "Model checking for programming languages using VeriSoft", 1997), with the visited
    states known by their fingerprints (G. Holzmann, "The model checker SPIN", 1997).
    """
    search = _Search(make, prune)
    started = monotonic()
    try:
        search.run(most_states, progress)
    finally:
        for run in search.kept.values():
            run.abandon()
    return Exploration(
        schedules=_schedules(search.next),
        states=len(search.next),
        steps=sum(map(len, search.next)),
        longest=max(search.depth),
        seconds=monotonic() - started,
    )


class _Search:
    """The states that were found, how they lead to one another, and runs that stand in some."""

    def __init__(self, make: Callable[[], Program], prune: bool) -> None:
        self._make = make
        self._prune = prune
        self._by_print: dict[Hashable, int] = {}
        self._parents: list[tuple[int, int] | None] = []
        self._enabled: list[tuple[int, ...]] = []
        self.depth: list[int] = []
        self.next: list[list[int]] = []
        self.kept: dict[int, _Run] = {}

    def run(self, most_states: int, progress: Callable[[int, int], object] | None) -> None:
        """Visit all states, those that are the fewest steps away first."""
        self._look(_Run(self._make), None)
        # States are numbered as they are found, so this list is its own queue.
        for state, enabled in enumerate(self._enabled):
            for actor in enabled:
                run = self.kept.pop(state, None) or _Run(self._make, self._path(state))
                try:
                    # Asked before it is kept or thrown away: that lets actors clean up, who may
                    # free others.
                    wrong = run.step(actor) or run.stuck()
                    if wrong is None:
                        self._look(run, (state, actor))
                except BaseException:
                    run.abandon()
                    raise
                if wrong is not None:
                    run.abandon()
                    raise _broken(self._make, wrong, [*self._path(state), actor])
            if len(self.next) > most_states:
                raise RuntimeError(
                    f"the program has more than {most_states:,} states; take away actors or steps, "
                    "or give it a fingerprint"
                )
            if progress is not None and not state % 256:
                progress(len(self.next), state)

    def _look(self, run: _Run, came: tuple[int, int] | None) -> None:
        """Note which state a run has come to, and keep it or throw it away."""
        new = len(self.next)
        mark = run.program.fingerprint() if self._prune else None
        state = new if mark is None else self._by_print.setdefault(mark, new)
        if came is not None:
            self.next[came[0]].append(state)
        if state != new:
            run.abandon()
            return
        self._parents.append(came)
        self._enabled.append(run.enabled())
        self.depth.append(0 if came is None else self.depth[came[0]] + 1)
        self.next.append([])
        if len(self.kept) < _KEPT and self._enabled[new]:
            self.kept[new] = run
        else:
            run.abandon()

    def _path(self, state: int) -> list[int]:
        """Return who moved, from the start to a state."""
        path = []
        step = self._parents[state]
        while step is not None:
            state, actor = step
            path.append(actor)
            step = self._parents[state]
        path.reverse()
        return path


class _Run:
    """One run of a program, moved step by step."""

    def __init__(self, make: Callable[[], Program], path: Sequence[int] = ()) -> None:
        self.program = make()
        self.program.notes = []
        actors = self.program.actors()
        self.program.running = tuple(actors.values())
        self.names = list(actors)
        self.actors: list[Actor | None] = list(actors.values())
        self.contexts = [Context() for _ in actors]
        self.pauses: list[Pause | str | None] = [None] * len(actors)
        try:
            for index in [*range(len(self.actors)), *path]:
                self._advance(index)
        except BaseException:
            self.abandon()
            raise

    def _advance(self, index: int) -> None:
        actor = self.actors[index]
        if actor is None:
            raise RuntimeError(
                f"{self.names[index]} has ended here, and has not before: the program must do the "
                "same each time"
            )
        try:
            self.pauses[index] = self.contexts[index].run(next, actor)
        except StopIteration:
            self.actors[index] = self.pauses[index] = None

    def step(self, index: int) -> str | None:
        """Move an actor; say what is wrong after that, if anything is."""
        try:
            self._advance(index)
            self.program.check()
            if not any(map(_is_needed, self.pauses)):
                self.program.check_end()
        except AssertionError as error:
            return str(error) or repr(error)
        except RuntimeError:
            raise
        except BaseException as error:
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            return f"{self.names[index]} raised {error!r}"
        return None

    def enabled(self) -> tuple[int, ...]:
        """Return who can move."""
        can = []
        for index, pause in enumerate(self.pauses):
            if pause is not None and (
                type(pause) is not Pause or pause.ready is None or pause.ready()
            ):
                can.append(index)
        return tuple(can)

    def stuck(self) -> str | None:
        """Say who hangs, if nobody can move and somebody has not ended."""
        if self.enabled():
            return None
        waiting = [
            f"{name} {_text(pause)}"
            for name, pause in zip(self.names, self.pauses, strict=True)
            if _is_needed(pause)
        ]
        return f"nobody can go on: {'; '.join(waiting)}" if waiting else None

    def abandon(self) -> None:
        """Throw the actors away without letting them clean up."""
        for actor, context in zip(self.actors, self.contexts, strict=True):
            if actor is not None:
                context.run(_abandon, actor)


def _abandon(actor: Actor) -> None:
    ABANDONED.set(True)
    actor.close()


def _is_needed(pause: Pause | str | None) -> bool:
    """Whether an actor is to come to its end."""
    if type(pause) is not Pause or pause.needless is None:
        return pause is not None
    return not pause.needless()


def _text(pause: Pause | str | None) -> str:
    return pause.text if isinstance(pause, Pause) else str(pause)


def _broken(make: Callable[[], Program], reason: str, path: list[int]) -> PromiseBroken:
    """Run a schedule once more, and write down what happens."""
    run = _Run(make)
    names, story = [], []
    for index in path:
        name, pause = run.names[index], run.pauses[index]
        notes = run.program.notes
        notes.clear()
        run.step(index)
        names.append(name)
        story.append(f"{name} {'; '.join(notes) or _text(pause)}")
    run.abandon()
    return PromiseBroken(reason, tuple(names), tuple(story))


def _schedules(following: list[list[int]]) -> float:
    """Count the ways from the first state to one from which nothing follows."""
    ways: list[float | None] = [None] * len(following)
    entered = [False] * len(following)
    stack: list[tuple[int, Iterator[int]]] = [(0, iter(following[0]))]
    entered[0] = True
    while stack:
        state, rest = stack[-1]
        for after in rest:
            if ways[after] is None:
                if entered[after]:
                    return math.inf
                entered[after] = True
                stack.append((after, iter(following[after])))
                break
        else:
            stack.pop()
            # Sums of integers, exact however large.
            ways[state] = sum([ways[after] or 0 for after in following[state]]) or 1
    return ways[0] or 0
