"""Calls that were asked about before: what is asked once more is what was asked the first time."""

from collections.abc import Callable, Iterator

import pytest
from servers import RunningServer

import pussycache
from pussycache import Cached, Forget, RedisCache
from pussycache.cache.envelope import VALUE, Sealer
from pussycache.cache.shared.places import Places
from pussycache.cache.shared.raised import Raised
from pussycache.cache.shared.reading import Reading

Wrapping = Callable[..., object]


class Letters:
    """It says what it was asked, and how often it was."""

    def __init__(self, mark: str = "") -> None:
        self.mark = mark
        self.asked: list[object] = []

    def __cache_identity__(self) -> str:
        return "letters"

    def get(self, one: object, other: object = "") -> str:
        self.asked.append(one)
        return f"{type(one).__name__} {one}{other}{self.mark}"

    def write(self, one: object, mark: str) -> None:
        self.mark = mark


@pytest.fixture
def wrapping(running: RunningServer) -> Iterator[Wrapping]:
    """Make what another process would have: a cache, and what is wrapped, of its own."""
    caches: list[RedisCache] = []

    def make(target: object = None, rules: object = None, **settings: object) -> object:
        cache = RedisCache(url=running.unix_url, **settings)
        caches.append(cache)
        return pussycache.wrap(
            Letters() if target is None else target,
            cache,
            cached_methods=["get"],
            invalidate_methods={} if rules is None else {"write": rules},
        )

    yield make
    for cache in caches:
        cache.close()


def test_a_rule_that_comes_later_is_obeyed(wrapping: Wrapping) -> None:
    """A call that was answered twice is not answered so after a write under a rule new to it."""
    here = wrapping()
    assert [here.get(7), here.get(7), here.get(8)] == ["int 7", "int 7", "int 8"]
    there = wrapping(rules=[Forget("get", "one")])
    there.write(7, "!")
    here._proxied.mark = "!"
    assert [here.get(7), here.get(7)] == ["int 7!", "int 7!"]
    there.write(7, "?")
    here._proxied.mark = "?"
    assert [here.get(7), here.get(7)] == ["int 7?", "int 7?"]


def test_arguments_that_are_equal_and_not_the_same_are_told_apart(wrapping: Wrapping) -> None:
    """`1`, `True`, `1.0` and "1" are four calls, in whichever order and however often."""
    here = wrapping()
    for _ in range(3):
        for one in (1, True, 1.0, "1", True, 1):
            assert here.get(one) == f"{type(one).__name__} {one}"
    assert here._proxied.asked == [1, True, 1.0, "1"]


def test_a_key_that_is_not_the_same_each_time_is_asked_each_time(running: RunningServer) -> None:
    """What `key` returns is asked at every call: it may know more than the arguments."""
    cache, tenant = RedisCache(url=running.unix_url), ["a"]
    letters = pussycache.wrap(
        Letters(), cache, cached_methods={"get": Cached(key=lambda one, other: (tenant[0], one))}
    )
    try:
        letters.get(7)
        letters.get(7)
        tenant[0] = "b"
        letters._proxied.mark = "!"
        assert (letters.get(7), letters.get(7)) == ("int 7!", "int 7!")
    finally:
        cache.close()


def test_who_is_told_apart_by_what_is_wrapped(running: RunningServer) -> None:
    """Calls of one method of two objects are two, though their arguments are the same."""
    cache = RedisCache(url=running.unix_url)
    upper, lower = [
        pussycache.wrap(text, cache, cached_methods=["count"], namespace=text)
        for text in ("ABAB", "abab")
    ]
    try:
        for _ in range(3):
            assert (upper.count("A"), lower.count("A"), lower.count("a")) == (2, 0, 2)
    finally:
        cache.close()


@pytest.mark.parametrize("keys", [None, ["a secret that is long enough"]], ids=["none", "signed"])
def test_after_many_others(wrapping: Wrapping, keys: list[str] | None) -> None:
    """A call that was forgotten among thousands is answered as before, and few are remembered."""
    here = wrapping(secret_keys=keys)
    tier = pussycache.cache_of(here)._tier
    for number in [*range(1_500), *range(1_500), *range(20)]:
        assert here.get(number) == f"int {number}"
    assert len(here._proxied.asked) == 1_500
    assert len(tier.recent) <= 1_000


def test_what_is_not_to_be_asked_is_not(wrapping: Wrapping) -> None:
    """A call that was answered before is computed while the server lacks word of a write."""
    here = wrapping(rules=[Forget("get", "one")])
    tier = pussycache.cache_of(here)._tier
    for _ in range(3):
        assert here.get(7) == "int 7"
    # It is never told.
    tier.keeper.deliver = lambda: None
    tier.put_off(Raised(b"a writer", ()))
    here._proxied.mark = "!"
    assert here.get(7) == "int 7!"
    tier.delivered(Raised(b"a writer", ()))
    with pussycache.disabled():
        here._proxied.mark = "?"
        assert here.get(7) == "int 7?"
    assert here.get(7) == "int 7"


def test_what_another_data_set_says_is_looked_at_closely() -> None:
    """An entry is not served by what was known of it, if the server's data set is another."""
    sealer, bucket = Sealer(), Places(b"p", "owner", "method", 1).of(b"i7;")
    reading = Reading(bucket, b"i7;", b"", [], VALUE, b"")
    token, one, other = b"T" + bytes(16), b"1" * 20, b"2" * 20
    entry = sealer.seal(reading.entry, sealer.header(one, [token[1:]]), b"payload")
    for _ in range(2):
        assert reading.served([[token, entry]], one, sealer) == b"payload"
        assert reading.served([[token, entry]], other, sealer) is None
