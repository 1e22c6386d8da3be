"""Guarded values and what happens at the same time: writes, other callers, other threads."""

import os
import sys
import warnings

import pytest

import pussycache
from pussycache import Cached, Forget, MemoryCache, MutatedValueWarning
from pussycache.engine import flow
from pussycache.engine.generations import Table

ENGINE = os.path.dirname(flow.__file__)


class Source:
    """Every load returns a list of its own number, and notes how many writes had ended before."""

    def __init__(self):
        self.began = []
        self.ended = 0

    def read(self, key):
        self.began.append(self.ended)
        return [len(self.began) - 1]

    def write(self, key):
        pass


def guarded_source(rule="read"):
    cache = MemoryCache()
    source = Source()
    proxy = pussycache.wrap(
        source,
        cache,
        cached_methods={"read": Cached(guard=True)},
        invalidate_methods={"write": [rule]},
    )
    return source, proxy, cache


@pytest.mark.parametrize("changed", [False, True], ids=["intact", "changed"])
@pytest.mark.parametrize("rule", ["read", Forget("read", "key")], ids=["method", "argument"])
def test_a_write_at_any_line(rule, changed):
    """Wherever in a hit on a guarded value a write happens, no later call is given an old one."""
    step = lines = 0
    while step <= lines:
        source, proxy, cache = guarded_source(rule)
        first = proxy.read(1)
        if changed:
            first.append("changed")
        lines, written = 0, False

        def line(frame, event, arg, at=step, source=source, proxy=proxy, cache=cache):
            nonlocal lines, written
            if event == "line":
                lines += 1
                if lines > at and not written and not cache.lock._is_owned():
                    written = True
                    proxy.write(1)
                    source.ended += 1
            return line

        def trace(frame, event, arg, line=line):
            name = frame.f_code.co_filename
            return line if name == "<pussycache>" or name.startswith(ENGINE) else None

        before = sys.gettrace()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MutatedValueWarning)
            sys.settrace(trace)
            try:
                got = proxy.read(1)
            finally:
                sys.settrace(before)
        assert written or step >= lines
        assert "changed" not in got
        (number,) = proxy.read(1)
        assert source.began[number] == source.ended, f"an old value after a write at line {step}"
        assert proxy.read(1) == [number]
        step += 1
    assert lines > 20


@pytest.mark.parametrize("changed", [False, True], ids=["intact", "changed"])
def test_a_second_caller_while_the_first_looks(changed, new_gate, spawn, joined):
    """Who comes while another caller is on its way to a guarded value gets one, too."""
    entered, found = new_gate(), new_gate()
    source, proxy, _ = guarded_source()
    first = proxy.read(1)
    if changed:
        first.append("changed")

    def held():
        # What hits on its way to the value looks like a load, for a moment.
        def line(frame, event, arg):
            if event == "line" and "entry" in frame.f_locals and not entered.arrived.is_set():
                entered.hold()
            elif event == "return" and not found.arrived.is_set():
                found.hold()
            return line

        sys.settrace(lambda frame, *_: line if frame.f_code is Table.enter.__code__ else None)
        try:
            return proxy.read(1)
        finally:
            sys.settrace(None)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        one = spawn(held)
        entered.reached()
        other = spawn(proxy.read, 1)
        # An intact value is served at once. For another one this is waited for: it may be a load.
        if changed:
            joined(proxy.read, 1)
        else:
            assert other.result() is first
        entered.open()
        found.reached()
        values = [other.result()]
        found.open()
        values.append(one.result())
    assert values == ([[1], [1]] if changed else [[0], [0]])
    assert len(caught) == changed
    assert len(source.began) == 1 + changed
    # A call counts once, also if it begins twice.
    assert pussycache.info(proxy.read).misses == 1 + changed
