"""Writes inside of SQLAlchemy's sessions: nobody is served, nobody stores, what is not committed.

The other thread has sessions of its own, to one database file in WAL mode.
"""

import asyncio
import contextvars
import gc

import pytest
from sqlalchemy import create_engine, event, select, text, update
from sqlalchemy.ext.asyncio import (
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    scoped_session,
    sessionmaker,
)

import pussycache
from pussycache import MISSING, Forget
from pussycache.contrib import sqlalchemy
from pussycache.contrib.sqlalchemy import watch, within
from pussycache.engine import transactions


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int]


@pytest.fixture
def file(tmp_path):
    """A database with one account: number 1, with 10 on it."""
    made = tmp_path / "bank.sqlite3"
    engine = create_engine(f"sqlite:///{made}")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=wal")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Account(id=1, balance=10))
        session.commit()
    engine.dispose()
    return made


@pytest.fixture
def engine(file):
    """An engine for it."""
    made = create_engine(f"sqlite:///{file}")
    yield made
    made.dispose()


@pytest.fixture
def maker(engine):
    """A maker of sessions that are watched."""
    made = sessionmaker(engine)
    watch(made)
    return made


@pytest.fixture(autouse=True)
def own_context():
    """Nothing is left of what other tests had open."""
    sqlalchemy._HERE.set(())


class Accounts:
    """A repository; who calls it says which session, or each call has one of its own."""

    session = contextvars.ContextVar("session", default=None)

    def __init__(self, maker):
        self.maker = maker

    def balance(self, account_id):
        session = self.session.get()
        if session is not None:
            return session.scalar(select(Account.balance).where(Account.id == account_id))
        with self.maker() as session:
            return session.scalar(select(Account.balance).where(Account.id == account_id))

    def deposit(self, account_id, amount):
        session = self.session.get()
        session.get(Account, account_id).balance += amount

    def open(self, account_id, balance):
        self.session.get().add(Account(id=account_id, balance=balance))

    def raise_all(self, by):
        self.session.get().execute(update(Account).values(balance=Account.balance + by))


def accounts_of(maker):
    return pussycache.wrap(
        Accounts(maker),
        cached_methods=["balance"],
        invalidate_methods={
            "deposit": [Forget("balance", "account_id")],
            "open": [Forget("balance", "account_id")],
            "raise_all": ["balance"],
        },
    )


@pytest.fixture
def accounts(maker):
    """The repository, wrapped."""
    return accounts_of(maker)


def raced(accounts, session, elsewhere):
    token = Accounts.session.set(session)
    accounts.deposit(1, 5)
    session.flush()
    before = elsewhere.do(accounts.balance, 1)
    session.commit()
    after = elsewhere.do(accounts.balance, 1)
    Accounts.session.reset(token)
    return before, after, accounts.balance(1)


def test_without_it_a_read_is_stale(accounts, maker, elsewhere, monkeypatch):
    """Without the feature, a read between the write and its commit is served long after."""
    monkeypatch.setattr(transactions, "sources", [])
    with maker() as session:
        assert raced(accounts, session, elsewhere) == (10, 10, 10)


def test_nobody_stores_what_is_not_committed_yet(accounts, maker, elsewhere):
    """A read between a write and its commit is answered with the old row, which nobody stores."""
    with maker() as session:
        assert raced(accounts, session, elsewhere) == (10, 15, 15)


def test_a_transaction_reads_its_own_writes(accounts, maker, elsewhere):
    """The transaction that wrote reads what it wrote; only what is committed is remembered."""
    accounts.balance(1)
    with maker() as session:
        Accounts.session.set(session)
        accounts.raise_all(5)
        assert accounts.balance(1) == 15
        assert elsewhere.do(accounts.balance, 1) == 10
        assert pussycache.peek(accounts.balance, 1) is MISSING
        session.commit()
        assert accounts.balance(1) == 15
        assert pussycache.peek(accounts.balance, 1) == 15
        session.rollback()
    Accounts.session.set(None)


@pytest.mark.parametrize("end", ["rollback", "close", "dropped"])
def test_what_is_not_committed_ends_too(end, accounts, maker, elsewhere):
    """A transaction that is rolled back, closed, or dropped with its session leaves no fence."""
    session = maker()
    Accounts.session.set(session)
    accounts.raise_all(5)
    assert accounts.balance(1) == 15
    Accounts.session.set(None)
    if end == "dropped":
        del session
        gc.collect()
    else:
        getattr(session, end)()
    assert accounts.balance(1) == 10
    assert pussycache.peek(accounts.balance, 1) == 10


@pytest.mark.parametrize("is_watched", [True, False])
def test_a_transaction_that_sees_old_rows_stores_none(
    is_watched, accounts, maker, engine, elsewhere, monkeypatch
):
    """What a session loads whose transaction began before a commit is not stored."""
    if not is_watched:
        monkeypatch.setattr(transactions, "viewers", [])
    reader = maker()

    def begin():
        Accounts.session.set(reader)
        # Python's sqlite3 begins a transaction before it writes only.
        reader.execute(text("BEGIN"))
        return reader.scalar(select(Account.balance))

    assert elsewhere.do(begin) == 10
    with maker() as session:
        Accounts.session.set(session)
        accounts.raise_all(5)
        session.commit()
    Accounts.session.set(None)
    assert elsewhere.do(accounts.balance, 1) == 10
    assert accounts.balance(1) == (15 if is_watched else 10)
    elsewhere.do(reader.rollback)
    pussycache.forget(accounts.balance, 1)
    assert elsewhere.do(accounts.balance, 1) == 15
    assert pussycache.peek(accounts.balance, 1) == 15
    assert accounts.balance.__pussycache__.table(accounts).fences == []
    elsewhere.do(reader.close)


def test_with_read_committed_there_are_no_old_rows(accounts, maker, elsewhere):
    """A session whose isolation level shows it what others commit stores what it loads."""
    reader = maker()
    reader.connection(execution_options={"isolation_level": "READ UNCOMMITTED"})
    with pussycache.writing(accounts.raise_all, 5):
        elsewhere.do(lambda: None)
    assert sqlalchemy._views() == []
    reader.close()


def test_a_write_that_is_not_flushed_yet_waits(accounts, maker, elsewhere):
    """A write that only added an object to the session has written nothing when it returns."""
    with maker() as session:
        Accounts.session.set(session)
        accounts.open(2, 7)
        Accounts.session.set(None)
        assert elsewhere.do(accounts.balance, 2) is None
        assert pussycache.peek(accounts.balance, 2) is MISSING
        session.commit()
    assert accounts.balance(2) == 7
    assert pussycache.peek(accounts.balance, 2) == 7


def test_savepoints_end_nothing(accounts, maker, elsewhere):
    """Neither the end of a savepoint nor its rollback makes anything visible to others."""
    with maker() as session:
        Accounts.session.set(session)
        # For SQLite, a savepoint outside of a transaction would be one.
        accounts.open(2, 1)
        session.flush()
        with session.begin_nested():
            accounts.raise_all(5)
        nested = session.begin_nested()
        accounts.raise_all(100)
        nested.rollback()
        assert accounts.balance(1) == 15
        Accounts.session.set(None)
        assert elsewhere.do(accounts.balance, 1) == 10
        assert pussycache.peek(accounts.balance, 1) is MISSING
        session.commit()
    assert elsewhere.do(accounts.balance, 1) == 15
    assert pussycache.peek(accounts.balance, 1) == 15


def test_a_commit_that_fails_ends_with_its_rollback(accounts, maker, engine, elsewhere):
    """When the commit fails, the fence stands until the session is rolled back."""
    with maker() as session:
        Accounts.session.set(session)
        accounts.open(1, 7)  # the number is taken
        Accounts.session.set(None)
        with pytest.raises(Exception, match="UNIQUE"):
            session.commit()
        session.rollback()
    assert accounts.balance(1) == 10
    assert pussycache.peek(accounts.balance, 1) == 10


def test_sessions_of_other_threads_are_not_ours(accounts, maker, elsewhere):
    """A transaction that was begun elsewhere puts off none of the writes here."""
    other = maker()
    elsewhere.do(other.scalars, select(Account))
    with pussycache.writing(accounts.raise_all, 0):
        pass
    assert accounts.balance(1) == 10
    assert pussycache.peek(accounts.balance, 1) == 10
    elsewhere.do(other.close)


def test_a_session_that_was_handed_over(accounts, maker, elsewhere):
    """`within` says that a block works in a transaction that another thread has begun."""
    session = maker()
    account = elsewhere.do(session.get, Account, 1)
    with within(session), pussycache.writing(accounts.deposit, 1):
        account.balance += 5
    assert elsewhere.do(accounts.balance, 1) == 10
    assert pussycache.peek(accounts.balance, 1) is MISSING
    elsewhere.do(session.commit)
    elsewhere.do(session.close)
    assert accounts.balance(1) == 15
    assert pussycache.peek(accounts.balance, 1) == 15


@pytest.mark.parametrize("use", ["executed", "flushed", "connected"])
def test_a_session_that_was_begun_elsewhere(use, accounts, maker, elsewhere):
    """A session that another thread has begun, and that is used here, is known to belong here."""
    session = maker()
    if use == "flushed":
        account = elsewhere.do(session.get, Account, 1)
    elsewhere.do(session.begin if use == "connected" else session.connection)
    with pussycache.writing(accounts.raise_all, 5):
        if use == "executed":
            session.execute(text("UPDATE account SET balance = 15"))
        elif use == "flushed":
            account.balance = 15
            session.flush()
        else:
            session.connection().exec_driver_sql("UPDATE account SET balance = 15")
    assert elsewhere.do(accounts.balance, 1) == 10
    assert pussycache.peek(accounts.balance, 1) is MISSING
    session.commit()
    session.close()
    assert accounts.balance(1) == 15


def test_what_can_be_watched(engine):
    """Sessions, classes, makers and registries can be watched; of what else it is said."""

    class Own(Session):
        pass

    class OwnAsync(AsyncSession):
        sync_session_class = Own

    def watched(session):
        session = getattr(session, "sync_session", session)
        session.begin()
        seen = session.get_transaction() in sqlalchemy._open
        session.close()
        return seen

    maker, other = sessionmaker(engine), sessionmaker(engine)
    one, one_async = other(), AsyncSession()
    scoped = scoped_session(sessionmaker(engine))
    async_maker = async_sessionmaker()
    with_class = async_sessionmaker(sync_session_class=type("Other", (Session,), {}))
    registry = async_scoped_session(async_sessionmaker(), scopefunc=lambda: 1)
    for target, made in [
        (maker, maker),
        (one, lambda: one),
        (scoped, scoped.session_factory),
        (Own, Own),
        (async_maker, async_maker),
        (one_async, lambda: one_async),
        (with_class, with_class),
        (registry, registry.session_factory),
        (OwnAsync, OwnAsync),
    ]:
        assert target is OwnAsync or not watched(made())
        watch(target)
        watch(target)
        assert watched(made()), target
    assert not watched(other())
    assert not watched(async_sessionmaker()())
    with pytest.raises(pussycache.ConfigurationError, match="not Engine"):
        watch(engine)
    with pytest.raises(pussycache.ConfigurationError, match="not Engine"), within(engine):
        pass


def test_all_sessions_at_once(engine, elsewhere):
    """By default, all sessions are watched."""
    watch()
    try:
        plain = sessionmaker(engine)
        with plain() as session:
            assert raced(accounts_of(plain), session, elsewhere) == (10, 15, 15)
    finally:
        for name, listener in sqlalchemy._LISTENERS.items():
            event.remove(Session, name, listener)


class AsyncAccounts:
    """The same for asyncio."""

    session = contextvars.ContextVar("session", default=None)

    def __init__(self, maker):
        self.maker = maker

    async def balance(self, account_id):
        query = select(Account.balance).where(Account.id == account_id)
        session = self.session.get()
        if session is not None:
            return await session.scalar(query)
        async with self.maker() as session:
            return await session.scalar(query)

    async def raise_all(self, by):
        await self.session.get().execute(update(Account).values(balance=Account.balance + by))


@pytest.mark.parametrize("is_watched", [True, False])
def test_async_sessions(is_watched, file):
    """A task's writes wait for its session's commit; others see the old row until then."""

    async def main():
        engine = create_async_engine(f"sqlite+aiosqlite:///{file}")
        maker = async_sessionmaker(engine)
        if is_watched:
            watch(maker)
        accounts = pussycache.wrap(
            AsyncAccounts(maker),
            cached_methods=["balance"],
            invalidate_methods={"raise_all": ["balance"]},
        )
        written, read = asyncio.Event(), asyncio.Event()
        seen = []

        async def writer():
            async with maker() as session:
                AsyncAccounts.session.set(session)
                await accounts.raise_all(5)
                seen.append(await accounts.balance(1) if is_watched else 15)
                written.set()
                await read.wait()
                await session.commit()

        async def reader():
            await written.wait()
            seen.append(await accounts.balance(1))
            read.set()

        async with asyncio.timeout(20):
            await asyncio.gather(writer(), reader())
            seen.append(await accounts.balance(1))
            await engine.dispose()
        return seen

    assert asyncio.run(main()) == ([15, 10, 15] if is_watched else [15, 10, 10])


@pytest.mark.parametrize("end", ["cancelled", "raised"])
def test_an_async_session_that_is_left(end, file):
    """A task that is cancelled, or raises, inside of its transaction leaves no fence behind."""

    async def main():
        engine = create_async_engine(f"sqlite+aiosqlite:///{file}")
        maker = async_sessionmaker(engine)
        watch(maker)
        accounts = pussycache.wrap(
            AsyncAccounts(maker),
            cached_methods=["balance"],
            invalidate_methods={"raise_all": ["balance"]},
        )
        written = asyncio.Event()

        async def writer():
            async with maker() as session:
                AsyncAccounts.session.set(session)
                await accounts.raise_all(5)
                written.set()
                if end == "raised":
                    raise RuntimeError
                await asyncio.Event().wait()

        async with asyncio.timeout(20):
            task = asyncio.create_task(writer())
            await written.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert await accounts.balance(1) == 10
            assert pussycache.peek(accounts.balance, 1) == 10
            await engine.dispose()

    asyncio.run(main())
