"""The stress command counts stale answers: none, and some where the engine is broken on purpose."""

import asyncio
import io
import json
import subprocess
import sys
import threading

import pytest

import pussycache
from pussycache.engine.generations import Table
from pussycache.testing import crowd, register, stress
from pussycache.testing.register import Actor, Guarded


def test_no_answer_is_stale(capsys):
    """Threads and tasks read, write and load for a moment, and the exit code is 0."""
    assert stress.main(["--seconds", "0.3"]) == 0
    said = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert list(said) == ["reads", "writes", "loads", "stale"]
    assert said["stale"] == "0"
    # Each of the tasks has made its steps, however late the threads began.
    assert min(int(said[name]) for name in ("reads", "writes", "loads")) > 0


@pytest.mark.parametrize(
    ("url", "said"), [("foo", "url names no scheme"), ("redis://127.0.0.1:1/0", "does not answer")]
)
def test_a_server_that_cannot_be_used_is_told_from_a_stale_answer(
    url: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the command cannot run it says why, and its exit code is not that of a find."""
    assert stress.main(["--seconds", "0.1", "--url", url]) == 2
    assert said in capsys.readouterr().err


def test_however_short_the_time_each_has_its_turn(monkeypatch):
    """A thread that begins when the time is over already makes a step, and so does a task."""
    stepped = []

    async def astep(actor):
        stepped.append(actor)

    monkeypatch.setattr(Actor, "step", lambda actor: stepped.append(actor))
    monkeypatch.setattr(Actor, "astep", astep)
    monkeypatch.setattr(crowd._Run, "last", lambda work, *given: begun_late(work))

    def begun_late(work):
        work.stop.set()
        for thread in work.threads:
            thread.start()

    assert stress.run(threads=3, tasks=2).stuck == 0
    assert len(set(stepped)) == 5


@pytest.mark.parametrize(("threads", "tasks"), [(2, 0), (0, 2), (0, 1)])
def test_threads_or_tasks_alone(threads, tasks):
    """One kind of actor is enough, and all that was asked for are at work."""
    for seconds in (0.1, 1, 10):
        report = stress.run(seconds=seconds, threads=threads, tasks=tasks, keys=1)
        assert (report.threads, report.tasks, report.keys) == (threads, tasks, 1)
        assert report.ok
        if report.reads > report.loads > 0:
            return
    pytest.fail("they were not at work")


def test_as_a_command():
    """Started with -m it warns of nothing, and --json prints one object."""
    command = [sys.executable, "-W", "error", "-m", "pussycache.testing.stress"]
    ended = subprocess.run(
        [*command, "--seconds", "0.1", "--json"], capture_output=True, text=True, check=True
    )
    assert ended.stderr == ""
    report = json.loads(ended.stdout)
    assert report["stale"] == report["stuck"] == 0
    assert report["reads"] > 0


# It bites: the same register and the same actors, one protection off, the interleaving forced.


def loads_outlive_writes(monkeypatch):
    """A write takes the entries away, and leaves the running loads where they are found."""
    whole = Table._drop

    def drop(self, fence, cause):
        flights = dict(self.flights)
        whole(self, fence, cause)
        self.flights = flights

    monkeypatch.setattr(Table, "_drop", drop)


def only_the_start_forgets(monkeypatch):
    """A write takes away what there is at its start, and nothing after that."""

    def lift(self, fence, cause):
        self.fences.remove(fence)

    monkeypatch.setattr(Table, "fenced", lambda self, values: False)
    monkeypatch.setattr(Table, "open", lift)


def nothing(monkeypatch):
    """The engine as it is."""


class Held:
    """A pause that holds one thread, once, when it is to be held."""

    def __init__(self, gate):
        self.gate = gate
        self.who = None

    def __call__(self):
        if self.who is threading.current_thread():
            self.who = None
            self.gate.hold()

    async def wait(self):
        pass


@pytest.fixture
def held(gate):
    return Held(gate)


def in_a_thread(held, spawn, function, *args):
    """Call a function in a thread that is held in its first pause."""

    def call():
        held.who = threading.current_thread()
        function(*args)

    started = spawn(call)
    held.gate.reached()
    return started


@pytest.mark.parametrize("write", ["set", "fail", "replace", "by hand"])
@pytest.mark.parametrize("name", ["get", "everything"])
@pytest.mark.parametrize(
    ("broken", "stale"), [(loads_outlive_writes, 1), (nothing, 0)], ids=["broken", "whole"]
)
def test_a_load_that_a_write_overtakes(broken, stale, name, write, held, spawn, monkeypatch):
    """A value that was stored although a write had overtaken its load is counted as stale."""
    guarded = Guarded(1, held, held.wait)
    reader, actor = Actor(guarded), Actor(guarded)
    broken(monkeypatch)
    loading = in_a_thread(held, spawn, reader.read, name, 0)
    actor.write(write, 0)
    held.gate.open()
    loading.result()
    actor.read(name, 0)
    assert guarded.stale == stale
    assert len(guarded.stories) == stale


@pytest.mark.parametrize("write", ["set", "fail", "replace"])
@pytest.mark.parametrize(
    ("broken", "stale"), [(only_the_start_forgets, True), (nothing, False)], ids=["broken", "whole"]
)
def test_a_load_during_a_write(broken, stale, write, held, spawn, monkeypatch):
    """A value that was loaded before a write took effect, and served after it, is stale."""
    guarded = Guarded(1, held, held.wait)
    writer, actor = Actor(guarded), Actor(guarded)
    broken(monkeypatch)
    writing = in_a_thread(held, spawn, writer.write, write, 0)
    actor.read("pair", 0)
    held.gate.open()
    writing.result()
    actor.read("pair", 0)
    assert bool(guarded.stale) is stale


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_load_that_a_tasks_write_overtakes(cancelled, held, run, spawn, monkeypatch):
    """A write of a task is judged by, also when it is cancelled after it took effect."""
    guarded = Guarded(1, held, held.wait)
    reader, actor = Actor(guarded), Actor(guarded)
    loads_outlive_writes(monkeypatch)
    if cancelled:

        async def suspend():
            await never.wait()

        never = asyncio.Event()
        effect = register.Register.take_effect

        def and_stop(self, key, receipt):
            effect(self, key, receipt)
            guarded.register.apause = suspend

        monkeypatch.setattr(register.Register, "take_effect", and_stop)
    loading = in_a_thread(held, spawn, reader.read, "get", 0)
    run(lambda: actor.awrite(0, cancelled=cancelled))
    assert guarded.finished == [1]
    held.gate.open()
    loading.result()
    actor.read("get", 0)
    assert guarded.stale == 1
    assert guarded.stories == ["get(0) answered version 0, asked after the write of 1 had ended"]


# What it says.


def test_a_stale_answer_is_told_of_and_exits_with_1(monkeypatch, capsys):
    """The first stale answers are told of, and the exit code is 1."""
    report = stress.Report(1.0, 1, 1, 1, 10, 2, 3, stale=1, stories=["get(0) answered 1 of 2"])
    monkeypatch.setattr(stress, "run", lambda *args: report)
    assert stress.main([]) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[-2:] == ["stale              1", "get(0) answered 1 of 2"]


def test_an_error_in_a_call_is_raised(monkeypatch):
    """What a call raised ends the run, and is not counted as an answer."""

    def step(self):
        raise LookupError("from a call")

    monkeypatch.setattr(Actor, "step", step)
    with pytest.raises(LookupError, match="from a call"):
        stress.run(seconds=60, threads=1, tasks=0)


def test_a_thread_that_does_not_come_back_is_counted(gate, monkeypatch, capsys):
    """A call that hangs is reported, and the exit code is 1."""
    monkeypatch.setattr(Actor, "step", lambda self: gate.hold())
    monkeypatch.setattr(crowd, "GRACE", 0.05)
    assert stress.main(["--seconds", "0.05", "--threads", "1", "--tasks", "0"]) == 1
    assert "1 of the threads did not come back" in capsys.readouterr().out


@pytest.mark.parametrize("tty", [True, False])
def test_progress_is_for_terminals(tty, monkeypatch, capsys):
    """A run of more than two seconds tells how far it is on a terminal, and removes the line."""

    class Stream(io.StringIO):
        def isatty(self):
            return tty

    stream = Stream()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(crowd, "EARLY", 0)
    # Not over before it was looked at once.
    looks = iter([False, True])
    monkeypatch.setattr(stress, "run", lambda *given: crowd.run(*given, over=lambda: next(looks)))
    assert stress.main(["--seconds", "60", "--threads", "1", "--tasks", "0"]) == 0
    said = stream.getvalue()
    if tty:
        assert "s to go" in said
        assert said.endswith("\r")
        assert not said.split("\r")[-2].strip()
    else:
        assert said == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--seconds", "0"],
        ["--seconds", "nan"],
        ["--seconds", "soon"],
        ["--threads", "-1"],
        ["--keys", "0"],
        ["--threads", "0", "--tasks", "0"],
    ],
)
def test_bad_arguments_are_named(arguments, capsys):
    """An argument that cannot work is named, and the exit code is 2."""
    with pytest.raises(SystemExit) as ended:
        stress.main(arguments)
    assert ended.value.code == 2
    assert arguments[-2] in capsys.readouterr().err


def test_it_is_not_imported_with_the_instruments():
    """`pussycache.testing` does not import the command, or -m would import it twice."""
    code = "import sys, pussycache.testing; sys.exit('pussycache.testing.stress' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert pussycache.testing.__all__
