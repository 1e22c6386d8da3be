"""The operations on a call for many ids: each means its ids, one by one."""

import asyncio

import pytest

import pussycache
from pussycache import (
    MISSING,
    Cached,
    ConfigurationError,
    Forget,
    explain,
    forget,
    peek,
    put,
    refresh,
)
from pussycache.testing import FakeClock


class Users:
    def __init__(self):
        self.calls = []
        self.gone = set()
        self.act = lambda: None

    def get(self, ids, lang="en"):
        self.calls.append(ids)
        number = len(self.calls)
        self.act()
        return {one: (one, number) for one in ids if one not in self.gone}

    async def aget(self, ids):
        return self.get(ids)

    def rename(self, user_id):
        pass


def wrapped(**said):
    policy = Cached(each="ids", **said)
    return pussycache.wrap(
        Users(),
        cached_methods={"get": policy, "aget": policy},
        invalidate_methods={"rename": [Forget("get", ids="user_id")]},
    )


def numbers(answer):
    return {one: value[1] for one, value in answer.items()}


def test_forget_forgets_each_id():
    """True if any was remembered; the others, and other languages, stay."""
    users = wrapped()
    users.get([1, 2, 3])
    users.get([1], "fr")
    assert forget(users.get, [1, 2, 9])
    assert not forget(users.get, [1, 9])
    assert not forget(users.get, [])
    assert numbers(users.get([1, 2, 3])) == {1: 3, 2: 3, 3: 1}
    assert numbers(users.get([1], "fr")) == {1: 2}


def test_forget_while_a_batch_is_loaded(gate, spawn):
    """It counts as a write: of the load under way, those ids are not stored."""
    users = wrapped()
    users.act = gate.hold
    early = spawn(users.get, [1, 2])
    gate.reached()
    forget(users.get, [2])
    users.act = lambda: None
    assert numbers(users.get([2])) == {2: 2}
    gate.open()
    assert numbers(early.result()) == {1: 1, 2: 1}
    assert numbers(users.get([1, 2])) == {1: 1, 2: 2}


def test_peek_looks_at_each_id():
    """The mapping if all are remembered, without those that are known to be missing."""
    users = wrapped(errors={LookupError: 5, OSError: 5})
    assert peek(users.get, [1]) is MISSING
    assert peek(users.get, []) == {}
    users.gone = {2}
    users.get([1, 2])
    assert peek(users.get, (2, 1)) == {1: (1, 1)}
    assert peek(users.get, [1, 3]) is MISSING
    assert len(users.calls) == 1

    def fail():
        raise OSError("no route")

    users.act = fail
    with pytest.raises(OSError, match="no route"):
        users.get([3])
    assert peek(users.get, [3]) is MISSING
    with pussycache.disabled():
        assert peek(users.get, [1]) is MISSING


def test_put_stores_each_id():
    """True if that is so of all ids that the call asks for; one that is not given is gone."""
    users = wrapped()
    assert put(users.get, {1: "a", 2: "b", 7: "c"}, [1, 2])
    assert users.get([1, 2]) == {1: "a", 2: "b"}
    assert peek(users.get, [7]) is MISSING
    assert not put(users.get, {1: "d"}, [1, 2])
    assert users.get([1, 2]) == {1: "d", 2: (2, 1)}
    with pytest.raises(ConfigurationError, match="put takes a mapping from ids to results"):
        put(users.get, [1], [1])


@pytest.mark.parametrize("said", [{"errors": {KeyError: 5}}, {"when": bool}], ids=str)
def test_put_remembers_that_an_id_is_missing(said):
    """Where the policy would remember it of a load."""
    users = wrapped(**said)
    users.get([2])
    stored = put(users.get, {1: "a"}, [1, 2])
    assert stored is ("errors" in said)
    assert users.get([1]) == {1: "a"}
    assert numbers(users.get([2])) == ({} if stored else {2: 2})


def test_put_while_a_writer_is_at_work_and_while_a_batch_is_loaded(gate, spawn):
    """The writer's id is not stored; a load that is under way does not replace what was put."""
    users = wrapped()
    with pussycache.writing(users.rename, 2):
        assert not put(users.get, {1: "a", 2: "b"}, [1, 2])
    assert peek(users.get, [1]) == {1: "a"}
    assert peek(users.get, [2]) is MISSING
    users.act = gate.hold
    early = spawn(users.get, [2, 3])
    gate.reached()
    put(users.get, {2: "new"}, [2])
    gate.open()
    early.result()
    assert users.get([2, 3]) == {2: "new", 3: (3, 1)}


def test_refresh_loads_all_ids_in_one_call():
    """Whatever is remembered; an id that is not in the answer is gone."""
    users = wrapped(ttl=60)
    users.get([1, 2])
    assert numbers(refresh(users.get, [1, 2, 3])) == {1: 2, 2: 2, 3: 2}
    users.gone = {3}
    assert numbers(refresh(users.get, (one for one in (3, 2)))) == {2: 3}
    assert numbers(users.get([1, 2])) == {1: 2, 2: 3}
    assert refresh(users.get, []) == {}
    assert users.calls == [[1, 2], [1, 2, 3], [3, 2]]
    assert peek(users.get, [3]) is MISSING
    with pussycache.disabled():
        assert numbers(refresh(users.get, [1])) == {1: 4}


def test_a_write_while_ids_are_refreshed(gate, spawn):
    """Others are answered meanwhile with what is remembered, until a write takes it away."""
    users = wrapped()
    users.get([1, 2])
    users.act = gate.hold
    fresh = spawn(refresh, users.get, [1, 2])
    gate.reached()
    assert numbers(users.get([1, 2])) == {1: 1, 2: 1}
    users.rename(2)
    users.act = lambda: None
    assert numbers(users.get([2])) == {2: 3}
    gate.open()
    assert numbers(fresh.result()) == {1: 2, 2: 2}
    assert numbers(users.get([1, 2])) == {1: 2, 2: 3}


def test_refresh_while_a_writer_is_at_work():
    """Its ids are loaded and not stored."""
    users = wrapped()
    with pussycache.writing(users.rename, 2):
        assert numbers(refresh(users.get, [1, 2])) == {1: 1, 2: 1}
    assert numbers(users.get([1, 2])) == {1: 1, 2: 2}


def test_who_refreshes_is_told_that_it_failed():
    """Also where there are old values, which others are given; nothing is left behind."""
    with FakeClock() as clock:
        users = wrapped(ttl=10, stale_if_error=100)
        users.get([1, 2])
        clock.advance(10)

        def fail():
            raise OSError("no route")

        users.act = fail
        with pytest.raises(OSError, match="no route"):
            refresh(users.get, [1, 2])
        assert numbers(users.get([1, 2])) == {1: 1, 2: 1}
        users._proxied.get = lambda ids, lang: []
        with pytest.raises(ConfigurationError, match="must return a mapping"):
            refresh(users.get, [1])
        assert not users.get.__pussycache__.table(users).flights


def test_coroutine_methods(run):
    """`refresh` and `bypass` return awaitables; the others answer at once, and have twins."""

    async def main():
        users = wrapped()
        await users.aget([1])
        assert numbers(await refresh(users.aget, [1, 2])) == {1: 2, 2: 2}
        assert numbers(peek(users.aget, [1, 2])) == {1: 2, 2: 2}
        assert await pussycache.aforget(users.aget, [2])
        assert await pussycache.aput(users.aget, {2: "given"}, [2])
        assert await pussycache.apeek(users.aget, [2]) == {2: "given"}
        assert numbers(await pussycache.bypass(users.aget, [7])) == {7: 3}

    run(main)
    assert asyncio.iscoroutinefunction(Users.aget)


def test_explain_names_the_first_id_that_misses():
    """A hit if all are; else why that one would be loaded."""
    with FakeClock() as clock:
        users = wrapped(ttl=10, stale_for=5)
        why = explain(users.get, [7])
        assert (why.hit, why.reason, why.detail) == (False, "never-cached", "id 7")
        users.get([1, 2])
        assert str(explain(users.get, [2, 1])) == "Users.get: hit (all of 2 ids)"
        users.rename(2)
        why = explain(users.get, [1, 2, 3])
        assert (why.reason, why.detail) == ("invalidated", "id 2")
        assert why.by.startswith("rename(user_id=2)")
        with pussycache.writing(users.rename, 2):
            why = explain(users.get, [2])
            assert why.reason == "bypassed-by-write"
            assert why.detail == "id 2: a writer is at work"
        clock.advance(12)
        why = explain(users.get, [1])
        assert why.hit
        assert why.detail == "id 1: stale for 2 s, served for 3 s more"
        assert explain(users.get, 7).reason == "uncacheable"
        assert explain(users.get, [[]]).reason == "uncacheable"
        with pussycache.disabled():
            assert explain(users.get, [1]).reason == "not-stored"


def test_ids_without_a_key_and_what_is_no_collection():
    """Such an id is not remembered; one id in the place of the collection is an error."""

    class Odd:
        def __cache_key__(self):
            raise TypeError("no key")

    users = wrapped()
    odd = Odd()
    users.get([1])
    assert peek(users.get, [1, odd]) is MISSING
    with pytest.warns(pussycache.UncacheableCallWarning):
        assert not put(users.get, {odd: "a", 1: "b"}, [odd, 1])
    assert users.get([1]) == {1: "b"}
    assert forget(users.get, [odd, 1])
    assert set(refresh(users.get, [odd, 1])) == {odd, 1}
    for operation in (lambda: forget(users.get, 7), lambda: peek(users.get, "ab")):
        with pytest.raises(ConfigurationError, match=r"'ids' of Users.get must be a coll"):
            operation()


def test_functions():
    """On a decorated function it is the same."""

    @pussycache.cached(each="ids")
    def squares(ids):
        return {one: one * one for one in ids}

    assert peek(squares, [2]) is MISSING
    assert refresh(squares, [2]) == {2: 4}
    assert put(squares, {3: "nine"}, [3])
    assert peek(squares, [2, 3]) == {2: 4, 3: "nine"}
    assert forget(squares, [3])
    assert explain(squares, [2]).hit
