"""Cached(guard=True): a value that was changed in place after it was stored is found out."""

import array
import collections
import dataclasses
import enum
import functools
import gc
import logging
import math
import os
import subprocess
import sys
import threading
import types
import warnings
import weakref
from datetime import datetime
from unittest import mock

import pytest

import pussycache
from pussycache import Cached, MemoryCache, MutatedValueWarning
from pussycache.testing import FakeClock, guarded


class Source:
    """Returns what it was told to make, made anew at each load."""

    def __init__(self, make):
        self.make = make
        self.loads = 0

    def get(self, key=1):
        self.loads += 1
        return self.make()

    async def fetch(self, key=1):
        self.loads += 1
        return self.make()

    def each(self):
        self.loads += 1
        yield self.make()

    def rename(self, key=1):
        pass


def wrapped(make, policy=None, cache=None):
    policy = policy or Cached(guard=True)
    return pussycache.wrap(
        Source(make),
        cache,
        cached_methods={"get": policy, "fetch": policy},
        invalidate_methods={"rename": [pussycache.Forget("get", "key")]},
    )


def served_at_full_speed(source):
    """Whether the one entry there is can be served by the hit path, which compares nothing."""
    (entry,) = source.get.__pussycache__.table(source).entries.values()
    return entry.expires > 0


class Color(enum.Enum):
    RED = 1


class Meta(type):
    """The type of a class."""


class WithMeta(metaclass=Meta):
    pass


class Plain:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def method(self):
        pass


class Frame(Plain):
    """As much of a data frame as is asked for."""

    def __array__(self):
        raise AssertionError("converted")


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self):
        self.a = [1]


@dataclasses.dataclass
class Row:
    number: int
    words: list


class Attributed(dict):
    note = None


Pair = collections.namedtuple("Pair", "first second")


def cycle():
    value = [1]
    value += [value, value]
    return value


# A value, and how a caller changes it. The changes are made in functions, for some are statements.
CHANGES = {
    "item added": (lambda: [1, 2], lambda v: v.append(3)),
    "item replaced": (lambda: [1, 2], lambda v: v.__setitem__(0, 5)),
    "item removed": (lambda: [1, 2], lambda v: v.clear()),
    "items in another order": (lambda: [1, 2], lambda v: v.reverse()),
    "another type": (lambda: [1], lambda v: v.__setitem__(0, True)),
    "one level down": (lambda: {"a": [{"b": [1]}]}, lambda v: v["a"][0]["b"].append(2)),
    "in a tuple": (lambda: (1, [2]), lambda v: v[1].append(3)),
    "in a named tuple": (lambda: Pair(1, [2]), lambda v: v.second.append(3)),
    "moved between lists": (lambda: [[1], []], lambda v: v[1].append(v[0].pop())),
    "another one is the list": (lambda: [[5], 5], lambda v: v.reverse()),
    "key added": (lambda: {"a": 1}, lambda v: v.update(b=2)),
    "keys in another order": (lambda: {"a": 1, "b": 2}, lambda v: v.update(a=v.pop("a"))),
    "order of an OrderedDict": (
        lambda: collections.OrderedDict(a=1, b=2),
        lambda v: v.move_to_end("a"),
    ),
    "key made by reading": (lambda: collections.defaultdict(int), lambda v: v["a"]),
    "member added": (lambda: {1, 2}, lambda v: v.add(3)),
    "member replaced": (lambda: {1, (2, 3)}, lambda v: (v.discard(1), v.add(4))),
    "in a member": (lambda: {Plain(a=1)}, lambda v: next(iter(v)).__dict__.update(a=2)),
    "in a frozenset": (lambda: frozenset([Plain(a=1)]), lambda v: setattr(*v, "a", 2)),
    "in a key": (lambda: {Plain(a=1): 1}, lambda v: setattr(*v, "a", 2)),
    "deque": (lambda: collections.deque([1, 2]), lambda v: v.rotate()),
    "counter": (lambda: collections.Counter("aab"), lambda v: v.update("b")),
    "UserList": (lambda: collections.UserList([1]), lambda v: v.append(2)),
    "bytearray": (lambda: bytearray(b"ab"), lambda v: v.reverse()),
    "array": (lambda: array.array("i", [1, 2]), lambda v: v.append(3)),
    "attribute": (lambda: Plain(a=1), lambda v: setattr(v, "a", 2)),
    "attribute added": (lambda: Plain(a=1), lambda v: setattr(v, "b", 2)),
    "attribute deleted": (lambda: Plain(a=1), lambda v: delattr(v, "a")),
    "in an attribute": (lambda: Plain(a=[]), lambda v: v.a.append(1)),
    "class": (lambda: Plain(a=1), lambda v: setattr(v, "__class__", type("Other", (Plain,), {}))),
    "slot": (lambda: Slotted(), lambda v: v.a.append(2)),
    "slot filled": (lambda: Slotted(), lambda v: setattr(v, "b", 2)),
    "slot emptied": (lambda: Slotted(), lambda v: delattr(v, "a")),
    "slots exchanged": (lambda: Slotted(), lambda v: (setattr(v, "b", v.a), delattr(v, "a"))),
    "method replaced": (lambda: Plain(), lambda v: setattr(v, "method", None)),
    "field": (lambda: Row(1, []), lambda v: v.words.append("a")),
    "namespace": (lambda: types.SimpleNamespace(a=1), lambda v: setattr(v, "a", 2)),
    "attribute of a dict": (lambda: Attributed(), lambda v: setattr(v, "note", 1)),
    "in a cycle": (cycle, lambda v: v.append(2)),
    "beside cycles": (lambda: [cycle(), [1], cycle()], lambda v: v[1].__setitem__(0, 2)),
    "opaque replaced": (lambda: [object()], lambda v: (v.clear(), v.append(object()))),
    "function replaced": (lambda: [lambda: 1], lambda v: v.__setitem__(0, lambda: 1)),
}


@pytest.mark.parametrize(("make", "change"), CHANGES.values(), ids=CHANGES)
def test_a_change_is_found(make, change):
    """A value that a caller changed is not served: it is loaded anew, with a warning."""
    source = wrapped(make)
    first = source.get()
    assert source.get() is first
    change(first)
    with pytest.warns(MutatedValueWarning):
        again = source.get()
    assert again is not first
    assert source.get() is again
    assert source.loads == 2


class Lazy:
    def __init__(self):
        self.lock = threading.Lock()

    @functools.cached_property
    def total(self):
        return [1]


class Touchy:
    """Objects that do not want to be looked at."""

    def __eq__(self, other):
        raise AssertionError("compared")

    __hash__ = object.__hash__

    def __repr__(self):
        raise AssertionError("shown")

    def __getattribute__(self, name):
        raise AssertionError("asked")

    __iter__ = __len__ = __bool__ = __repr__


class TouchyDict(dict):
    def __iter__(self):
        raise AssertionError("iterated")

    __eq__ = __hash__ = __len__ = __iter__
    keys = values = items = __getitem__ = copy = __iter__


def read(value):
    """Use a value without changing it."""
    return value.total


SAME = {
    "not touched": (lambda: {"a": [1, {2}, (3, b"4")], "b": None}, lambda v: None),
    "replaced by its like": (lambda: {"a": [1, [2]]}, lambda v: v.update(a=[1, [2]])),
    "equal numbers": (lambda: [10**20, 1.5], lambda v: v.__setitem__(0, 10**20 + len(v) - 2)),
    "not a number": (lambda: [math.nan], lambda v: v.__setitem__(0, float("nan"))),
    "equal moments": (
        lambda: [datetime(2026, 1, 1)],
        lambda v: v.__setitem__(0, datetime(2026, 1, 1)),
    ),
    "the same members": (
        # As these have the same place in a small table, they come out as they went in.
        lambda: set(range(16, -1, -8)),
        lambda v: (v.update(range(17, 1000)), v.difference_update(range(17, 1000))),
    ),
    "computed when first asked": (Lazy, read),
    "a lock that is taken": (Lazy, lambda v: v.lock.acquire()),
    "a logger in it": (
        lambda: Plain(log=logging.getLogger("a")),
        lambda v: v.log.isEnabledFor(logging.INFO),
    ),
    "a mock that is called": (lambda: Plain(call=mock.Mock()), lambda v: v.call()),
    "an enumeration": (lambda: [Color.RED, Color], lambda v: setattr(v[0], "note", object())),
    "a class": (lambda: [Plain, WithMeta], lambda v: setattr(WithMeta, "note", object())),
    "a data frame": (lambda: Frame(columns=[]), lambda v: v.columns.append(1)),
    "another cache in it": (
        lambda: Plain(shop=wrapped(list), cache=MemoryCache()),
        lambda v: (v.shop.get(), v.cache.set("a", 1)),
    ),
    "what minds being looked at": (lambda: [Touchy(), {Touchy(): Touchy()}], lambda v: None),
    "a dictionary that minds": (lambda: TouchyDict(a=[1]), lambda v: None),
}


@pytest.mark.parametrize(("make", "use"), SAME.values(), ids=SAME)
def test_what_is_no_change(make, use):
    """A value that is only used is served as ever, and no code of its own is run for it."""
    source = wrapped(make)
    first = source.get()
    use(first)
    assert source.get() is first
    assert source.loads == 1


def test_the_state_of_the_object_is_no_part_of_its_results():
    """A result that refers to the wrapped object does not change when the object does."""
    target = Source(None)
    target.make = lambda: [target, Plain(owner=target)]
    source = pussycache.wrap(target, cached_methods={"get": Cached(guard=True)})
    first = source.get()
    target.other = 1
    assert source.get() is first


def test_depth_and_size_have_no_end():
    """A value that is nested deeper than the stack is guarded; of a huge one, the outer part."""

    def deep():
        value = inner = []
        for _ in range(50_000):
            inner.append([])
            inner = inner[0]
        return value, inner

    source = wrapped(deep)
    source.get()[1].append(1)
    with pytest.warns(MutatedValueWarning):
        source.get()

    source = wrapped(lambda: [[n] for n in range(100_000)])
    first = source.get()
    first[0][0] = None
    assert source.get() is first
    first[0].append(1)
    with pytest.warns(MutatedValueWarning):
        source.get()


@pytest.mark.parametrize("kind", ["array", "objects"])
def test_arrays_of_numpy(kind, monkeypatch):
    """The contents and the shape of an array count, wherever numpy is loaded."""

    class Dtype:
        hasobject = kind == "objects"

        def __str__(self):
            return kind

    class NdArray:
        """As much of numpy's as is asked for."""

        dtype = Dtype()

        def __init__(self):
            self.shape = (2,)
            self.parts = [1, [2]]

        def ravel(self):
            return self

        def tolist(self):
            return self.parts

        def tobytes(self):
            return bytes(map(id, self.parts)) if kind == "objects" else bytes([self.parts[0]])

    monkeypatch.setitem(sys.modules, "numpy", types.SimpleNamespace(ndarray=NdArray))
    monkeypatch.setattr(NdArray, "__array__", None, raising=False)
    source = wrapped(NdArray)
    for change in (
        lambda v: setattr(v, "shape", (1, 2)),
        lambda v: v.parts.__setitem__(0, 3),
        *([lambda v: v.parts[1].append(3)] if kind == "objects" else []),
    ):
        first = source.get()
        assert source.get() is first
        change(first)
        with pytest.warns(MutatedValueWarning):
            source.get()


def test_a_value_that_is_changed_while_it_is_looked_at(monkeypatch):
    """Where Python says that a collection changed during the look, the value counts as changed."""

    class NdArray:
        changes = True

        @property
        def dtype(self):
            if self.changes:
                raise RuntimeError("changed size during iteration")
            return types.SimpleNamespace(hasobject=False)

        def tobytes(self):
            return b""

        shape = ()

    monkeypatch.setitem(sys.modules, "numpy", types.SimpleNamespace(ndarray=NdArray))
    source = wrapped(NdArray)
    source.get().changes = False
    with pytest.warns(MutatedValueWarning):
        source.get()
    with pytest.warns(MutatedValueWarning):
        source.get()


def test_arrays_of_the_real_numpy():
    """An array of numpy that a caller changes is found out."""
    numpy = pytest.importorskip("numpy")
    for make, change in (
        (lambda: numpy.zeros(3), lambda v: v.__setitem__(0, 1)),
        (lambda: numpy.array(["2026-01-01"], "M8[D]"), lambda v: v.__setitem__(0, "2027-01-01")),
        (lambda: numpy.array([[1], None], object), lambda v: v[0].append(2)),
        (lambda: [numpy.zeros((2, 2))[:, 0]], lambda v: v[0].fill(7)),
    ):
        source = wrapped(make)
        first = source.get()
        assert source.get() is first
        change(first)
        with pytest.warns(MutatedValueWarning):
            source.get()


# What is said, and where.


def test_the_warning():
    """The warning names the method, the call and remedies, and points at the line that asked."""
    source, key = wrapped(list), Plain()
    for call in (lambda: source.get("ada"), lambda: source.get(key=key)):
        call().append(1)
        with pytest.warns(MutatedValueWarning) as caught:
            call()
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert caught[0].lineno == call.__code__.co_firstlineno
        said = str(caught[0].message)
        assert "Source.get(key='ada')" in said or "Source.get(key=<Plain>)" in said
        assert "copy='deep'" in said
        assert "invalidate_methods" in said


def test_an_async_method(run_async):
    """An async method is guarded too, and its warning points at the line that awaits."""

    async def main():
        source = wrapped(list, Cached(guard=True, ttl=60))
        first = await source.fetch()
        assert await source.fetch() is first
        first.append(1)
        with pytest.warns(MutatedValueWarning) as caught:
            assert await source.fetch() == []
        assert caught[0].filename == __file__

    run_async(main())


@pytest.fixture
def run_async():
    import asyncio

    return asyncio.run


def test_warnings_as_errors():
    """Under "error" the call raises, and the next one loads anew."""
    source = wrapped(list)
    source.get().append(1)
    with pytest.raises(MutatedValueWarning):
        source.get()
    assert source.get() == []
    assert source.loads == 2


def test_what_is_counted():
    """A change counts as an invalidation and its call as a miss; hits on guarded values count."""
    source = wrapped(list)
    source.get(), source.get()
    source.get().append(1)
    with pytest.warns(MutatedValueWarning):
        source.get()
    source.get()
    pussycache.forget_all(source)
    figures = pussycache.info(source.get)
    assert (figures.hits, figures.misses, figures.loads) == (3, 2, 2)
    assert (figures.invalidations, figures.entries) == (2, 0)


def test_peek_and_explain():
    """peek does not show a changed value and explain says why; neither warns nor forgets."""
    source = wrapped(list)
    first = source.get()
    assert pussycache.peek(source.get) is first
    assert pussycache.explain(source.get).hit
    first.append(1)
    assert pussycache.peek(source.get) is pussycache.MISSING
    said = "Source.get: miss, invalidated (its value was changed in place)"
    assert str(pussycache.explain(source.get)) == said
    with pytest.raises(MutatedValueWarning):
        source.get()
    explained = pussycache.explain(source.get)
    assert (explained.reason, explained.detail) == ("invalidated", "its value was changed in place")
    assert explained.when is not None


# With the other fields, and the other ways to store.


def test_put_and_refresh():
    """What was put or refreshed is guarded like what was loaded."""
    source = wrapped(list)
    value = []
    assert pussycache.put(source.get, value)
    assert source.get() is value
    value.append(1)
    with pytest.warns(MutatedValueWarning):
        source.get()
    pussycache.refresh(source.get).append(1)
    with pytest.warns(MutatedValueWarning):
        source.get()


@pytest.mark.parametrize("ttl", [10, math.inf, lambda value: 10], ids=["ten", "ever", "callable"])
def test_a_guarded_value_expires(ttl):
    """Time is told exactly for guarded values as for others."""
    with FakeClock() as clock:
        source = wrapped(list, Cached(guard=True, ttl=ttl))
        first = source.get()
        clock.advance(9.999)
        assert source.get() is first
        clock.advance(0.001)
        assert (source.get() is first) is (ttl == math.inf)


def test_a_write_forgets_guarded_values():
    """Rules match guarded entries, and a write is no change."""
    source = wrapped(list)
    source.get(1), source.get(2)
    source.rename(1)
    assert pussycache.peek(source.get, 1) is pussycache.MISSING
    assert pussycache.peek(source.get, 2) == []


def test_deep_copies_need_no_guard():
    """With copy="deep" guard is accepted, and there is nothing to find out."""
    source = wrapped(list, Cached(guard=True, copy="deep"))
    source.get().append(1)
    assert source.get() == []
    assert source.loads == 1
    assert served_at_full_speed(source)


def test_a_shallow_copy_is_guarded():
    """Where callers get shallow copies, what is below is still shared, and guarded."""
    source = wrapped(lambda: [[1]], Cached(guard=True, copy=list.copy))
    source.get().append(2)
    assert source.get() == [[1]]
    source.get()[0].append(2)
    with pytest.warns(MutatedValueWarning):
        assert source.get() == [[1]]


def test_materialized():
    """What an iterator yields is guarded, and each caller has an iterator of its own."""
    source = pussycache.wrap(
        Source(list), cached_methods={"each": Cached(guard=True, materialize=True)}
    )
    assert list(source.each()) == list(source.each()) == [[]]
    next(source.each()).append(1)
    with pytest.warns(MutatedValueWarning):
        assert list(source.each()) == [[]]
    assert source.loads == 2


def test_decorated():
    """@cached takes guard for methods and functions; instances are not kept alive by it."""

    class Repository:
        @pussycache.cached(guard=True)
        def rows(self, table):
            return [self.__class__, table]

    @pussycache.cached(guard=True)
    def rows(table="t"):
        return [table]

    repository = Repository()
    for function in (repository.rows, rows):

        def call(function=function):
            return function("t")

        call().append(1)
        with pytest.warns(MutatedValueWarning, match=r"rows\(table='t'\)") as caught:
            call()
        assert caught[0].filename == __file__
    reference = weakref.ref(repository)
    del repository, call, function
    gc.collect()
    assert reference() is None


def test_nothing_is_kept_longer_than_the_entry():
    """Objects that a caller took out of a value live as long as its entry, and no longer."""
    source = wrapped(lambda: [Plain(a=1), 1])
    value = source.get()
    reference = weakref.ref(value[0])
    value.clear()
    assert reference() is None
    source = wrapped(lambda: [threading.Event()])
    value = source.get()
    reference = weakref.ref(value[0])
    value.clear()
    assert reference() is not None
    pussycache.forget_all(source)
    assert reference() is None


@pytest.mark.parametrize("guard", [1, "yes", None])
def test_guard_is_true_or_false(guard):
    """Any other value for guard is a mistake, and the message says so."""
    with pytest.raises(pussycache.ConfigurationError, match="guard must be True or False"):
        Cached(guard=guard)


@pytest.mark.parametrize("value", [1, "text", (1, ("a", None)), frozenset([1]), Pair(1, 2), Color])
def test_what_cannot_change_is_served_at_full_speed(value):
    """Where nothing in a value can be changed, the entry is one like any other."""
    source = wrapped(lambda: value)
    source.get()
    assert served_at_full_speed(source)


def test_proxies_of_one_object():
    """A guarded entry is looked after also where another proxy, without guard, reads it."""
    target, cache = Source(list), MemoryCache()
    one = pussycache.wrap(target, cache, cached_methods={"get": Cached(guard=True)})
    other = pussycache.wrap(target, cache, cached_methods={"get": Cached()})
    other_timed = pussycache.wrap(target, cache, cached_methods={"get": Cached(ttl=60)})
    for source in (other, other_timed):
        pussycache.forget_all(one)
        one.get().append(1)
        with pytest.warns(MutatedValueWarning):
            source.get()


# At the same time.


def test_two_that_find_the_same_change(monkeypatch):
    """Of two callers that find the same change one warns, and both get a fresh value."""
    looking, go_on = threading.Event(), threading.Event()
    holding = []

    class Dtype:
        hasobject = False

        def __str__(self):
            if threading.current_thread() in holding:
                looking.set()
                assert go_on.wait(60)
            return "held"

    class NdArray:
        dtype = Dtype()
        shape = ()
        content = b"a"

        def tobytes(self):
            return self.content

    monkeypatch.setitem(sys.modules, "numpy", types.SimpleNamespace(ndarray=NdArray))
    source = wrapped(lambda: [NdArray()])
    changed = source.get()
    changed[0].content = b"b"
    got = []
    thread = threading.Thread(target=lambda: got.append(source.get()))
    holding.append(thread)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        thread.start()
        assert looking.wait(60)
        got.append(source.get())
        go_on.set()
        thread.join(60)
    assert not thread.is_alive()
    assert len(caught) == 1
    assert got[0] is got[1]
    assert got[0] is not changed
    assert source.loads == 2


def test_who_waited_for_the_load():
    """Whoever waited for a load gets its object, and a change made meanwhile is found later."""
    begun, go_on = threading.Event(), threading.Event()

    def make():
        begun.set()
        assert go_on.wait(60)
        return []

    source = wrapped(make)
    table = source.get.__pussycache__.table(source)
    got = []
    threads = [threading.Thread(target=lambda: got.append(source.get())) for _ in range(2)]
    threads[0].start()
    assert begun.wait(60)
    threads[1].start()
    while not any(list(table.flights.values())):
        assert threads[1].is_alive()
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert got[0] is got[1]
    got[0].append(1)
    with pytest.warns(MutatedValueWarning):
        assert source.get() == []


# The switch for the whole process.


def test_guarded():
    """While the switch is on, what is stored is guarded, by whatever it was wrapped before."""
    source = wrapped(list, Cached())
    source.get("before").append(1)
    with guarded():
        assert source.get("before") == [1]
        source.get("in it").append(1)
        with pytest.warns(MutatedValueWarning):
            assert source.get("in it") == []
        first = source.get("after")
        assert source.get("after") is first
    source.get("off").append(1)
    assert source.get("off") == [1]
    first.append(1)
    with pytest.warns(MutatedValueWarning):
        assert source.get("after") == []


def test_guarded_twice():
    """Switches nest: the inner one's end does not end the outer one."""
    source = wrapped(list, Cached())
    with guarded():
        with guarded():
            pass
        source.get().append(1)
    with pytest.warns(MutatedValueWarning):
        source.get()


@pytest.mark.parametrize(("setting", "guards"), [("1", True), ("0", False), ("", False)])
def test_the_environment_variable(setting, guards):
    """PUSSYCACHE_GUARD=1 guards every method for the life of the process."""
    program = (
        "import pussycache\n"
        "words = pussycache.wrap({'a': 1}, cached_methods=['copy'])\n"
        "words.copy()['b'] = 2\n"
        "words.copy()\n"
    )
    run = subprocess.run(
        [sys.executable, "-W", "always::UserWarning", "-c", program],
        env={**os.environ, "PUSSYCACHE_GUARD": setting},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0
    assert ("<string>:4: MutatedValueWarning" in run.stderr) is guards
