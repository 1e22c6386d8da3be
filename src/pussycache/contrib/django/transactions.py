"""When a write inside of `django.db.transaction.atomic` has ended: at the outermost commit.

Which writes wait, and what stands meanwhile, is the engine's business.
"""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import connections

from pussycache.contrib.django import snapshots
from pussycache.engine import transactions
from pussycache.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pussycache.engine.transactions import Hold

__all__ = ["watch_transactions"]

_aliases: set[str] = set()


def watch_transactions(using: str | Iterable[str] | None = None) -> None:
    """Have writes that are made inside of a transaction end with that transaction.

    An invalidating method that is called while this thread is inside of ``atomic()`` keeps its
    fence until the outermost block has been committed or rolled back, or until a savepoint is
    rolled back that the call was inside of. Meanwhile its transaction reads through to the
    database, and nobody stores what it made wrong. `pussycache.forget` and its likes do the same.

    ``"pussycache.contrib.django"`` in ``INSTALLED_APPS`` calls this for all databases.

    :param using: the alias of a database, or several; `None`, the default, for all there are.
    :raises ConfigurationError: for an alias that is not in ``DATABASES``.
    """
    known = list(connections.settings)
    try:
        wanted = known if using is None else [using] if isinstance(using, str) else list(using)
    except TypeError:
        raise ConfigurationError(
            f"using must be the alias of a database or a list of them, not {using!r}"
        ) from None
    for alias in wanted:
        if alias not in known:
            raise ConfigurationError(
                f"using={alias!r} is no database; DATABASES has: {', '.join(known)}"
            )
    _aliases.update(wanted)
    transactions.watch(_open_here)
    snapshots.watch(_aliases)


def _open_here() -> list[Hold]:
    return [
        partial(_hold, connection)
        for connection in connections.all(initialized_only=True)
        if connection.alias in _aliases and _is_open(connection)
    ]


def _is_open(connection: Any) -> bool:
    if connection.in_atomic_block:
        # Closed in the midst of it, the database has rolled it back.
        return not connection.closed_in_transaction
    return connection.connection is not None and not connection.autocommit


def _hold(connection: Any, do: Callable[[], object]) -> None:
    def ended() -> None:
        finalizer()

    # Of what waits for a commit, Django drops what is rolled back, and the connection when its
    # thread dies: no need to be told of that in another way.
    finalizer = weakref.finalize(ended, do)
    finalizer.atexit = False
    if connection.in_atomic_block:
        connection.on_commit(ended, robust=True)
    else:
        # With autocommit off there is no `on_commit`; the list is the same, and is run when a
        # commit has been followed by autocommit.
        connection.run_on_commit.append((set(), ended, True))
