"""What one server is to the rest of this layer, however it is reached.

Nothing here connects.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pussycache.cache.wire.addresses import Place
from pussycache.cache.wire.breaker import Outage
from pussycache.cache.wire.handshake import Facts, Greeting

__all__ = ["CONFIRM_EVERY", "Node", "Terms"]

CONFIRM_EVERY: Final = 1.0
"""Seconds for which a connection that is used believes that its server is what it was.

Shorter than any promotion takes: a primary that was demoted and promoted again in between has
another replication id, and connections to it do not break by that.
"""


@dataclass(slots=True)
class Terms:
    """What all servers of one cache have in common."""

    greeting: Greeting
    tls: ssl.SSLContext | None
    timeout: float
    max_connections: int
    clock: Callable[[], float] = time.monotonic
    reached: bool = False
    """Whether a server has ever accepted us; from then on a refusal is an outage, not a mistake."""


class Node(Protocol):
    """A server that is asked by threads (`send`) and tasks (`asend`) alike.

    Every method that asks gives `(reply, facts)`: what came, and what the connection that it came
    over knows of the server. It raises `Unreachable` otherwise. `packed` is `count` commands in
    the servers' language; `repeatable` says that they may be carried out twice.
    """

    place: Place
    terms: Terms

    @property
    def is_down(self) -> bool:
        """Whether it has not answered when it was last asked."""

    @property
    def is_open(self) -> bool:
        """Whether the breaker is open: this server has timed out, and no probe has succeeded."""

    @property
    def outage(self) -> Outage | None:
        """Why it is not asked just now, and for how long that has been so."""

    def send_one(self, packed: bytes, repeatable: bool = ...) -> tuple[Any, Facts]:
        """Send one command and return its reply."""

    def send(self, packed: bytes, count: int, repeatable: bool = ...) -> tuple[list[Any], Facts]:
        """Send several commands in one go and return their replies in order."""

    async def asend_one(self, packed: bytes, repeatable: bool = ...) -> tuple[Any, Facts]:
        """Send one command and return its reply."""

    async def asend(
        self, packed: bytes, count: int, repeatable: bool = ...
    ) -> tuple[list[Any], Facts]:
        """Send several commands in one go and return their replies in order."""

    def inquire(self, packed: bytes, count: int) -> tuple[list[Any], Facts]:
        """Ask a server about servers, whatever its role; the others ask a primary only."""

    async def ainquire(self, packed: bytes, count: int) -> tuple[list[Any], Facts]:
        """Ask a server about servers, whatever its role; the others ask a primary only."""

    def hang_up(self) -> None:
        """Use none of the present connections again: this server is no longer what it was."""

    def retire(self) -> None:
        """Close all connections without waiting for anything: the server is gone."""

    def close(self) -> None:
        """Close all connections."""

    async def aclose(self) -> None:
        """Close all connections; when it returns, those of the running loop are closed."""
