"""What stands for `typing` in the modules that everybody loads."""

import copy
import inspect
import pickle
import typing

import pytest

from pussycache.typed import NamedTuple


class Ours(NamedTuple):
    """A point."""

    x: int
    y: "float | None" = None

    @property
    def sum(self) -> float:
        """Add up."""
        return self.x + (self.y or 0)

    @classmethod
    def at(cls, x: int) -> "Ours":
        return cls(x)


class Theirs(typing.NamedTuple):
    """A point."""

    x: int
    y: "float | None" = None

    @property
    def sum(self) -> float:
        """Add up."""
        return self.x + (self.y or 0)

    @classmethod
    def at(cls, x: int) -> "Theirs":
        return cls(x)


def test_a_named_tuple_is_as_that_of_typing() -> None:
    """Fields, defaults, methods, documentation, copies and pickles are those of `typing`'s."""
    for kind in (Ours, Theirs):
        one = kind(1, y=2.0)
        assert (one, one.sum, kind.at(3)) == ((1, 2.0), 3.0, (3, None))
        assert (kind._fields, kind._field_defaults) == (("x", "y"), {"y": None})
        assert repr(one) == f"{kind.__name__}(x=1, y=2.0)"
        assert (kind.__doc__, kind.__module__) == ("A point.", __name__)
        assert typing.get_type_hints(kind) == {"x": int, "y": float | None}
        assert (kind.__bases__, kind.__dict__.keys() & {"x", "y"}) == ((tuple,), {"x", "y"})
        assert type(pickle.loads(pickle.dumps(one))) is kind
        assert copy.replace(one, x=5).x == 5 if hasattr(copy, "replace") else True
        said = str(inspect.signature(kind))
        assert said.replace("typing.", "") in (
            "(x: int, y: Optional[float] = None)",
            "(x: int, y: 'float | None' = None)",
            "(x: int, y: ForwardRef('float | None') = None)",
        )
        with pytest.raises(TypeError, match="x"):
            kind()
        with pytest.raises(AttributeError):
            one.z = 1  # type: ignore[attr-defined]
