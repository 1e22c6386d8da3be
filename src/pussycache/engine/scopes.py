"""All that is remembered of one object in one cache: its tables, and the writers of all of them.

What a single table does is said in generations.py.
"""

from __future__ import annotations

from sys import intern

from pussycache.engine.generations import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pussycache.engine.departed import Departed
    from pussycache.engine.entry import Cause
    from pussycache.engine.fences import Fence
    from pussycache.engine.home import Home
    from pussycache.engine.tags import Tags

__all__ = ["Scope", "place_of"]


def place_of(target: object) -> str:
    """Return what statistics call an object: as its class is called, or as it is if it is one."""
    kind = target if issubclass(type(target), type) else type(target)
    # Of many objects it is one and the same; their class might keep them alive.
    return intern(f"{kind.__module__}.{kind.__qualname__}")  # type: ignore[attr-defined]


class Scope:
    """The tables of one object: all that is remembered of it in one cache."""

    __slots__ = (
        *("__weakref__", "_departed", "_fences", "_is_gone", "_writers"),
        *("home", "place", "tables", "written"),
    )

    def __init__(self, home: Home, place: str, departed: Departed) -> None:
        self.home = home
        self._departed = departed
        self._is_gone = False
        # What statistics call the object: as its class is called.
        self.place = place
        self._writers: tuple[str, ...] = ()
        self.tables: dict[str, Table] = {}
        self._fences: list[Fence] = []
        # Whether everything was, while somebody brings in what is older.
        self.written = False

    def __del__(self) -> None:
        self.depart()

    def depart(self) -> None:
        """Leave behind what was counted, when the object is no more."""
        if not self._is_gone:
            self._is_gone = True
            self._departed.add(self.tables.values())

    @property
    def tags(self) -> Tags:
        """The tags of the cache."""
        return self.home.tags

    def table(self, name: str) -> Table:
        """Return the table of a method, made when it is first asked for."""
        with self.home.lock:
            table = self.tables.get(name)
            if table is None:
                table = self.tables[name] = Table(self.home, name, self)
                # A writer of everything is a writer of what was not there when it began, too.
                table.fences += self._fences
                table.writers += self._writers
                if self.home.waiting is not None:
                    self.watch(table)
            return table

    def written_by(self, writer: str) -> None:
        """Take note that a method is declared to make every entry wrong."""
        with self.home.lock:
            self._writers += (writer,)
            for table in list(self.tables.values()):
                table.written_by(writer)

    def watch(self, table: Table) -> None:
        """Have it noted what is written in a table: see `Table.bring`."""
        from pussycache.engine.touched import Touched

        table.touched = table.touched or Touched()
        if self.written:
            table.touched.everything()

    def forget_others(self) -> None:
        """Forget the loads and the writers of threads that are not here: see cache/forks.py."""
        self._fences = []
        for table in list(self.tables.values()):
            table.forget_others()

    def shut(self, fence: Fence, cause: Cause) -> None:
        """Begin a write of every method of the object."""
        with self.home.lock:
            fence.cause = cause
            self._fences.append(fence)
            self.written = self.written or self.home.waiting is not None
            for table in list(self.tables.values()):
                table.shut(fence, cause)
        self.home.sweep()

    def open(self, fence: Fence, cause: Cause) -> None:
        """End a write of every method of the object."""
        with self.home.lock:
            self._fences = [other for other in self._fences if other is not fence]
            self.written = self.written or self.home.waiting is not None
            for table in list(self.tables.values()):
                table.open(fence, cause)
        self.home.sweep()
