"""`World`: the engine of this library as a program of actors: real tables, flow, writes and rules.

The driver of the flow is here, the third one beside those for threads and for asyncio. What the
actors want is said in scenario.py, and what must hold in ledger.py.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextvars import ContextVar, Token
from inspect import CO_COROUTINE
from types import FunctionType
from typing import Any, Final, Protocol, TypeAlias

from pussycache.cache.memory import MemoryCache
from pussycache.compile import planned
from pussycache.declare.policy import Cached
from pussycache.declare.rules import Call as WriteCall
from pussycache.declare.rules import Each, Forget, Match, Target, written
from pussycache.declare.signatures import find
from pussycache.declare.templates import ForgetTag
from pussycache.effects import written_through
from pussycache.engine import beside, flow, landing, singleflight
from pussycache.engine.background import Apart
from pussycache.engine.beside import renewed
from pussycache.engine.entry import Cause, Entry, Tended
from pussycache.engine.flow import Wait
from pussycache.engine.generations import Table
from pussycache.engine.keeping import Keeping
from pussycache.engine.plan import Plan
from pussycache.engine.scopes import Scope
from pussycache.engine.singleflight import ABANDONED as GIVEN_UP
from pussycache.engine.singleflight import LOADING, Failure, Flight
from pussycache.engine.staleness import Age, Aging
from pussycache.engine.writes import Effect, Write
from pussycache.testing.clock import FakeClock
from pussycache.testing.explorer.freezing import Frozen, slots_of
from pussycache.testing.explorer.ledger import Answer, Call, Ledger, Written
from pussycache.testing.explorer.search import ABANDONED, Actor, Pause, Program
from pussycache.testing.explorer.stepwise import ACTOR, StepLock, Stepwise

__all__ = ["Acting", "Failed", "Model", "World", "names", "target_with", "time_here"]

Steps: TypeAlias = "Generator[Pause, Any, Any]"

# What is touched without the lock, and what is only read without it. The rest is its holder's.
_SHARED: Final = frozenset({"flights"})
_GUARDED: Final = frozenset({"entries", "fences", "kept"})

# The rooms of the flow.
_MODULES: Final = (flow, beside, landing)

_WORLD: Final[ContextVar[World]] = ContextVar("pussycache_explorer_world")


class Failed(Exception):
    """What loads and writes raise that are to fail."""


class Acting(Protocol):
    """What an actor does; see scenario.py."""

    def steps(self, world: World) -> Steps:
        """Do it in a world, with a scheduling point before each step."""


class Model:
    """What is the same in all runs: the methods and rules, and the engine, made to pause.

    ``words`` are the classes of what the actors do. The engine is taken as it is now: exchange a
    method of it, and what is explored has the new one.
    """

    def __init__(
        self,
        loads: Mapping[str, Sequence[str]],
        writes: Mapping[str, Sequence[Target]],
        policies: Mapping[str, Cached],
        ttl: float | None,
        max_entries: int | None,
        words: Iterable[type],
    ) -> None:
        self.loads = loads
        self.settings = ttl, max_entries
        self.target = target_with([*loads, *writes])
        self.writes = written(writes)
        self.policies = {name: policies.get(name, Cached()) for name in loads}
        self.methods = {name: find(self.target, name, "the scenario") for name in [*loads, *writes]}
        self.plans = {
            name: planned(self.methods[name], policy, ttl) for name, policy in self.policies.items()
        }
        functions = [
            found
            for space in (Table, Scope, Write, Wait, *_MODULES)
            for name, found in vars(space).items()
            if type(found) is FunctionType
            # What is awaited is for caches outside of this process.
            and not found.__code__.co_flags & CO_COROUTINE
            and not name.startswith("__")
            and (isinstance(space, type) or found.__module__ == space.__name__)
        ]
        self.step = Stepwise(
            functions,
            # Eviction changes entries inside of one statement.
            _SHARED | {"_admit"} if max_entries else _SHARED,
            _GUARDED,
            lambda: _WORLD.get().lock,
            {"may_wait": _may_wait, "wait_over": _wait_over},
        )
        budget = MemoryCache(max_entries=max_entries).budget
        # Without the record of what was evicted, and what waits to be freed.
        names = [n for n in slots_of(type(budget)) if not n.endswith(("garbage", "evicted"))]
        fixed = [
            Aging,
            Cached,
            Cause,
            Effect,
            Keeping,
            Match,
            MemoryCache,
            Model,
            Pause,
            Plan,
            Stepwise,
        ]
        self.frozen = Frozen(
            fixed=[*fixed, Token, World, type(self.target), *words],
            values=[Answer, Call, Written, frozenset],
            slots={
                type(budget): tuple(names),
                Table: ("name", "entries", "hidden", "flights", "fences", "indexes", "marks"),
                Scope: ("tables", "_fences"),
                # Who was used, and how often, matters to eviction alone.
                Entry: ("value", "expires", "key", *(["hits"] if max_entries else [])),
                Tended: ("value", "expires", "key", "age"),
                Age: ("loaded", "_fresh", "_pause_until", "_failures"),
            },
        )

    def affects(self, write: Written, call: Call) -> bool:
        """Whether a rule of a write names a call: what rules mean, said apart from the engine."""
        if write.by_hand:
            return write.key in (call, call.method)
        return any(names(rule, write, call) for rule in self.writes[write.method])


class World(Program):
    """One run: a cache, a source of truth, a clock, and actors.

    :param model: what is the same in all runs.
    :param wanted: what each actor does, in order.
    """

    def __init__(self, model: Model, wanted: Mapping[str, Sequence[Acting]]) -> None:
        self._model = model
        self._wanted = wanted
        self.step = model.step
        self.clock = FakeClock()
        self.truth: dict[Any, int] = {}
        self.cancelled: set[str] = set()
        self.ledger = Ledger(model.affects)
        ttl, max_entries = model.settings
        self._cache = MemoryCache(ttl, max_entries or 10_000)
        self.lock = self._cache.lock = StepLock()
        self._scope = Scope(self._cache, "the model", self._cache.departed)
        self._effects = written_through(
            self._scope, model.target, model.methods, model.policies, model.writes
        )
        self.tables = {name: self._scope.table(name) for name in model.loads}
        self._writes = dict.fromkeys(wanted, 0)
        # Who waits for whom is noted for the whole process: here, for this world.
        waits = {**vars(singleflight), "_waits": {}}
        self.may_wait = FunctionType(singleflight.may_wait.__code__, waits)
        self.wait_over = FunctionType(singleflight.wait_over.__code__, waits)

    # For the explorer.

    def actors(self) -> Mapping[str, Actor]:
        return {name: self._actor(name, len(wanted)) for name, wanted in self._wanted.items()}

    def _actor(self, name: str, wanted: int) -> Actor:
        ACTOR.set(name)
        _WORLD.set(self)
        # By number: what a loop still has to do is in no variable, and so in no fingerprint.
        for number in range(wanted):
            try:
                yield from self._wanted[name][number].steps(self)
            except CancelledError:
                self.tell("is cancelled")

    def fingerprint(self) -> bytes:
        bound = self._cache.budget if self._model.settings[1] else None
        return self._model.frozen(
            self.running,
            self._scope,
            self.lock,
            self.truth,
            self.cancelled,
            self.ledger.state(),
            self.clock(),
            bound,
        )

    def check(self) -> None:
        now = self.clock()
        self.ledger.findable(
            entry.value
            for table in self.tables.values()
            for entry in table.entries.values()
            if entry.deadline > now
        )

    # For actions. Each is a generator with a scheduling point before each step.

    def rest(self, text: str, ready: Callable[[], object] | None = None) -> Steps:
        """Pause where user code, or a wait, would: here an actor can be cancelled."""
        me, cancelled = ACTOR.get(), self.cancelled
        yield Pause(text, ready and (lambda: me in cancelled or ready()))
        if me in cancelled:
            cancelled.discard(me)
            raise CancelledError

    def read(
        self, call: Call, fails: bool = False, inside: tuple[Call, ...] = (), anew: bool = False
    ) -> Steps:
        """Make a call of a cached method, and check what it is answered with.

        :param fails: whether the load raises, if it comes to one.
        :param inside: the calls whose loads make this one.
        :param anew: load in any case, as `refresh` does.
        """
        steps = self.step(
            flow.reload if anew else flow.answer,
            self._model.plans[call.method],
            self.tables[call.method],
            (call.key,),
            self._model.target,
        )
        verb = "refreshes" if anew else "asks for"
        # The call begins when it looks for the first time: a moment before would promise less.
        ahead = [next(steps)]
        yield Pause(f"{verb} {call}", ahead.pop().ready if type(ahead[0]) is Pause else None)
        self.tell(f"{verb} {call}")
        asked = self.ledger.asked(call)
        beside: list[Apart] = []
        got = yield from self._drive(steps, ahead, call, fails, inside, beside)
        if type(got) is Failure:
            self.tell(f"is given the error of {call}")
            raise got.error
        self.tell(f"is given version {got.version} of {call}")
        self.ledger.answered(call, asked, got)
        for apart in beside:
            yield from self._renew(apart, call, fails)
        return got

    def _renew(self, apart: Apart, call: Call, fails: bool) -> Steps:
        """Do what a call has left to be done beside it; here, when it has been answered."""
        self.tell(f"renews {call} beside")
        steps = self.step(
            beside.apart,
            renewed,
            self._model.plans[call.method],
            self.tables[call.method],
            self._key(call),
            apart.loads[0][1] if apart.loads else None,
            (call.key,),
            self._model.target,
        )
        yield from self._drive(steps, [], call, fails, (), [])

    def _drive(
        self,
        steps: Steps,
        ahead: list[Any],
        call: Call,
        fails: bool,
        inside: tuple[Call, ...],
        beside: list[Apart],
    ) -> Steps:
        """Do what a flow asks for, and return its outcome; ``ahead`` is what it has asked already.

        What it asks to be done beside it is put into ``beside``.
        """
        got: Any = None
        step: Any
        token = None
        try:
            while True:
                step = ahead.pop() if ahead else steps.send(got)
                got = None
                if type(step) is Pause:
                    yield step
                elif type(step) is Wait:
                    got = yield from self._wait(step, steps, call)
                elif type(step) is Apart:
                    beside.append(step)
                else:
                    if step is not None:
                        step.token = token = LOADING.set(step)
                        step.start()
                    try:
                        got = yield from self._load(call, fails, inside)
                    except BaseException as error:
                        if ABANDONED.get():
                            raise
                        got = Failure(error)
                    if step is not None:
                        step.stop(got)
        except StopIteration as stop:
            got = stop.value
        finally:
            if ABANDONED.get():
                steps.close()
            elif token is not None:
                LOADING.reset(token)
        return got

    def _load(self, call: Call, fails: bool, inside: tuple[Call, ...]) -> Steps:
        after = self.ledger.loading(call)
        self.tell(f"begins to load {call}")
        parts = () if call in inside else self._model.loads[call.method]
        version: Any = ()
        for method in parts:
            part = yield from self.read(Call(method, call.key), inside=(*inside, call))
            version += (part.version,)
        if not parts:
            yield from self.rest(f"reads what {call} returns")
            version = self.truth.get(call.key, 0)
            self.tell(f"reads version {version} for {call}")
        if fails:
            self.tell(f"fails in the load of {call}")
            raise Failed
        return Answer(call, version[0] if len(parts) == 1 else version, after)

    def _wait(self, wish: Wait, steps: Steps, call: Call) -> Steps:
        told: list[Any] = []
        if not (yield from self.step(wish.join, told.append)):
            return GIVEN_UP
        try:
            self.tell(f"waits for the load of {call}")
            yield from self.rest(f"waits for the load of {call}", lambda: told)
        except BaseException:
            if not ABANDONED.get():
                yield from _closing(steps)
            raise
        return told[0]

    def write(self, method: str, key: Any, fails: bool = False) -> Steps:
        """Make a call of an invalidating method: what it writes is a new version of the key."""
        noted = self._noted(method, key, fails)
        call = f"{method}({key!r})"
        write = Write(method, self._effects[method], {"key": key})
        yield from self._said(f"begins {call}", self.step(write.begin, inside=True))
        self.tell(f"has begun {call}")
        self.ledger.begun(noted)
        result: tuple[Any, ...] = (key,)
        error: BaseException | None = None
        try:
            yield from self.rest(f"writes in {call}")
            for one in key if isinstance(key, tuple) else (key,):
                self.truth[one] = self.truth.get(one, 0) + 1
                self.tell(f"writes version {self.truth[one]}")
            if fails:
                raise Failed
        except BaseException as raised:
            if ABANDONED.get():
                raise
            result, error = (), raised
        ending = self._said(
            f"{'leaves' if error is None else 'raises in'} {call}", self.step(write.end, *result)
        )
        yield next(ending)
        self.ledger.over(noted)
        yield from ending
        self.tell(f"returns from {call}" if error is None else f"raises from {call}")
        self.ledger.returned(noted)
        if isinstance(error, CancelledError):
            raise error

    def _noted(self, method: str, key: Any, fails: bool = False, by_hand: bool = False) -> Written:
        me = ACTOR.get()
        self._writes[me] += 1
        return Written(me, self._writes[me], method, key, fails, by_hand)

    def _said(self, text: str, steps: Steps) -> Steps:
        """Take steps, and announce the first of them by a text."""
        first = next(steps, None)
        yield Pause(text, None if first is None else first.ready)
        self.tell(text)
        return (yield from steps)

    def forget(self, call: Call) -> Steps:
        """Forget one call by hand, which is a write of it."""
        step = self.step(self.tables[call.method].forget, self._key(call), Cause("forget"))
        return self._by_hand("forget", call, step)

    def forget_all(self, method: str) -> Steps:
        """Forget all calls of a method by hand, which is a write of them."""
        step = self.step(self.tables[method].forget_all, Cause("forget_all"))
        return self._by_hand("forget_all", method, step)

    def put(self, call: Call) -> Steps:
        """Put what a load would bring now in the place of what is remembered: a write, too."""
        yield Pause(f"begins put of {call}", self.lock.free)
        noted = self._noted("put", call, by_hand=True)
        version = self.truth.get(call.key, 0)
        value = Answer(call, version, self.ledger.loading(call) | {noted})
        kept = self._model.plans[call.method].keeping.of(value, self._model.target)
        put = self.tables[call.method].put
        steps = self.step(put, self._key(call), (call.key,), kept.stored, kept.expires)
        # It wants the lock, and can have it: the value is of the moment when it is put there.
        next(steps)
        self.ledger.over(noted)
        yield from steps
        self.tell(f"ends put of {call}")
        self.ledger.returned(noted)

    def _by_hand(self, verb: str, key: Call | str, steps: Steps) -> Steps:
        noted = self._noted(verb, key, by_hand=True)
        doing = self._said(f"begins {verb} of {key}", steps)
        yield next(doing)
        # What made the call wrong has happened by now: what is loaded from here on is right.
        self.ledger.over(noted)
        yield from doing
        self.tell(f"ends {verb} of {key}")
        self.ledger.returned(noted)

    def _key(self, call: Call) -> Any:
        return self._model.plans[call.method].encode((call.key,), self._model.target)

    def evict(self, call: Call) -> Steps:
        """Throw an entry out, as a full cache does."""
        table = self.tables[call.method]
        yield from self._said(f"evicts {call}", self.step(self.lock.acquire))
        yield from self.step(table.remove, self._key(call))
        self.lock.release()

    def call_off(self, name: str) -> Steps:
        """Cancel what another actor does, where it next comes to a wait or to user code."""
        yield Pause(f"cancels {name}")
        self.cancelled.add(name)


def time_here() -> float:
    """Tell the time of the world that the current actor lives in."""
    return _WORLD.get().clock()


def _may_wait(innermost: Flight | None, wanted: Flight) -> bool:
    allowed: bool = _WORLD.get().may_wait(innermost, wanted)
    return allowed


def _wait_over(innermost: Flight | None, wanted: Flight) -> None:
    _WORLD.get().wait_over(innermost, wanted)


def _closing(steps: Steps) -> Steps:
    """Close a flow that may pause while it is closed."""
    try:
        step = steps.throw(GeneratorExit())
        while True:
            yield step
            step = next(steps)
    except (GeneratorExit, StopIteration):
        pass


def target_with(names: Sequence[str]) -> Any:
    """Return an object with such methods, all of one parameter; they are never called."""

    def method(self: object, key: Any) -> None: ...

    return type("Target", (), dict.fromkeys(names, method))()


def names(rule: Forget | ForgetTag, write: Written, call: Call) -> bool:
    """Whether a rule of a write names a call."""
    # What a tag is on is not said here.
    if isinstance(rule, ForgetTag) or rule.method not in ("*", call.method):
        return False
    said = WriteCall({"key": write.key})
    if not write.fails:
        said.result = write.key
    for source in rule.mapped.values():
        each = isinstance(source, Each)
        source = source.source if isinstance(source, Each) else source
        try:
            value = write.key if isinstance(source, str) else source(said)
        except Exception:
            # A rule that cannot be computed forgets the whole method.
            continue
        if call.key not in value if each else call.key != value:
            return False
    return True
