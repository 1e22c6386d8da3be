"""Answers the hits of cached methods, as the generated functions do, in C.

May not be there: where no compiler was at hand, and on interpreters without a GIL.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from types import MethodType
from typing import Any, Self, final, overload

@final
class Hit:
    """A function that answers a hit itself and hands every other call on as it came.

    It takes attributes as a function does. Until `bind_owner` was called there are no hits.

    :param fallback: called with the same arguments on anything but a hit.
    :param table_type: has a slot ``entries``, a `dict` from keys to entries.
    :param entry_type: has the slots ``expires``, ``hits`` and ``value``.
    :param names: the parameters after the first, all of them positional or by keyword; at most 32.
    :param key_positions: which of them make the key: they, then their types.
    :param defaults: of the last parameters.
    :param timed: whether entries expire by the clock; otherwise the floor is what they must exceed.
    :param asynchronous: whether the fallback is a coroutine function, and so is this: what a call
        returns looks for a hit when it is awaited.
    :param idle: whether entries have a slot ``used``, to note in it when one was served.
    :param watched: whether tables have a slot ``watch``, a `Watch` that has to be quiet first; not
        for what is asynchronous.
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
        asynchronous: bool = False,
        idle: bool = False,
        watched: bool = False,
    ) -> Self: ...
    def bind_owner(self, owner: type, slot: str, /) -> None:
        """Answer for instances of a class, whose slot of this name holds the table."""

    def bind_miss(
        self,
        *,
        target: str,
        name: str,
        plan: object,
        lasting: float,
        landed: object,
        abandoned: object,
        loading: ContextVar[Any],
        flight_type: type,
        failure_type: type,
    ) -> None:
        """Run a load that meets nobody as well, and call the fallback where it meets somebody.

        Only where a result is kept as it is, for ``lasting`` seconds.

        :param target: the owner's slot that holds the object whose method ``name`` is called.
        """

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    @overload
    def __get__(self, instance: None, owner: type, /) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None, /) -> MethodType: ...
    def __getattr__(self, name: str, /) -> Any: ...
    def __setattr__(self, name: str, value: Any, /) -> None: ...

@final
class Coroutine:
    """What a call of an asynchronous `Hit` returns; for whoever asks, a `types.CoroutineType`."""

    def __await__(self) -> Any: ...

@final
class Watch:
    """Looks at sockets; called, it says whether nothing has arrived, without waiting.

    So it does only until ``until``, by `time.monotonic`, and while it is not ``busy``.
    """

    until: float
    busy: int

    def __new__(cls) -> Self: ...
    def look_at(self, numbers: Sequence[int], /) -> None:
        """Look at the sockets with these numbers, and at no others."""

    def __call__(self) -> bool: ...

def use_clock(real: bool, floor: float, /) -> None:
    """Say whether `time.monotonic` is the clock, and what untimed entries' expiry must exceed.

    Where it is not, or caching is off, there are no hits on entries that expire by the clock.
    """

def use_hooks(active: list[Any], /) -> None: ...
def use_policy(policy: type, sketch: type, queue: type, /) -> None:
    """Say of which class the policies are whose plainest admissions are done here.

    :param policy: has the slots of `LazyTinyLfu`, and its methods for what is less plain.
    :param sketch: has the slots ``counters`` and ``mask``.
    :param queue: `deque`, of which the policy's queues are.
    """

def offset(type: type, name: str, /) -> int:
    """Return where in the memory of its instances a class keeps a slot.

    :raises TypeError: if the name is none of the class's ``__slots__``.
    """

def through(name: str, index: int, count: int, /) -> Any:
    """Return what stands in a proxy's class for an attribute of its target; on CPython 3.11 only.

    :param index: its number among the ``count`` that the class has.
    """

def quicken(kind: type, target: str, methods: str, /) -> None:
    """Have the attributes of a class's instances looked up in C; on CPython 3.11 only.

    What the class has not is looked up on the object in the slot ``target``. The class must have no
    look-up of its own but one that does the same.

    :param methods: names a slot in which methods of the target are kept.
    """
