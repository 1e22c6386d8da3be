"""`Network`: several processes and a server, as a program; and what the world does to them.

What a process does is in processes.py, what a server does in server.py. What must hold is said in
ledger.py.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from hashlib import blake2b
from time import monotonic
from types import SimpleNamespace
from typing import Any, Final, TypeAlias

from pussycache.cache.envelope import Sealer
from pussycache.cache.memory import MemoryCache
from pussycache.cache.shared import elsewhere, keeper, loading, reading, unique
from pussycache.cache.shared.keeper import Keeper
from pussycache.cache.shared.nearby import LocalScope, LocalTable, Nearby
from pussycache.cache.shared.operations import SHARED
from pussycache.cache.shared.scripts import END, START
from pussycache.cache.shared.tables import SharedScope, SharedTable
from pussycache.cache.shared.tags import SharedTags
from pussycache.cache.shared.tier import Tier
from pussycache.cache.shared.tiered import KNOWN
from pussycache.compile import planned
from pussycache.declare.policy import Cached
from pussycache.declare.rules import Match, written
from pussycache.declare.signatures import find
from pussycache.engine import asking, clock
from pussycache.engine.entry import Cause
from pussycache.engine.keeping import Keeping
from pussycache.engine.plan import Plan
from pussycache.engine.staleness import Aging
from pussycache.engine.writes import Effect, Write
from pussycache.testing.explorer.freezing import Frozen
from pussycache.testing.explorer.ledger import Answer, Call, Ledger, Written
from pussycache.testing.explorer.processes import (
    Bell,
    PatientKeeper,
    Running,
    Steps,
    Told,
    asks,
    same_steps,
)
from pussycache.testing.explorer.pushes import TIERED, Pushes, changed_by
from pussycache.testing.explorer.search import Actor, Pause, Program
from pussycache.testing.explorer.server import Data, ModelServer
from pussycache.testing.explorer.stepwise import ACTOR, StepLock, Stepwise
from pussycache.testing.explorer.world import names, target_with

Process: TypeAlias = Any
"""What sharing.py says of a process; it stands above this module."""

__all__ = ["Network", "NetworkModel", "modelled"]

_NETWORK: Final[ContextVar[Network]] = ContextVar("pussycache_explorer_network")


class NetworkModel:
    """What is the same in all runs: the methods and rules of each process, and what they run.

    The shared tier is taken as it is now: exchange a function of it, and what is explored has the
    new one.

    :param processes: what runs in each process, by its name.
    :param fates: what the world does by itself, by the names of the actors.
    :param methods: the cached methods.
    :param strict: whether nothing may be found in the cache while a write is at work that makes it
        wrong.
    :param slow: whether to read replies is a step.
    :param repeats: whether commands are carried out again.
    """

    def __init__(
        self,
        processes: Mapping[str, Process],
        fates: Mapping[str, Sequence[Any]],
        methods: Sequence[str],
        strict: bool,
        slow: bool,
        repeats: bool,
    ) -> None:
        self.processes = processes
        self.fates = fates
        self.strict = strict
        self.slow = slow
        self.repeats = repeats
        self.sealer = Sealer()
        # What there is in it of a table makes no difference: counts, and a history.
        self.home = MemoryCache(None, max_entries=1)
        self.writes = {name: written(process.writes) for name, process in processes.items()}
        self.rules = {
            name: any(getattr(rule, "mapped", None) for rules in said.values() for rule in rules)
            for name, said in self.writes.items()
        }
        writers = [name for said in self.writes.values() for name in said]
        every = [*dict.fromkeys([*methods, *writers])]
        self.target = target_with(every)
        self.policies = dict.fromkeys(methods, Cached())
        self.methods = {name: find(self.target, name, "the program") for name in every}
        self.plans = {
            name: planned(self.methods[name], policy, None, SHARED)
            for name, policy in self.policies.items()
        }
        self.local_plans = {
            name: planned(self.methods[name], policy, None, TIERED)
            for name, policy in self.policies.items()
        }
        actions = [
            action
            for process in processes.values()
            for wanted in process.actors.values()
            for action in wanted
        ]
        self.calls = {Call(method, getattr(a, "key", 1)) for a in actions for method in methods}
        paused: list[Any] = [Write.begin, Write.end, Keeper._run, Keeper._work, Keeper._end]
        self.step = Stepwise(
            paused,
            frozenset(),
            frozenset(),
            StepLock,
            {},
            {asking.carry: same_steps, Tier.ask: asks, Bell.wait: Bell.waits},
        )
        happens = [one for wanted in fates.values() for one in wanted]
        fixed: list[type] = [
            *(Aging, Cached, Cause, Effect, Keeping, Match, MemoryCache, Pause, Plan, Token),
            *(Stepwise, Network, Running, Tier, PatientKeeper, Told, Bell, ModelServer),
            *(NetworkModel, SharedTags, Sealer, type(SHARED), type(self.target)),
            *(Nearby, Pushes, type(KNOWN), type(TIERED)),
            *{type(one) for one in [*actions, *happens]},
        ]
        self.frozen = Frozen(
            fixed=fixed,
            values=[Answer, Call, Written, frozenset],
            slots={
                SharedTable: (
                    *("name", "flights", "fences", "_rules", "_wanted", "_raised"),
                    *("cold", "_header"),
                ),
                LocalTable: (
                    *("name", "flights", "fences", "_rules", "_wanted", "_raised"),
                    *("heard", "entries", "indexes", "marks"),
                ),
                SharedScope: ("tables", "_fences"),
                LocalScope: ("tables", "_fences"),
            },
        )

    def affects(self, write: Written, call: Call) -> bool:
        """Whether a rule of a write names a call: what rules mean, said apart from the engine."""
        if write.by_hand:
            return write.key in (call, call.method)
        # A method is declared in the same way by all that declare it.
        rules = next(said[write.method] for said in self.writes.values() if write.method in said)
        return any(names(rule, write, call) for rule in rules)


class Network(Program):
    """One run: a server, a source of truth, processes, and what the world does by itself."""

    def __init__(self, model: NetworkModel) -> None:
        self.model = model
        self.server = ModelServer()
        self.server.replication = _digest("replication 0", 20)
        self.truth: dict[Any, int] = {}
        self.ledger = Ledger(model.affects)
        # How many random numbers an actor has drawn, and how many leases it has taken.
        self.drawn: dict[str, int] = {}
        self.processes = {
            name: Running(self, name, number, process)
            for number, (name, process) in enumerate(model.processes.items(), 1)
        }
        self.homes: dict[str, Running] = {}
        # The generations that the last command changed: of this nobody has been told yet.
        self.unsent: list[bytes] = []
        # Until when fences stand, as the server was told: by the writer and the generation. And
        # which actor is which writer.
        self._fences: dict[tuple[bytes, bytes], int] = {}
        self._writers: dict[bytes, str] = {}
        # The last end that each actor has told.
        self.ends: dict[str, tuple[Any, ...]] = {}
        # Writes whose process was killed, and when the last of their fences lapses.
        self._lapsing: dict[Written, int] = {}
        # Who has replies to read, and whose are lost.
        self.unread: set[str] = set()
        self.lost: set[str] = set()
        self.copied: Data | None = None
        self._actors: dict[str, Actor] = {}

    # For the explorer.

    def actors(self) -> Mapping[str, Actor]:
        actors = self._actors
        for name, process in self.model.processes.items():
            running = self.processes[name]
            for actor, wanted in process.actors.items():
                self.homes[actor] = running
                actors[actor] = self._actor(actor, wanted, running)
            actor = f"keeper of {name}"
            self.homes[actor] = running
            actors[actor] = self._keeper(actor, running)
        for actor, wanted in self.model.fates.items():
            actors[actor] = self._actor(actor, wanted, self)
        return actors

    def _actor(self, name: str, wanted: Sequence[Any], where: Any) -> Actor:
        ACTOR.set(name)
        _NETWORK.set(self)
        # By number: what a loop still has to do is in no variable, and so in no fingerprint.
        for number in range(len(wanted)):
            yield from wanted[number].steps(where)

    def _keeper(self, name: str, running: Running) -> Actor:
        ACTOR.set(name)
        _NETWORK.set(self)
        yield from running.tend()

    def fingerprint(self) -> bytes:
        homes = self.homes
        return self.model.frozen(
            [a for name, a in self._actors.items() if name not in homes or homes[name].lives],
            [running.state() for running in self.processes.values()],
            self.server.state(),
            self.truth,
            self.ledger.state(),
            sorted(self._fences.items()),
            sorted(self._lapsing.items()),
            sorted(self.ends.items()) if self.model.repeats else None,
            self.unread,
            self.unsent if self._listening() else None,
            self.lost,
            self.copied and sorted(self.copied.items()),
        )

    def check(self) -> None:
        if self.model.strict and self.ledger.is_somebody_at_work:
            self.ledger.findable(
                answer
                for running in self.processes.values()
                if running.lives
                for call in self.model.calls
                if (answer := running.found(call)) is not None
            )

    # The server.

    @property
    def seconds(self) -> float:
        """The time of all clocks."""
        return self.server.now / 1000.0

    def carry_out(self, command: Sequence[Any], running: Running) -> Any:
        """Have the server carry out a command, and deliver what it publishes."""
        for pushes in self._listening():
            pushes.unread += self.unsent
        before = self.server.copy()
        reply = self.server.do(command)
        self.unsent = changed_by(command, before, self.server.copy())
        if command[0] == b"EVALSHA" and command[1] in (START.sha, END.sha):
            self._note(command)
        for _, key in self.server.published:
            for other in self.processes.values():
                if other.lives:
                    other.told.tell(key)
        self.server.published.clear()
        return reply

    def _listening(self) -> list[Pushes]:
        return [r.pushes for r in self.processes.values() if r.lives and r.pushes is not None]

    def _note(self, command: Sequence[Any]) -> None:
        """Take note of what the server was told of a write."""
        me, generation, writer = ACTOR.get(), command[3], command[3 + command[2]]
        if command[1] == END.sha:
            self._fences.pop((writer, generation), None)
            self.ends[me] = tuple(command)
            return
        if not me.startswith("keeper of "):
            self._writers[writer] = me
        # What a keeper renews that has ended meanwhile, it ends again.
        if writer in self._writers:
            self._fences[writer, generation] = self.server.now + command[5 + command[2]]

    def forget_fences(self, actor: str) -> int:
        """A write has ended: nobody relies on its fences any more; return when the last lapses."""
        mine = [writer for writer, other in self._writers.items() if other == actor]
        lapses = [until for (writer, _), until in self._fences.items() if writer in mine]
        for writer in mine:
            del self._writers[writer]
        self._fences = {key: until for key, until in self._fences.items() if key[0] not in mine}
        return max(lapses, default=self.server.now)

    def is_leased(self, key: bytes) -> bool:
        """Whether a lease is held and renewed; one that is not lapses, sooner or later."""
        held = self.server.get(key)
        if held is None:
            return False
        holder = next(r for r in self.processes.values() if _name_of(r.number) in held)
        return holder.lives and holder.keeper.renews(held.removesuffix(b"w"))

    # What the world does. Each is a generator with a scheduling point before each step.

    def kill(self, name: str) -> Steps:
        """Kill a process, between any two of its steps."""
        yield Pause(f"kills {name}")
        running = self.processes[name]
        running.lives = False
        self.tell(f"kills {name}")
        for actor, home in self.homes.items():
            if home is not running:
                continue
            lapses = self.forget_fences(actor)
            write = running.at_work.get(actor)
            if write is not None:
                # It may have taken effect. Who reads is safe from it once its fences have lapsed.
                self.ledger.over(write)
                self._lapsing[write] = lapses
            self.unread.discard(actor)
            self.lost.discard(actor)
        self._lapse()

    def pass_time(self, seconds: float) -> Steps:
        """Let time pass, as soon as all writers that live have renewed their fences for so long."""
        ahead = int(seconds * 1000)
        yield Pause(
            f"lets {seconds:g} s pass",
            lambda: all(until > self.server.now + ahead for until in self._fences.values()),
            needless=lambda: True,
        )
        self.server.advance(ahead)
        self._lapse()

    def _lapse(self) -> None:
        for write in [w for w, until in self._lapsing.items() if until <= self.server.now]:
            del self._lapsing[write]
            self.ledger.returned(write)

    def lose(self, kind: bytes) -> Steps:
        """Lose a key, if it is there; a list of writers is never lost."""

        def there() -> list[bytes]:
            keys = [key for key in self.server.copy() if key.startswith(kind)]
            return [key for key in keys if (self.server.get(key) or b"")[:1] != b"W"]

        yield Pause("loses a key", there, needless=lambda: True)
        for key in sorted(there())[:1]:
            self.server.remove(key)
            self.tell(f"loses {key.decode()}")

    def lose_reply(self, actor: str) -> Steps:
        """Have an actor not get the replies to what it has sent."""
        yield Pause(
            f"loses the replies to {actor}",
            lambda: actor in self.unread and actor not in self.lost,
            needless=lambda: True,
        )
        self.lost.add(actor)

    def repeat_end(self, actor: str) -> Steps:
        """Have the server carry out once more what it was told last of the end of a write."""
        yield Pause(f"repeats the end of {actor}'s write", lambda: actor in self.ends, lambda: True)
        self.server.do(self.ends[actor])

    def cut(self, name: str, cut: bool) -> Steps:
        """Put the server out of a process's reach, or back into it."""
        yield Pause(f"puts the server {'out of' if cut else 'into'} reach of {name}")
        self.processes[name].is_cut = cut

    def copy(self) -> Steps:
        """Have a replica get all that there is."""
        yield Pause("copies what there is to a replica")
        self.copied = self.server.copy()

    def fail_over(self) -> Steps:
        """Promote the replica: what came since it got a copy is lost."""
        yield Pause("promotes the replica", lambda: self.copied is not None)
        self.server.restore(self.copied or {})
        self.copied = None
        self.server.replication = _digest("replication 1", 20)


# What is told, here, from the actor that moves.


def _digest(text: str, size: int) -> bytes:
    return blake2b(text.encode(), digest_size=size).digest()


def _name_of(process: int) -> bytes:
    """Return what the leases of a process, and its writers, have in them."""
    return _digest(f"process {process}", 12).hex().encode()


def _drawn() -> int:
    network, me = _NETWORK.get(), ACTOR.get()
    network.drawn[me] = network.drawn.get(me, 0) + 1
    return network.drawn[me]


# Threads that do not belong to what is explored have caches of their own, with time and chance as
# they are.


def _random(size: int) -> bytes:
    return os.urandom(size) if _is_outside() else _digest(f"{ACTOR.get()} {_drawn()}", size)


def _seconds() -> float:
    network = _NETWORK.get(None)
    return monotonic() if network is None else network.seconds


def _process() -> int:
    return os.getpid() if _is_outside() else _NETWORK.get().homes[ACTOR.get()].number


def _of_a_process(size: int) -> bytes:
    return os.urandom(size) if _is_outside() else _digest(f"process {_process()}", size)


def _is_outside() -> bool:
    return _NETWORK.get(None) is None


class _Counts(Iterator[int]):
    def __init__(self) -> None:
        self._outside = itertools.count()

    def __next__(self) -> int:
        if _is_outside():
            return next(self._outside)
        # No two actors of a process take the same one.
        own = int.from_bytes(_digest(ACTOR.get(), 2), "big")
        return own << 16 | _drawn()


@contextmanager
def modelled() -> Iterator[None]:
    """Have the shared tier meanwhile draw the same random numbers in each run, by the actors."""
    random = SimpleNamespace(urandom=_random)
    mine = SimpleNamespace(getpid=_process, urandom=_of_a_process)
    exchanged: list[tuple[Any, str, Any]] = [
        (reading, "os", random),
        (unique, "os", mine),
        (unique, "_count", _Counts()),
        (unique, "_process", (0, b"")),
        (elsewhere, "monotonic", _seconds),
        (loading, "monotonic", _seconds),
        (keeper, "monotonic", _seconds),
        # A keeper that has nothing to do stays: there is no thread to be ended.
        (keeper, "_IDLE", math.inf),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in exchanged]
    try:
        for owner, name, value in exchanged:
            setattr(owner, name, value)
        with clock.replaced(_seconds):
            yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
