"""All that is remembered of one object in one cache: its tables, and the writers of all of them.

What a single table does is said in generations.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pussycache.engine.generations import Table

if TYPE_CHECKING:
    from pussycache.engine.entry import Cause
    from pussycache.engine.fences import Fence
    from pussycache.engine.home import Home

__all__ = ["Scope"]


class Scope:
    """The tables of one object: all that is remembered of it in one cache."""

    __slots__ = ("__weakref__", "_fences", "home", "tables")

    def __init__(self, home: Home) -> None:
        self.home = home
        self.tables: dict[str, Table] = {}
        self._fences: list[Fence] = []

    def table(self, name: str) -> Table:
        """Return the table of a method, made when it is first asked for."""
        with self.home.lock:
            table = self.tables.get(name)
            if table is None:
                table = self.tables[name] = Table(self.home, name, self)
                # A writer of everything is a writer of what was not there when it began, too.
                table.fences += self._fences
            return table

    def forget_others(self) -> None:
        """Forget the loads and the writers of threads that are not here: see cache/forks.py."""
        self._fences = []
        for table in list(self.tables.values()):
            table.forget_others()

    def shut(self, fence: Fence, cause: Cause) -> None:
        """Begin a write of every method of the object."""
        with self.home.lock:
            self._fences.append(fence)
            for table in list(self.tables.values()):
                table.shut(fence, cause)
        self.home.sweep()

    def open(self, fence: Fence, cause: Cause) -> None:
        """End a write of every method of the object."""
        with self.home.lock:
            self._fences = [other for other in self._fences if other is not fence]
            for table in list(self.tables.values()):
                table.open(fence, cause)
        self.home.sweep()
