"""Equal calls have equal keys and different calls have different ones, as hypothesis finds."""

import collections
import dataclasses
import datetime as dt
import enum
import math
import types
import zoneinfo
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pussycache
from pussycache import Cached
from pussycache.declare.keys import encode, loose

quick = settings(derandomize=True, deadline=None, max_examples=150, database=None)


class Color(enum.IntEnum):
    ONE = 1


class Name(str):
    __slots__ = ()


@dataclasses.dataclass(frozen=True)
class Point:
    x: object
    y: object = 0


@dataclasses.dataclass
class Open:
    x: object


Pair = collections.namedtuple("Pair", "x y")

ZONES = [
    None,
    dt.UTC,
    dt.timezone(dt.timedelta(hours=1)),
    dt.timezone(dt.timedelta(hours=-3), "named"),
    zoneinfo.ZoneInfo("UTC"),
    zoneinfo.ZoneInfo("Europe/Berlin"),
    zoneinfo.ZoneInfo("Europe/Paris"),
]

scalars = st.one_of(
    st.sampled_from(
        [
            None,
            True,
            False,
            0,
            1,
            -1,
            2**64,
            0.0,
            -0.0,
            1.0,
            math.nan,
            math.inf,
            1j,
            complex(0.0, -0.0),
            complex(-0.0, 0.0),
            "",
            "1",
            b"",
            b"1",
            Decimal(1),
            Decimal("1.0"),
            Decimal("NaN"),
            Decimal("-0"),
            Decimal(0),
            Fraction(1),
            Color.ONE,
            Name("1"),
            int,
            float,
            ...,
        ]
    ),
    st.integers(-2, 2),
    st.floats(allow_nan=True, width=16),
    st.text("ab", max_size=2),
    st.builds(
        dt.datetime,
        st.just(2024),
        st.just(10),
        st.just(27),
        st.integers(1, 3),
        st.just(30),
        tzinfo=st.sampled_from(ZONES),
        fold=st.integers(0, 1),
    ),
    st.builds(dt.time, st.integers(1, 2), tzinfo=st.sampled_from(ZONES), fold=st.integers(0, 1)),
    st.builds(dt.date, st.just(2024), st.integers(1, 2), st.just(1)),
    st.builds(dt.timedelta, st.integers(0, 1)),
)

hashables = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2).map(tuple),
        st.frozensets(inner, max_size=2),
        st.builds(Pair, inner, inner),
    ),
    max_leaves=4,
)

values = st.recursive(
    hashables,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.sets(hashables, max_size=3),
        st.dictionaries(hashables, inner, max_size=2),
        st.dictionaries(hashables, inner, max_size=2).map(collections.OrderedDict),
        st.dictionaries(hashables, inner, max_size=2).map(types.MappingProxyType),
        st.lists(inner, max_size=2).map(collections.deque),
        st.lists(inner, max_size=2).map(lambda items: collections.deque(items, 5)),
        st.builds(Point, inner, inner),
        st.builds(Open, inner),
        st.builds(Pair, inner, inner),
        st.binary(max_size=2).map(bytearray),
        st.binary(max_size=2).map(memoryview),
        st.builds(range, st.integers(0, 2), st.integers(0, 3)),
        st.builds(slice, inner, inner, inner),
    ),
    max_leaves=6,
)


def same(one, other):
    """Whether two arguments mean the same: what a key has to say, written down plainly."""
    kind = type(one)
    if kind is not type(other):
        return False
    if isinstance(one, (float, complex, Decimal)):
        return repr(one) == repr(other)
    if isinstance(one, (dt.datetime, dt.time)):
        zones = one.tzinfo is other.tzinfo or one.tzinfo == other.tzinfo
        return repr(one.replace(tzinfo=None)) == repr(other.replace(tzinfo=None)) and zones
    if isinstance(one, collections.deque) and one.maxlen != other.maxlen:
        return False
    if isinstance(one, collections.OrderedDict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, (dict, types.MappingProxyType)):
        return matched(list(one.items()), list(other.items()))
    if isinstance(one, (set, frozenset)):
        return matched(list(one), list(other))
    if isinstance(one, (list, tuple, collections.deque)):
        return len(one) == len(other) and all(map(same, one, other))
    if dataclasses.is_dataclass(kind):
        return same(tuple(vars(one).values()), tuple(vars(other).values()))
    if kind is slice:
        return same([one.start, one.stop, one.step], [other.start, other.stop, other.step])
    if kind is range:
        return repr(one) == repr(other)
    return one == other


def matched(ones, others):
    """Whether every item has a counterpart of its own."""
    left = list(others)
    for one in ones:
        for index, other in enumerate(left):
            if same(one, other):
                del left[index]
                break
        else:
            return False
    return not left


@quick
@given(values, values)
@example({math.nan}, {math.nan, float("nan")})
@example({math.nan: 1}, {math.nan: 1, float("nan"): 1})
def test_arguments_have_one_key_if_and_only_if_they_mean_the_same(one, other):
    """Distinct arguments never collide, and a key of equal content is an equal key."""
    assert (encode((one,)) == encode((other,))) is same(one, other)


def rebuilt(value):
    """The same again, of new objects, dictionaries and sets in another order."""
    kind = type(value)
    if kind is dict:
        return {rebuilt(k): rebuilt(v) for k, v in reversed(value.items())}
    if kind is list:
        return [rebuilt(item) for item in value]
    if kind is tuple:
        return tuple([rebuilt(item) for item in value])
    if kind in (set, frozenset):
        return kind([rebuilt(item) for item in reversed(list(value))])
    if kind is Pair:
        return Pair(*map(rebuilt, value))
    if kind is float:
        return float(repr(value))
    if kind is str:
        return "".join(list(value))
    return value


@quick
@given(values)
def test_equal_content_is_an_equal_key(value):
    """A key is a matter of content, not of identity or order; its hash agrees."""
    one, other = encode((value,)), encode((rebuilt(value),))
    assert one == other
    assert hash(one) == hash(other)


CLOSE = [
    1,
    1.0,
    True,
    "1",
    b"1",
    Decimal(1),
    Decimal("1.0"),
    Fraction(1),
    1 + 0j,
    Color.ONE,
    0,
    0.0,
    -0.0,
    False,
    Decimal("-0"),
    None,
    "",
    b"",
    bytearray(),
    math.nan,
    Decimal("NaN"),
    (),
    [],
    set(),
    frozenset(),
    {},
    collections.OrderedDict(),
    collections.Counter(),
    collections.deque(),
    collections.deque(maxlen=1),
    range(0),
    (1,),
    (1.0,),
    [1],
    [True],
    {1},
    {1.0},
    frozenset([1]),
    {1: 1},
    {1: True},
    {True: 1},
    Pair(1, 2),
    (1, 2),
    [1, 2],
    Point(1, 2),
    Point(1.0, 2),
    Point(True, 2),
    Open(1),
    Open(True),
    [[1], 2],
    [[1, 2]],
    [1, [2]],
    ((1,), 2),
    {"a": [1]},
    {"a": (1,)},
    dt.datetime(2024, 10, 27, 2, 30),
    dt.datetime(2024, 10, 27, 2, 30, fold=1),
    dt.datetime(2024, 10, 27, 2, 30, tzinfo=dt.UTC),
    dt.datetime(2024, 10, 27, 3, 30, tzinfo=dt.timezone(dt.timedelta(hours=1))),
    dt.datetime(2024, 10, 27, 2, 30, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
    dt.datetime(2024, 10, 27, 2, 30, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"), fold=1),
    dt.datetime(2024, 10, 27, 2, 30, tzinfo=zoneinfo.ZoneInfo("Europe/Paris")),
    dt.date(2024, 10, 27),
    dt.time(2, 30),
    dt.time(2, 30, fold=1),
    int,
    type(None),
]


def test_arguments_that_are_alike_have_different_keys():
    """No two of many values that Python holds equal, or that look alike, share an entry."""

    class Echo:
        def read(self, value):
            return [value]

    proxy = pussycache.wrap(Echo(), cached_methods=["read"])
    for value in CLOSE:
        assert proxy.read(value)[0] is value
    for value in CLOSE:
        assert proxy.read(value)[0] is value
    assert pussycache.info(proxy.read).loads == len(CLOSE)


AROUND = {
    "list": lambda value: [value],
    "tuple": lambda value: (value, 1),
    "mapping": lambda value: {"key": value},
    "nested": lambda value: [{"key": (value,)}],
    "dataclass": Point,
    "deque": lambda value: collections.deque([value]),
    "slice": lambda value: slice(value),
}


@pytest.mark.parametrize("around", AROUND)
def test_containers_of_what_is_alike_have_different_keys(around):
    """What tells two values apart tells the containers that hold them apart, too."""
    keys = [encode((AROUND[around](value),)) for value in CLOSE]
    assert len(set(keys)) == len(CLOSE)
    hashable = [value for value in CLOSE if not isinstance(value, (list, set, dict, bytearray))]
    hashable = [value for value in hashable if type(value) not in (Open, collections.deque)]
    for within in (lambda v: {v}, lambda v: frozenset([v]), lambda v: {v: 1}):
        assert len({encode((within(value),)) for value in hashable}) == len(hashable)


class Moment(dt.datetime):
    pass


class Number(float):
    __slots__ = ()


class Group(frozenset):
    __slots__ = ()


class Amount(Decimal):
    __slots__ = ()


class Keyed:
    def __init__(self, value):
        self.value = value

    def __cache_key__(self):
        return self.value


LATER = dt.timezone(dt.timedelta(hours=1))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Moment(2024, 1, 1, 12, tzinfo=dt.UTC), Moment(2024, 1, 1, 13, tzinfo=LATER)),
        (Moment(2024, 1, 1, 12), Moment(2024, 1, 1, 12, fold=1)),
        (Number(0.0), Number(-0.0)),
        (Amount("1.0"), Amount("1.00")),
        (Group([1]), Group([True])),
        (Keyed(1), Keyed(True)),
        (Keyed([1]), Keyed((1,))),
        (
            dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1), "A")),
            dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1), "B")),
        ),
    ],
    ids=[
        "moments",
        "folds",
        "floats",
        "decimals",
        "sets",
        "own keys",
        "own containers",
        "zone names",
    ],
)
def test_subclasses_are_as_distinct_as_what_they_are_made_of(one, other):
    """What tells two values of a built-in type apart tells those of a subclass apart, too."""
    assert encode((one,)) != encode((other,))


class Calls:
    def __init__(self):
        self.loads = 0

    def read(self, a, b=2, *, c=3, d=None):
        self.loads += 1
        return (a, b, c, d)

    def many(self, *args, **kwargs):
        self.loads += 1
        return (args, kwargs)


forms = st.fixed_dictionaries(
    {"a": hashables},
    optional={"b": hashables, "c": hashables, "d": values},
)


@quick
@given(forms, st.data())
def test_a_call_has_one_key_in_whatever_form_it_is_made(arguments, data):
    """Positional, by keyword, in any order, and with defaults spelled out: one load."""
    proxy = pussycache.wrap(Calls(), cached_methods=["read"])
    full = {"b": 2, "c": 3, "d": None} | arguments
    first = proxy.read(**arguments)
    names = data.draw(st.permutations(list(full)))
    assert proxy.read(**{name: full[name] for name in names}) is first
    rest = {name: full[name] for name in ("c", "d") if name in arguments}
    assert proxy.read(full["a"], full["b"], **rest) is first
    if "b" not in arguments:
        assert proxy.read(full["a"], **rest) is first
    assert proxy.loads == 1


@quick
@given(forms, forms)
def test_two_calls_share_an_entry_only_if_they_mean_the_same(one, other):
    """Of any two calls, the second is answered from the first just when it is the same."""
    proxy = pussycache.wrap(Calls(), cached_methods=["read"])
    default = {"b": 2, "c": 3, "d": None}
    proxy.read(**one)
    proxy.read(**other)
    assert proxy.loads == (1 if same(default | one, default | other) else 2)


@quick
@given(
    st.lists(hashables, max_size=2),
    st.dictionaries(st.sampled_from("xy"), hashables, max_size=2),
    st.lists(hashables, max_size=2),
    st.dictionaries(st.sampled_from("xy"), hashables, max_size=2),
)
def test_variadic_calls(args, kwargs, more, others):
    """The same for parameters that collect arguments."""
    proxy = pussycache.wrap(Calls(), cached_methods=["many"])
    proxy.many(*args, **kwargs)
    proxy.many(*args, **dict(reversed(kwargs.items())))
    assert proxy.loads == 1
    proxy.many(*more, **others)
    alike = same(args, more) and same(kwargs, others)
    assert proxy.loads == (1 if alike else 2)


@quick
@given(forms)
def test_a_key_callable_or_ignored_parameters(arguments):
    """Only what is left in the key tells calls apart."""
    for policy in (
        Cached(ignore=["b", "c", "d"]),
        Cached(key=lambda a, b=2, *, c=3, d=None: a),
    ):
        proxy = pussycache.wrap(Calls(), cached_methods={"read": policy})
        first = proxy.read(**arguments)
        assert proxy.read(arguments["a"], "b", c="c", d="d") is first
        assert proxy.read([arguments["a"]]) is not first


@quick
@given(values, values)
def test_stand_ins_of_equal_arguments_are_equal(one, other):
    """Rules match by ==: what is equal is never told apart."""
    if one == other:
        assert loose(one) == loose(other)
        assert hash(loose(one)) == hash(loose(other))
