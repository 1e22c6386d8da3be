"""Which server a key belongs to: the only one, the sentinels' primary, or a cluster's.

What has to be asked is yielded as an `Ask`; nothing here knows how it is done.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, Protocol, TypeAlias

from redis.crc import key_slot
from redis.exceptions import ResponseError

from pussycache.cache.wire import forks
from pussycache.cache.wire.addresses import Place
from pussycache.cache.wire.handshake import Facts
from pussycache.cache.wire.nodes import CONFIRM_EVERY, Node
from pussycache.cache.wire.resp import Command
from pussycache.cache.wire.unreachable import Unreachable

__all__ = ["Ask", "Cluster", "Outcome", "Sentinels", "Single", "Steps", "Topology", "place_said"]

Outcome: TypeAlias = "tuple[list[Any], Facts] | Unreachable"
Steps: TypeAlias = "Generator[Ask, Outcome, Node]"


@dataclass(frozen=True, slots=True)
class Ask:
    """Commands for one server; the answer is what came of it."""

    node: Node
    commands: tuple[Command, ...]
    inquiry: bool = False
    """Whether the server is asked about servers: then a replica will do, too."""


class Topology(Protocol):
    """What is known of the servers, and how to learn more."""

    def find(self, key: bytes | None) -> Node | None:
        """Return the primary of a key as far as is known; None: nobody, or any of a cluster."""

    def learn(self, key: bytes | None) -> Steps:
        """Ask who the primary is, and return it; `Unreachable` if nobody knows."""

    def may_ask(self, waiting: bool) -> bool:
        """Whether to `learn` now; `waiting`: only if that was not done a moment ago."""

    def primaries(self) -> list[Node]:
        """Return all primaries that are known."""

    def nodes(self) -> list[Node]:
        """Return everything that has connections."""


_LOOK_EVERY: Final = 0.1
"""Seconds between two looks around for callers that must not wait."""


class Single:
    """One server, which has all keys."""

    def __init__(self, place: Place, node: Callable[[Place], Node]) -> None:
        self._node = node(place)

    def find(self, key: bytes | None) -> Node | None:
        return self._node

    def learn(self, key: bytes | None) -> Steps:
        yield from ()  # nothing to ask
        return self._node

    def may_ask(self, waiting: bool) -> bool:
        return False

    def primaries(self) -> list[Node]:
        return [self._node]

    nodes = primaries


class _Several:
    """What servers that are found have in common: a lock, and how often they are looked for."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._next = -math.inf
        self.forget_others()
        forks.watch(self)

    def forget_others(self) -> None:
        """Begin anew, as a forked child must: another thread may have held the lock."""
        self._lock = Lock()

    def may_ask(self, waiting: bool) -> bool:
        now = self._clock()
        if waiting and now < self._next:
            return False
        self._next = now + _LOOK_EVERY
        return True


class Sentinels(_Several):
    """One primary, which the sentinels know.

    They are asked again every second: an old primary that lives takes ten to be told that it no
    longer is one, and until then it looks like one in every other way.
    """

    def __init__(
        self,
        places: Iterable[Place],
        service: str,
        sentinel: Callable[[Place], Node],
        node: Callable[[Place], Node],
        clock: Callable[[], float],
    ) -> None:
        super().__init__(clock)
        self._sentinels = [sentinel(place) for place in places]
        self._service = service
        self._node = node
        self._primary: Node | None = None
        self.good_until = -math.inf
        """When they are to be asked again, by the clock."""

    def find(self, key: bytes | None) -> Node | None:
        if self._clock() > self.good_until and self._primary is not None:
            # The others go on meanwhile.
            self.good_until = self._clock() + CONFIRM_EVERY
            return None
        return self._primary

    def learn(self, key: bytes | None) -> Steps:
        ask = (b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", self._service)
        last = Unreachable("unknown", f"no sentinel knows a primary {self._service!r}")
        for sentinel in list(self._sentinels):
            outcome = yield Ask(sentinel, (ask,), inquiry=True)
            if isinstance(outcome, Unreachable):
                last = outcome
            elif isinstance(answer := outcome[0][0], list):
                return self._settle(sentinel, Place(answer[0].decode(), int(answer[1])))
        if self._primary is not None:
            return self._primary  # it may live while the sentinels do not
        raise last.again("unknown")

    def _settle(self, sentinel: Node, place: Place) -> Node:
        with self._lock:
            before = self._primary
            if before is not None and before.place == place:
                primary = before
            else:
                primary = self._primary = self._node(place)
            self.good_until = self._clock() + CONFIRM_EVERY
            # The one that answered is asked first next time.
            self._sentinels.remove(sentinel)
            self._sentinels.insert(0, sentinel)
        if before is not None and before is not primary:
            before.retire()
        return primary

    def primaries(self) -> list[Node]:
        return [] if self._primary is None else [self._primary]

    def nodes(self) -> list[Node]:
        return [*self._sentinels, *self.primaries()]


_SLOTS: Final = 16384


class Cluster(_Several):
    """Slots, and the primary of each."""

    def __init__(
        self,
        places: Iterable[Place],
        node: Callable[[Place], Node],
        clock: Callable[[], float],
    ) -> None:
        super().__init__(clock)
        self._seeds = list(places)
        self._node = node
        self._known: dict[Place, Node] = {}
        self._slots: list[Node | None] = [None] * _SLOTS

    def find(self, key: bytes | None) -> Node | None:
        if key is None:
            return next((node for node in self._slots if node is not None), None)
        return self._slots[key_slot(key)]

    def at(self, place: Place) -> Node:
        """Return the node at a place, known or new."""
        with self._lock:
            node = self._known.get(place)
            if node is None:
                node = self._known[place] = self._node(place)
            return node

    def moved(self, slot: int, place: Place) -> Node:
        """Note that a slot is elsewhere."""
        node = self._slots[slot] = self.at(place)
        return node

    def learn(self, key: bytes | None) -> Steps:
        last = Unreachable("unknown", "no node of the cluster answers")
        seeds = [self.at(place) for place in self._seeds]
        # Those that are known to be down are asked last: they may have come back.
        others = [node for node in self.nodes() if node not in seeds]
        for node in sorted(others + seeds, key=lambda node: node.is_open):
            outcome = yield Ask(node, ((b"CLUSTER", b"SLOTS"),), inquiry=True)
            if isinstance(outcome, Unreachable):
                last = outcome
                continue
            (answer,), _ = outcome
            if isinstance(answer, ResponseError):
                last = Unreachable("unknown", f"{node.place}: {answer}")
                continue
            if answer:
                self._settle(node.place, answer)
                if (found := self.find(key)) is not None:
                    return found
        raise last.again("unknown")

    def _settle(self, asked: Place, answer: list[Any]) -> None:
        slots: list[Node | None] = [None] * _SLOTS
        here = set(self._seeds)
        for first, final, *members in answer:
            places = [_place(member, asked) for member in members]
            here.update(places)
            slots[first : final + 1] = [self.at(places[0])] * (final - first + 1)
        before = set(self.primaries())
        self._slots = slots
        for node in before.difference(self.primaries()):
            node.hang_up()
        with self._lock:
            gone = [self._known.pop(place) for place in self._known.keys() - here]
        for node in gone:
            node.retire()

    def primaries(self) -> list[Node]:
        return list(dict.fromkeys(node for node in self._slots if node is not None))

    def nodes(self) -> list[Node]:
        with self._lock:
            return list(self._known.values())


def _place(member: list[Any], asked: Place) -> Place:
    return place_said(member[0].decode() if member[0] else "", int(member[1]), asked)


def place_said(host: str, port: int, asked: Place) -> Place:
    """Return the place that a node of a cluster speaks of; no known host is its own."""
    return Place(host if host not in ("", "?") else asked.host, port)
