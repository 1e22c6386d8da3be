"""The server side of one cache: who is asked, what is trusted, and what is still to be delivered.

What is asked about a call is said in flow.py and fences.py.
"""

from __future__ import annotations

import threading
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from pussycache.cache.envelope import NO_REPLICATION
from pussycache.cache.shared.authors import told
from pussycache.cache.shared.keeper import Keeper
from pussycache.cache.shared.places import near_channel
from pussycache.cache.shared.recent import Recent
from pussycache.cache.wire import Unreachable, forks
from pussycache.engine.departed import Departed
from pussycache.engine.plan import level_of_the_caller
from pussycache.hooks import active, emit, tell
from pussycache.stats import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pussycache.cache.envelope import Sealer
    from pussycache.cache.serializers import Serializer
    from pussycache.cache.shared.places import Places
    from pussycache.cache.shared.raised import Command, Raised
    from pussycache.cache.shared.wakes import Wakes
    from pussycache.cache.wire import Facts, Packed, Server
    from pussycache.engine.asking import Far

__all__ = ["Seen", "Tier"]

Seen = tuple[list[Any], bytes]
"""Replies, and the replication id of the data set that they are from."""

LEASE_MS: Final = 2_000
FENCE_MS: Final = 10_000
PATIENCE: Final = 5.0
# One replica: the one that is promoted is the one that has heard most.
_REPLICATED: Final = (b"WAIT", 1, 150)


class Tier:
    """What the tables of one cache share. It is asked by the flows, and never raises for that.

    ``lease_ms`` is how long a load is waited for whose process has died, ``fence_ms`` how long a
    write counts as under way whose process has died; both are renewed meanwhile.
    """

    lease_ms = LEASE_MS
    fence_ms = FENCE_MS
    patience = PATIENCE
    reads_in_order = True
    """Whether what is asked for in one command is read in that order, or at one moment."""

    def __init__(
        self,
        server: Server,
        wakes: Wakes,
        prefix: bytes,
        ttl: float | None,
        far: Far,
        serializer: Serializer,
        sealer: Sealer,
        *,
        buckets: int,
        refuses: bool,
        replicated: bool = False,
        label: str = "",
        url: str = "",
    ) -> None:
        self.label = label
        self._url = url
        self.server = server
        self.wakes = wakes
        self.prefix = prefix
        self.channel = prefix + b":wake"
        self.near: bytes | None = near_channel(prefix)
        """The channel of those who keep entries in their own memory; `None`: nobody can."""
        self.ttl = ttl
        self.far = far
        self.serializer = serializer
        self.sealer = sealer
        self.buckets = buckets
        self.refuses = refuses
        self._replicated = replicated
        self._warned = False
        self.keeper = Keeper(self)
        self.refused: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.departed: Departed = Departed(threading.RLock())
        self.recent = Recent()
        self.replacements: dict[Any, Sequence[tuple[bytes, Packed]]] = {}
        """What makes generations others that nothing happens in meanwhile: see fences.py."""
        self._pending: dict[bytes, Raised] = {}
        self._known: dict[bytes | None, bytes] = {}
        self.trusted = True
        """Whether the server knows of all writes of this process."""
        forks.watch(self)

    def forget_others(self) -> None:
        """Begin anew in a forked child; what was pending is delivered by both."""
        self._lock = threading.Lock()
        self.departed = Departed(threading.RLock())
        self.keeper.forget_others()
        if self._pending:
            self.keeper.deliver()

    @property
    def store(self) -> Store:
        """How things stand with the server, without asking it."""
        breaker = "open" if self.server.is_down else "closed"
        return Store(self.label, self._url, breaker, len(self.pending()))

    # Asking.

    def ask(self, key: bytes, commands: Sequence[tuple[Any, ...]], again: bool = True) -> Any:
        """Ask the server that has a key; `None` if it does not answer.

        :param again: whether the commands may be carried out twice.
        """
        try:
            replies, facts = self.server.ask(key, commands, repeatable=again)
        except Unreachable as error:
            return self._failed(error)
        if active:
            tell()
        return replies, self._known.get(facts.replication_id) or self._replication(facts)

    async def aask(
        self, key: bytes, commands: Sequence[tuple[Any, ...]], again: bool = True
    ) -> Any:
        """As `ask`."""
        try:
            replies, facts = await self.server.aask(key, commands, repeatable=again)
        except Unreachable as error:
            return self._failed(error)
        if active:
            tell()
        return replies, self._known.get(facts.replication_id) or self._replication(facts)

    def _replication(self, facts: Facts) -> bytes:
        """Take note of a data set that is new to us, and return its id as entries have it."""
        self._look_at(facts)
        name = facts.replication_id
        found = NO_REPLICATION if name is None else bytes.fromhex(name.decode())
        self._known[name] = found
        return found

    def _failed(self, error: Unreachable) -> None:
        with self._lock:
            self.failures[error.reason] += 1
        if active:
            tell()

    def silence(self, key: bytes) -> str:
        """Return what is said to who was not answered: why not, and what to do."""
        if self.keeper.is_closed:
            return "the cache was closed; make another one"
        outage = self.server.outage(key)
        why = "" if outage is None else f" ({outage.why})"
        return f"the server does not answer{why}; try again later"

    def together(self, commands: Sequence[Command]) -> list[tuple[bytes, list[tuple[Any, ...]]]]:
        """Return commands in as few round trips as may be: one, or one for each node's part."""
        parts: list[tuple[bytes, list[tuple[Any, ...]]]]
        if self.buckets == 1 and commands:
            parts = [(commands[0][0], [command for _, command in commands])]
        else:
            of: dict[bytes, list[tuple[Any, ...]]] = {}
            for key, command in commands:
                of.setdefault(key, []).append(command)
            parts = list(of.items())
        if self._replicated:
            for _, part in parts:
                part.append(_REPLICATED)
        return parts

    def has_done(self, seen: Seen | None) -> bool:
        """Whether the server has carried out what belongs together, and a replica has it, too."""
        if seen is None:
            return False
        for reply in seen[0]:
            if isinstance(reply, Exception):
                return False
        return not self._replicated or seen[0][-1] >= 1

    def _look_at(self, facts: Facts) -> None:
        """Warn, once, about a server that may throw out what the promise stands on."""
        evicts = facts.eviction not in (None, "noeviction") and facts.maxmemory
        if evicts and not self._warned:
            self._warned = True
            warnings.warn(
                f"the server's maxmemory-policy is {facts.eviction}: when its memory is full it "
                "may throw out the mark of a writer at work, and others may then be served what "
                "that writer makes wrong; set maxmemory-policy noeviction, or maxmemory so high "
                "that it is not reached. This is said once",
                RuntimeWarning,
                stacklevel=level_of_the_caller(),
            )

    # What is not trusted.

    def refuse(self, reason: str) -> None:
        """Count an entry that was not opened."""
        with self._lock:
            self.refused[reason] += 1

    def put_off(self, raised: Raised) -> None:
        """Take note of the end of a write that the server could not be told of."""
        with self._lock:
            new = raised.writer not in self._pending
            self._pending[raised.writer] = raised
            self.trusted = False
        self.keeper.deliver()
        if active and new:
            from pussycache.events import Pending

            emit(Pending(self.label, told(raised.author)))

    def delivered(self, raised: Raised) -> None:
        """Take note that the server has been told."""
        with self._lock:
            late = self._pending.pop(raised.writer, None)
            self.trusted = not self._pending
        if active and late is not None:
            from pussycache.events import Delivered

            emit(Delivered(self.label, told(raised.author)))

    def pending(self) -> list[Raised]:
        """Return the writes whose end the server has not been told of."""
        with self._lock:
            return list(self._pending.values())

    @property
    def debts(self) -> int:
        """How many those are."""
        return len(self._pending)

    def owes(self, raised: Raised) -> bool:
        """Whether one is among them."""
        return raised.writer in self._pending

    def pending_of(self, places: Places) -> int:
        """How many of those concern one method."""
        mine = {bucket.generation for bucket in places.buckets}
        return sum(
            any(target.method in mine for target in raised.targets) for raised in self.pending()
        )
