"""Answers the hits of cached methods, as the generated functions do, in C.

May not be there: where no compiler was at hand, and on interpreters without a GIL.
"""

from types import MethodType
from typing import Any, Self, final, overload

@final
class Hit:
    """A function that answers a hit itself and hands every other call on as it came.

    It takes attributes as a function does. Until `bind_owner` was called there are no hits.

    :param fallback: called with the same arguments on anything but a hit, unless there is ``miss``.
    :param table_type: has a slot ``entries``, a `dict` from keys to entries.
    :param entry_type: has the slots ``expires``, ``hits`` and ``value``.
    :param names: the parameters after the first, all of them positional or by keyword; at most 32.
    :param key_positions: which of them make the key: they, then their types.
    :param defaults: of the last parameters.
    :param timed: whether entries expire by the clock; otherwise the floor is what they must exceed.
    :param miss: returned on anything but a hit; `None` is to call the fallback.
    """

    def __new__(
        cls,
        fallback: object,
        *,
        table_type: type,
        entry_type: type,
        names: tuple[str, ...],
        key_positions: tuple[int, ...],
        defaults: tuple[Any, ...],
        timed: bool,
        miss: object = None,
    ) -> Self: ...
    def bind_owner(self, owner: type, slot: str, /) -> None:
        """Answer for instances of a class, whose slot of this name holds the table."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    @overload
    def __get__(self, instance: None, owner: type, /) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None, /) -> MethodType: ...
    def __getattr__(self, name: str, /) -> Any: ...
    def __setattr__(self, name: str, value: Any, /) -> None: ...

def use_clock(real: bool, floor: float, /) -> None:
    """Say whether `time.monotonic` is the clock, and what untimed entries' expiry must exceed.

    Where it is not, or caching is off, there are no hits on entries that expire by the clock.
    """

def offset(type: type, name: str, /) -> int:
    """Return where in the memory of its instances a class keeps a slot.

    :raises TypeError: if the name is none of the class's ``__slots__``.
    """
