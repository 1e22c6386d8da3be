"""Writes inside of Django's transactions: nobody is served or stores what is not committed.

The other thread has connections of its own, to one database file in WAL mode: it sees what has
been committed and nothing else.
"""

import contextlib
import gc
import threading
import unittest
import weakref
from types import SimpleNamespace

import pytest
from bank.models import Account
from django.db import connection, connections, transaction
from django.test import TestCase

import pussycache
from pussycache import MISSING, Forget
from pussycache.contrib.django import snapshots, watch_transactions
from pussycache.engine import transactions

PATIENCE = 60
"""Seconds after which a wait has failed."""

pytestmark = pytest.mark.usefixtures("database")


class Accounts:
    """A repository as people write it."""

    using = "default"

    def balance(self, account_id):
        return Account.objects.using(self.using).get(pk=account_id).balance

    def total(self):
        return sum(Account.objects.using(self.using).values_list("balance", flat=True))

    def deposit(self, account_id, amount):
        account = Account.objects.using(self.using).get(pk=account_id)
        account.balance += amount
        account.save()
        return account_id

    def open(self, balance):
        return Account.objects.using(self.using).create(balance=balance).pk

    def spoil(self, account_id):
        self.deposit(account_id, 1)
        raise RuntimeError("halfway")


RULES = {
    "method": ["balance", "total"],
    "everything": ["*"],
    "argument": [Forget("balance", "account_id"), "total"],
    "callable": [Forget("balance", account_id=lambda call: call.args["account_id"]), "total"],
}


def accounts_of(rule="argument", **options):
    return pussycache.wrap(
        Accounts(),
        cached_methods=["balance", "total"],
        invalidate_methods={
            "deposit": RULES[rule],
            "spoil": RULES[rule],
            "open": [Forget("balance", account_id=lambda call: call.result), "total"],
        },
        **options,
    )


@pytest.fixture
def account(database):
    """The number of an account with 10 on it."""
    return Account.objects.create(balance=10).pk


@pytest.fixture
def unwatched(monkeypatch):
    """As without the feature."""
    monkeypatch.setattr(transactions, "sources", [])


def raced(accounts, account, elsewhere):
    """Deposit in a transaction; somebody reads before it is committed, and everybody after."""
    with transaction.atomic():
        accounts.deposit(account, 5)
        before = elsewhere.do(accounts.balance, account)
    return before, elsewhere.do(accounts.balance, account), accounts.balance(account)


def test_without_it_a_read_is_stale(account, elsewhere, unwatched):
    """Without the feature, a read between the write and its commit is served long after."""
    assert raced(accounts_of(), account, elsewhere) == (10, 10, 10)


@pytest.mark.parametrize("rule", RULES)
def test_nobody_stores_what_is_not_committed_yet(rule, account, elsewhere):
    """A read between a write and its commit is answered with the old row, which nobody stores."""
    assert raced(accounts_of(rule), account, elsewhere) == (10, 15, 15)


@pytest.mark.parametrize("rule", RULES)
def test_a_transaction_reads_its_own_writes(rule, account, elsewhere):
    """The transaction reads what it wrote, others what is committed, and neither is kept."""
    accounts = accounts_of(rule)
    accounts.balance(account)
    with transaction.atomic():
        accounts.deposit(account, 5)
        assert accounts.balance(account) == 15
        assert elsewhere.do(accounts.balance, account) == 10
        assert pussycache.peek(accounts.balance, account) is MISSING
        accounts.deposit(account, 5)
        assert accounts.balance(account) == 20
    assert pussycache.peek(accounts.balance, account) is MISSING
    assert accounts.balance(account) == 20
    assert pussycache.peek(accounts.balance, account) == 20


def test_a_rollback_ends_the_write(account, elsewhere):
    """After a rollback the old row is served and remembered again; the written one never was."""
    accounts = accounts_of()
    with contextlib.suppress(RuntimeError), transaction.atomic():
        accounts.deposit(account, 5)
        assert accounts.balance(account) == 15
        raise RuntimeError
    assert accounts.balance(account) == 10
    assert pussycache.peek(accounts.balance, account) == 10
    assert elsewhere.do(accounts.balance, account) == 10


def test_only_the_outermost_commit_counts(account, elsewhere):
    """A block inside of a block commits nothing: the fence stands until the outer one ends."""
    accounts = accounts_of()
    with transaction.atomic():
        with transaction.atomic():
            accounts.deposit(account, 5)
        with transaction.atomic(savepoint=False):
            accounts.deposit(account, 5)
        assert elsewhere.do(accounts.balance, account) == 10
        assert pussycache.peek(accounts.balance, account) is MISSING
    assert elsewhere.do(accounts.balance, account) == 20


def test_a_rollback_to_a_savepoint_ends_the_writes_in_it(account, elsewhere):
    """What a savepoint's rollback undoes is over; what came before it waits for the commit."""
    accounts = accounts_of()
    other = Account.objects.create(balance=1).pk
    with transaction.atomic():
        accounts.deposit(account, 5)
        with contextlib.suppress(RuntimeError), transaction.atomic():
            accounts.deposit(account, 100)
            accounts.deposit(other, 100)
            raise RuntimeError
        assert accounts.balance(account) == 15
        assert pussycache.peek(accounts.balance, account) is MISSING
        assert elsewhere.do(accounts.balance, other) == 1
        assert pussycache.peek(accounts.balance, other) == 1
    assert accounts.balance(account) == elsewhere.do(accounts.balance, account) == 15


def test_a_write_that_raises_waits_like_any_other(account, elsewhere):
    """A write may have taken effect when it raises: what it wrote may be committed yet."""
    accounts = accounts_of("callable")
    with transaction.atomic():
        with pytest.raises(RuntimeError):
            accounts.spoil(account)
        assert elsewhere.do(accounts.balance, account) == 10
    assert elsewhere.do(accounts.balance, account) == 11


def test_what_depends_on_the_result_is_known_before_the_commit(account, elsewhere):
    """A rule that asks for the result hides the other calls until the method ends, not longer."""
    accounts = accounts_of()
    accounts.balance(account)
    with transaction.atomic():
        opened = accounts.open(7)
        assert pussycache.peek(accounts.balance, account) == 10
        assert elsewhere.do(accounts.balance, account) == 10
        with pytest.raises(Account.DoesNotExist):
            elsewhere.do(accounts.balance, opened)
        assert accounts.balance(opened) == 7
        assert pussycache.peek(accounts.balance, opened) is MISSING
    assert elsewhere.do(accounts.balance, opened) == 7
    # A call of a write is one invalidation, however long it takes.
    assert pussycache.info(accounts.balance).invalidations == 1


def test_a_load_under_way_is_not_stored_or_joined(account, elsewhere):
    """A load that began before the write ends during the transaction: nobody else is told."""
    reading, may_return = threading.Event(), threading.Event()

    class Slow(Accounts):
        def balance(self, account_id):
            found = super().balance(account_id)
            if threading.current_thread() is not threading.main_thread():
                reading.set()
                assert may_return.wait(PATIENCE)
            return found

    accounts = pussycache.wrap(
        Slow(),
        cached_methods=["balance"],
        invalidate_methods={"deposit": [Forget("balance", "account_id")]},
    )
    slow = elsewhere.begin(accounts.balance, account)
    assert reading.wait(PATIENCE)
    with transaction.atomic():
        accounts.deposit(account, 5)
        # Not joined: this would wait for ever.
        assert accounts.balance(account) == 15
        may_return.set()
        assert slow.result(PATIENCE) == 10
        assert pussycache.peek(accounts.balance, account) is MISSING
    assert accounts.balance(account) == 15


def test_hooks_of_others_run_before_or_after(account, elsewhere):
    """A hook for the commit that fails keeps no fence standing, nor does one that reads."""
    accounts = accounts_of()
    seen = []

    def fails():
        raise RuntimeError("a hook")

    with contextlib.suppress(RuntimeError), transaction.atomic():
        transaction.on_commit(lambda: seen.append(accounts.balance(account)))
        transaction.on_commit(fails)
        accounts.deposit(account, 5)
    assert seen == [15]
    gc.collect()
    assert accounts.balance(account) == elsewhere.do(accounts.balance, account) == 15
    assert pussycache.peek(accounts.balance, account) == 15


def test_two_databases(account, elsewhere):
    """With two transactions open, the write has ended when both have."""
    accounts = accounts_of()
    with transaction.atomic(using="second"):
        with transaction.atomic():
            accounts.deposit(account, 5)
        assert accounts.balance(account) == 15
        assert pussycache.peek(accounts.balance, account) is MISSING
    assert accounts.balance(account) == 15
    assert pussycache.peek(accounts.balance, account) == 15


def test_only_databases_that_are_watched(account, monkeypatch):
    """A transaction in a database that is not watched puts nothing off."""
    from pussycache.contrib.django import transactions as module

    monkeypatch.setattr(module, "_aliases", set())
    watch_transactions(using=["default"])
    accounts = accounts_of()
    with transaction.atomic(using="second"):
        accounts.deposit(account, 5)
        accounts.balance(account)
        assert pussycache.peek(accounts.balance, account) == 15
    watch_transactions(using="second")
    with transaction.atomic(using="second"):
        accounts.deposit(account, 5)
        accounts.balance(account)
        assert pussycache.peek(accounts.balance, account) is MISSING


def test_a_database_that_is_not_there():
    """An unknown alias is an error that names those there are."""
    with pytest.raises(pussycache.ConfigurationError, match=r"'third'.*default, second"):
        watch_transactions(using="third")


def test_other_threads_transactions_are_not_ours(account, elsewhere):
    """A transaction that another thread has open puts off none of this thread's writes."""
    accounts = accounts_of()
    block = transaction.atomic()
    elsewhere.do(block.__enter__)
    accounts.deposit(account, 5)
    assert accounts.balance(account) == 15
    assert pussycache.peek(accounts.balance, account) == 15
    elsewhere.do(block.__exit__, None, None, None)


def test_the_methods_own_transaction_ends_with_it(account):
    """A method that opens and commits a transaction itself has ended when it returns."""

    class Careful(Accounts):
        @transaction.atomic(durable=True)
        def deposit(self, account_id, amount):
            super().deposit(account_id, amount)

    accounts = pussycache.wrap(
        Careful(), cached_methods=["balance"], invalidate_methods={"deposit": ["balance"]}
    )
    accounts.deposit(account, 5)
    assert accounts.balance(account) == 15
    assert pussycache.peek(accounts.balance, account) == 15


def test_a_connection_that_is_closed_halfway(account, elsewhere):
    """When the connection is closed inside of the block, the fence falls with what was written."""
    accounts = accounts_of()
    with transaction.atomic():
        accounts.deposit(account, 5)
        connection.close()
        with pussycache.writing(accounts.deposit, account, 1):
            pass
    assert accounts.balance(account) == 10
    assert pussycache.peek(accounts.balance, account) == 10


def test_autocommit_off(account, elsewhere):
    """With autocommit off, the fence stands until it is on again after the commit."""
    accounts = accounts_of()
    transaction.set_autocommit(False)
    accounts.deposit(account, 5)
    assert elsewhere.do(accounts.balance, account) == 10
    assert pussycache.peek(accounts.balance, account) is MISSING
    transaction.commit()
    transaction.set_autocommit(True)
    assert elsewhere.do(accounts.balance, account) == 15
    assert pussycache.peek(accounts.balance, account) == 15


def test_autocommit_off_and_a_rollback(account, elsewhere):
    """With autocommit off, a rollback ends the writes; a block inside of it ends nothing."""
    accounts = accounts_of()
    transaction.set_autocommit(False)
    # For SQLite, a savepoint outside of a transaction would be one.
    Account.objects.create(balance=0)
    with transaction.atomic():
        accounts.deposit(account, 5)
    assert elsewhere.do(accounts.balance, account) == 10
    assert pussycache.peek(accounts.balance, account) is MISSING
    transaction.rollback()
    assert elsewhere.do(accounts.balance, account) == 10
    assert pussycache.peek(accounts.balance, account) == 10
    transaction.set_autocommit(True)


@pytest.mark.filterwarnings("ignore:.*unclosed database:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_thread_that_dies_in_a_transaction(account):
    """A thread that ends without ending its transaction leaves no fence behind."""
    accounts = accounts_of()

    def dies():
        transaction.atomic().__enter__()
        accounts.deposit(account, 5)
        gone.append(weakref.ref(connections["default"]))

    gone = []
    thread = threading.Thread(target=dies)
    thread.start()
    thread.join(PATIENCE)
    gc.collect()
    assert gone[0]() is None
    assert accounts.balance(account) == 10
    assert pussycache.peek(accounts.balance, account) == 10


@pytest.mark.parametrize("forget", ["forget", "forget_all", "of the proxy", "forget_tag", "put"])
def test_forgetting_by_hand_waits_for_the_commit(forget, account, elsewhere):
    """What is forgotten by hand in a transaction stays forgotten until it has ended."""
    accounts = pussycache.wrap(
        Accounts(), cached_methods={"balance": pussycache.Cached(tags=["bank"]), "total": None}
    )
    accounts.balance(account)
    with transaction.atomic():
        Account.objects.update(balance=15)
        if forget == "forget":
            assert pussycache.forget(accounts.balance, account)
        elif forget == "forget_all":
            pussycache.forget_all(accounts.balance)
        elif forget == "of the proxy":
            pussycache.forget_all(accounts)
        elif forget == "forget_tag":
            pussycache.forget_tag(pussycache.cache_of(accounts), "bank")
        else:
            assert not pussycache.put(accounts.balance, 15, account)
        assert elsewhere.do(accounts.balance, account) == 10
        assert accounts.balance(account) == 15
        assert pussycache.peek(accounts.balance, account) is MISSING
    assert elsewhere.do(accounts.balance, account) == 15
    assert pussycache.peek(accounts.balance, account) == 15


def test_forgetting_one_call_by_hand_leaves_the_others(account, elsewhere):
    """To forget one call in a transaction costs the other calls of the method nothing."""
    accounts = accounts_of()
    other = Account.objects.create(balance=1).pk
    accounts.balance(other)
    with transaction.atomic():
        pussycache.forget(accounts.balance, account)
        assert pussycache.peek(accounts.balance, other) == 1
        third = Account.objects.create(balance=3).pk
        assert accounts.balance(third) == 3
        assert pussycache.peek(accounts.balance, third) == 3
    assert pussycache.peek(accounts.balance, other) == 1


def test_forgetting_many_ids_by_hand_waits_too(account, elsewhere):
    """Of a method for many ids, each id stays forgotten until the commit, and no other."""

    class Many(Accounts):
        def balances(self, ids):
            return {number: self.balance(number) for number in ids}

    accounts = pussycache.wrap(
        Many(),
        cached_methods={"balances": pussycache.Cached(each="ids", item="balance"), "balance": None},
    )
    other = Account.objects.create(balance=1).pk
    accounts.balances([account, other])
    with transaction.atomic():
        Account.objects.filter(pk=account).update(balance=15)
        assert pussycache.forget(accounts.balances, [account])
        assert elsewhere.do(accounts.balances, [account, other]) == {account: 10, other: 1}
        assert pussycache.peek(accounts.balance, account) is MISSING
        assert pussycache.peek(accounts.balance, other) == 1
        assert not pussycache.put(accounts.balances, {account: 15}, [account])
    assert elsewhere.do(accounts.balances, [account, other]) == {account: 15, other: 1}


def test_in_a_test_case_of_django(account):
    """In a TestCase a write waits for its rollback, or for `captureOnCommitCallbacks`."""
    accounts = accounts_of()
    seen = []

    class Case(TestCase):
        def test(self):
            accounts.deposit(account, 5)
            seen.append(accounts.balance(account))
            seen.append(pussycache.peek(accounts.balance, account))
            with self.captureOnCommitCallbacks(execute=True):
                accounts.deposit(account, 5)
            pussycache.forget_all(accounts.total)
            seen.append(accounts.balance(account))

    result = unittest.TestResult()
    unittest.TestSuite([Case("test")]).run(result)
    assert result.wasSuccessful(), result.errors + result.failures
    assert seen == [15, MISSING, 20]
    assert accounts.balance(account) == 10
    assert pussycache.peek(accounts.balance, account) == 10


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("is_watched", [True, False])
def test_a_transaction_that_sees_old_rows_stores_none(
    is_watched, rule, account, elsewhere, monkeypatch
):
    """What a transaction loads that began before a commit is out of date, and is not stored."""
    if not is_watched:
        monkeypatch.setattr(transactions, "viewers", [])
    accounts = accounts_of(rule)
    block = transaction.atomic()
    elsewhere.do(block.__enter__)
    # From here on it is shown the rows as they are now.
    assert elsewhere.do(Account.objects.get, pk=account).balance == 10
    accounts.deposit(account, 5)
    accounts.deposit(account, 5)
    assert elsewhere.do(accounts.balance, account) == 10
    assert accounts.balance(account) == (20 if is_watched else 10)
    if is_watched:
        # It may be told what others have loaded, and nobody waits for its end.
        assert pussycache.peek(accounts.balance, account) == 20
        assert elsewhere.do(accounts.balance, account) == 20
        pussycache.forget(accounts.balance, account)
        assert elsewhere.do(accounts.balance, account) == 10
        assert pussycache.peek(accounts.balance, account) is MISSING
    elsewhere.do(block.__exit__, None, None, None)
    pussycache.forget(accounts.balance, account)
    assert elsewhere.do(accounts.balance, account) == 20
    assert pussycache.peek(accounts.balance, account) == 20
    assert accounts.balance.__pussycache__.table(accounts).fences == []


def test_a_transaction_that_sees_old_rows_stores_none_that_bear_a_tag(account, elsewhere):
    """A tag that was forgotten since a transaction began is so for all that it loads."""
    accounts = pussycache.wrap(
        Accounts(),
        cached_methods={"balance": pussycache.Cached(tags=lambda balance, account_id: ["bank"])},
        invalidate_methods={"deposit": [pussycache.ForgetTag("bank")]},
    )
    block = transaction.atomic()
    elsewhere.do(block.__enter__)
    assert elsewhere.do(Account.objects.get, pk=account).balance == 10
    accounts.deposit(account, 5)
    assert elsewhere.do(accounts.balance, account) == 10
    assert pussycache.peek(accounts.balance, account) is MISSING
    assert elsewhere.do(pussycache.refresh, accounts.balance, account) == 10
    assert accounts.balance(account) == 15
    elsewhere.do(block.__exit__, None, None, None)
    pussycache.forget_tag(pussycache.cache_of(accounts), "bank")
    assert elsewhere.do(accounts.balance, account) == 15
    assert pussycache.peek(accounts.balance, account) == 15


def test_others_calls_of_such_a_transaction_are_stored(account, elsewhere):
    """Only what a write has made wrong is out of date for a transaction that began before it."""
    accounts = accounts_of()
    other, third, fourth = (Account.objects.create(balance=1).pk for _ in range(3))
    block = transaction.atomic()
    elsewhere.do(block.__enter__)
    elsewhere.do(Account.objects.count)
    accounts.deposit(account, 5)
    accounts.deposit(third, 5)
    elsewhere.do(accounts.balance, other)
    assert pussycache.peek(accounts.balance, other) == 1
    for written in (account, third):
        elsewhere.do(accounts.balance, written)
        assert pussycache.peek(accounts.balance, written) is MISSING
    # By hand, it is the whole method.
    pussycache.forget(accounts.balance, other)
    elsewhere.do(accounts.balance, fourth)
    assert pussycache.peek(accounts.balance, fourth) is MISSING
    elsewhere.do(block.__exit__, None, None, None)


@pytest.mark.parametrize(
    ("vendor", "level", "keeps"),
    [
        ("sqlite", None, True),
        ("postgresql", "READ_COMMITTED", False),
        ("postgresql", "REPEATABLE_READ", True),
        ("mysql", "read committed", False),
        ("mysql", None, True),
        ("oracle", None, False),
    ],
)
def test_which_transactions_see_old_rows(vendor, level, keeps):
    """It depends on the database and on the isolation level of the connection."""
    connection = SimpleNamespace(vendor=vendor)
    if level is not None:
        named = vendor == "postgresql"
        connection.isolation_level = SimpleNamespace(name=level) if named else level
    assert snapshots._keeps(connection) is keeps


def test_decorated_methods_wait_too(account, elsewhere):
    """The decorators know of transactions as proxies do."""

    class Decorated:
        @pussycache.cached
        def balance(self, account_id):
            return Account.objects.get(pk=account_id).balance

        @pussycache.invalidates(Forget("balance", "account_id"))
        def deposit(self, account_id, amount):
            Accounts().deposit(account_id, amount)

    assert raced(Decorated(), account, elsewhere) == (10, 15, 15)


@pytest.mark.parametrize(
    ("using", "says"),
    [("nope", "'nope' is no database; DATABASES has: default"), (5, "or a list of them, not 5")],
)
def test_what_is_no_database_cannot_be_watched(using, says):
    """What is watched is the alias of a database, or several; anything else is an error."""
    with pytest.raises(pussycache.ConfigurationError, match=says):
        watch_transactions(using=using)
