"""One writer at work: what it keeps from being served and stored meanwhile.

When fences are raised and taken away is said in writes.py and generations.py.
"""

from __future__ import annotations

from pussycache.declare.keys import loose

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pussycache.engine.entry import Cause

__all__ = ["Fence", "KeyFence", "OldView"]


class Fence:
    """One writer at work on one method: what it keeps from being served and stored.

    ``at`` and ``values`` say which arguments are affected, `None` for the whole method; ``names``
    are those of the parameters. With ``hides``, which entries are affected is known only at the
    end: all are hidden until then. ``succeeds`` another fence of the same write: one that takes its
    place is not counted again. ``cause`` says whose it is, once it stands.
    """

    __slots__ = ("at", "cause", "hides", "names", "succeeds", "values")

    cause: Cause | None

    def __init__(
        self,
        at: tuple[int, ...] | None = None,
        values: frozenset[Any] | None = None,
        hides: bool = False,
        names: tuple[str, ...] = (),
        succeeds: bool = False,
    ) -> None:
        self.cause = None
        self.names = names
        self.at = at
        self.values = values
        self.hides = hides
        self.succeeds = succeeds

    def covers(self, values: tuple[Any, ...]) -> bool:
        """Whether a call with these bound arguments is affected."""
        if self.at is None or self.values is None:
            return True
        try:
            return tuple([loose(values[i]) for i in self.at]) in self.values
        except Exception:
            # Arguments that refuse to be compared might be equal.
            return True


class KeyFence(Fence):
    """One writer at work on one key; ``key_of`` gives the key of a call's arguments."""

    __slots__ = ("_key_of", "key")

    def __init__(self, key: Any, key_of: Callable[[tuple[Any, ...]], Any]) -> None:
        super().__init__()
        self.key = key
        self._key_of = key_of

    def covers(self, values: tuple[Any, ...]) -> bool:
        try:
            return bool(self._key_of(values) == self.key)
        except Exception:
            # Without a key it is neither stored nor served.
            return True


class OldView(Fence):
    """A write that is over, before those who cannot see yet what it wrote.

    Their loads are not stored; nobody else is concerned.
    """

    __slots__ = ("is_theirs",)

    def __init__(self, of: Fence, is_theirs: Callable[[], bool]) -> None:
        super().__init__(of.at, of.values, succeeds=True)
        self.is_theirs = is_theirs

    def covers(self, values: tuple[Any, ...]) -> bool:
        return self.is_theirs() and super().covers(values)

    def add(self, of: Fence) -> None:
        """Stand before what another write of the same arguments has made wrong, too."""
        if self.values is not None:
            self.values = None if of.values is None else self.values | of.values
