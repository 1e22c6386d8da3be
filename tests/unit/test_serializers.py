"""A value comes back from a shared store exactly as it went in, or is not stored."""

import collections
import dataclasses
import datetime as dt
import enum
import functools
import math
import pickle
import subprocess
import sys
import threading
import types
import typing
import uuid
import zoneinfo
from decimal import Decimal

import attrs
import msgspec
import numpy as np
import pydantic
import pytest

from pussycache import ConfigurationError
from pussycache.cache.serializers import (
    MsgpackSerializer,
    NotStorable,
    PickleSerializer,
    choose,
    returned_by,
)


class Color(enum.Enum):
    RED = 1
    ROT = 1  # noqa: PIE796 - another name of the same member
    BLUE = "blue"


class Size(enum.IntEnum):
    BIG = 3


class Level(enum.Enum):
    HIGH = 1


class Word(enum.StrEnum):
    YES = "yes"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Address:
    city: str


@dataclasses.dataclass
class User:
    name: str
    address: "Address | None" = None
    color: Color = Color.RED
    friends: list["User"] = dataclasses.field(default_factory=list)
    secret: int = dataclasses.field(default=0, compare=False)
    made: int = dataclasses.field(init=False, default=0)

    def __post_init__(self):
        self.made = self.made + 1

    @functools.cached_property
    def shout(self):
        return self.name.upper()


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: object
    y: object = 0


Item = typing.TypeVar("Item")


@dataclasses.dataclass
class Page(typing.Generic[Item]):
    items: list[Item]


@attrs.define
class Attrs:
    _hidden: int
    color: Color | None = None


@attrs.frozen(slots=False)
class Frozen:
    value: object


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", arbitrary_types_allowed=True)

    name: str = "ada"
    when: dt.datetime | None = None
    address: Address | None = None
    parts: tuple[int, ...] = ()
    _private: dict = pydantic.PrivateAttr(default_factory=lambda: {"a": (1,)})

    @pydantic.computed_field
    @functools.cached_property
    def shout(self) -> str:
        return self.name.upper()


class Generic(pydantic.BaseModel, typing.Generic[Item]):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)

    items: list[Item]


class Pair(typing.NamedTuple):
    left: object
    right: object = None


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    parts: tuple[int, ...] = ()


class Shop(typing.TypedDict):
    owner: User
    size: typing.NotRequired[Size]


Name = typing.NewType("Name", Word)

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
ANNOTATION = (
    dict[str, list[User] | Page[Attrs]]
    | Model
    | Generic[Frozen]
    | Struct
    | typing.Annotated[Pair, "of two"]
    | Point
    | Shop
    | Name
    | typing.Literal[Level.HIGH, 5]
    | typing.Callable[[Rights], None]
)
codec = MsgpackSerializer().bind(ANNOTATION)
bare = MsgpackSerializer().bind(None)


def same(one, other):
    """Whether two values are of the same types and the same content, all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return (
            one.dtype == other.dtype
            and one.shape == other.shape
            and one.flags.fnc == other.flags.fnc
            and one.tobytes() == other.tobytes()
        )
    if isinstance(one, (float, complex, np.generic)):
        return repr(one) == repr(other)
    if isinstance(one, dict):
        return (
            len(one) == len(other)
            and all(map(same, one.items(), other.items()))
            and getattr(one, "default_factory", 0) is getattr(other, "default_factory", 0)
        )
    if isinstance(one, (list, tuple, collections.deque)):
        return (
            len(one) == len(other)
            and all(map(same, one, other))
            and getattr(one, "maxlen", 0) == getattr(other, "maxlen", 0)
        )
    if isinstance(one, (set, frozenset)):
        return same(sorted(one, key=repr), sorted(other, key=repr))
    if isinstance(one, (dt.datetime, dt.time)):
        return (
            one.replace(tzinfo=None) == other.replace(tzinfo=None)
            and one.fold == other.fold
            and repr(one.tzinfo) == repr(other.tzinfo)
            and one.tzinfo == other.tzinfo
        )
    if isinstance(one, Decimal):
        return repr(one) == repr(other)
    if isinstance(one, pydantic.BaseModel):
        states = [model.__getstate__() for model in (one, other)]
        for state in states:
            # What a cached property worked out is worked out again.
            state["__dict__"] = {n: state["__dict__"][n] for n in type(one).model_fields}
        return one == other and same(*states)
    if dataclasses.is_dataclass(one) or attrs.has(type(one)):
        names = [f.name for f in getattr(one, "__attrs_attrs__", ())] or [
            f.name for f in dataclasses.fields(one)
        ]
        return one == other and all(same(getattr(one, n), getattr(other, n)) for n in names)
    return one == other


def filled(cls, *arguments):
    model = cls(*arguments)
    assert model.shout
    return model


PLAIN = {
    "none": None,
    "true": True,
    "ints": [0, 1, -1, 2**63, -(2**63), 2**64 - 1],
    "large ints": [2**64, -(2**63) - 1, 10**400, -(10**400)],
    "a large int as a key": {2**70: 1},
    "floats": [0.0, -0.0, 1.5, math.inf, -math.inf, math.nan, 5e-324],
    "text": ["", "aé\0", "\U0001f600"],
    "lone surrogates": ["\ud800", {"\udfff": 1}, ("\ud800a",)],
    "bytes": [b"", b"\xff", bytearray(b"ab")],
    "lists": [[], [[]], [[1], "a", None]],
    "tuples": [(), (1, (2, ((),))), [(1, 2), (3, [4])], ((1,), (2,))],
    "a list of tuples with what is not plain": [(1, Decimal(1)), (2, (3,))],
    "sets": [set(), {1, "a", (1, 2)}, frozenset({1}), {frozenset()}],
    "a set of nan": {math.nan},
    "dicts in order": {"b": 1, "a": {"c": []}},
    "keys": {1: 1, 1.5: 2, None: 3, b"a": 4, True + 1: 5, (1, (2,)): 6, "a": 7},
    "keys that are true": {True: 1, "a": False},
    "keys of other types": {Decimal("1.0"): 1, dt.date(2024, 1, 1): [()], frozenset({1}): 2},
    "ordered": collections.OrderedDict([("b", 1), ("a", (2,))]),
    "counter": collections.Counter("aab"),
    "default": collections.defaultdict(list, {1: [2]}),
    "default without": collections.defaultdict(None, {1: [2]}),
    "deque": [collections.deque([1, (2,)], 5), collections.deque()],
    "moments": [
        dt.datetime(2024, 2, 29, 1, 2, 3, 4),
        dt.datetime.min,
        dt.datetime.max,
        dt.datetime(2024, 10, 27, 2, 30, fold=1),
    ],
    "moments in UTC": [
        dt.datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=dt.UTC),
        dt.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC),
        dt.datetime.min.replace(tzinfo=dt.UTC),
        dt.datetime.max.replace(tzinfo=dt.UTC),
        dt.datetime(2024, 1, 1, tzinfo=dt.UTC, fold=1),
        dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(0), "UTC")),
    ],
    "moments with zones": [
        dt.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN),
        dt.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1),
        dt.datetime(2024, 1, 1, tzinfo=zoneinfo.ZoneInfo("UTC")),
        dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=-3))),
        dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(seconds=-3.5), "odd")),
    ],
    "dates": [dt.date.min, dt.date.max],
    "times": [dt.time(1, 2, 3, 4, fold=1), dt.time(1, tzinfo=dt.UTC), dt.time(1, tzinfo=BERLIN)],
    "durations": [dt.timedelta.min, dt.timedelta.max, dt.timedelta(-1, 2, 3)],
    "decimals": [Decimal(t) for t in ("1.0", "1.00", "-0", "1E+50", "NaN", "sNaN12", "-Infinity")],
    "uuids": [uuid.UUID(int=5), uuid.uuid1(), uuid.uuid4()],
    "complex": [1 + 2j, complex(-0.0, math.nan)],
    "ranges": [range(0), range(1, 10**30, 3), slice(None), slice("a", (1,), 2)],
    "deep": functools.reduce(lambda inner, _: (inner,), range(60), 1),
}

TYPED = {
    "an enum": [Color.RED, Color.BLUE],
    "enums of other types": [Size.BIG, Word.YES, {Size.BIG: Word.YES}],
    "an enum in a literal": Level.HIGH,
    "flags": [Rights.READ, Rights.READ | Rights.WRITE, Rights(0)],
    "a dataclass": User("ada", Address("London"), Color.BLUE, [User("bob")], secret=5),
    "many of a dataclass": [User("ada"), User("bob", Address("Paris"))],
    "one of a dataclass in a list": [User("ada")],
    "a dataclass with slots": Point((1, 2), {3}),
    "keys that are dataclasses": {Point(1): {Point(2)}},
    "a cached property": filled(User, "ada"),
    "a generic dataclass": Page[Attrs]([Attrs(1)]),
    "attrs": [Attrs(1, Color.RED), Attrs(2)],
    "attrs without slots": Frozen((1,)),
    "pydantic": Model(name="bob", when=dt.datetime(2024, 1, 1), parts=(1, 2)),
    "pydantic, not all of it set": Model(address=Address("London")),
    "pydantic with extras": [Model(other=(1,)), Model(more={2})],
    "pydantic with a cached property": filled(Model),
    "generic pydantic": Generic[Frozen](items=[Frozen(1)]),
    "a named tuple": [Pair(1, (2,)), {"a": Pair(Pair(1))}],
    "many named tuples": [Pair(1), Pair(2)],
    "a Struct": [Struct(name="a"), [Struct(name="b", parts=(1,)), Struct(name="c")]],
    "a typed dict": {"owner": User("ada"), "size": Size.BIG},
}

ARRAYS = {
    "numbers": np.arange(6, dtype="<i4").reshape(2, 3),
    "the other byte order": np.arange(3, dtype=">f8"),
    "columns first": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "every second": np.arange(10)[::2],
    "no dimension": np.array(5),
    "nothing in it": np.zeros((0, 3)),
    "moments": np.array(["2024-01-01", "NaT"], "M8[D]"),
    "text": np.array(["a", "bcd", "\U0010ffff"]),
    "text in the other byte order": np.array(["a", "bcd"]).astype(">U3"),
    "booleans": np.array([[True, False]]),
    "scalars": [np.float32(1.5), np.float64("nan"), np.int8(-1), np.bool_(True), np.str_("ab")],
    "moments of it": [np.datetime64("2024-01-01T01"), np.timedelta64(5, "s"), np.complex64(1j)],
}


def came_back(value, by=codec):
    return by.decode(by.encode(value))


@pytest.mark.parametrize("name", PLAIN)
def test_what_python_has(name):
    """Values of built-in types come back with their types, at all depths, without annotations."""
    value = PLAIN[name]
    assert same(came_back(value, bare), value)
    assert same(came_back({"a": [value, (value,)]}, bare), {"a": [value, (value,)]})


@pytest.mark.parametrize("name", TYPED)
def test_classes_that_the_annotation_names(name):
    """Instances of classes that are reachable from the annotation come back as such."""
    value = TYPED[name]
    assert same(came_back(value), value)
    assert same(came_back((value, {"a": value})), (value, {"a": value}))


@pytest.mark.parametrize("name", TYPED)
def test_classes_that_no_annotation_names(name):
    """Instances of classes that are not reachable are not stored, and the remedy is told."""
    with pytest.raises(NotStorable, match="annotate the method's return type") as caught:
        bare.encode(TYPED[name])
    assert f"{caught.value.kind.__module__}.{caught.value.kind.__qualname__}" in str(caught.value)
    assert caught.value.remedy in str(caught.value)


@pytest.mark.parametrize("name", ARRAYS)
def test_numpy(name):
    """Arrays and scalars of numpy come back with dtype, shape, order and content."""
    value = ARRAYS[name]
    assert same(came_back(value, bare), value)


def test_an_array_can_be_written_to_as_before():
    """An array that comes back is as writable as the one that went in, and has its own memory."""
    array = came_back(np.arange(3))
    array[0] = 7
    assert array.tolist() == [7, 1, 2]
    fixed = np.arange(3)
    fixed.flags.writeable = False
    assert not came_back(fixed).flags.writeable


class Text(str):
    pass


class Rows(list):
    pass


@dataclasses.dataclass(eq=False)
class Identity:
    x: int


@dataclasses.dataclass
class Several(dict):
    x: int


@attrs.define(eq=False)
class AttrsIdentity:
    x: int


class StructIdentity(msgspec.Struct, eq=False):
    x: int


class Growing(msgspec.Struct):
    x: tuple

    def __post_init__(self):
        self.x = (*self.x, 1)


class Steady(msgspec.Struct):
    x: int

    def __post_init__(self):
        self.x = abs(self.x)


class Zone(dt.tzinfo):
    def utcoffset(self, moment):
        return dt.timedelta(0)


class Loose(typing.NamedTuple("Loose", [("x", int)])):
    pass


class Odd(enum.Enum):
    ONE = 1

    @classmethod
    def _missing_(cls, value):
        member = object.__new__(cls)
        member._name_, member._value_ = "ODD", value
        return member


def with_attribute(value):
    value.more = 1
    return value


def without(value):
    del value.name
    return value


def circle():
    inner = []
    inner.append({"a": (inner,)})
    return inner


REFUSED = {
    "an object": (object(), "object", "pickle"),
    "a function": (len, "builtin_function", "pickle"),
    "a subclass of str": (Text("a"), "Text", "return a str"),
    "a subclass of list": ([Rows([1])], "Rows", "return a list"),
    "such a key": ({Text("a"): 1}, "Text", "return a str"),
    "equal to itself only": (Identity(1), "Identity", "__eq__"),
    "attrs equal to itself only": (AttrsIdentity(1), "AttrsIdentity", "__eq__"),
    "a Struct equal to itself only": (StructIdentity(1), "StructIdentity", "__eq__"),
    "a dataclass that is a dict": (Several(1), "Several", "pickle"),
    "changed by __post_init__": (Growing((1,)), "Growing", "pickle"),
    "another attribute": (with_attribute(User("a")), "User", "make more a field"),
    "another attribute of attrs": (
        with_attribute(attrs.make_class("Open", ["x"], slots=False)(1)),
        "Open",
        "annotate",
    ),
    "another attribute of a tuple": (with_attribute(Loose(1)), "Loose", "pickle"),
    "a field that is not set": (without(User("a")), "User", "pickle"),
    "no member": (Odd(5), "Odd", "pickle"),
    "a zone of one's own": (dt.datetime(2024, 1, 1, tzinfo=Zone()), "Zone", "zoneinfo"),
    "a factory of one's own": (collections.defaultdict(lambda: 1), "defaultdict", "dict"),
    "a circle": (circle(), "", "less"),
    "too deep": (functools.reduce(lambda inner, _: [inner], range(500), 1), "list", "less"),
    "an array of objects": (np.array([None]), "ndarray", "numbers"),
    "a structured array": (np.zeros(2, [("a", int)]), "ndarray", "numbers"),
    "a masked array": (np.ma.array([1]), "MaskedArray", "numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_stored(name):
    """What would not come back as it is, is not stored; type and remedy are told."""
    value, kind, remedy = REFUSED[name]
    annotation = (
        User | Identity | AttrsIdentity | StructIdentity | Several | Growing | Loose | Odd | Steady
    )
    with pytest.raises(NotStorable) as caught:
        MsgpackSerializer().bind(annotation).encode(value)
    assert kind in caught.value.kind.__qualname__
    assert remedy in caught.value.remedy


def test_a_class_that_objects():
    """A value whose class raises while it is looked at is not stored, and no more than that."""
    steady = Steady(1)
    steady.x = "a"
    with pytest.raises(NotStorable, match="TypeError"):
        MsgpackSerializer().bind(Steady).encode([steady])


def test_a_struct_whose_post_init_changes_nothing():
    """A Struct with a __post_init__ is stored where that leaves alone what it made."""
    steady = MsgpackSerializer().bind(Steady)
    assert same(came_back(Steady(-5), steady), Steady(5))


def test_no_code_of_the_class_runs_on_the_way_back():
    """A dataclass is made again without its __init__, __post_init__ and __setattr__."""
    user = User("ada")
    user.made = 7
    assert came_back(user).made == 7


def test_fields_that_differ():
    """An entry of a class that has other fields by now is malformed, and not half an object."""

    def deployed(*fields):
        return dataclasses.make_dataclass("Deployed", fields)

    old = deployed("a", "b")
    data = MsgpackSerializer().bind(old).encode(old(1, 2))
    assert same(MsgpackSerializer().bind(old).decode(data), old(1, 2))
    for new in (deployed("a"), deployed("a", "c"), deployed("b", "a"), deployed("a", "b", "c")):
        with pytest.raises(ValueError, match="malformed"):
            MsgpackSerializer().bind(new).decode(data)


NEVER_WRITTEN = {
    "a key that is there twice": (8, [1, 2, 1, 3]),
    "a key without a value": (8, [1]),
    "a mapping where a list is": (4, {"a": 1}),
    "an array with bytes to spare": (22, ["<i8", [1], 0, bytes(16)]),
    "a scalar with bytes to spare": (22, ["<i8", None, 0, bytes(16)]),
    "an array of objects": (22, ["O", [1], 0, bytes(8)]),
    "characters that are none": (22, ["<U1", [1], 0, b"\0\0\0\1"]),
    "booleans that are neither": (22, ["|b1", [1], 0, b"\5"]),
    "a zone that is nowhere": (13, ["2024-01-01", 0, "No/Where"]),
    "a fold of three": (13, ["2024-01-01", 3, None]),
}


@pytest.mark.parametrize("name", NEVER_WRITTEN)
def test_what_is_never_written(name):
    """What no value is written as is malformed, and nothing that is nearly right."""
    code, content = NEVER_WRITTEN[name]
    data = msgspec.msgpack.encode(msgspec.msgpack.Ext(code, msgspec.msgpack.encode(content)))
    with pytest.raises(ValueError, match="malformed"):
        bare.decode(data)


def test_bytes_choose_no_class():
    """What was written for one annotation makes no instance of a class of another one."""
    data = codec.encode(Point(1))
    with pytest.raises(ValueError, match="malformed"):
        MsgpackSerializer().bind(User).decode(data)


def test_a_cycle_of_classes():
    """Annotations that name one another are followed once each."""

    @dataclasses.dataclass
    class Node:
        value: int
        next: "Node | None" = None

    value = Node(1, Node(2))
    assert came_back(value, MsgpackSerializer().bind(Node)) == value


def test_a_name_that_cannot_be_resolved():
    """A field whose annotation names what is not there takes no other field along."""

    @dataclasses.dataclass
    class Half:
        known: Color
        unknown: "NotThere"  # noqa: F821

    value = Half(Color.RED, 1)
    assert came_back(value, MsgpackSerializer().bind(Half)) == value


def test_what_a_method_returns():
    """The return annotation of a method is resolved, also where other annotations cannot be."""

    class Source:
        def users(self, by: "NotThere") -> "list[User]":  # noqa: F821
            """Returns nothing."""

        def unresolved(self) -> "NotThere":  # noqa: F821
            """Returns nothing."""

        def without(self):
            """Returns nothing."""

        @functools.lru_cache  # noqa: B019
        def wrapped(self) -> "User":
            """Returns nothing."""

        async def awaited(self) -> "User":
            """Returns nothing."""

    source = Source()
    assert returned_by(Source.users) == list[User]
    assert returned_by(source.users) == list[User]
    assert returned_by(Source.wrapped) is User
    assert returned_by(source.awaited) is User
    for method in (source.unresolved, source.without, len, functools.partial(len)):
        assert returned_by(method) is None


def test_an_annotation_may_be_anything():
    """Whatever is written as an annotation, plain values are stored."""

    class Endless:
        def __getattr__(self, name):
            return Endless()

    for annotation in (Endless(), 5, "text", types, typing.Any, ..., [1], type[User], User | None):
        assert came_back({"a": (1,)}, MsgpackSerializer().bind(annotation)) == {"a": (1,)}


def test_plain_data_is_plain_msgpack():
    """What has the types of JSON is msgpack that anybody reads."""
    value = {"a": [1, 2.5, None, True, "text"], "b": {"c": b"d"}}
    assert msgspec.msgpack.decode(bare.encode(value)) == value


def test_a_codec_is_shared_by_threads():
    """Threads that read and write by one codec at once get each its own values."""
    barrier = threading.Barrier(4)
    wrong = []

    def work(number):
        value = [User(f"{number}", Address("x" * number)), (number, {number})] * 5
        barrier.wait(60)
        for _ in range(200):
            if came_back(value) != value:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong


def test_pickle():
    """The pickle serializer takes what pickle takes, and refuses in the same way as the other."""
    by = PickleSerializer().bind(None)
    assert same(came_back({"a": (1, object)}, by), {"a": (1, object)})
    assert by.decode(memoryview(by.encode(1))) == 1
    with pytest.raises(NotStorable, match="return what can be pickled"):
        by.encode(lambda: 1)
    for data in (b"", b"\x80", b"nothing", pickle.dumps(object)[:-3]):
        with pytest.raises(ValueError, match="malformed"):
            by.decode(data)


def test_the_choice_of_a_serializer():
    """Pickle needs a secret or an explicit word; others are taken as they are."""

    class Own:
        name = "own"

        def bind(self, annotation):
            return by

    by = bare
    own = Own()
    assert choose(own, secret_keys=None, insecure=False) is own
    assert choose("msgpack", secret_keys=None, insecure=False).name == "msgpack"
    assert choose("pickle", secret_keys=["s" * 20], insecure=False).name == "pickle"
    assert choose("pickle", secret_keys=None, insecure=True).name == "pickle"
    for one in ("pickle", PickleSerializer()):
        for keys in (None, []):
            with pytest.raises(ConfigurationError, match="secret_keys") as caught:
                choose(one, secret_keys=keys, insecure=False)
            assert "insecure=True" in str(caught.value)
    for one in ("json", 5, None, Own):
        with pytest.raises(ConfigurationError, match="'msgpack', 'pickle'"):
            choose(one, secret_keys=["s" * 20], insecure=False)


def test_the_library_is_imported_without_any_of_it():
    """Importing pussycache imports none of these modules, and nothing that they need."""
    look = (
        "import sys, pussycache; "
        "print([n for n in sys.modules if n.startswith('pussycache.cache.') "
        "and n.rpartition('.')[2] in "
        "('serializers', 'msgpack', 'shapes', 'arrays', 'moments', 'annotations', "
        "'compression', 'envelope', 'names')] "
        "+ [n for n in ('msgspec', 'numpy', 'lz4', 'zstandard', 'pydantic') if n in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
