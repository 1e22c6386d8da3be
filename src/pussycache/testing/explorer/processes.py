"""`Running`: one process of a program over the shared tier: its tables, its flows, its keeper.

The driver of the flows is here, and each command that they send is a step. What there is beside the
processes is in network.py, what the actors want in sharing.py.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, TypeAlias, cast

from pussycache.cache.memory import MemoryCache
from pussycache.cache.shared import consulting, flow
from pussycache.cache.shared.elsewhere import Elsewhere
from pussycache.cache.shared.keeper import Keeper
from pussycache.cache.shared.lease import AGAIN
from pussycache.cache.shared.nearby import LocalScope
from pussycache.cache.shared.operations import SHARED
from pussycache.cache.shared.scripts import (
    CREATE,
    END,
    LIFT,
    MARK,
    RELEASE,
    RENEW,
    START,
    STORE,
)
from pussycache.cache.shared.tables import SharedScope, SharedTable
from pussycache.cache.shared.tags import SharedTags
from pussycache.cache.shared.tier import Tier
from pussycache.cache.shared.tiered import KNOWN
from pussycache.effects import written_through
from pussycache.engine.asking import Ask
from pussycache.engine.entry import Cause
from pussycache.engine.fences import Fence
from pussycache.engine.flow import Wait
from pussycache.engine.singleflight import ABANDONED as GIVEN_UP
from pussycache.engine.singleflight import LOADING, Failure
from pussycache.engine.writes import Effect, Write
from pussycache.errors import BackendUnavailable
from pussycache.testing.explorer.ledger import Answer, Call, Written
from pussycache.testing.explorer.pushes import Pushes
from pussycache.testing.explorer.search import ABANDONED, Pause
from pussycache.testing.explorer.stepwise import ACTOR
from pussycache.testing.explorer.world import Failed
from pussycache.types import MISSING

Network: TypeAlias = Any
"""What network.py says of all processes together; it stands above this module."""

__all__ = ["Bell", "PatientKeeper", "Running", "Steps", "Told", "asks", "same_steps"]

Steps: TypeAlias = "Generator[Pause, Any, Any]"

_CUT: Final = object()
"""What an attempt to ask comes to where the server is out of reach."""

_SCRIPTS: Final = {
    START.sha: "START",
    CREATE.sha: "CREATE",
    END.sha: "END",
    STORE.sha: "STORE",
    RELEASE.sha: "RELEASE",
    RENEW.sha: "RENEW",
    MARK.sha: "MARK",
    LIFT.sha: "LIFT",
}

# What the bytes of an entry stand for. The same bytes are the same answer in all runs.
_answers: Final[dict[bytes, Answer]] = {}


class _Given:
    """An answer from outside: it is of the moment when it is written, as a load's is."""

    def __init__(self, make: Callable[[], Answer]) -> None:
        self.make = make


class _Codec:
    """Writes answers so that what is equal has equal bytes."""

    name = "answers"

    def bind(self, annotation: object, /) -> _Codec:
        return self

    def encode(self, value: Any, /) -> bytes:
        if isinstance(value, _Given):
            value = value.make()
        body = repr((value.call, value.version, sorted(value.after))).encode()
        _answers[body] = value
        return body

    def decode(self, data: bytes | memoryview, /) -> object:
        return _answers[bytes(data)]


class Bell:
    """Stands for the condition that a keeper waits for."""

    def __init__(self, keeper: PatientKeeper) -> None:
        self._keeper = keeper

    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...

    def notify(self) -> None: ...

    def wait(self, timeout: float) -> None: ...

    def waits(self, timeout: float) -> Steps:
        """Wait until there is something to do, which may never be."""
        running = self._keeper.running
        yield running.pause("wakes up", self._keeper.is_due, needless=True)


class PatientKeeper(Keeper):
    """A keeper without a thread: it is an actor."""

    def __init__(self, tier: Tier, running: Running) -> None:
        self.running = running
        super().__init__(tier)

    def forget_others(self) -> None:
        super().forget_others()
        self._mutex = self._changed = cast(Any, Bell(self))

    def _wake(self) -> None: ...

    def is_due(self) -> bool:
        """Whether there is something to do now."""
        due = self._due()
        return due is not None and due <= self.running.network.seconds

    def state(self) -> tuple[Any, ...]:
        """Return what it has to do, for fingerprints."""
        kept = [*self._fences.items()], [*self._leases.items()]
        return (*kept, self._released, self._deliver_at)

    def renews(self, lease: bytes) -> bool:
        """Whether it keeps a lease from lapsing."""
        return lease in self._leases


class Told:
    """Stands for what tells a process that somebody has let go of a lease."""

    hears = True
    heard = 0

    def __init__(self) -> None:
        self._waiting: dict[bytes, list[Callable[[], object]]] = {}

    def join(self, key: bytes, wake: Callable[[], object], since: int) -> bool:
        """Have somebody woken."""
        self._waiting.setdefault(key, []).append(wake)
        return True

    def tell(self, key: bytes) -> None:
        """Wake those who wait for a lease."""
        for wake in self._waiting.pop(key, ()):
            wake()


class Running:
    """One process, until it is killed.

    :param process: what it is: the rules that it declares, how long its fences stand.
    """

    def __init__(self, network: Network, name: str, number: int, process: Any) -> None:
        model = network.model
        self.network = network
        self.name = name
        self.number = number
        self.lives = True
        # Whether the server is out of its reach.
        self.is_cut = False
        self.told = Told()
        self.tier = Tier(
            cast(Any, None),
            cast(Any, self.told),
            b"p",
            None,
            cast(Any, SHARED),
            _Codec(),
            model.sealer,
            buckets=1,
            refuses=process.refuses,
        )
        self.tier.fence_ms = int(process.fence * 1000)
        self.keeper = self.tier.keeper = PatientKeeper(self.tier, self)
        tags = SharedTags(self.tier, model.home.lock)
        self.pushes: Pushes | None = None
        self.plans = model.plans
        self.scope = SharedScope(model.home, "the model", self.tier, tags, "o")
        if process.local:
            self.home = MemoryCache(None, max_entries=100)
            self.pushes = Pushes(self)
            self.plans = model.local_plans
            near = self.pushes.near
            self.scope = LocalScope(self.home, "the model", self.tier, tags, "o", near)
        self._known: dict[str, list[Effect]] | None = None
        if model.rules[name]:
            # The tables learn of them.
            self._known = self._effects
        self.tables = {method: self._table(method) for method in model.policies}
        self._writes: dict[str, int] = {}
        # Whose write has begun: by the actor.
        self.at_work: dict[str, Written] = {}

    def _table(self, method: str) -> SharedTable:
        return cast(SharedTable, self.scope.table(method))

    @property
    def _effects(self) -> dict[str, list[Effect]]:
        if self._known is None:
            model = self.network.model
            self._known = written_through(
                self.scope, model.target, model.methods, model.policies, model.writes[self.name]
            )
        return self._known

    # For the explorer.

    def state(self) -> tuple[Any, ...]:
        """Return all that decides how it goes on, for fingerprints."""
        if not self.lives:
            return ()
        pushed = self.pushes and self.pushes.unread
        server = self.tier._pending, self.is_cut, pushed
        return self.scope, self.keeper.state(), self.at_work, server

    def found(self, call: Call) -> Answer | None:
        """Return what a call would be answered with from the server, now."""
        plan, table = self.plans[call.method], self.tables[call.method]
        known = consulting.named(plan, table, (call.key,), self.network.model.target)
        if known is None or not self.tier.trusted:
            return None
        replies = [self.network.server.do(command) for command in known.look()]
        seen = replies, self.network.server.replication
        found = flow.serve(plan, table, known, seen)
        return None if found is MISSING else cast(Answer, found)

    def pause(
        self, text: str, ready: Callable[[], object] | None = None, needless: bool = False
    ) -> Pause:
        """Return a scheduling point of this process, at which it may be killed."""
        return Pause(
            text,
            lambda: self.lives and (ready is None or ready()),
            lambda: needless or not self.lives,
        )

    # Asking.

    def ask(
        self, ask: Ask, at_once: bool = False, before: Callable[[], object] | None = None
    ) -> Steps:
        """Send commands, each a step, and return what a `Tier` returns.

        :param at_once: the first of them belongs to the step that is being done.
        :param before: is called right before the first of them is carried out.
        """
        if ask.link is KNOWN:
            return ask.link.ask(*ask.what)
        if ask.link is not self.tier:
            return None
        _, commands, *again = ask.what
        for _ in range(2 if not again or again[0] else 1):
            seen = yield from self._attempt(commands, at_once, before)
            if seen is _CUT:
                return None
            if seen is not None:
                return seen
            at_once, before = False, None
        return None

    def _attempt(
        self,
        commands: Sequence[Any],
        at_once: bool,
        before: Callable[[], object] | None,
    ) -> Steps:
        network, me = self.network, ACTOR.get()
        replies: list[Any] = []
        connected = b""
        for number in range(len(commands)):
            shown = _shown(commands[number])
            if number or not at_once:
                yield self.pause(f"sends {shown}")
            if not number and before is not None:
                before()
            if self.is_cut:
                self.network.tell(f"cannot send {shown}")
                return _CUT
            connected = connected or network.server.replication
            if me in network.lost or connected != network.server.replication:
                # What came of those before it is not known.
                network.lost.discard(me)
                network.unread.discard(me)
                self.network.tell(f"has lost its connection before {shown}")
                return None
            replies.append(network.carry_out(commands[number], self))
            network.tell(f"sends {shown}: {_said(replies[-1])}")
            if network.model.slow:
                network.unread.add(me)
        if network.model.slow:
            yield self.pause("reads the replies")
            network.unread.discard(me)
            if me in network.lost:
                network.lost.discard(me)
                self.network.tell("gets no reply")
                return None
        return replies, connected

    # For actions. Each is a generator with a scheduling point before each step.

    def read(self, call: Call, fails: bool = False, anew: bool = False) -> Steps:
        """Make a call of a cached method, and check what it is answered with.

        :param fails: whether the load raises, if it comes to one.
        :param anew: load in any case, as `refresh` does.
        """
        network = self.network
        plan, table = self.plans[call.method], self.tables[call.method]
        key, target, far = (call.key,), network.model.target, plan.far
        verb = "refreshes" if anew else "asks for"
        yield self.pause(f"{verb} {call}")
        network.tell(f"{verb} {call}")
        asked = network.ledger.asked(call)
        got: Any = MISSING
        if anew:
            steps = far.reload(plan, table, key, target)
        else:
            begun: tuple[Any, Any] = None, None
            found = far.begin(plan, table, key, target)
            if found is not None:
                seen = yield from self.ask(found[0], at_once=True)
                got = far.serve(plan, table, found[1], seen)
                begun = found[1], seen
            steps = far.answer(plan, table, key, target, begun)
        if got is MISSING:
            got = yield from self._drive(steps, call, fails, at_once=anew)
        if type(got) is Failure:
            network.tell(f"is given the error of {call}")
            raise got.error
        network.tell(f"is given version {got.version} of {call}")
        network.ledger.answered(call, asked, got)
        return got

    def _drive(
        self, steps: Generator[Any, Any, Any], call: Call, fails: bool, at_once: bool
    ) -> Steps:
        """Do what a flow asks for, and return its outcome."""
        got: Any = None
        token = None
        try:
            while True:
                step = steps.send(got)
                if token is not None:
                    LOADING.reset(token)
                    token = None
                if type(step) is Ask:
                    got = yield from self.ask(step, at_once)
                    at_once = False
                elif type(step) is Elsewhere:
                    got = yield from self._elsewhere(step, call)
                elif isinstance(step, Wait):
                    got = yield from self._wait(step, call)
                else:
                    if step is not None:
                        step.token = token = LOADING.set(step)
                        step.start()
                    got = yield from self._load(call, fails)
                    if step is not None:
                        step.stop(got)
        except StopIteration as stop:
            return stop.value
        finally:
            if ABANDONED.get():
                steps.close()
            elif token is not None:
                LOADING.reset(token)

    def _load(self, call: Call, fails: bool) -> Steps:
        network = self.network
        after = network.ledger.loading(call)
        network.tell(f"begins to load {call}")
        yield self.pause(f"reads what {call} returns")
        version = network.truth.get(call.key, 0)
        network.tell(f"reads version {version} for {call}")
        if fails:
            network.tell(f"fails in the load of {call}")
            return Failure(Failed())
        return Answer(call, version, after)

    def _wait(self, wish: Wait, call: Call) -> Steps:
        told: list[Any] = []
        if not wish.join(told.append):
            return GIVEN_UP
        self.network.tell(f"waits for the load of {call}")
        yield self.pause(f"waits for the load of {call}", lambda: told)
        return told[0]

    def _elsewhere(self, wish: Elsewhere, call: Call) -> Steps:
        """Wait to be woken; or until the lease has lapsed, if there is nobody who would."""
        network = self.network
        told: list[Any] = []
        wish.join(told.append)
        network.tell(f"waits for the load of {call} elsewhere")
        key: Any = wish._key
        yield self.pause(
            f"waits for the load of {call} elsewhere", lambda: told or not network.is_leased(key)
        )
        if not told:
            # Its time is over sooner than anything else happens.
            network.server.remove(key)
        return AGAIN

    def write(self, method: str, key: Any, fails: bool = False) -> Steps:
        """Make a call of an invalidating method: what it writes is a new version of the key."""
        network, me = self.network, ACTOR.get()
        noted = self._noted(method, key, fails)
        call = f"{method}({key!r})"
        write = Write(method, self._effects[method], {"key": key})
        step = network.model.step
        yield self.pause(f"begins {call}")
        network.tell(f"begins {call}")
        try:
            yield from self._tell(step(write.begin, inside=True), at_once=True)
        except BackendUnavailable:
            network.tell(f"{call} is refused")
            network.forget_fences(me)
            return
        network.tell(f"has begun {call}")
        network.ledger.begun(noted)
        self.at_work[me] = noted
        yield self.pause(f"writes in {call}")
        for one in key if isinstance(key, tuple) else (key,):
            network.truth[one] = network.truth.get(one, 0) + 1
            network.tell(f"writes version {network.truth[one]}")
        ending = step(write.end, *(() if fails else (key,)))
        yield from self._tell(ending, before=lambda: network.ledger.over(noted))
        network.ledger.over(noted)
        del self.at_work[me]
        network.forget_fences(me)
        network.tell(f"{'raises' if fails else 'returns'} from {call}")
        network.ledger.returned(noted)

    def _noted(self, method: str, key: Any, fails: bool = False, by_hand: bool = False) -> Written:
        me = ACTOR.get()
        self._writes[me] = self._writes.get(me, 0) + 1
        return Written(me, self._writes[me], method, key, fails, by_hand)

    def _tell(
        self,
        steps: Generator[Any, Any, Any],
        at_once: bool = False,
        before: Callable[[], object] | None = None,
    ) -> Steps:
        """Carry out what only asks, and return its outcome."""
        got: Any = None
        try:
            while True:
                step = steps.send(got)
                if type(step) is Pause:
                    yield step
                    got = None
                    continue
                got = yield from self.ask(step, at_once, before)
                at_once, before = False, None
        except StopIteration as stop:
            return stop.value
        finally:
            if ABANDONED.get():
                steps.close()

    def tend(self) -> Steps:
        """Be the keeper of this process."""
        return self._tell(self.network.model.step(self.keeper._run))

    def forget(self, call: Call) -> Steps:
        """Forget one call by hand, which is a write of it."""
        plan, table = self.plans[call.method], self.tables[call.method]
        me = self.network.model.target
        steps = plan.far.forget(plan, table, (call.key,), me, Cause("forget"))
        return self._by_hand("forget", call, steps)

    def forget_all(self, method: str) -> Steps:
        """Forget all calls of a method by hand, which is a write of them."""
        return self._by_hand("forget_all", method, self._forgets_all(self.tables[method]))

    def _forgets_all(self, table: SharedTable) -> Generator[Ask, Any, None]:
        cause = Cause("forget_all")
        yield from table.distant.replacing(Fence(), cause)
        table.forget_all(cause)

    def put(self, call: Call) -> Steps:
        """Put what a load would bring now in the place of what is remembered: a write, too."""
        network = self.network
        plan, table = self.plans[call.method], self.tables[call.method]
        yield self.pause(f"begins put of {call}")
        network.tell(f"begins put of {call}")
        noted = self._noted("put", call, by_hand=True)
        value = _Given(
            lambda: Answer(
                call, network.truth.get(call.key, 0), network.ledger.loading(call) | {noted}
            )
        )
        network.ledger.over(noted)
        steps = plan.far.put(plan, table, (call.key,), network.model.target, value, "function")
        yield from self._tell(steps, at_once=True)
        network.tell(f"ends put of {call}")
        network.ledger.returned(noted)

    def _by_hand(self, verb: str, key: Call | str, steps: Generator[Any, Any, Any]) -> Steps:
        network = self.network
        noted = self._noted(verb, key, by_hand=True)
        yield self.pause(f"begins {verb} of {key}")
        network.tell(f"begins {verb} of {key}")
        # What made the call wrong has happened by now: what is loaded from here on is right.
        network.ledger.over(noted)
        yield from self._tell(steps, at_once=True)
        network.tell(f"ends {verb} of {key}")
        network.ledger.returned(noted)


def asks(tier: Tier, key: bytes, commands: Any, again: bool = True) -> Generator[Any, Any, Any]:
    """Do in steps what `Tier.ask` does."""
    return (yield Ask(cast(Any, tier), key, commands, again))


def same_steps(steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Do in steps what `carry` does."""
    return steps


def _shown(command: Sequence[Any]) -> str:
    """Return a command for the story."""
    name = _SCRIPTS.get(command[1]) if command[0] == b"EVALSHA" else None
    keys = command[3 : 3 + command[2]] if name else command[1:]
    if not name:
        name = command[0].decode()
        keys = keys if name in ("MGET", "DEL", "UNLINK", "EXISTS") else keys[:1]
    return f"{name} {' '.join([key.decode('ascii', 'replace') for key in keys[:3]])}"


def _said(reply: Any) -> str:
    if isinstance(reply, list):
        return "[" + ", ".join(map(_said, reply)) + "]"
    if not isinstance(reply, bytes):
        return "nothing" if reply is None else str(reply)
    if reply[:1] == b"W":
        return f"{reply.count(b'=')} at work"
    if reply[:1] == b"T" and len(reply) > 16:
        return f"token {reply[1:4].hex()} {reply[17:].decode()}".rstrip()
    return reply.decode("ascii") if reply.isascii() and len(reply) < 20 else "an entry"
