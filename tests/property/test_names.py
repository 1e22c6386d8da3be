"""Calls have one name in a shared store if and only if they have one key in memory."""

import collections
import dataclasses
import datetime as dt
import enum
import functools
import math
import os
import pathlib
import subprocess
import sys
import types
import typing
import uuid
import zoneinfo
from decimal import Decimal, localcontext
from fractions import Fraction

import attrs
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pussycache
from pussycache.cache.names import LONGEST, Unkeyable, encode_arguments
from pussycache.declare.keys import encode

quick = settings(derandomize=True, deadline=None, max_examples=400, database=None)


class Color(enum.Enum):
    RED = 1
    BLUE = 1.0


class Size(enum.IntEnum):
    ONE = 1


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Name(str):
    __slots__ = ()


class Number(float):
    pass


class Rows(list):
    pass


@dataclasses.dataclass(frozen=True)
class Point:
    x: object
    y: object = 0
    note: object = dataclasses.field(default=0, compare=False)


@dataclasses.dataclass
class Open:
    x: object


@attrs.frozen
class Frozen:
    x: object
    note: object = attrs.field(default=0, eq=False)
    text: str = attrs.field(default="", eq=str.lower)


class Product:
    def __init__(self, code):
        self.code = code

    def __cache_key__(self):
        return self.code


class Other(Product):
    pass


class Pair(typing.NamedTuple):
    x: object
    y: object


ZONES = [
    None,
    dt.UTC,
    dt.timezone(dt.timedelta(0), "UTC"),
    dt.timezone(dt.timedelta(hours=1)),
    dt.timezone(dt.timedelta(hours=1), "named"),
    zoneinfo.ZoneInfo("UTC"),
    zoneinfo.ZoneInfo("Europe/Berlin"),
    zoneinfo.ZoneInfo("Europe/Paris"),
]
SCALARS = [
    None,
    ...,
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
    "\ud800",
    "i1;",
    "é",
    b"",
    b"1",
    b"\xe9",
    Decimal(1),
    Decimal("1.0"),
    Decimal("NaN"),
    Decimal("-0"),
    Decimal("1E+5"),
    Fraction(1),
    Fraction(1, 3),
    Color.RED,
    Color.BLUE,
    Size.ONE,
    Rights.READ,
    Rights.READ | Rights.WRITE,
    Name("1"),
    Number(1.0),
    Number(0.0),
    int,
    Point,
    uuid.UUID(int=1),
    pathlib.PurePosixPath("a/b"),
    pathlib.PurePosixPath("a//b"),
    pathlib.PurePosixPath("A/b"),
    pathlib.PureWindowsPath("a/b"),
    pathlib.PureWindowsPath("A\\b"),
    pathlib.Path("a/b"),
]

scalars = st.one_of(
    st.sampled_from(SCALARS),
    st.integers(-2, 2),
    st.floats(allow_nan=True, width=16),
    st.text("ab:;1", max_size=3),
    st.binary(max_size=2),
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
    st.builds(dt.timedelta, st.integers(0, 1), st.integers(0, 1)),
)
hashables = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2).map(tuple),
        st.frozensets(inner, max_size=2),
        st.builds(Pair, inner, inner),
        st.builds(Point, inner, inner, st.integers(0, 1)),
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
        st.dictionaries(hashables, inner, max_size=2).map(
            lambda items: collections.defaultdict(int, items)
        ),
        st.dictionaries(hashables, inner, max_size=2).map(
            lambda items: collections.defaultdict(None, items)
        ),
        st.lists(hashables, max_size=3).map(collections.Counter),
        st.lists(inner, max_size=2).map(collections.deque),
        st.lists(inner, max_size=2).map(lambda items: collections.deque(items, 5)),
        st.builds(Point, inner, inner),
        st.builds(Open, inner),
        st.builds(Product, inner),
        st.builds(Other, inner),
        st.binary(max_size=2).map(bytearray),
        st.binary(max_size=2).map(memoryview),
        st.builds(range, st.integers(0, 2), st.integers(0, 3)),
        st.builds(slice, inner, inner, inner),
    ),
    max_leaves=6,
)


def agree(one, other):
    return (encode(one) == encode(other)) is (encode_arguments(one) == encode_arguments(other))


@quick
@given(values, values)
@example({math.nan}, {math.nan, float("nan")})
@example({math.nan: 1}, {math.nan: 1, float("nan"): 1})
def test_arguments_have_one_name_if_and_only_if_they_have_one_key(one, other):
    """What is the same in memory is the same in a shared store, and nothing else is."""
    assert agree((one,), (other,))


@quick
@given(st.lists(values, max_size=3), st.lists(values, max_size=3))
@example(["", "s0:"], ["s0:", ""])
@example([[], []], [[[]]])
def test_calls_have_one_name_if_and_only_if_they_have_one_key(one, other):
    """No argument runs over into the next one."""
    assert agree(tuple(one), tuple(other))


def test_each_with_each_other():
    """Of many values that are alike no two are taken for one another that are not the same."""
    deques = [collections.deque([1], most) for most in (None, 3, 5)]
    unlike = [*SCALARS, Point(1), Point(1, note=1), Point(1, 1), [1], (1,), *deques]
    for one in unlike:
        for other in unlike:
            assert agree((one,), (other,)), (one, other)


def rebuilt(value):
    """The same again, of new objects, dictionaries and sets in another order."""
    kind = type(value)
    if kind in (dict, collections.Counter):
        return kind({rebuilt(k): rebuilt(v) for k, v in reversed(value.items())})
    if kind in (list, tuple, set, frozenset):
        return kind([rebuilt(item) for item in list(value)[::-1]][::-1])
    if kind in (Open, Product, Other):
        (content,) = vars(value).values()
        return kind(rebuilt(content))
    return value


@quick
@given(values)
def test_content_counts_and_not_the_object(value):
    """The same content has the same name, in whatever order it was put together."""
    assert encode_arguments((rebuilt(value),)) == encode_arguments((value,))


@quick
@given(st.lists(values, max_size=3).map(tuple))
def test_the_digest_of_a_long_name(value):
    """A name is short or a digest, and never taken for the other."""
    name = encode_arguments(value)
    assert len(name) <= LONGEST
    long = encode_arguments((*value, "x" * LONGEST))
    assert len(long) == 33
    assert long[:1] == b"\xff" != name[:1] or len(name) == 33


KNOWN = {
    (): b"",
    (7, "ada"): b"i7;s3:ada",
    (-255, True, None): b"i-ff;TN",
    (1.0, -0.0, math.nan): b"f1.0;f-0.0;fnan;",
    ("é", b"\xe9"): "s1:éb1:é".encode(),
    ((1, ("a",)),): b"t2;i1;t1;s1:a",
    (frozenset({"b", "a"}),): b"U2;s1:as1:b",
    (Decimal("1.10"), uuid.UUID(int=1)): b"g1.10;I00000000000000000000000000000001",
    (dt.datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC),): (
        b"w2024-01-02T03:04:05.000006;0o0,0,0;N"
    ),
    (dt.datetime(2024, 1, 2, tzinfo=zoneinfo.ZoneInfo("UTC")),): b"w2024-01-02T00:00:00;0z3:UTC",
    (dt.date(2024, 1, 2), dt.timedelta(1, 2, 3)): b"d738887;e1,2,3;",
    (range(3), slice(1, None)) if sys.version_info >= (3, 12) else (range(3),): (
        b"r3;i0;i3;i1;S3;i1;NN" if sys.version_info >= (3, 12) else b"r3;i0;i3;i1;"
    ),
    (pathlib.PurePosixPath("a/b"),): b"j3:a/b",
    (Fraction(1, 3), 1j): b"h1/3;c1j;",
    ("x" * 200,): bytes.fromhex(
        "ffe7730fbffb876859086b31fab6c2b5f490c399fc2b1dbc2d7e61c25970579db5"
    ),
    (int, collections.OrderedDict): b"C12:builtins.intC23:collections.OrderedDict",
}


@pytest.mark.parametrize("arguments", KNOWN, ids=range(len(KNOWN)))
def test_names_do_not_change(arguments):
    """The names of today are those of tomorrow: what is in a store is found again."""
    assert encode_arguments(arguments) == KNOWN[arguments]


def test_every_process_gives_the_same_name():
    """Names do not depend on the order that hashes give to sets, nor on the process."""
    program = (
        "from pussycache.cache.names import encode_arguments as e; "
        "print(e((set('abcdefgh'), {'b': {'x', 'y'}, 'a': 1}, frozenset([(1,), 'q']))).hex())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(said) == 1


def test_the_context_of_decimals():
    """How decimals are to be printed changes no name."""
    name = encode_arguments((Decimal("1E+5"),))
    with localcontext() as context:
        context.capitals = 0
        assert encode_arguments((Decimal("1E+5"),)) == name


def test_numbers_of_any_length():
    """A number with more digits than Python prints has a name."""
    assert encode_arguments((10**5_000,)) != encode_arguments((10**5_000 + 1,))


def test_classes_of_attrs():
    """An instance of attrs is told by its class and by what it compares."""
    assert encode_arguments((Frozen(1),)) == encode_arguments((Frozen(1, note=5),))
    assert encode_arguments((Frozen(1, text="A"),)) == encode_arguments((Frozen(1, text="a"),))
    assert encode_arguments((Frozen(1),)) != encode_arguments((Frozen(1.0),))
    assert encode_arguments((Frozen([1]),)) != encode_arguments((Frozen([2]),))


def test_arrays():
    """An array is told by dtype, shape and content, and a scalar by type and content."""
    one = np.arange(6)
    unlike = [
        one,
        one.astype("i4"),
        one.reshape(2, 3),
        one.reshape(3, 2),
        one + 1,
        one.astype(">i8"),
        one.tolist(),
        np.array(1),
        np.int64(1),
        np.int32(1),
        np.float64(1),
        np.str_("1"),
        np.datetime64("2024"),
        np.datetime64("2024-01"),
    ]
    assert len({encode_arguments((value,)) for value in unlike}) == len(unlike)
    fortran = np.asfortranarray(one.reshape(2, 3))
    assert encode_arguments((fortran,)) == encode_arguments((one.reshape(2, 3),))
    assert encode_arguments((one[::2],)) == encode_arguments((np.array([0, 2, 4]),))


def test_the_wrapped_object():
    """The wrapped object and its proxy stand for themselves, wherever they are among arguments."""
    me = [1]
    proxy = pussycache.wrap(me)
    assert encode_arguments((me, 1), me) == encode_arguments((proxy, 1), me) == b"@i1;"
    assert encode_arguments(((me,),), me) == b"t1;@"
    assert encode_arguments((me,)) == b"l1;i1;"


class Unlike:
    def __eq__(self, other):
        return True

    __hash__ = None


class Text(str):
    def __eq__(self, other):
        return True

    __hash__ = str.__hash__


class Hidden(Product):
    def __cache_key__(self):
        raise LookupError("no key today")


class Zone(dt.tzinfo):
    def utcoffset(self, moment):
        return dt.timedelta(0)


class Judging(type):
    def __eq__(cls, other):
        return True

    __hash__ = type.__hash__


class Judged(metaclass=Judging):
    pass


@dataclasses.dataclass
class Own:
    x: int

    def __eq__(self, other):
        return True


def local():
    @dataclasses.dataclass
    class Local:
        x: int

    return Local(1)


def circle():
    inner = []
    inner.append(inner)
    return inner


UNKEYABLE = {
    "an object": object(),
    "inside": {"a": [object()]},
    "in a field": Point(object()),
    "a function": len,
    "an iterator": iter([]),
    "a view": {}.keys(),
    "unhashable": Unlike(),
    "a str that compares in its own way": Text("a"),
    "a list that may hold more": Rows([1]),
    "__cache_key__ raises": Hidden(1),
    "__cache_key__ gives an object": Product(object()),
    "a zone of one's own": dt.datetime(2024, 1, 1, tzinfo=Zone()),
    "a class that compares in its own way": Judged,
    "a comparison of one's own": Own(1),
    "a class that is found nowhere": local(),
    "such a class itself": type(local()),
    "a circle": circle(),
    "too deep": functools.reduce(lambda inner, _: [inner], range(100_000), 1),
    "a factory of one's own": collections.defaultdict(lambda: 1),
    "an array of objects": np.array([None]),
    "a structured array": np.zeros(1, [("a", int)]),
    "a masked array": np.ma.array([1]),
}


@pytest.mark.parametrize("name", UNKEYABLE)
def test_what_has_no_name(name):
    """What another process could not tell is refused, and nothing else is raised."""
    with pytest.raises(Unkeyable, match="argument"):
        encode_arguments((UNKEYABLE[name],))


def test_a_refusal_says_what_and_why():
    """A refusal names the type and the reason."""
    with pytest.raises(Unkeyable, match=r"type .*test_names\.Hidden .*no key today"):
        encode_arguments((Hidden(1),))


def test_two_classes_of_one_name(monkeypatch):
    """An instance of a class whose name another class has taken over has no name any more."""
    old = Open(1)
    assert encode_arguments((old,))
    monkeypatch.setattr(sys.modules[__name__], "Open", dataclasses.make_dataclass("Open", ["x"]))
    with pytest.raises(Unkeyable, match="not found under its name"):
        encode_arguments((old,))


def test_no_member_of_its_class():
    """A made-up member of an Enum has no name."""
    stray = object.__new__(Color)
    stray._name_, stray._value_ = "GREEN", 5
    with pytest.raises(Unkeyable, match="not among the members"):
        encode_arguments((stray,))


def test_numpy_need_not_be_there(monkeypatch):
    """Without numpy, or with something else in its place, an unknown object is just refused."""
    for module in (None, types.SimpleNamespace()):
        monkeypatch.setitem(sys.modules, "numpy", module)
        with pytest.raises(Unkeyable):
            encode_arguments((object(),))
