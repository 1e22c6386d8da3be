"""What self_calls reaches, and which declarations are refused."""

from __future__ import annotations

import asyncio
import functools
import gc
import weakref

import pytest

from pussycache import Cached, ConfigurationError, Forget, MemoryCache, cached, wrap


class Users:
    """A small repository that counts how often it is asked."""

    def __init__(self):
        self.asked = 0
        self.names = {1: "ada", 2: "bob"}

    def get(self, user_id, upper=False):
        """Get a name."""
        self.asked += 1
        name = self.names[user_id]
        return name.upper() if upper else name

    def greet(self, user_id):
        return "hello " + self.get(user_id)

    def rename(self, user_id, name):
        self.names[user_id] = name

    def swap(self):
        one, two = self.names[1], self.names[2]
        self.rename(1, two)
        self.rename(2, one)

    async def fetch(self, user_id):
        return self.get(user_id)

    @property
    def first(self):
        return self.get(1)

    @first.setter
    def first(self, name):
        self.rename(1, name)

    @functools.cached_property
    def second(self):
        return self.get(2)

    def rows(self):
        yield from self.names

    def __len__(self):
        return len(self.get(1))

    def __call__(self, user_id):
        return self.get(user_id)


DECLARED = {"cached_methods": ["get"], "invalidate_methods": {"rename": ["get"]}}


@pytest.mark.parametrize("self_calls", [False, True])
def test_self_calls(self_calls):
    """With self_calls the calls inside the object are cached and invalidate, else they do not."""
    target = Users()
    p = wrap(target, self_calls=self_calls, **DECLARED)
    for _ in range(3):
        assert p.greet(1) == "hello ada"
        assert p.first == "ada"
        assert len(p) == 3
        assert p(1) == "ada"
    assert target.asked == (1 if self_calls else 12)
    p.swap()
    assert p.get(1) == "bob"
    p.swap()
    assert p.get(1) == ("ada" if self_calls else "bob")


def test_self_calls_reach_everywhere():
    """With self_calls coroutines, generators, setters and cached properties see the proxy, too."""
    target = Users()
    p = wrap(target, self_calls=True, **DECLARED)
    assert p.second == p.get(2) == asyncio.run(p.fetch(2)) == "bob"
    assert target.asked == 1
    assert vars(target)["second"] == "bob"
    assert list(p.rows()) == [1, 2]
    assert p.get(1) == "ada"
    p.first = "eve"
    assert p.get(1) == target.names[1] == "eve"


def test_self_calls_and_inheritance():
    """With self_calls zero-argument super() works, and what it calls gets the proxy."""

    class Base:
        def load(self, key):
            return [key]

        def both(self, key):
            return self.load(key)

    class Derived(Base):
        def load(self, key):
            return super().load(key)

        def both(self, key):
            return super().both(key), self.load(key)

        @classmethod
        def made(cls):
            return cls.__name__

    p = wrap(Derived(), cached_methods=["load"], self_calls=True)
    first, second = p.both(1)
    assert first is second
    assert p.made() == "Derived"
    plain = wrap(Derived())
    assert plain.both(1) == ([1], [1])


def test_self_calls_and_methods_in_c():
    """With self_calls methods written in C receive the target, also those of a subclass."""

    class Table(dict):
        def load(self, key):
            return [self[key]]

        def twice(self, key):
            return self.load(key) + self.load(key)

    target = Table(a=1)
    p = wrap(target, cached_methods=["load"], self_calls=True)
    assert p.twice("a") == [1, 1]
    assert len(p._cache) == 1
    assert (p.get("a"), len(p), p["a"], list(p)) == (1, 1, 1, ["a"])
    p.update(b=2)
    assert target == {"a": 1, "b": 2}


def test_self_calls_return_the_proxy():
    """With self_calls a method that returns self returns the proxy."""

    class Query:
        def where(self, _):
            return self

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

        def __eq__(self, other):
            return self.where(1) is self and other == 1

        __hash__ = None

    p = wrap(Query(), self_calls=True)
    assert p.where(1).where(2) is p
    with p as entered:
        assert entered is p
    assert p == 1


def declaring(**declared):
    return lambda: wrap(Users(), **declared)


def rule(*args, **kwargs):
    return {"rename": [Forget(*args, **kwargs)]}


BAD = {
    "unknown method": (declaring(cached_methods=["nothing"]), "cached_methods.*'nothing'.*name a"),
    "property": (declaring(cached_methods=["first"]), "'first'.*property.*below the @property"),
    "cached property": (declaring(cached_methods=["second"]), "'second'.*property"),
    "attribute": (declaring(cached_methods=["names"]), "'names'.*dict.*name a method"),
    "generator": (declaring(cached_methods=["rows"]), "'rows'.*generator.*materialize=True"),
    "bare string": (declaring(cached_methods="get"), r"cached_methods.*\['get'\]"),
    "no names": (declaring(cached_methods=5), "cached_methods must be a list"),
    "number as a name": (declaring(cached_methods=[5]), "cached_methods must hold names"),
    "negative ttl": (declaring(cached_methods={"get": -1}), r"cached_methods\['get'\].*negative"),
    "text as ttl": (declaring(cached_methods={"get": "60"}), r"cached_methods\['get'\].*seconds"),
    "both": (
        declaring(cached_methods=["get"], invalidate_methods={"get": ["*"]}),
        "invalidate_methods names 'get'.*cached_methods",
    ),
    "no mapping": (
        declaring(invalidate_methods=["rename"]),
        "invalidate_methods must be a mapping",
    ),
    "bare target": (declaring(invalidate_methods={"rename": "get"}), r"'rename'.*\['get'\]"),
    "unknown writer": (declaring(invalidate_methods={"nothing": ["get"]}), "'nothing'.*name a"),
    "unknown target": (declaring(invalidate_methods={"rename": ["no"]}), "'rename'.*'no'.*name a"),
    "number as a target": (declaring(invalidate_methods={"rename": [5]}), "'rename'.*not 5"),
    "unknown parameter": (
        declaring(cached_methods=["get"], invalidate_methods=rule("get", "nothing")),
        "'nothing'.*'get' has the parameters: user_id, upper",
    ),
    "unknown source": (
        declaring(cached_methods=["get"], invalidate_methods=rule("get", user_id="nothing")),
        "'nothing'.*'rename'.*parameters: user_id, name",
    ),
    "ignored": (
        declaring(
            cached_methods={"get": Cached(ignore=["upper"])},
            invalidate_methods=rule("get", upper="name"),
        ),
        "'upper'.*no part of the key.*leave",
    ),
    "unknown ignored": (declaring(cached_methods={"get": Cached(ignore=["x"])}), "ignore.*'x'"),
    "everything by name": (declaring(invalidate_methods=rule("*", "user_id")), "without names"),
    "plain function": (declaring(invalidate_methods=rule(len)), "no cached method; name a"),
    "cache": (declaring(cache=60), r"cache must be.*MemoryCache\(\).*60"),
    "namespace": (declaring(namespace=5), "namespace must be a string"),
    "version": (
        declaring(namespace="users", version=[1]),
        r"version must be hashable.*\[1\].*tuple",
    ),
    "version alone": (declaring(version={}), "version must be hashable"),
    "self_calls": (declaring(self_calls="no"), "self_calls must be True or False, not 'no'"),
}


@pytest.mark.parametrize("name", BAD)
def test_declarations_that_cannot_work(name):
    """A declaration that cannot work is refused at once, naming the argument and the remedy."""
    declare, message = BAD[name]
    with pytest.raises(ConfigurationError, match=message) as caught:
        declare()
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("given", [None, 60, "get"])
def test_a_decorator_that_is_given_no_function(given):
    """What is no function is refused at once, with the way to write what may have been meant."""
    with pytest.raises(ConfigurationError, match=r"by name.*write cached\(ttl="):
        cached(given)


def test_a_refused_declaration_leaves_nothing_behind():
    """After a refused declaration the object can be wrapped in any other way, and is freed."""
    cache = MemoryCache()
    target = Users()
    with pytest.raises(ConfigurationError):
        wrap(
            target,
            cache,
            cached_methods={"get": Cached(key=lambda user_id, upper: user_id)},
            invalidate_methods={"rename": [Forget("fetch", "nothing")]},
        )
    p = wrap(target, cache, cached_methods=["get", "fetch"])
    assert (p.get(1), p.get(1, True)) == ("ada", "ADA")
    gone = weakref.ref(target)
    del p, target
    gc.collect()
    assert gone() is None
