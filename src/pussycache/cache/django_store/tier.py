"""The side of one cache of Django's that the flows of the shared tier ask.

What they ask, and what follows from it, is said in cache/shared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pussycache.cache.django_store.commands import Commands
from pussycache.cache.django_store.places import PREFIX
from pussycache.cache.envelope import NO_REPLICATION
from pussycache.cache.shared.keeper import Keeper
from pussycache.cache.shared.tier import Tier
from pussycache.cache.wire.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pussycache.cache.django_store.backend import Backend
    from pussycache.cache.envelope import Sealer
    from pussycache.cache.serializers import Serializer
    from pussycache.engine.asking import Far

__all__ = ["DjangoTier", "in_thread"]


class _Nobody:
    """Who is asked to wake those who wait for other processes: nobody does."""

    hears = False
    heard = 0

    def ask(self) -> None:
        """Hear nothing."""

    async def aask(self) -> None:
        """Hear nothing."""

    def join(self, key: bytes, wake: Callable[[], object], since: int) -> bool:
        """Wait; whoever does looks again in a while."""
        return True


_NOBODY: Final[Any] = _Nobody()


class DjangoTier(Tier):
    """What the tables of one cache share. It is asked by the flows, and never raises for that."""

    def __init__(
        self,
        backend: Backend,
        ttl: float | None,
        far: Far,
        serializer: Serializer,
        sealer: Sealer,
        *,
        refuses: bool,
        label: str,
    ) -> None:
        server: Any = backend
        super().__init__(
            server,
            _NOBODY,
            PREFIX,
            ttl,
            far,
            serializer,
            sealer,
            buckets=1,
            refuses=refuses,
            label=label,
        )
        self.near = None
        self.backend = backend
        self.reads_in_order = backend.in_order
        self._commands = Commands(backend)
        self.keeper = _Keeper(self)

    def ask(self, key: bytes, commands: Sequence[tuple[Any, ...]], again: bool = True) -> Any:
        try:
            return self._commands.carry_out(commands), NO_REPLICATION
        except Unreachable as error:
            return self._failed(error)

    async def aask(
        self, key: bytes, commands: Sequence[tuple[Any, ...]], again: bool = True
    ) -> Any:
        return await in_thread(self.ask, key, commands)

    def clear(self) -> None:
        """Make all entries of the cache be gone.

        :raises Unreachable: if the backend fails.
        """
        self._commands.clear()


class _Keeper(Keeper):
    """A keeper whose thread leaves no connection open."""

    def __init__(self, tier: DjangoTier) -> None:
        super().__init__(tier)
        # By then the tier may be gone.
        self._backend = tier.backend

    def _run(self) -> None:
        try:
            super()._run()
        finally:
            self._backend.leave()


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function that blocks, in the thread in which Django keeps its connections."""
    from asgiref.sync import sync_to_async

    return await sync_to_async(function, thread_sensitive=True)(*args)
