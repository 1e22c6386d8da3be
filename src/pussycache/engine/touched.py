"""What was written in one table since somebody began to bring in what is older than that.

Kept only while somebody does. Who brings it in, and from where, is not known here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pussycache.engine.fences import Fence

__all__ = ["Touched"]

_MOST: Final = 1000


class Touched:
    """Which calls of one method were written since; changed and asked under the table's lock."""

    __slots__ = ("_everything", "_fences", "_keys")

    def __init__(self) -> None:
        self._everything = False
        self._fences: list[Fence] = []
        self._keys: set[Any] = set()

    def everything(self) -> None:
        """Take note of a write of the whole method."""
        self._everything = True
        self._fences, self._keys = [], set()

    def key(self, key: Any) -> None:
        """Take note of a write of one call."""
        try:
            if not self._everything:
                self._keys.add(key)
        except Exception:
            # A key that refuses to be compared might be equal to any.
            self.everything()
        self._bound()

    def fence(self, fence: Fence) -> None:
        """Take note of a write that begins, or ends; what it affects is asked later."""
        if fence.at is None:
            self.everything()
        elif not self._everything and fence not in self._fences:
            self._fences.append(fence)
        self._bound()

    def covers(self, key: Any, values: tuple[Any, ...]) -> bool:
        """Whether a call was written."""
        try:
            return (
                self._everything
                or key in self._keys
                or any(fence.covers(values) for fence in self._fences)
            )
        except Exception:
            return True

    def _bound(self) -> None:
        # Too much to remember: then all of it.
        if len(self._keys) + len(self._fences) > _MOST:
            self.everything()
