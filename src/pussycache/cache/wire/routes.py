"""Where commands go when the first try did not settle it: redirections, failovers, refusals.

Written once for threads and tasks, as steps that yield what has to be asked.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any, Final

from redis.exceptions import NoScriptError, ResponseError

from pussycache.cache.wire.addresses import Place
from pussycache.cache.wire.handshake import Facts
from pussycache.cache.wire.nodes import Node
from pussycache.cache.wire.resp import Command
from pussycache.cache.wire.scripts import in_full
from pussycache.cache.wire.topology import Ask, Cluster, Outcome, Topology, place_said
from pussycache.cache.wire.unreachable import Reason, Unreachable

__all__ = ["is_settled", "route"]

_TRIES: Final = 5
"""Servers that are tried for one call: a slot may have moved twice since the last one."""

_AILING: Final[dict[str, Reason]] = {
    "LOADING": "loading",
    "MASTERDOWN": "loading",
    "BUSY": "loading",
    "CLUSTERDOWN": "moving",
    "TRYAGAIN": "moving",
    "READONLY": "read-only",
    "NOAUTH": "denied",
}
_ELSEWHERE: Final = ("MOVED", "ASK")


def is_settled(reply: Any) -> bool:
    """Whether this is a command's own reply, and not a server that sends us away."""
    if not isinstance(reply, ResponseError):
        return True
    code = str(reply).partition(" ")[0]
    return code not in _AILING and code not in _ELSEWHERE and code != "NOSCRIPT"


def route(
    topology: Topology,
    key: bytes | None,
    commands: Sequence[Command],
    repeatable: bool,
    node: Node | None,
    outcome: Outcome | None,
) -> Generator[Ask, Outcome, tuple[list[Any], Facts]]:
    """Settle what came of a first try (None: there was none), asking elsewhere if need be.

    A command whose reply is settled is not sent again. Raises `Unreachable`.
    """
    commands = list(commands)
    replies: list[Any] = [None] * len(commands)
    todo = list(range(len(commands)))
    seen: list[Facts] = []
    asking = False
    why = Unreachable("unknown")
    for _ in range(_TRIES):
        if outcome is None:
            if node is None:
                node = yield from topology.learn(key)
            outcome = yield Ask(node, tuple(_with_asking(commands, todo, asking)))
            if asking and not isinstance(outcome, Unreachable):
                outcome = outcome[0][1::2], outcome[1]
        assert node is not None
        if isinstance(outcome, Unreachable):
            why = outcome
            again = yield from _another(topology, key, node, outcome, repeatable)
        else:
            got, facts = outcome
            seen.append(facts)
            left = []
            for index, reply in zip(todo, got, strict=True):
                replies[index] = reply
                if isinstance(reply, NoScriptError):
                    whole = in_full(commands[index])
                    if whole is not None:
                        commands[index] = whole
                        left.append(index)
                elif not is_settled(reply):
                    left.append(index)
            if not left:
                return replies, _of_all(seen)
            if len(left) == len(todo):
                seen.pop()  # nothing was carried out over that connection
            todo, error = left, str(replies[left[0]])
            code, _, rest = error.partition(" ")
            sent = len(todo) < len(commands)
            why = Unreachable(_AILING.get(code, "moving"), f"{node.place}: {error}", sent=sent)
            if code in _ELSEWHERE and isinstance(topology, Cluster):
                slot, place = _elsewhere(rest, node)
                asking = code == "ASK"
                node = topology.at(place) if asking else topology.moved(slot, place)
                outcome = None
                continue
            again = None
            if code in ("READONLY", "CLUSTERDOWN"):
                node.hang_up()
                again = yield from _another(topology, key, node, why, True)
            elif code in ("TRYAGAIN", "NOSCRIPT"):
                again = node
        if again is None:
            raise why
        node, outcome, asking = again, None, False
    raise why


def _with_asking(
    commands: Sequence[Command], todo: list[int], asking: bool
) -> Generator[Command, None, None]:
    for index in todo:
        if asking:
            yield (b"ASKING",)
        yield commands[index]


def _another(
    topology: Topology, key: bytes | None, node: Node, why: Unreachable, repeatable: bool
) -> Generator[Ask, Outcome, Node | None]:
    """Return another server that has taken over, or None."""
    if why.reason in ("shut", "busy"):
        return None
    other = topology.find(key)
    if other is None or other is node:
        # While the breaker is open nobody waits: then only now and then somebody looks around.
        if not topology.may_ask(waiting=why.reason == "waiting"):
            return None
        try:
            other = yield from topology.learn(key)
        except Unreachable:
            return None
    # What may have been carried out is not sent to another server, unless it may be repeated.
    return other if other is not node and (repeatable or not why.sent) else None


def _elsewhere(rest: str, node: Node) -> tuple[int, Place]:
    slot, _, place = rest.partition(" ")
    host, _, port = place.rpartition(":")
    return int(slot), place_said(host, int(port), node.place)


def _of_all(seen: list[Facts]) -> Facts:
    """Return what is true of all connections that the replies came over.

    If they differ, the replies are of no single primary: the replication id then is one that no
    server has, so that nothing is remembered under it.
    """
    first = seen[0]
    if all(facts.replication_id == first.replication_id for facts in seen):
        return first
    return replace(first, replication_id=os.urandom(20).hex().encode())
