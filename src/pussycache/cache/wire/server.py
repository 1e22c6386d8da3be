"""What the shared tier talks to: one object for a server, a sentinels' service or a cluster.

It knows commands and replies, and nothing of what they mean.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from redis.exceptions import ResponseError

from pussycache.cache.wire.addresses import Address, Credentials, Place
from pussycache.cache.wire.breaker import Outage
from pussycache.cache.wire.handshake import Facts, Greeting
from pussycache.cache.wire.held import HeldNode
from pussycache.cache.wire.listening import Listening
from pussycache.cache.wire.nodes import Node, Terms
from pussycache.cache.wire.own import topology_of
from pussycache.cache.wire.resp import Command, pack, pack_all
from pussycache.cache.wire.routes import is_settled, route
from pussycache.cache.wire.topology import Ask, Cluster, Outcome, Sentinels, Single, Topology
from pussycache.cache.wire.unreachable import Unreachable
from pussycache.cache.wire.waking import Waking
from pussycache.errors import ConfigurationError

__all__ = ["Server"]

T = TypeVar("T")


class Server:
    """Servers behind one address, for threads and tasks alike. Connects when first asked.

    `key` says which server is meant: all commands of one call go to the one that has it, so in a
    cluster their keys share its hash tag. None is any primary.

    Every call gives `(reply, facts)`. `facts` are those of the connection that the reply came
    over; its `replication_id` was read before the commands were sent. Replies are bytes, integers,
    None and lists. `Unreachable` is raised if no server answered; `ConfigurationError` if the
    first one asked is too old or does not accept us.

    `repeatable=True` says that the commands may be carried out twice: then they are sent once
    more over a fresh connection if a held one breaks, or to the server that took over.
    """

    def __init__(
        self,
        address: Address,
        *,
        timeout: float = 0.25,
        max_connections: int = 32,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        greeting = Greeting(address.credentials, address.db, address.client_name)
        self._begin(
            _topology(address, Terms(greeting, address.tls, timeout, max_connections, clock))
        )

    def _begin(self, topology: Topology) -> None:
        self._topology = topology
        self._find = topology.find
        # A loop has no more than a weak reference to its tasks.
        self._learning: set[asyncio.Task[Node | Exception]] = set()

    @classmethod
    def over(
        cls, client: Any, *, timeout: float = 0.25, clock: Callable[[], float] = time.monotonic
    ) -> Server:
        """Return one that uses the connections of a redis-py client, which remains its owner's.

        Timeouts and retries are the client's: give it a `socket_timeout`. `listen` and `waking`
        are not to be had over it.
        """
        terms = Terms(Greeting(Credentials(), 0, ""), None, timeout, 1, clock)
        server = cls.__new__(cls)
        server._begin(topology_of(client, terms))
        return server

    # Threads ------------------------------------------------------------------------------------

    def ask_one(
        self, key: bytes | None, *command: bytes | str | int | float, repeatable: bool = False
    ) -> tuple[Any, Facts]:
        """Send one command. An error reply is raised, as a `ResponseError`."""
        node = self._find(key)
        if node is None:
            return _only(self._drive(self._route(key, (command,), repeatable)))
        try:
            asked = node.send_one(pack(command), repeatable)
        except Unreachable as error:
            return _only(self._drive(self._route(key, (command,), repeatable, node, error)))
        if isinstance(asked[0], ResponseError):
            came = [asked[0]], asked[1]
            return _only(self._drive(self._route(key, (command,), repeatable, node, came)))
        return asked

    def ask(
        self, key: bytes | None, commands: Sequence[Command], *, repeatable: bool = False
    ) -> tuple[list[Any], Facts]:
        """Send several commands in one round trip; error replies stand in their places."""
        node = self._find(key)
        if node is None:
            return self._drive(self._route(key, commands, repeatable))
        outcome: Outcome
        try:
            outcome = node.send(pack_all(commands), len(commands), repeatable)
        except Unreachable as error:
            outcome = error
        else:
            for reply in outcome[0]:
                if isinstance(reply, ResponseError) and not is_settled(reply):
                    break
            else:
                return outcome
        return self._drive(self._route(key, commands, repeatable, node, outcome))

    # Tasks --------------------------------------------------------------------------------------

    async def aask_one(
        self, key: bytes | None, *command: bytes | str | int | float, repeatable: bool = False
    ) -> tuple[Any, Facts]:
        """Send one command. An error reply is raised, as a `ResponseError`."""
        node = self._find(key) or await self._learn(key)
        try:
            asked = await node.asend_one(pack(command), repeatable)
        except Unreachable as error:
            steps = self._route(key, (command,), repeatable, node, error)
            return _only(await self._adrive(steps))
        if isinstance(asked[0], ResponseError):
            steps = self._route(key, (command,), repeatable, node, ([asked[0]], asked[1]))
            return _only(await self._adrive(steps))
        return asked

    async def aask(
        self, key: bytes | None, commands: Sequence[Command], *, repeatable: bool = False
    ) -> tuple[list[Any], Facts]:
        """Send several commands in one round trip; error replies stand in their places."""
        node = self._find(key) or await self._learn(key)
        outcome: Outcome
        try:
            outcome = await node.asend(pack_all(commands), len(commands), repeatable)
        except Unreachable as error:
            outcome = error
        else:
            for reply in outcome[0]:
                if isinstance(reply, ResponseError) and not is_settled(reply):
                    break
            else:
                return outcome
        return await self._adrive(self._route(key, commands, repeatable, node, outcome))

    async def _learn(self, key: bytes | None) -> Node:
        """Ask who the primary is, to the end: who is cancelled may have asked for all others."""
        task = asyncio.get_running_loop().create_task(self._learned(key))
        self._learning.add(task)
        task.add_done_callback(self._learning.discard)
        node = await asyncio.shield(task)
        if isinstance(node, Exception):
            raise node
        return node

    async def _learned(self, key: bytes | None) -> Node | Exception:
        # An exception is a result here: if the caller is gone, nobody would fetch it.
        try:
            return await self._adrive(self._topology.learn(key))
        except Exception as error:
            return error

    # Each server by itself ----------------------------------------------------------------------

    def nodes(self) -> list[Node]:
        """Return the primaries, as they are now: to be walked through with `ask_node`."""
        self._drive(self._topology.learn(None))
        return self._topology.primaries()

    async def anodes(self) -> list[Node]:
        """Return the primaries, as they are now."""
        await self._adrive(self._topology.learn(None))
        return self._topology.primaries()

    def node_of(self, key: bytes) -> Node | None:
        """Return the server that has a key, as far as is known without asking."""
        if isinstance(self._topology, Cluster):
            return self._find(key)
        # Not found: whoever is to look for it anew is told so by that, and once.
        return next(iter(self._topology.primaries()), None)

    @property
    def known_until(self) -> float:
        """Until when, by the clock, nobody needs to ask which server is the primary.

        A connection to a cluster's node, or to a server without sentinels, finds it out by itself.
        """
        topology = self._topology
        return topology.good_until if isinstance(topology, Sentinels) else math.inf

    def is_succeeded(self, node: Node) -> bool:
        """Whether sentinels have named another primary since; the old one may not know."""
        topology = self._topology
        return isinstance(topology, Sentinels) and node not in topology.primaries()

    def confirm(self) -> None:
        """Ask which server is the primary, if that is due; nothing is changed if nobody answers."""
        if self._find(None) is None:
            with suppress(Unreachable):
                self._drive(self._topology.learn(None))

    def ask_node(
        self, node: Node, commands: Sequence[Command], *, repeatable: bool = False
    ) -> tuple[list[Any], Facts]:
        """Ask one server, whatever keys it has; error replies stand in their places."""
        return node.send(pack_all(commands), len(commands), repeatable)

    async def aask_node(
        self, node: Node, commands: Sequence[Command], *, repeatable: bool = False
    ) -> tuple[list[Any], Facts]:
        """Ask one server, whatever keys it has; error replies stand in their places."""
        return await node.asend(pack_all(commands), len(commands), repeatable)

    def describe(self, key: bytes | None = None) -> Facts:
        """Return what is known of the server of a key; connects if need be."""
        return self.ask_one(key, b"PING", repeatable=True)[1]

    def outage(self, key: bytes) -> Outage | None:
        """Return why the server of a key is not asked just now; `None` if it is well, as far as
        is known."""
        topology = self._topology
        if isinstance(topology, Cluster):
            # Of the others only to look would not change what is looked at next.
            nodes = [self._find(key)]
        else:
            nodes = [*(topology.primaries() or topology.nodes())]
        found = [node.outage for node in nodes if node is not None]
        return max([outage for outage in found if outage is not None], default=None)

    @property
    def is_down(self) -> bool:
        """Whether one of the servers that are known has not answered when it was last asked."""
        return any(node.is_down for node in self._topology.primaries())

    # Connections that are told things ------------------------------------------------------------

    @property
    def is_single(self) -> bool:
        """Whether there is one server, which has all keys and to which nobody succeeds."""
        return isinstance(self._topology, Single)

    def listen(
        self,
        node: Node,
        prefixes: Sequence[bytes],
        changed: Callable[[list[bytes] | None], None],
        silence: float = 1.0,
        channel: bytes | None = None,
    ) -> Listening:
        """Have one server say which keys change under some prefixes; see `Listening`."""
        if not isinstance(node, HeldNode):
            raise ConfigurationError(
                "local needs a connection of its own, which a client does not give; give a url"
            )
        cluster = isinstance(self._topology, Cluster)
        try:
            return Listening(node.place, node.terms, prefixes, changed, silence, cluster, channel)
        except Unreachable as error:
            node.noted(error)
            raise

    def waking(self, channel: bytes, told: Callable[[bytes | None], None]) -> Waking:
        """Return what calls `told` for each message on a channel, once started; see `Waking`."""
        return Waking(self._where, channel, told)

    def _where(self) -> tuple[Place, Terms]:
        self.describe()
        node = self._find(None)
        if not isinstance(node, HeldNode):
            raise Unreachable("unknown", "a client gives no connection for that")
        return node.place, node.terms

    # The end ------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close all connections; those of event loops are closed by their loops."""
        for node in self._topology.nodes():
            node.close()

    async def aclose(self) -> None:
        """Close all connections; those of the running loop are closed when this returns."""
        for node in self._topology.nodes():
            await node.aclose()

    # Drivers ------------------------------------------------------------------------------------

    def _route(
        self,
        key: bytes | None,
        commands: Sequence[Command],
        repeatable: bool,
        node: Node | None = None,
        outcome: Outcome | None = None,
    ) -> Generator[Ask, Outcome, tuple[list[Any], Facts]]:
        return route(self._topology, key, commands, repeatable, node, outcome)

    def _drive(self, steps: Generator[Ask, Outcome, T]) -> T:
        try:
            step = next(steps)
            while True:
                try:
                    outcome: Outcome = (
                        step.node.inquire(pack_all(step.commands), len(step.commands))
                        if step.inquiry
                        else self.ask_node(step.node, step.commands)
                    )
                except Unreachable as error:
                    outcome = error
                step = steps.send(outcome)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _adrive(self, steps: Generator[Ask, Outcome, T]) -> T:
        try:
            step = next(steps)
            while True:
                try:
                    outcome: Outcome = (
                        await step.node.ainquire(pack_all(step.commands), len(step.commands))
                        if step.inquiry
                        else await self.aask_node(step.node, step.commands)
                    )
                except Unreachable as error:
                    outcome = error
                step = steps.send(outcome)
        except StopIteration as end:
            result: T = end.value
            return result


def _only(asked: tuple[list[Any], Facts]) -> tuple[Any, Facts]:
    (reply,), facts = asked
    if isinstance(reply, ResponseError):
        raise reply
    return reply, facts


def _topology(address: Address, terms: Terms) -> Topology:
    def node(place: Place) -> Node:
        return HeldNode(place, terms)

    if address.kind == "cluster":
        return Cluster(address.places, node, terms.clock)
    if address.kind == "single":
        return Single(address.places[0], node)
    who = address.sentinel if address.sentinel.password else Credentials()
    greeting = Greeting(who, 0, address.client_name, sentinel=True)
    theirs = Terms(greeting, terms.tls, terms.timeout, 1, terms.clock)
    return Sentinels(
        address.places, address.service, lambda place: HeldNode(place, theirs), node, terms.clock
    )
