"""A load that a write has overtaken: its callers get the value, and nobody after them does."""

import functools
import threading

import pytest

import pussycache
from pussycache import Each, Forget, MemoryCache, cached, invalidates


class Store:
    """Holds the first load of key 1 at the gate, after it has read; counts loads."""

    def __init__(self, gate=None):
        self.gate = gate
        self.value = "old"
        self.loads = []
        self._lock = threading.Lock()

    def read(self, key=1):
        value = self.value
        with self._lock:
            self.loads.append(key)
            first = self.loads.count(1) == 1 and key == 1
        if first and self.gate is not None:
            self.gate.hold()
        return value

    def write(self, key=1):
        self.value = "new"

    def write_many(self, keys=(1,)):
        self.value = "new"
        return list(keys)

    def __len__(self):
        return 0


class NoKey(dict):
    """Has no hash, and no canonical form."""


RULES = {
    "method": ("write", ["read"], ()),
    "everything": ("write", ["*"], ()),
    "argument": ("write", [Forget("read", "key")], (1,)),
    "argument by keyword": ("write", [Forget("read", key="key")], (1,)),
    "equal argument of another type": ("write", [Forget("read", "key")], (1.0,)),
    "each": ("write_many", [Forget("read", key=Each("keys"))], ([3, 1],)),
    "each of a callable": (
        "write_many",
        [Forget("read", key=Each(lambda call: call.args["keys"]))],
        ([3, 1],),
    ),
    "callable": ("write", [Forget("read", key=lambda call: call.args["key"])], (1,)),
    "callable of the result": (
        "write_many",
        [Forget("read", key=Each(lambda call: call.result))],
        ([1],),
    ),
    "callable that fails": ("write", [Forget("read", key=lambda call: 1 / 0)], ()),
    "value that is no key": ("write", [Forget("read", key=lambda call: NoKey())], ()),
}


def overtaken(store, read, write, gate, spawn):
    """Let a write start and end while a load runs; return what its caller got."""
    loading = spawn(read, 1)
    gate.reached()
    write()
    gate.open()
    return loading.result()


@pytest.mark.parametrize("rule", RULES)
def test_a_load_overtaken_by_a_write_answers_its_caller_only(rule, gate, spawn):
    """Whatever the form of the rule, the overtaken value is not found by a later call."""
    name, targets, args = RULES[rule]
    store = Store(gate)
    proxy = pussycache.wrap(store, cached_methods=["read"], invalidate_methods={name: targets})
    got = overtaken(store, proxy.read, lambda: getattr(proxy, name)(*args), gate, spawn)
    assert got == "old"
    assert proxy.read(1) == "new"
    assert proxy.read(1) == "new"
    assert store.loads == [1, 1]


@pytest.mark.parametrize("rule", RULES)
def test_a_remembered_value_is_gone_after_a_write(rule):
    """Whatever the form of the rule, what was remembered before a write is not served after it."""
    name, targets, args = RULES[rule]
    proxy = pussycache.wrap(Store(), cached_methods=["read"], invalidate_methods={name: targets})
    assert proxy.read(1) == "old"
    getattr(proxy, name)(*args)
    assert proxy.read(1) == "new"


def by_hand(what):
    def write(proxy, cache):
        proxy._proxied.value = "new"
        what(proxy, cache)

    return write


def write_in_a_block(proxy, cache):
    with pussycache.writing(proxy.write, 1):
        proxy._proxied.value = "new"


BY_HAND = {
    "forget": by_hand(lambda proxy, cache: pussycache.forget(proxy.read, 1)),
    "forget_all of the method": by_hand(lambda proxy, cache: pussycache.forget_all(proxy.read)),
    "forget_all of the proxy": by_hand(lambda proxy, cache: pussycache.forget_all(proxy)),
    "put": by_hand(lambda proxy, cache: pussycache.put(proxy.read, "new", 1)),
    "clear": by_hand(lambda proxy, cache: cache.clear()),
    "writing": write_in_a_block,
    "replacing the method": by_hand(lambda proxy, cache: setattr(proxy, "read", lambda key: "new")),
}


@pytest.mark.parametrize("way", BY_HAND)
def test_a_load_overtaken_by_hand(way, gate, spawn):
    """The operations on a call, and clear, count as writes."""
    store, cache = Store(gate), MemoryCache()
    proxy = pussycache.wrap(
        store,
        cache,
        cached_methods=["read"],
        invalidate_methods={"write": [Forget("read", "key")]},
    )
    got = overtaken(store, proxy.read, lambda: BY_HAND[way](proxy, cache), gate, spawn)
    assert got == "old"
    assert proxy.read(1) == "new"


def test_an_overtaken_load_does_not_replace_what_was_put(gate, spawn):
    """A value that was put while a load ran stays when the load ends."""
    proxy = pussycache.wrap(Store(gate), cached_methods=["read"])
    overtaken(None, proxy.read, lambda: pussycache.put(proxy.read, "put", 1), gate, spawn)
    assert pussycache.peek(proxy.read, 1) == "put"
    assert proxy.read(1) == "put"


def test_a_rule_on_another_argument_leaves_a_load_alone(gate, spawn):
    """A write of key 2 has no effect on a load of key 1."""
    store = Store(gate)
    proxy = pussycache.wrap(
        store,
        cached_methods=["read"],
        invalidate_methods={"write": [Forget("read", "key")]},
    )
    overtaken(store, proxy.read, lambda: proxy.write(2), gate, spawn)
    assert proxy.read(1) == "old"
    assert store.loads == [1]


@pytest.mark.parametrize("same_key", [True, False])
def test_a_write_through_a_second_proxy(same_key, gate, spawn):
    """Two proxies of one object on one cache invalidate for one another."""
    store, cache = Store(gate), MemoryCache()
    reading = pussycache.wrap(store, cache, cached_methods=["read"])
    rule = Forget("read", "key") if same_key else "read"
    writing = pussycache.wrap(store, cache, invalidate_methods={"write": [rule]})
    assert overtaken(store, reading.read, writing.write, gate, spawn) == "old"
    assert reading.read(1) == "new"


def test_a_write_through_another_object_of_the_namespace(gate, spawn):
    """Objects of a class that are wrapped with one namespace invalidate for one another."""
    cache = MemoryCache()
    ones, others = Store(gate), Store()
    declaration = {
        "cached_methods": ["read"],
        "invalidate_methods": {"write": [Forget("read", "key")]},
        "namespace": "shop",
    }
    one = pussycache.wrap(ones, cache, **declaration)
    other = pussycache.wrap(others, cache, **declaration)

    def write():
        other.write(1)
        ones.value = "new"

    assert overtaken(ones, one.read, write, gate, spawn) == "old"
    assert one.read(1) == "new"


@pytest.mark.parametrize("caches", ["one", "two"])
@pytest.mark.parametrize("by_argument", [True, False], ids=["argument", "method"])
def test_a_rule_that_names_a_method_of_another_proxy(caches, by_argument, gate, spawn):
    """A write on one object invalidates a method of another, also on another cache."""
    store, cache = Store(gate), MemoryCache()
    reading = pussycache.wrap(store, cache, cached_methods=["read"])
    rule = Forget(reading.read, "key") if by_argument else reading.read
    other = pussycache.wrap(
        Store(),
        cache if caches == "one" else MemoryCache(),
        invalidate_methods={"write": [rule]},
    )

    def write():
        store.value = "new"
        other.write(1)

    assert overtaken(store, reading.read, write, gate, spawn) == "old"
    assert reading.read(1) == "new"


def decorated(gate, rule):
    class Mine(Store):
        read = cached(Store.read)
        write = invalidates(rule)(Store.write)

    return Mine(gate)


@pytest.mark.parametrize("rule", ["read", "*", Forget("read", "key")], ids=str)
def test_a_decorated_class(rule, gate, spawn):
    """Decorated methods keep the promise as wrapped ones do."""
    mine = decorated(gate, rule)
    assert overtaken(mine, mine.read, mine.write, gate, spawn) == "old"
    assert mine.read(1) == "new"


@pytest.mark.parametrize("how", ["cache_clear", "forget", "forget_all", "put"])
def test_a_decorated_method_by_hand(how, gate, spawn):
    """cache_clear and the operations count as writes on decorated methods, too."""
    mine = decorated(gate, "read")

    def write():
        mine.value = "new"
        if how == "cache_clear":
            type(mine).read.cache_clear()
        elif how == "put":
            pussycache.put(mine.read, "new", 1)
        else:
            getattr(pussycache, how)(mine.read, *((1,) if how == "forget" else ()))

    assert overtaken(mine, mine.read, write, gate, spawn) == "old"
    assert mine.read(1) == "new"


@pytest.mark.parametrize("by_argument", [True, False], ids=["argument", "function"])
def test_decorated_functions(by_argument, gate, spawn):
    """A decorated function that writes invalidates a decorated function that reads."""
    store = Store(gate)

    @cached
    def read(key):
        return store.read(key)

    @invalidates(Forget(read, "key") if by_argument else read)
    def write(key):
        store.write(key)

    assert overtaken(store, read, lambda: write(1), gate, spawn) == "old"
    assert read(1) == "new"


def test_a_proxy_over_a_decorated_object(gate, spawn):
    """A rule of a proxy reaches the entries that the method's own decorator keeps."""

    class Mine(Store):
        read = cached(Store.read)

    store = Mine(gate)
    proxy = pussycache.wrap(
        store, cached_methods=["read"], invalidate_methods={"write": [Forget("read", "key")]}
    )
    assert overtaken(store, proxy.read, proxy.write, gate, spawn) == "old"
    assert proxy.read(1) == "new"
    assert store.read(1) == "new"


def test_everything_reaches_decorated_methods():
    """A rule "*" of a proxy forgets what the object's own decorators keep, too."""

    class Mine(Store):
        read = cached(Store.read)

    proxy = pussycache.wrap(Mine(), invalidate_methods={"write": ["*"]})
    assert proxy.read(1) == "old"
    proxy.write()
    assert proxy.read(1) == "new"


@pytest.mark.parametrize("kind", ["static", "function"])
def test_a_decorated_method_forgets_by_argument_what_has_no_instance(kind):
    """A rule with names works on static methods and on functions."""

    @cached
    def outside(key):
        return Mine.value

    class Mine:
        value = "old"

        @staticmethod
        @cached
        def read(key):
            return Mine.value

        @invalidates(Forget("read" if kind == "static" else outside, "key"))
        def write(self, key):
            Mine.value = "new"

    read = Mine.read if kind == "static" else outside
    assert read(1) == "old"
    Mine().write(1)
    assert read(1) == "new"


def test_a_class_method_that_writes_forgets_for_all_instances():
    """What a class method makes wrong is wrong for every instance."""

    class Mine:
        value = "old"

        @cached
        def read(self):
            return self.value

        @classmethod
        @invalidates("read")
        def write(cls):
            cls.value = "new"

    mine = Mine()
    assert mine.read() == "old"
    Mine.write()
    assert mine.read() == "new"


@pytest.mark.parametrize("keeps_its_name", [True, False])
def test_a_decorator_above_invalidates(keeps_its_name):
    """A write that another decorator wraps is a write."""

    def logged(function):
        def inner(*args, **kwargs):
            return function(*args, **kwargs)

        return functools.wraps(function)(inner) if keeps_its_name else inner

    class Mine(Store):
        read = cached(Store.read)
        write = logged(invalidates("read")(Store.write))

    mine = Mine()
    assert mine.read() == "old"
    mine.write()
    assert mine.read() == "new"


def test_a_rule_leaves_an_iterator_argument_to_the_method():
    """Each does not use up an iterator that the write itself needs."""
    store = Store()
    proxy = pussycache.wrap(
        store,
        cached_methods=["read"],
        invalidate_methods={"write_many": [Forget("read", key=Each("keys"))]},
    )
    assert proxy.read(1) == "old"
    assert proxy.write_many(iter([1, 2])) == [1, 2]
    assert proxy.read(1) == "new"


EQUAL = {
    "numbers": (1, 1.0),
    "bool": (1, True),
    "lists": ([1], [1.0]),
    "sets": ({1}, frozenset([1])),
    "nested": ((1, [2]), (1.0, [2])),
    "bytes": (b"x", bytearray(b"x")),
    "memory": (b"x", memoryview(bytearray(b"x"))),
    "mappings": ({"a": 1}, {"a": True}),
}


@pytest.mark.parametrize("pair", EQUAL)
@pytest.mark.parametrize("turned", [False, True])
def test_rules_match_by_equality(pair, turned):
    """Arguments that are equal match, whatever their types."""
    one, other = reversed(EQUAL[pair]) if turned else EQUAL[pair]
    proxy = pussycache.wrap(
        Store(), cached_methods=["read"], invalidate_methods={"write": [Forget("read", "key")]}
    )
    assert proxy.read(one) == "old"
    proxy.write(other)
    assert proxy.read(one) == "new"


def test_a_write_is_not_hindered_by_its_arguments():
    """An argument that cannot be shown does not break the write."""
    proxy = pussycache.wrap(
        Store(), cached_methods=["read"], invalidate_methods={"write": ["read"]}
    )
    assert proxy.read() == "old"
    proxy.write(10**5000)
    assert proxy.read() == "new"


def test_a_write_with_wrong_arguments_is_the_methods_own_error():
    """A call that does not fit raises the method's TypeError, and forgets the whole method."""
    proxy = pussycache.wrap(
        Store(), cached_methods=["read"], invalidate_methods={"write": [Forget("read", "key")]}
    )
    proxy.read(5)
    with pytest.raises(TypeError, match="unexpected keyword"):
        proxy.write(kee=1)
    assert pussycache.peek(proxy.read, 5) is pussycache.MISSING


def test_several_names_must_all_match():
    """A rule with two names forgets only entries where both are equal."""

    class Pairs:
        def read(self, a, b):
            return (a, b)

        def write(self, a, b):
            pass

    proxy = pussycache.wrap(
        Pairs(), cached_methods=["read"], invalidate_methods={"write": [Forget("read", "b", "a")]}
    )
    for a in (1, 2):
        for b in (1, 2):
            proxy.read(a, b)
    proxy.write(1, 2)
    left = [(a, b) for a in (1, 2) for b in (1, 2) if pussycache.peek(proxy.read, a, b)]
    assert left == [(1, 1), (2, 1), (2, 2)]


def test_a_default_counts_as_the_argument():
    """A call of the write without an argument forgets the entries of its default."""
    proxy = pussycache.wrap(
        Store(), cached_methods=["read"], invalidate_methods={"write": [Forget("read", "key")]}
    )
    assert proxy.read() == "old"
    proxy.write()
    assert proxy.read(1) == "new"


def test_writing_without_arguments_forgets_the_whole_method():
    """What writing is not told of is not known: then the whole method is forgotten."""

    class Users(Store):
        def rename(self, key, name):
            pass

    proxy = pussycache.wrap(
        Users(), cached_methods=["read"], invalidate_methods={"rename": [Forget("read", "key")]}
    )
    proxy.read(1), proxy.read(2)
    with pussycache.writing(proxy.rename, name="x"):
        pass
    assert pussycache.info(proxy.read).entries == 0
    proxy.read(1), proxy.read(2)
    with pussycache.writing(proxy.rename, 2):
        pass
    assert pussycache.peek(proxy.read, 1) == "old"
    assert pussycache.peek(proxy.read, 2) is pussycache.MISSING
