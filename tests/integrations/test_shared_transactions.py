"""Transactions and a shared store: what one process has not committed, no other one stores.

Two caches on one server stand for two processes; the second is used in a thread of its own, with
database connections of its own.
"""

import pytest
from bank.models import Account
from django.db import transaction
from servers import RunningServer

import pussycache
from pussycache import MISSING, Forget, ForgetTag, MemoryCache, RedisCache
from pussycache.engine import transactions

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module")
def server():
    """A Valkey server."""
    running = RunningServer("valkey")
    yield running
    running.stop()


class Accounts:
    """A repository without a state of its own: every process means the same by it."""

    def balance(self, account_id):
        return Account.objects.get(pk=account_id).balance

    def deposit(self, account_id, amount):
        account = Account.objects.get(pk=account_id)
        account.balance += amount
        account.save()
        return account_id


RULES = {
    "method": ["balance"],
    "everything": ["*"],
    "argument": [Forget("balance", "account_id")],
    "callable": [Forget("balance", account_id=lambda call: call.result)],
    "tag": [ForgetTag("bank")],
}


@pytest.fixture(params=["shared", "with a local tier"])
def process(server, request):
    """Make the repository, as another process would."""
    caches = []

    def make(rule="argument"):
        local = MemoryCache() if request.param == "with a local tier" else None
        caches.append(RedisCache(url=server.url, local=local))
        return pussycache.wrap(
            Accounts(),
            caches[-1],
            cached_methods={"balance": pussycache.Cached(tags=["bank"])},
            invalidate_methods={"deposit": RULES[rule]},
        )

    server.do("FLUSHALL")
    yield make
    for cache in caches:
        cache.close()


@pytest.fixture
def account(database):
    """The number of an account with 10 on it."""
    return Account.objects.create(balance=10).pk


def raced(mine, others, account, elsewhere):
    elsewhere.do(others.balance, account)
    with transaction.atomic():
        mine.deposit(account, 5)
        own = mine.balance(account)
        before = elsewhere.do(others.balance, account)
    return own, before, elsewhere.do(others.balance, account), mine.balance(account)


def test_without_it_a_read_is_stale(process, account, elsewhere, monkeypatch):
    """Without the feature, what another process reads before the commit is served for long."""
    monkeypatch.setattr(transactions, "sources", [])
    mine, others = process(), process()
    with transaction.atomic():
        mine.deposit(account, 5)
        assert elsewhere.do(others.balance, account) == 10
    assert elsewhere.do(others.balance, account) == mine.balance(account) == 10


@pytest.mark.parametrize("rule", RULES)
def test_no_process_stores_what_is_not_committed(rule, process, account, elsewhere):
    """Until the commit the fence stands in the server; then all read the new row, and store it."""
    mine, others = process(rule), process(rule)
    assert raced(mine, others, account, elsewhere) == (15, 10, 15, 15)
    assert pussycache.peek(mine.balance, account) == 15


def test_a_rollback_lifts_the_fence_in_the_server(process, account, elsewhere):
    """After a rollback the old row is read, and stored again."""
    mine, others = process(), process()
    with transaction.atomic():
        mine.deposit(account, 5)
        transaction.set_rollback(True)
    assert elsewhere.do(others.balance, account) == 10
    assert pussycache.peek(mine.balance, account) == 10


@pytest.mark.parametrize("rule", RULES)
def test_a_transaction_that_sees_old_rows_stores_none(rule, process, account, elsewhere):
    """What a transaction of this process loads that began before a commit no process is served."""
    mine, others = process(rule), process(rule)
    block = transaction.atomic()
    elsewhere.do(block.__enter__)
    # From here on it is shown the rows as they are now.
    assert elsewhere.do(Account.objects.get, pk=account).balance == 10
    mine.deposit(account, 5)
    assert elsewhere.do(mine.balance, account) == 10
    assert (others.balance(account), mine.balance(account)) == (15, 15)
    elsewhere.do(block.__exit__, None, None, None)
    assert elsewhere.do(mine.balance, account) == 15


@pytest.mark.parametrize("forget", ["forget", "forget_all", "forget_tag", "put"])
def test_forgetting_by_hand_waits_for_the_commit(forget, process, account, elsewhere):
    """What is forgotten by hand in a transaction stays so for other processes, too."""
    mine, others = process(), process()
    elsewhere.do(others.balance, account)
    with transaction.atomic():
        Account.objects.update(balance=15)
        if forget == "forget":
            pussycache.forget(mine.balance, account)
        elif forget == "forget_all":
            pussycache.forget_all(mine)
        elif forget == "forget_tag":
            pussycache.forget_tag(pussycache.cache_of(mine), "bank")
        else:
            assert not pussycache.put(mine.balance, 15, account)
        assert elsewhere.do(others.balance, account) == 10
        assert pussycache.peek(others.balance, account) is MISSING
    assert elsewhere.do(others.balance, account) == 15
    assert pussycache.peek(mine.balance, account) == 15
