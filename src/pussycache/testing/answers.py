"""When two answers are the same: by `==`, and what is done where that says nothing.

Which answers are compared is not decided here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pussycache.errors import ConfigurationError
from pussycache.testing.state import state_of

if TYPE_CHECKING:
    from pussycache.testing.calls import MethodCall, Outcome

__all__ = ["Equal", "Same"]

Equal = Callable[[Any, Any], object]


class Same:
    """Compares outcomes of two objects.

    Values are compared by ``==``, or by the user's ``equal``. Objects whose class does not say what
    equal is are compared by their class and their attributes; a method that returns its own object
    answers the same on both sides.
    """

    def __init__(self, equal: Equal | None = None) -> None:
        if equal is not None and not callable(equal):
            raise ConfigurationError(
                f"equal must be a function of two answers that says whether they mean the same, "
                f"not {equal!r}"
            )
        self._equal = equal

    def __call__(
        self, call: MethodCall, one: Outcome, other: Outcome, alike: tuple[Any, ...] = ()
    ) -> bool:
        """Whether two outcomes of a call mean the same; ``alike`` stand for one another."""
        if one.error is not None or other.error is not None:
            return type(one.error) is type(other.error) and _equal(
                getattr(one.error, "args", None), getattr(other.error, "args", None), alike
            )
        if _among(one.value, alike) and _among(other.value, alike):
            return True
        try:
            if self._equal is not None:
                return bool(self._equal(one.value, other.value))
            return _equal(one.value, other.value, alike)
        except Exception as error:
            if self._equal is not None:
                raise ConfigurationError(
                    f"equal cannot compare the answers of {call}: {error!r}; let it return True or "
                    "False for any two answers"
                ) from error
            raise ConfigurationError(
                f"the answers of {call} cannot be compared: {error!r}; give assert_coherent "
                "equal=, a function of two answers that says whether they mean the same"
            ) from error


def _among(value: object, alike: tuple[Any, ...]) -> bool:
    return any(value is one for one in alike)


def _equal(
    one: Any, other: Any, alike: tuple[Any, ...], seen: frozenset[tuple[int, int]] = frozenset()
) -> bool:
    if one is other or (_among(one, alike) and _among(other, alike)):
        return True
    if type(one) is not type(other):
        return bool(one == other)
    pair = (id(one), id(other))
    if pair in seen:
        return True
    seen |= {pair}
    kind: Any = type(one)
    if kind in (list, tuple):
        return len(one) == len(other) and all(
            _equal(a, b, alike, seen) for a, b in zip(one, other, strict=True)
        )
    if kind is dict:
        return one.keys() == other.keys() and all(
            _equal(one[key], other[key], alike, seen) for key in one
        )
    if kind is float and one != one:
        return bool(other != other)
    if kind.__eq__ is object.__eq__:
        return _equal(state_of(one), state_of(other), alike, seen)
    return bool(one == other)
