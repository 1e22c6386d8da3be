"""The explorer over the engine: it finds nothing wrong, and each safeguard that is taken out of the
engine is missed.

A safeguard is taken out by exchanging a piece of a method's own text, so that what is explored is
the engine as it is, but for that piece.
"""

from __future__ import annotations

import inspect
import linecache
import textwrap

import pytest

from pussycache import Cached, ConfigurationError, Forget, disabled
from pussycache.engine import flow
from pussycache.engine.generations import Table
from pussycache.engine.staleness import STALE
from pussycache.engine.writes import Write
from pussycache.testing import PromiseBroken
from pussycache.testing.explorer import Cancels, Passes, Reads, Scenario, Writes
from pussycache.testing.explorer.__main__ import main
from pussycache.testing.explorer.programs import PROGRAMS
from pussycache.testing.explorer.world import World


def without(monkeypatch, owner, name, *changes):
    """Exchange pieces of a method's text for others."""
    function = getattr(owner, name)
    text = textwrap.dedent(inspect.getsource(function))
    for piece, other in changes:
        assert text.count(piece) == 1, f"{name} has changed: adapt what is taken out of it"
        text = text.replace(piece, other)
    place = f"<{name} without {changes[0][0]}>"
    # Where the explorer finds the text of a function that has no file.
    linecache.cache[place] = len(text), None, text.splitlines(keepends=True), place
    space = dict(function.__globals__)
    exec(compile(text, place, "exec"), space)
    monkeypatch.setattr(owner, name, space[name])


def no_check_at_store(monkeypatch):
    without(
        monkeypatch,
        Table,
        "finish",
        ("if flights.get(key) is not flight:", "if False:"),
        (
            "if self.flights is not flights or flights.pop(key, None) is not flight:",
            "if flights.pop(key, None) is not flight and False:",
        ),
    )


def flights_not_replaced(monkeypatch):
    without(monkeypatch, Table, "_replace", ("if self.flights:", "if False:"))


def nothing_at_the_start(monkeypatch):
    without(monkeypatch, Table, "shut", ("self._drop(fence, cause)", "pass"))


def nothing_at_the_end(monkeypatch):
    without(monkeypatch, Table, "open", ("self._drop(fence, cause)", "pass"))


def nothing_on_an_exception(monkeypatch):
    without(monkeypatch, Write, "end", ("self._open()", "self._open(bool(result))"))
    end = "effect.on.open(fence, self._cause)"
    without(
        monkeypatch,
        Write,
        "_open",
        ("(self) -> None:", "(self, well=True) -> None:"),
        (end, "effect.on.open(fence, well and self._cause)"),
    )
    drop = "self._drop(fence, cause)"
    without(monkeypatch, Table, "open", (drop, f"cause and {drop}"))


def one_end_lifts_all_fences(monkeypatch):
    without(
        monkeypatch,
        Table,
        "open",
        ("[other for other in self.fences if other is not fence]", "[]"),
    )


def running_loads_not_marked(monkeypatch):
    without(monkeypatch, Table, "_drop", ("del self.flights[key]", "pass"))


TWICE = [Reads("get"), Reads("get")]
WRITER = {"writer": [Writes("set")]}
FAILING = {"writer": [Writes("set", fails=True)]}
WRITERS = {"writer 1": [Writes("set")], "writer 2": [Writes("reset")]}

WHOLE = {"set": ["get", "page"]}
SINGLE = {"set": [Forget("get", "key"), Forget("page", "key")]}

MUTANTS = [
    (no_check_at_store, WRITER, WHOLE),
    (flights_not_replaced, WRITER, WHOLE),
    (nothing_at_the_start, WRITER, WHOLE),
    (nothing_at_the_start, WRITER, SINGLE),
    (nothing_at_the_end, WRITER, WHOLE),
    (nothing_at_the_end, WRITER, SINGLE),
    (nothing_on_an_exception, FAILING, WHOLE),
    (one_end_lifts_all_fences, WRITERS, WHOLE),
    (running_loads_not_marked, WRITER, SINGLE),
]


MUTANT = pytest.mark.parametrize(
    ("mutant", "writers", "rules"),
    MUTANTS,
    ids=[f"{m.__name__}-{'whole' if r is WHOLE else 'single'}" for m, _, r in MUTANTS],
)


@MUTANT
def test_a_safeguard_taken_out_is_missed(monkeypatch, mutant, writers, rules):
    """Without any one of the engine's safeguards there is a schedule that breaks the promise."""
    scenario = Scenario(
        {"reader": TWICE, **writers}, writes={"set": rules["set"][:1], "reset": ["get"]}
    )
    scenario.explore()
    mutant(monkeypatch)
    with pytest.raises(PromiseBroken) as caught:
        scenario.explore()
    assert len(caught.value.schedule) < 20


@MUTANT
def test_a_safeguard_taken_out_is_missed_by_a_nested_load(monkeypatch, mutant, writers, rules):
    """The same with a load that reads another cached method through the cache."""
    two = writers is WRITERS
    # One read is enough there, and two writers make for many schedules.
    scenario = Scenario(
        {"reader": [Reads("page")] * (1 if two else 2), **writers},
        loads={"get": (), "page": ("get",)},
        writes={"set": ["page"], "reset": ["page"]} if two else rules,
    )
    mutant(monkeypatch)
    with pytest.raises(PromiseBroken):
        scenario.explore()


LARGE = ("one-key", "failing-write", "stale-for", "stale-if-error")
SMALL = [name for name in PROGRAMS if name not in LARGE]


@pytest.mark.parametrize("name", SMALL)
def test_the_engine_keeps_the_promise(name):
    """All schedules of each program that is shipped keep the promise, and nobody hangs.

    All but the largest four, which are for the command: `python -m pussycache.testing.explorer`.
    """
    found = PROGRAMS[name].scenario.explore()
    assert found.schedules > 100


OLD = pytest.mark.parametrize(
    "old",
    [
        Scenario(
            {"reader": TWICE, "clock": [Passes(30)], **WRITER},
            policies={"get": Cached(ttl=30, stale_for=30)},
        ),
        Scenario(
            {
                "reader": [Reads("get"), Reads("get", fails=True)],
                "clock": [Passes(30)],
                **WRITER,
            },
            policies={"get": Cached(ttl=30, stale_if_error=30)},
        ),
    ],
    ids=["stale_for", "stale_if_error"],
)


@OLD
def test_old_values_are_served_and_never_across_a_write(monkeypatch, old):
    """With old values about, all schedules keep the promise; and in some, an old one is served."""
    served = set()
    tell = World.tell

    def telling(world, what):
        entries = world.tables["get"].entries.values()
        if what.startswith("is given") and any(entry.stage == STALE for entry in entries):
            served.add(what)
        tell(world, what)

    monkeypatch.setattr(World, "tell", telling)
    old.explore()
    assert "is given version 0 of get(1)" in served


@OLD
@pytest.mark.parametrize("mutant", [no_check_at_store, nothing_at_the_start, nothing_at_the_end])
def test_a_safeguard_taken_out_is_missed_by_old_values(monkeypatch, mutant, old):
    """Also here there is a schedule that breaks the promise, without any one of them."""
    mutant(monkeypatch)
    with pytest.raises(PromiseBroken):
        old.explore()


def test_the_story(monkeypatch):
    """A broken promise is told as the shortest schedule, one numbered line a step, by actors."""
    nothing_at_the_start(monkeypatch)
    with pytest.raises(PromiseBroken) as caught:
        Scenario({"reader": TWICE, **WRITER}).explore()
    reason, *steps = str(caught.value).splitlines()
    assert reason == "version 0 of get(1) can be found while writer's set(1) is at work"
    assert [line.split(".")[0].strip() for line in steps] == [str(n + 1) for n in range(len(steps))]
    told = "\n".join(steps)
    for event in ("asks for get(1)", "begins to load get(1)", "reads version 0 for get(1)"):
        assert f"reader {event}" in told
    assert steps[-1].endswith("writer begins set(1); has begun set(1)")
    assert caught.value.schedule.count("writer") == 1


def test_what_is_rare_is_reached(monkeypatch):
    """Loads are also waited for, and cancelled: it is no proof of nothing."""
    seen = set()
    tell = World.tell

    def telling(world, what):
        seen.add(what)
        tell(world, what)

    monkeypatch.setattr(World, "tell", telling)
    PROGRAMS["cancelled-load"].scenario.explore()
    assert {
        "is cancelled",
        "waits for the load of get(1)",
        "begins to load get(1)",
        "is given version 0 of get(1)",
    } <= seen


def forgets_loads_first(monkeypatch):
    without(
        monkeypatch,
        Table,
        "forget",
        ("self.flights.pop(key, None)\n", "pass\n"),
        ("entry = self.remove(key)", "self.flights.pop(key, None); entry = self.remove(key)"),
    )


def replaces_loads_first(monkeypatch):
    replaced = "    if self.flights:\n        self.flights = {}\n"
    without(
        monkeypatch,
        Table,
        "_replace",
        (replaced, ""),
        ("    kept = self._turned_out()\n", f"{replaced}    kept = self._turned_out()\n"),
    )


@pytest.mark.parametrize(
    ("mutant", "name"), [(forgets_loads_first, "forget"), (replaces_loads_first, "forget-all")]
)
def test_what_is_forgotten_by_hand_is_not_handed_on(monkeypatch, mutant, name):
    """A call that found an entry just before it was forgotten hands it to no later call."""
    mutant(monkeypatch)
    with pytest.raises(PromiseBroken, match="had returned, and answered with version 0"):
        PROGRAMS[name].scenario.explore()


def test_a_wait_for_one_another_is_found(monkeypatch):
    """Loads that wait for one another are reported, where the engine would let them."""
    without(monkeypatch, flow, "answer", ("may_wait(innermost, found)", "True"))
    without(monkeypatch, flow, "answer", ("wait_over(innermost, found)", "pass"))
    with pytest.raises(PromiseBroken, match="nobody can go on: reader 1 waits for the load of"):
        PROGRAMS["mutual-loads"].scenario.explore()


def test_what_is_not_remembered():
    """Where caching is switched off, each call is computed, and the promise is kept."""
    with disabled():
        assert Scenario({"reader": TWICE, **WRITER}).explore().schedules > 100


def test_a_name_that_is_not_there():
    """A method or an actor that a scenario does not have is refused, with what there is."""
    with pytest.raises(ConfigurationError, match="only the methods get; name it in"):
        Scenario({"reader": [Reads("got")]})
    with pytest.raises(ConfigurationError, match="the actors are user; name one of them"):
        Scenario({"user": [Cancels("reader")]})
    with pytest.raises(ConfigurationError, match="writes names 'got', which is none of"):
        Scenario({"writer": [Writes("set")]}, writes={"set": ["got"]})


def test_the_command(capsys):
    """The command says what it covered, lists what it knows, and refuses what it does not."""
    assert main(["mutual-loads", "eviction"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["mutual-loads", "eviction"]
    assert all("schedules" in line and "states" in line for line in lines)
    assert main(["--list"]) == 0
    assert capsys.readouterr().out.count("\n") == len(PROGRAMS)
    with pytest.raises(SystemExit, match="2"):
        main(["no such program"])


def test_the_command_tells_the_story(monkeypatch, capsys):
    """Where the promise is broken, the command prints the schedule and its exit code is 1."""
    nothing_at_the_start(monkeypatch)
    assert main(["eviction"]) == 1
    assert "eviction: the promise is broken\n" in capsys.readouterr().out
