"""Remembered exceptions: which, for how long, and that they grow by nothing and hold nothing."""

import gc
import threading
import traceback
import weakref

import pytest

import pussycache
from pussycache import Cached, Forget, MemoryCache
from pussycache.engine.failures import Remembered, bare


class Source:
    """Each load raises or returns what it is told."""

    def __init__(self):
        self.loads = 0
        self.outcome = KeyError("nobody")
        self.act = lambda: None

    def read(self, key):
        self.loads += 1
        outcome = self.outcome
        self.act()
        if callable(outcome):
            outcome = outcome()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def aread(self, key):
        return self.read(key)

    def write(self, key):
        pass


def wrapped(errors, rule="read", source=None, cache=None, **said):
    policy = Cached(errors=errors, **said)
    return pussycache.wrap(
        source or Source(),
        cache,
        cached_methods={"read": policy, "aread": policy},
        invalidate_methods={"write": [rule]},
    )


def raised(call, *args):
    """Return what a call raises."""
    try:
        call(*args)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def test_an_exception_is_remembered_for_its_seconds(clock):
    """A load that raised a named type is not tried again for so long."""
    proxy = wrapped({LookupError: 5})
    for _ in range(3):
        assert raised(proxy.read, 1).args == ("nobody",)
    assert proxy.loads == 1
    assert "raises KeyError: 'nobody' again, for 5 s more" in str(pussycache.explain(proxy.read, 1))
    assert pussycache.peek(proxy.read, 1) is pussycache.MISSING
    info = pussycache.info(proxy.read)
    assert (info.failures, info.loads, info.misses, info.hits, info.entries) == (1, 0, 1, 2, 1)
    clock.advance(5)
    proxy.outcome = "ada"
    assert proxy.read(1) == "ada"


def test_others_are_not_remembered(clock):
    """A type that is not named, or named with 0, is tried at each call."""
    proxy = wrapped({LookupError: 5, KeyError: 0})
    for outcome in (KeyError("nobody"), ValueError("odd")):
        proxy.outcome, proxy.loads = outcome, 0
        assert [raised(proxy.read, 1).args, raised(proxy.read, 1).args] == [outcome.args] * 2
        assert proxy.loads == 2


def test_the_nearest_type_counts(clock):
    """Of several types that fit, that which is next in the exception's own line says how long."""
    proxy = wrapped({Exception: 100, LookupError: 5})
    raised(proxy.read, 1)
    proxy.outcome = OSError(2, "no route")
    raised(proxy.read, 2)
    clock.advance(5)
    raised(proxy.read, 1)
    raised(proxy.read, 2)
    assert proxy.loads == 3


def test_tasks_are_raised_what_is_remembered(clock, run):
    """Coroutine methods remember exceptions, too."""
    proxy = wrapped({KeyError: 5})

    async def main():
        for _ in range(3):
            with pytest.raises(KeyError, match="nobody"):
                await proxy.aread(1)

    run(main)
    assert proxy.loads == 1


def test_each_caller_is_raised_an_exception_of_its_own(clock):
    """A fresh traceback each time; nothing that a caller does to one is seen on the next."""
    proxy = wrapped({KeyError: 50})
    first = raised(proxy.read, 1)
    seen = []
    for _ in range(5):
        try:
            raise RuntimeError("something else")
        except RuntimeError:
            error = raised(proxy.read, 1)
        error.add_note("mine")
        seen.append(error)
    assert len({id(error) for error in [first, *seen]}) == 6
    assert {len(traceback.extract_tb(error.__traceback__)) for error in seen} == {
        len(traceback.extract_tb(seen[0].__traceback__))
    }
    assert all(isinstance(error.__context__, RuntimeError) for error in seen)
    assert all(error.__notes__ == ["mine"] for error in seen)
    last = raised(proxy.read, 1)
    assert last.__context__ is None
    assert not hasattr(last, "__notes__")


def test_no_frame_is_kept_alive(clock):
    """What was alive in the failed load, or in a caller, goes when they are over."""
    gone, causes = [], []

    class Thing:
        pass

    def fail():
        thing = Thing()
        gone.append(weakref.ref(thing))
        try:
            raise OSError("the cause")
        except OSError as cause:
            raise KeyError("nobody") from cause

    proxy = wrapped({KeyError: 50})
    proxy.outcome = fail

    def caller():
        thing = Thing()
        gone.append(weakref.ref(thing))
        error = raised(proxy.read, 1)
        causes.append(type(error.__cause__))
        return thing

    for _ in range(3):
        caller()
    gc.collect()
    assert [alive() for alive in gone] == [None] * 4
    assert causes == [OSError] * 3
    assert proxy.loads == 1


@pytest.mark.parametrize("rule", ["read", Forget("read", "key")], ids=["method", "argument"])
def test_a_write_forgets_a_remembered_exception(rule, clock):
    """After a write the call is tried again."""
    proxy = wrapped({KeyError: 50}, rule)
    raised(proxy.read, 1)
    proxy.write(1)
    proxy.outcome = "ada"
    assert proxy.read(1) == "ada"


@pytest.mark.parametrize("rule", ["read", Forget("read", "key")], ids=["method", "argument"])
def test_a_write_while_the_load_fails(rule, clock):
    """A load that a write has overtaken leaves no exception behind."""
    proxy = wrapped({KeyError: 50}, rule)
    proxy.act = lambda: proxy.write(1)
    raised(proxy.read, 1)
    proxy.act = lambda: None
    proxy.outcome = "ada"
    assert proxy.read(1) == "ada"


def test_while_a_writer_is_at_work_nothing_is_remembered(clock):
    """Inside a write each call is tried."""
    proxy = wrapped({KeyError: 50})
    with pussycache.writing(proxy.write, 1):
        raised(proxy.read, 1)
        raised(proxy.read, 1)
    assert proxy.loads == 2


def test_an_old_value_is_better_than_a_remembered_exception(clock):
    """With stale_if_error the old value is served; once it is gone, the exception is remembered."""
    proxy = wrapped({KeyError: 50}, ttl=10, stale_if_error=5)
    proxy.outcome = "ada"
    proxy.read(1)
    proxy.outcome = KeyError("nobody")
    clock.advance(10)
    assert proxy.read(1) == "ada"
    clock.advance(5)
    raised(proxy.read, 1)
    raised(proxy.read, 1)
    assert proxy.loads == 3


def test_a_failed_refresh_by_hand_leaves_the_value(clock):
    """A value that is good is not replaced by an exception."""
    proxy = wrapped({KeyError: 50})
    proxy.outcome = "ada"
    proxy.read(1)
    proxy.outcome = KeyError("nobody")
    with pytest.raises(KeyError):
        pussycache.refresh(proxy.read, 1)
    assert proxy.read(1) == "ada"


def test_another_proxy_that_remembers_no_exceptions_tries(clock):
    """What one proxy of an object remembers is raised by no other without the policy."""
    source, cache = Source(), MemoryCache()
    one = wrapped({KeyError: 50}, source=source, cache=cache)
    other = wrapped(None, source=source, cache=cache)
    raised(one.read, 1)
    raised(other.read, 1)
    assert source.loads == 2


def test_one_load_fails_for_all_who_wait(clock, gate, spawn, joined):
    """Single-flight: one load raises for all its callers, and later ones are raised a copy."""
    proxy = wrapped({KeyError: 50})
    proxy.act = gate.hold
    callers = [spawn(proxy.read, 1) for _ in range(4)]
    gate.reached()
    joined(proxy.read, 3)
    gate.open()
    assert [caller.raised() for caller in callers] == [KeyError] * 4
    assert spawn(proxy.read, 1).raised() is KeyError
    assert proxy.loads == 1


def test_interrupts_are_not_remembered(clock):
    """What is no `Exception` cannot be named, and is not remembered."""
    proxy = wrapped({Exception: 50})
    proxy.outcome = KeyboardInterrupt()
    raised(proxy.read, 1)
    proxy.outcome = "ada"
    assert proxy.read(1) == "ada"


def test_errors_are_raised_anew_in_many_threads_at_once():
    """Callers in several threads share no exception."""
    proxy = wrapped({KeyError: 50})
    raised(proxy.read, 1)
    seen = []

    def many():
        for _ in range(50):
            error = raised(proxy.read, 1)
            seen.append((id(error), len(traceback.extract_tb(error.__traceback__)), error))

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len({ident for ident, _, _ in seen}) == 200
    assert len({frames for _, frames, _ in seen}) == 1


# Copies of exceptions.


class Wants(Exception):
    """Its constructor wants other arguments than it hands on."""

    def __init__(self, code, *, reason):
        super().__init__(f"{code}: {reason}")
        self.code = code


class WantsOs(OSError):
    def __init__(self, path):
        super().__init__(2, "no such file", path)
        self.path = path


class Own(ExceptionGroup):
    def derive(self, excs):
        return Own(self.message, excs)


@pytest.mark.parametrize(
    "error",
    [
        KeyError("a", 1),
        Exception(),
        Wants(5, reason="odd"),
        OSError("no such file"),
        FileNotFoundError(2, "no such file", "a path"),
        WantsOs("a path"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd"),
        ImportError("none", name="n", path="p"),
        ExceptionGroup("two", [KeyError("a"), OSError(2, "b")]),
        Own("one", [Wants(1, reason="odd")]),
        StopIteration(5),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_copy_is_like_the_exception(error):
    """Type, arguments, attributes and text are those of the exception."""
    error.mine = ["a"]
    error.add_note("a note")
    for copy in (bare(error), Remembered(error).again()):
        assert copy is not error
        assert type(copy) is type(error)
        assert str(copy) == str(error)
        assert copy.__notes__ == ["a note"]
        assert copy.__notes__ is not error.__notes__
        assert copy.mine is error.mine
        for name in ("errno", "filename", "code", "path", "start", "name", "value"):
            assert getattr(copy, name, None) == getattr(error, name, None)


def test_what_cannot_be_copied_is_not_remembered(clock):
    """An exception that cannot be raised anew is tried anew."""

    class Odd(Exception):
        def __new__(cls, first):
            if getattr(cls, "made", False):
                raise TypeError("once")
            cls.made = True
            return super().__new__(cls, first)

    proxy = wrapped({Exception: 50})
    proxy.outcome = Odd("x")
    assert type(raised(proxy.read, 1)) is Odd
    assert type(raised(proxy.read, 1)) is Odd
    assert proxy.loads == 2


@pytest.mark.parametrize(
    ("errors", "message"),
    [
        ([KeyError], "errors must be a mapping from exception types to seconds"),
        ({"KeyError": 5}, "errors must have exception types as keys, not 'KeyError'"),
        ({KeyboardInterrupt: 5}, "name subclasses of Exception"),
        ({int: 5}, "errors must have exception types as keys"),
        ({KeyError: -1}, r"errors\[KeyError\] must not be negative"),
        ({KeyError: "5"}, r"errors\[KeyError\] must be a number of seconds"),
    ],
    ids=str,
)
def test_bad_input_is_refused_at_declaration(errors, message):
    """What is no mapping from exception types to seconds is named, with the remedy."""
    with pytest.raises(pussycache.ConfigurationError, match=message):
        Cached(errors=errors)
