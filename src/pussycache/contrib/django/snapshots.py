"""Transactions of Django that are shown rows as they were when they began.

In SQLite all are; elsewhere those with a stricter isolation level than READ COMMITTED. What they
load after somebody else has committed is out of date; how that is not stored is not said here.
"""

from __future__ import annotations

import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.db import connections
from django.db.backends.signals import connection_created

from pussycache.engine import transactions
from pussycache.engine.transactions import View

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["watch"]

_FRESH: Final = ("read committed", "read uncommitted")

_aliases: Collection[str] = ()
_known: Final[weakref.WeakKeyDictionary[Any, _Known]] = weakref.WeakKeyDictionary()
_changing: Final = threading.RLock()


class _Known:
    """A connection, and its open transaction as far as somebody has asked for it."""

    __slots__ = ("_connection", "_view")

    def __init__(self, connection: Any) -> None:
        self._connection = weakref.ref(connection)
        self._view: View | None = None

    def view(self) -> View | None:
        """Return the transaction that is open; asked from other threads than the connection's."""
        connection = self._connection()
        # One that has not begun will be shown what has been committed by now.
        if connection is None or not connection.in_atomic_block:
            return None
        if connection.alias not in _aliases or not _keeps(connection):
            return None
        with _changing:
            if self._view is None:
                self._view = View(partial(_is_here, self._connection))
            return self._view

    def ended(self) -> None:
        """Its transaction has ended, if it had one."""
        with _changing:
            view, self._view = self._view, None
        if view is not None:
            view.over()


def watch(aliases: Collection[str]) -> None:
    """Look at the connections to these databases from now on."""
    global _aliases
    _aliases = aliases
    connection_created.connect(_connected)
    for connection in connections.all(initialized_only=True):
        _connected(connection)
    if _views not in transactions.viewers:
        transactions.viewers.append(_views)


def _views() -> list[View]:
    with _changing:
        known = list(_known.values())
    return [view for one in known if (view := one.view()) is not None]


def _connected(connection: Any, **kwargs: Any) -> None:
    if connection.alias not in _aliases or connection in _known:
        return
    with _changing:
        known = _known[connection] = _Known(connection)
    # A thread may die in the midst of a transaction.
    weakref.finalize(connection, known.ended).atexit = False
    set_autocommit = connection.set_autocommit

    def set_autocommit_and_tell(*args: Any, **kwargs: Any) -> None:
        # With this each transaction begins, and each ends: Django says so in no other way.
        try:
            set_autocommit(*args, **kwargs)
        finally:
            known.ended()

    connection.set_autocommit = set_autocommit_and_tell


def _keeps(connection: Any) -> bool:
    """Whether a transaction of a connection is shown rows as they were when it began."""
    if connection.vendor == "sqlite":
        return True
    level = getattr(connection, "isolation_level", None)
    level = getattr(level, "name", level)
    if level is None:
        # The server's own: that of MySQL is REPEATABLE READ.
        return bool(connection.vendor == "mysql")
    return str(level).lower().replace("_", " ") not in _FRESH


def _is_here(connection: weakref.ref[Any]) -> bool:
    known = connection()
    if known is None or not known.in_atomic_block:
        return False
    return any(known is mine for mine in connections.all(initialized_only=True))
