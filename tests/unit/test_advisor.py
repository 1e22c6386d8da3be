"""`observe` and `advise`: what is seen of an object's calls, and what is made of it."""

import asyncio
import copy
import functools
import gc
import inspect
import json
import pickle
import threading
import weakref
from datetime import timedelta
from typing import Any

import pytest

import pussycache
from pussycache.see import recorder as recording
from pussycache.see.changes import Before, Changes, suspects
from pussycache.see.values import digest
from pussycache.see.watchers import recorder_of
from pussycache.testing import FakeClock


@pytest.fixture(autouse=True)
def clock():
    """Time stands still while results are looked at: how long that may take is bounded."""
    with FakeClock() as clock:
        yield clock


class Users:
    def __init__(self, clock: FakeClock | None = None) -> None:
        self.names = {number: f"user {number}" for number in range(100)}
        self.clock = clock

    def _pass(self, seconds: float) -> None:
        if self.clock is not None:
            self.clock.advance(seconds)

    def get_user(self, user_id):
        self._pass(0.01)
        return {"id": user_id, "name": self.names[user_id]}

    def list_users(self):
        self._pass(0.1)
        return list(self.names.values())

    def rename_user(self, user_id, name):
        self._pass(0.02)
        self.names[user_id] = name

    def stream(self):
        yield from self.names.values()

    def items(self):
        return iter(self.names.items())

    async def fetch(self, user_id):
        await asyncio.sleep(0)
        return self.names[user_id]

    async def agen(self):
        yield 1

    def fail(self, user_id):
        raise LookupError(user_id)

    @property
    def count(self) -> int:
        return len(self.names)

    @classmethod
    def make(cls):
        return cls()

    @staticmethod
    def double(number):
        return 2 * number


# The stand-in.


def test_an_observed_object_behaves_as_the_object() -> None:
    """Methods of all kinds, properties and attributes answer as the object's own do."""
    users = pussycache.observe(Users())
    assert isinstance(users, Users)
    assert users.get_user(7) == users.get_user(user_id=7) == {"id": 7, "name": "user 7"}
    assert users.count == 100
    assert users.double(4) == 8
    assert isinstance(users.make(), Users)
    assert next(iter(users.stream())) == "user 0"
    assert asyncio.run(users.fetch(3)) == "user 3"
    assert inspect.iscoroutinefunction(users.fetch)
    assert inspect.isgeneratorfunction(users.stream)
    assert str(inspect.signature(users.rename_user)) == "(user_id, name)"
    with pytest.raises(LookupError, match="5"):
        users.fail(5)
    with pytest.raises(TypeError, match="get_user"):
        users.get_user()
    users.get_user = lambda user_id: "replaced"
    assert users.get_user(1) == "replaced"


def test_nothing_is_cached() -> None:
    """Each call reaches the object, also one that is equal to an earlier one."""
    target = Users()
    users = pussycache.observe(target)
    assert users.get_user(1)["name"] == "user 1"
    target.names[1] = "eve"
    assert users.get_user(1)["name"] == "eve"


async def numbers(observed):
    return [number async for number in observed.agen()]


def test_calls_of_all_kinds_are_counted() -> None:
    """Sync and async methods, generators, and calls that raise are counted once each."""
    users = pussycache.observe(Users())
    list(users.stream())
    asyncio.run(users.fetch(1))
    assert asyncio.run(numbers(users)) == [1]
    for _ in range(2):
        with pytest.raises(LookupError):
            users.fail(1)
    report = pussycache.advise(users)
    assert {name: report[name].calls for name in ("stream", "fetch", "agen", "fail")} == {
        "stream": 1,
        "fetch": 1,
        "agen": 1,
        "fail": 2,
    }
    assert report["fail"].failures == 2
    assert report["fetch"].failures == 0
    assert report["get_user"].calls == 0


def test_a_call_that_does_not_fit_is_over() -> None:
    """A call with wrong arguments raises as it would, and does not count as running ever after."""
    users = pussycache.observe(Users())
    with pytest.raises(TypeError):
        users.get_user()
    with pytest.raises(TypeError):
        asyncio.run(users.fetch())
    watches = recorder_of(users).watches
    assert watches["get_user"].running == watches["fetch"].running == []


class Handing:
    def __init__(self) -> None:
        self.value = 0

    def read(self):
        return self._read()

    async def _read(self):
        return self.value

    def bump(self):
        return self._bump()

    async def _bump(self):
        self.value += 1


def test_coroutines_that_plain_methods_hand_on_are_observed_when_awaited() -> None:
    """What such a method does, it does when its coroutine is awaited, and not before."""

    async def work(observed: Any) -> None:
        later = observed.bump()
        assert recorder_of(observed).watches["bump"].running == []
        for number in range(40):
            await observed.read()
            if number % 4 == 3:
                await observed.bump()
        await later

    observed = pussycache.observe(Handing())
    asyncio.run(work(observed))
    report = pussycache.advise(observed)
    assert report["read"].calls == 40
    assert report["bump"].calls == 11
    assert [suspect.method for suspect in report["read"].suspects] == ["bump"]
    assert recorder_of(observed).watches["bump"].running == []


def test_a_cached_object_can_be_observed() -> None:
    """Calls that a proxy of `wrap` answers are seen, too."""
    users = pussycache.observe(pussycache.wrap(Users(), cached_methods=["get_user"]))
    assert users.get_user(1) is users.get_user(1)
    assert pussycache.advise(users)["get_user"].calls == 2


def test_operators_are_observed() -> None:
    """A dict's `[]` is a method like any other, and setting an item is seen to change it."""
    prices = pussycache.observe({"tea": 3, "milk": 1})
    for number in range(40):
        assert prices["tea"] == (number // 4 * 4 - 1 if number > 3 else 3)
        assert prices["milk"] == 1
        if number % 4 == 3:
            prices["tea"] = number
    report = pussycache.advise(prices)
    assert report["__getitem__"].calls == 80
    assert [suspect.method for suspect in report["__getitem__"].suspects] == ["__setitem__"]


def test_the_pasted_call_works_for_operators(clock: FakeClock) -> None:
    """Operators can be cached and invalidate, too, as the report says it."""

    class Prices(dict[str, int]):
        def __getitem__(self, key):
            clock.advance(0.1)
            return super().__getitem__(key)

    prices = pussycache.observe(Prices(tea=3, milk=1))
    for number in range(60):
        assert prices["tea"] + prices["milk"] > 1
        if number % 4 == 3:
            prices["tea"] = number
    space = {"target": Prices(tea=3)}
    exec(pussycache.advise(prices).paste, space)
    wrapped = space["target"]
    before = clock()
    assert wrapped["tea"] == wrapped["tea"] == 3
    assert clock() == before + 0.1
    wrapped["tea"] = 4
    assert wrapped["tea"] == 4


@pytest.mark.parametrize(
    ("thing", "says"),
    [(None, "no methods"), (object(), "no methods"), (int, "")],
    ids=["None", "object", "a class"],
)
def test_what_has_no_methods_is_refused(thing: object, says: str) -> None:
    """An object without methods cannot be observed; a class can, for its objects have some."""
    if says:
        with pytest.raises(pussycache.ConfigurationError, match=says):
            pussycache.observe(thing)
    else:
        assert pussycache.observe(thing)("7") == 7


def test_an_observed_object_is_not_observed_again() -> None:
    """To observe what is observed already is a mistake, and so is to ask for advice without."""
    users = pussycache.observe(Users())
    with pytest.raises(pussycache.ConfigurationError, match="already"):
        pussycache.observe(users)
    with pytest.raises(pussycache.ConfigurationError, match="observe the object first"):
        pussycache.advise(Users())


def test_an_object_that_refuses_to_be_stood_for_is_a_configuration_error() -> None:
    """What goes wrong while the stand-in is made is said in one kind of error."""

    class Hostile:
        def method(self):
            return 1

        def __getattribute__(self, name):
            if name == "__dict__":
                raise RuntimeError("no")
            return object.__getattribute__(self, name)

    with pytest.raises(pussycache.ConfigurationError, match="Hostile"):
        pussycache.observe(Hostile())


def test_the_objects_of_a_class_are_observed_together() -> None:
    """Calls of two objects are counted in one report, and are not taken for equal."""
    observed = pussycache.observe(Users)
    one, two = observed(), observed()
    assert isinstance(one, Users)
    assert type(one) is type(two)
    for _ in range(20):
        one.get_user(1)
        two.get_user(1)
    method = pussycache.advise(observed)["get_user"]
    assert method.calls == 40
    assert method.repeated == 38 / 40


def test_an_observed_object_is_copied_and_pickled_unseen() -> None:
    """A copy, deep or out of a pickle, is observed for itself."""
    users = pussycache.observe(Users())
    users.get_user(1)
    for other in (copy.copy(users), copy.deepcopy(users), pickle.loads(pickle.dumps(users))):
        assert other.get_user(2)["name"] == "user 2"
        assert pussycache.advise(other)["get_user"].calls == 1
    assert pussycache.advise(users)["get_user"].calls == 1


# What is kept.


class Thing:
    pass


class Holder:
    def same(self, thing):
        return [thing]

    def new(self, thing):
        return Thing()


def test_arguments_and_results_are_not_kept_alive() -> None:
    """What was passed and what was returned is freed as if nobody had looked."""
    holder = pussycache.observe(Holder())
    thing = Thing()
    passed = weakref.ref(thing)
    returned = weakref.ref(holder.new(thing))
    holder.same(thing)
    del thing
    gc.collect()
    assert passed() is None
    assert returned() is None


def test_an_object_at_the_address_of_another_is_not_taken_for_it() -> None:
    """Calls with objects that live only for the call do not repeat one another."""
    holder = pussycache.observe(Holder())
    for _ in range(100):
        holder.same(Thing())
    for _ in range(100):
        holder.new([Thing()])
    report = pussycache.advise(holder)
    assert report["same"].repeated == 0.0
    assert report["new"].repeated == 0.0
    kept = Thing()
    for _ in range(100):
        holder.same(kept)
    assert pussycache.advise(holder)["same"].repeated == pytest.approx(99 / 200)


class Echo:
    def echo(self, *args, **kwargs):
        return args


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (((1,), {}), ((1,), {}), True),
        (((1,), {}), ((True,), {}), False),
        (((1,), {}), ((1.0,), {}), False),
        (((-1,), {}), ((-2,), {}), False),
        ((([-1],), {}), (([-2],), {}), False),
        (((-1.0, "a"), {}), ((-2.0, "a"), {}), False),
        ((([1, {2}],), {}), (([1, {2}],), {}), True),
        ((({"a": 1, "b": 2},), {}), (({"b": 2, "a": 1},), {}), True),
        (((), {"a": 1, "b": 2}), ((), {"b": 2, "a": 1}), True),
        (((), {"a": 1}), ((1,), {}), False),
    ],
)
def test_equal_calls_are_those_of_the_cache(one: Any, other: Any, equal: bool) -> None:
    """Two calls count as one where a cache would answer the second from the first."""
    observed = pussycache.observe(Echo())
    cached = pussycache.wrap(Echo(), cached_methods=["echo"])
    for target in (observed, cached):
        for args, kwargs in (one, other):
            target.echo(*args, **kwargs)
    assert pussycache.info(cached.echo).hits == equal
    assert pussycache.advise(observed)["echo"].repeated == equal / 2


def test_minus_one_is_not_minus_two() -> None:
    """Two numbers that Python gives one hash are two calls, and two results."""

    class Signs:
        def sign(self, number):
            return number

        def turn(self):
            self.number = -3 - getattr(self, "number", -2)
            return self.number

    signs = pussycache.observe(Signs())
    for _ in range(10):
        signs.sign(-1)
        signs.sign(-2)
        signs.turn()
    report = pussycache.advise(signs)
    assert report["sign"].repeated == 18 / 20
    assert report["turn"].changed == 9


def test_memory_is_bounded_whatever_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many different calls come, no more is kept than was said."""
    monkeypatch.setattr(recording, "_KEYS", 200)
    monkeypatch.setattr(recording, "_WATCHED", 50)
    users = pussycache.observe(Echo())
    for number in range(5_000):
        users.echo(number % 3_000, str(number))
        users.echo(number % 300)
    watch = recorder_of(users).watches["echo"]
    assert len(watch.reuse._last) <= 200
    assert len(watch.ages.keys) <= 50
    assert len(watch.passed) <= recording._PASSED
    assert len(watch.times.items) <= recording._TIMES
    assert len(watch.changes.same.items) <= 500
    report = pussycache.advise(users)
    assert not report["echo"].exact
    assert "were followed" in str(report)
    assert report["echo"].error(1_000) > 0.0


def test_threads_lose_no_call() -> None:
    """Calls of several threads at the same moment are all counted."""
    users = pussycache.observe(Users())
    start = threading.Barrier(4)

    def work():
        start.wait()
        for number in range(500):
            users.get_user(number % 50)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = pussycache.advise(users)
    assert report["get_user"].calls == 2_000
    assert report["get_user"].repeated == 1_950 / 2_000
    assert report.lost == 0


def test_a_call_from_within_the_bookkeeping_is_counted_and_does_no_harm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A finalizer that calls the object while a call is noted neither hangs nor breaks anything."""
    users = pussycache.observe(Users())

    def calls_again(*args):
        monkeypatch.setattr(recording, "digest", digest)
        users.get_user(5)
        return digest(*args)

    monkeypatch.setattr(recording, "digest", calls_again)
    users.get_user(1)
    report = pussycache.advise(users)
    assert report["get_user"].calls == 2
    assert report.lost == 1


def test_a_fault_in_the_bookkeeping_never_reaches_the_caller(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that cannot be noted is answered all the same; it is logged, and the report tells."""
    users = pussycache.observe(Users())

    def fails(*args):
        raise ZeroDivisionError("broken")

    monkeypatch.setattr(recording, "digest", fails)
    assert users.get_user(1)["name"] == "user 1"
    assert users.get_user(2)["name"] == "user 2"
    assert len(caplog.records) == 1
    assert "2 calls could not be noted" in str(pussycache.advise(users))


# The figures.


def test_the_hit_ratio_is_that_of_an_lru_cache() -> None:
    """A loop over eight keys always misses with seven entries, and with eight only at first."""
    users = pussycache.observe(Users())
    for number in range(80):
        users.get_user(number % 8)
    method = pussycache.advise(users)["get_user"]
    assert method.hit_ratio(entries=7) == 0.0
    assert method.hit_ratio(entries=8) == 72 / 80 == method.repeated
    assert method.exact
    assert method.error(8) == 0.0


class Slow:
    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock

    def tenth(self):
        return int(self.clock() / 10)

    def steady(self):
        return "always"

    def opaque(self):
        return [threading.Lock()]


@pytest.mark.parametrize("ttl", [2, 5, 10, 60, timedelta(seconds=5), None])
def test_hits_and_wrong_answers_by_ttl_are_those_of_a_cache(clock: FakeClock, ttl: Any) -> None:
    """What is said of a ttl is what a cache with that ttl would have done to the same calls."""
    observed, truth = pussycache.observe(Slow(clock)), Slow(clock)
    cached = pussycache.wrap(Slow(clock), cached_methods={"tenth": pussycache.Cached(ttl=ttl)})
    wrong = 0
    for _ in range(400):
        observed.tenth()
        wrong += cached.tenth() != truth.tenth()
        clock.advance(1)
    method = pussycache.advise(observed)["tenth"]
    assert method.hit_ratio(ttl=ttl) == pytest.approx(pussycache.info(cached.tenth).hit_ratio)
    assert method.wrong_ratio(ttl=ttl) == pytest.approx(wrong / 400)


def test_what_is_counted_and_not_looked_at_is_a_hit(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no time to look at results, the hits by ttl are as right as ever."""
    for budget in ("_GRACE", "_A_CALL", "_SHARE"):
        monkeypatch.setattr(recording, budget, 0.0)
    observed = pussycache.observe(Slow(clock))
    cached = pussycache.wrap(Slow(clock), cached_methods={"tenth": 1})
    for _ in range(1_000):
        observed.tenth()
        cached.tenth()
        clock.advance(0.04)
    method = pussycache.advise(observed)["tenth"]
    assert method.compared == 0
    assert method.hit_ratio(ttl=1) == pytest.approx(
        pussycache.info(cached.tenth).hit_ratio, abs=2e-3
    )
    assert method.wrong_ratio(ttl=1) is None


def test_hits_by_size_and_ttl_are_those_of_a_cache(clock: FakeClock) -> None:
    """Size and ttl together are near to what an LRU cache with both would have done."""
    users = pussycache.observe(Users())
    stored: dict[int, float] = {}
    hits = 0
    for number in range(3_000):
        key = (number * number // 7) % 40
        users.get_user(key)
        age = clock() - stored.pop(key, -1e9)
        hits += age < 10
        stored[key] = clock() - age if age < 10 else clock()
        if len(stored) > 20:
            del stored[next(iter(stored))]
        clock.advance(0.25)
    found = pussycache.advise(users)["get_user"].hit_ratio(entries=20, ttl=10)
    assert found == pytest.approx(hits / 3_000, abs=0.05)


def test_results_that_cannot_be_compared_are_unknown(clock: FakeClock) -> None:
    """Of results that nobody can look into, nothing is said: neither wrong nor right."""
    observed = pussycache.observe(Slow(clock))
    for _ in range(100):
        observed.opaque()
        observed.steady()
        clock.advance(1)
    report = pussycache.advise(observed)
    assert report["opaque"].compared == 0
    assert report["opaque"].wrong_ratio(ttl=60) is None
    assert report["steady"].wrong_ratio(ttl=60) == 0.0
    fields = json.loads(report.to_json())["methods"]["opaque"]["ttl"]
    assert {entry["wrong_ratio"] for entry in fields if entry["seconds"] > 1} == {None}


def test_costs_sizes_and_changes_are_measured(clock: FakeClock) -> None:
    """Time a call, bytes a result, changes and the time until they were seen are told."""
    users = pussycache.observe(Users(clock))
    for number in range(30):
        users.get_user(1)
        clock.advance(4.99)
        if number % 3 == 2:
            users.rename_user(1, f"name {number}")
    method = pussycache.advise(users)["get_user"]
    assert method.mean == pytest.approx(0.01)
    assert method.median == pytest.approx(0.01)
    assert 100 < method.size < 2_000
    assert (method.compared, method.changed) == (29, 9)
    assert method.change_after == pytest.approx(5.02)
    assert method.saved(10) == pytest.approx(0.01 * 29 * (1 - method.invalidated), rel=0.01)


@pytest.mark.parametrize("entries", [-1, "many", True, float("nan")], ids=repr)
def test_a_size_that_is_none_is_refused(entries: Any) -> None:
    """`hit_ratio` wants a number of entries that there can be, and a ttl that is a duration."""
    users = pussycache.observe(Users())
    method = pussycache.advise(users)["get_user"]
    with pytest.raises(pussycache.ConfigurationError, match="entries"):
        method.hit_ratio(entries)
    with pytest.raises(pussycache.ConfigurationError, match="ttl"):
        method.hit_ratio(10, ttl=-1)
    with pytest.raises(KeyError):
        pussycache.advise(users)["no_such_method"]


class Named(dict[str, int]):
    name = "class"


class Marked(set[str]):
    mark: Any = None


def made(kind: Any, content: Any, **attributes: Any) -> Any:
    value = kind(content)
    value.__dict__.update(attributes)
    return value


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ([1, {"a": (2.5, None)}], [1, {"a": (2.5, None)}], True),
        ([1], (1,), False),
        ([1], [True], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({(1, 2), (3, 4), "x"}, {"x", (3, 4), (1, 2)}, True),
        (made(Named, {"a": 1, "b": 2}), made(Named, {"b": 2, "a": 1}), True),
        (made(Named, {"a": 1}, name="b"), made(Named, {"a": 1}, name="c"), False),
        (made(Marked, [str(n) for n in range(20)]), made(Marked, map(str, range(20))), True),
        (made(Marked, "a", mark=[1]), made(Marked, "a", mark=[2]), False),
        (float("nan"), float("nan"), True),
        (Users(), Users(), True),
        (timedelta(1), timedelta(2), False),
        (timedelta(1), timedelta(1), True),
    ],
)
def test_values_are_compared_by_what_they_are(one: Any, other: Any, same: bool) -> None:
    """Equal values have one number, whatever the order of what has none; different ones two."""
    assert digest(one, None) is not None
    assert (digest(one, None) == digest(other, None)) is same


def test_what_cannot_be_looked_into_has_no_number() -> None:
    """Locks, functions, circles and very large values have none, and nobody's code is run."""

    class Fierce:
        def __eq__(self, other):
            raise AssertionError("nobody asked")

        __hash__ = __repr__ = __eq__

    circle: list[Any] = []
    circle.append(circle)
    for value in (threading.Lock(), len, circle, [[0]] * 30_000):
        assert digest([value], None) is None
    assert digest(Fierce(), None) is not None


# The advice.


def worked(clock: FakeClock, calls: int = 600) -> Any:
    users = pussycache.observe(Users(clock))
    for number in range(calls):
        users.get_user((number * number) % 23)
        if number % 3 == 0:
            users.list_users()
        if number % 20 == 19:
            users.rename_user((number * 7) % 23, f"name {number}")
        clock.advance(0.1)
    return users


def test_what_came_before_changes_is_suspected(clock: FakeClock) -> None:
    """The method that writes explains all changes; one that is only called often explains none."""
    report = pussycache.advise(worked(clock))
    assert [suspect.method for suspect in report["list_users"].suspects] == ["rename_user"]
    assert [suspect.method for suspect in report["get_user"].suspects] == ["rename_user"]
    assert report["get_user"].suspects[0].same == ("user_id", "user_id")
    assert report["get_user"].suspects[0].otherwise == 0.0
    assert report["get_user"].unexplained == 0.0
    assert report["rename_user"].advice == "writes"
    assert report["get_user"].advice == report["list_users"].advice == "cache"


def test_the_pasted_call_works_and_invalidates(clock: FakeClock) -> None:
    """The code in the report is a call of `wrap` that remembers, and forgets after the writes."""
    report = pussycache.advise(worked(clock))
    space = {"target": Users()}
    exec(report.paste, space)
    users = space["target"]
    assert users.get_user(1)["name"] == "user 1"
    users.get_user(2)
    assert len(users.list_users()) == 100
    users.rename_user(1, "eve")
    assert users.get_user(1)["name"] == "eve"
    assert "eve" in users.list_users()
    assert pussycache.peek(users.get_user, 2) is not pussycache.MISSING


def test_one_key_is_not_enough_for_a_narrow_rule(clock: FakeClock) -> None:
    """Where writes and reads were always of one key, the whole method is to be forgotten."""
    users = pussycache.observe(Users(clock))
    for number in range(100):
        users.get_user(1)
        if number % 5 == 4:
            users.rename_user(1, f"name {number}")
    report = pussycache.advise(users)
    assert [suspect.same for suspect in report["get_user"].suspects] == [None]
    assert "'rename_user': ['get_user']" in report.paste


def test_a_narrow_rule_that_leaves_changes_is_made_a_wide_one() -> None:
    """If a change came after other arguments, too, the whole method is suspected."""
    changes = Changes()
    wide, narrow = Before("write"), Before("write", ("key", "key"))
    for _ in range(60):
        changes.note(True, 1.0, lambda: frozenset({wide, narrow}))
        changes.note(False, 1.0, lambda: frozenset({wide}))
    assert suspects(changes)[0][0].same == ("key", "key")
    changes.note(True, 1.0, lambda: frozenset({wide}))
    found, unexplained = suspects(changes)
    assert [(one.method, one.same, one.before) for one in found] == [("write", None, 61)]
    assert unexplained == 0.0


def test_a_method_that_changes_others_is_not_cached_itself(clock: FakeClock) -> None:
    """A slow method that always answers the same is left alone if others change after it."""

    class Lamp:
        lit = False

        def read(self):
            clock.advance(0.01)
            return self.lit

        def toggle(self):
            clock.advance(0.01)
            self.lit = not self.lit
            return "toggled"

    lamp = pussycache.observe(Lamp())
    for number in range(200):
        lamp.read()
        if number % 5 == 0:
            lamp.toggle()
    report = pussycache.advise(lamp)
    assert report["read"].advice == "cache"
    assert report["toggle"].advice == "writes"
    assert report["toggle"].entries is None
    assert "'toggle': ['read']" in report.paste


def test_changes_that_nothing_explains_are_left_to_a_ttl(clock: FakeClock) -> None:
    """A result that changes by itself is cached for a time in which it rarely does."""

    class Weather:
        def now(self):
            clock.advance(0.01)
            return int(clock() / 300)

        def other(self):
            return 1

    weather = pussycache.observe(Weather())
    for number in range(3_000):
        weather.now()
        if number % 2:
            weather.other()
        clock.advance(0.5)
    method = pussycache.advise(weather)["now"]
    assert method.advice == "cache"
    assert method.suspects == ()
    assert method.ttl is not None
    assert 1 <= method.ttl <= 10
    assert f"Cached(ttl={method.ttl:g})" in pussycache.advise(weather).paste


def test_few_calls_are_too_few_to_say(clock: FakeClock) -> None:
    """After a handful of calls, nothing is advised."""
    users = pussycache.observe(Users(clock))
    for _ in range(5):
        users.get_user(1)
    report = pussycache.advise(users)
    assert report["get_user"].advice == "too few calls"
    assert "get_user: too few calls to say (5 calls)." in str(report)
    assert "wrap(" not in report.paste
    exec(report.paste)


class Awkward:
    def ids(self):
        return iter([1])

    def stream(self):
        yield 1

    def me(self):
        return self

    def send(self, mail):
        return None

    def cheap(self, number):
        return number

    def new(self, number):
        return number

    def unkeyable(self, thing):
        return 1


class NoKey:
    __hash__ = None


def test_what_cannot_or_should_not_be_cached_is_told_with_a_remedy(clock: FakeClock) -> None:
    """Iterators, generators, commands, cheap calls and odd arguments are not advised to cache."""
    awkward = pussycache.observe(Awkward())
    for number in range(50):
        awkward.ids()
        list(awkward.stream())
        awkward.me()
        awkward.send("hello")
        awkward.cheap(1)
        awkward.new(number)
        awkward.unkeyable(NoKey())
    report = pussycache.advise(awkward)
    assert {method.name: method.advice for method in report.called} == {
        "ids": "cannot",
        "stream": "cannot",
        "me": "cannot",
        "send": "writes",
        "cheap": "not worth it",
        "new": "not worth it",
        "unkeyable": "cannot",
    }
    assert "materialize=True" in report["stream"].reasons
    assert "materialize=True" in report["ids"].reasons
    assert "ignore=" in report["unkeyable"].reasons
    assert "None each time" in report["send"].reasons
    assert report["unkeyable"].unkeyable == 50


def test_a_method_that_fails_is_not_said_to_be_answered() -> None:
    """A cache stores no exception: calls that only raise are no hits."""
    users = pussycache.observe(Users())
    for _ in range(50):
        with pytest.raises(LookupError):
            users.fail(1)
    report = pussycache.advise(users)
    assert report["fail"].repeated == 0.0
    assert report["fail"].advice == "not worth it"


def test_reports_are_snapshots_and_watching_goes_on() -> None:
    """A report does not change with later calls; the next one has them."""
    users = pussycache.observe(Users())
    users.get_user(1)
    first = pussycache.advise(users)
    users.get_user(1)
    assert first["get_user"].calls == 1
    assert first["get_user"].repeated == 0.0
    assert pussycache.advise(users)["get_user"].repeated == 0.5


# The report's forms.

HOSTILE = "</script><script>alert('1')</script>\n'''\"\ud800"


def hostile() -> Any:
    kind: Any = type("<b>Bad\n</b>", (), {})
    setattr(kind, HOSTILE, lambda self, secret="hunter2": {"password": "hunter3"})
    kind.write = lambda self: 5
    return kind()


def test_hostile_names_do_no_harm(clock: FakeClock) -> None:
    """Names that are code or markup stay names, in text, code, JSON and HTML."""
    observed = pussycache.observe(hostile())
    for _ in range(100):
        getattr(observed, HOSTILE)("hunter2")
        clock.advance(1)
    watch = recorder_of(observed).watches[HOSTILE]
    watch.seconds = 10.0
    report = pussycache.advise(observed)
    assert report[HOSTILE].advice == "cache"
    space = {"target": hostile()}
    exec(report.paste, space)
    assert pussycache.info(getattr(space["target"], HOSTILE)).misses == 0
    page = report.to_html()
    page.encode()
    assert "<script>" not in page
    assert "<b>" not in page
    assert json.loads(report.to_json())["methods"][HOSTILE]["calls"] == 100
    for form in (page, str(report), report.to_json(), report.paste):
        assert "hunter" not in form
    assert not any(line.startswith("'''") for line in str(report).splitlines())


def test_the_page_stands_alone_and_is_readable_everywhere(clock: FakeClock) -> None:
    """The page loads nothing, has plots, follows the reader's colours, and fits a phone."""
    page = pussycache.advise(worked(clock)).to_html()
    assert page.count("<svg") == 4
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page
    for outside in ("http:", "https:", "src=", "href=", "url(", "@import", "<script"):
        assert outside not in page


def test_json_has_the_curves(clock: FakeClock) -> None:
    """The JSON holds what the report says, and nothing that is not JSON."""
    report = pussycache.advise(worked(clock))
    read = json.loads(report.to_json(), parse_constant=pytest.fail)
    fields = read["methods"]["get_user"]
    assert fields["calls"] == 600
    assert fields["curve"][-1]["hit_ratio"] == report["get_user"].repeated
    assert fields["curve"][0]["entries"] == 1
    assert fields["suspects"][0]["method"] == "rename_user"
    assert "stream" in read["not_called"]
    compile(read["paste"], "<paste>", "exec")


def test_the_text_gives_reasons(clock: FakeClock) -> None:
    """The text says in plain words what to do, and why."""
    text = str(pussycache.advise(worked(clock)))
    assert "get_user: cache it: 98 % of 600 calls repeated an earlier one" in text
    assert "after rename_user(...) with the same user_id" in text
    assert "rename_user: do not cache it: it came before changes of" in text


def test_an_attribute_of_a_function_is_there_on_the_watcher() -> None:
    """What a decorator put on a method can be read through the stand-in."""

    def marked(function):
        @functools.wraps(function)
        def inner(*args):
            return function(*args)

        inner.mark = "here"
        return inner

    class Marked:
        @marked
        def method(self):
            return 1

    assert pussycache.observe(Marked()).method.mark == "here"
