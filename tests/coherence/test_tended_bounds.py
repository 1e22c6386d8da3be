"""Values that are old, tagged or exceptions, in caches that are bounded and told of."""

import time
from contextlib import nullcontext

import pytest

import pussycache
from pussycache import Cached, MemoryCache
from pussycache.engine import clock as clocks
from pussycache.testing import FakeClock


@pytest.fixture(name="clock")
def fake_clock():
    with FakeClock() as clock:
        yield clock


class Source:
    def __init__(self):
        self.loads = 0
        self.fails = False

    def read(self, key):
        self.loads += 1
        if self.fails:
            raise LookupError(key)
        return f"value {key}"


def sourced(cache, **said):
    source = Source()
    return source, pussycache.wrap(source, cache, cached_methods={"read": Cached(**said)})


def told(cache):
    seen = []
    cache.on_removal(seen.append)
    return seen


@pytest.mark.parametrize(
    "said",
    [
        {"ttl": 10, "stale_if_error": 10},
        {"ttl": 10, "idle_ttl": 5},
        {"tags": ["all"]},
        {"guard": True},
        {"verify": 0.5},
    ],
    ids=lambda said: list(said)[-1],
)
def test_they_have_a_weight(said, clock):
    """What is known of an entry besides has no influence on what it weighs."""
    cache = MemoryCache(max_bytes=100, weigh=lambda key, value: 10)
    _, proxy = sourced(cache, **said)
    for i in range(30):
        proxy.read(i)
    assert (cache.weight, len(cache)) == (100, 10)
    cache.resize(max_bytes=50)
    assert (cache.weight, len(cache)) == (50, 5)
    pussycache.put(proxy.read, "given", 99)
    assert cache.weight == 50
    pussycache.forget_all(proxy)
    assert cache.weight == 0


@pytest.mark.parametrize("window", ["stale_for", "stale_if_error"])
def test_an_old_value_has_not_expired(window, clock):
    """Who looks for what has expired leaves a value that is too old and may still be served."""
    cache = MemoryCache()
    seen = told(cache)
    _, proxy = sourced(cache, ttl=10, **{window: 20})
    proxy.read(1)
    clock.advance(15)
    assert (len(cache), seen) == (1, [])
    clock.advance(14)
    assert (len(cache), seen) == (1, [])
    clock.advance(1)
    assert len(cache) == 0
    assert [gone.cause for gone in seen] == ["expired"]


def test_use_puts_the_end_off(clock):
    """A value that is forgotten for want of use has expired that long after its last use."""
    cache = MemoryCache()
    seen = told(cache)
    source, proxy = sourced(cache, idle_ttl=10)
    proxy.read(1)
    for _ in range(5):
        clock.advance(6)
        assert len(cache) == 1
        proxy.read(1)
    assert source.loads == 1
    clock.advance(10)
    assert len(cache) == 0
    assert [gone.cause for gone in seen] == ["expired"]


def test_tagged_values_expire(clock):
    """A value with a tag, which no hit path serves, is found when its time is over."""
    cache = MemoryCache()
    _, proxy = sourced(cache, ttl=10, tags=["all"])
    proxy.read(1)
    clock.advance(9)
    assert len(cache) == 1
    clock.advance(1)
    assert len(cache) == 0


def test_a_forgotten_tag():
    """An entry whose tag was forgotten was invalidated, however it is found: asked for, or in the
    way.
    """
    cache = MemoryCache(max_entries=1)
    _, proxy = sourced(cache, tags=["all"])
    seen = told(cache)
    proxy.read(1)
    pussycache.forget_tag(cache, "all")
    assert seen == []
    proxy.read(1)
    assert [(gone.key, gone.cause) for gone in seen] == [((1,), "invalidated")]
    pussycache.forget_tag(cache, "all")
    for i in range(2, 9):
        proxy.read(i)
    assert [gone.cause for gone in seen if gone.key == (1,)] == ["invalidated", "invalidated"]


def test_a_remembered_exception():
    """Who weighs and who is told is given a remembered exception, and not what stands for it."""
    weighed = []
    cache = MemoryCache(max_bytes=10, weigh=lambda key, value: weighed.append(value) or 1)
    seen = told(cache)
    source, proxy = sourced(cache, errors={LookupError: 60})
    source.fails = True
    for _ in range(2):
        with pytest.raises(LookupError):
            proxy.read(1)
    assert source.loads == 1
    cache.clear()
    assert [type(value) for value in weighed] == [LookupError]
    assert [(gone.value.args, gone.cause) for gone in seen] == [((1,), "cleared")]


@pytest.mark.parametrize("weighed", [False, True], ids=["counted", "weighed"])
@pytest.mark.parametrize("python", [False, True], ids=["as it is", "in Python"])
def test_a_signal_in_the_midst_of_a_note(python, weighed):
    """A signal amid the notes of the policy costs what is remembered; the bound holds after it."""

    class Interrupting:
        def append(self, table):
            raise KeyboardInterrupt

    cache = MemoryCache(max_entries=50, **({"max_bytes": 10**9} if weighed else {}))
    source, proxy = sourced(cache)
    with clocks.replaced(lambda: time.monotonic()) if python else nullcontext():
        for i in range(80):
            proxy.read(i)
        budget = cache.budget
        tables = budget._tables, budget._window.tables
        budget._tables = budget._window.tables = Interrupting()
        with pytest.raises(KeyboardInterrupt):
            proxy.read("interrupted")
        assert budget._tables is not tables[0]
        assert (len(cache), len(budget)) == (0, 0)
        for i in range(300):
            assert proxy.read(i) == f"value {i}"
            assert len(cache) <= 50
        assert len(cache) == 50
        assert len(budget) < 120
    loads = source.loads
    assert sum(pussycache.peek(proxy.read, i) is not pussycache.MISSING for i in range(300)) == 50
    assert source.loads == loads
