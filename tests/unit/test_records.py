"""That a record is a frozen dataclass in every respect but how it is made."""

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
from typing import Any

import pytest

from pussycache import Cached, ConfigurationError, Each, ForgetTag

RECORDS = [
    Cached(ttl=60, errors={LookupError: 5}, tags=["user:{user_id}"], ignore=["trace"]),
    Each("ids"),
    ForgetTag("user:{user_id}"),
]
of_each = pytest.mark.parametrize("record", RECORDS, ids=lambda one: type(one).__name__)


def real(cls: type) -> Any:
    """Return the dataclass that the standard library makes of the same fields."""
    defaults = {n: cls.__dict__[n] for n in cls.__annotations__ if n in cls.__dict__}
    space = {"__annotations__": cls.__annotations__, "__qualname__": cls.__qualname__, **defaults}
    return dataclasses.dataclass(frozen=True)(type(cls.__name__, (), space))


@of_each
def test_dataclasses_knows_it(record: Any) -> None:
    """`is_dataclass`, `fields`, `asdict` and `replace` work as on any dataclass."""
    cls = type(record)
    assert dataclasses.is_dataclass(cls)
    assert dataclasses.is_dataclass(record)
    names = [field.name for field in dataclasses.fields(cls)]
    assert names == [field.name for field in dataclasses.fields(real(cls))]
    assert repr(dataclasses.fields(record)) == repr(dataclasses.fields(real(cls)))
    assert dataclasses.asdict(record) == {name: getattr(record, name) for name in names}
    again = dataclasses.replace(record)
    assert again == record
    assert again is not record


def test_replace_checks_what_it_is_given() -> None:
    """`dataclasses.replace` makes a new policy, which is checked like any, and leaves the old."""
    policy = Cached(ttl=60)
    assert dataclasses.replace(policy, ttl=5).ttl == 5
    assert policy.ttl == 60
    with pytest.raises(ConfigurationError, match="ttl must not be negative"):
        dataclasses.replace(policy, ttl=-1)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="copy.replace came with 3.13")
def test_copy_replaces_it() -> None:
    """`copy.replace` does what `dataclasses.replace` does."""
    if sys.version_info >= (3, 13):
        assert copy.replace(Cached(ttl=60), ttl=5) == Cached(ttl=5)


@of_each
def test_it_is_called_and_shown_like_one(record: Any) -> None:
    """Signature, text and patterns are those of the real dataclass."""
    like = real(type(record))
    assert str(inspect.signature(type(record))) == str(inspect.signature(like))
    values = [getattr(record, field.name) for field in dataclasses.fields(record)]
    assert repr(record) == repr(like(*values))
    assert type(record).__match_args__ == like.__match_args__
    with pytest.raises(TypeError) as ours:
        type(record)(purr=1)
    with pytest.raises(TypeError) as theirs:
        like(purr=1)
    assert str(ours.value).partition("(")[2] == str(theirs.value).partition("(")[2]


@of_each
def test_equality_and_hash_go_by_the_fields(record: Any) -> None:
    """Two with equal fields are equal and hash alike; another type, or another value, is not."""
    again = dataclasses.replace(record)
    assert (record == again, hash(record) == hash(again)) == (True, True)
    assert record != "another"
    assert Cached(ttl=60) != Cached(ttl=61)
    assert Each("ids") != ForgetTag("ids")


@of_each
def test_it_is_frozen(record: Any) -> None:
    """No field can be assigned or deleted, nor a new attribute be made."""
    name = dataclasses.fields(record)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot assign to field '{name}'"):
        setattr(record, name, None)
    with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot delete field '{name}'"):
        delattr(record, name)
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.purr = 1


@of_each
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_is_pickled_and_copied(record: Any, protocol: int) -> None:
    """A record comes back equal from pickling by every protocol, from `copy` and `deepcopy`."""
    assert pickle.loads(pickle.dumps(record, protocol)) == record
    assert copy.copy(record) == copy.deepcopy(record) == record


def test_a_dataclass_may_extend_it() -> None:
    """A user's frozen dataclass that extends `Cached` has the fields of both."""

    @dataclasses.dataclass(frozen=True)
    class Noted(Cached):
        note: str = ""

    noted = Noted(ttl=60, note="see the wiki")
    assert (noted.ttl, noted.note) == (60, "see the wiki")
    assert noted != Noted(ttl=60)
    assert len(dataclasses.fields(Noted)) == len(dataclasses.fields(Cached)) + 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        noted.note = ""  # type: ignore[misc]


def test_the_first_to_ask_is_answered() -> None:
    """In a fresh interpreter each question is answered that may be the first one."""
    for question in (
        "dataclasses.fields(Cached)[0].name == 'ttl'",
        "dataclasses.is_dataclass(Cached())",
        "dataclasses.replace(Cached(), ttl=5).ttl == 5",
        "Cached.__dataclass_params__.frozen",
    ):
        source = f"import dataclasses\nfrom pussycache import Cached\nassert {question}"
        subprocess.run([sys.executable, "-c", source], check=True)
