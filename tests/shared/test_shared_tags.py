"""Tags of results that are in a shared store: what is forgotten with one, and when."""

from collections.abc import Callable, Iterator

import pytest
from servers import RunningServer

import pussycache
from pussycache import Cached, RedisCache


class Price:
    def __init__(self, amounts: dict[str, int], hold: Callable[[], None] = bool) -> None:
        self.amounts = amounts
        self.hold = hold

    def __cache_identity__(self) -> str:
        return "prices"

    def get(self, name: str) -> int:
        amount = self.amounts[name]
        self.hold()
        return amount

    def many(self, names: list[str]) -> dict[str, int]:
        found = {name: self.amounts[name] for name in names}
        self.hold()
        return found


@pytest.fixture
def amounts() -> dict[str, int]:
    return {"tea": 1, "milk": 1}


@pytest.fixture
def process(running: RunningServer, amounts: dict[str, int]) -> Iterator[Callable[..., Price]]:
    caches = []

    def make(hold: Callable[[], None] = bool, **policy: object) -> Price:
        cache = RedisCache(60, running.url)
        caches.append(cache)
        return pussycache.wrap(
            Price(amounts, hold),
            cache,
            cached_methods={
                "get": Cached(tags=lambda amount, name: ["price"], **policy),
                "many": Cached(each="names", item="get", **policy),
            },
        )

    yield make
    for cache in caches:
        cache.close()


@pytest.mark.parametrize("policy", [{}, {"timeout": 20}])
@pytest.mark.parametrize("method", ["get", "many"])
def test_nobody_joins_a_load_whose_tag_was_forgotten(
    process, amounts, spawn, gate, until, method: str, policy: dict[str, object]
) -> None:
    """What began before a tag was forgotten elsewhere answers no call that began since."""
    here, there = process(gate.hold, **policy), process()
    asked, was, is_now = "tea", 1, 2
    if method == "many":
        asked, was, is_now = ["tea"], {"tea": 1}, {"tea": 2}
    slow = spawn(getattr(here, method), asked)
    gate.reached()
    amounts["tea"] = 2
    pussycache.forget_tag(there._cache, "price")
    here._proxied.hold = bool
    table = type(here).get.__pussycache__.table(here)
    later = spawn(getattr(here, method), asked)
    until(
        lambda: any(list(table.flights.values())) or not later.thread.is_alive(),
        "it neither waits nor comes back",
    )
    gate.open()
    assert (slow.result(), later.result()) == (was, is_now)
    assert getattr(there, method)(asked) == is_now


def test_a_load_that_still_stands_is_joined(process, spawn, gate, until) -> None:
    """A load that no forgotten tag has overtaken is joined, by calls for one and for many."""
    here = process(gate.hold)
    slow = spawn(here.many, ["tea"])
    gate.reached()
    table = type(here).get.__pussycache__.table(here)
    others = spawn(here.get, "tea"), spawn(here.many, ["tea"])
    until(lambda: any(len(flight) == 2 for flight in list(table.flights.values())), "nobody waits")
    gate.open()
    assert [call.result() for call in (slow, *others)] == [{"tea": 1}, 1, {"tea": 1}]
    assert pussycache.info(here.get).loads == 1
