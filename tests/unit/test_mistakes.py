"""What operations say of what they cannot work on: what was given, and what to give."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

import pussycache
from pussycache import ConfigurationError
from pussycache.testing import CacheContract, FakeClock


class Users:
    def __init__(self) -> None:
        self.names = {1: "ada"}

    def get(self, user_id: int) -> str:
        return self.names[user_id]

    def rename(self, user_id: int, name: str) -> None:
        self.names[user_id] = name


class Config:
    @property
    @pussycache.cached
    def settings(self) -> dict[str, bool]:
        return {"debug": True}


@pytest.mark.parametrize(
    "operation",
    [
        *(pussycache.peek, pussycache.refresh, pussycache.bypass, pussycache.forget),
        *(pussycache.explain, pussycache.forget_all, pussycache.info),
    ],
)
def test_a_method_of_the_bare_object_is_told_from_the_proxys(operation: Callable[..., Any]) -> None:
    """Who hands in the method of the bare object is told to take it from the proxy."""
    target = Users()
    pussycache.wrap(target, cached_methods=["get"])
    with pytest.raises(ConfigurationError, match=r"not Users.get; .* take it from the proxy"):
        operation(target.get)


@pytest.mark.parametrize("operation", [pussycache.forget_all, pussycache.info])
def test_what_takes_a_proxy_says_so(operation: Callable[[object], object]) -> None:
    """An operation that works on a whole proxy names it among what it takes."""
    with pytest.raises(ConfigurationError, match=r"takes a proxy, or a cached method"):
        operation(Users())


def test_a_whole_cache_is_emptied_by_its_own_call() -> None:
    """`forget_all` of a cache says that `clear` is meant."""
    with pytest.raises(ConfigurationError, match=r"not MemoryCache\(.*emptied by its clear\(\)"):
        pussycache.forget_all(pussycache.MemoryCache())


def test_the_method_behind_a_property_can_be_had() -> None:
    """The error for a property's method, taken from the class, has the way that works."""
    config = Config()
    assert config.settings == {"debug": True}
    getter = Config.__dict__["settings"].fget
    with pytest.raises(ConfigurationError, match=r"Class\.name\.fget\.__get__\(instance\)"):
        pussycache.forget(getter)
    assert pussycache.forget(getter.__get__(config))


def test_a_block_with_wrong_arguments_names_the_write() -> None:
    """`writing` with arguments that the write does not have says of which write."""
    users = pussycache.wrap(Users(), cached_methods=["get"], invalidate_methods={"rename": ["get"]})
    with (
        pytest.raises(TypeError, match=r"writing\(rename\): got an unexpected .* 'id'"),
        pussycache.writing(users.rename, id=1),
    ):
        pass


def test_a_key_that_raises_is_named_as_such() -> None:
    """Where the declaration's own `key` raises, the warning and `explain` say that it did."""
    users = pussycache.wrap(
        Users(), cached_methods={"get": pussycache.Cached(key=lambda user_id: 1 // 0)}
    )
    raised = r"making its key raised ZeroDivisionError\("
    with pytest.warns(pussycache.UncacheableCallWarning, match=raised):
        assert users.get(1) == "ada"
    assert "making its key raised ZeroDivisionError(" in str(pussycache.explain(users.get, 1))


@pytest.mark.parametrize("policy", ["60", {"ttl": 60}, pussycache.Cached])
def test_a_policy_that_is_none_is_told_what_would_be_one(policy: Any) -> None:
    """Who gives neither a policy nor seconds is told of both."""
    with pytest.raises(ConfigurationError, match=r"\['get'\] must be a Cached\(\.\.\.\), a number"):
        pussycache.wrap(Users(), cached_methods={"get": policy})


def test_the_clock_of_tests_takes_what_a_ttl_takes() -> None:
    """`advance` takes seconds and a `timedelta`, and says what is wrong with anything else."""
    with FakeClock() as clock:
        cache = pussycache.MemoryCache(ttl=60)
        cache.set("key", 1)
        clock.advance(timedelta(seconds=59))
        assert "key" in cache
        clock.advance(timedelta(seconds=1))
        assert "key" not in cache
        with pytest.raises(ConfigurationError, match="a clock does not go back"):
            clock.advance(-1)
        wrong: Any = "1"
        with pytest.raises(ConfigurationError, match="must be a number of seconds or a timedelta"):
            clock.advance(wrong)


def test_a_contract_without_a_cache_says_what_is_missing() -> None:
    """A suite that was not given `make_cache` says which method it wants."""

    class Mine(CacheContract):
        pass

    with pytest.raises(NotImplementedError, match=r"Mine makes no cache .* make_cache\(self, ttl"):
        Mine().make_cache()


def test_a_listener_is_a_function() -> None:
    """What cannot be told of removals is refused at once, and not logged at each of them."""
    wrong: Any = 5
    with pytest.raises(ConfigurationError, match="listener must be a callable that takes a Remov"):
        pussycache.MemoryCache().on_removal(wrong)


@pytest.mark.parametrize(
    ("declared", "remedy"),
    [
        ({"cached_methods": ["settings"]}, "cached_methods .* put cached below the @property"),
        ({"invalidate_methods": {"settings": ["*"]}}, r"invalidate_methods .* with writing\(\)"),
    ],
)
def test_a_property_is_told_what_it_can_be(declared: dict[str, Any], remedy: str) -> None:
    """A property is no method, and the way out differs for what is remembered and what writes."""
    with pytest.raises(ConfigurationError, match=remedy):
        pussycache.wrap(Config(), **declared)
