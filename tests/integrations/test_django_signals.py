"""`invalidate_on` and `touched`: rows that are written make cached methods wrong."""

import pickle

import pytest
from bank.models import Account, Person, Savings
from django.db import IntegrityError, connection, transaction
from django.db.models.deletion import Collector
from django.test.utils import CaptureQueriesContext

import pussycache
from pussycache import MISSING
from pussycache.contrib.django import invalidate_on, touched

pytestmark = pytest.mark.usefixtures("database")


class Reports:
    """What is computed from rows."""

    def balance(self, account_id):
        return Account.objects.get(pk=account_id).balance

    def owned_by(self, owner_id, what="count"):
        return Account.objects.filter(owner_id=owner_id).count()

    def friends(self, person_id):
        return sorted(Person.objects.get(pk=person_id).friends.values_list("name", flat=True))

    def people(self):
        return Person.objects.count()


@pytest.fixture
def reports():
    """They are remembered."""
    return pussycache.wrap(Reports(), cached_methods=["balance", "owned_by", "friends", "people"])


@pytest.fixture
def on():
    """As `invalidate_on`, until the test is over."""
    ends = []

    def declare(*args, **kwargs):
        ends.append(invalidate_on(*args, **kwargs))
        return ends[-1]

    yield declare
    for end in ends:
        end()


@pytest.fixture
def people(database):
    """Ada and Bob."""
    return [Person.objects.create(name=name) for name in ("ada", "bob")]


@pytest.fixture
def account(people):
    """Ada's account, with 10 on it."""
    return Account.objects.create(balance=10, owner=people[0])


def test_a_saved_row_forgets_its_calls(reports, on, account):
    """To save an object forgets the calls with its key, and no others."""
    on(Account, reports.balance, match={"account_id": "pk"})
    other = Account.objects.create(balance=1)
    assert (reports.balance(account.pk), reports.balance(other.pk)) == (10, 1)
    account.balance = 20
    account.save()
    assert pussycache.peek(reports.balance, other.pk) == 1
    assert reports.balance(account.pk) == 20
    assert "by Account.save(pk=" in str(explained(reports, account))


def explained(reports, account):
    reports.balance(account.pk)
    account.save()
    return pussycache.explain(reports.balance, account.pk)


def test_texts_count_as_what_they_read_like(reports, on, account):
    """A call whose argument came from a URL is forgotten, too."""
    on(Account, reports.balance, match={"account_id": "pk"})
    assert reports.balance(str(account.pk)) == 10
    account.balance = 20
    account.save()
    assert reports.balance(str(account.pk)) == 20


def test_a_deleted_row_forgets_its_calls(reports, on, account):
    """To delete an object, or a queryset, forgets the calls with its key."""
    on(Account, reports.balance, match={"account_id": "pk"})
    other = Account.objects.create(balance=1)
    reports.balance(account.pk), reports.balance(other.pk)
    number, other_number = account.pk, other.pk
    account.delete()
    assert pussycache.peek(reports.balance, number) is MISSING
    assert pussycache.peek(reports.balance, other_number) == 1
    Account.objects.all().delete()
    assert pussycache.peek(reports.balance, other_number) is MISSING


def test_a_row_that_is_deleted_with_another(reports, on, account, people):
    """A row that goes because its owner goes is a deleted row."""
    on(Account, reports.balance, match={"account_id": "pk"})
    reports.balance(account.pk)
    people[0].delete()
    assert pussycache.peek(reports.balance, account.pk) is MISSING


def test_without_match_all_calls_are_forgotten(reports, on, people):
    """Without match, and without parameters, a new row forgets every call."""
    on(Person, reports.people, reports.friends)
    assert (reports.people(), reports.friends(people[0].pk)) == (2, [])
    Person.objects.create(name="eve")
    assert pussycache.peek(reports.friends, people[0].pk) is MISSING
    assert reports.people() == 3


@pytest.mark.parametrize("atomic", [True, False])
def test_a_row_that_moves(atomic, reports, on, account, people):
    """A match on another column forgets what it was and is; outside of a transaction, all."""
    on(Account, reports.owned_by, match={"owner_id": "owner_id"})
    ada, bob = (person.pk for person in people)
    eve = Person.objects.create(name="eve").pk
    assert [reports.owned_by(person) for person in (ada, bob, eve)] == [1, 0, 0]
    # Not what the object says: that may be old.
    moved = Account(pk=account.pk, balance=10, owner_id=bob)
    if atomic:
        with transaction.atomic():
            moved.save()
    else:
        moved.save()
    assert pussycache.peek(reports.owned_by, eve) == (0 if atomic else MISSING)
    assert [reports.owned_by(person) for person in (ada, bob, eve)] == [0, 1, 0]
    moved.owner_id = eve  # nobody knows: it is not saved
    moved.delete()
    assert [reports.owned_by(person) for person in (ada, bob, eve)] == [0, 0, 0]


def test_a_new_row_needs_no_transaction(reports, on, account, people):
    """A new row held nothing before: its own calls are forgotten, in a transaction or not."""
    on(Account, reports.owned_by, match={"owner_id": "owner_id"})
    ada, bob = (person.pk for person in people)
    assert (reports.owned_by(ada), reports.owned_by(bob)) == (1, 0)
    Account.objects.create(owner_id=bob)
    assert pussycache.peek(reports.owned_by, ada) == 1
    assert reports.owned_by(bob) == 1


def test_a_callable(reports, on, account, people):
    """A callable is given the object: it is asked for a new one, and else all is forgotten."""
    on(Account, reports.owned_by, match={"owner_id": lambda account: account.owner_id})
    ada, bob = (person.pk for person in people)
    reports.owned_by(ada), reports.owned_by(bob)
    Account.objects.create(owner_id=bob)
    assert pussycache.peek(reports.owned_by, ada) == 1
    assert reports.owned_by(bob) == 1
    account.save()
    assert pussycache.peek(reports.owned_by, bob) is MISSING


def test_a_callable_that_fails_forgets_all(reports, on, account, people):
    """A callable that raises says nothing: then every call is forgotten."""
    on(Account, reports.owned_by, match={"owner_id": lambda account: 1 / 0})
    reports.owned_by(people[0].pk)
    Account.objects.create()
    assert pussycache.peek(reports.owned_by, people[0].pk) is MISSING


def test_several_columns_must_all_match(reports, on, account, people):
    """With two parameters, only calls that match in both are forgotten."""
    on(Account, reports.owned_by, match={"owner_id": "owner_id", "what": lambda account: "count"})
    bob = people[1].pk
    reports.owned_by(bob), reports.owned_by(bob, "sum")
    Account.objects.create(owner_id=bob)
    assert pussycache.peek(reports.owned_by, bob) is MISSING
    assert pussycache.peek(reports.owned_by, bob, "sum") == 0


def test_a_save_that_fails_leaves_nothing(reports, on, account, people):
    """A save that raised has written nothing, and the object can be pickled and saved again."""
    on(Account, reports.owned_by, match={"owner_id": "owner_id"})
    ada, bob = (person.pk for person in people)
    reports.owned_by(ada), reports.owned_by(bob)
    account.balance = None
    with transaction.atomic(), pytest.raises(IntegrityError), transaction.atomic():
        account.save()
    pickle.dumps(account)
    assert pussycache.peek(reports.owned_by, ada) == 1
    # What it held at that time is not what it holds when it is saved outside of a transaction.
    eve = Person.objects.create(name="eve").pk
    with touched(Account):
        Account.objects.update(owner=eve)
    assert reports.owned_by(eve) == 1
    account.balance, account.owner_id = 1, ada
    account.save()
    assert (reports.owned_by(eve), reports.owned_by(ada)) == (0, 1)
    account.balance, account.owner_id = 1, bob
    account.save()
    assert (reports.owned_by(ada), reports.owned_by(bob)) == (0, 1)


def test_relations_between_many(reports, on, people):
    """To add, remove or clear relations forgets the calls of both sides."""
    on(Person, reports.friends, match={"person_id": "pk"})
    ada, bob = people
    eve = Person.objects.create(name="eve")

    def friends():
        return [reports.friends(person.pk) for person in (ada, bob, eve)]

    assert friends() == [[], [], []]
    ada.friends.add(bob)
    assert pussycache.peek(reports.friends, eve.pk) == []
    assert friends() == [["bob"], ["ada"], []]
    bob.friends.remove(ada)
    assert pussycache.peek(reports.friends, eve.pk) == []
    assert friends() == [[], [], []]
    bob.friends.set([ada, eve])
    assert friends() == [["bob"], ["ada", "eve"], ["bob"]]
    bob.friends.clear()
    assert friends() == [[], [], []]


def test_relations_and_another_column(reports, on, account, people):
    """A match on another column is read from the rows whose relations were changed."""
    on(Person, reports.friends, match={"person_id": "name"})
    for name in ("ada", "bob"):
        pussycache.put(reports.friends, [], name)
    people[0].friends.add(Person.objects.create(name="eve"))
    assert pussycache.peek(reports.friends, "ada") is MISSING
    assert pussycache.peek(reports.friends, "bob") == []


def test_children_and_parents(reports, on, account):
    """A child's row is a row of its parent; of a parent's row the child knows nothing."""
    on(Account, reports.balance, match={"account_id": "pk"})
    on(Savings, reports.people, match=None)
    savings = Savings.objects.create(balance=5)
    assert (reports.balance(savings.pk), reports.balance(account.pk)) == (5, 10)
    savings.balance = 6
    savings.save()
    assert pussycache.peek(reports.balance, account.pk) == 10
    assert reports.balance(savings.pk) == 6
    reports.people()
    Account.objects.get(pk=savings.pk).save()
    assert pussycache.peek(reports.people) is MISSING


def test_a_parent_forgets_every_call_of_its_child(reports, on):
    """A row that is saved through its parent forgets every call that matches on the child's."""
    on(Savings, reports.balance, match={"account_id": "rate"})
    savings = Savings.objects.create(balance=5)
    reports.balance(savings.pk)
    Account.objects.get(pk=savings.pk).save()
    assert pussycache.peek(reports.balance, savings.pk) is MISSING
    reports.balance(savings.pk)
    with transaction.atomic():
        Account.objects.get(pk=savings.pk).save()
    assert pussycache.peek(reports.balance, savings.pk) is MISSING


def test_other_models_cost_nothing(reports, on, account, people):
    """A model that nobody declared is still deleted in one statement, and forgets nothing."""
    on(Person, reports.people)
    reports.people()
    account.save()
    assert pussycache.peek(reports.people) == 2
    friendships = Person.friends.through.objects.all()
    assert Collector("default").can_fast_delete(friendships)
    end = on(Person.friends.through, reports.people)
    assert not Collector("default").can_fast_delete(friendships)
    end()
    assert Collector("default").can_fast_delete(friendships)


def test_the_primary_key_needs_no_query(reports, on, account):
    """A match on the primary key costs no query; one on another column costs one."""
    on(Account, reports.balance, match={"account_id": "pk"})
    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        account.save()
    assert len(queries) == 1
    on(Account, reports.owned_by, match={"owner_id": "owner_id"})
    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        account.save()
    assert len(queries) == 2


def test_it_waits_for_the_commit(reports, on, account, elsewhere):
    """In a transaction a row counts as written when that is committed."""
    on(Account, reports.balance, match={"account_id": "pk"})
    with transaction.atomic():
        account.balance = 20
        account.save()
        assert elsewhere.do(reports.balance, account.pk) == 10
        assert reports.balance(account.pk) == 20
        assert pussycache.peek(reports.balance, account.pk) is MISSING
    assert elsewhere.do(reports.balance, account.pk) == 20


def test_touched_counts_what_sends_no_signals(reports, on, account, elsewhere):
    """A block of `touched` forgets every call, and stores nothing until it has ended."""
    on(Account, reports.balance, match={"account_id": "pk"})
    reports.balance(account.pk)
    with touched(Account):
        Account.objects.update(balance=20)
        reports.balance(account.pk)
        assert pussycache.peek(reports.balance, account.pk) is MISSING
    assert reports.balance(account.pk) == 20
    with transaction.atomic():
        with touched(Savings, Person):
            Account.objects.update(balance=30)
        assert elsewhere.do(reports.balance, account.pk) == 20
    assert reports.balance(account.pk) == 30


def test_without_touched_it_is_stale(reports, on, account):
    """What sends no signals is not heard of."""
    on(Account, reports.balance, match={"account_id": "pk"})
    reports.balance(account.pk)
    Account.objects.update(balance=20)
    assert reports.balance(account.pk) == 10


def test_decorated_methods(on, account):
    """A decorated method of a class stands for that of all its instances."""

    class Repository:
        @pussycache.cached
        def balance(self, account_id):
            return Account.objects.get(pk=account_id).balance

    on(Account, Repository.balance, match={"account_id": "pk"})
    one, two = Repository(), Repository()
    assert (one.balance(account.pk), two.balance(account.pk)) == (10, 10)
    account.balance = 20
    account.save()
    assert (one.balance(account.pk), two.balance(account.pk)) == (20, 20)


def test_decorated_methods_in_a_shared_store(on):
    """Which instances other processes have is not known: to name those of all is a mistake."""
    cache = pussycache.RedisCache()

    class Repository:
        @pussycache.cached(cache=cache)
        def balance(self, account_id):
            return Account.objects.get(pk=account_id).balance

    with pytest.raises(pussycache.ConfigurationError, match="'balance' of all instances"):
        on(Account, Repository.balance, match={"account_id": "pk"})
    cache.close()


def test_it_can_be_ended(reports, on, account):
    """What `invalidate_on` returns ends it."""
    end = on(Account, reports.balance, match={"account_id": "pk"})
    reports.balance(account.pk)
    end()
    account.save()
    assert pussycache.peek(reports.balance, account.pk) == 10


@pytest.mark.parametrize(
    ("arguments", "match", "says"),
    [
        (["bank.Account", "balance"], None, "takes a model that has a table, not 'bank.Account'"),
        ([Account], None, "names no method"),
        ([Account, "reset"], None, "takes cached methods .* not 'reset'"),
        (
            [Account, "balance"],
            {"account": "pk"},
            "match names the parameter 'account', but 'balance' has the parameters: account_id",
        ),
        ([Account, "balance"], "pk", "match must map parameters of the methods .* not 'pk'"),
        ([Account, "balance"], {"account_id": "number"}, "no column of Account; it has: pk, id"),
        ([Account, "balance"], {"account_id": "owner"}, "no column of Account"),
        ([Account, "balance"], {"account_id": "person"}, "no column of Account"),
        ([Account, "balance"], {"account_id": 7}, "callable, not 7"),
    ],
)
def test_mistakes(arguments, match, says, reports):
    """A mistake is an error at once, which says what there is."""
    model, *methods = arguments
    given = [getattr(reports, name, name) for name in methods]
    with pytest.raises(pussycache.ConfigurationError, match=says):
        invalidate_on(model, *given, match=match)


def test_touched_takes_models():
    """So does `touched`."""
    with pytest.raises(pussycache.ConfigurationError, match="takes a model"), touched("Account"):
        pass
