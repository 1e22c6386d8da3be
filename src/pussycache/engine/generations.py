"""Who may be served and who may store: the entries, running loads and writers of one method.

In one process the generation of a method is its dictionary of running loads: a load belongs to the
generation whose dictionary it is found in. Replacing the dictionaries is invalidating. A load that
is not found any more when it ends is not stored, and nobody can join it. While writers are at work
(their fences stand), loads are not entered at all.

How a load is run, and when, is none of this module's business.
"""

from __future__ import annotations

import itertools
import math
import weakref
from functools import partial

from pussycache.declare.keys import loose
from pussycache.engine.clock import hot, read
from pussycache.engine.counted import Counted
from pussycache.engine.entry import Cause, Entry, Tended, Weighed
from pussycache.engine.fences import KeyFence, OldView
from pussycache.engine.singleflight import ABANDONED, Flight
from pussycache.errors import ConfigurationError
from pussycache.hooks import active
from pussycache.stats import BY_HAND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Final

    from pussycache.engine.asking import Distant, Far
    from pussycache.engine.fences import Fence
    from pussycache.engine.home import Figured, Home, RemovalCause
    from pussycache.engine.singleflight import Waiter
    from pussycache.engine.tags import Tags
    from pussycache.engine.touched import Touched
    from pussycache.stats import CacheInfo


__all__ = [
    "AT_WORK",
    "BYPASSED",
    "CHANGED",
    "COMPUTE",
    "HIT",
    "JOIN",
    "OVERTAKEN",
    "SERVED",
    "TENDED",
    "Table",
]

HIT: Final = "hit"
TENDED: Final = "tended"
SERVED: Final = "served"
JOIN: Final = "join"
COMPUTE: Final = "compute"

_serials: Final[Iterator[int]] = itertools.count(1)


CHANGED: Final = "its value was changed in place"
BYPASSED: Final = "bypassed-by-write"
AT_WORK: Final = "a writer is at work"
_WAS_AT_WORK: Final = "a writer was at work"
OVERTAKEN: Final = "a write has overtaken the load"


class _NoArguments(tuple[()]):
    """The key of a call without arguments; the empty tuple itself is always the same object."""

    __slots__ = ()


class Table(Counted):
    """All that is known of one method of one object (or of one function)."""

    __slots__ = (
        "__weakref__",
        "_admit",
        "_users",
        "acquire",
        "entries",
        "fences",
        "flights",
        "hidden",
        "home",
        "indexes",
        "keyed",
        "marks",
        "mixed",
        "name",
        # The last write that took all running loads out of those that are found.
        "overtaker",
        "release",
        "scope",
        "serial",
        "tagged",
        "teller",
        "timed",
        "touched",
        # What says whether entries may be served just now; only where others make them wrong.
        "watch",
        "weight",
    )

    def __init__(self, home: Home, name: str, scope: object = None) -> None:
        super().__init__()
        self.home = home
        self.lock = home.lock
        self.acquire, self.release = home.lock.acquire, home.lock.release
        self._admit = home.budget.admit
        self.name = name
        self.scope = scope
        self.serial = next(_serials)
        self.entries: dict[Any, Entry] = {}
        self.hidden: dict[Any, Entry] | None = None
        self.flights: dict[Any, Flight] = {}
        self.overtaker: Cause | None = None
        self.fences: list[Fence] = []
        self.indexes: dict[tuple[int, ...], dict[Any, set[Any]]] = {}
        self.marks: dict[Any, tuple[Any, ...]] = {}
        self.keyed: object = None
        self.timed: bool | None = None
        self.mixed = False
        # Whether entries here carry tags: then loads note when they begin.
        self.tagged = False
        # What the entries weigh together, where they have a weight.
        self.weight = 0.0
        # Says of its method what they want to know who find the table and not the method.
        self.teller: Callable[[Table], Any] | None = None
        # What was written, while somebody brings in what is older: see `bring`.
        self.touched: Touched | None = None
        self._users: dict[int, weakref.ref[Any]] = {}

    @property
    def label(self) -> str:
        """What the method is called in statistics: the name of its class, and its own."""
        # Those of decorated methods say where they are from, and which of that name.
        if "." in self.name:
            return self.name.partition(" ")[0]
        return f"{getattr(self.scope, 'place', '')}.{self.name}" if self.name else BY_HAND

    @property
    def cache(self) -> Figured:
        """What its figures are of."""
        return self.home

    @property
    def settings(self) -> tuple[float | None, Far | None]:
        """What of its cache the plan of a method depends on."""
        return self.home.ttl, self.home.far

    @property
    def tags(self) -> Tags:
        """The tags of its cache."""
        return self.home.tags

    @property
    def distant(self) -> Distant | None:
        """Entries outside of this process that a write has to make wrong, too."""
        return None

    # What a call asks.

    def begin(self, key: Any, values: tuple[Any, ...], again: bool) -> Flight | tuple[str, Any]:
        """Say what a call is to do: `HIT`, `JOIN` or `COMPUTE`, or the load it has entered.

        `TENDED` comes with an entry: whether it is served is for the flow to say.
        """
        entry = self.entries.get(key)
        if entry is not None and entry.deadline > hot["time"]():
            if type(entry) is Tended:
                return TENDED, entry
            entry.hits += 1
            return HIT, entry.value
        if again:
            self.misses -= 1
        return self.enter(key, values)

    def enter(
        self, key: Any, values: tuple[Any, ...], past: Entry | None = None
    ) -> Flight | tuple[str, Any]:
        """Say the same of a call for which there was no entry a moment ago, but for ``past``.

        Takes no lock: a writer that comes in between replaces the dictionary of loads (or takes
        the load out of it) at its end at the latest, so a load that was entered during a write is
        not found when it wants to be stored, or meets the fence that still stands.
        """
        self.misses += 1
        flights = self.flights
        if self.fences and self.fenced(values):
            self._bypassed(key, values)
            return COMPUTE, None
        if not self.home.open_to_loads:
            return COMPUTE, None
        flight = Flight()
        if active:
            flight.table = weakref.ref(self)
        if self.indexes:
            flight.values = values
        if self.tagged:
            flight.moment = self.home.tags.now
        try:
            other = flights.setdefault(key, flight)
            # A load that ended since the first look has stored its entry before it left. While one
            # refreshes what is remembered, others are answered with that.
            entry = self.entries.get(key)
            if entry is None or entry is past or entry.deadline <= hot["time"]():
                return flight if other is flight else (JOIN, other)
        except BaseException:
            # Keys that refuse to be compared, or a signal: nobody will end what was entered.
            with self.lock:
                if any(other is flight for other in list(self.flights.values())):
                    self.flights = {}
            raise
        self.misses -= 1
        if other is flight:
            self.lose(key, flight)
        if type(entry) is Tended:
            flight.land(ABANDONED)
            return TENDED, entry
        entry.hits += 1
        flight.land(entry.value)
        return HIT, entry.value

    def lose(self, key: Any, flight: Flight) -> bool:
        """Take a load away that nobody will end: from here on it is neither found nor joined."""
        with self.lock:
            found = self.flights.get(key) is flight
            if found:
                flight.by = None
                del self.flights[key]
            return found

    def begin_anew(self, key: Any, values: tuple[Any, ...]) -> Flight | None:
        """Enter a load in any case, in the place of one that runs; none while a writer works."""
        with self.lock:
            if (self.fences and self.fenced(values)) or not self.home.open_to_loads:
                return None
            flight = Flight()
            if active:
                flight.table = weakref.ref(self)
            flight.values = values
            flight.moment = self.home.tags.now
            self.flights[key] = flight
            return flight

    def begin_again(self, key: Any, values: tuple[Any, ...], entry: Entry) -> Flight | None:
        """Enter a load that renews an entry; none if one runs, or a writer works."""
        with self.lock:
            if self.entries.get(key) is not entry:
                return None
            running = self.flights.get(key)
            if running is not None and not running.stranded():
                return None
            return self.begin_anew(key, values)

    def old(self, key: Any, values: tuple[Any, ...]) -> Tended | None:
        """Return what there is to answer with, as it is now, when a load has failed."""
        with self.lock:
            if self.fences and self.fenced(values):
                return None
            entry = self.entries.get(key)
            if type(entry) is not Tended or entry.age is None or not self.home.tags.holds(entry):
                return None
            return entry if entry.deadline > hot["time"]() else None

    def fenced(self, values: tuple[Any, ...]) -> bool:
        """Whether a writer is at work on this call."""
        return any(fence.covers(values) for fence in self.fences)

    def at_work(self, values: tuple[Any, ...]) -> Fence | None:
        """Return the fence of a writer at work on this call, if there is one."""
        return next((fence for fence in list(self.fences) if fence.covers(values)), None)

    def _bypassed(self, key: Any, values: tuple[Any, ...]) -> None:
        fence = self.at_work(values)
        cause = None if fence is None else fence.cause
        self.home.history.note(self.serial, key, BYPASSED, cause, _WAS_AT_WORK)

    def join(self, key: Any, flight: Flight, waiter: Waiter) -> bool:
        """Wait for a load, if it is still the one to wait for."""
        with self.lock:
            if self.flights.get(key) is not flight:
                return False
            flight.append(waiter)
            return True

    def finish(
        self,
        key: Any,
        flight: Flight,
        values: tuple[Any, ...],
        value: Any,
        expires: float,
        made: Tended | None = None,
        weight: float | None = None,
    ) -> bool:
        """End a load and store what it brought, unless a write has overtaken it.

        :param made: the entry, where it was made already.
        :param weight: what the entry weighs, where that is known already.
        """
        dropped: Any = None
        home = self.home
        watched = home.watched
        if watched and weight is None:
            weighed = home.weight_of(self, values, value)
            if isinstance(weighed, str):
                self.leave(key, flight, failed=False, why=weighed)
                return False
            weight = weighed
        with self.lock:
            try:
                self.ended(flight, failed=False)
                flights, entries = self.flights, self.entries
                if flights.get(key) is not flight:
                    by = getattr(flight, "by", self.overtaker)
                    home.history.note(self.serial, key, BYPASSED, by, OVERTAKEN)
                    return False
                if made is not None and made.tags:
                    made.began = getattr(flight, "moment", -1)
                    if home.tags.overtaken(made.tags, made.began):
                        del flights[key]
                        by = home.tags.why(made)
                        home.history.note(self.serial, key, BYPASSED, by, OVERTAKEN)
                        return False
                # A load may have been entered while a writer raised its fence.
                if self.hidden is None and not (self.fences and self.fenced(values)):
                    if self.mixed and expires != math.inf:
                        # Some who read here do not look at the clock: a negative expiry sends
                        # everybody to `begin`, which does.
                        expires = -abs(expires)
                    entry: Any
                    if made is not None:
                        entry = made
                        made.writes = self.invalidations
                    else:
                        entry = Entry() if weight is None else Weighed()
                    if weight is not None:
                        entry.weight = weight
                    entry.value = value
                    entry.expires = expires
                    entry.hits = 0
                    # An object of its own: the queue of evictions tells it from earlier ones.
                    entry.key = key or _NoArguments()
                    if self.indexes:
                        self._index(entry.key, values)
                    dropped = entries.setdefault(key, entry)
                    if self.entries is not entries:
                        # To compare keys is to run their code, and that has written.
                        return False
                    if dropped is entry:
                        dropped = self._admit(self, entry)
                    else:
                        # The dictionary keeps the key it has, and the entry its place in the queue.
                        entry.key = dropped.key
                        entries[key] = entry
                        self.hits += dropped.hits
                        if dropped.deadline <= hot["time"]():
                            self.is_expired()
                        if watched:
                            home.removed(self, entry.key, dropped, "replaced")
                        dropped = home.budget.replaced(self, dropped, entry)
                else:
                    self._bypassed(key, values)
                # Only now: whoever finds no load under way finds the entry.
                if self.flights is not flights or flights.pop(key, None) is not flight:
                    self.remove(key)
                    return False
            except Exception:
                self.distrust()
                return False
            except BaseException:
                # A signal, it may be in the midst of what the policy notes.
                home.start_over()
                raise
        # What was replaced or thrown out is freed here, outside the lock.
        if type(dropped) is tuple:
            dropped[1]()
        del dropped
        if watched or active:
            home.sweep()
        return True

    def distrust(self, why: str = "arguments that cannot be compared") -> None:
        """Begin anew: keys refuse to be compared, so nothing that is here, or runs now, can be
        trusted to be found when it must be; or there is another reason, ``why``.
        """
        self._replace(Cause(why))
        self.flights = {}

    def fail(
        self,
        key: Any,
        flight: Flight,
        values: tuple[Any, ...],
        failure: Any,
        expires: float,
        tags: tuple[str, ...],
    ) -> None:
        """End a load that raised what is to be remembered, unless there is a good value."""
        with self.lock:
            entry = self.entries.get(key)
            if entry is not None and entry.deadline > hot["time"]() and self.current(entry):
                self.leave(key, flight, failed=True)
                return
        # A negative expiry sends everybody to `begin`: the hit path raises nothing.
        made = Tended()
        made.tags = tags
        self.finish(key, flight, values, failure, -expires, made)
        with self.lock:
            self.loads -= 1
            self.failures += 1

    def leave(self, key: Any, flight: Flight, failed: bool, why: str | None = None) -> None:
        """End a load that brought nothing to store."""
        with self.lock:
            self.ended(flight, failed)
            if not failed:
                self.rejected += 1
                self.home.history.note(self.serial, key, "not-stored", detail=why)
            if self.flights.get(key) is flight:
                del self.flights[key]

    # What a write does.

    def shut(self, fence: Fence, cause: Cause) -> None:
        """Begin a write: nothing affected is served, stored or joined from here on."""
        with self.lock:
            fence.cause = cause
            self.fences.append(fence)
            if self.touched is not None:
                self.touched.fence(fence)
            if not fence.succeeds:
                self.made_wrong(cause)
            if fence.hides:
                if self.hidden is None:
                    self.hidden, self.entries = self.entries, {}
            else:
                self._drop(fence, cause)
        self.home.sweep()

    def open(self, fence: Fence, cause: Cause) -> None:
        """End a write."""
        with self.lock:
            # By identity: two writers' fences may look alike, and one never lifts another's.
            self.fences = [other for other in self.fences if other is not fence]
            if self.touched is not None:
                self.touched.fence(fence)
            self._drop(fence, cause)
            if self.hidden is not None and not any(f.hides for f in self.fences):
                self.entries, self.hidden = self.hidden, None
        self.home.sweep()

    def put(
        self,
        key: Any,
        values: tuple[Any, ...],
        value: Any,
        expires: float | None,
        made: Tended | None = None,
    ) -> bool:
        """Store a value from outside: a write of one entry that begins and ends at once."""
        weight = why = None
        if self.home.watched:
            weighed = self.home.weight_of(self, values, value)
            if isinstance(weighed, str):
                why = weighed
            else:
                weight = weighed
        with self.lock:
            if self.touched is not None:
                self.touched.key(key)
            fenced = self.hidden is not None or (self.fences and self.fenced(values))
            stored = False
            if fenced or why or expires is None or not self.home.open_to_loads:
                self.remove(key)
                self.flights.pop(key, None)
                if why and not fenced:
                    self.rejected += 1
                    self.home.history.note(self.serial, key, "not-stored", detail=why)
            else:
                flight = self.flights[key] = Flight()
                flight.values = values
                flight.moment = self.home.tags.moment
                stored = self.finish(key, flight, values, value, expires, made, weight)
                self.loads -= 1
        self.home.sweep()
        return stored

    def bring(
        self,
        key: Any,
        values: tuple[Any, ...],
        value: Any,
        expires: float,
        made: Tended | None,
        moment: int,
    ) -> str | None:
        """Store a value that was remembered elsewhere, unless something newer is known of its call.

        :param moment: of the tags, when it began to be brought in; from then on ``touched`` is
            there.
        :return: `None` if it was stored, or why it was not: ``"present"``, ``"overtaken"`` or
            ``"too-heavy"``.
        """
        weight = None
        if self.home.watched:
            weighed = self.home.weight_of(self, values, value)
            if isinstance(weighed, str):
                return "too-heavy"
            weight = weighed
        with self.lock:
            touched = self.touched
            if touched is None or touched.covers(key, values) or self.hidden is not None:
                return "overtaken"
            if (self.fences and self.fenced(values)) or not self.home.open_to_loads:
                return "overtaken"
            if key in self.entries or key in self.flights:
                return "present"
            flight = self.flights[key] = Flight()
            flight.values = values
            flight.moment = moment
            stored = self.finish(key, flight, values, value, expires, made, weight)
            self.loads -= 1
        self.home.sweep()
        return None if stored else "overtaken"

    def forget(self, key: Any, cause: Cause) -> bool:
        """Forget one entry: a write of one entry that begins and ends at once."""
        with self.lock:
            if self.touched is not None:
                self.touched.key(key)
            entry = self.remove(key)
            # After the entry: a call that was just entered may have found it, and would hand it to
            # all that join.
            overtaken = self.flights.get(key)
            if overtaken is not None:
                overtaken.by = cause
            self.flights.pop(key, None)
            if entry is None:
                return False
            self.made_wrong(cause)
            self.home.history.note(self.serial, key, "invalidated", cause)
        self.home.sweep()
        return entry.deadline > read() and self.current(entry)

    def forget_if(self, key: Any, entry: Entry, cause: Cause) -> None:
        """Forget an entry, if it is still that one."""
        with self.lock:
            if self.kept.get(key) is entry:
                self.forget(key, cause)

    def outdate(self, key: Any, flight: Flight) -> None:
        """Forget what is remembered of a call whose load has found that there is nothing."""
        with self.lock:
            if self.flights.get(key) is flight:
                self.remove(key)
        self.home.sweep()

    def drop(self, key: Any, entry: Entry) -> bool:
        """Forget an entry whose value was changed in place; false if it is not there any more."""
        with self.lock:
            if self.kept.get(key) is not entry:
                return False
            self.remove(key)
            self.made_wrong(CHANGED)
            self.home.history.note(self.serial, key, "invalidated", detail=CHANGED)
        self.home.sweep()
        return True

    def forget_others(self) -> None:
        """Forget the loads and the writers of threads that are not here: see cache/forks.py."""
        self.flights = {}
        self.fences = []
        if self.hidden is not None:
            self.entries, self.hidden = self.hidden, None
            self._replace(Cause("a writer was left behind by a fork"))

    def forget_all(self, cause: Cause) -> None:
        """Forget every entry: a write of the whole method that begins and ends at once."""
        with self.lock:
            if self.touched is not None:
                self.touched.everything()
            self.made_wrong(cause)
            self._replace(cause)
        self.home.sweep()

    def _drop(self, fence: Fence, cause: Cause) -> None:
        if isinstance(fence, OldView):
            return
        if isinstance(fence, KeyFence):
            if self.remove(fence.key) is not None:
                self.home.history.note(self.serial, fence.key, "invalidated", cause)
            # After the entry, as in `forget`.
            overtaken = self.flights.pop(fence.key, None)
            if overtaken is not None:
                overtaken.by = cause
            return
        if fence.at is None or fence.values is None:
            self._replace(cause)
            return
        try:
            for key, flight in list(self.flights.items()):
                if not hasattr(flight, "values") or fence.covers(flight.values):
                    flight.by = cause
                    del self.flights[key]
            index = self.indexes[fence.at]
            for value in fence.values:
                for key in tuple(index.get(value, ())):
                    self.remove(key)
                    self.home.history.note(self.serial, key, "invalidated", cause)
        except Exception:
            # Arguments that refuse to be compared might be equal to any.
            self._replace(cause)

    def _replace(self, cause: Cause) -> None:
        kept = self._turned_out()
        # After the entries: a call that was just entered may have found one, and would hand it to
        # all that join.
        if self.flights:
            self.flights = {}
        self.overtaker = cause
        self._thrown_away(kept, cause)

    def _turned_out(self) -> dict[Any, Entry]:
        """Have no entries any more, and return those there were."""
        kept = self.kept
        if self.hidden is None:
            self.entries = {}
        else:
            self.hidden = {}
        return kept

    def _thrown_away(self, kept: dict[Any, Entry], cause: Cause) -> None:
        if not kept:
            return
        for at in self.indexes:
            self.home.discard(self, self.indexes[at], cause)
            self.indexes[at] = {}
        if self.marks:
            self.home.discard(self, self.marks, cause)
            self.marks = {}
        self.home.budget.left_all(self, len(kept))
        self.home.discard(self, kept, cause)

    # Entries.

    def current(self, entry: Entry) -> bool:
        """Whether none of the tags of an entry has been forgotten."""
        return type(entry) is not Tended or self.home.tags.holds(entry)

    @property
    def kept(self) -> dict[Any, Entry]:
        """The entries there are, also while a writer hides them."""
        return self.entries if self.hidden is None else self.hidden

    def remove(self, key: Any, cause: RemovalCause = "invalidated") -> Entry | None:
        """Take out one entry."""
        entry = self.kept.pop(key, None)
        if entry is not None:
            self.hits += entry.hits
            if cause == "expired":
                self.is_expired()
            self.home.budget.left(self, entry)
            self.home.garbage.append(entry)
            if self.home.watched:
                self.home.removed(self, key, entry, cause)
            if self.indexes:
                self.unindex(key)
        return entry

    def index(self, at: tuple[int, ...], names: tuple[str, ...] = ()) -> None:
        """Make entries findable by these arguments, for the rules that name them."""
        with self.lock:
            if at not in self.indexes:
                # The arguments of what is stored already are not known: it is loaded again.
                self._replace(Cause("a rule was declared"))
                self.indexes[at] = {}

    def _index(self, key: Any, values: tuple[Any, ...]) -> None:
        if key in self.marks:
            self.unindex(key)
        marks = []
        for at, index in self.indexes.items():
            mark = tuple([loose(values[i]) for i in at])
            index.setdefault(mark, set()).add(key)
            marks.append(mark)
        self.marks[key] = tuple(marks)

    def unindex(self, key: Any) -> None:
        """Let the rules find an entry no more."""
        for index, mark in zip(self.indexes.values(), self.marks.pop(key, ()), strict=False):
            keys = index[mark]
            keys.discard(key)
            if not keys:
                del index[mark]

    def info(self) -> CacheInfo:
        """Return what happened here so far."""
        with self.lock:
            return self.figures(read())

    def figures(self, now: float) -> CacheInfo:
        """Return the same at a moment; under the lock, or where nobody uses the table any more."""
        entries = list(self.kept.values())
        return self.counted(
            hits=self.hits + sum([entry.hits for entry in entries]),
            entries=sum([entry.deadline > now and self.current(entry) for entry in entries]),
            weight=self.weight if self.home.weighs else None,
        )

    def keyed_by(self, spec: object, timed: bool, user: object) -> None:
        """Note how calls are keyed here; whoever shares these entries must key them alike.

        :param timed: whether the user's entries can expire, and its hit path looks at the clock.
        :param user: the proxy, which is watched and not kept.
        """
        with self.lock:
            if not self._users:
                if self.keyed is not None and (self.keyed, self.timed) != (spec, timed):
                    self._replace(Cause("declared anew"))
                self.keyed, self.timed, self.mixed = spec, timed, False
            elif self.keyed != spec:
                raise ConfigurationError(
                    f"cached_methods[{self.name!r}] makes its keys in another way than the proxy "
                    "that shares these entries does; use the same key=, ignore= and tags=, another "
                    "namespace= or another cache"
                )
            elif self.timed != timed and not self.mixed:
                self.mixed = True
                self._replace(Cause("declared anew"))
            self._users[id(user)] = weakref.ref(user, partial(_left, self._users, id(user)))

    @property
    def users(self) -> list[Any]:
        """The proxies that use it, as far as they are alive."""
        users = [reference() for reference in list(self._users.values())]
        return [user for user in users if user is not None]


def _left(users: dict[int, weakref.ref[Any]], ident: int, reference: object) -> None:
    if users.get(ident) is reference:
        del users[ident]
