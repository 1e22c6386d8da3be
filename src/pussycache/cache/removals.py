"""Tells listeners which entries are gone, and why; never while a lock is held.

What is removed, and when, is not decided here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from pussycache.engine.failures import Remembered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from pussycache.engine.entry import Entry
    from pussycache.engine.generations import Table
    from pussycache.engine.home import RemovalCause

__all__ = ["Removal", "Removals"]


class Removal:
    """An entry that is gone.

    ``cause`` is one of ``expired`` (its time was over), ``size`` (it made room), ``replaced`` (it
    has got another value), ``invalidated`` (a write, `forget` or ``delete``, or its object is no
    more) and ``cleared`` (``clear`` of the cache). ``method`` is the method's name, empty for what
    ``set`` stored. ``value`` is what was remembered, or the exception that was. ``key`` is the key
    given to ``set``, or the tuple of the call's arguments; an argument that is no part of a key by
    itself, such as a list, is shown by what stands for it.
    """

    # No dataclass: that would cost every import a millisecond.
    __slots__ = ("cause", "key", "method", "value")

    def __init__(self, method: str, key: Any, value: Any, cause: RemovalCause) -> None:
        self.method = method
        self.key = key
        self.value = value
        self.cause = cause

    def __repr__(self) -> str:
        return f"Removal({self.method!r}, {self.key!r}, {self.value!r}, {self.cause!r})"


Listener: TypeAlias = Callable[[Removal], object]


class Removals:
    """The listeners of one cache, and what they have not been told yet."""

    __slots__ = ("_untold", "failures", "listeners")

    def __init__(self) -> None:
        self.listeners: tuple[Listener, ...] = ()
        self._untold: deque[Removal] = deque()
        self.failures = 0

    def note(self, table: Table, key: Any, entry: Entry, cause: RemovalCause) -> None:
        """Remember to tell of an entry that is gone."""
        if not self.listeners:
            return
        if len(key) > 1 or table.name:
            # A key is the arguments, and then their types.
            key = tuple(key[: len(key) // 2])
        self._untold.append(Removal(table.name, key if table.name else key[0], entry.value, cause))

    @property
    def pending(self) -> bool:
        """Whether there is something to tell."""
        return bool(self._untold)

    def tell(self) -> None:
        """Tell the listeners; to be called without a lock."""
        while self._untold:
            try:
                removal = self._untold.popleft()
            except IndexError:
                return
            if type(removal.value) is Remembered:
                removal.value = removal.value.again()
            for listener in self.listeners:
                try:
                    listener(removal)
                except Exception:
                    self.failures += 1
                    import logging

                    logging.getLogger("pussycache").exception(
                        "a removal listener failed", extra={"cause": removal.cause}
                    )
