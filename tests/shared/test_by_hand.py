"""Forgetting by hand: a write that begins and ends at once, and takes one step."""

from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from patience import BRIEF
from servers import RunningServer

import pussycache
from pussycache import BackendUnavailable, Cached, MemoryCache, RedisCache

Making = Callable[..., object]


class Shop:
    """A price that others change without telling anybody."""

    price = 1

    def __init__(self, hold: Callable[[], None] = bool) -> None:
        self.hold = hold

    def __cache_identity__(self) -> str:
        return "shop"

    def get(self, what: str) -> int:
        found = type(self).price
        self.hold()
        return found

    def tagged(self, what: str) -> int:
        return self.get(what)


@pytest.fixture
def making(running: RunningServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Making]:
    """Make what another process would have: a cache and a wrapped object of its own."""
    monkeypatch.setattr(Shop, "price", 1)
    caches: list[RedisCache] = []

    def make(
        hold: Callable[[], None] = bool, url: str = running.unix_url, **settings: object
    ) -> object:
        cache = RedisCache(60, url, **settings)
        caches.append(cache)
        policies = {"get": Cached(), "tagged": Cached(tags=["wares", "{what}"])}
        return pussycache.wrap(Shop(hold), cache, cached_methods=policies)

    yield make
    for cache in caches:
        with suppress(pussycache.InvalidationPending):
            cache.close()


def by_method(shop: object) -> None:
    pussycache.forget_all(shop.get)


def by_object(shop: object) -> None:
    pussycache.forget_all(shop)


def by_tag(shop: object) -> None:
    pussycache.forget_tag(pussycache.cache_of(shop), "wares")


WAYS = [(by_method, "get"), (by_object, "get"), (by_tag, "tagged")]
ways = pytest.mark.parametrize(("forget", "name"), WAYS, ids=[way.__name__ for way, _ in WAYS])


def asked(shop: object, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return what the server of a cache is asked from now on."""
    tier = pussycache.cache_of(shop)._tier
    ask, seen = tier.ask, []

    def noting(key: bytes, commands: list[object], again: bool = True) -> object:
        seen.append(commands)
        return ask(key, commands, again)

    monkeypatch.setattr(tier, "ask", noting)
    return seen


@pytest.mark.parametrize(("forget", "name"), [WAYS[0], WAYS[2]], ids=["by_method", "by_tag"])
def test_one_trip(making: Making, monkeypatch: pytest.MonkeyPatch, forget, name) -> None:
    """What is forgotten is so for everybody after one trip; it is two if somebody is to hear."""
    here, there = making(), making()
    assert (getattr(here, name)("tea"), getattr(there, name)("tea")) == (1, 1)
    trips = asked(here, monkeypatch)
    Shop.price = 2
    forget(here)
    assert len(trips) == 1
    assert (getattr(there, name)("tea"), getattr(here, name)("tea")) == (2, 2)
    with_its_own = making(local=MemoryCache())
    assert (with_its_own.get("tea"), with_its_own.get("tea")) == (2, 2)
    trips.clear()
    Shop.price = 3
    forget(here)
    assert len(trips) == 2
    assert getattr(with_its_own, name)("tea") == 3


@ways
def test_a_load_is_overtaken(making: Making, spawn, gate, forget, name) -> None:
    """What a load brings that began before is stored for nobody."""
    here, there = making(gate.hold), making()
    slow = spawn(getattr(here, name), "tea")
    gate.reached()
    Shop.price = 2
    forget(there)
    gate.open()
    assert slow.result() == 1
    assert getattr(there, name)("tea") == 2


@ways
def test_while_the_server_is_away(
    making: Making, running: RunningServer, until, forget, name
) -> None:
    """It is delivered when the server is back, and nothing is trusted in this process before."""
    here, there = making(timeout=BRIEF), making()
    assert (getattr(here, name)("tea"), getattr(there, name)("tea")) == (1, 1)
    with running.paused():
        Shop.price = 2
        forget(here)
        assert pussycache.cache_of(here).pending > 0
        assert getattr(here, name)("tea") == 2
    until(lambda: pussycache.cache_of(here).pending == 0, "it is never delivered")
    assert (getattr(here, name)("tea"), getattr(there, name)("tea")) == (2, 2)


@ways
def test_where_it_is_refused(making: Making, running: RunningServer, forget, name) -> None:
    """With on_outage="refuse" it raises, and nothing is left to be delivered."""
    here = making(on_outage="refuse")
    getattr(here, name)("tea")
    running.kill()
    with pytest.raises(BackendUnavailable, match=r"forget_\w+ has not forgotten everything"):
        forget(here)
    assert pussycache.cache_of(here).pending == 0


def test_between_the_steps_of_a_tag(
    making: Making, monkeypatch: pytest.MonkeyPatch, spawn, gate
) -> None:
    """A load that is stored while a tag is half forgotten has that tag, and is served to nobody."""
    here, there = making(gate.hold), making()
    slow = spawn(here.tagged, "tea")
    gate.reached()
    tier = pussycache.cache_of(there)._tier
    ask = tier.ask

    def one_by_one(commands: list[tuple[bytes, object]]) -> object:
        return [(key, [command]) for key, command in commands]

    def then_stored(key: bytes, commands: list[object], again: bool = True) -> object:
        replies = ask(key, commands, again)
        gate.open()
        slow.wait()
        return replies

    with monkeypatch.context() as patched:
        patched.setattr(tier, "together", one_by_one)
        patched.setattr(tier, "ask", then_stored)
        Shop.price = 2
        by_tag(there)
    assert slow.result() == 1
    assert there.tagged("tea") == 2


def test_a_user_who_may_not_ask_who_listens(
    making: Making, running: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is taken that somebody does, and what is forgotten is forgotten."""
    running.do("ACL", "SETUSER", "plain", "on", ">pw", "~*", "&*", "+@all", "-pubsub")
    try:
        here = making(url=f"redis://plain:pw@127.0.0.1:{running.port}")
        assert here.get("tea") == 1
        Shop.price = 2
        trips = asked(here, monkeypatch)
        by_method(here)
        assert len(trips) == 2
        assert here.get("tea") == 2
    finally:
        running.do("ACL", "DELUSER", "plain")
