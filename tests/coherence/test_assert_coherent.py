"""assert_coherent finds what a declaration forgets, with the shortest history, and nothing else."""

import asyncio
import copy
import functools
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

import pussycache
from pussycache import Cached, ConfigurationError, Each, Forget, cached, invalidates, testing
from pussycache.engine import clock
from pussycache.engine.generations import Table
from pussycache.testing import IncoherentError, held
from pussycache.testing.calls import parsed
from pussycache.testing.interleavings import orders

# How much is tried must not depend on how busy the machine is.
assert_coherent = functools.partial(testing.assert_coherent, seconds=600)

READS = ["get_user", "list_users", "find"]
CALLS = [
    ("get_user", 7),
    ("get_user", 8),
    "list_users",
    ("find", "ada"),
    ("rename_user", 7, "eve"),
    ("swap", 7, 8),
    ("delete", 7),
]
GOOD = {
    "rename_user": ["list_users", "find", Forget("get_user", "user_id")],
    "swap": [Forget("get_user", user_id="a"), Forget("get_user", user_id="b"), "find"],
    "delete": ["*"],
}


class Users:
    """A repository with an index beside its rows."""

    def __init__(self):
        self.rows = {7: "ada", 8: "bob"}
        self.by_name = {"ada": 7, "bob": 8}

    def get_user(self, user_id):
        return self.rows[user_id]

    def list_users(self):
        return sorted(self.rows.values())

    def find(self, name):
        return self.by_name.get(name)

    def _put(self, user_id, name):
        self.by_name.pop(self.rows.get(user_id), None)
        self.rows[user_id] = name
        self.by_name[name] = user_id

    def rename_user(self, user_id, name):
        self._put(user_id, name)

    def swap(self, a, b):
        one, other = self.rows[a], self.rows[b]
        self._put(a, other)
        self._put(b, one)
        self.by_name |= {one: b, other: a}

    def delete(self, user_id):
        self.by_name.pop(self.rows.pop(user_id))


class AsyncUsers(Users):
    async def get_user(self, user_id):
        await asyncio.sleep(0)
        return self.rows[user_id]

    async def rename_user(self, user_id, name):
        await asyncio.sleep(0)
        self._put(user_id, name)


@dataclass
class Point:
    x: int = 0
    seen: list = field(default_factory=list)

    def norm(self):
        return abs(self.x)

    def move(self, by):
        self.x += by
        return self


class Slots:
    __slots__ = ("count",)

    def __init__(self):
        self.count = 0

    def get(self):
        return self.count

    def put(self, count):
        self.count = count

    def both(self, count):
        self.count = count


def wrong(*args, **kwargs):
    with pytest.raises(IncoherentError) as caught:
        assert_coherent(*args, **kwargs)
    return caught.value


@pytest.mark.parametrize("make", [Users, AsyncUsers])
def test_a_right_declaration_passes(make):
    """A declaration that leaves nothing out passes, and the result says how much was tried."""
    tried = assert_coherent(make, READS, GOOD, calls=CALLS)
    assert tried.complete
    assert tried.histories == 7 + 7**2 + 7**3 + 200
    assert tried.interleavings > 200


LEFT_OUT = {
    "rule without a match": ("swap", Forget("get_user", user_id="b"), "get_user(8)", "swap(7, 8)"),
    "method": ("rename_user", "find", "find('ada')", "rename_user(7, 'eve')"),
    "other method": ("rename_user", "list_users", "list_users()", "rename_user(7, 'eve')"),
}


@pytest.mark.parametrize("make", [Users, AsyncUsers])
@pytest.mark.parametrize("what", LEFT_OUT)
def test_what_is_left_out_is_named(what, make):
    """One target too few, and the shortest history and both methods are in the error."""
    name, target, read, write = LEFT_OUT[what]
    writes = GOOD | {name: [one for one in GOOD[name] if one != target]}
    error = wrong(make, READS, writes, calls=CALLS)
    assert (str(error.read), str(error.write)) == (read, write)
    assert len(error.history) == 3
    assert repr(error.read.name) in error.remedy
    assert f"invalidate_methods[{name!r}]" in error.remedy
    assert error.history[2].startswith(f"{read} -> ")
    assert error.remedy in str(error)


@pytest.mark.parametrize("name", GOOD)
def test_a_write_that_is_not_declared_is_named(name):
    """A write that the declaration does not know at all is found, and what to add is said."""
    writes = {write: targets for write, targets in GOOD.items() if write != name}
    error = wrong(Users, READS, writes, calls=CALLS)
    assert error.write.name == name
    assert f"add {name!r}: [{error.read.name!r}] to invalidate_methods" in error.remedy


def test_the_answers_are_in_the_error():
    """The error has the stale answer, the right one, and the seed."""
    error = wrong(Users, READS, calls=CALLS, seed=5)
    assert (error.got, error.wanted, error.seed) == ("ada", "eve", 5)
    assert "seed=5" in str(error)


def test_a_raised_exception_is_an_answer():
    """Where the bare object raises and the wrapped one answers, that is a stale answer."""
    writes = GOOD | {"delete": ["list_users", "find"]}
    error = wrong(Users, READS, writes, calls=CALLS)
    assert isinstance(error.wanted, KeyError)
    assert error.got == "ada"


def test_exceptions_are_compared_by_type_and_arguments():
    """Two exceptions of one type with other arguments are two answers."""

    class Fails:
        count = 0

        def fail(self):
            raise LookupError(self.count)

        def get(self):
            return 1

        def put(self):
            self.count += 1

    assert_coherent(Fails, ["get"], {"put": ["get"]}, calls=["fail", "get", "put"])

    class Counts(Fails):
        def get(self):
            self.count += 1

    error = wrong(Counts, ["get"], calls=["fail", "get"])
    assert (error.got.args, error.wanted.args) == ((1,), (2,))


@pytest.mark.parametrize("make", [Slots, lambda: pussycache.wrap(Slots())], ids=["slots", "proxy"])
def test_objects_with_slots(make):
    """An object without a dictionary is tried like any other."""
    if make is Slots:
        calls = ["get", ("put", 1), ("both", 2)]
        assert wrong(Slots, ["get"], {"put": ["get"]}, calls=calls).write.name == "both"
        assert_coherent(Slots, ["get"], {"put": ["get"], "both": ["get"]}, calls=calls)
    else:
        with pytest.raises(ConfigurationError, match="nothing is cached"):
            assert_coherent(make, calls=["get"])


def test_methods_that_return_their_object():
    """A method that returns self answers the same on both sides, although they are two objects."""
    calls = ["norm", ("move", 1)]
    assert_coherent(Point, ["norm"], {"move": ["norm"]}, calls=calls)
    assert wrong(Point, ["norm"], calls=calls).write.name == "move"

    class Chain(Slots):
        __slots__ = ()

        def put(self, count):
            self.count = count
            return self

    calls = ["get", ("put", 1)]
    equal = int.__eq__  # knows nothing of chains
    assert_coherent(Chain, ["get"], {"put": ["get"]}, calls=calls, equal=equal)


def test_a_long_history_is_made_as_short_as_it_can_be():
    """What only a long history shows is found at random, and told without the superfluous calls."""

    class Counter:
        def __init__(self):
            self.pressed, self.shown = 0, 0

        def get(self):
            return self.shown

        def press(self):
            self.pressed += 1
            if self.pressed == 4:
                self.shown = 1

        def other(self):
            return None

    error = wrong(Counter, ["get"], {"other": []}, calls=["other", "get", "press"])
    assert [step.split(" ")[0] for step in error.history] == [
        *["press()"] * 3,
        "get()",
        "press()",
        "get()",
    ] or sorted(step.split(" ")[0] for step in error.history) == [
        "get()",
        "get()",
        *["press()"] * 4,
    ]
    assert error.write.name == "press"
    assert "other" not in str(error)


def test_the_write_that_matters_is_blamed():
    """Of several writes that a history needs, the one that changed the answer is named."""

    class Accounts:
        def __init__(self):
            self.rows, self.pending = {}, {}

        def balance(self):
            return dict(self.rows)

        def deposit(self):
            self.pending["ada"] = 1

        def commit(self):
            self.rows |= self.pending

    error = wrong(
        Accounts, ["balance"], {"deposit": ["balance"]}, calls=["balance", "deposit", "commit"]
    )
    assert error.write.name == "commit"


def test_the_same_seed_finds_the_same_history():
    """What is found at random is found again with the seed."""

    class Rare(Slots):
        __slots__ = ("presses",)

        def put(self, count):
            self.presses = getattr(self, "presses", 0) + 1
            if self.presses == 4:
                self.count = count

    calls = ["get", ("put", 1), ("both", 2)]
    found = [
        wrong(Rare, ["get"], {"both": ["get"]}, calls=calls, length=1, seed=3).history
        for _ in range(2)
    ]
    assert found[0] == found[1]
    assert "both" not in "".join(found[0])


def test_lists_that_are_changed_later():
    """An answer is compared when it is given, not when the object has changed it since."""

    class Log:
        def __init__(self):
            self.lines = []

        def all(self):
            return self.lines

        def copied(self):
            return list(self.lines)

        def add(self, line):
            self.lines.append(line)

    calls = ["all", ("add", "x")]
    assert_coherent(Log, ["all"], calls=calls)  # it is the object's own list
    assert wrong(Log, ["copied"], calls=["copied", ("add", "x")]).got == []
    assert_coherent(Log, {"all": Cached(copy="deep")}, {"add": ["all"]}, calls=calls)


def test_arguments_are_made_anew_for_each_call():
    """A method that changes the list that it is given does not spoil the other calls."""

    class Bag:
        def __init__(self):
            self.items = ()

        def all(self):
            return self.items

        def take(self, items):
            while items:
                self.items += (items.pop(),)

    for call in (("take", [1, 2]), lambda bag: bag.take([1, 2])):
        assert wrong(Bag, ["all"], calls=["all", call]).wanted == (2, 1)
        assert_coherent(Bag, ["all"], {"take": ["all"]}, calls=["all", call])


def test_iterators_are_read_out():
    """A method that yields is compared by what it yields, and so is a materialized one."""

    class Rows:
        def __init__(self):
            self.rows = [1]

        def each(self):
            yield from self.rows

        def add(self):
            self.rows.append(2)

    policy = {"each": Cached(materialize=True)}
    assert wrong(Rows, policy, calls=["each", "add"]).got == [1]
    assert_coherent(Rows, policy, {"add": ["each"]}, calls=["each", "add"])


def test_async_iterators_are_read_out():
    """The same for async generators."""

    class Rows:
        def __init__(self):
            self.rows = [1]

        async def each(self):
            for row in self.rows:
                yield row

        async def add(self):
            self.rows.append(2)

    policy = {"each": Cached(materialize=True)}
    assert wrong(Rows, policy, calls=["each", "add"]).got == [1]
    assert_coherent(Rows, policy, {"add": ["each"]}, calls=["each", "add"])


def test_answers_without_an_equality_are_compared_by_their_attributes():
    """Objects whose class says nothing of equality are told apart by what is in them."""

    class User:
        def __init__(self, name):
            self.name = name
            self.friend = self

    class Repository:
        def __init__(self):
            self.user = User("ada")

        def get(self):
            return self.user

        def rename(self, name):
            self.user = User(name)

    calls = ["get", ("rename", "eve")]
    assert wrong(Repository, ["get"], calls=calls).got.name == "ada"
    assert_coherent(Repository, ["get"], {"rename": ["get"]}, calls=calls)


class Vector:
    """Like an array: compares item by item, and is neither true nor false."""

    def __init__(self, *items):
        self.items = items

    def __eq__(self, other):
        return Vector(*[a == b for a, b in zip(self.items, other.items, strict=True)])

    __hash__ = None

    def __bool__(self):
        raise ValueError("the truth of a vector is ambiguous")


class Vectors:
    def __init__(self):
        self.value = 1

    def get(self):
        return Vector(self.value)

    def put(self):
        self.value = 2


def test_answers_that_cannot_be_compared():
    """They are an error that names `equal`; with it they are compared."""
    with pytest.raises(ConfigurationError, match=r"answers of get\(\) cannot be compared.*equal="):
        assert_coherent(Vectors, ["get"], calls=["get", "put"])

    def equal(one, other):
        return getattr(one, "items", None) == getattr(other, "items", None)

    assert_coherent(Vectors, ["get"], {"put": ["get"]}, calls=["get", "put"], equal=equal)
    with pytest.raises(ConfigurationError, match=r"equal cannot compare the answers of get\(\)"):
        assert_coherent(Vectors, ["get"], calls=["get"], equal=lambda one, other: one == other)
    assert wrong(Vectors, ["get"], calls=["get", "put"], equal=equal).write.name == "put"


def test_not_a_number_is_itself():
    """A method that answers nan answers the same as before."""

    class Nan:
        def get(self):
            return [float("nan")]

    assert_coherent(Nan, ["get"], calls=["get"])


def test_chance_is_not_blamed_on_the_declaration():
    """Where two bare objects differ already, that is what is said."""
    numbers = itertools.count()

    class Chance(Users):
        def token(self):
            return next(numbers)

    with pytest.raises(
        ConfigurationError, match=r"answer token\(\) differently.*without any cache"
    ):
        assert_coherent(Chance, READS, GOOD, calls=[*CALLS, "token"])


def test_shared_state_is_not_blamed_on_the_declaration():
    """Objects that share a list are not made anew, and that is said."""
    shared = []

    class Shares:
        def get(self):
            return len(shared)

        def put(self):
            shared.append(1)
            return len(shared)

    with pytest.raises(ConfigurationError, match="the objects share state"):
        assert_coherent(Shares, ["get"], {"put": ["get"]}, calls=["get", "put"])


def test_what_happens_once_only():
    """Where the same calls made again answer rightly, that is said."""
    once = [1, 2, 3]

    class Once:
        def get(self):
            return once.pop() if len(once) > 2 else 0

    with pytest.raises(ConfigurationError, match="not when the same calls were made again"):
        assert_coherent(Once, ["get"], calls=["get"])


def test_an_error_is_told_alone():
    """The error does not come as one that was raised while another one was handled."""
    for make in (Users, AsyncUsers):
        assert wrong(make, READS, calls=CALLS).__context__ is None


def test_a_plain_method_that_needs_a_loop():
    """A plain method that returns what only a loop can wait for is a mistake among the calls."""

    class Sleeps(Slots):
        __slots__ = ()

        def rest(self):
            return asyncio.sleep(0)

    with pytest.raises(ConfigurationError, match="waits for an event loop"):
        assert_coherent(Sleeps, ["get"], calls=["get", "rest"])


class Counts:
    def __init__(self):
        self.hits = 0

    def get(self):
        self.hits += 1
        return "value"

    def next_number(self):
        self.hits += 1
        return self.hits

    def stats(self):
        return self.hits


def test_a_cached_method_that_writes():
    """A cached method that changes something is told from a declaration that lacks a target."""
    error = wrong(Counts, ["get"], calls=["get", "stats"])
    assert (error.read.name, error.write.name) == ("stats", "get")
    assert "take 'get' out of cached_methods" in error.remedy

    error = wrong(Counts, ["next_number"], calls=["next_number"])
    assert "take 'next_number' out of cached_methods" in error.remedy

    for calls in (["get", "stats"], ["stats", "get"]):
        error = wrong(Counts, ["get", "stats"], calls=calls)
        assert error.write.name == "get"
        assert "'get' is cached, but it also writes" in error.remedy.replace("get()", "'get'")


def test_the_cached_method_that_writes_is_blamed():
    """Not another call that the history needs."""

    class Armed(Counts):
        armed = False

        def arm(self):
            self.armed = True

        def get(self):
            self.hits += self.armed

    error = wrong(Armed, ["get"], calls=["arm", "get", "stats"])
    assert [step.split(" ")[0] for step in error.history] == ["arm()", "get()", "get()", "stats()"]
    assert error.write.name == "get"


def test_a_key_that_leaves_out_too_much():
    """Calls that share an entry and should not are told from a missing target."""
    error = wrong(Users, {"get_user": Cached(ignore=["user_id"])}, calls=CALLS[:2])
    assert "ignore= of cached_methods['get_user']" in error.remedy
    assert len(error.history) == 2


def test_calls_that_share_an_entry_rightly():
    """Calls that mean the same, written in two ways, do not hide the write that is to blame."""
    calls = [("get_user", 7), lambda users: users.get_user(user_id=7), ("rename_user", 7, "eve")]
    error = wrong(Users, ["get_user"], calls=calls)
    assert error.write.name == "rename_user"

    def only_by_name(user_id, trace):
        return user_id

    class Traced(Users):
        def get_user(self, user_id, trace):
            return self.rows[user_id]

    calls = [("get_user", 7, 1), ("get_user", 7, 2), ("rename_user", 7, "eve")]
    error = wrong(Traced, {"get_user": Cached(key=only_by_name)}, calls=calls, length=1, seed=1)
    assert error.write.name == "rename_user"


# Threads and tasks.


def test_a_load_and_a_write_overlap_in_every_order():
    """There are twenty orders of three steps each, and each actor goes its way in its order."""
    get, rename = (pussycache.declare.signatures.find(Users(), n, "") for n in ("find", "swap"))
    found = list(orders(get, rename))
    assert len(set(found)) == len(found) == 20
    for order in found:
        for who in ("load", "write"):
            assert [step for actor, step in order if actor == who] == ["before", "after", "end"]


def _only_before(monkeypatch):
    def shut(self, fence, cause):
        self._drop(fence, cause)

    monkeypatch.setattr(Table, "shut", shut)
    monkeypatch.setattr(Table, "open", lambda self, fence, cause: None)


def _only_what_is_there(monkeypatch):
    def forget(self, fence, cause):
        self.entries = {}

    monkeypatch.setattr(Table, "shut", forget)
    monkeypatch.setattr(Table, "open", forget)


def _nothing_is_fenced(monkeypatch):
    monkeypatch.setattr(Table, "fenced", lambda self, values: False)
    monkeypatch.setattr(Table, "open", lambda self, fence, cause: None)


@pytest.mark.parametrize("make", [Slots, AsyncUsers])
@pytest.mark.parametrize("broken", [_only_before, _only_what_is_there, _nothing_is_fenced])
def test_a_cache_that_breaks_its_promise_is_caught(make, broken, monkeypatch):
    """Caches that invalidate as naive ones do answer rightly one call after the other only."""
    broken(monkeypatch)
    if make is Slots:
        error = wrong(Slots, ["get"], {"put": ["get"]}, calls=["get", ("put", 1)])
    else:
        calls = [("get_user", 7), ("rename_user", 7, "eve")]
        error = wrong(AsyncUsers, ["get_user"], {"rename_user": ["get_user"]}, calls=calls)
    assert any("is held" in step for step in error.history)
    assert "this library breaks its promise" in error.remedy


def test_an_overlap_is_told_only_where_it_takes_one():
    """What an overlap after other calls has shown is told as a plain history, if that shows it."""

    class Carts:
        def __init__(self):
            self.price, self.carts = 1, {}

        def total(self):
            return self.price * sum(self.carts.values())

        def add(self):
            self.carts["tea"] = 1

        def reprice(self):
            self.price = 2

    told = set()
    for seed in range(40):
        try:
            assert_coherent(
                Carts,
                ["total"],
                {"add": ["total"]},
                calls=["total", "add", "reprice"],
                length=1,
                histories=1,
                seed=seed,
            )
        except IncoherentError as error:
            told.add(tuple([step.split(" ")[0] for step in error.history]))
    assert ("add()", "total()", "reprice()", "total()") in told
    assert {len(history) for history in told} == {4}


def impatient(monkeypatch, kind):
    """Wait briefly for the one step that hangs, and for others as long as ever."""
    go_on = kind.go_on

    async def going_on(actor):
        hangs = (actor.name, actor._at) == ("put", "before")
        monkeypatch.setattr(held, "PATIENCE", 0.1 if hangs else 60.0)
        await go_on(actor)

    monkeypatch.setattr(kind, "go_on", going_on)


def test_a_call_that_does_not_come_back(monkeypatch, gate):
    """A call that hangs when it is not alone is told as that, with the story."""
    impatient(monkeypatch, held.InThread)

    class Hangs(Slots):
        __slots__ = ()

        def put(self, count):
            if threading.current_thread() is not threading.main_thread():
                gate.opened.wait()

    with pytest.raises(AssertionError, match=r"put\(1\) does not come back:\n.*is held") as caught:
        assert_coherent(Hangs, ["get"], {"put": ["get"]}, calls=["get", ("put", 1)], length=1)
    assert not isinstance(caught.value, IncoherentError)


def test_a_coroutine_that_does_not_come_back(monkeypatch):
    """The same for async methods."""
    impatient(monkeypatch, held.InTask)
    tasks = set()

    class Hangs(Slots):
        __slots__ = ()

        async def put(self, count):
            tasks.add(asyncio.current_task())
            if len(tasks) > 1:
                await asyncio.Event().wait()

    with pytest.raises(AssertionError, match=r"put\(1\) does not come back:\n"):
        assert_coherent(Hangs, ["get"], {"put": ["get"]}, calls=["get", ("put", 1)], length=1)


class Late(Users):
    """Hands the work to somebody else, and returns."""

    def rename_user(self, user_id, name):
        self.start(lambda: self._put(user_id, name))

    def start(self, work):
        thread = threading.Thread(target=work)
        thread.start()


class LateWaits(Late):
    def start(self, work):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()


class LatePool(Late):
    def start(self, work):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(work)


class LatePoolLeft(Late):
    def start(self, work):
        self.pool = ThreadPoolExecutor(1)
        self.pool.submit(work)
        self.pool.shutdown(wait=False)


@pytest.mark.parametrize("make", [Late, LatePoolLeft])
def test_a_write_that_leaves_a_thread_at_work(make):
    """A write whose effect comes after its return is caught, with every target declared."""
    for targets in (["*"], GOOD["rename_user"]):
        error = wrong(make, READS, GOOD | {"rename_user": targets}, calls=CALLS)
        assert error.write.name == "rename_user"
        assert "after it had returned" in error.remedy
        assert "pussycache.writing" in error.remedy


@pytest.mark.parametrize("make", [LateWaits, LatePool])
def test_a_write_that_waits_for_its_thread(make):
    """A write that hands its work to a thread and waits for it is right."""
    calls = [call for call in CALLS if call[0] != "delete"]
    writes = {name: targets for name, targets in GOOD.items() if name != "delete"}
    assert_coherent(make, READS, writes, calls=calls, length=2, histories=20)


def test_a_write_that_leaves_a_task_at_work():
    """The same for a task that an async method leaves behind."""

    class LateTask(AsyncUsers):
        async def rename_user(self, user_id, name):
            self.task = asyncio.create_task(self._later(user_id, name))

        async def _later(self, user_id, name):
            for _ in range(50):
                await asyncio.sleep(0)
            self._put(user_id, name)

    error = wrong(LateTask, READS, GOOD, calls=CALLS)
    assert error.write.name == "rename_user"
    assert "after it had returned" in error.remedy


def test_a_late_write_that_is_not_declared():
    """Where a target is missing, too, that is said first."""
    error = wrong(Late, READS, {name: [] for name in GOOD}, calls=CALLS)
    assert "invalidate_methods['rename_user']" in error.remedy


def test_the_hook_for_new_threads_is_put_back():
    """A profiler that was there before is there afterwards."""

    def profiler(*event):
        return None

    before = threading.getprofile()
    threading.setprofile(profiler)
    try:
        with pytest.raises(IncoherentError):
            assert_coherent(Late, READS, GOOD, calls=CALLS)
        assert threading.getprofile() is profiler
    finally:
        threading.setprofile(before)


def test_within_a_running_loop(run):
    """A test that is itself async can use it, for objects with async methods and without."""

    async def main():
        for make in (AsyncUsers, Users):
            assert_coherent(make, READS, GOOD, calls=CALLS, length=1, histories=5)
            assert wrong(make, READS, calls=CALLS).write.name == "rename_user"

    run(main)


# Where a declaration comes from.


class CachedUsers(pussycache.BaseProxy):
    cached_methods = READS
    invalidate_methods = GOOD


class ForgetfulUsers(CachedUsers):
    invalidate_methods = GOOD | {"rename_user": ["list_users", "get_user"]}


def test_a_proxy_brings_its_declaration():
    """A factory of proxies needs no declaration beside, and must not have one."""
    assert assert_coherent(lambda: CachedUsers(Users()), calls=CALLS).interleavings > 200
    assert wrong(lambda: ForgetfulUsers(Users()), calls=CALLS).read.name == "find"
    with pytest.raises(ConfigurationError, match="make_object returns a proxy"):
        assert_coherent(lambda: CachedUsers(Users()), READS, calls=CALLS)


def test_proxies_that_share_entries():
    """Proxies of one cache and namespace would see one another's history: that is said."""
    cache = pussycache.MemoryCache()

    def make():
        return CachedUsers(Users(), cache, namespace="users")

    with pytest.raises(ConfigurationError, match=r"share entries.*the namespace 'users'"):
        assert_coherent(make, calls=CALLS)
    assert assert_coherent(lambda: CachedUsers(Users(), cache), calls=CALLS, length=1).complete


class Decorated:
    def __init__(self):
        self.value = 0

    @cached
    def get(self):
        return self.value

    @cached
    def twice(self):
        return 2 * self.get()

    @invalidates("get", "twice")
    def put(self, value):
        self.value = value

    @invalidates("get")
    def half(self, value):
        self.value = value

    def sneak(self, value):
        self.value = value


def test_a_decorated_class_brings_its_declaration():
    """Decorators are a declaration, too; the remedy is told in their words."""
    calls = ["get", "twice", ("put", 1), ("half", 2)]
    error = wrong(Decorated, calls=calls)
    assert (error.read.name, error.write.name) == ("twice", "half")
    assert "@invalidates('get') of 'half' does not name 'twice'" in error.remedy
    error = wrong(Decorated, calls=[*calls[:3], ("half", 0), ("sneak", 3)])
    assert "add @invalidates('get') to 'sneak'" in error.remedy

    class Writes(Decorated):
        @cached
        def sneak(self, value):
            self.value = value

    error = wrong(Writes, calls=[*calls, ("sneak", 3)])
    assert "take @cached from 'sneak'" in error.remedy

    class Right(Decorated):
        @invalidates("*")
        def half(self, value):
            self.value = value

    assert assert_coherent(Right, calls=calls).histories > 200
    assert not clock.switches


def test_rules_of_every_form():
    """Rules with Each, callables and results pass when they are right."""

    class Many(Users):
        def delete_many(self, ids):
            for user_id in ids:
                self.rows.pop(user_id, None)

        def add(self, name):
            self.rows[9] = name
            return 9

    writes = {
        "delete_many": [Forget("get_user", user_id=Each("ids")), "list_users"],
        "add": [Forget("get_user", user_id=lambda call: call.result), "list_users"],
    }
    calls = [("get_user", 7), ("get_user", 9), "list_users", ("delete_many", [7, 9]), ("add", "x")]
    assert_coherent(Many, ["get_user", "list_users"], writes, calls=calls)


# What is said of a call of assert_coherent that is itself mistaken.

ONE = Users()
MISTAKES = {
    "the same object": (lambda: ONE, {}, "make_object returned the same object twice"),
    "an object": (ONE, {}, "make_object must be a function that makes the object"),
    "a coroutine function": (copy.copy, {}, None),
    "no such method": (Users, {"calls": [("get_usr", 7)]}, "calls names 'get_usr', but Users has"),
    "arguments": (Users, {"calls": [("get_user",)]}, "does not fit get_user.user_id.: missing"),
    "an attribute": (Users, {"calls": ["rows"]}, "calls names 'rows', which is no method"),
    "no call": (Users, {"calls": []}, "calls is empty"),
    "a string": (Users, {"calls": "list_users"}, "calls must be a list of calls"),
    "a number": (Users, {"calls": [7]}, "calls.0. must be a call of one method, not 7"),
    "no tuple": (Users, {"calls": [(7, "x")]}, "calls.0. must be a call of one method"),
    "the result of a call": (Users, {"calls": [None]}, "calls.0. must be a call of one method"),
    "a callable that calls nothing": (Users, {"calls": [lambda u: u]}, "but it made none"),
    "two calls": (Users, {"calls": [lambda u: (u.find("a"), u.find("b"))]}, "but it made 2"),
    "a method of the class": (Users, {"calls": [Users.list_users]}, "but it raised Attrib"),
    "not called": (Users, {"calls": CALLS[1:]}, None),
    "a cached method is not called": (Users, {"calls": CALLS[3:]}, "no call of 'get_user'"),
    "a write is not called": (Users, {"calls": CALLS[:-1]}, "no call of 'delete'"),
    "nothing is cached": (Users, {"cached_methods": ()}, "nothing is cached"),
    "unknown cached method": (Users, {"cached_methods": ["get"]}, "cached_methods names 'get'"),
    "a rule": (
        Users,
        {"invalidate_methods": {"delete": [Forget("get_user", "id")]}},
        "names the parameter 'id'",
    ),
    "length": (Users, {"length": 0}, "length must be a whole number from 1, not 0"),
    "histories": (Users, {"histories": 1.5}, "histories must be a whole number from 0"),
    "seconds": (Users, {"seconds": -1}, "seconds must not be negative"),
    "equal": (Users, {"equal": True}, "equal must be a function of two answers"),
}


@pytest.mark.parametrize("what", [name for name, said in MISTAKES.items() if said[2]])
def test_mistakes(what):
    """A mistake in the arguments is said before anything is tried, with the remedy."""
    make, arguments, message = MISTAKES[what]
    given = {"cached_methods": READS, "invalidate_methods": GOOD, "calls": CALLS}
    with pytest.raises(ConfigurationError, match=message):
        assert_coherent(make, **(given | arguments))


def test_async_callables_are_mistakes():
    """A coroutine function among the calls, or as the factory, is told what to write instead."""

    async def call(users):
        await users.get_user(7)

    async def make():
        return Users()

    with pytest.raises(ConfigurationError, match="is a coroutine function"):
        assert_coherent(Users, READS, GOOD, calls=[*CALLS, call])
    with pytest.raises(ConfigurationError, match="not an awaitable"):
        assert_coherent(make, READS, GOOD, calls=CALLS)


def test_caching_that_is_switched_off_is_a_mistake():
    """With caching off nothing would be tried, and that is said."""
    with pussycache.disabled(), pytest.raises(ConfigurationError, match="switched off"):
        assert_coherent(Users, READS, GOOD, calls=CALLS)


def test_time_that_is_over():
    """What was not tried for want of time is said."""
    tried = assert_coherent(Users, READS, GOOD, calls=CALLS, seconds=0)
    assert tried.histories == tried.interleavings == 0
    assert not tried.complete


def test_calls_are_shown_as_they_are_written():
    """A call reads as in a program, and long arguments are cut."""
    calls = parsed(["a", ("b", 1, "x"), lambda obj: obj.c(1, key=[2]), ("d", "y" * 1000)])
    assert [str(call) for call in calls[:3]] == ["a()", "b(1, 'x')", "c(1, key=[2])"]
    assert len(str(calls[3])) < 100
