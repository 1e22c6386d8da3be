"""Calls for many ids: what is loaded, once, in which order, and what a write makes of it."""

import asyncio

import pytest

import pussycache
from pussycache import MISSING, Cached, ConfigurationError, Each, Forget, cached, invalidates
from pussycache.engine import batches, flow
from pussycache.testing import FakeClock


class Users:
    """Each load of an id returns a number of its own."""

    def __init__(self):
        self.calls = []
        self.singles = []
        self.gone = set()
        self.act = lambda: None
        self.loads = 0

    def get_users(self, ids, lang="en"):
        self.calls.append(ids)
        result = {}
        for one in ids:
            if one not in self.gone:
                self.loads += 1
                result[one] = (one, lang, self.loads)
        self.act()
        return result

    async def aget_users(self, ids):
        self.calls.append(ids)
        self.loads += 1
        number = self.loads
        held = self.act()
        if held is not None:
            await held
        return {one: (one, "en", number) for one in ids if one not in self.gone}

    def get_user(self, user_id, lang="en"):
        self.singles.append(user_id)
        if user_id in self.gone:
            raise KeyError(user_id)
        self.loads += 1
        return (user_id, lang, self.loads)

    def rename(self, user_id):
        pass

    def rename_many(self, user_ids):
        pass

    def reset(self):
        pass


def wrapped(item=None, errors=None, users=None, **said):
    both = ["get_user"] if item else []
    target = both[0] if item else "get_users"
    own = "user_id" if item else "ids"
    return pussycache.wrap(
        users or Users(),
        cached_methods={
            "get_users": Cached(each="ids", item=item, errors=errors, **said),
            "aget_users": Cached(each="ids", errors=errors, **said),
            **({"get_user": Cached(errors=errors)} if item else {}),
        },
        invalidate_methods={
            "rename": [Forget("get_users", ids="user_id"), Forget("aget_users", ids="user_id")],
            "rename_many": [Forget(target, **{own: Each("user_ids")})],
            "reset": ["get_users", "aget_users"],
        },
    )


SHARED = pytest.mark.parametrize("item", [None, "get_user"], ids=["alone", "with item"])


def numbers(answer):
    return {one: value[-1] for one, value in answer.items()}


@SHARED
def test_one_call_loads_the_ids_that_are_missing(item):
    """Entries are per id: only what is not remembered is asked for, in one call."""
    proxy = wrapped(item)
    assert numbers(proxy.get_users([1, 2, 3])) == {1: 1, 2: 2, 3: 3}
    assert numbers(proxy.get_users([5, 3, 4, 2])) == {5: 4, 3: 3, 4: 5, 2: 2}
    assert proxy.get_users([1, 5]) == {1: (1, "en", 1), 5: (5, "en", 4)}
    assert proxy.calls == [[1, 2, 3], [5, 4]]
    info = pussycache.info(proxy.get_users)
    assert (info.hits, info.misses, info.loads, info.entries) == (4, 5, 5, 5)


@SHARED
def test_order_type_and_repeated_ids(item):
    """The answer is in the order of the ids; the method gets a collection of the same type."""
    proxy = wrapped(item)
    assert list(proxy.get_users((3, 1, 3, 2))) == [3, 1, 2]
    assert list(proxy.get_users([9, 1, 8])) == [9, 1, 8]
    proxy.get_users({7})
    proxy.get_users(one for one in (6, 5))
    proxy.get_users({4: "x"}.keys())
    assert proxy.get_users([]) == {}
    assert proxy.calls == [(3, 1, 2), [9, 8], {7}, [6, 5], [4]]


@SHARED
def test_other_arguments_are_part_of_the_key(item):
    """What is asked for in one language is not the answer in another."""
    proxy = wrapped(item)
    proxy.get_users([1], "fr")
    assert proxy.get_users(ids=[1], lang="en") == {1: (1, "en", 2)}
    assert proxy.get_users([1], lang="fr") == {1: (1, "fr", 1)}
    if item:
        assert proxy.get_user(1, "fr") == (1, "fr", 1)


def test_entries_are_shared_with_the_method_for_one():
    """What one has loaded the other need not."""
    proxy = wrapped("get_user")
    proxy.get_users([1, 2])
    assert proxy.get_user(user_id=1)[-1] == 1
    assert proxy.get_user(3)[-1] == 3
    assert numbers(proxy.get_users([1, 2, 3, 4])) == {1: 1, 2: 2, 3: 3, 4: 4}
    assert (proxy.calls, proxy.singles) == ([[1, 2], [4]], [3])
    pussycache.forget(proxy.get_user, 2)
    pussycache.put(proxy.get_user, "given", 1)
    assert proxy.get_users([1, 2]) == {1: "given", 2: (2, "en", 5)}


@SHARED
def test_a_write_forgets_by_id(item):
    """A rule that names the collection's parameter matches one id, and `Each` several."""
    proxy = wrapped(item)
    proxy.get_users([1, 2, 3, 4])
    proxy.rename(2)
    assert numbers(proxy.get_users([1, 2, 3, 4])) == {1: 1, 2: 5, 3: 3, 4: 4}
    proxy.rename_many([1, 3])
    assert numbers(proxy.get_users([1, 2, 3, 4])) == {1: 6, 2: 5, 3: 7, 4: 4}
    proxy.reset()
    assert numbers(proxy.get_users([4])) == {4: 8}
    pussycache.forget_all(proxy.get_users)
    assert numbers(proxy.get_users([4])) == {4: 9}


def test_a_rule_of_another_object_names_the_ids():
    """It means the place that the id has in the method for one, whose entries these are."""

    class Swapped(Users):
        def get_user(self, lang, user_id):
            return super().get_user(user_id, lang)

    class Accounts:
        def close(self, owner):
            pass

    users = pussycache.wrap(
        Swapped(),
        cached_methods={
            "get_user": Cached(),
            "get_users": Cached(each="ids", item="get_user"),
        },
    )
    accounts = pussycache.wrap(
        Accounts(), invalidate_methods={"close": [Forget(users.get_users, ids="owner")]}
    )
    users.get_users([1, 2])
    accounts.close(2)
    assert numbers(users.get_users([1, 2])) == {1: 1, 2: 3}


@SHARED
def test_a_write_while_a_batch_is_half_loaded(item, gate, spawn):
    """The id that the write names is not stored, and no later call waits for it; others are."""
    proxy = wrapped(item)
    proxy.act = gate.hold
    early = spawn(proxy.get_users, [1, 2])
    gate.reached()
    proxy.rename(2)
    proxy.act = lambda: None
    assert numbers(proxy.get_users([2])) == {2: 3}
    gate.open()
    assert numbers(early.result()) == {1: 1, 2: 2}
    assert numbers(proxy.get_users([1, 2])) == {1: 1, 2: 3}
    assert proxy.calls == [[1, 2], [2]]


@SHARED
def test_while_a_writer_is_at_work(item):
    """From its start to its end its id is loaded at each call, and not stored."""
    proxy = wrapped(item)
    proxy.get_users([1, 2])
    with pussycache.writing(proxy.rename, 2):
        assert numbers(proxy.get_users([1, 2])) == {1: 1, 2: 3}
        assert numbers(proxy.get_users([1, 2])) == {1: 1, 2: 4}
        proxy.get_users([2, 8])
        assert proxy.calls[-1] == [2, 8]
    assert numbers(proxy.get_users([1, 2])) == {1: 1, 2: 7}


@SHARED
def test_batches_that_overlap_load_each_id_once(item, gate, spawn, joined):
    """A batch loads what nobody loads, and waits for the rest; nobody hangs."""
    proxy = wrapped(item)
    proxy.act = gate.hold
    one = spawn(proxy.get_users, [1, 2, 3])
    gate.reached()
    proxy.act = lambda: None
    other = spawn(proxy.get_users, [2, 3, 4])
    joined(proxy.get_users, 1)
    gate.open()
    assert numbers(one.result()) == {1: 1, 2: 2, 3: 3}
    assert numbers(other.result()) == {2: 2, 3: 3, 4: 4}
    assert proxy.calls == [[1, 2, 3], [4]]


def test_batches_that_want_one_another(monkeypatch, new_gate, spawn, joined):
    """Two batches that load each an id of the other's load first, and wait then."""
    proxy = wrapped()
    begun, held, loading = batches._begun, new_gate(), new_gate()

    def pausing(plan, table, one, again):
        if one.id == 2 and not held.arrived.is_set():
            held.hold()
        return begun(plan, table, one, again)

    monkeypatch.setattr(batches, "_begun", pausing)
    first = spawn(proxy.get_users, [1, 2])
    held.reached()
    proxy.act = loading.hold
    second = spawn(proxy.get_users, [2, 1])
    loading.reached()
    proxy.act = lambda: None
    held.open()
    # The first one has loaded its own, and waits for the second one's.
    joined(proxy.get_users, 1)
    loading.open()
    assert set(first.result()) == set(second.result()) == {1, 2}
    assert sorted(proxy.calls) == [[1], [2]]


def test_the_method_for_one_waits_for_a_batch(gate, spawn, joined):
    """A call for one id is answered by the batch that loads it."""
    proxy = wrapped("get_user")
    proxy.act = gate.hold
    batch = spawn(proxy.get_users, [1, 2])
    gate.reached()
    one = spawn(proxy.get_user, 2)
    joined(proxy.get_user, 1)
    gate.open()
    assert one.result() == batch.result()[2]
    assert proxy.singles == []


def test_tasks_and_their_batches(run):
    """For coroutine methods it is the same."""
    proxy = wrapped()

    async def main():
        opened = asyncio.Event()
        proxy.act = opened.wait
        one = asyncio.create_task(proxy.aget_users([1, 2]))
        while not proxy.calls:
            await asyncio.sleep(0)
        other = asyncio.create_task(proxy.aget_users([2, 3]))
        third = asyncio.create_task(proxy.aget_users([1]))
        await asyncio.sleep(0)
        opened.set()
        assert numbers(await one) == {1: 1, 2: 1}
        assert numbers(await other) == {2: 1, 3: 2}
        assert numbers(await third) == {1: 1}
        proxy.rename(2)
        assert numbers(await proxy.aget_users([1, 2, 3])) == {1: 1, 2: 3, 3: 2}

    run(main)
    assert proxy.calls == [[1, 2], [3], [2]]


@SHARED
def test_ids_that_are_not_in_the_answer(item):
    """They are not in the answer of the proxy either, and are asked for again."""
    proxy = wrapped(item)
    proxy.gone = {2}
    assert set(proxy.get_users([1, 2])) == {1}
    assert set(proxy.get_users([1, 2])) == {1}
    assert proxy.calls == [[1, 2], [2]]


@SHARED
def test_missing_ids_are_remembered_where_errors_say_so(item):
    """With `errors` for KeyError an id is remembered as missing for so long."""
    with FakeClock() as clock:
        proxy = wrapped(item, errors={LookupError: 5})
        proxy.gone = {2}
        for _ in range(3):
            assert set(proxy.get_users([1, 2])) == {1}
        assert proxy.calls == [[1, 2]]
        if item:
            with pytest.raises(KeyError):
                proxy.get_user(2)
            assert proxy.singles == []
        proxy.rename(2)
        proxy.gone = set()
        assert set(proxy.get_users([1, 2])) == {1, 2}
        proxy.gone = {3}
        proxy.get_users([3])
        clock.advance(5)
        proxy.gone = set()
        assert set(proxy.get_users([3])) == {3}


def test_missing_ids_are_remembered_where_when_says_so():
    """`when` is asked with MISSING; one that cannot tell remembers nothing."""
    proxy = wrapped(when=lambda user: user is MISSING or user[0] != 1)
    proxy.gone = {2}
    for _ in range(2):
        assert set(proxy.get_users([1, 2])) == {1}
    assert proxy.calls == [[1, 2], [1]]
    proxy = wrapped(when=lambda user: True, copy=list)
    proxy.gone = {2}
    for _ in range(2):
        assert proxy.get_users([1, 2]) == {1: [1, "en", 1]}
    assert proxy.calls == [[1, 2]]
    proxy = wrapped(when=lambda user: user[0])
    proxy.gone = {2}
    for _ in range(2):
        assert set(proxy.get_users([1, 2])) == {1}
    assert proxy.calls == [[1, 2], [2]]


@SHARED
def test_who_waits_for_a_missing_id_loads_it_by_itself(item, gate, spawn, joined):
    """A batch that waited for an id that did not come asks for it once more."""
    proxy = wrapped(item)
    proxy.gone = {2}
    proxy.act = gate.hold
    one = spawn(proxy.get_users, [1, 2])
    gate.reached()
    proxy.act = lambda: None
    other = spawn(proxy.get_users, [2])
    joined(proxy.get_users, 1)
    proxy.gone = set()
    gate.open()
    assert set(one.result()) == {1}
    assert set(other.result()) == {2}


@SHARED
def test_a_load_that_raises(item, gate, spawn, joined):
    """The exception is raised to all who wait for one of its ids; nothing is stored."""
    proxy = wrapped(item)

    def fail():
        gate.hold()
        raise OSError("no route")

    proxy.act = fail
    one = spawn(proxy.get_users, [1, 2])
    gate.reached()
    other = spawn(proxy.get_users, [2])
    joined(proxy.get_users, 1)
    gate.open()
    assert (one.raised(), other.raised()) == (OSError, OSError)
    proxy.act = lambda: None
    assert set(proxy.get_users([1, 2])) == {1, 2}
    assert proxy.calls == [[1, 2], [1, 2]]


def test_a_result_that_cannot_be_looked_at_leaves_no_load_behind():
    """Where a callable of the policy raises for one id, the other ids' loads end all the same."""

    def when(user):
        if user[0] == 1:
            raise ValueError("odd")
        return True

    proxy = wrapped(when=when)
    with pytest.raises(ValueError, match="odd"):
        proxy.get_users([1, 2])
    assert not proxy.get_users.__pussycache__.table(proxy).flights
    assert numbers(proxy.get_users([2])) == {2: 2}


def test_an_interrupted_batch_leaves_no_load_behind():
    """After Ctrl-C the ids can be loaded again."""
    proxy = wrapped()

    def interrupt():
        raise KeyboardInterrupt

    proxy.act = interrupt
    with pytest.raises(KeyboardInterrupt):
        proxy.get_users([1, 2])
    assert not proxy.get_users.__pussycache__.table(proxy).flights
    proxy.act = lambda: None
    assert set(proxy.get_users([1, 2])) == {1, 2}


def test_a_batch_that_fails_before_its_load_leaves_none_behind(monkeypatch):
    """Whatever goes wrong between entering the loads and making the call, the ids are free."""
    proxy = wrapped()
    begun = batches._begun

    def failing(plan, table, one, again):
        if one.id == 2:
            raise MemoryError
        return begun(plan, table, one, again)

    monkeypatch.setattr(batches, "_begun", failing)
    with pytest.raises(MemoryError):
        proxy.get_users([1, 2])
    monkeypatch.undo()
    assert not proxy.get_users.__pussycache__.table(proxy).flights
    assert set(proxy.get_users([1, 2])) == {1, 2}


def test_a_cancelled_batch_leaves_no_load_behind(run):
    """A cancelled task's ids are loaded by those who waited for them."""
    proxy = wrapped()

    async def main():
        opened = asyncio.Event()
        proxy.act = opened.wait
        one = asyncio.create_task(proxy.aget_users([1, 2]))
        while not proxy.calls:
            await asyncio.sleep(0)
        other = asyncio.create_task(proxy.aget_users([2]))
        await asyncio.sleep(0)
        proxy.act = lambda: None
        one.cancel()
        assert numbers(await other) == {2: 2}
        with pytest.raises(asyncio.CancelledError):
            await one

    run(main)


def test_a_batch_that_asks_for_itself():
    """A load that asks for its own ids through the cache computes them, and does not hang."""
    proxy = wrapped()
    inner = []

    def ask():
        if not inner:
            inner.append(None)
            inner.append(numbers(proxy.get_users([1, 2])))

    proxy.act = ask
    assert numbers(proxy.get_users([1, 2])) == {1: 1, 2: 2}
    assert inner[1] == {1: 3, 2: 4}


def test_what_is_no_mapping_is_an_error_at_the_call():
    """The error names the method and what it returned, and nothing is stored."""

    class Wrong:
        loads = 0

        def get_users(self, ids):
            self.loads += 1
            return [1, 2]

    proxy = pussycache.wrap(Wrong(), cached_methods={"get_users": Cached(each="ids")})
    for loads in (1, 2):
        with pytest.raises(ConfigurationError, match=r"Wrong.get_users returned list, .* mapping"):
            proxy.get_users([1])
        assert proxy.loads == loads


def test_ids_that_cannot_be_keys_and_caching_that_is_off():
    """Such a call is passed on as it is, and its answer returned as it is."""
    proxy = wrapped()

    class Odd:
        __slots__ = ()

        def __cache_key__(self):
            raise TypeError("no key")

    odd = Odd()
    with pytest.warns(pussycache.UncacheableCallWarning):
        assert set(proxy.get_users([odd])) == {odd}
    with pussycache.disabled():
        assert set(proxy.get_users([1])) == set(proxy.get_users([1])) == {1}
    assert len(proxy.calls) == 3


def test_copies_are_handed_out():
    """With copy= every caller gets its own, of each id."""
    users = wrapped(copy=list)
    first, second = users.get_users([1]), users.get_users([1])
    assert first == second == {1: [1, "en", 1]}
    first[1].append("mine")
    assert users.get_users([1]) == second


def test_what_iterators_yield_is_handed_out_by_id():
    """With materialize= every caller gets a fresh iterator, for each id."""

    class Logs:
        calls = 0

        def lines(self, ids):
            self.calls += 1
            return {one: iter([one, self.calls]) for one in ids}

    logs = pussycache.wrap(
        Logs(), cached_methods={"lines": Cached(each="ids", materialize=True, stale_if_error=5)}
    )
    for _ in range(2):
        found = logs.lines([1, 2])
        assert {one: [*lines] for one, lines in found.items()} == {1: [1, 1], 2: [2, 1]}
    assert [*pussycache.peek(logs.lines, [1])[1]] == [1, 1]


def test_a_value_that_was_changed_in_place_is_loaded_anew():
    """With guard= the id whose value was changed is loaded again, and the call is named."""

    class Carts:
        def __init__(self):
            self.calls = []

        def get(self, ids, shop="main"):
            self.calls.append(ids)
            return {one: [one] for one in ids}

    carts = pussycache.wrap(Carts(), cached_methods={"get": Cached(each="ids", guard=True)})
    carts.get([1, 2])[2].append("a caller's own")
    told = r"Carts.get\(ids=2, shop='main'\) returned was changed"
    with pytest.warns(pussycache.MutatedValueWarning, match=told):
        assert carts.get([1, 2]) == {1: [1], 2: [2]}
    assert carts.calls == [[1, 2], [2]]


def test_a_key_is_made_of_one_id():
    """With key= each id is given to the callable in the place of the collection."""
    proxy = pussycache.wrap(
        Users(),
        cached_methods={"get_users": Cached(each="ids", key=lambda ids, lang="en": ids.lower())},
        invalidate_methods={"reset": ["get_users"]},
    )
    assert proxy.get_users(["Ada"], "en") == {"Ada": ("Ada", "en", 1)}
    assert proxy.get_users(["ADA"], "fr") == {"ADA": ("Ada", "en", 1)}
    assert numbers(proxy.get_users(["Bob", "BOB", "ada"])) == {"Bob": 2, "BOB": 2, "ada": 1}
    assert proxy.calls == [["Ada"], ["Bob"]]
    proxy.reset()
    assert numbers(proxy.get_users(["bob"])) == {"bob": 3}

    class Words:
        def lengths(self, words):
            return {word: len(word) for word in words}

    words = pussycache.wrap(
        Words(), cached_methods={"lengths": Cached(each="words", key=lambda words: words.strip())}
    )
    assert words.lengths(["tea ", "tea"]) == {"tea ": 4, "tea": 4}
    assert pussycache.peek(words.lengths, [" tea"]) == {" tea": 4}


def test_tags_are_made_of_one_id_and_its_result():
    """A template that names the collection means the id; a callable is given its result and it."""

    def tags(user, user_id, lang):
        return [f"lang:{lang}", f"number:{user[-1]}"]

    cache = pussycache.MemoryCache()
    for said, tag in ((["user:{ids}", "all"], "user:2"), (tags, "number:2")):
        proxy = pussycache.wrap(
            Users(), cache, cached_methods={"get_users": Cached(each="ids", tags=said)}
        )
        proxy.get_users([1, 2, 3])
        pussycache.forget_tag(cache, tag)
        assert numbers(proxy.get_users([1, 2, 3])) == {1: 1, 2: 4, 3: 3}
        assert proxy.calls == [[1, 2, 3], [2]]
        pussycache.forget_tag(cache, "lang:en" if callable(said) else "all")
        assert numbers(proxy.get_users([1, 2, 3])) == {1: 5, 2: 6, 3: 7}


def test_tags_are_those_of_the_method_for_one():
    """With item= the results of both carry the tags that the method for one declares."""

    class Swapped(Users):
        def get_user(self, lang, user_id):
            return super().get_user(user_id, lang)

    cache = pussycache.MemoryCache()
    proxy = pussycache.wrap(
        Swapped(),
        cache,
        cached_methods={
            "get_users": Cached(each="ids", item="get_user"),
            "get_user": Cached(tags=["user:{user_id}", "lang:{lang}"]),
        },
    )
    proxy.get_users([1, 2])
    proxy.get_user("en", 3)
    for tag, known in (("user:2", {1, 3}), ("user:3", {1}), ("lang:en", set())):
        pussycache.forget_tag(cache, tag)
        assert {one for one in (1, 2, 3) if pussycache.peek(proxy.get_user, "en", one)} == known
        assert {one for one in (1, 2, 3) if pussycache.peek(proxy.get_users, [one])} == known


def test_what_is_remembered_as_missing_goes_with_a_tag():
    """An id that was not in the answer carries tags, too; any that a result might have had."""
    cache = pussycache.MemoryCache()
    for tags in (["user:{ids}"], lambda user, *_: [f"number:{user[-1]}"]):
        for said in ({"errors": {LookupError: 60}}, {"when": lambda user: True}):
            proxy = pussycache.wrap(
                Users(), cache, cached_methods={"get_users": Cached(each="ids", tags=tags, **said)}
            )
            proxy.gone = {2}
            for _ in range(2):
                assert numbers(proxy.get_users([1, 2])) == {1: 1}
            assert proxy.calls == [[1, 2]]
            proxy.gone = set()
            pussycache.forget_tag(cache, "user:2")
            assert set(proxy.get_users([1, 2])) == {1, 2}


@SHARED
def test_an_exception_is_remembered_for_the_ids_of_the_call(item):
    """With errors= those ids raise it again, and no others; not what may be about any of them."""
    with FakeClock() as clock:
        proxy = wrapped(item, errors={OSError: 5, LookupError: 5})

        def fail(error=OSError):
            raise error("no route")

        proxy.act = fail
        for _ in range(2):
            with pytest.raises(OSError, match="no route"):
                proxy.get_users([1, 2])
        assert proxy.calls == [[1, 2]]
        proxy.act = lambda: None
        assert set(proxy.get_users([3])) == {3}
        with pytest.raises(OSError, match="no route"):
            proxy.get_users([4, 2])
        assert not proxy.get_users.__pussycache__.table(proxy).flights
        clock.advance(5)
        assert set(proxy.get_users([1, 2, 4])) == {1, 2, 4}
        proxy.act = lambda: fail(KeyError)
        for _ in range(2):
            with pytest.raises(KeyError):
                proxy.get_users([8, 9])
        assert proxy.calls[-2:] == [[8, 9], [8, 9]]


def test_an_exception_of_the_method_for_one_is_raised_by_a_batch():
    """What is remembered of one id is raised where it is asked for among others."""
    proxy = wrapped("get_user", errors={OSError: 5})
    table = proxy.get_user.__pussycache__.table(proxy)
    proxy._proxied.get_user = lambda user_id, lang="en": (_ for _ in ()).throw(OSError("no route"))
    with pytest.raises(OSError, match="no route"):
        proxy.get_user(2)
    assert proxy.get_users([1])
    with pytest.raises(OSError, match="no route"):
        proxy.get_users([3, 2])
    assert proxy.calls == [[1]]
    assert not table.flights


def test_idle_ttl_is_that_of_both():
    """Hits of either method are uses of the same results."""
    said = {
        "get_user": Cached(idle_ttl=5),
        "get_users": Cached(each="ids", item="get_user", idle_ttl=6),
    }
    with pytest.raises(ConfigurationError, match="which has another idle_ttl"):
        pussycache.wrap(Users(), cached_methods=said)
    said["get_users"] = Cached(each="ids", item="get_user", idle_ttl=5)
    with FakeClock() as clock:
        proxy = pussycache.wrap(Users(), cached_methods=said)
        proxy.get_users([1, 2])
        for _ in range(3):
            clock.advance(3)
            assert proxy.get_user(1)[-1] == 1
        assert numbers(proxy.get_users([1, 2])) == {1: 1, 2: 3}


def test_ttl_is_per_id():
    """Each id expires by itself."""
    with FakeClock() as clock:
        proxy = wrapped(ttl=10)
        proxy.get_users([1])
        clock.advance(5)
        proxy.get_users([1, 2])
        clock.advance(5)
        assert numbers(proxy.get_users([1, 2])) == {1: 3, 2: 2}


def test_the_method_for_one_serves_nothing_that_has_expired():
    """What the batch keeps for a while is served no longer by a method that keeps for ever."""
    with FakeClock() as clock:
        proxy = pussycache.wrap(
            Users(),
            cached_methods={
                "get_user": Cached(),
                "get_users": Cached(ttl=10, each="ids", item="get_user"),
            },
        )
        assert numbers(proxy.get_users([1])) == {1: 1}
        assert proxy.get_user(1)[-1] == 1
        clock.advance(10)
        assert proxy.get_user(1)[-1] == 2


def test_decorated_methods_and_functions():
    """`cached(each=)` works on classes and functions of one's own."""

    class Repository:
        def __init__(self):
            self.calls = []

        @cached(each="ids")
        def get(self, ids):
            self.calls.append(ids)
            return {one: -one for one in ids}

        @invalidates(Forget("get", ids="one"))
        def rename(self, one):
            pass

    repository = Repository()
    assert repository.get([1, 2]) == {1: -1, 2: -2}
    repository.rename(2)
    assert repository.get([1, 2, 3]) == {1: -1, 2: -2, 3: -3}
    assert repository.calls == [[1, 2], [2, 3]]
    calls = []

    @cached(each="ids")
    def squares(ids):
        calls.append(ids)
        return {one: one * one for one in ids}

    assert (squares([1, 2]), squares([2, 3])) == ({1: 1, 2: 4}, {2: 4, 3: 9})
    assert calls == [[1, 2], [3]]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"each": "user_ids"}, "names the parameter 'user_ids', but 'get_users' has"),
        ({"each": 7}, "each must be a name"),
        ({"item": "get_user"}, "item goes with each"),
        ({"each": "ids", "item": "get_user"}, "which cached_methods does not; name it there, too"),
        ({"each": "ids", "item": "get_user", "tags": ["user:{ids}"]}, "tags of a batch whose"),
        ({"each": "ids", "ignore": ["ids"]}, "ignore names 'ids', and so does each"),
    ],
    ids=str,
)
def test_bad_input_is_refused_at_declaration(said, message):
    """What cannot work is named, with the remedy."""
    with pytest.raises(ConfigurationError, match=message):
        pussycache.wrap(Users(), cached_methods={"get_users": Cached(**said)})


def test_an_item_that_does_not_fit_is_refused():
    """The method for one has the same parameters, but for one id."""
    for item, policy in (("rename", Cached()), ("get_user", Cached(ignore=["lang"]))):
        with pytest.raises(ConfigurationError, match="whose entries it cannot share"):
            pussycache.wrap(
                Users(),
                cached_methods={item: policy, "get_users": Cached(each="ids", item=item)},
            )


def test_no_batch_waits_for_ever(monkeypatch):
    """An id whose load does not end is loaded by the batch that has waited long enough."""
    monkeypatch.setattr(flow, "PATIENCE", 0.01)
    proxy = wrapped()
    table = proxy.get_users.__pussycache__.table(proxy)
    key = proxy.get_users.__pussycache__.plan(table).encode((3, "en"), None)
    assert table.begin_anew(key, (3, "en")) is not None
    assert set(proxy.get_users([3, 4])) == {3, 4}
    assert proxy.calls == [[4], [3]]
