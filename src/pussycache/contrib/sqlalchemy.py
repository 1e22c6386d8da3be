"""When a write inside of a SQLAlchemy session's transaction has ended: at its commit.

Which writes wait, and what stands meanwhile, is the engine's business.
"""

from __future__ import annotations

import _thread
import weakref
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from pussycache.engine import transactions
from pussycache.engine.transactions import View
from pussycache.errors import ConfigurationError

try:
    from sqlalchemy import event
    from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker
    from sqlalchemy.orm import Session, scoped_session, sessionmaker
except ImportError as error:
    raise ImportError(
        "pussycache.contrib.sqlalchemy needs the packages sqlalchemy and greenlet: "
        'pip install "pussycache[sqlalchemy]"'
    ) from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pussycache.engine.transactions import Hold

__all__ = ["watch", "within"]


class _Open:
    """A transaction of a session, and what waits for its end."""

    __slots__ = ("__weakref__", "_lock", "_view", "_waiting")

    def __init__(self) -> None:
        self._view: View | None = None
        # Reentrant: garbage that is collected meanwhile may come back here.
        self._lock = _thread.RLock()
        self._waiting: list[Callable[[], object]] | None = []

    @property
    def is_over(self) -> bool:
        return self._waiting is None

    def hold(self, do: Callable[[], object]) -> None:
        """Do something when it is over; at once if it is."""
        with self._lock:
            if self._waiting is not None:
                self._waiting.append(do)
                return
        do()

    def keeps_old_view(self) -> None:
        """Take note that it is shown rows as they were when it began."""
        if self._view is None:
            me = weakref.ref(self)
            self._view = View(lambda: me() in _HERE.get())

    @property
    def views(self) -> list[View]:
        """Itself, as long as it is open and keeps an old view."""
        return [] if self._view is None or self._waiting is None else [self._view]

    def over(self) -> None:
        """Do what waits; also called for a transaction that is dropped without an end."""
        with self._lock:
            waiting, self._waiting = self._waiting, None
        if self._view is not None:
            self._view.over()
        for do in waiting or ():
            do()


_open: Final[weakref.WeakKeyDictionary[Any, _Open]] = weakref.WeakKeyDictionary()
"""The outermost transactions of all sessions that are watched."""

_HERE: Final[ContextVar[tuple[_Open, ...]]] = ContextVar("pussycache_sqlalchemy", default=())
"""The transactions that have been used in the current thread or task, and some that are over."""

_WITHIN: Final[ContextVar[tuple[Session, ...]]] = ContextVar("pussycache_within", default=())
"""The sessions that were said to belong to the current block."""


def watch(target: Any = Session) -> None:
    """Have writes that are made inside of a session's transaction end with that transaction.

    An invalidating method that returns while a session has a transaction open, which was used in
    this thread or task, keeps its fence until the session has committed, has rolled back or is
    closed. A savepoint ends nothing. Meanwhile the transaction reads through to the database, and
    nobody stores what it made wrong. `pussycache.forget` and its likes do the same.

    :param target: whose transactions to watch: a session, a ``sessionmaker``, a ``scoped_session``,
        a subclass of ``Session``, or the same of ``sqlalchemy.ext.asyncio``. By default all
        sessions there are and will be.
    :raises ConfigurationError: for anything else, such as an engine.

    >>> from sqlalchemy.orm import sessionmaker
    >>> from pussycache.contrib.sqlalchemy import watch
    >>> make_session = sessionmaker()
    >>> watch(make_session)
    """
    sessions = _sessions(target)
    for name, listener in _LISTENERS.items():
        # Twice does no harm. Not `event.contains`: it confuses objects that had one address.
        event.listen(sessions, name, listener)
    transactions.watch(_open_here)
    if _views not in transactions.viewers:
        transactions.viewers.append(_views)


@contextmanager
def within(session: Any) -> Iterator[None]:
    """Say that the block works in a session's transaction, where that cannot be known.

    It is known where the session began its transaction, or executed or flushed something in this
    thread or task. A session that is handed over from another one, and only has an attribute of an
    object changed before the write returns, has done nothing yet.

    :param session: a session, sync or async, that is watched.
    """
    token = _WITHIN.set((*_WITHIN.get(), _plain(session)))
    try:
        yield
    finally:
        _WITHIN.reset(token)


def _plain(session: Any) -> Session:
    if isinstance(session, (scoped_session, async_scoped_session)):
        session = session()
    if isinstance(session, AsyncSession):
        session = session.sync_session
    if not isinstance(session, Session):
        raise ConfigurationError(f"within takes a session, not {session!r}")
    return session


def _sessions(target: Any) -> Any:
    """Return what SQLAlchemy's events know: a session, a class of sessions or a maker."""
    if isinstance(target, async_scoped_session):
        target = target.session_factory
    if isinstance(target, async_sessionmaker):
        known: Any = target.kw.get("sync_session_class")
        if known is None:
            # A class of its own: those of other makers are not watched.
            known = type("Session", (target.class_.sync_session_class,), {})
            target.configure(sync_session_class=known)
        return known
    if isinstance(target, AsyncSession):
        return target.sync_session
    if isinstance(target, type) and issubclass(target, AsyncSession):
        return target.sync_session_class
    if isinstance(target, (Session, sessionmaker, scoped_session)) or (
        isinstance(target, type) and issubclass(target, Session)
    ):
        return target
    raise ConfigurationError(
        f"watch takes a session, a sessionmaker, a scoped_session or a class of sessions, not "
        f"{target!r}; to watch all sessions, leave it out"
    )


def _note(session: Session) -> None:
    """Note that the current thread or task is inside of a session's transaction."""
    transaction = session.get_transaction()
    if transaction is None:
        return
    known = _open.get(transaction)
    if known is None:
        known = _open[transaction] = _Open()
        # A session that is dropped gives its connection back, which rolls back.
        weakref.finalize(transaction, known.over).atexit = False
    here = _HERE.get()
    if known not in here:
        _HERE.set((*[other for other in here if not other.is_over], known))


def _created(session: Session, transaction: Any) -> None:
    # Also with each flush: that is a part of the transaction by itself.
    _note(session)


def _begun(session: Session, transaction: Any, connection: Any) -> None:
    _note(session)
    said = connection.get_execution_options().get("isolation_level")
    level = said or connection.default_isolation_level or ""
    known = _open.get(session.get_transaction())
    if known is not None and level.upper() in _OLD_VIEWS:
        known.keeps_old_view()


def _executed(state: Any) -> None:
    _note(state.session)


def _ended(session: Session, transaction: Any) -> None:
    # Also of a savepoint, or the inner part of a flush: these are not in there.
    known = _open.pop(transaction, None)
    if known is not None:
        known.over()


_OLD_VIEWS: Final = ("REPEATABLE READ", "SNAPSHOT", "SERIALIZABLE")
"""The isolation levels that show a transaction rows as they were when it began."""

_LISTENERS: Final[dict[str, Callable[..., None]]] = {
    "after_transaction_create": _created,
    "after_begin": _begun,
    "do_orm_execute": _executed,
    "after_transaction_end": _ended,
}


def _open_here() -> list[Hold]:
    for session in _WITHIN.get():
        _note(session)
    return [known.hold for known in _HERE.get() if not known.is_over]


def _views() -> list[View]:
    return [view for known in list(_open.values()) for view in known.views]
