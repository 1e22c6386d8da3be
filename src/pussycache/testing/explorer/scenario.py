"""`Scenario`: a small program of readers and writers over the engine, and the words for one.

What its actors can do, one class each. How it is done is in world.py.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pussycache.declare.policy import Cached
from pussycache.declare.rules import Forget, Target, written
from pussycache.engine import clock
from pussycache.errors import ConfigurationError
from pussycache.testing.explorer.ledger import Call
from pussycache.testing.explorer.search import Exploration, Pause, explore
from pussycache.testing.explorer.world import Acting, Failed, Model, World, time_here

__all__ = [
    "Cancels",
    "Evicts",
    "Forgets",
    "ForgetsAll",
    "Passes",
    "Puts",
    "Reads",
    "Refreshes",
    "Scenario",
    "Writes",
]


@dataclass(frozen=True)
class Reads:
    """Call a cached method; with ``fails``, its load raises, if it comes to one."""

    method: str
    key: Any = 1
    fails: bool = False

    def steps(self, world: World) -> Generator[Pause, Any, None]:
        with suppress(Failed):
            yield from world.read(Call(self.method, self.key), self.fails)


@dataclass(frozen=True)
class Refreshes:
    """Load in any case and store, as `pussycache.refresh` does."""

    method: str
    key: Any = 1

    def steps(self, world: World) -> Generator[Pause, Any, None]:
        yield from world.read(Call(self.method, self.key), anew=True)


@dataclass(frozen=True)
class Writes:
    """Call an invalidating method; with ``fails``, it raises once it has written.

    It writes a new version of the key, or of each key of a tuple.
    """

    method: str
    key: Any = 1
    fails: bool = False

    def steps(self, world: World) -> Generator[Pause, Any, None]:
        yield from world.write(self.method, self.key, self.fails)


@dataclass(frozen=True)
class Forgets:
    """Forget one call by hand, as `pussycache.forget` does."""

    method: str
    key: Any = 1

    def steps(self, world: World) -> Generator[Pause, Any, None]:
        yield from world.forget(Call(self.method, self.key))


@dataclass(frozen=True)
class ForgetsAll:
    """Forget all calls of a method by hand, as `pussycache.forget_all` does."""

    method: str

    def steps(self, world: World) -> Generator[Pause, Any, None]:
        yield from world.forget_all(self.method)


@dataclass(frozen=True)
class Puts:
    """Put the version that was written last in the place of a load's, as `pussycache.put` does."""

    method: str
    key: Any = 1

    def steps(self, world: World) -> Generator[Pause, Any, None]:
        yield from world.put(Call(self.method, self.key))


@dataclass(frozen=True)
class Evicts:
    """Throw out the entry of a call, if there is one, as a cache does that is full."""

    method: str
    key: Any = 1

    def steps(self, world: World) -> Generator[Pause, Any, None]:
        yield from world.evict(Call(self.method, self.key))


@dataclass(frozen=True)
class Passes:
    """Let time pass, in seconds."""

    seconds: float

    def steps(self, world: World) -> Generator[Pause, Any, None]:
        yield Pause(f"lets {self.seconds:g} s pass")
        world.clock.advance(self.seconds)


@dataclass(frozen=True)
class Cancels:
    """Cancel what another actor does, as asyncio does: it notices where it waits, loads or writes.

    The actor that was cancelled goes on with the next thing it has to do.
    """

    actor: str

    def steps(self, world: World) -> Generator[Pause, Any, None]:
        yield from world.call_off(self.actor)


@dataclass(frozen=True)
class Scenario:
    """A small program of readers and writers, over the real engine.

    :param actors: what each actor does, in order, by its name.
    :param loads: the cached methods; for each, which other ones its load calls, through the cache.
        A load that calls none reads the version that was written last. The default is one method,
        ``get``. All methods have one parameter, ``key``.
    :param writes: the invalidating methods and what a call of each makes wrong, as for `wrap`; the
        default is one method, ``set``, which names all cached methods.
    :param policies: a `Cached` for cached methods that have one.
    :param ttl: of the cache, in seconds; `None`, the default, for ever.
    :param max_entries: of the cache; `None`, the default, for more than it needs.
    :raises ConfigurationError: for a method that is neither, or an actor that is not there.

    >>> from pussycache.testing.explorer import Reads, Scenario, Writes
    >>> scenario = Scenario(
    ...     actors={"reader": [Reads("get"), Reads("get")], "writer": [Writes("set")]},
    ...     writes={"set": ["get"]},
    ... )
    >>> scenario.explore().states > 100
    True
    """

    actors: Mapping[str, Sequence[Acting]]
    loads: Mapping[str, Sequence[str]] = field(default_factory=lambda: {"get": ()})
    writes: Mapping[str, Sequence[Target]] | None = None
    policies: Mapping[str, Cached] = field(default_factory=dict)
    ttl: float | None = None
    max_entries: int | None = None

    def __post_init__(self) -> None:
        writes = self._writes()
        for rules in written(writes).values():
            for rule in rules:
                if isinstance(rule, Forget) and rule.method not in ("*", *self.loads):
                    raise ConfigurationError(
                        f"writes names {rule.method!r}, which is none of the cached methods "
                        f"{', '.join(self.loads)}; name it in loads"
                    )
        for name, wanted in self.actors.items():
            for action in wanted:
                known = writes if isinstance(action, Writes) else self.loads
                method = getattr(action, "method", None)
                if method is not None and method not in known:
                    raise ConfigurationError(
                        f"actors[{name!r}] has {action!r}, but there are only the methods "
                        f"{', '.join(known) or 'none'}; name it in loads or writes"
                    )
                other = getattr(action, "actor", None)
                if other is not None and other not in self.actors:
                    raise ConfigurationError(
                        f"actors[{name!r}] has {action!r}, but the actors are "
                        f"{', '.join(self.actors)}; name one of them"
                    )

    def _writes(self) -> Mapping[str, Sequence[Target]]:
        return {"set": list(self.loads)} if self.writes is None else self.writes

    def explore(
        self,
        *,
        prune: bool = True,
        most_states: int = 1_000_000,
        progress: Callable[[int, int], object] | None = None,
    ) -> Exploration:
        """Visit all schedules, and hold each against the promise; see `explore`."""
        model = Model(
            self.loads,
            self._writes(),
            self.policies,
            self.ttl,
            self.max_entries,
            {type(action) for wanted in self.actors.values() for action in wanted},
        )
        with clock.replaced(time_here):
            return explore(
                lambda: World(model, self.actors),
                prune=prune,
                most_states=most_states,
                progress=progress,
            )
