"""Methods for many ids in classes of one's own that share the entries of a method for one."""

import gc
import weakref

import pytest

import pussycache
from pussycache import (
    Cached,
    ConfigurationError,
    Forget,
    ForgetTag,
    MemoryCache,
    cached,
    forget,
    forget_tag,
    invalidates,
    peek,
)
from pussycache.testing import FakeClock


class Users:
    def __init__(self):
        self.calls = []
        self.act = lambda: None

    def load(self, asked):
        self.calls.append(asked)
        number = len(self.calls)
        self.act()
        return number

    @cached(each="ids", item="get_user", ttl=10)
    def get_users(self, ids, lang="en"):
        number = self.load(ids)
        return {one: (one, lang, number) for one in ids}

    # Other places than in the method for many.
    @cached(tags=["user:{user_id}"])
    def get_user(self, lang, user_id):
        return (user_id, lang, self.load(user_id))

    @cached(each="ids", item="aget_user")
    async def aget_users(self, ids):
        number = self.load(ids)
        return dict.fromkeys(ids, number)

    @cached
    async def aget_user(self, user_id):
        return self.load(user_id)

    @invalidates(Forget("get_users", ids="who"))
    def rename(self, who):
        pass

    @invalidates(Forget("get_user", user_id="who"))
    def rename_one(self, who):
        pass

    @invalidates(ForgetTag("user:{who}"))
    def rename_tagged(self, who):
        pass

    @invalidates("get_users")
    def reset(self):
        pass

    @invalidates("*")
    def reset_all(self):
        pass


def numbers(answer):
    return {one: value[-1] for one, value in answer.items()}


def test_both_methods_share_their_entries():
    """What one of them has loaded the other need not; each instance has its own."""
    users, others = Users(), Users()
    assert numbers(users.get_users([1, 2])) == {1: 1, 2: 1}
    assert users.get_user("en", 1)[-1] == 1
    assert users.get_user("fr", 1) == (1, "fr", 2)
    assert users.get_user("en", 3)[-1] == 3
    assert users.get_users([3, 4]) == {3: (3, "en", 3), 4: (4, "en", 4)}
    assert users.get_users([1], "fr") == {1: (1, "fr", 2)}
    assert others.get_users([1]) == {1: (1, "en", 1)}
    assert pussycache.info(users.get_users) == pussycache.info(users.get_user)
    assert Users.get_users.cache_info().hits == Users.get_user.cache_info().hits > 0


def test_coroutine_methods_share_them_too(run):
    """For coroutine methods it is the same."""
    users = Users()

    async def main():
        assert await users.aget_users([1, 2]) == {1: 1, 2: 1}
        assert await users.aget_user(2) == 1
        assert await users.aget_user(3) == 2
        assert await users.aget_users([2, 3]) == {2: 1, 3: 2}

    run(main)


WRITES = pytest.mark.parametrize(
    "write", ["rename", "rename_one", "rename_tagged", "reset", "reset_all"]
)


def written(users, write):
    getattr(users, write)(*([] if write.startswith("reset") else [2]))


@WRITES
def test_writes_name_either_method(write):
    """A rule over the ids, one over the one id, a tag, a name: each forgets the shared entries."""
    users = Users()
    users.get_users([1, 2])
    written(users, write)
    assert users.get_user("en", 2)[-1] == 2
    others = 1 if "rename" in write else 3
    assert numbers(users.get_users([1, 2])) == {1: others, 2: 2}


@WRITES
def test_a_write_while_a_batch_is_half_loaded(write, gate, spawn):
    """Its id is not stored, and neither method's later call waits for it."""
    users = Users()
    users.get_user("de", 1)
    users.act = gate.hold
    early = spawn(users.get_users, [1, 2])
    gate.reached()
    written(users, write)
    users.act = lambda: None
    assert users.get_user("en", 2)[-1] == 3
    gate.open()
    assert numbers(early.result()) == {1: 2, 2: 2}
    assert numbers(users.get_users([2])) == {2: 3}


def test_the_method_for_one_looks_at_the_clock_of_the_batch():
    """What the batch keeps for ten seconds is served no longer, by either of them."""

    class Quotes:
        loads = 0

        def load(self):
            self.loads += 1
            return self.loads

        @cached(each="names", item="one", ttl=10)
        def many(self, names):
            number = self.load()
            return dict.fromkeys(names, number)

        @cached
        def one(self, name):
            return self.load()

    with FakeClock() as clock:
        quotes = Quotes()
        assert quotes.one("kept") == 1
        assert quotes.many(["a", "kept"]) == {"a": 2, "kept": 1}
        assert quotes.one("a") == 2
        clock.advance(10)
        assert (quotes.one("a"), quotes.one("kept")) == (3, 1)


def test_operations_on_either():
    """They work on the entries that both have."""
    users = Users()
    users.get_users([1, 2])
    assert forget(users.get_user, "en", 2)
    assert peek(users.get_users, [1, 2]) is pussycache.MISSING
    pussycache.put(users.get_users, {2: "given"}, [2])
    assert users.get_user("en", 2) == "given"
    assert pussycache.refresh(users.get_users, [2]) == {2: (2, "en", 2)}
    assert pussycache.explain(users.get_users, [9]).detail == "id 9"
    pussycache.forget_all(users.get_users)
    assert peek(users.get_user, "en", 1) is pussycache.MISSING
    users.get_users([1])
    Users.get_users.cache_clear()
    assert peek(users.get_user, "en", 1) is pussycache.MISSING


def test_a_subclass_may_have_another_method_for_one():
    """The entries are those of the method that the instance has."""

    class Loud(Users):
        @cached
        def get_user(self, lang, user_id):
            return (user_id, lang, "loud", self.load(user_id))

    loud, users = Loud(), Users()
    assert loud.get_user("en", 1) == (1, "en", "loud", 1)
    assert loud.get_users([1]) == {1: (1, "en", "loud", 1)}
    assert users.get_users([1]) == {1: (1, "en", 1)}
    loud.rename(1)
    assert loud.get_users([1]) == {1: (1, "en", 2)}


def test_instances_are_not_kept_alive():
    """What is remembered of an instance goes with it."""
    users = Users()
    users.get_users([1])
    alive = weakref.ref(users)
    table = weakref.ref(Users.get_users.__pussycache__.table(users))
    del users
    gc.collect()
    assert alive() is None
    assert table() is None


def test_class_methods():
    """A class method shares those of a class method."""

    class Settings:
        calls = 0

        @classmethod
        @cached(each="names", item="one")
        def many(cls, names):
            cls.calls += 1
            return {name: (name, cls.calls) for name in names}

        @classmethod
        @cached
        def one(cls, name):
            cls.calls += 1
            return (name, cls.calls)

        @classmethod
        @invalidates(Forget("many", names="name"))
        def change(cls, name):
            pass

    assert Settings.many(["a", "b"]) == {"a": ("a", 1), "b": ("b", 1)}
    assert Settings.one("b") == ("b", 1)
    Settings.change("b")
    assert Settings.many(["a", "b"]) == {"a": ("a", 1), "b": ("b", 2)}


def test_the_cache_is_that_of_the_method_for_one():
    """It is said there, or the same in both places; another one is an error at first use."""
    cache = MemoryCache(ttl=60)

    def made(its_cache):
        class Own:
            @cached(each="ids", item="one", cache=its_cache)
            def many(self, ids):
                return {one: one for one in ids}

            @cached(cache=cache, tags=["all"])
            def one(self, user_id):
                return user_id

        return Own()

    for its_cache in (None, cache):
        own = made(its_cache)
        own.many([1])
        assert type(own).many.cache_info().maxsize == cache.max_entries
        forget_tag(cache, "all")
        assert peek(own.one, 1) is pussycache.MISSING
    with pytest.raises(ConfigurationError, match="whose results are in another cache"):
        made(MemoryCache()).many([1])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "which is no cached method of .*Wrong; decorate"),
        ("plain", "which is no cached method of .*Wrong; decorate"),
        ("static", "which is no cached method of .*Wrong; decorate"),
        ("many", "whose entries it cannot share"),
        ("other", "whose entries it cannot share"),
    ],
)
def test_mistakes_are_reported_at_first_use(name, message):
    """The method for one is cached, and has the same parameters but for one id."""

    class Wrong:
        @cached(each="ids", item=name)
        def get(self, ids):
            return {}

        def plain(self, one):
            pass

        @staticmethod
        @cached
        def static(one):
            pass

        @cached(each="ids")
        def many(self, ids):
            pass

        @cached
        def other(self, one, more):
            pass

    with pytest.raises(ConfigurationError, match=message):
        Wrong().get([1])


def test_functions_are_told_at_declaration():
    """A function has no object beside it that the method could be of."""
    with pytest.raises(ConfigurationError, match=r"let the function for one call get_users\(\[one"):

        @cached(each="ids", item="get_user")
        def get_users(ids):
            return {}


def test_an_object_of_such_a_class_may_be_wrapped():
    """Writes through a proxy forget what the class itself remembers."""
    users = Users()
    proxy = pussycache.wrap(
        users,
        invalidate_methods={
            "rename_one": [Forget("get_users", ids="who")],
            "reset": ["get_users"],
        },
    )
    proxy.get_users([1, 2])
    proxy.rename_one(2)
    assert numbers(users.get_users([1, 2])) == {1: 1, 2: 2}
    proxy.reset()
    assert numbers(users.get_users([1, 2])) == {1: 3, 2: 3}


class Bare:
    get_users = Users.get_users.__wrapped__
    get_user = Users.get_user.__wrapped__
    load = Users.load
    __init__ = Users.__init__


class Other:
    def changed(self, who):
        pass


def test_rules_that_name_the_method_itself():
    """A rule of another proxy, or of a function, over the ids means the places of the one id."""
    proxy = pussycache.wrap(
        Bare(),
        cached_methods={
            "get_users": Cached(each="ids", item="get_user"),
            "get_user": Cached(),
        },
    )
    for users in (Users(), proxy):
        other = pussycache.wrap(
            Other(), invalidate_methods={"changed": [Forget(users.get_users, ids="who")]}
        )

        @invalidates(Forget(users.get_users, ids="who"))
        def change(who):
            pass

        users.get_users([1, 2, 3])
        other.changed(2)
        change(3)
        assert numbers(users.get_users([1, 2, 3])) == {1: 1, 2: 2, 3: 2}
