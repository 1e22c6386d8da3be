"""Decorated classes whose results are in a shared store, as each process has them."""

from collections.abc import Callable, Iterator

import pytest
from servers import RunningServer

import pussycache
from pussycache import ForgetTag, RedisCache, cached, invalidates


@pytest.fixture
def process(running: RunningServer) -> Iterator[Callable[[dict[str, int]], type]]:
    caches = []

    def make(amounts: dict[str, int], of_instance: bool = False) -> type:
        cache = RedisCache(60, running.unix_url)
        caches.append(cache)
        where = (lambda _: cache) if of_instance else cache

        class Price:
            def __cache_identity__(self) -> str:
                return "price"

            @cached(cache=where)
            def get(self, name: str) -> int:
                return amounts[name]

            @cached(cache=where, tags=["price"])
            def tagged(self, name: str) -> int:
                return amounts[name]

            @classmethod
            @invalidates("get")
            def set(cls, name: str, amount: int) -> None:
                amounts[name] = amount

            @classmethod
            @invalidates(ForgetTag("price"))
            def set_tagged(cls, name: str, amount: int) -> None:
                amounts[name] = amount

            @invalidates("*")
            def set_all(self, amount: int) -> None:
                amounts.update(dict.fromkeys(amounts, amount))

        return Price

    yield make
    for cache in caches:
        cache.close()


def test_a_tag_that_a_class_method_forgets(process) -> None:
    """What bears a tag is made wrong by a class method, also where this process has no instance."""
    amounts = {"tea": 1}
    here, there = process(amounts), process(amounts)()
    assert there.tagged("tea") == 1
    here.set_tagged("tea", 2)
    assert there.tagged("tea") == 2


@pytest.mark.parametrize("of_instance", [False, True])
def test_a_class_method_cannot_write_for_the_instances_of_others(process, of_instance) -> None:
    """A class method that would make the results of all instances wrong says that it cannot."""
    amounts = {"tea": 1}
    kind = process(amounts, of_instance)
    price = kind()
    assert price.get("tea") == 1
    with pytest.raises(pussycache.ConfigurationError, match="'set' names 'get' of all instances"):
        kind.set("tea", 2)
    assert amounts == {"tea": 1}


def test_a_write_of_everything_reaches_what_was_never_called_here(process) -> None:
    """What "*" stands for is said by the class, and not by what was called."""
    amounts = {"tea": 1}
    here, there = process(amounts)(), process(amounts)()
    assert (there.get("tea"), there.tagged("tea")) == (1, 1)
    here.set_all(2)
    assert (there.get("tea"), there.tagged("tea")) == (2, 2)


def amount_of(name: str) -> int:
    """At the top of a module, as a function is to be that processes share the results of."""
    return AMOUNTS[name]


AMOUNTS: dict[str, int] = {}


def test_to_clear_a_function_clears_it_for_everybody(running: RunningServer) -> None:
    """After cache_clear no process is served what was before, nor is the one that called it."""
    caches = RedisCache(60, running.unix_url), RedisCache(60, running.unix_url)
    one, other = [cached(cache=cache)(amount_of) for cache in caches]
    AMOUNTS["tea"] = 1
    assert (one("tea"), other("tea")) == (1, 1)
    AMOUNTS["tea"] = 2
    one.cache_clear()
    seen = one("tea"), other("tea")
    for cache in caches:
        cache.close()
    assert seen == (2, 2)


def test_a_method_that_is_replaced_through_the_proxy(running: RunningServer) -> None:
    """What the old one returned is forgotten, also in a server."""

    class Price:
        def __cache_identity__(self) -> str:
            return "price"

        def get(self, name: str) -> int:
            return 1

    cache = RedisCache(60, running.unix_url)
    price = pussycache.wrap(Price(), cache, cached_methods=["get"])
    seen = [price.get("tea")]
    price.get = lambda name: 2
    seen.append(price.get("tea"))
    cache.close()
    assert seen == [1, 2]
