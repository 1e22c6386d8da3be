"""Whatever is saved comes back as it was, and whatever is done to the file breaks nothing."""

import contextlib
import datetime as dt
import struct
import uuid
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pussycache
from pussycache import MISSING, ConfigurationError, MemoryCache
from pussycache.declare.arguments import NoInverse, arguments_of
from pussycache.declare.keys import ITSELF, Unkeyable, encode

# The folder is made once for all examples: each writes its file anew.
quick = settings(
    derandomize=True,
    deadline=None,
    max_examples=100,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
more = settings(quick, max_examples=300)

SECRET = ["a secret that is long enough"]
MAGIC = b"\x89pussycache\r\n\x1a\n"

atoms = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.dates()
    | st.datetimes(timezones=st.sampled_from([None, dt.UTC]))
    | st.timedeltas()
    | st.complex_numbers()
)
hashables = st.recursive(
    atoms, lambda some: st.tuples(some, some) | st.frozensets(some, max_size=3), max_leaves=4
)
anything = st.recursive(
    hashables,
    lambda some: (
        st.lists(some, max_size=3)
        | st.sets(hashables, max_size=3)
        | st.dictionaries(hashables, some, max_size=3)
        | st.tuples(some)
    ),
    max_leaves=5,
)


def same(a, b):
    """Whether two are equal, and of the same types all the way down; nan is itself."""
    return type(a) is type(b) and repr_of(a) == repr_of(b)


def repr_of(value):
    if isinstance(value, (set, frozenset)):
        return type(value), sorted(map(repr, map(repr_of, value)))
    if isinstance(value, dict):
        return dict, sorted(repr((repr_of(k), repr_of(v))) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return type(value), [repr_of(one) for one in value]
    return type(value), repr(value)


class Source:
    def __init__(self):
        self.answers = []

    def read(self, *args, **kwargs):
        self.answers.append([args, kwargs])
        return self.answers[-1]


@quick
@given(
    st.lists(
        st.tuples(anything, st.dictionaries(st.text(max_size=3), anything, max_size=2)), max_size=4
    )
)
def test_what_was_saved_comes_back_with_the_same_hits(tmp_path, calls):
    """Each call that hit before the save hits after the load, with an equal result."""
    source = pussycache.wrap(
        Source(), cache := MemoryCache(), namespace="n", cached_methods=["read"]
    )
    for argument, options in calls:
        source.read(argument, **options)
    stored = len(cache)
    assert cache.save(tmp_path / "warm")[:2] == (stored, {})
    again = pussycache.wrap(
        Source(), other := MemoryCache(), namespace="n", cached_methods=["read"]
    )
    assert other.load(tmp_path / "warm").loaded == stored
    for argument, options in calls:
        assert same(again.read(argument, **options), source.read(argument, **options))
    assert again.answers == []


@quick
@given(st.dictionaries(hashables, anything, max_size=5))
def test_what_set_stored_comes_back_equal(tmp_path, items):
    """Values, and the keys that they are found under."""
    cache = MemoryCache()
    cache.set_many(items)
    cache.save(tmp_path / "warm")
    other = MemoryCache()
    other.load(tmp_path / "warm")
    assert len(other) == len(cache)
    for key in items:
        assert same(other.get(key, MISSING), cache.get(key))


@more
@given(st.lists(anything | st.just(Source()), max_size=3))
def test_arguments_that_are_made_of_a_key_have_that_very_key(values):
    """Whatever can be made of a key at all is the same call again."""
    with contextlib.suppress(NoInverse, Unkeyable):
        key = encode(tuple(values))
        assert encode(arguments_of(key)) == key


ENTRIES = {f"key {number}": [number, "x" * 40 * number] for number in range(8)}
ENTRIES["long"] = "y" * 5000


def saved(path, **how):
    cache = MemoryCache()
    cache.set_many(ENTRIES)
    source = pussycache.wrap(Source(), cache, namespace="n", cached_methods=["read"])
    for number in range(4):
        source.read(number)
    assert cache.save(path, **how).saved == len(ENTRIES) + 4
    return path.read_bytes()


def loaded(path, data, **how):
    """What a load of such a file says; all that it has entered is as it was."""
    path.write_bytes(data)
    cache = MemoryCache()
    source = pussycache.wrap(Source(), cache, namespace="n", cached_methods=["read"])
    report = cache.load(path, **how)
    there = {key: cache.get(key) for key in ENTRIES if key in cache}
    assert all(ENTRIES[key] == value for key, value in there.items())
    calls = [number for number in range(4) if pussycache.peek(source.read, number) is not MISSING]
    assert all(pussycache.peek(source.read, one) == [(one,), {}] for one in calls)
    assert report.loaded == len(there) + len(calls) == len(cache)
    assert report.waiting == 0
    assert cache.waiting is None
    return report


@pytest.fixture(scope="module", params=[None, SECRET], ids=["checksums", "secret"])
def file(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "warm"
    how = {"secret_keys": request.param}
    return path, saved(path, **how), how


@more
@given(data=st.data())
def test_no_damage_brings_in_what_was_not_saved(file, data):
    """Flipped, lost and inserted bytes are found out; nothing raises, and nothing wrong appears."""
    path, whole, how = file
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(len(MAGIC), len(damaged)))
        some = data.draw(st.binary(min_size=0, max_size=8))
        gone = data.draw(st.integers(0, 8) | st.integers(0, len(damaged)))
        damaged[at : at + gone] = some
    report = loaded(path, bytes(damaged), **how)
    if bytes(damaged) != whole:
        assert report.loaded + sum(report.refused.values()) >= 1
    else:
        assert report.refused == {}


def test_each_flipped_byte_costs_no_more_than_what_it_is_part_of(file):
    """Every byte of the file matters: flip one, and something is refused and counted."""
    path, whole, how = file
    for at in range(len(MAGIC), len(whole), 5):
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        report = loaded(path, bytes(damaged), **how)
        assert report.refused, at
        assert report.loaded < len(ENTRIES) + 4


def test_a_file_that_ends_early_says_how_much_is_missing(file):
    """All that was saved is either loaded or counted as truncated."""
    path, whole, how = file
    for end in range(len(MAGIC), len(whole), 7):
        report = loaded(path, whole[:end], **how)
        assert set(report.refused) == {"truncated"}
    assert report.loaded + report.refused["truncated"] == len(ENTRIES) + 4


def records(data):
    """The frames of a file, each with its head; the beginning comes first."""
    start = len(MAGIC) + 1
    found = [data[:start]]
    while start < len(data):
        (length,) = struct.unpack_from(">I", data, start)
        found.append(data[start : start + 8 + length])
        start += 8 + length
    return found


def test_a_record_counts_only_in_its_place_in_its_file(file, tmp_path):
    """Records that were moved, repeated, or taken from another file are refused, though sealed."""
    path, whole, how = file
    ours = records(whole)
    theirs = records(saved(tmp_path / "another", **how))
    forged = "corrupt" if how["secret_keys"] is None else "forged"
    assert b"".join(ours) == whole
    for changed in (
        [*ours[:3], ours[4], ours[3], *ours[5:]],
        [*ours[:4], ours[3], *ours[5:]],
        [*ours[:3], theirs[3], *ours[4:]],
        [*theirs[:2], *ours[2:]],
    ):
        report = loaded(path, b"".join(changed), **how)
        assert set(report.refused) == {forged}
    report = loaded(path, b"".join([*ours, ours[-1]]), **how)
    assert report.refused == {forged: 1}


def test_a_file_of_a_later_version_is_told_as_one(file):
    """What a later version of the library wrote is counted, and nothing of it is read."""
    path, whole, how = file
    later = MAGIC + b"\x02" + whole[len(MAGIC) + 1 :]
    assert loaded(path, later, **how).refused == {"future-format": len(ENTRIES) + 4}
    with pytest.raises(ConfigurationError, match="no saved cache"):
        loaded(path, b"\x00" + whole[1:], **how)


def test_ages_that_are_no_numbers_are_refused(tmp_path):
    """Who can make a checksum still cannot make an entry that never expires by way of nan."""
    from pussycache.cache.saved import Row

    row = Row(0, 0, float("nan"), 0.0, 0.0, 0.0, (), b"", b"")
    with pytest.raises(ValueError, match="not a number"):
        Row.read(row.packed())
    good = row._replace(left=1.5, tags=("a", "\udc80", ""), key=b"k", value=b"v")
    assert Row.read(good.packed()) == good


def test_types_of_arguments_that_have_no_inverse_are_told():
    """An object that compares by its fields is not made again from a key."""
    import dataclasses

    @dataclasses.dataclass(frozen=True)
    class Point:
        x: int

    with pytest.raises(NoInverse, match="Point cannot be made again"):
        arguments_of(encode((Point(1),)))
    with pytest.raises(NoInverse, match="does not come back equal"):
        arguments_of((ITSELF, list))
    assert arguments_of(encode((uuid.UUID(int=1), Decimal("1.0")))) == (
        uuid.UUID(int=1),
        Decimal("1.0"),
    )
