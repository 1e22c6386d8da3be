"""What is known in this process of one method of one object whose entries are in a server.

Where its keys are, which rules apply, and how its results are written. Its counts and the loads
that run here are those of any table.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, Final

from pussycache.cache.envelope import VALUE
from pussycache.cache.names import encode_arguments
from pussycache.cache.serializers import NotStorable
from pussycache.cache.shared.fences import lifting, raising, replacing, targets_of
from pussycache.cache.shared.lease import COLD, Early, lease_of, taking
from pussycache.cache.shared.loosely import loosely
from pussycache.cache.shared.payload import Found, Writing
from pussycache.cache.shared.places import Places
from pussycache.cache.shared.reading import ABSENT, BYPASS, DOWN, HIT, Reading
from pussycache.engine import telling
from pussycache.engine.clock import read, switches, wall
from pussycache.engine.generations import Table
from pussycache.engine.plan import level_of_the_caller
from pussycache.engine.scopes import Scope
from pussycache.errors import UncacheableCallWarning
from pussycache.hooks import active

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from pussycache.cache.shared.payload import Written
    from pussycache.cache.shared.raised import Raised
    from pussycache.cache.shared.reading import Verdict
    from pussycache.cache.shared.tags import SharedTags
    from pussycache.cache.shared.tier import Tier
    from pussycache.engine.asking import Ask, Far
    from pussycache.engine.entry import Cause
    from pussycache.engine.fences import Fence
    from pussycache.engine.home import Home
    from pussycache.engine.keeping import Kept
    from pussycache.engine.plan import Plan
    from pussycache.engine.staleness import Age
    from pussycache.stats import CacheInfo

__all__ = ["STORED", "SharedScope", "SharedTable"]

STORED: Final = "stored"
"""What is noted of a call whose entry this process has stored, with when that expires."""

_Rule = tuple[bytes, tuple[int, ...]]
"""The names of the parameters that a rule names, and where those stand among the arguments."""

_A_DAY: Final = 86_400_000
_MOST_PAUSES: Final = 1000


class SharedTable(Table):
    """What is known of one method of one object whose entries are in a server."""

    __slots__ = (
        "_ages",
        "_header",
        "_raised",
        "_rules",
        "_tags",
        "_wanted",
        "_warned",
        "_writing",
        "cold",
        "places",
        "tier",
    )

    reading_type = Reading

    def __init__(self, home: Home, name: str, scope: SharedScope) -> None:
        super().__init__(home, name, scope)
        self.tier: Tier = scope.tier
        self._tags = scope.tags
        self.places = Places(scope.tier.prefix, scope.owner, name, scope.tier.buckets)
        # Which rules apply, as the token says it; and which it is to have when it is made anew.
        self._rules = self._wanted = _joined(set())
        self._writing: tuple[Plan, Writing] | None = None
        self._raised: dict[int, Raised] = {}
        self._ages: dict[bytes, Age] = {}
        self._warned = False
        self.cold = 0
        self._header = b""

    @property
    def cache(self) -> Tier:
        return self.tier

    @property
    def settings(self) -> tuple[float | None, Far | None]:
        return self.tier.ttl, self.tier.far

    # Rules.

    def index(self, at: tuple[int, ...], names: tuple[str, ...] = ()) -> None:
        """Have the calls looked at by these arguments, for the rules that name them."""
        with self.lock:
            self._rules = self._wanted = _joined({*self._wanted[1], (",".join(names).encode(), at)})

    def adopt(self, rules: bytes, plan: Plan) -> bool:
        """Look at these rules from now on; false if one of them names what the method has not."""
        found = []
        for rule in rules.split(b";") if rules else ():
            try:
                at = tuple([plan.names.index(name) for name in rule.decode().split(",")])
            except ValueError:
                return False
            found.append((rule, at))
        with self.lock:
            self._rules = rules, found
            self._wanted = _joined({*self._wanted[1], *found})
        return True

    # One call.

    def reading(self, plan: Plan, values: tuple[Any, ...], me: object) -> Reading:
        """Return a call as it is known to the server.

        :raises Exception: if its arguments cannot be part of a key.
        """
        writing = self.writing(plan)
        arguments = writing.keyed + encode_arguments(plan.parts(values), me)
        rules, places = self._rules
        matched: Sequence[tuple[bytes, bytes]] = ()
        if places:
            matched = [(rule, loosely(tuple([values[i] for i in at]))) for rule, at in places]
        bucket = self.places.of(arguments)
        wanted = self._wanted[0]
        kind, idle = writing.kind, writing.idle
        return self.reading_type(bucket, arguments, rules, matched, kind, wanted, idle)

    def writing(self, plan: Plan) -> Writing:
        """Return how results are written, and read."""
        known = self._writing
        if known is None or known[0] is not plan:
            known = self._writing = plan, Writing(plan, self.tier.serializer)
        return known[1]

    def opened(self, plan: Plan, verdict: Verdict) -> Found | None:
        """Return what was found; `None` if it cannot be read."""
        try:
            if verdict.is_error:
                return Found(self.writing(plan).read_error(verdict.payload))
            return self.writing(plan).read(verdict.payload, verdict.left)
        except ValueError:
            self.tier.refuse("undecodable")
            return None

    def written(
        self, plan: Plan, kept: Kept | tuple[BaseException, float]
    ) -> tuple[Written | None, str | None]:
        """Return what is to be stored of a result, or `None` and why nothing is.

        :param kept: the result, or an exception and for how many seconds it is remembered.
        """
        try:
            writing = self.writing(plan)
            if isinstance(kept, tuple):
                return writing.write_error(*kept), None
            return writing.write(kept), None
        except NotStorable as error:
            if not self._warned:
                self._warned = True
                warnings.warn(
                    f"what {plan.label} returned is not stored, as it would not come back equal: "
                    f"{error}. This is said once",
                    UncacheableCallWarning,
                    stacklevel=level_of_the_caller(),
                )
            return None, str(error)

    def given(self, plan: Plan, reading: Reading, verdict: Verdict, found: Found) -> Any:
        """Return what a caller is given of what was found."""
        return found.given(plan)

    def stored(
        self, plan: Plan, reading: Reading, header: bytes, entry: bytes, kept: Kept, replies: Any
    ) -> None:
        """Take note of what the server said to an entry that a load has brought."""

    # What is remembered of a call in this process.

    def missed(self, reading: Reading | None, verdict: Verdict, values: tuple[Any, ...]) -> None:
        """Count a call that is not answered with what was found, and tell why."""
        self.misses += 1
        if active and not switches:
            reason: str | None = verdict.kind
            if reading is None:
                # One without a key was told of already.
                reason = None if self.tier.trusted else DOWN
                if self.fences and self.fenced(values):
                    reason = BYPASS
            elif verdict.kind == HIT:
                reason = "expired"
            elif verdict.kind == ABSENT:
                reason = self.gone(reading)[0]
            if reason is not None:
                telling.missed(self, reason, values)

    def note(self, reading: Reading, reason: str, why: object = None) -> None:
        """Remember the last thing that happened to a call."""
        self.home.history.note(self.serial, reading.entry, reason, detail=why)

    def chill(self, reading: Reading, header: bytes) -> None:
        """Take note that a call was not found: after some in a row, the next is not expected, too.

        Only where all calls have the same generations, and what is asked about them is one thing.
        """
        if reading.kind == VALUE and len(reading.generations) == 1 and type(reading) is Reading:
            self.cold = min(self.cold + 1, COLD)
            self._header = header

    def early(self, reading: Reading) -> tuple[Any, ...]:
        """Return the command that takes the lease of a call that is not expected to be found."""
        reading.early = Early(lease_of(self._header), self._header)
        lease, milliseconds = reading.early.lease, self.tier.lease_ms
        return taking(reading.lease, reading.entry, lease, milliseconds)[0]

    def gone(self, reading: Reading) -> tuple[str, Cause | None, float | None, str | None]:
        """Return why there is no entry of a call: a reason, by whom, since when, and what else."""
        last = self.home.history.last(self.serial, reading.entry)
        if last[0] != STORED:
            return last
        until = float(last[3] or math.inf)
        if until <= wall():
            return "expired", None, until, None
        return "evicted", None, None, "the server has thrown it out, or lost it"

    def pausing(self, reading: Reading) -> bool:
        """Whether the last attempt to renew it failed a short while ago."""
        age = self._ages.get(reading.entry)
        return age is not None and age.pausing(read())

    def paused(self, reading: Reading, old: Found, error: BaseException) -> None:
        """Take note of a failed attempt to renew it: the next one is made after a pause."""
        if old.age is None:
            return
        age = self._ages.pop(reading.entry, old.age)
        age.failed(read(), error)
        self._ages[reading.entry] = age
        while len(self._ages) > _MOST_PAUSES:
            del self._ages[next(iter(self._ages))]

    def lasting(self, plan: Plan) -> int | None:
        """For how many milliseconds a generation is kept that nobody replaces."""
        keeping = plan.keeping
        ttl = keeping.lasting
        if ttl is None:
            return None if self.tier.ttl is None else _A_DAY * 7
        most = 0.0 if keeping.aging is None else keeping.aging.most
        return None if ttl == math.inf else _A_DAY + int(4000.0 * (ttl + most))

    # Writes.

    @property
    def tags(self) -> SharedTags:
        return self._tags

    @property
    def distant(self) -> SharedTable:
        """What a write that names this method has to tell the server."""
        return self

    def raising(self, fence: Fence, cause: Cause) -> Generator[Ask, Any, None]:
        """Begin a write in the server."""
        targets = targets_of(self.places, fence)
        self._raised[id(fence)] = yield from raising(self.tier, targets, cause)

    def lifting(self, fence: Fence, cause: Cause) -> Generator[Ask, Any, None]:
        """End a write in the server."""
        raised = self._raised.pop(id(fence), None)
        if raised is not None:
            yield from lifting(self.tier, raised)

    def replacing(self, fence: Fence, cause: Cause) -> Generator[Ask, Any, None]:
        """Tell the server of a write that begins and ends at once."""
        yield from replacing(self.tier, targets_of(self.places, fence), cause)

    def info(self) -> CacheInfo:
        """Return what happened in this process so far, and which entries are kept in it, too."""
        return super().info()._replace(pending=self.tier.pending_of(self.places))


def _joined(rules: set[_Rule]) -> tuple[bytes, list[_Rule]]:
    """Return rules as a token says them, and in that order."""
    ordered = sorted(rules)
    return b";".join([name for name, _ in ordered]), ordered


class SharedScope(Scope):
    """The methods of one object whose entries are in a server."""

    __slots__ = ("_tags", "owner", "tier")

    table_type = SharedTable

    owner: str
    tier: Tier

    def __init__(self, home: Home, place: str, tier: Tier, tags: SharedTags, owner: str) -> None:
        super().__init__(home, place, tier.departed)
        self._tags = tags
        self.tier = tier
        self.owner = owner

    def table(self, name: str) -> Table:
        with self.home.lock:
            table = self.tables.get(name)
            if table is None:
                table = self.tables[name] = self.table_type(self.home, name, self)
                table.fences += self._fences
                table.writers += self._writers
            return table

    @property
    def tags(self) -> SharedTags:
        return self._tags

    @property
    def distant(self) -> SharedScope:
        """What a write of everything has to tell the server."""
        return self

    def raising(self, fence: Fence, cause: Cause) -> Generator[Ask, Any, None]:
        """Begin a write of every method."""
        for table in self._shared():
            yield from table.raising(fence, cause)

    def lifting(self, fence: Fence, cause: Cause) -> Generator[Ask, Any, None]:
        """End it."""
        for table in self._shared():
            yield from table.lifting(fence, cause)

    def replacing(self, fence: Fence, cause: Cause) -> Generator[Ask, Any, None]:
        """Tell the server of a write that begins and ends at once."""
        for table in self._shared():
            yield from table.replacing(fence, cause)

    def _shared(self) -> list[SharedTable]:
        return [table for table in list(self.tables.values()) if isinstance(table, SharedTable)]
