"""Who may be served and who may store, by tags: when each was last forgotten in one cache.

Nothing is found or taken out here: an entry that carries a tag, and a load that began before the
tag was forgotten, are told that they are too late. So forgetting a tag costs the same for one entry
and for a million.
"""

from __future__ import annotations

from pussycache.engine.entry import Cause
from pussycache.engine.fences import OldView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final

    from pussycache.engine.asking import Distant
    from pussycache.engine.entry import Tended
    from pussycache.engine.fences import Fence

__all__ = ["ANY", "Tags"]

ANY: Final[tuple[str, ...]] = ("*",)
"""The tags of what might carry any: of an exception, where only a result would say which."""

_MOST: Final = 10_000


class Tags:
    """When the tags of one cache were last forgotten.

    Moments are numbers: each forgetting is the next one. What is not known any more counts as
    forgotten: of more than so many tags the oldest are dropped, and what is older goes with them.

    :param lock: the cache's; everything here is changed under it.
    """

    __slots__ = ("_all", "_at_work", "_floor", "_forgotten", "_lock", "_old_views", "moment")

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self.moment = 0
        self._forgotten: dict[str, tuple[int, Cause]] = {}
        self._floor: tuple[int, Cause | None] = 0, None
        # How many writers are at work on a tag, and on tags that nobody knows.
        self._at_work: dict[str, int] = {}
        self._all = 0
        self._old_views: list[OldView] = []

    @property
    def distant(self) -> Distant | None:
        """Tags outside of this process that a write has to forget, too."""
        return None

    @property
    def are_old_here(self) -> bool:
        """Whether the current code cannot see yet what was written when a tag was forgotten.

        Which tags its loads will carry is not known: it may be that one.
        """
        return any(view.is_theirs() for view in self._old_views)

    @property
    def now(self) -> int:
        """The moment that a load notes which begins now; one that is out of date notes none."""
        return -1 if self._old_views and self.are_old_here else self.moment

    def overtaken(self, tags: tuple[str, ...], began: int) -> bool:
        """Whether a write has come, or is at work, since a load began."""
        if self._all or began < self._floor[0]:
            return True
        if tags is ANY:
            return bool(self._at_work) or began < self.moment
        return any(
            tag in self._at_work or self._forgotten.get(tag, (0,))[0] > began for tag in tags
        )

    def holds(self, entry: Tended) -> bool:
        """Whether none of an entry's tags has been forgotten since its load began."""
        tags = entry.tags
        if not tags:
            return True
        now = self.moment
        if entry.began == now and not self._at_work and not self._all:
            return True
        if self.overtaken(tags, entry.began):
            return False
        if tags is not ANY:
            # What is known to be good until now need not be looked at again from its beginning.
            entry.began = now
        return True

    def why(self, entry: Tended) -> Cause | None:
        """Return what has made an entry wrong, if that is known."""
        found = [self._forgotten[tag] for tag in entry.tags or () if tag in self._forgotten]
        return max(found, key=lambda one: one[0])[1] if found else self._floor[1]

    def forget(self, tag: str, cause: Cause) -> None:
        """Forget a tag: a write that begins and ends at once."""
        with self._lock:
            self.moment += 1
            # In the order in which they were forgotten, the oldest first.
            self._forgotten.pop(tag, None)
            self._forgotten[tag] = self.moment, cause
            if len(self._forgotten) > _MOST:
                oldest = next(iter(self._forgotten))
                self._floor = max(self._floor, self._forgotten.pop(oldest), key=lambda one: one[0])

    def forget_others(self) -> None:
        """Forget the writers of threads that are not here: see cache/forks.py."""
        left = bool(self._at_work) or self._all
        self._at_work.clear()
        self._all = 0
        if left:
            self._everything(Cause("a writer was left behind by a fork"))

    # What a write does: as a table's.

    def shut(self, fence: Fence, cause: Cause) -> None:
        """Begin a write of the tags that a fence names."""
        with self._lock:
            if isinstance(fence, OldView):
                self._old_views = [*self._old_views, fence]
                return
            if fence.values is None:
                self._all += 1
                self._everything(cause)
            for tag in _named(fence):
                self._at_work[tag] = self._at_work.get(tag, 0) + 1
                self.forget(tag, cause)

    def open(self, fence: Fence, cause: Cause) -> None:
        """End a write."""
        with self._lock:
            if isinstance(fence, OldView):
                self._old_views = [other for other in self._old_views if other is not fence]
                return
            if fence.values is None:
                self._all -= 1
                self._everything(cause)
            for tag in _named(fence):
                self.forget(tag, cause)
                self._at_work[tag] -= 1
                if not self._at_work[tag]:
                    del self._at_work[tag]

    def _everything(self, cause: Cause) -> None:
        self.moment += 1
        self._floor = self.moment, cause


def _named(fence: Fence) -> Sequence[Any]:
    return [] if fence.values is None else [value[0] for value in fence.values]
