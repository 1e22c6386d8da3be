"""The promise over a cache of Django's, step by step, in schedules that chance makes.

Each program is a process: it shares nothing with the others but what is in the backend. Before
every step of the backend's, and around each load and effect, any other may come.
"""

import os
import random
from functools import partial

import greenlet
import pytest
from django.test import override_settings
from stepping import SteppingCache, pause

import pussycache
from pussycache import DjangoCache, Forget
from pussycache.cache.shared.keeper import Keeper

SCHEDULES = int(os.environ.get("SCHEDULES", 150))


class Register:
    """A number that writes count up: no answer is less than it was when the last write ended."""

    def __init__(self, world):
        self.world = world

    def __cache_identity__(self):
        return "register"

    def read(self, key: int) -> int:
        pause()
        value = self.world.value
        pause()
        return value

    def write(self, key: int) -> None:
        self.effect()

    def write_all(self) -> None:
        self.effect()

    def effect(self) -> None:
        pause()
        self.world.value += 1
        greenlet.getcurrent().effect = self.world.value
        pause()


class World:
    """One schedule."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.value = 0
        self.floor = 0
        self.stale = []
        self.hits = 0
        self.buried = []

    def process(self, knows_rule=True):
        # Some who only read have never heard of the rule.
        rules = {"write": [Forget("read", "key")], "write_all": ["read"]}
        return pussycache.wrap(
            Register(self),
            DjangoCache(),
            cached_methods=["read"],
            invalidate_methods=rules if knows_rule else {},
        )

    def reader(self, proxy, times):
        for _ in range(times):
            floor = self.floor
            got = proxy.read(1)
            if got < floor:
                self.stale.append((got, floor))
            pause()
        self.hits += pussycache.info(proxy.read).hits

    def writer(self, proxy, name, later):
        for _ in range(later):
            pause()
        getattr(proxy, name)(*((1,) if name == "write" else ()))
        self.floor = max(self.floor, greenlet.getcurrent().effect)

    def alone(self, function, *args):
        """Run something with nobody else about."""
        program = greenlet.greenlet(function)
        while not program.dead:
            program.switch(*args)
            args = ()

    def run(self, deaths):
        SteppingCache.begin()
        choice, number = self.random.choice, self.random.randrange
        if choice([True, False]):
            self.alone(self.reader, self.process(choice([True, False])), 1)
        programs = [
            partial(self.reader, self.process(choice([True, True, False])), number(1, 8))
            for _ in range(number(1, 4))
        ]
        writers = [
            partial(self.writer, self.process(), choice(["write", "write_all"]), number(40))
            for _ in range(number(1, 4))
        ]
        writing = [greenlet.greenlet(writer) for writer in writers]
        for one in writing:
            one.effect = 0
        alive = [*writing, *[greenlet.greenlet(program) for program in programs]]
        # Most are killed when they have taken effect.
        doomed = [one for one in writing if deaths and choice([True, False])]
        dead = []
        # From one step each to many in a row: what goes wrong may need either.
        staying, one = choice([0.0, 0.5, 0.8, 0.95]), None
        while alive:
            if one not in alive or self.random.random() >= staying:
                one = choice(alive)
            if one in doomed and (one.effect or self.random.random() < 0.01):
                # Its process is killed: it makes no step any more, and says nothing.
                dead.append(one)
                alive.remove(one)
                continue
            one.switch()
            alive = [one for one in alive if not one.dead]
            if dead and not any(one in alive for one in writing):
                self.lapse(dead)
                dead = []
        self.lapse(dead)
        self.alone(self.reader, self.process(), 3)
        # What was killed runs to its end now, not when it is collected, and reaches nothing.
        SteppingCache.is_over = True
        for one in self.buried:
            one.throw()

    def lapse(self, dead):
        """Let the fences of the dead lapse: from then on they count as ended."""
        self.buried += dead
        SteppingCache.now += 12
        self.floor = max([self.floor, *[one.effect for one in dead]])


@pytest.fixture
def stepping(monkeypatch):
    monkeypatch.setattr(Keeper, "_wake", lambda self: None)
    with override_settings(CACHES={"default": {"BACKEND": "stepping.SteppingCache"}}):
        yield


@pytest.mark.usefixtures("stepping")
@pytest.mark.parametrize("deaths", [False, True], ids=["alive", "killed"])
def test_no_schedule_gives_a_stale_answer(deaths):
    """Whatever the order of steps, and wherever writers are killed, no answer is too old."""
    hits = 0
    for seed in range(SCHEDULES):
        world = World(seed)
        world.run(deaths)
        assert world.stale == [], f"schedule {seed}"
        hits += world.hits
    # It is no proof if nothing is ever served.
    assert hits > SCHEDULES
