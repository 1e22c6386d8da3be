"""A cache that is saved and loaded: what comes back, for how long, and what is told of the rest."""

import asyncio
import collections
import dataclasses
import datetime as dt
import enum
import os
import subprocess
import sys
import textwrap
from decimal import Decimal

import pytest

import pussycache
from pussycache import (
    MISSING,
    Cached,
    ConfigurationError,
    Forget,
    ForgetTag,
    MemoryCache,
    NullCache,
)
from pussycache.testing import FakeClock

SECRET = ["a secret that is long enough"]


class Color(enum.Enum):
    RED = 1


@dataclasses.dataclass
class User:
    name: str
    color: Color


class Source:
    """Has no state: what it was asked is noted elsewhere."""

    def read(self, a, b=2):
        LOADS.append(("read", a, b))
        return [a, b]

    def find(self, name: str) -> User | None:
        LOADS.append(("find", name))
        return User(name, Color.RED)

    def paint(self, color: Color) -> int:
        LOADS.append(("paint", color))
        return 1

    def odd(self, number):
        LOADS.append(("odd", number))
        return object()

    def fail(self, number):
        LOADS.append(("fail", number))
        raise LookupError(number)

    def rows(self, count):
        LOADS.append(("rows", count))
        yield from range(count)

    async def arows(self, count):
        LOADS.append(("arows", count))
        for number in range(count):
            yield number

    async def aread(self, a):
        LOADS.append(("aread", a))
        return (a,)

    def many(self, ids):
        LOADS.append(("many", tuple(ids)))
        return {one: str(one) for one in ids if one > 0}

    def write(self, a):
        pass


class Account:
    """Has state, and says nothing of what it stands for."""

    def __init__(self, name):
        self.name = name

    def total(self, month):
        LOADS.append((self.name, month))
        return month


class Named(Account):
    def __cache_identity__(self):
        return self.name


LOADS = []
# Entries go with their objects.
PROXIES = []


@pytest.fixture(autouse=True)
def no_loads():
    LOADS.clear()
    yield
    PROXIES.clear()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "warm"


@pytest.fixture
def clocks(monkeypatch):
    """The clock of this process, and one of the day, which goes on when it is told to."""

    class Clocks:
        def __init__(self, fake):
            self.fake = fake
            self.day = 1_700_000_000.0

        def advance(self, seconds):
            self.fake.advance(seconds)
            self.day += seconds

    with FakeClock() as fake:
        clocks = Clocks(fake)
        for room in ("saving", "restoring"):
            __import__(f"pussycache.cache.{room}")
            monkeypatch.setattr(f"pussycache.cache.{room}.wall", lambda: clocks.day)
        yield clocks


def moved(cache, path, into=None, **how):
    """Save a cache, and load it into another; what both said."""
    saved = cache.save(path, **how)
    other = MemoryCache() if into is None else into
    return saved, other.load(path, **how), other


def wrapped(cache, target=None, **said):
    PROXIES.append(pussycache.wrap(Source() if target is None else target, cache, **said))
    return PROXIES[-1]


# What comes back.


@pytest.mark.parametrize("before", [True, False], ids=["wrapped-first", "loaded-first"])
def test_a_call_hits_in_the_cache_that_was_loaded(path, before):
    """What was remembered of an object is found by one of its name, whichever comes first."""
    old = wrapped(cache := MemoryCache(), cached_methods=["read"])
    expected = [old.read(1), old.read("a", b=(1, 2.5)), old.read(True)]
    assert cache.save(path) == (3, {}, ())
    LOADS.clear()
    other = MemoryCache()
    if before:
        new = wrapped(other, cached_methods=["read"])
        report = other.load(path)
    else:
        report = other.load(path)
        assert (report.loaded, report.waiting) == (0, 3)
        new = wrapped(other, cached_methods=["read"])
    assert repr(report) == "Loaded(loaded=3, waiting=0, expired=0, refused={})"
    assert [new.read(1, 2), new.read("a", (1, 2.5)), new.read(True)] == expected
    assert LOADS == []
    assert pussycache.info(new.read).hits == 3
    assert new.read(1.0) == [1.0, 2]


KEYS = [
    *(1, 1.0, True, "1", b"1", None, -0.0, float("nan"), 2**80, "\udc80", 3 + 0.5j),
    *((1, [2, {3: "x"}]), {"a": {1, 2}}, frozenset({(1,), "b"}), bytearray(b"x"), range(3)),
    *(dt.datetime(2024, 1, 2, tzinfo=dt.UTC), dt.date(2024, 1, 2), dt.time(1, fold=1)),
    *(Decimal("1.10"), dt.timedelta(1, 2, 3), slice(1, None), collections.deque([1], 3)),
    *(collections.OrderedDict(a=1, b=2), collections.Counter("aab")),
    collections.defaultdict(list, {1: [2]}),
]


def test_arguments_of_any_type_that_can_be_written_come_back_as_the_same_key(path):
    """Each call hits again, and is no other's: keys are those that they were."""
    old = wrapped(cache := MemoryCache(), cached_methods=["read"])
    for position, key in enumerate(KEYS):
        old.read(key, position)
    new = wrapped(other := MemoryCache(), cached_methods=["read"])
    saved, loaded, _ = moved(cache, path, other)
    assert (saved.saved, loaded.loaded) == (len(KEYS), len(KEYS)), saved
    LOADS.clear()
    for position, key in enumerate(KEYS):
        new.read(key, position)
    assert LOADS == []


def test_what_set_stored_comes_back(path):
    """Values of the vocabulary come back under their keys, `None` too."""
    cache = MemoryCache()
    cache.set_many({"a": None, ("b", 1): {1, 2}, 3: "c"})
    _, loaded, other = moved(cache, path)
    assert loaded.loaded == 3
    assert other.get("a", MISSING) is None
    assert (other.get(("b", 1)), other.get(3), other.get("3")) == ({1, 2}, "c", None)


def test_classes_are_made_again_where_the_return_type_names_them(path):
    """A dataclass comes back as one, and an enum among the arguments is the same key."""
    old = wrapped(cache := MemoryCache(), cached_methods=["find", "paint"])
    expected = old.find("ada"), old.paint(Color.RED)
    saved, _, other = moved(cache, path)
    new = wrapped(other, cached_methods=["find", "paint"])
    assert (new.find("ada"), new.paint(Color.RED)) == expected
    assert type(new.find("ada")) is User
    assert (saved.saved, len(LOADS)) == (2, 2)


def test_iterators_errors_and_absent_ids_come_back(path):
    """Materialized iterators, remembered exceptions and ids that were not there are remembered."""
    said = {
        "rows": Cached(materialize=True),
        "arows": Cached(materialize=True),
        "fail": Cached(errors={LookupError: 60}),
        "many": Cached(each="ids", when=lambda result: True),
        "aread": 60,
    }

    async def use(source):
        with pytest.raises(LookupError, match="7"):
            source.fail(7)
        return [
            list(source.rows(3)),
            [row async for row in source.arows(2)],
            source.many([1, -1]),
            await source.aread(1),
        ]

    old = wrapped(cache := MemoryCache(), cached_methods=said)
    expected = asyncio.run(use(old))
    new = wrapped(other := MemoryCache(), cached_methods=said)
    saved, loaded, _ = moved(cache, path, other)
    assert (saved.left_out, loaded.refused, loaded.loaded) == ({}, {}, 6)
    LOADS.clear()
    assert asyncio.run(use(new)) == expected
    assert LOADS == []


def test_an_id_that_was_not_there_is_remembered_by_its_error(path):
    """With `errors`, a method for many ids remembers the absence of one, also after a load."""
    said = {"many": Cached(each="ids", errors={LookupError: 60})}
    old = wrapped(cache := MemoryCache(), cached_methods=said)
    assert old.many([1, -1]) == {1: "1"}
    new = wrapped(other := MemoryCache(), cached_methods=said)
    assert moved(cache, path, other)[1].loaded == 2
    LOADS.clear()
    assert new.many([1, -1]) == {1: "1"}
    assert LOADS == []


def test_a_batch_and_the_method_for_one_share_what_is_loaded(path):
    """What either has stored is loaded as the entries of the method for one."""
    said = {"many": Cached(each="ids", item="find"), "find": Cached(key=None)}

    class Both(Source):
        def find(self, one):
            LOADS.append(("find", one))
            return str(one)

    both = [wrapped(cache, Both(), cached_methods=said) for cache in (MemoryCache(), MemoryCache())]
    both[0].many([1, 2]), both[0].find(3)
    assert moved(both[0]._cache, path, both[1]._cache)[1].loaded == 3
    LOADS.clear()
    assert (both[1].many([3, 1]), both[1].find(2)) == ({3: "3", 1: "1"}, "2")
    assert LOADS == []


def test_a_method_with_a_key_of_its_own_and_ignored_parameters(path):
    """What is in the key is what `key` returned, or the parameters that are not ignored."""
    said = {"read": Cached(key=name_of), "total": Cached(ignore=["month"])}
    old = wrapped(cache := MemoryCache(), cached_methods={"read": said["read"]})
    mine = wrapped(cache, Named("x"), cached_methods={"total": said["total"]})
    old.read("ada", 1), mine.total(1)
    new = wrapped(other := MemoryCache(), cached_methods={"read": said["read"]})
    theirs = wrapped(other, Named("x"), cached_methods={"total": said["total"]})
    moved(cache, path, other)
    LOADS.clear()
    assert (new.read("ADA", 3), theirs.total(9)) == (["ada", 1], 1)
    assert LOADS == []


def name_of(a, b=2):
    return a.lower()


def test_rules_find_what_was_loaded(path):
    """A rule that names an argument forgets what was loaded with it, and nothing else."""
    said = {
        "cached_methods": ["read"],
        "invalidate_methods": {"write": [Forget("read", "a")]},
    }
    old = wrapped(cache := MemoryCache(), **said)
    for a in (1, (2, 3), [4], 0.0):
        old.read(a)
    new = wrapped(other := MemoryCache(), **said)
    moved(cache, path, other)
    for a in (1.0, (2.0, 3), -0.0):
        new.write(a)
        assert pussycache.peek(new.read, type(a)(a)) is MISSING
    assert pussycache.peek(new.read, 1) is MISSING
    assert pussycache.peek(new.read, (2, 3)) is MISSING
    assert pussycache.peek(new.read, 0.0) is MISSING
    assert pussycache.peek(new.read, [4]) == [[4], 2]
    new.write([4])
    assert pussycache.peek(new.read, [4]) is MISSING


def test_tags_forget_what_was_loaded(path):
    """An entry has the tags that it had; one that was forgotten before the save is not saved."""
    said = {
        "cached_methods": {"read": Cached(tags=["a:{a}"])},
        "invalidate_methods": {"write": [ForgetTag("a:{a}")]},
    }
    old = wrapped(cache := MemoryCache(), **said)
    for a in (1, 2, 3):
        old.read(a)
    pussycache.forget_tag(cache, "a:3")
    saved, _, other = moved(cache, path)
    new = wrapped(other, **said)
    assert (saved.saved, len(other)) == (2, 2)
    new.write(1)
    pussycache.forget_tag(other, "a:5")
    assert pussycache.peek(new.read, 1) is MISSING
    assert pussycache.peek(new.read, 2) == [2, 2]


@pytest.mark.parametrize("first", [False, True], ids=["loaded-first", "used-first"])
def test_decorated_methods_and_functions_are_found_by_their_names(path, first, tmp_path):
    """Entries of a function, a class method, and a method of an object with a name come back."""
    loads = []

    def made(cache):
        return _decorated(cache, loads)

    function, kind = made(cache := MemoryCache())
    expected = [function(1), kind.of_class(2), kind("x").total(3)]
    instance = kind("x")
    instance.total(3)
    assert cache.save(path).saved == 3
    loads.clear()
    other = MemoryCache()
    function, kind = made(other)
    instance = kind("x")
    if first:
        function(0), kind.of_class(0), instance.total(0)
    report = other.load(path)
    loads.clear()
    assert [function(1), kind.of_class(2), instance.total(3)] == expected
    assert loads == []
    assert (report.loaded, report.waiting, report.refused) == (3, 0, {})


def _decorated(cache, loads):
    def function(a):
        loads.append(a)
        return a

    class Kind:
        def __init__(self, name):
            self.name = name

        def __cache_identity__(self):
            return self.name

        @classmethod
        @pussycache.cached(cache=cache)
        def of_class(cls, a):
            loads.append(a)
            return a

        @pussycache.cached(cache=cache)
        def total(self, a):
            loads.append(a)
            return a

    # As if they were made at the top of the module.
    function.__qualname__, Kind.__qualname__ = "function", "Kind"
    return pussycache.cached(cache=cache)(function), Kind


SHOP = """
import sys
import pussycache
from pussycache import Forget, MemoryCache, cached

cache = MemoryCache(ttl=600)
loads = []

@cached(cache=cache)
def vat(country: str) -> float:
    loads.append(country)
    return 0.2

class Shop:
    def __init__(self, url):
        self.url = url
    def total(self, product, since=(2024, 1)):
        loads.append(product)
        return {product: since}

shop = pussycache.wrap(Shop("there"), cache, cached_methods=["total"], namespace="shop")
if sys.argv[1] == "save":
    print(shop.total("tea"), shop.total("milk", (2023, 2)), vat("uk"))
    print(cache.save(sys.argv[2]))
else:
    print(cache.load(sys.argv[2]))
    print(shop.total("tea"), shop.total("milk", (2023, 2)), vat("uk"), loads)
"""


def test_a_process_that_is_started_anew_begins_with_hits(tmp_path):
    """What one process saved, another one loads, and calls nothing that is remembered."""
    (tmp_path / "shop.py").write_text(SHOP)

    def start(what):
        command = [sys.executable, "-c", "import shop", what, str(tmp_path / "warm")]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONHASHSEED": "random"}
        run = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=True
        )
        return run.stdout

    values = "{'tea': (2024, 1)} {'milk': (2023, 2)} 0.2"
    assert start("save") == f"{values}\nSaved(saved=3, left_out={{}}, why=())\n"
    assert start("load") == (f"Loaded(loaded=3, waiting=0, expired=0, refused={{}})\n{values} []\n")


# For how long.


def test_what_was_left_of_the_time_is_left_less_what_has_passed(path, clocks):
    """An entry lives on for as long as it would have, were the process still the same."""
    old = wrapped(cache := MemoryCache(), cached_methods={"read": 60})
    old.read(1)
    clocks.advance(20)
    old.read(2)
    cache.set("a", 1, 50)
    cache.set("b", 1)
    cache.save(path)
    clocks.advance(15)
    other = MemoryCache()
    new = wrapped(other, cached_methods={"read": 60})
    assert other.load(path).loaded == 4
    clocks.advance(24.9)
    assert pussycache.peek(new.read, 1) == [1, 2]
    clocks.advance(0.2)
    assert pussycache.peek(new.read, 1) is MISSING
    assert other.get("a") == 1
    clocks.advance(10)
    assert other.get("a") is None
    assert pussycache.peek(new.read, 2) == [2, 2]
    clocks.advance(10)
    assert pussycache.peek(new.read, 2) is MISSING
    assert other.get("b") == 1
    assert other.load(path).expired == 3


def test_a_clock_that_went_back_makes_nothing_last_longer(path, clocks):
    """If the time of day has gone back, no time has passed."""
    old = wrapped(cache := MemoryCache(), cached_methods={"read": 60})
    old.read(1)
    clocks.advance(50)
    cache.save(path)
    clocks.day -= 3600
    new = wrapped(other := MemoryCache(), cached_methods={"read": 60})
    other.load(path)
    clocks.advance(9.9)
    assert pussycache.peek(new.read, 1) == [1, 2]
    clocks.advance(0.2)
    assert pussycache.peek(new.read, 1) is MISSING


@pytest.mark.parametrize("lasting", [30, 0, None, Cached(ttl=0, stale_for=600)])
def test_a_shorter_ttl_of_the_declaration_bounds_what_was_left(path, clocks, lasting):
    """What was stored under a longer ttl lasts no longer than what is loaded now."""
    wrapped(cache := MemoryCache(), cached_methods={"read": 60}).read(1)
    new = wrapped(other := MemoryCache(), cached_methods={"read": lasting})
    _, loaded, _ = moved(cache, path, other)
    if lasting not in (30, None):
        assert (loaded.loaded, loaded.expired) == (0, 1)
        return
    clocks.advance((lasting or 60) - 0.1)
    assert new.read(1) == [1, 2]
    assert len(LOADS) == 1
    clocks.advance(0.2)
    new.read(1)
    assert len(LOADS) == 2


def test_time_passes_for_what_waits(path, clocks):
    """An entry that waits for its object grows old meanwhile."""
    wrapped(cache := MemoryCache(), cached_methods={"read": 60}).read(1)
    _, loaded, other = moved(cache, path)
    clocks.advance(60)
    wrapped(other, cached_methods={"read": 60})
    assert (loaded.loaded, loaded.waiting, loaded.expired) == (0, 0, 1)


def test_old_values_are_as_old_as_they_were(path, clocks):
    """The windows of `stale_if_error` and `idle_ttl` end when they would have."""
    said = {"read": Cached(ttl=60, stale_if_error=100), "paint": Cached(idle_ttl=30)}
    old = wrapped(cache := MemoryCache(), cached_methods=said)
    old.read(1), old.paint(Color.RED)
    clocks.advance(20)
    cache.save(path)
    clocks.advance(5)
    new = wrapped(other := MemoryCache(), cached_methods=said)
    assert other.load(path).loaded == 2
    assert "good for 35 s more" in str(pussycache.explain(new.read, 1))
    clocks.advance(4.9)
    assert pussycache.peek(new.paint, Color.RED) == 1
    clocks.advance(0.2)
    assert pussycache.peek(new.paint, Color.RED) is MISSING
    cache.save(path)
    clocks.advance(100)
    third = wrapped(last := MemoryCache(), cached_methods=said)
    assert last.load(path).loaded == 1
    assert pussycache.explain(third.read, 1).hit is False
    clocks.advance(30)
    assert MemoryCache().load(path).waiting == 1
    assert last.load(path).expired == 1


# What is left out, and refused.


def test_what_is_not_saved_is_counted_and_explained(path):
    """Objects without a name, results and arguments that cannot be written: how many, and why."""
    cache = MemoryCache()
    account = wrapped(cache, Account("x"), cached_methods=["total"])
    account.total(1), account.total(2)
    source = wrapped(cache, cached_methods=["read", "odd"])
    source.odd(1)
    source.read(User("ada", Color.RED).name.__class__)
    source.read(1)
    saved = cache.save(path)
    assert saved.saved == 1
    assert saved.left_out == {"unnamed": 2, "value": 1, "arguments": 1}
    why = "\n".join(saved.why)
    assert "namespace=" in why
    assert "Source.odd: a value of type builtins.object cannot be stored" in why


def test_an_argument_that_is_the_same_only_as_itself_is_left_out(path):
    """Neither the object itself nor one without an equality comes back as the same key."""
    rows = wrapped(cache := MemoryCache(), [], cached_methods=["count"], namespace="rows")
    rows.count(rows), rows.count([])
    source = wrapped(cache, cached_methods=["read"])
    source.read(Source())
    saved = cache.save(path, serializer="pickle", insecure=True)
    assert saved[:2] == (1, {"arguments": 2})


def test_two_objects_of_one_name_that_share_nothing_are_left_out(path):
    """A write of one does not make the other's entries wrong: so neither stands for both."""
    cache = MemoryCache()
    both = [wrapped(cache, Named("x"), cached_methods=["total"]) for _ in range(2)]
    assert [one.total(1) for one in both] == [1, 1]
    saved = cache.save(path)
    assert (saved.saved, saved.left_out) == (0, {"ambiguous": 2})
    shared = [
        wrapped(cache, Account("x"), cached_methods=["total"], namespace="x") for _ in range(2)
    ]
    shared[0].total(1)
    assert cache.save(path).saved == 1


def test_what_was_changed_in_place_is_not_saved(path):
    """A guarded value that a caller has changed is left out."""
    source = wrapped(cache := MemoryCache(), cached_methods={"read": Cached(guard=True)})
    source.read(1).append(3)
    source.read(2)
    assert cache.save(path)[:2] == (1, {"changed": 1})


def test_what_a_writer_is_making_wrong_is_not_saved(path):
    """While a write is at work, what it names is not written into the file."""
    source = wrapped(
        cache := MemoryCache(),
        cached_methods=["read", "paint"],
        invalidate_methods={"write": ["read"]},
    )
    source.read(1), source.paint(Color.RED)
    with pussycache.writing(source.write, 1):
        assert cache.save(path).saved == 1


def test_newer_entries_are_not_replaced(path):
    """What is there already is younger than what was saved."""
    wrapped(cache := MemoryCache(), cached_methods=["read"]).read(1)
    cache.set("a", "old")
    cache.save(path)
    other = MemoryCache()
    new = wrapped(other, cached_methods=["read"])
    pussycache.put(new.read, "new", 1)
    other.set("a", "new")
    assert other.load(path).refused == {"present": 2}
    assert (new.read(1), other.get("a")) == ("new", "new")


@pytest.mark.parametrize(
    "said",
    [
        Cached(key=name_of),
        Cached(ignore=["b"]),
        Cached(tags=["t"]),
        Cached(materialize=True),
    ],
    ids=["key", "ignore", "tags", "materialize"],
)
def test_a_method_that_is_declared_otherwise_is_not_given_the_entries(path, said):
    """Keys and tags have another meaning now; so have other parameters."""
    wrapped(cache := MemoryCache(), cached_methods=["read"]).read("a")
    new = wrapped(other := MemoryCache(), cached_methods={"read": said})
    _, loaded, _ = moved(cache, path, other)
    assert loaded.refused == {"declared-otherwise": 1}
    assert pussycache.peek(new.read, "a") is MISSING


def test_versions_and_namespaces_are_kept_apart(path):
    """Another version, or another namespace, is another object."""
    wrapped(cache := MemoryCache(), cached_methods=["read"], namespace="n", version=1).read(1)
    _, loaded, other = moved(cache, path)
    wrapped(other, cached_methods=["read"], namespace="n", version=2)
    wrapped(other, cached_methods=["read"], namespace="m", version=1)
    assert loaded.waiting == 1
    wrapped(other, cached_methods=["read"], namespace="n", version=1)
    assert loaded.loaded == 1


def test_no_more_wait_than_the_cache_may_hold(path):
    """What waits is bounded, as what is there is; clearing the cache forgets it."""
    old = wrapped(cache := MemoryCache(), cached_methods=["read"])
    for a in range(600):
        old.read(a)
    _, loaded, other = moved(cache, path, MemoryCache(max_entries=300))
    assert (loaded.waiting, loaded.refused) == (300, {"no-room": 300})
    other.clear()
    assert (loaded.waiting, loaded.refused) == (0, {"no-room": 300, "overtaken": 300})
    assert other.waiting is None


def test_a_cache_with_a_weight_weighs_what_is_loaded(path):
    """What is too heavy is refused, and what is loaded counts."""
    cache = MemoryCache()
    cache.set_many({"a": "x" * 10, "b": "x" * 100})
    other = MemoryCache(max_bytes=50, weigh=lambda key, value: len(value))
    _, loaded, _ = moved(cache, path, other)
    assert (loaded.loaded, loaded.refused, other.weight) == (1, {"too-heavy": 1}, 10)


def test_a_null_cache_saves_and_loads_nothing(path):
    """A cache that keeps nothing has nothing to save, and takes nothing in."""
    assert NullCache().save(path).saved == 0
    cache = MemoryCache()
    cache.set("a", 1)
    _, loaded, other = moved(cache, path, NullCache())
    assert (loaded.loaded, other.get("a")) == (0, None)


# The file.


def test_the_file_is_replaced_when_it_is_whole(path, tmp_path):
    """A save that fails leaves what was there before, and nothing beside it."""
    cache = MemoryCache()
    cache.set("a", 1)
    cache.save(path)
    before = path.read_bytes()

    class Broken:
        name = "broken"

        def bind(self, annotation):
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        cache.save(path, serializer=Broken())
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]
    with pytest.raises(FileNotFoundError):
        cache.save(tmp_path / "nowhere" / "warm")


@pytest.mark.parametrize("content", [b"", b"not a cache", b"\x89PNG\r\n\x1a\n" * 9])
def test_a_file_that_is_no_saved_cache_is_an_error(path, content):
    """The error names the argument, the file and the remedy."""
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"path .*warm.* is no saved cache; give one that"):
        MemoryCache().load(path)


@pytest.mark.parametrize("path", [None, 1, b"warm"])
def test_a_path_that_is_none_is_an_error(path):
    """Neither a number, which would be an open file, nor bytes."""
    for method in (MemoryCache().save, MemoryCache().load):
        with pytest.raises(ConfigurationError, match="path must be a str"):
            method(path)


def test_there_is_no_file(path):
    """As for any file that is not there."""
    with pytest.raises(FileNotFoundError):
        (cache := MemoryCache()).load(path)
    assert cache.waiting is None


def test_pickle_is_used_only_where_the_file_is_signed_or_trusted(path):
    """As for a shared store: with secret keys, or where the user says so."""
    cache = MemoryCache()
    cache.set("a", Color.RED)
    for method in (cache.save, cache.load):
        with pytest.raises(ConfigurationError, match="serializer='pickle'"):
            method(path, serializer="pickle")
    _, loaded, other = moved(cache, path, serializer="pickle", secret_keys=SECRET)
    assert (loaded.loaded, other.get("a")) == (1, Color.RED)
    _, loaded, other = moved(cache, path, serializer="pickle", insecure=True)
    assert (loaded.loaded, other.get("a")) == (1, Color.RED)
    assert MemoryCache().load(path).refused == {"another-serializer": 1}


def test_only_who_has_the_secret_is_believed(path):
    """Signed by another, not signed, or signed where nobody can tell: nothing is entered."""
    cache = MemoryCache()
    cache.set("a", 1)
    cache.save(path, secret_keys=SECRET)
    theirs = ["another secret that is long"]
    assert MemoryCache().load(path, secret_keys=[*theirs, *SECRET]).loaded == 1
    assert MemoryCache().load(path, secret_keys=theirs).refused == {"forged": 1}
    assert MemoryCache().load(path).refused == {"signed": 1}
    cache.save(path)
    assert MemoryCache().load(path, secret_keys=SECRET).refused == {"unsigned": 1}


def test_saving_needs_an_extra_and_says_which():
    """Without msgspec, the error says what to install; importing pussycache imports none of it."""
    source = textwrap.dedent(
        """
        import sys
        sys.modules["msgspec"] = None
        import pussycache
        later = ("saving", "restoring", "saved", "savefile", "serializers", "described")
        print([name for name in later if f"pussycache.cache.{name}" in sys.modules])
        for method in (pussycache.MemoryCache().save, pussycache.MemoryCache().load):
            try:
                method("nowhere")
            except ImportError as error:
                print(error)
        """
    )
    run = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True
    )
    needed = "to save and load a cache needs the package 'msgspec': pip install "
    assert run.stdout == "[]\n" + f'{needed}"pussycache[redis]"\n' * 2
