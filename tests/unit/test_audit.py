"""audit sees what methods read and change, and says what of it a declaration leaves out."""

import abc
import asyncio
import collections
import contextvars
import enum
import functools
import gc
import itertools
import logging
import random
import sqlite3
import threading
import weakref
from dataclasses import dataclass, field

import pytest

import pussycache
from pussycache import ConfigurationError, Forget, cached, invalidates
from pussycache.engine import clock
from pussycache.testing import Finding, audit
from pussycache.testing.picture import changed, picture


class Users:
    """A repository with an index beside its rows, helpers, a property, a memo and a counter."""

    limit = 10
    everybody = ()

    def __init__(self):
        self._rows = {7: "ada", 8: "bob"}
        self._index = {"ada": {7}, "bob": {8}}
        self._ids = itertools.count(9)
        self._log = []
        self._memo = None
        self.asked = 0

    def get_user(self, user_id):
        return self._rows[user_id]

    @property
    def names(self):
        return sorted(self._rows.values())

    def list_users(self):
        return self.names[: self.limit]

    def find(self, name):
        return self._index.get(name)

    def size(self):
        if self._memo is None:
            self._memo = len(self._rows)
        return self._memo

    @functools.cached_property
    def letters(self):
        return sum(map(len, self._rows.values()))

    def length(self):
        return self.letters

    def _put(self, user_id, name):
        self._rows[user_id] = name
        self._index.setdefault(name, set()).add(user_id)

    def rename_user(self, user_id, name):
        self._put(user_id, name)
        self._log.append(name)

    def add_user(self, name):
        user_id = next(self._ids)
        self._rows[user_id] = name
        return user_id

    def history(self):
        return list(self._log)

    def count(self):
        self.asked += 1

    def statistics(self):
        return self.asked


READS = ["get_user", "list_users", "find", "size"]
CALLS = [
    ("get_user", 7),
    "list_users",
    ("find", "ada"),
    "size",
    ("rename_user", 7, "eve"),
    lambda users: users.add_user("joan"),
    "history",
]
ALL = {"rename_user": READS, "add_user": ["get_user", "list_users", "size"]}


def kinds(report):
    return {(found.kind, found.write, found.read, *found.attributes) for found in report.findings}


def test_a_right_declaration_has_no_findings():
    """Where every write names what it changes, nothing is found, and the check passes."""
    report = audit(Users, READS, ALL, calls=CALLS)
    assert report.findings == ()
    report.check()
    assert "nothing is missing from the declaration" in str(report)


def test_what_each_method_reads_and_changes():
    """Helpers and properties count for the method that uses them; items say where inside."""
    report = audit(Users, READS, ALL, calls=CALLS)
    assert report["list_users"].reads == {"_rows", "limit"}
    assert report["list_users"].writes == set()
    assert report["rename_user"].writes == {"_rows", "_index", "_log"}
    assert {"_rows[7]", "_index['eve']", "_log[0]"} <= report["rename_user"].items
    assert report["add_user"].writes == {"_rows", "_ids"}
    assert report["history"].reads == {"_log"}
    assert report["get_user"].raised is None


def test_a_write_that_is_not_declared():
    """Each pair that hangs together and is not declared is a finding, with what to add."""
    report = audit(Users, READS, ALL | {"rename_user": ["get_user"]}, calls=CALLS)
    assert kinds(report) == {
        ("undeclared", "rename_user", "list_users", "_rows"),
        ("undeclared", "rename_user", "find", "_index"),
        ("undeclared", "rename_user", "size", "_rows"),
    }
    assert (
        "rename_user changed _rows, which list_users reads: not declared; "
        "add 'list_users' to invalidate_methods['rename_user']"
    ) in str(report)
    with pytest.raises(AssertionError, match="rename_user changed _index, which find reads"):
        report.check()


def test_a_write_that_is_not_known_at_all():
    """A method that the declaration does not name, and that changes something, is found."""
    report = audit(Users, READS, {"add_user": ALL["add_user"]}, calls=CALLS)
    assert {found.write for found in report.findings} == {"rename_user"}
    assert "add 'rename_user': ['find'] to invalidate_methods" in str(report)


def test_what_is_declared_and_not_needed():
    """A target that reads nothing of what was changed is told; it does not fail the check."""
    report = audit(Users, READS, ALL | {"history": ["find"]}, calls=CALLS)
    assert kinds(report) == {("unneeded", "history", "find")}
    assert "history is declared to make find wrong, but nothing that find reads was" in str(report)
    report.check()


def test_rules_of_every_form_are_declared():
    """A rule with arguments, and a star, count as declared for the pair."""
    writes = {"rename_user": ["*"], "add_user": [Forget("get_user", user_id=lambda c: 1), "*"]}
    assert audit(Users, READS, writes, calls=CALLS).findings == ()


def test_what_is_ignored():
    """Attributes on which nothing depends are left out, and must exist."""

    class Counting(Users):
        def get_user(self, user_id):
            self.asked += 1
            return self._rows[user_id]

    reads, calls = ["get_user"], [("get_user", 7), "count", "statistics"]
    report = audit(Counting, reads, calls=calls)
    assert kinds(report) == {
        ("undeclared", "count", "get_user", "asked"),
        ("cached-write", "get_user", "count", "asked"),
        ("cached-write", "get_user", "statistics", "asked"),
    }
    assert audit(Counting, reads, calls=calls, ignore=["asked"]).findings == ()
    with pytest.raises(ConfigurationError, match=r"ignore names 'askd'.*known are: _rows, asked"):
        audit(Counting, reads, calls=calls, ignore=["askd"])
    with pytest.raises(ConfigurationError, match="ignore must be a list"):
        audit(Counting, reads, calls=calls, ignore="asked")


def test_a_cached_method_that_writes():
    """What a cached method changes whenever it runs is not changed by a hit: that is a finding."""

    class Counting(Users):
        def find(self, name):
            self.asked += 1
            return self._index.get(name)

    report = audit(Counting, ["find"], calls=[("find", "ada"), "statistics"])
    assert kinds(report) == {("cached-write", "find", "statistics", "asked")}
    with pytest.raises(AssertionError, match="take 'find' out of cached_methods"):
        report.check()


def test_memos_are_no_writes():
    """What a cached method fills once, and what cached_property fills, is not held against it."""
    reads = ["size", "length"]
    report = audit(Users, reads, calls=[*reads, ("get_user", 7)])
    assert report.findings == ()
    assert report["length"].reads == {"_rows", "letters"}
    assert report["size"].writes == {"_memo"}

    class Touches(Users):
        def touch(self):
            return self.letters

    assert audit(Touches, ["length"], calls=["touch", "length"]).findings == ()


def test_a_memo_that_is_dropped_is_a_write():
    """To delete what a cached_property has filled changes it."""

    class Drops(Users):
        def drop(self):
            self.__dict__.pop("letters", None)

    report = audit(Drops, ["length"], calls=["length", "drop"])
    assert kinds(report) == {("undeclared", "drop", "length", "letters")}


def test_methods_that_raise():
    """What a method did until it raised counts; one that always raises is told."""

    class Raises(Users):
        def add_user(self, name):
            self._rows[9] = name
            raise LookupError(name)

    report = audit(Raises, ["get_user"], calls=[("get_user", 7), ("add_user", "x")])
    assert kinds(report) == {("undeclared", "add_user", "get_user", "_rows")}
    assert report["add_user"].raised == "LookupError: x"
    assert "add_user raised each time (LookupError: x)" in str(report)


def test_declared_methods_without_a_call():
    """A declared method that was not called is told, and fails the check."""
    report = audit(Users, READS, ALL, calls=CALLS[1:])
    assert report.not_called == ("get_user",)
    assert "get_user is declared, but was not called" in str(report)
    with pytest.raises(AssertionError, match="get_user is declared, but was not called"):
        report.check()
    with pytest.raises(KeyError, match="get_user"):
        report["get_user"]


def test_findings_are_data():
    """A finding is a frozen record that compares by its fields."""
    report = audit(Users, ["find"], calls=[("find", "ada"), ("rename_user", 7, "eve")])
    remedy = "add 'rename_user': ['find'] to invalidate_methods"
    assert report.findings == (Finding("undeclared", "rename_user", "find", ("_index",), remedy),)
    with pytest.raises(AttributeError):
        report.findings[0].kind = "other"


# Objects of every kind.


class Slots:
    __slots__ = ("__weakref__", "_items", "late")

    def __init__(self):
        self._items = [1]

    def get(self):
        return self._items[0]

    def first(self):
        return getattr(self, "late", None)

    def put(self, value):
        self._items[0] = value

    def set_late(self):
        self.late = 1


class Child(Slots):
    __slots__ = ("more",)

    def put(self, value):
        super().put(value)
        self.more = value

    def get_more(self):
        return self.more


@dataclass(frozen=True)
class Frozen:
    seen: dict = field(default_factory=dict)
    total: int = 0

    def get(self):
        return self.total

    def put(self, value):
        object.__setattr__(self, "total", value)


class Abstract(abc.ABC):
    @abc.abstractmethod
    def get(self): ...


class Concrete(Abstract):
    def __init__(self):
        self.__value = 0

    def get(self):
        return self.__value

    @property
    def value(self):
        return self.__value

    @value.setter
    def value(self, value):
        self.__value = value

    def put(self, value):
        self.value = value


class Shared:
    everything = []
    number = 0

    def get(self):
        return len(self.everything), self.number

    def put(self, value):
        type(self).number += 1

    def add(self):
        self.everything.append(1)


class Dynamic:
    def __init__(self):
        self._data = {"value": 1}

    def __getattr__(self, name):
        try:
            return self._data[name]
        except KeyError:
            raise AttributeError(name) from None

    def get(self):
        return self.value

    def put(self, value):
        self._data["value"] = value


class Guarded:
    def __init__(self):
        object.__setattr__(self, "value", 0)

    def __setattr__(self, name, value):
        raise AttributeError("read only")

    def __getattribute__(self, name):
        return object.__getattribute__(self, name)

    def get(self):
        return self.value

    def put(self, value):
        vars(self)["value"] = value


class Nested:
    """Keeps its state in another object."""

    def __init__(self):
        self._other = Concrete()

    def get(self):
        return self._other.get()

    def put(self, value):
        self._other.put(value)


class Bag(dict):
    def get_it(self):
        return self.get("it")

    def put(self, value):
        self["it"] = value


KINDS = {
    "slots": (Slots, "get", "_items"),
    "slots of a base": (Child, "get", "_items"),
    "frozen dataclass": (Frozen, "get", "total"),
    "abstract base, private name, property": (Concrete, "get", "_Concrete__value"),
    "class attribute": (Shared, "get", "number"),
    "__getattr__": (Dynamic, "get", "_data"),
    "__setattr__ and vars": (Guarded, "get", "value"),
    "another object": (Nested, "get", "_other"),
    "a dict of its own class": (Bag, "get_it", "(items)"),
}


@pytest.mark.parametrize("what", KINDS)
def test_objects_of_every_kind(what):
    """What is changed is found, wherever an object keeps it, and the object is as it was."""
    make, read, attribute = KINDS[what]
    report = audit(make, [read], calls=[read, ("put", 5)])
    assert kinds(report) == {("undeclared", "put", read, attribute)}
    assert audit(make, [read], {"put": [read]}, calls=[read, ("put", 5)]).findings == ()


def test_attributes_that_are_absent():
    """To ask for an attribute that is not there is to read it."""
    report = audit(Slots, ["get", "first"], calls=["get", "first", "set_late", ("put", 2)])
    assert kinds(report) == {
        ("undeclared", "set_late", "first", "late"),
        ("undeclared", "put", "get", "_items"),
    }


def test_an_attribute_that_is_set_to_what_it_was():
    """To set an attribute is to change it: other calls will set it to something else."""
    report = audit(Concrete, ["get"], calls=["get", ("put", 0)])
    assert kinds(report) == {("undeclared", "put", "get", "_Concrete__value")}


def test_reading_everything():
    """Who reads vars(self) reads all that is there; who asks for what is not, reads that."""

    class Whole(Concrete):
        def get(self):
            return dict(vars(self))

        def maybe(self):
            return getattr(self, "extra", None)

        def give(self):
            self.extra = 1

        def take(self):
            del self.extra

    report = audit(Whole, ["get", "maybe"], calls=["get", "maybe", ("put", 5), "give", "take"])
    assert kinds(report) == {
        ("undeclared", "put", "get", "_Concrete__value"),
        ("undeclared", "give", "get", "extra"),
        ("undeclared", "take", "get", "extra"),
        ("undeclared", "give", "maybe", "extra"),
        ("undeclared", "take", "maybe", "extra"),
    }


def test_the_class_is_left_as_it_was():
    """An audit leaves no mark on the class, neither in its state nor among its subclasses."""
    made = []

    def make():
        made.append(Shared())
        return made[-1]

    audit(make, ["get"], calls=["get", ("put", 1)])
    assert {type(one) for one in made} == {Shared}
    assert Shared.number == 0
    gc.collect()
    assert Shared.__subclasses__() == []


def test_lists_of_a_class_are_state():
    """What is changed in a list that all instances share is seen."""
    try:
        report = audit(Shared, ["get"], calls=["get", "add"])
        assert kinds(report) == {("undeclared", "add", "get", "everything")}
    finally:
        Shared.everything.clear()


def test_objects_written_in_c():
    """Where reading cannot be seen, everything counts as read, and that is said."""
    report = audit(dict, ["get"], {"update": ["get"]}, calls=[("get", 1), ("__setitem__", 1, 2)])
    assert kinds(report) == {("undeclared", "__setitem__", "get", "(items)")}
    assert report["__setitem__"].items == {"(items)[1]"}
    assert "everything counts as read" in str(report)


def test_a_class_that_refuses_to_be_inherited_from():
    """It is not watched, and what it changes is found all the same."""

    class Final:
        def __init_subclass__(cls):
            raise TypeError("final")

        def __init__(self):
            self.value = 0

        def get(self):
            return self.value

        def put(self):
            self.value = 1

    report = audit(Final, ["get"], calls=["get", "put"])
    assert kinds(report) == {("undeclared", "put", "get", "value")}
    assert "everything counts as read" in str(report)


class Database:
    def __init__(self):
        self._connection = sqlite3.connect(":memory:")
        self._connection.execute("create table users(name)")

    def count(self):
        return self._connection.execute("select count(*) from users").fetchone()

    def add(self):
        self._connection.execute("insert into users values('ada')")

    def close(self):
        self._connection.close()


def test_what_cannot_be_looked_into():
    """A connection is not looked into: that is said, and nothing is called unneeded for it."""
    made = []

    def make():
        made.append(Database())
        return made[-1]

    report = audit(make, ["count"], {"add": ["count"]}, calls=["count", "add"])
    for one in made:
        one.close()
    assert report.findings == ()
    assert "_connection cannot be looked into" in str(report)


def test_a_method_that_reads_nothing_of_its_object():
    """A cached method whose state is elsewhere is told."""

    class Elsewhere:
        def get(self):
            return 1

    assert "get reads nothing of the object" in str(audit(Elsewhere, ["get"], calls=["get"]))


def test_async_methods():
    """Async methods are awaited, and what they do between counts for them."""

    class Async(Users):
        async def get_user(self, user_id):
            await asyncio.sleep(0)
            return self._rows[user_id]

        async def rename_user(self, user_id, name):
            await asyncio.sleep(0)
            self._put(user_id, name)

        async def each(self):
            for row in self._rows:
                yield row

    report = audit(
        Async,
        ["get_user"],
        calls=[("get_user", 7), ("rename_user", 7, "eve"), "each"],
    )
    assert kinds(report) == {("undeclared", "rename_user", "get_user", "_rows")}
    assert report["each"].reads == {"_rows"}


def test_generators_are_read_out():
    """What a generator reads while it is read counts for the method."""

    class Rows(Users):
        def each(self):
            yield from self._rows

    assert audit(Rows, ["get_user"], calls=[("get_user", 7), "each"])["each"].reads == {"_rows"}


# Where a declaration comes from.


def test_a_proxy_brings_its_declaration():
    """A factory of proxies, of a subclass too, needs no declaration beside."""

    class CachedUsers(pussycache.BaseProxy):
        cached_methods = READS
        invalidate_methods = {"rename_user": ["get_user"]}

    report = audit(lambda: CachedUsers(Users()), calls=CALLS[:5])
    assert {found.read for found in report.findings} == {"list_users", "find", "size"}
    with pytest.raises(ConfigurationError, match="a proxy, which has a declaration of its own"):
        audit(lambda: CachedUsers(Users()), READS, calls=CALLS)


class Decorated:
    def __init__(self):
        self.value = self.other = 0

    @cached
    def get(self):
        return self.value

    @cached
    def both(self):
        return self.get(), self.other

    @invalidates("get", "both")
    def put(self, value):
        self.value = value

    @invalidates("both")
    def put_other(self, value):
        self.other = value

    def sneak(self, value):
        self.value = value


def test_a_decorated_class_brings_its_declaration():
    """Decorators are read, and calls inside the object are seen through them."""
    calls = ["get", "both", ("put", 1), ("put_other", 2), ("sneak", 3)]
    report = audit(Decorated, calls=calls)
    assert kinds(report) == {
        ("undeclared", "sneak", "get", "value"),
        ("undeclared", "sneak", "both", "value"),
    }
    assert "add @invalidates('get') to 'sneak'" in str(report)
    assert report["both"].reads == {"value", "other"}
    assert not clock.switches


def test_nothing_is_answered_from_memory():
    """The methods of a decorated class run at each call."""
    runs = []

    class Runs:
        @cached
        def get(self):
            runs.append(1)

    audit(Runs, calls=["get"])
    assert len(runs) == 6  # alone, in order and in reverse order; each twice


def test_a_proxy_of_a_decorated_object():
    """Both declarations count."""

    def make():
        return pussycache.wrap(Decorated(), invalidate_methods={"sneak": ["get", "both"]})

    calls = ["get", "both", ("put", 1), ("put_other", 2), ("sneak", 3)]
    assert audit(make, calls=calls).findings == ()


def test_rules_that_name_methods_themselves():
    """A method of another proxy is not one of this object; a decorated function is."""
    other = pussycache.wrap(Users(), cached_methods=["find"])
    writes = {"rename_user": [other.find]}
    report = audit(Users, ["find"], writes, calls=[("find", "ada"), ("rename_user", 7, "eve")])
    assert kinds(report) == {("undeclared", "rename_user", "find", "_index")}

    class Named:
        def __init__(self):
            self.value = 0

        @cached
        def get(self):
            return self.value

        @invalidates(get)
        def put(self):
            self.value = 1

    assert audit(Named, calls=["get", "put"]).findings == ()


def test_state_in_fields_of_c():
    """What an object keeps where no attribute shows it is seen as far as it can be copied."""
    report = audit(lambda: random.Random(7), ["getstate"], calls=["getstate", "random"])
    assert kinds(report) == {("undeclared", "random", "getstate", "(items)")}


def test_mistakes():
    """The arguments are checked as those of assert_coherent are."""
    with pytest.raises(ConfigurationError, match="nothing is cached"):
        audit(Users, calls=CALLS)
    with pytest.raises(ConfigurationError, match="calls names 'get_usr', but Users has"):
        audit(Users, READS, calls=["get_usr"])
    with pytest.raises(ConfigurationError, match="does not fit get_user"):
        audit(Users, READS, calls=["get_user"])
    with pytest.raises(ConfigurationError, match="cached_methods names 'get'"):
        audit(Users, ["get"], calls=CALLS)
    with pytest.raises(ConfigurationError, match="make_object must be a function"):
        audit(Users(), READS, calls=CALLS)


# Pictures.


class Color(enum.Enum):
    RED = 1


class Holds:
    def __init__(self, value):
        self.value = value


class Inner:
    def __init__(self):
        self.name = "ada"


class Cycle(Inner):
    def __init__(self):
        super().__init__()
        self.itself = [self]


CHANGES = {
    "dict": (lambda: {1: 2}, lambda value: value.update({1: 3})),
    "order of a dict": (lambda: {1: 2, 3: 4}, lambda value: value.update({1: value.pop(1)})),
    "type of an item": (lambda: [1], lambda value: value.__setitem__(0, True)),
    "set": (lambda: {1}, lambda value: value.add(2)),
    "deque": (lambda: collections.deque([1]), lambda value: value.append(2)),
    "counter": (lambda: collections.Counter(a=1), lambda value: value.update(a=1)),
    "bytearray": (lambda: bytearray(b"a"), lambda value: value.extend(b"b")),
    "nested list": (lambda: {1: [[2]]}, lambda value: value[1][0].append(3)),
    "nested object": (lambda: [Inner()], lambda value: setattr(value[0], "name", "eve")),
    "iterator": (lambda: itertools.count(), next),
    "object behind itself": (
        lambda: (lambda o: vars(o).update(o=o) or o)(Inner()),
        lambda v: vars(v).update(x=1),
    ),
    "bound method": (lambda: Inner().__init__, lambda value: setattr(value.__self__, "name", "x")),
    "exception": (lambda: ValueError(1), lambda value: setattr(value, "args", (2,))),
}


@pytest.mark.parametrize("what", CHANGES)
def test_pictures_show_changes(what):
    """Two pictures differ if something was changed in between, and are equal if not."""
    make, change = CHANGES[what]
    holds = Holds(make())
    before = picture(holds)
    assert changed(before, picture(holds)) == {}
    change(holds.value)
    assert set(changed(before, picture(holds))) == {"value"}


SAME = {
    "lock": threading.Lock,
    "nan": lambda: float("nan"),
    "logger": lambda: logging.getLogger("a"),
    "module": lambda: gc,
    "enum": lambda: Color.RED,
    "class": lambda: Inner,
    "function": lambda: lambda: None,
    "weak reference": lambda: weakref.ref(Inner),
    "context variable": lambda: contextvars.ContextVar("a"),
    "deep": lambda: functools.reduce(lambda inner, _: [inner], range(5000), []),
    "wide": lambda: list(map(Holds, range(30_000))),
}


@pytest.mark.parametrize("what", SAME)
def test_pictures_of_difficult_values(what):
    """Two pictures of what was not changed are equal, however deep, wide or strange."""
    holds = Holds(SAME[what]())
    one, other = picture(holds), picture(holds)
    assert changed(one, other) == {}
    assert bool(one.opaque) == (what in ("deep", "wide"))
