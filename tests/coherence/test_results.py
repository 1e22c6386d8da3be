"""What is kept of a result and for how long: one-shot results, expiry, when, copy, key, ignore."""

import asyncio
import contextlib
import functools
import math
import warnings
from datetime import UTC, datetime, timedelta, timezone

import pytest

import pussycache
from pussycache import (
    MISSING,
    Cached,
    ConfigurationError,
    MemoryCache,
    UncacheableCallWarning,
    cached,
)
from pussycache.testing import FakeClock


class Counting:
    """Counts its loads, and returns what it was made with a maker of."""

    def __init__(self, make=None):
        self.loads = 0
        self.make = make or (lambda: self.loads)

    def read(self, *args, **kwargs):
        self.loads += 1
        return self.make()

    def find(self, name, verbose=False):
        self.loads += 1
        return (name, verbose)

    def write(self):
        pass


def counting(policy, make=None, cache=None):
    # A class of its own: a warning is given once a method.
    kind = type("Counting", (Counting,), {})
    return pussycache.wrap(
        kind(make),
        cache,
        cached_methods={"read": policy},
        invalidate_methods={"write": ["read"]},
    )


# One-shot results.


async def coroutine():
    return "result"


@contextlib.contextmanager
def context():
    yield "inside"


@contextlib.asynccontextmanager
async def acontext():
    yield "inside"


async def agenerator():
    yield "item"


ONE_SHOT = {
    "iterator": lambda path: iter([1, 2]),
    "generator": lambda path: (n for n in [1, 2]),
    "map": lambda path: map(str, [1]),
    "file": lambda path: open(path),  # noqa: SIM115
    "coroutine": lambda path: coroutine(),
    "context": lambda path: context(),
    "async context": lambda path: acontext(),
    "async generator": lambda path: agenerator(),
}


@pytest.mark.parametrize("what", ONE_SHOT)
def test_what_can_be_used_once_is_handed_on(what, tmp_path):
    """Each caller is given an object of its own, and nothing is remembered."""
    path = tmp_path / "file"
    path.write_text("line")
    proxy = counting(Cached(), lambda: ONE_SHOT[what](path))
    first, second = proxy.read(), proxy.read()
    assert first is not second
    assert proxy.loads == 2
    assert pussycache.peek(proxy.read) is MISSING
    for one in (first, second):
        getattr(one, "close", lambda: None)()


def test_what_can_be_used_once_is_not_shared_between_waiters(gate, spawn, joined):
    """Callers that waited for a load whose result is an iterator each get one of their own."""

    class Slow:
        def read(self):
            gate.hold()
            return iter([1, 2, 3])

    proxy = pussycache.wrap(Slow(), cached_methods=["read"])
    callers = [spawn(proxy.read) for _ in range(4)]
    gate.reached()
    joined(proxy.read, 3)
    gate.open()
    assert [list(caller.result()) for caller in callers] == [[1, 2, 3]] * 4


class Rows:
    def __init__(self):
        self.loads = 0

    def iterator(self, *args):
        self.loads += 1
        return iter([1, 2])

    def generator(self, *args):
        self.loads += 1
        yield 1
        yield 2

    async def of_coroutine(self, *args):
        self.loads += 1
        return iter([1, 2])

    async def agenerator(self, *args):
        self.loads += 1
        yield 1
        yield 2

    def write(self):
        pass


async def items(call):
    """All items of whatever a call returns."""
    if hasattr(call, "__await__"):
        call = await call
    if hasattr(call, "__anext__"):
        return [item async for item in call]
    assert hasattr(call, "__next__"), f"{call!r} is no iterator"
    return list(call)


KINDS = ["iterator", "generator", "of_coroutine", "agenerator"]


def rows(kind):
    return pussycache.wrap(
        Rows(),
        cached_methods={kind: Cached(materialize=True)},
        invalidate_methods={"write": [kind]},
    )


@pytest.mark.parametrize("kind", KINDS)
def test_materialize(kind, run):
    """What was yielded is remembered, and every caller iterates afresh."""
    proxy = rows(kind)

    async def main():
        read = getattr(proxy, kind)
        return [await items(read()) for _ in range(3)]

    assert run(main) == [[1, 2]] * 3
    assert proxy.loads == 1


@pytest.mark.parametrize("kind", KINDS)
def test_materialize_where_nothing_is_stored(kind, run):
    """Also where it cannot be remembered, a caller is given an iterator."""
    proxy = rows(kind)

    async def main():
        read = getattr(proxy, kind)
        with pussycache.disabled():
            off = await items(read())
        with pussycache.writing(proxy.write):
            written = await items(read())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UncacheableCallWarning)
            no_key = await items(read(type("NoKey", (dict,), {})()))
        return off, written, no_key

    assert run(main) == ([1, 2],) * 3
    assert pussycache.peek(getattr(proxy, kind)) is MISSING


@pytest.mark.parametrize("kind", KINDS)
def test_operations_on_a_materialized_method(kind, run):
    """refresh stores, peek and refresh give a fresh iterator, put takes one."""
    proxy = rows(kind)

    async def main():
        read = getattr(proxy, kind)
        refreshed = await items(pussycache.refresh(read))
        peeked = await items(pussycache.peek(read))
        with pussycache.disabled():
            off = await items(pussycache.refresh(read))
        pussycache.put(read, iter([3]))
        return refreshed, peeked, off, await items(read()) if kind != "agenerator" else [3]

    assert run(main) == ([1, 2], [1, 2], [1, 2], [3])


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_that_is_put_for_a_materialized_method(kind, run):
    """A caller is given an iterator over it."""
    proxy = rows(kind)

    async def main():
        pussycache.put(getattr(proxy, kind), [3, 4])
        return await items(getattr(proxy, kind)())

    assert run(main) == [3, 4]


def test_a_second_proxy_that_does_not_materialize(run):
    """What one proxy materialized never reaches another one's callers in another form."""
    target, cache = Rows(), MemoryCache()
    one = pussycache.wrap(target, cache, cached_methods={"iterator": Cached(materialize=True)})
    assert list(one.iterator()) == [1, 2]
    try:
        other = pussycache.wrap(target, cache, cached_methods=["iterator"])
    except ConfigurationError:
        return
    assert next(other.iterator()) == 1


def test_functions_that_only_wrap_a_generator():
    """A decorator that makes a list or a context of a generator makes a method of another kind."""

    def to_list(function):
        @functools.wraps(function)
        def inner(*args):
            return list(function(*args))

        return inner

    def in_a_loop(function):
        @functools.wraps(function)
        def inner(*args):
            return asyncio.run(function(*args))

        return inner

    class Wrapped:
        @to_list
        def listed(self):
            yield 1

        @contextlib.contextmanager
        def context(self):
            yield 1

        @in_a_loop
        async def awaited(self):
            return 1

    names = ["listed", "context", "awaited"]
    proxy = pussycache.wrap(Wrapped(), cached_methods=names)
    assert proxy.listed() == proxy.listed() == [1]
    assert proxy.awaited() == proxy.awaited() == 1
    for _ in range(2):
        with proxy.context() as inside:
            assert inside == 1


# Expiry.


@pytest.mark.parametrize("ttl", [10, 10.0, timedelta(seconds=10), lambda result: 10])
@pytest.mark.parametrize("where", ["policy", "cache"])
def test_expiry_is_exact(ttl, where):
    """A value is served until its ttl has passed, and not at that moment."""
    if where == "cache" and callable(ttl):
        pytest.skip("a cache has no callable")
    with FakeClock() as clock:
        if where == "policy":
            proxy = counting(Cached(ttl=ttl))
        else:
            proxy = counting(Cached(), cache=MemoryCache(ttl=ttl))
        assert proxy.read() == 1
        clock.advance(9.999)
        assert proxy.read() == 1
        clock.advance(0.001)
        assert pussycache.peek(proxy.read) is MISSING
        assert proxy.read() == 2


def test_for_ever_overrides_the_cache():
    """math.inf is for ever, whatever the cache's own ttl; None is the cache's own."""
    with FakeClock() as clock:
        cache = MemoryCache(ttl=10)
        for_ever, own = counting(math.inf, cache=cache), counting(None, cache=cache)
        assert (for_ever.read(), own.read()) == (1, 1)
        clock.advance(10**9)
        assert (for_ever.read(), own.read()) == (1, 2)


@pytest.mark.parametrize(
    ("answer", "lasting"),
    [
        (lambda: 10, 10),
        (lambda: 2.5, 2.5),
        (lambda: timedelta(seconds=10), 10),
        (lambda: None, 30),
        (lambda: 0, None),
        (lambda: timedelta(seconds=-5), None),
        (lambda: datetime.now(UTC) - timedelta(seconds=1), None),
        (lambda: math.inf, 10**9),
    ],
    ids=["int", "float", "timedelta", "own", "zero", "past", "moment past", "ever"],
)
def test_a_ttl_that_is_computed(answer, lasting):
    """Seconds, a timedelta or a moment; None is the cache's own; what is past stores nothing."""
    with FakeClock() as clock:
        proxy = counting(Cached(ttl=lambda result: answer()), cache=MemoryCache(ttl=30))
        assert proxy.read() == 1
        if lasting is None:
            assert pussycache.peek(proxy.read) is MISSING
        else:
            clock.advance(lasting - 0.001)
            assert proxy.read() == 1
            if lasting < 10**9:
                clock.advance(0.001)
                assert proxy.read() == 2


def test_a_ttl_that_is_a_moment():
    """An aware datetime says until when a result is good, in any zone."""
    with FakeClock() as clock:
        zone = timezone(timedelta(hours=5))
        proxy = counting(Cached(ttl=lambda result: datetime.now(zone) + timedelta(seconds=60)))
        assert proxy.read() == 1
        clock.advance(50)
        assert proxy.read() == 1
        clock.advance(11)
        assert proxy.read() == 2


@pytest.mark.parametrize("answer", [datetime(2099, 1, 1), -1, -0.5, "soon", math.nan, True])
def test_a_ttl_that_is_none(answer):
    """A moment without a zone, a negative number or no duration at all is a ConfigurationError."""
    proxy = counting(Cached(ttl=lambda result: answer))
    with pytest.raises(ConfigurationError):
        proxy.read()
    assert pussycache.peek(proxy.read) is MISSING
    assert pussycache.info(proxy.read).entries == 0


@pytest.mark.parametrize("ttl", [0, 0.0, timedelta(0)])
def test_a_ttl_of_zero_stores_nothing(ttl):
    """With a ttl of 0, every call loads."""
    proxy = counting(Cached(ttl=ttl))
    assert (proxy.read(), proxy.read()) == (1, 2)
    assert pussycache.info(proxy.read).rejected == 2


@pytest.mark.parametrize("ttl", [-1, -0.1, timedelta(seconds=-1), math.nan, "1", True, [1]])
def test_a_ttl_that_cannot_be(ttl):
    """A ttl that is no duration is a ConfigurationError at once."""
    with pytest.raises(ConfigurationError, match="ttl"):
        Cached(ttl=ttl)
    with pytest.raises(ConfigurationError, match="ttl"):
        MemoryCache(ttl=ttl)


def test_a_second_proxy_with_another_ttl():
    """Two proxies of one object share entries, each good for as long as who loaded it said."""
    with FakeClock() as clock:
        target, cache = Counting(), MemoryCache()
        for_ever = pussycache.wrap(target, cache, cached_methods=["read"])
        shortly = pussycache.wrap(target, cache, cached_methods={"read": 10})
        assert shortly.read() == for_ever.read() == 1
        clock.advance(10)
        assert for_ever.read() == shortly.read() == 2
        clock.advance(10**6)
        assert for_ever.read() == shortly.read() == 2


# when, copy, key, ignore.


def test_when():
    """Only results for which when is true are remembered."""
    proxy = counting(Cached(when=lambda result: result % 2 == 0))
    assert [proxy.read() for _ in range(4)] == [1, 2, 2, 2]


def test_copy_deep():
    """Nobody can change what others are given: not the one who loaded, nor who hit or waited."""
    proxy = counting(Cached(copy="deep"), lambda: {"list": []})
    first = proxy.read()
    first["list"].append("mine")
    second = proxy.read()
    assert second == {"list": []}
    second["list"].append("mine")
    pussycache.peek(proxy.read)["list"].append("mine")
    assert proxy.read() == {"list": []}
    assert proxy.loads == 1


def test_copy_share():
    """As a rule, all callers are given the same object."""
    proxy = counting(Cached(), list)
    assert proxy.read() is proxy.read()


def test_copy_by_a_callable():
    """A callable that copies is asked for each caller."""
    proxy = counting(Cached(copy=list), lambda: [1])
    assert proxy.read() == proxy.read() == [1]
    assert proxy.read() is not proxy.read()
    assert proxy.loads == 1


def test_copies_for_waiters(gate, spawn, joined):
    """Callers that waited each get a copy of their own."""

    class Slow:
        def read(self):
            gate.hold()
            return [1]

    proxy = pussycache.wrap(Slow(), cached_methods={"read": Cached(copy="deep")})
    callers = [spawn(proxy.read) for _ in range(3)]
    gate.reached()
    joined(proxy.read, 2)
    gate.open()
    results = [caller.result() for caller in callers]
    assert results == [[1]] * 3
    assert len(set(map(id, results))) == 3


def test_key():
    """What key returns replaces the arguments, in whatever form the call is made."""
    policy = Cached(key=lambda name, verbose=False: name.lower())
    proxy = pussycache.wrap(Counting(), cached_methods={"find": policy})
    assert proxy.find("Ada") == proxy.find(name="ADA", verbose=True) == ("Ada", False)
    assert proxy.find("bob", True) == ("bob", True)
    assert proxy.loads == 2


def test_ignore():
    """An ignored parameter is no part of the key."""
    proxy = pussycache.wrap(Counting(), cached_methods={"find": Cached(ignore=["verbose"])})
    assert proxy.find("ada") == proxy.find("ada", verbose=True) == ("ada", False)
    assert proxy.find("bob", verbose=True) == ("bob", True)


@pytest.mark.parametrize("value", [None, False, 0, "", [], (), float("nan")])
def test_every_value_is_one(value):
    """What is false is remembered like anything else."""
    proxy = counting(Cached(), lambda: value)
    assert proxy.read() is value
    assert proxy.read() is value
    assert proxy.loads == 1
    assert pussycache.peek(proxy.read) is value


def test_a_method_that_returns_the_object():
    """An object that a method returns to be called on is not remembered for its own sake."""

    class Fluent:
        loads = 0

        def read(self):
            Fluent.loads += 1
            return self

    target = Fluent()
    proxy = pussycache.wrap(target, cached_methods=["read"])
    assert proxy.read() is target
    assert proxy.read() is target
    assert Fluent.loads == 2


# Arguments without a key.


def test_arguments_without_a_key():
    """The call is computed and counted, and one warning is given for the method."""
    proxy = counting(Cached())
    no_key = type("NoKey", (dict,), {})
    with pytest.warns(UncacheableCallWarning, match="NoKey"):
        assert proxy.read(no_key()) == 1
    assert proxy.read(no_key()) == 2
    assert proxy.read([no_key()]) == 3
    figures = pussycache.info(proxy.read)
    assert (figures.uncacheable, figures.entries) == (3, 0)
    assert pussycache.peek(proxy.read, no_key()) is MISSING
    assert pussycache.forget(proxy.read, no_key()) is False
    assert pussycache.put(proxy.read, 1, no_key()) is False


def test_a_warning_points_at_the_caller(run):
    """The warning about a call without a key points at the line that made the call."""
    no_key = type("NoKey", (dict,), {})()

    @cached
    def function(value):
        return value

    async def main():
        @cached
        async def coroutine(value):
            return value

        await coroutine(no_key)

    for call in (
        lambda: function(no_key),
        lambda: counting(Cached()).read(no_key),
        lambda: pussycache.refresh(counting(Cached()).read, no_key),
        lambda: pussycache.put(counting(Cached()).read, 1, no_key),
        lambda: run(main),
    ):
        with pytest.warns(UncacheableCallWarning) as caught:
            call()
        assert [warning.filename for warning in caught] == [__file__]


def test_arguments_that_contain_themselves():
    """A list that contains itself has no key, and the call is computed."""
    endless = []
    endless.append(endless)
    proxy = counting(Cached())
    with pytest.warns(UncacheableCallWarning):
        assert proxy.read(endless) == 1
    assert proxy.read(endless) == 2


def test_a_key_callable_that_fails():
    """The call is computed, as if its arguments had no key."""
    proxy = pussycache.wrap(
        Counting(), cached_methods={"find": Cached(key=lambda name, verbose=False: name.lower())}
    )
    with pytest.warns(UncacheableCallWarning):
        assert proxy.find(7) == (7, False)
    assert proxy.find(7) == (7, False)
    assert proxy.loads == 2


def test_arguments_that_refuse_to_be_compared():
    """An argument whose comparison raises does not break the call."""

    class Odd:
        def __hash__(self):
            return 1

        def __eq__(self, other):
            if other is self:
                return True
            raise TypeError("not to be compared")

    proxy = counting(Cached())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UncacheableCallWarning)
        assert proxy.read(Odd()) == 1
        assert proxy.read(Odd()) == 2


def test_wrong_arguments_are_the_methods_own_error():
    """A call that does not fit raises TypeError, and nothing is remembered of it."""
    proxy = pussycache.wrap(Counting(), cached_methods=["find"])
    with pytest.raises(TypeError, match="find"):
        proxy.find()
    with pytest.raises(TypeError, match="find"):
        proxy.find("a", nonsense=1)
    assert proxy.loads == 0


def test_a_cached_function_with_every_kind_of_parameter():
    """Calls that mean the same have one key, whatever way the arguments are given."""
    loads = []

    @cached
    def function(a, /, b, c=3, *rest, d, e=5, **more):
        loads.append((a, b, c, rest, d, e, more))
        return len(loads)

    assert function(1, 2, d=4) == function(1, b=2, c=3, d=4, e=5) == 1
    assert function(1, 2, 3, 9, d=4) == 2
    assert function(1, 2, d=4, x=1, y=2) == function(1, 2, y=2, x=1, d=4) == 3
    assert function(1, 2, d=4, a=1) == 4
    assert len(loads) == 4
