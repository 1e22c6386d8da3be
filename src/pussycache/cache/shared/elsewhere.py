"""Waiting for a load in another process. Who loads is said by the lease, in lease.py."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, final

from pussycache.cache.shared.lease import AGAIN
from pussycache.engine.flow import Wait

if TYPE_CHECKING:
    from pussycache.cache.shared.tables import SharedTable
    from pussycache.engine.singleflight import Failure, Flight, Waiter

__all__ = ["Elsewhere"]


@final
class Elsewhere(Wait):
    """A wish to wait for a load in another process: to be woken, or until its lease lapses.

    :param since: what had been heard when the lease was last known to be held.
    """

    __slots__ = ("_since", "_until", "_wakes")

    def __init__(
        self, table: SharedTable, lease: bytes, flight: Flight, milliseconds: int, since: int
    ) -> None:
        super().__init__(table, lease, flight)
        self._wakes = table.tier.wakes
        self._since = since
        self._until = monotonic() + milliseconds / 1000.0

    @property
    def patience(self) -> float:
        return max(0.0, self._until - monotonic())

    def outlasted(self, patience: float) -> Failure | None:
        return AGAIN if monotonic() >= self._until else None

    def join(self, waiter: Waiter) -> bool:
        return self._wakes.join(self._key, lambda: waiter(AGAIN), self._since)
