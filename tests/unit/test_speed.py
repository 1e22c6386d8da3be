"""The compiled hit path against the same in Python, call by call; no proxy and no cache here."""

import copy
import gc
import importlib
import inspect
import itertools
import math
import os
import pickle
import sys
import time
import tracemalloc
import weakref
from types import MethodType, ModuleType
from typing import Any

import pytest

try:
    _speed = importlib.import_module("pussycache._speed")
except ImportError:
    if os.environ.get("PUSSYCACHE_REQUIRE_SPEED") == "1":
        raise
    pytest.skip("the extension is not built", allow_module_level=True)

MISSED = "missed"


class Table:
    __slots__ = ("__weakref__", "entries", "name")


class Entry:
    __slots__ = ("expires", "hits", "key", "value")


class Named:
    """Has a class attribute instead of a slot."""

    __slots__ = ()
    table = None


def entry_of(value: Any, expires: Any = math.inf, hits: Any = 0) -> Entry:
    entry = Entry()
    entry.value, entry.expires, entry.hits = value, expires, hits
    return entry


def key_of(*args: Any) -> tuple[Any, ...]:
    return args + tuple(type(arg) for arg in args)


def in_python(self: Any, a: Any, b: Any = 2) -> Any:
    """What compile.py generates for these parameters."""
    try:
        entry = self.table.entries[a, b, type(a), type(b)]
        if entry.expires > time.monotonic():
            entry.hits += 1
            return entry.value
    except Exception:
        pass
    return (MISSED, a, b)


def missed(self: Any, a: Any, b: Any = 2) -> Any:
    return (MISSED, a, b)


def hit_of(fallback: Any = missed, **changed: Any) -> Any:
    given = {
        "table_type": Table,
        "entry_type": Entry,
        "names": ("a", "b"),
        "key_positions": (0, 1),
        "defaults": (2,),
        "timed": True,
    }
    return _speed.Hit(fallback, **(given | changed))


def owner_of(hit: Any, bind: bool = True) -> Any:
    class Owner:
        __slots__ = ("__weakref__", "table")

        get = hit
        in_python = in_python

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(name)

    if bind:
        hit.bind_owner(Owner, "table")
    owner: Any = Owner()
    owner.table = Table()
    owner.table.entries = {}
    return owner


def put(owner: Any, *args: Any, **said: Any) -> Entry:
    entry = entry_of(**({"value": ["kept", *args]} | said))
    owner.table.entries[key_of(*args)] = entry
    return entry


def outcome(call: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        return call(*args, **kwargs)
    except Exception as error:
        return type(error)


@pytest.fixture(autouse=True)
def real_clock() -> Any:
    yield
    _speed.use_clock(True, 0.0)


class Text(str):
    """A string that is not exactly one."""


class Unhashable:
    __hash__ = None


class Raising:
    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __hash__(self) -> int:
        raise self.error


CALLS = {
    "positional": ((1, 2), {}),
    "default": ((1,), {}),
    "last by name": ((1,), {"b": 2}),
    "all by name": ((), {"a": 1, "b": 2}),
    "out of order": ((), {"b": 2, "a": 1}),
    "by name and default": ((), {"a": 1}),
    "name not interned": ((1,), {"".join(["b"]): 2}),
    "none": ((), {}),
    "too many": ((1, 2, 3), {}),
    "given twice": ((1, 2), {"a": 1}),
    "unknown": ((1,), {"c": 2}),
    "unknown in place of a needed one": ((), {"b": 2}),
    "too many by name": ((1, 2), {"c": 3}),
    "other value": ((7, 2), {}),
    "bool": ((True, 2), {}),
    "float": ((1.0, 2), {}),
    "string": (("1", 2), {}),
    "none as a value": ((None, None), {}),
    "string kept": (("x", "y"), {}),
    "string of another type": ((Text("x"), "y"), {}),
    "unhashable": (([1], 2), {}),
    "unhashable by name": ((1,), {"b": {}}),
    "unhashable class": ((Unhashable(), 2), {}),
    "hash raises": ((Raising(ValueError), 2), {}),
}


@pytest.mark.parametrize("call", CALLS)
def test_every_call_ends_as_in_python(call: str) -> None:
    """A call returns, raises and counts what the generated Python would."""
    args, kwargs = CALLS[call]
    owner = owner_of(hit_of())
    entries = [put(owner, 1, 2), put(owner, True, 3), put(owner, "x", "y"), put(owner, None, None)]
    expected = outcome(owner.in_python, *args, **kwargs)
    counts = [entry.hits for entry in entries]
    for entry in entries:
        entry.hits = 0
    for get in (owner.get, lambda *a, **k: type(owner).get(owner, *a, **k)):
        assert outcome(get, *args, **kwargs) == expected
        assert [entry.hits for entry in entries] == counts
        for entry in entries:
            entry.hits = 0


def test_names_that_might_compare_as_they_like() -> None:
    """A call with a name that is not exactly a string is left to the fallback."""
    owner = owner_of(hit_of(in_python))
    put(owner, 1, 2)
    assert owner.get(1, **{Text("b"): 2}) == ["kept", 1, 2]
    with pytest.raises(TypeError):
        owner.get(1, **{Text("c"): 2})


def test_keys_of_other_parameters() -> None:
    """Only the arguments at the key's positions, in the key's order, tell calls apart."""

    def fallback(self: Any, a: Any, b: Any, c: Any) -> str:
        return MISSED

    hit = hit_of(fallback, names=("a", "b", "c"), key_positions=(2, 0), defaults=())
    owner = owner_of(hit)
    put(owner, 3, 1)
    assert owner.get(1, "any", 3) == ["kept", 3, 1]
    assert owner.get(3, "any", 1) is MISSED


def test_no_parameters() -> None:
    """A method without arguments has one entry, under the empty key."""
    hit = hit_of(lambda self: MISSED, names=(), key_positions=(), defaults=())
    owner = owner_of(hit)
    assert owner.get() == MISSED
    owner.table.entries[()] = entry_of(5)
    assert [owner.get(), owner.get()] == [5, 5]
    with pytest.raises(TypeError):
        owner.get(1)


def test_none_is_a_value() -> None:
    """A remembered `None` is served."""
    owner = owner_of(hit_of())
    put(owner, 1, 2, value=None)
    assert owner.get(1) is None


def test_what_else_is_raised_passes() -> None:
    """What is no `Exception` comes out of the look-up, as from `except Exception`."""
    owner = owner_of(hit_of())
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            owner.get(Raising(KeyboardInterrupt))
        put(owner, 1, 2)
        assert owner.get(1) == ["kept", 1, 2]


@pytest.mark.parametrize(
    "spoiled",
    [
        {"expires": 0.0},
        {"expires": -math.inf},
        {"expires": math.nan},
        {"expires": 10**9},
        {"hits": 0.5},
        {"hits": 2**63 - 1},
        {"hits": 2**70},
    ],
    ids=repr,
)
def test_an_entry_that_is_not_served(spoiled: dict[str, Any]) -> None:
    """An entry that has expired, or is not as entries are, is left alone."""
    owner = owner_of(hit_of())
    entry = put(owner, 1, 2, **spoiled)
    hits = entry.hits
    assert owner.get(1) == (MISSED, 1, 2)
    assert entry.hits is hits


@pytest.mark.parametrize("slot", ["expires", "hits", "value"])
def test_an_unset_slot_is_a_miss(slot: str) -> None:
    """An entry that lacks something is a miss."""
    owner = owner_of(hit_of())
    delattr(put(owner, 1, 2), slot)
    assert owner.get(1) == (MISSED, 1, 2)


def test_foreign_objects_are_misses() -> None:
    """Whatever stands where an entry, entries, a table or the owner should is a miss."""
    owner = owner_of(hit_of())

    class Dict(dict[Any, Any]):
        pass

    for foreign in (None, 5, object(), Table(), Named()):
        owner.table.entries = {key_of(1, 2): foreign}
        assert owner.get(1) == (MISSED, 1, 2)
    for foreign in (None, [], Dict({key_of(1, 2): entry_of(5)})):
        owner.table.entries = foreign
        assert owner.get(1) == (MISSED, 1, 2)
    del owner.table.entries
    assert owner.get(1) == (MISSED, 1, 2)
    for foreign in (None, 5, Entry()):
        owner.table = foreign
        assert owner.get(1) == (MISSED, 1, 2)
    del owner.table
    assert owner.get(1) == (MISSED, 1, 2)
    for foreign in (None, 5, Named(), Table(), owner_of(hit_of())):
        assert type(owner).get(foreign, 1) == (MISSED, 1, 2)
    with pytest.raises(TypeError):
        type(owner).get()


def test_subclasses_are_served() -> None:
    """Instances of subclasses of the owner, the table and the entry are as good."""
    owner = owner_of(hit_of())

    class Sub(type(owner)):
        pass

    class SubTable(Table):
        pass

    class SubEntry(Entry):
        pass

    sub = Sub()
    sub.table = SubTable()
    entry = SubEntry()
    entry.value, entry.expires, entry.hits = 5, math.inf, 0
    sub.table.entries = {key_of(1, 2): entry}
    assert sub.get(1) == 5
    assert entry.hits == 1


def test_nothing_is_served_before_the_owner_is_known() -> None:
    """Until a class is bound every call goes to the fallback."""
    hit = hit_of()
    owner = owner_of(hit, bind=False)
    put(owner, 1, 2)
    assert owner.get(1) == (MISSED, 1, 2)
    hit.bind_owner(type(owner), "table")
    assert owner.get(1) == ["kept", 1, 2]


class Colliding:
    """Does something in the middle of a look-up, where another one has the same hash."""

    def __init__(self, act: Any = None) -> None:
        self.act = act

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        act = getattr(other, "act", None)
        if act is not None:
            return bool(act())
        return False


def test_a_comparison_may_change_everything() -> None:
    """Comparing keys may replace the entries, the table and the type of an argument."""
    owner = owner_of(hit_of())

    class Other(Colliding):
        pass

    def act() -> bool:
        argument.__class__ = Other
        owner.table.entries.clear()
        owner.table.entries = {}
        owner.table = Table()
        gc.collect()
        return True

    argument = Colliding(act)
    for _ in range(10):
        owner.table.entries = {}
        put(owner, Colliding(), 2, value=[1])
        argument.__class__ = Colliding
        assert owner.get(argument) in ([1], (MISSED, argument, 2))


def test_a_comparison_may_raise() -> None:
    """An exception in a comparison is a miss, and what is no `Exception` comes out."""
    owner = owner_of(hit_of())
    put(owner, Colliding(), 2)

    def act() -> bool:
        raise errors[0]

    argument = Colliding(act)
    errors: list[BaseException] = [ValueError(), RecursionError(), MemoryError(), SystemExit()]
    while errors[1:]:
        assert owner.get(argument) == (MISSED, argument, 2)
        del errors[0]
    with pytest.raises(SystemExit):
        owner.get(argument)


def test_a_call_within_a_call() -> None:
    """A comparison may make the same call again, to any depth."""
    owner = owner_of(hit_of())
    put(owner, Colliding(), 2)
    put(owner, 1, 2)
    depth = 0

    def act() -> bool:
        nonlocal depth
        depth += 1
        if depth < 20:
            owner.get(argument)
        assert owner.get(1) == ["kept", 1, 2]
        return False

    argument = Colliding(act)
    assert owner.get(argument) == (MISSED, argument, 2)
    assert depth >= 20


def test_a_key_that_is_kept_does_not_change() -> None:
    """Whoever gets hold of the tuple that is looked up finds it unchanged after later calls."""
    seen: list[Any] = []

    class Key(tuple[Any, ...]):
        def __eq__(self, other: object) -> bool:
            seen.append(other)
            return False

        def __hash__(self) -> int:
            return hash(tuple(self))

    owner = owner_of(hit_of())
    owner.table.entries[Key(key_of(1, 2))] = entry_of(5)
    assert owner.get(1) == (MISSED, 1, 2)
    owner.table.entries.clear()
    owner.get(3)
    owner.get(4)
    assert seen
    assert all(key == (1, 2, int, int) for key in seen)


def test_the_clock_is_time_monotonic() -> None:
    """Entries live exactly as long as `time.monotonic` says, near and far from their end."""
    owner = owner_of(hit_of())
    entry = put(owner, 1, 2)
    for left in (0.0005, 0.05):
        end = entry.expires = time.monotonic() + left
        while True:
            before = time.monotonic()
            served = owner.get(1) == ["kept", 1, 2]
            after = time.monotonic()
            assert served or after >= end
            assert not served or before < end
            if not served:
                break
    for left in (0.9, 1.5, 2.5, 1e6):
        end = entry.expires = time.monotonic() + left
        served = owner.get(1) == ["kept", 1, 2]
        assert served or time.monotonic() >= end


def test_another_clock() -> None:
    """Where another clock tells the time, entries that expire by it are left to the fallback."""
    timed, untimed = owner_of(hit_of()), owner_of(hit_of(timed=False))
    for owner in (timed, untimed):
        put(owner, 1, 2)
    _speed.use_clock(False, 0.0)
    assert timed.get(1) == (MISSED, 1, 2)
    assert untimed.get(1) == ["kept", 1, 2]
    _speed.use_clock(False, math.inf)
    assert untimed.get(1) == (MISSED, 1, 2)
    _speed.use_clock(True, 0.0)
    assert timed.get(1) == untimed.get(1) == ["kept", 1, 2]


def test_the_floor() -> None:
    """Entries that cannot expire by time are served if their expiry exceeds the floor."""
    owner = owner_of(hit_of(timed=False))
    entry = put(owner, 1, 2, expires=1e-9)
    assert owner.get(1) == ["kept", 1, 2]
    entry.expires = 0.0
    assert owner.get(1) == (MISSED, 1, 2)


def test_hits_are_counted() -> None:
    """Each hit adds one, beyond what fits a digit of an int, and no other int changes."""
    owner = owner_of(hit_of())
    for start in (0, 255, 256, 2**30 - 1, 2**32, 2**62):
        entry = put(owner, 1, 2, hits=start)
        for _ in range(3):
            owner.get(1)
        assert entry.hits == start + 3
    assert type(entry.hits) is int


def test_it_looks_like_a_function() -> None:
    """It binds, takes attributes, shows its signature and is copied and pickled by name."""
    hit = hit_of()
    hit.__name__, hit.__qualname__ = "in_python", "in_python"
    hit.__module__, hit.__doc__, hit.__wrapped__ = __name__, "Says so.", in_python
    hit.__signature__ = inspect.signature(in_python)
    owner = owner_of(hit)
    bound = owner.get
    assert type(bound) is MethodType
    assert bound.__self__ is owner
    assert bound.__func__ is hit is type(owner).get is hit.__get__(None, type(owner))
    assert (bound.__name__, bound.__doc__, bound.__module__) == ("in_python", "Says so.", __name__)
    assert bound.__wrapped__ is in_python
    assert str(inspect.signature(bound)) == str(inspect.signature(in_python)).replace(
        "self: Any, ", ""
    )
    assert inspect.isroutine(hit)
    assert copy.copy(hit) is hit
    assert copy.deepcopy(hit) is hit
    assert hit.__reduce__() == "in_python"
    del hit.__wrapped__
    assert not hasattr(bound, "__wrapped__")
    assert weakref.ref(hit)() is hit
    hit.__dict__ = {"other": 1}
    assert hit.other == 1


def test_a_pickle_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle refers to it by module and name."""
    module = ModuleType("speed_of_test")
    module.get = hit = hit_of()
    hit.__module__, hit.__qualname__ = "speed_of_test", "get"
    monkeypatch.setitem(sys.modules, "speed_of_test", module)
    assert pickle.loads(pickle.dumps(hit)) is hit


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"table_type": Entry}, AttributeError),
        ({"entry_type": Table}, AttributeError),
        ({"table_type": 5}, TypeError),
        ({"names": ["a", "b"]}, TypeError),
        ({"names": (1, 2)}, TypeError),
        ({"names": ("a",), "defaults": ()}, ValueError),
        ({"names": tuple("abcdefghijklmnopqrstuvwxyzABCDEFG")}, ValueError),
        ({"key_positions": (0, 2)}, ValueError),
        ({"key_positions": (-1,)}, ValueError),
        ({"key_positions": ("a",)}, TypeError),
        ({"key_positions": (0, 1, 0)}, ValueError),
        ({"defaults": (1, 2, 3)}, ValueError),
        ({"fallback": 5}, TypeError),
    ],
    ids=repr,
)
def test_what_cannot_work_is_refused(changed: dict[str, Any], error: type[Exception]) -> None:
    """An argument that could not work raises when the object is made."""
    with pytest.raises(error):
        hit_of(**changed)


def test_everything_must_be_given() -> None:
    """An argument that is left out raises when the object is made."""
    with pytest.raises(TypeError):
        _speed.Hit(missed, table_type=Table, entry_type=Entry)
    with pytest.raises(TypeError):
        _speed.Hit()


def test_offsets() -> None:
    """Only slots of the class itself or its bases that hold objects have an offset."""

    class Sub(Table):
        __slots__ = ("more",)

    class Stolen:
        entries = Table.__dict__["entries"]

    assert _speed.offset(Sub, "entries") == _speed.offset(Table, "entries") > 0
    assert _speed.offset(Sub, "more") > _speed.offset(Sub, "entries")
    for kind, name in ((Stolen, "entries"), (Named, "table"), (type, "__dictoffset__")):
        with pytest.raises(TypeError):
            _speed.offset(kind, name)
        with pytest.raises(TypeError):
            hit_of().bind_owner(kind, name)
    with pytest.raises(AttributeError):
        _speed.offset(Table, "none")
    with pytest.raises(TypeError):
        _speed.offset(Table(), "entries")


def test_most_parameters() -> None:
    """A method may have 32 parameters."""
    names = tuple(f"p{i}" for i in range(32))
    positions = tuple(range(32))
    fallback = lambda *args, **kwargs: MISSED  # noqa: E731
    hit = hit_of(fallback, names=names, key_positions=positions, defaults=positions)
    owner = owner_of(hit)
    put(owner, *positions)
    assert owner.get(*positions) == owner.get() == owner.get(0, p31=31) == ["kept", *positions]
    assert owner.get(p31=0) is MISSED


def test_references_are_given_back() -> None:
    """A call changes no reference count, whatever comes of it."""
    owner = owner_of(hit_of())
    argument, key, value = Colliding(), Colliding(), object()
    key.act = argument.act = lambda: False
    put(owner, key, 2, value=value)
    put(owner, 1, 2, value=value)
    entry, entries = owner.table.entries[key_of(1, 2)], owner.table.entries
    unhashable = [1]
    watched = [argument, key, value, entry, entries, owner, owner.table, unhashable]
    watched += [Colliding, list, missed, type(owner).get]

    def calls() -> None:
        for _ in range(1000):
            owner.get(1)
            owner.get(a=1, b=2)
            owner.get(key)
            owner.get(argument)
            owner.get(b=argument, a=argument)
            owner.get(unhashable)
            outcome(owner.get)
            outcome(owner.get, 1, 2, 3)

    calls()
    gc.collect()
    before = [sys.getrefcount(thing) for thing in watched]
    calls()
    gc.collect()
    assert [sys.getrefcount(thing) for thing in watched] == before


def test_no_memory_is_lost() -> None:
    """Neither calls nor objects that come and go make the process grow."""

    def everything() -> None:
        owner = owner_of(hit_of())
        put(owner, 1, 2)
        key = Colliding(lambda: owner.get(1) is None)
        put(owner, Colliding(), 2)
        for _ in range(5):
            owner.get(1)
            owner.get(a=1)
            owner.get(key)
            outcome(owner.get, 1, 2, 3)
            outcome(hit_of, key_positions=(5,))
            outcome(hit_of, entry_type=Table)

    def many() -> int:
        for _ in range(200):
            everything()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        many()
        # The least of several: a table of the interpreter's may grow in any one of them.
        sizes = [many() for _ in range(5)]
        assert min(b - a for a, b in itertools.pairwise(sizes)) < 2_000
    finally:
        tracemalloc.stop()


def test_a_cycle_is_collected() -> None:
    """A class, what answers its calls, and what is set on that are freed together."""
    hit = hit_of()
    owner = owner_of(hit)
    put(owner, hit, owner, value=hit)
    hit.itself, hit.owner = hit, owner
    assert owner.get(hit, owner) is hit
    gone = [weakref.ref(hit), weakref.ref(type(owner)), weakref.ref(owner)]
    del hit, owner
    gc.collect()
    assert [ref() for ref in gone] == [None, None, None]


def test_called_as_garbage() -> None:
    """A finalizer may make a call while everything it needs is being collected."""
    outcomes = []

    class Late:
        def __init__(self) -> None:
            self.hit = hit_of()
            self.hit.late = self
            self.owner = owner_of(self.hit)
            put(self.owner, 1, 2)

        def __del__(self) -> None:
            outcomes.append(self.owner.get(1))

    Late()
    gc.collect()
    assert outcomes == [["kept", 1, 2]]
