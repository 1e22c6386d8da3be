"""`SharedScenario`: a small program of processes over the shared tier, and the words for one.

What its actors can do inside of a process is said in scenario.py; what the world does to them is
here, one class each. How it is done is in network.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pussycache.declare.rules import Target
from pussycache.testing.explorer.network import Network, NetworkModel, modelled
from pussycache.testing.explorer.processes import Steps
from pussycache.testing.explorer.search import Exploration, explore

__all__ = [
    "Copies",
    "Cuts",
    "FailsOver",
    "Happening",
    "Kills",
    "Lapses",
    "Loses",
    "LosesReply",
    "Process",
    "Reaches",
    "RepeatsEnd",
    "SharedScenario",
]


class Happening(Protocol):
    """What the world does by itself."""

    def steps(self, network: Network) -> Steps:
        """Do it, with a scheduling point before each step."""


@dataclass(frozen=True)
class Kills:
    """Kill a process at any moment. What it is writing may have taken effect."""

    process: str

    def steps(self, network: Network) -> Steps:
        return network.kill(self.process)


@dataclass(frozen=True)
class Lapses:
    """Let time pass, in seconds, once those that live have renewed their fences for so long."""

    seconds: float

    def steps(self, network: Network) -> Steps:
        return network.pass_time(self.seconds)


@dataclass(frozen=True)
class Loses:
    """Lose a key: the first one that begins like this, unless it is a list of writers."""

    beginning: bytes

    def steps(self, network: Network) -> Steps:
        return network.lose(self.beginning)


@dataclass(frozen=True)
class LosesReply:
    """Lose the replies to what an actor has sent: it is sent once more, if that is allowed."""

    actor: str

    def steps(self, network: Network) -> Steps:
        return network.lose_reply(self.actor)


@dataclass(frozen=True)
class RepeatsEnd:
    """Carry out once more what an actor has told of the end of its write."""

    actor: str

    def steps(self, network: Network) -> Steps:
        return network.repeat_end(self.actor)


@dataclass(frozen=True)
class Cuts:
    """Put the server out of the reach of a process."""

    process: str

    def steps(self, network: Network) -> Steps:
        return network.cut(self.process, True)


@dataclass(frozen=True)
class Reaches:
    """Put the server into the reach of a process again."""

    process: str

    def steps(self, network: Network) -> Steps:
        return network.cut(self.process, False)


@dataclass(frozen=True)
class Copies:
    """Have a replica get all that the server has now."""

    def steps(self, network: Network) -> Steps:
        return network.copy()


@dataclass(frozen=True)
class FailsOver:
    """Promote the replica: the data set has another id, and what it has not got is lost."""

    def steps(self, network: Network) -> Steps:
        return network.fail_over()


@dataclass(frozen=True)
class Process:
    """One process.

    :param actors: what each of its actors (threads or tasks) does, in order, by its name.
    :param writes: the invalidating methods that it declares, and what a call of each makes wrong.
        The default is one method, ``set``, which names all of the cached method ``get``.
    :param fence: for how many seconds its fences stand that it does not renew.
    :param refuses: whether a write that the server cannot be told of is not made.
    :param local: whether it keeps entries of its own, too, and polls before each hit.
    """

    actors: Mapping[str, Sequence[Any]]
    writes: Mapping[str, Sequence[Target]] = field(default_factory=lambda: {"set": ["get"]})
    fence: float = 10.0
    refuses: bool = False
    local: bool = False


@dataclass(frozen=True)
class SharedScenario:
    """A small program of processes and a server, over the real flows of the shared tier.

    :param processes: the processes, by their names.
    :param fates: what the world does by itself, in order, by the names of those actors.
    :param methods: the cached methods; all have one parameter, ``key``.
    :param strict: whether it is wrong if something can be found that a write at work makes wrong.
    :param slow: whether replies take their time: then to read them is a step. It is where they can
        be lost.

    >>> from pussycache.testing.explorer import Reads, Writes
    >>> from pussycache.testing.explorer.sharing import Kills, Lapses, Process, SharedScenario
    >>> scenario = SharedScenario(
    ...     processes={
    ...         "A": Process({"reader": [Reads("get"), Reads("get")]}),
    ...         "B": Process({"writer": [Writes("set")]}),
    ...     },
    ...     fates={"killer": [Kills("B")], "time": [Lapses(10)]},
    ... )
    >>> scenario.explore().states > 100
    True
    """

    processes: Mapping[str, Process]
    fates: Mapping[str, Sequence[Happening]] = field(default_factory=dict)
    methods: Sequence[str] = ("get",)
    strict: bool = True
    slow: bool = False

    def explore(
        self,
        *,
        prune: bool = True,
        most_states: int = 1_000_000,
        progress: Callable[[int, int], object] | None = None,
    ) -> Exploration:
        """Visit all schedules, and hold each against the promise; see `explore`."""
        kinds = {type(one) for wanted in self.fates.values() for one in wanted}
        with modelled():
            model = NetworkModel(
                self.processes,
                self.fates,
                self.methods,
                self.strict,
                self.slow or LosesReply in kinds,
                RepeatsEnd in kinds,
            )
            return explore(
                lambda: Network(model),
                prune=prune,
                most_states=most_states,
                progress=progress,
            )
