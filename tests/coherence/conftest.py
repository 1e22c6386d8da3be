"""What the tests of the promise are made with; see tests/support/gates.py for most of it."""

import gc
import sys

import pytest
from gates import gate, new_gate, run, spawn, until, watchdog  # noqa: F401 - fixtures

from pussycache.engine import flow
from pussycache.testing import FakeClock


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Set after how many seconds a waiter begins to load as well: never, unless a test says so.

    Else a deadlock would pass for a slow test.
    """

    def last(seconds):
        monkeypatch.setattr(flow, "PATIENCE", seconds)

    last(10_000.0)
    return last


@pytest.fixture(autouse=True)
def garbage(monkeypatch):
    """Collect none while a test looks at each line: finalizers have lines, too.

    A write at one of those, in the midst of whatever the collection has interrupted, is nothing
    that a program does; CPython 3.11 now and then crashes where that was a `ContextVar.set`.
    """
    outer, settrace = sys.gettrace(), sys.settrace

    def set_trace(tracer):
        (gc.enable if tracer is outer else gc.disable)()
        settrace(tracer)

    monkeypatch.setattr(sys, "settrace", set_trace)
    yield
    gc.enable()


@pytest.fixture
def clock():
    """A clock that stands still until the test moves it."""
    with FakeClock() as moved:
        yield moved


@pytest.fixture
def gives_up_at(monkeypatch):
    """Let a caller with a timeout wait at least until its load is at a gate, however late it is."""

    def wait_for(place):
        outlasted = flow.Wait.outlasted
        monkeypatch.setattr(
            flow.Wait,
            "outlasted",
            lambda wish, patience: outlasted(wish, patience) if place.arrived.is_set() else None,
        )

    return wait_for


@pytest.fixture
def joined(until):  # noqa: F811 - the fixture
    """Wait until so many callers wait for the loads of a method that are under way."""

    def wait(method, count):
        table = method.__pussycache__.table(getattr(method, "__self__", None))
        until(
            lambda: sum([len(flight) for flight in list(table.flights.values())]) == count,
            f"there were never {count} callers waiting",
        )

    return wait
