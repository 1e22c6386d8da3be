"""A wrapped object is the same as a bare one, except for the number of loads.

A machine makes calls, writes, operations and time pass at random on wrapped and decorated objects;
what they answer is what the bare model answers, and what is known to be remembered is not loaded.
"""

import asyncio
import copy

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import pussycache
from pussycache import MISSING, Cached, Each, Forget, MemoryCache, cached, invalidates
from pussycache.testing import FakeClock

SOME = [1, 2, 1.0, True, "1", (1,), (2, "x"), None]
KEYS = st.sampled_from(SOME)
PLENTY = 1000
TTL = 10


class Shop:
    """Every answer follows from the state; every change of the state is a write."""

    def __init__(self):
        self.prices = {}
        self.stock = {}
        self.loads = 0

    def price(self, key, currency="EUR"):
        self.loads += 1
        return (self.prices.get(key, 0), currency)

    def amount(self, key):
        self.loads += 1
        return self.stock.get(key)

    def report(self):
        self.loads += 1
        return (dict(self.prices), dict(self.stock))

    def basket(self, keys):
        self.loads += 1
        for key in keys:
            yield self.prices.get(key, 0)

    async def aprice(self, key, currency="EUR"):
        self.loads += 1
        await asyncio.sleep(0)
        return (self.prices.get(key, 0), currency)

    def named(self, *keys, **names):
        self.loads += 1
        return ([self.prices.get(key, 0) for key in keys], names)

    def set_price(self, key, value):
        self.prices[key] = value

    async def aset_price(self, key, value):
        await asyncio.sleep(0)
        self.prices[key] = value
        await asyncio.sleep(0)

    def swap(self, old, new):
        self.prices[old], self.prices[new] = self.prices.get(new, 0), self.prices.get(old, 0)

    def discount(self, *, keys):
        for key in keys:
            self.prices[key] = self.prices.get(key, 0) - 1
        return len(keys)

    def set_stock(self, values):
        self.stock.update(values)
        return list(values)

    def fail(self, key):
        self.prices[key] = self.prices.get(key, 0) + 1
        raise LookupError(key)

    def clear(self):
        self.prices.clear()
        self.stock.clear()


POLICIES = {
    "price": Cached(ttl=TTL),
    "aprice": Cached(ttl=TTL),
    "named": Cached(),
    "amount": Cached(when=lambda amount: amount is not None),
    "report": Cached(copy="deep", ttl=lambda report: TTL if report[0] else None),
    "basket": Cached(materialize=True),
}
# Of all that the prices are in, but for "price" and "aprice", whose rules are the writes' own.
PRICES = ["report", "basket", "named"]
WRITES = {
    "set_price": [Forget("price", "key"), Forget("aprice", "key"), *PRICES],
    "aset_price": [Forget("price", "key"), Forget("aprice", key=lambda c: c.args["key"]), *PRICES],
    # By another name, and twice.
    "swap": [
        *(Forget(name, key=side) for name in ("price", "aprice") for side in ("old", "new")),
        *PRICES,
    ],
    "discount": [Forget("price", key=Each("keys")), "aprice", *PRICES],
    "set_stock": [Forget("amount", key=Each(lambda call: call.result)), "report"],
    "fail": [Forget("price", key=lambda call: call.args["key"]), Forget("aprice", "key"), *PRICES],
    "clear": ["*"],
}


class Decorated(Shop):
    """The same, declared with decorators."""


def decorate(cache):
    space = {
        name: cached(
            cache=cache,
            ttl=policy.ttl,
            when=policy.when,
            copy=policy.copy,
            materialize=policy.materialize,
        )(getattr(Shop, name))
        for name, policy in POLICIES.items()
    }
    space |= {name: invalidates(*targets)(getattr(Shop, name)) for name, targets in WRITES.items()}
    return type("Decorated", (Shop,), space)()


def wrapped(cache, **options):
    return pussycache.wrap(
        Shop(), cache, cached_methods=POLICIES, invalidate_methods=WRITES, **options
    )


MAKERS = {
    "wrapped": wrapped,
    "decorated": decorate,
    "self_calls": lambda cache: wrapped(cache, self_calls=True),
    "namespace": lambda cache: wrapped(cache, namespace="shop"),
}


class Same(RuleBasedStateMachine):
    @initialize(kind=st.sampled_from(sorted(MAKERS)), room=st.sampled_from([1, 2, 5, PLENTY]))
    def make(self, kind, room):
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.clock.__enter__()
        self.cache = MemoryCache(max_entries=room)
        self.kind, self.room = kind, room
        self.bare = Shop()
        self.shop = MAKERS[kind](self.cache)
        # Calls of which the last one has surely left an entry: loading them again would be waste.
        self.kept = None

    def teardown(self):
        if hasattr(self, "clock"):
            self.clock.__exit__(None, None, None)
            self.loop.close()

    def run(self, awaitable):
        return self.loop.run_until_complete(awaitable)

    def both(self, name, *args, **kwargs):
        outcomes = []
        for shop in (self.bare, self.shop):
            try:
                result = getattr(shop, name)(*args, **kwargs)
                if name in ("aprice", "aset_price"):
                    result = self.run(result)
                outcomes.append(list(result) if name == "basket" else result)
            except LookupError as error:
                outcomes.append(repr(error))
        assert outcomes[0] == outcomes[1]
        return outcomes[1]

    def read(self, name, *args, **kwargs):
        before = self.shop.loads
        got = self.both(name, *args, **kwargs)
        if self.kept == (name, args, kwargs, [type(arg) for arg in args]):
            assert self.shop.loads == before, "loaded again, although nothing had happened"
        # In a full cache whose other entries have all been used, the newest is evicted.
        stays = self.room == PLENTY and not (name == "amount" and got is None)
        self.kept = (name, args, kwargs, [type(arg) for arg in args]) if stays else None
        return got

    def write(self, name, *args, **kwargs):
        self.kept = None
        # What the write may make wrong is remembered when it begins, as far as there is room.
        about = [*kwargs.get("keys", ()), *[key for key in args if key in SOME]]
        self.look(about)
        self.both(name, *args, **kwargs)
        self.look(about)

    def look(self, about):
        for key in about:
            self.both("price", key)
            self.both("aprice", key)
        self.both("report")
        self.both("named", *about)

    @rule(key=KEYS, currency=st.sampled_from(["EUR", "USD"]), named=st.booleans())
    def price(self, key, currency, named):
        if named:
            self.read("price", key, currency=currency)
        else:
            self.read("price", key)

    @rule(key=KEYS, currency=st.sampled_from(["EUR", "USD"]))
    def aprice(self, key, currency):
        self.read("aprice", key, currency=currency)

    @rule(keys=st.lists(KEYS, max_size=2), names=st.dictionaries(st.sampled_from("ab"), KEYS))
    def named(self, keys, names):
        self.read("named", *keys, **names)
        # In another order it is the same call: what was kept is served.
        self.read("named", *keys, **dict(reversed(names.items())))

    @rule(key=KEYS, value=st.integers(0, 3))
    def aset_price(self, key, value):
        self.write("aset_price", key, value)

    @rule(old=KEYS, new=KEYS, value=st.integers(0, 3))
    def swap(self, old, new, value):
        self.write("set_price", old, value)
        self.write("swap", old, new)

    @rule(keys=st.lists(KEYS, max_size=2))
    def discount(self, keys):
        self.write("discount", keys=keys)

    @rule(key=KEYS)
    def amount(self, key):
        self.read("amount", key)

    @rule()
    def report(self):
        got = self.read("report")
        got[0]["spoiled"] = True

    @rule(keys=st.lists(KEYS, max_size=3).map(tuple))
    def basket(self, keys):
        self.read("basket", keys)

    @rule(key=KEYS, value=st.integers(0, 3))
    def set_price(self, key, value):
        self.write("set_price", key, value)

    @rule(values=st.dictionaries(KEYS, st.integers(0, 3), max_size=2))
    def set_stock(self, values):
        self.write("set_stock", values)

    @rule(key=KEYS)
    def fail(self, key):
        self.write("fail", key)

    @rule()
    def clear(self):
        self.write("clear")

    @rule(key=KEYS, value=st.integers(0, 3))
    def write_by_hand(self, key, value):
        self.kept = None
        with pussycache.writing(self.shop.set_price, key, value):
            self.shop.prices[key] = value
            self.both_price_inside(key, value)
        self.bare.prices[key] = value

    def both_price_inside(self, key, value):
        assert self.shop.price(key) == (value, "EUR")

    @rule(key=KEYS)
    def operate(self, key):
        self.kept = None
        pussycache.forget(self.shop.price, key)
        assert pussycache.peek(self.shop.price, key) is MISSING
        fresh = self.bare.price(key)
        assert pussycache.bypass(self.shop.price, key) == fresh
        assert pussycache.refresh(self.shop.price, key) == fresh
        assert pussycache.put(self.shop.price, fresh, key)
        assert pussycache.peek(self.shop.price, key) == fresh

    @rule(key=KEYS)
    def aoperate(self, key):
        self.kept = None
        method = self.shop.aprice
        fresh = self.run(self.bare.aprice(key))
        assert pussycache.peek(method, key) in (MISSING, fresh)
        pussycache.forget(method, key)
        assert pussycache.peek(method, key) is MISSING
        assert self.run(pussycache.bypass(method, key)) == fresh
        assert pussycache.peek(method, key) is MISSING
        assert self.run(pussycache.refresh(method, key)) == fresh
        assert pussycache.peek(method, key) in (fresh, fresh if self.room == PLENTY else MISSING)
        assert self.run(pussycache.aput(method, fresh, key))
        assert self.run(method(key)) == fresh

    @rule(key=KEYS, value=st.integers(0, 3))
    def write_switched_off(self, key, value):
        with pussycache.disabled():
            self.kept = None
            self.both("set_price", key, value)

    # A namespace says that its objects answer for one another.
    @precondition(lambda self: self.kind != "namespace")
    @rule(key=KEYS, value=st.integers(0, 3))
    def write_to_a_copy(self, key, value):
        other = copy.deepcopy(self.shop)
        other.set_price(key, value)
        assert other.price(key) == (value, "EUR")
        self.both("price", key)
        self.kept = None

    @rule()
    def forget_all(self):
        self.kept = None
        pussycache.forget_all(self.shop.report)
        assert pussycache.peek(self.shop.report) is MISSING

    @rule(key=KEYS)
    def switched_off(self, key):
        before = self.shop.loads
        with pussycache.disabled():
            self.both("price", key)
        assert self.shop.loads == before + 1

    @rule(seconds=st.sampled_from([1, TTL / 2, TTL]))
    def wait(self, seconds):
        self.kept = None
        self.clock.advance(seconds)

    @precondition(lambda self: hasattr(self, "cache"))
    @rule()
    def empty(self):
        self.kept = None
        self.cache.clear()
        assert len(self.cache) == 0

    @invariant()
    def bounded(self):
        if hasattr(self, "cache"):
            assert len(self.cache) <= self.room


def test_wrapped_is_bare_but_for_the_loads():
    """Whatever is done in whatever order, the answers are those of the bare object."""
    run_state_machine_as_test(
        Same,
        settings=settings(
            max_examples=100,
            stateful_step_count=30,
            derandomize=True,
            deadline=None,
            database=None,
        ),
    )
