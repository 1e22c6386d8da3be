"""The explorer itself, apart from caches: which schedules it visits, and which it tells."""

import math

import pytest

from pussycache.testing import Pause, Program, PromiseBroken, explore
from pussycache.testing.explorer.freezing import Frozen
from pussycache.testing.explorer.search import ABANDONED
from pussycache.testing.explorer.stepwise import ACTOR, StepLock, Stepwise


class Counting(Program):
    """Actors that take so many steps each, on a counter of their own."""

    def __init__(self, *steps, marked=False):
        self.steps = steps
        self.counts = [0] * len(steps)
        self.marked = marked

    def count(self, index):
        for _ in range(self.steps[index]):
            yield "counts"
            self.counts[index] += 1

    def actors(self):
        return {f"actor {index}": self.count(index) for index in range(len(self.steps))}

    def fingerprint(self):
        return tuple(self.counts) if self.marked else None

    def check_end(self):
        assert tuple(self.counts) == self.steps


class Racing(Program):
    """Two actors add to one counter without a lock, after some steps that do not matter."""

    def __init__(self, idle=2):
        self.value = 0
        self.idle = idle
        self.places = {"ada": 0, "bob": 0}

    def add(self, name):
        for _ in range(self.idle):
            yield "does something else"
            self.places[name] += 1
        yield "reads"
        seen = self.value
        self.places[name] = "read", seen
        yield "writes"
        self.value = seen + 1
        self.places[name] = "done"

    def actors(self):
        return {name: self.add(name) for name in self.places}

    def fingerprint(self):
        return self.value, *self.places.values()

    def check_end(self):
        if self.value != 2:
            raise AssertionError(f"the counter is {self.value}")


@pytest.mark.parametrize("steps", [(1, 1), (3, 3), (2, 5), (2, 2, 2)])
def test_all_schedules(steps):
    """Without pruning, it visits as many schedules as there are ways to mix the actors' steps."""
    mixed = math.factorial(sum(steps))
    for count in steps:
        mixed //= math.factorial(count)
    found = explore(lambda: Counting(*steps))
    assert found.schedules == mixed
    assert found.longest == sum(steps)


def test_pruning_counts_the_same():
    """With pruning, each situation is visited once, and stands for as many schedules as before."""
    found = explore(lambda: Counting(4, 4, marked=True))
    assert found.schedules == math.comb(8, 4)
    assert found.states == 5 * 5
    assert found.steps == 2 * 4 * 5
    assert explore(lambda: Counting(4, 4, marked=True), prune=False).states > 25


@pytest.mark.parametrize("prune", [True, False])
def test_a_violation_is_found(prune):
    """What goes wrong is found with pruning and without, and told by the shortest schedule."""
    with pytest.raises(PromiseBroken) as caught:
        explore(Racing, prune=prune)
    assert caught.value.reason == "the counter is 1"
    assert len(caught.value.schedule) == 8
    assert len(caught.value.story) == 8


def test_the_shortest_story():
    """Of two ways to the same error the shorter one is told."""

    class Detour(Program):
        place = "start"

        def walk(self):
            yield "walks round"
            self.place = "round"
            yield "walks on"
            self.place = "goal"

        def jump(self):
            yield "jumps"
            self.place = "goal"
            self.tell("has jumped")

        def actors(self):
            return {"walker": self.walk(), "jumper": self.jump()}

        def check(self):
            if self.place == "goal":
                raise AssertionError("arrived")

    with pytest.raises(PromiseBroken) as caught:
        explore(Detour)
    assert str(caught.value) == "arrived\n  1. jumper has jumped"
    assert caught.value.schedule == ("jumper",)
    assert isinstance(caught.value, AssertionError)


def test_nobody_can_go_on():
    """Actors that wait for one another are reported, each with what it waits for."""

    class Embrace(Program):
        def __init__(self):
            self.held = set()

        def hold(self, first, second):
            for lock in (first, second):
                yield Pause(f"takes {lock}", lambda lock=lock: lock not in self.held)
                self.held.add(lock)
            self.held -= {first, second}

        def actors(self):
            return {"ada": self.hold("A", "B"), "bob": self.hold("B", "A")}

    with pytest.raises(PromiseBroken) as caught:
        explore(Embrace)
    assert caught.value.reason == "nobody can go on: ada takes B; bob takes A"
    assert caught.value.story == ("ada takes A", "bob takes B")


def test_a_hang_is_seen_before_anybody_cleans_up():
    """Who would be freed by another's clean-up hangs all the same, while that one does."""

    class Clinging(Program):
        def __init__(self):
            self.is_free = False

        def actors(self):
            return {"ada": self.ada(), "bob": self.bob()}

        def ada(self):
            try:
                yield "begins"
                yield Pause("waits for bob", lambda: False)
            finally:
                self.is_free = True

        def bob(self):
            yield Pause("waits for ada", lambda: self.is_free)

    with pytest.raises(PromiseBroken) as caught:
        explore(Clinging)
    assert caught.value.reason == "nobody can go on: ada waits for bob; bob waits for ada"


def test_an_actor_that_raises():
    """An exception out of an actor is a violation, and names the actor."""

    class Failing(Program):
        def fail(self):
            yield "fails"
            raise KeyError("key")

        def actors(self):
            return {"ada": self.fail()}

    with pytest.raises(PromiseBroken, match=r"ada raised KeyError\('key'\)"):
        explore(Failing)


def test_circles_and_size():
    """Actors that go in circles come to an end where the states are known, and are stopped else."""

    class Circle(Program):
        side = 0

        def turn(self):
            while True:
                yield "turns"
                self.side = (self.side + 1) % 4

        def actors(self):
            return {"ada": self.turn()}

        def fingerprint(self):
            return self.side

    found = explore(Circle)
    assert (found.states, found.schedules) == (4, math.inf)
    with pytest.raises(RuntimeError, match="more than 100 states"):
        explore(Circle, prune=False, most_states=100)


def test_a_program_that_differs():
    """A program that does not do the same in each run is refused."""
    runs = []

    class Different(Program):
        def step(self):
            for _ in range(3 if len(runs) < 2 else 0):
                yield "steps"

        def actors(self):
            runs.append(self)
            return {"ada": self.step(), "bob": self.step()}

    with pytest.raises(RuntimeError, match="the same each time"):
        explore(Different)


def test_actors_have_contexts():
    """Each actor runs in a context of its own, as threads do."""

    class Named(Program):
        def name(self, name):
            ACTOR.set(name)
            yield "looks"
            assert ACTOR.get() == name

        def actors(self):
            return {name: self.name(name) for name in ("ada", "bob")}

    assert explore(Named).schedules == 2
    assert ACTOR.get() == ""


def test_abandoned_actors_know():
    """An actor that is thrown away half-way can tell, so that its cleaning up does nothing."""
    ends = []

    class Tidy(Program):
        def work(self):
            try:
                yield "works"
                yield "works on"
            finally:
                if not ABANDONED.get():
                    yield "tidies up"
                ends.append(ABANDONED.get())

        def actors(self):
            return {"ada": self.work(), "bob": self.work()}

        def fingerprint(self):
            return frozen(*self.running)

    frozen = Frozen(fixed=[Tidy, list])
    assert explore(Tidy).schedules == math.comb(6, 3)
    assert set(ends) == {True, False}


class Account:
    """What is made to pause in the next tests."""

    def __init__(self):
        self.lock = StepLock()
        self.owned = 0
        self.open = 0

    def deposit(self, amount):
        """Safe."""
        with self.lock:
            seen = self.owned
            self.owned = seen + amount

    def careless(self, amount):
        seen = self.open
        self.open = seen + amount

    def unlocked(self, amount):
        self.owned = amount

    def many(self, amounts):
        for amount in amounts:
            self.deposit(amount)
        return self.owned

    def failing(self, amount):
        try:
            with self.lock:
                self.owned = amount
                raise KeyError(amount)
        except KeyError:
            self.owned_after = self.lock.count
            return "failed"


class Banking(Program):
    def __init__(self, *calls):
        self.calls = calls
        self.account = Account()
        self.results = []
        self.step = Stepwise(
            [
                vars(Account)[name]
                for name in ("deposit", "careless", "unlocked", "many", "failing")
            ],
            frozenset({"open"}),
            frozenset({"owned"}),
            lambda: self.account.lock,
            {},
        )

    def run(self, name, call):
        ACTOR.set(name)
        method, argument = call
        self.results.append((yield from self.step(getattr(self.account, method), argument)))

    def actors(self):
        return {str(number): self.run(str(number), call) for number, call in enumerate(self.calls)}


def test_stepwise_functions_race():
    """A function that is made to pause can be overtaken between its statements."""

    class Check(Banking):
        def check_end(self):
            assert self.account.open == 2

    with pytest.raises(PromiseBroken) as caught:
        explore(lambda: Check(("careless", 1), ("careless", 1)))
    assert caught.value.story[0] == "0 [Account.careless] seen = self.open"


def test_stepwise_functions_lock():
    """Its locks keep others out, and it calls what else is made to pause, in all schedules."""

    class Check(Banking):
        def check_end(self):
            assert self.account.owned == 7
            assert self.account.lock.free()

    assert explore(lambda: Check(("many", (1, 2)), ("deposit", 4))).schedules > 2


def test_stepwise_functions_release():
    """A lock is given back when its block raises."""

    class Check(Banking):
        def check_end(self):
            assert self.account.owned_after == 0
            assert "failed" in self.results

    explore(lambda: Check(("failing", 3), ("deposit", 4)))


def test_what_is_guarded_is_guarded():
    """What is changed without the lock, against what was said, is an error and no proof."""
    with pytest.raises(RuntimeError, match="without the lock"):
        explore(lambda: Banking(("unlocked", 3)))


def test_a_function_without_source():
    """A function whose source is not there cannot be made to pause."""
    space = {}
    exec("def nowhere(self): pass", space)
    with pytest.raises(RuntimeError, match="the source of nowhere is not there"):
        Stepwise([space["nowhere"]], frozenset(), frozenset(), StepLock, {})


class Plain:
    __slots__ = ("left", "right")

    def __init__(self, left, right):
        self.left, self.right = left, right


def suspended(value, *inner):
    def generator(mine, rest):
        yield
        if rest:
            yield from rest.pop()
        yield mine

    made = generator(value, list(inner))
    next(made)
    return made


def test_marks():
    """Equal heaps have equal marks; shape, values and the places of generators are told apart."""
    frozen = Frozen()
    one, other = [1], [1]
    assert frozen(Plain(one, one)) == frozen(Plain(other, other))
    assert frozen(Plain(one, one)) != frozen(Plain(one, other))
    assert frozen({"a": 1}) != frozen({"a": 2})
    assert frozen(suspended(1)) == frozen(suspended(1))
    assert frozen(suspended(1)) != frozen(suspended(2))
    further = suspended(1)
    next(further)
    assert frozen(suspended(1)) != frozen(further)
    inner = suspended(1)
    outer = suspended(0, inner)
    next(outer)  # now it stands in the inner one
    del inner
    before = frozen(outer)
    next(outer.gi_yieldfrom, None)
    assert frozen(outer) != before
    assert frozen(frozenset({"a", "b"}), {1, 2}) == frozen(frozenset({"b", "a"}), {2, 1})
    circle = []
    circle.append(circle)
    assert frozen(circle) != frozen([[]])


def test_marks_of_what_is_said():
    """Of types that are fixed nothing is told apart; of others only the slots that were named."""
    assert Frozen(fixed=[Plain])(Plain(1, 2)) == Frozen(fixed=[Plain])(Plain(3, 4))
    frozen = Frozen(slots={Plain: ("left",)})
    assert frozen(Plain(1, 2)) == frozen(Plain(1, 3)) != frozen(Plain(2, 2))
