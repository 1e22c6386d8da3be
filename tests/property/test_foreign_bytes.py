"""Whatever bytes are found in a store, reading them has one of the promised outcomes."""

import collections
import contextlib
import dataclasses
import datetime as dt
import enum
import functools
import pickle
import typing
import uuid
from decimal import Decimal

import attrs
import msgspec
import numpy as np
import pydantic
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pussycache.cache.compression import pack, unpack
from pussycache.cache.envelope import NO_REPLICATION, Refused, Sealed, Sealer
from pussycache.cache.serializers import MsgpackSerializer

quick = settings(derandomize=True, deadline=None, max_examples=500, database=None)

MADE = []


class Watched:
    """Notes whatever of a class is run."""

    def __init__(self, *arguments):
        MADE.append(arguments)

    def __setstate__(self, state):
        MADE.append(state)

    def __reduce__(self):
        return Watched, ("made",)


class Color(enum.Enum):
    RED = 1


class Rights(enum.Flag):
    READ = 1


@dataclasses.dataclass
class User:
    name: str
    color: Color = Color.RED

    def __post_init__(self):
        MADE.append(self)


@attrs.define
class Slotted:
    x: int


class Model(pydantic.BaseModel):
    name: str = "ada"


class Pair(typing.NamedTuple):
    x: int


class Struct(msgspec.Struct):
    x: int


ANNOTATION = User | Slotted | Model | Pair | Struct | Rights
OURS = (User, Slotted, Model, Pair, Struct, Rights, Color)
codec = MsgpackSerializer().bind(ANNOTATION)
sealers = [Sealer(), Sealer(["a secret that is long"]), Sealer(["another long secret", b"x" * 20])]
EXAMPLES = [
    codec.encode(value)
    for value in [
        {"a": [1, 2.5, None, True, "text", b"bytes", 2**70, "\ud800"]},
        [(1, "a"), (2, "b")],
        [User("a"), User("b")],
        User("a"),
        [Slotted(1), Model(name="b"), Pair(1), Struct(2), Rights.READ, Color.RED],
        [{1}, frozenset({2}), bytearray(b"x"), {(1,): 2}, {Decimal(1): 2}],
        [collections.OrderedDict(a=1), collections.Counter("ab"), collections.deque([1], 2)],
        [collections.defaultdict(list, a=[1]), range(3), slice(1, 2), 1j],
        [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.date.today()],
        [dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1), "x")), dt.time(1)],
        [dt.timedelta(1), uuid.UUID(int=5), uuid.uuid1(), Decimal("1.5")],
        [np.arange(3), np.float32(1), np.zeros((2, 2)), np.array(["a", "b"])],
    ]
]


@st.composite
def mutated(draw):
    """What was once sound: cut, changed, lengthened or spliced."""
    data = bytearray(draw(st.sampled_from(EXAMPLES)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        how = draw(st.sampled_from(["set", "cut", "insert", "splice"]))
        if how == "set" and data:
            data[place] = draw(st.integers(0, 255))
        elif how == "cut":
            del data[place : place + draw(st.integers(1, 8))]
        elif how == "insert":
            data[place:place] = draw(st.binary(min_size=1, max_size=8))
        else:
            data[place:] = draw(st.sampled_from(EXAMPLES))
    return bytes(data)


def extension(code, content):
    return msgspec.msgpack.encode(msgspec.msgpack.Ext(code, content))


content = st.one_of(
    st.binary(max_size=20),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner),
        max_leaves=6,
    ).map(msgspec.msgpack.encode),
)
marks = st.sampled_from([b"", *[shape[0] for shape in codec._shapes.items()]])
extensions = st.builds(
    lambda code, mark, content: extension(code, mark + content),
    st.integers(-3, 40),
    marks,
    content,
)

BUILT_IN = (
    type(None), bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset,
    collections.OrderedDict, collections.Counter, collections.defaultdict, collections.deque,
    dt.datetime, dt.date, dt.time, dt.timedelta, Decimal, uuid.UUID, range, slice,
    np.ndarray, np.generic,
)  # fmt: skip


def check_types(value):
    assert type(value) in BUILT_IN or type(value) in OURS or isinstance(value, np.generic)
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, (list, tuple, set, frozenset, collections.deque)):
        for item in value:
            check_types(item)


@quick
@given(st.binary(max_size=60) | mutated() | extensions)
@example(b"\x91" * 100_000)
@example(b"\xdd\xff\xff\xff\xff")
@example(functools.reduce(lambda inner, _: extension(4, inner), range(40), b"\x90"))
@example(functools.reduce(lambda inner, _: extension(4, inner), range(2_000), b"\x90"))
@example(pickle.dumps(Watched()))
@example(extension(22, msgspec.msgpack.encode(["O", [1], 0, b"12345678"])))
@example(extension(22, msgspec.msgpack.encode(["<U0", [2**62], 0, b""])))
@example(extension(22, msgspec.msgpack.encode(["i4,i4", None, 0, b"12345678"])))
@example(extension(22, msgspec.msgpack.encode(["<i8", [-1, -1], 0, b"12345678"])))
@example(extension(22, msgspec.msgpack.encode(["<U1", [1], 0, b"\0\0\0\1"])))
@example(extension(22, msgspec.msgpack.encode([">U1", None, 0, b"\1\0\0\0"])))
@example(extension(22, msgspec.msgpack.encode(["|b1", [1], 0, b"\5"])))
def test_a_codec_reads_any_bytes(data):
    """Any bytes are a value of the types that may be, or a ValueError; no code of a class runs.

    What is read can be used: printed, for one.
    """
    MADE.clear()
    try:
        value = codec.decode(data)
    except ValueError:
        value = None
    check_types(value)
    assert not MADE
    try:
        assert repr(codec.decode(memoryview(data))) == repr(value)
    except ValueError:
        assert value is None


@pytest.mark.parametrize("sealer", sealers, ids=["checksum", "secret", "secrets"])
@quick
@given(st.binary(max_size=100), st.data())
def test_an_envelope_of_any_bytes(sealer, noise, data):
    """Any bytes are refused, and an entry that was changed in any way is, too."""
    header = sealer.header(NO_REPLICATION, [bytes(16)])
    assert isinstance(sealer.open(b"key", noise), Refused)
    assert sealer.opens_with(b"key", noise, header) is None
    assert isinstance(sealer.open(b"key", header + noise), Refused)
    assert sealer.opens_with(b"key", header + noise, header) is None
    entry = bytearray(sealer.seal(b"key", header, noise))
    place = data.draw(st.integers(0, len(entry) - 1))
    entry[place : place + data.draw(st.integers(0, 5))] = data.draw(st.binary(max_size=5))
    was = sealer.seal(b"key", header, noise)
    opened = sealer.open(b"key", bytes(entry))
    assert isinstance(opened, Sealed if bytes(entry) == was else Refused)


@quick
@given(st.binary(max_size=60) | mutated().map(lambda data: pack(data * 200)[:200]))
@example(pack(b"x" * 5_000)[:-1])
def test_any_bytes_are_unpacked(data):
    """Any bytes are a payload or a ValueError."""
    with contextlib.suppress(ValueError):
        assert type(unpack(data)) is bytes
