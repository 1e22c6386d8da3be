"""The promise, at every line: a load is stopped before each line of the engine, and a write starts,
ends, or does both, there.

The write runs in the trace function, in the same thread: nothing depends on the scheduler. Where
the cache's lock is held no other thread could come in, so the write waits for the next line.
"""

import contextvars
import os
import random
import sys
import time

import pytest

import pussycache
from pussycache import MISSING, Forget, MemoryCache
from pussycache.engine import clock, flow

ENGINE = os.path.dirname(flow.__file__)


@pytest.fixture(autouse=True)
def in_python():
    """Nothing is left to the C extension, which has no lines and no part in another clock."""
    with clock.replaced(lambda: time.monotonic()):
        yield


class Source:
    """Every load returns its own number, and notes how many writes had ended when it began."""

    def __init__(self):
        self.began = {}
        self.at_work = 0
        self.ended = 0
        self.loading = None

    def read(self, key):
        number = len(self.began)
        self.began[number] = self.ended
        self.loading = number
        number = self.read_on(number)
        self.loading = None
        return number

    def read_on(self, number):
        return number

    def write(self, key):
        pass

    def write_again(self, key):
        pass


class Nested(Source):
    """The load reads another cached method, whose number it returns."""

    proxy = None

    def part(self, key):
        return Source.read(self, key)

    def read(self, key):
        return self.proxy.part(key)


RULES = {
    "method": lambda name: name,
    "everything": lambda name: "*",
    "argument": lambda name: Forget(name, "key"),
    "callable": lambda name: Forget(name, key=lambda call: call.args["key"]),
}


class Run:
    """One load of key 1, with events before chosen lines."""

    def __init__(self, rule, nested=False, warm=False):
        self.source = Nested() if nested else Source()
        names = ["part", "read"] if nested else ["read"]
        self.cache = MemoryCache()
        self.proxy = pussycache.wrap(
            self.source,
            self.cache,
            cached_methods=names,
            invalidate_methods={
                name: [RULES[rule](read) for read in names] for name in ("write", "write_again")
            },
        )
        self.source.proxy = self.proxy
        if warm:
            (self.proxy.part if nested else self.proxy.read)(1)
        self.writing = {}
        self.step = 0

    def declare(self):
        """A second proxy of the object, which makes entries findable by their argument."""
        return pussycache.wrap(
            self.source,
            self.cache,
            invalidate_methods={"write_again": [Forget("read", "key")]},
        )

    def load(self, events):
        """Call, and let each event happen before its line; return the number of lines."""
        self.events = sorted(events, key=lambda event: event[0])
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            got = self.proxy.read(1)
        finally:
            sys.settrace(before)
        while self.events:
            self._happen()
        self.look()
        assert got in self.source.began
        number = self.proxy.read(1)
        assert self.source.began[number] == self.source.ended, "a later call was given an old value"
        assert self.proxy.read(1) == number, "nothing is remembered any more"
        return self.step

    def _trace(self, frame, event, arg):
        name = frame.f_code.co_filename
        if name == "<pussycache>" or name.startswith(ENGINE) or name == __file__:
            frame.f_trace_opcodes = False
            return self._line
        return None

    def _line(self, frame, event, arg):
        if event == "line":
            self.step += 1
            while (
                self.events and self.events[0][0] <= self.step and not self.cache.lock._is_owned()
            ):
                self._happen()
            if self.step % 3 == 0:
                self.look()
        return self._line

    def _happen(self):
        _, what, name = self.events.pop(0)
        source, proxy = self.source, self.proxy
        if what == "start":
            self.writing[name] = pussycache.writing(getattr(proxy, name), 1)
            source.at_work += 1
            self.writing[name].__enter__()
            self.look()
        elif what == "declare":
            self.declared = self.declare()
        elif what == "write":
            self.declared.write_again(1)
            source.ended += 1
            self.look()
            assert not self.joins(), "a later call would wait for an old load"
        elif what == "call":
            if not self.table().flights:
                contextvars.Context().run(proxy.read, 1)
        elif what == "wait":
            name.append(self.spawn(proxy.read, 1))
            self.until(lambda: not name[-1].thread.is_alive() or any(self.table().flights.values()))
        elif what == "release":
            name.gate.open()
            self.until(
                lambda: not name.calling.thread.is_alive() or any(self.table().flights.values())
            )
        elif what == "end":
            self.writing.pop(name).__exit__(None, None, None)
            source.at_work -= 1
            source.ended += 1
            self.look()
            assert not self.joins(), "a later call would wait for an old load"
        else:
            source.ended += 1
            if what == "forget":
                pussycache.forget(proxy.read, 1)
            elif what == "forget_all":
                pussycache.forget_all(proxy.read)
            elif what == "clear":
                self.cache.clear()
            elif what == "put":
                number = len(source.began)
                source.began[number] = source.ended
                assert pussycache.put(proxy.read, number, 1)
                assert pussycache.peek(proxy.read, 1) == number
            self.look()
            assert not self.joins(), "a later call would wait for an old load"

    def table(self):
        return type(self.proxy).__dict__["read"].__pussycache__.table(self.proxy)

    def look(self):
        """What can be found now is no older than the last write, and nothing while one runs."""
        found = pussycache.peek(self.proxy.read, 1)
        if found is not MISSING:
            assert not self.source.at_work, "found while a write runs"
            assert self.source.began[found] == self.source.ended, "found after a write"

    def joins(self):
        """Whether a call that starts now would be given what the load under way brings."""
        source = self.source
        if source.loading is None or source.began[source.loading] == source.ended:
            return False
        read, table = type(self.proxy).__dict__["read"].__pussycache__, self.table()
        answer = flow.answer(read.plan(table), table, (1,), source)

        def start():
            return answer.send(None)

        try:
            step = contextvars.Context().run(start)
        except StopIteration as stop:
            return source.began[stop.value] != source.ended
        if isinstance(step, flow.Wait):
            answer.close()
            return True
        number = len(source.began)
        source.began[number] = source.ended
        with pytest.raises(StopIteration):
            answer.send(number)
        return False


def lines(rule, **options):
    return Run(rule, **options).load([])


@pytest.mark.parametrize("rule", RULES)
def test_a_write_that_starts_and_ends_before_any_lines_of_a_load(rule):
    """Wherever in a load a write starts, and wherever it ends, the promise holds."""
    last = lines(rule) + 1
    assert last > 20
    for start in range(1, last + 1):
        for end in range(start, last + 1):
            Run(rule).load([(start, "start", "write"), (end, "end", "write")])


@pytest.mark.parametrize("rule", RULES)
def test_a_write_of_two_methods_around_a_load_that_reads_both(rule):
    """The same where the load reads another cached method, whose value is remembered."""
    last = lines(rule, nested=True, warm=True) + 1
    for start in range(1, last + 1, 2):
        for end in range(start, last + 1, 3):
            Run(rule, nested=True, warm=True).load(
                [(start, "start", "write"), (end, "end", "write")]
            )


@pytest.mark.parametrize("what", ["forget", "forget_all", "clear", "put"])
@pytest.mark.parametrize("rule", ["method", "argument"])
def test_an_operation_before_any_line_of_a_load(what, rule):
    """Wherever in a load an operation counts as a write, the promise holds."""
    for line in range(1, lines(rule) + 2):
        Run(rule).load([(line, what, None)])


def test_overlapping_writers_and_operations_around_a_load():
    """Two writers and an operation, wherever they start and end in a load."""
    dice = random.Random(7)
    for rule in RULES:
        last = lines(rule) + 1
        for _ in range(250):
            first = sorted(dice.choices(range(1, last + 1), k=2))
            second = sorted(dice.choices(range(1, last + 1), k=2))
            events = [
                (first[0], "start", "write"),
                (second[0], "start", "write_again"),
                (first[1], "end", "write"),
                (second[1], "end", "write_again"),
            ]
            if dice.random() < 0.5:
                what = dice.choice(["forget", "forget_all", "clear"])
                events.append((dice.randint(1, last), what, None))
            Run(rule).load(events)


def test_a_rule_that_is_declared_before_any_line_of_a_load():
    """Wherever in a load a rule is declared and a write under it made, the promise holds."""
    last = lines("method") + 1
    for declared in range(1, last + 1):
        for written in range(declared, last + 1, 2):
            Run("method").load([(declared, "declare", None), (written, "write", None)])


def test_another_call_before_any_line_of_a_load(spawn, until):
    """A call that comes between a miss and its load has loaded for both, and for who waits."""
    last = lines("method") + 1
    for line in range(1, last + 1):
        for waiting in range(line, min(line + 20, last + 1)):
            run, waiters = Run("method"), []
            run.spawn, run.until = spawn, until
            run.load([(line, "call", None), (waiting, "wait", waiters)])
            assert len(run.source.began) == 1, "loaded twice"
            assert not run.table().flights
            assert waiters[0].result() == 0


def test_two_calls_at_one_line_when_a_third_loads(new_gate, spawn, until):
    """Of two calls that both miss and find the value at a second look, neither waits for ever."""
    last = lines("method") + 1
    for line in range(1, last + 1):
        for released in range(line, min(line + 8, last + 1)):
            run, gate = Run("method"), new_gate()
            run.until = until
            other = Stopped(run.proxy, run.cache, line, gate.hold)
            other.gate = gate
            other.calling = spawn(other)
            until(lambda g=gate, o=other: g.arrived.is_set() or not o.calling.thread.is_alive())
            run.load([(line, "call", None), (released, "release", other)])
            assert other.calling.result() == 0
            assert not run.table().flights


def test_a_load_that_ends_before_any_line_of_a_call_that_would_wait_for_it(new_gate, spawn, until):
    """A call that finds a load just as it ends is answered, and is not stuck."""
    line = last = 0
    while line <= last:
        line += 1
        gate, cache, source = new_gate(), MemoryCache(), Source()
        source.read_on = lambda number, gate=gate: gate.hold() or number
        proxy = pussycache.wrap(source, cache, cached_methods=["read"])
        loading = spawn(proxy.read, 1)
        gate.reached()

        def end_the_load(gate=gate, loading=loading):
            gate.open()
            loading.wait()

        call = Stopped(proxy, cache, line, end_the_load)
        calling = spawn(call)
        table = type(proxy).__dict__["read"].__pussycache__.table(proxy)
        # It has come to its line, or it waits and has none left.
        until(lambda gate=gate, t=table: gate.opened.is_set() or any(t.flights.values()))
        until(lambda gate=gate, call=call: gate.opened.is_set() or call.in_wait)
        gate.open()
        assert calling.result() == loading.result() == proxy.read(1) == 0
        last = max(last, call.steps)
    assert line > 20


class Stopped:
    """A call that does something before one of its lines."""

    def __init__(self, proxy, cache, line, what):
        self.proxy, self.cache, self.line, self.what = proxy, cache, line, what
        self.steps = 0
        self.in_wait = False

    def __call__(self):
        sys.settrace(self._trace)
        try:
            return self.proxy.read(1)
        finally:
            sys.settrace(None)

    def _trace(self, frame, event, arg):
        name = frame.f_code.co_filename
        return self._line if name == "<pussycache>" or name.startswith(ENGINE) else None

    def _line(self, frame, event, arg):
        if event == "line":
            self.steps += 1
            if self.steps >= self.line and self.what and not self.cache.lock._is_owned():
                what, self.what = self.what, None
                what()
            # The second `lock.acquire()` there is where the thread waits to be told.
            self.in_wait = frame.f_code.co_name == "_wait" and "told" in frame.f_locals
        return self._line
