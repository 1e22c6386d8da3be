"""A method that is not cached is the one that the target has now, however often it was called.

The interpreter and the C extension remember what they looked up: each test calls a while first.
"""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import pussycache


class Base:
    def say(self) -> str:
        return "base"


class Plain(Base):
    def __init__(self) -> None:
        self.number = 1

    def say(self) -> str:
        return "plain"

    def loud(self) -> str:
        return self.say().upper()


class Slotted:
    __slots__ = ("__weakref__", "number")

    def say(self) -> str:
        return "slotted"


class Other(Base):
    def say(self) -> str:
        return "other"


def warm(target: Any) -> tuple[Any, Callable[[], Any]]:
    """Return a proxy of the target, and a call at one place that has been made many times."""
    proxy = pussycache.wrap(target, cached_methods=[])

    def say() -> Any:
        return proxy.say()

    for _ in range(100):
        say()
    return proxy, say


def test_the_object_is_given_its_own() -> None:
    """A function put into the object's own attributes is called, and no more once it is gone."""
    target = Plain()
    _, say = warm(target)
    target.say = lambda: "own"  # type: ignore[method-assign]
    assert say() == "own"
    target.say = lambda: "another"  # type: ignore[method-assign]
    assert say() == "another"
    del target.say
    assert say() == "plain"


def test_other_attributes_change() -> None:
    """Attributes that come, change and go beside a method leave it what it is."""
    target = Plain()
    _, say = warm(target)
    for change in (
        lambda: setattr(target, "number", 2),
        lambda: setattr(target, "more", 3),
        lambda: delattr(target, "number"),
        lambda: target.__dict__.clear(),
        lambda: setattr(target, "__dict__", {"number": 4}),
    ):
        change()
        assert say() == "plain"


def test_the_dictionary_is_replaced() -> None:
    """Another dictionary with the method's name in it is looked into."""
    target = Plain()
    _, say = warm(target)
    target.__dict__ = {"say": lambda: "in a new dictionary"}
    assert say() == "in a new dictionary"
    target.__dict__ = {}
    assert say() == "plain"


@pytest.mark.parametrize("kind", [Plain, Slotted])
def test_the_class_changes(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """A method replaced in the class, or taken out of it, is seen."""
    target = kind()
    _, say = warm(target)
    before = say()
    monkeypatch.setattr(kind, "say", lambda self: "new")
    # The interpreter has looked at the new class before the proxy does.
    assert (target.say(), say()) == ("new", "new")
    monkeypatch.setattr(kind, "say", staticmethod(lambda: "static"))
    assert say() == "static"
    monkeypatch.setattr(kind, "say", property(lambda self: lambda: "property"))
    assert say() == "property"
    monkeypatch.undo()
    assert say() == before


def test_the_method_is_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a base class or the target's own look-up has instead is found, or nothing."""
    target = Plain()
    proxy, say = warm(target)
    monkeypatch.delattr(Plain, "say")
    assert say() == "base"
    monkeypatch.delattr(Base, "say")
    with pytest.raises(AttributeError, match="say"):
        say()
    monkeypatch.setattr(Plain, "__getattr__", lambda self, name: lambda: name, raising=False)
    assert say() == "say"
    assert proxy.anything() == "anything"


def test_the_target_looks_up_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A `__getattribute__` that the class is given later is asked."""
    _, say = warm(Plain())
    monkeypatch.setattr(Plain, "__getattribute__", lambda self, name: lambda: f"asked for {name}")
    assert say() == "asked for say"


@pytest.mark.parametrize("where", ["object", "class"])
@pytest.mark.parametrize("threshold", range(1, 6))
def test_a_change_in_the_midst_of_the_first_look(where: str, threshold: int) -> None:
    """A method replaced by what the garbage collector runs during the first look-up is seen."""

    class Passing(Base):
        pass

    targets: list[Any] = [Passing()]
    proxies = [pussycache.wrap(target, cached_methods=[]) for target in targets]
    replaced_in: Any = targets[0] if where == "object" else Passing
    changed: list[Any] = []

    def change(phase: str, info: object) -> None:
        if not changed:
            changed.append(phase)
            replaced_in.say = lambda *self: "new"
            proxies[0].say  # noqa: B018

    gc.collect()
    gc.callbacks.append(change)
    before = gc.get_threshold()
    try:
        gc.set_threshold(threshold)
        proxies[0].say  # noqa: B018
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(change)
    if not changed:
        change("start", None)
    assert proxies[0].say() == "new"
    alive = weakref.ref(targets[0])
    targets.clear()
    proxies.clear()
    replaced_in = None
    gc.collect()
    assert alive() is None


def test_the_target_changes_its_class() -> None:
    """An object that becomes one of another class has that one's methods."""
    target: Any = Plain()
    proxy, say = warm(target)
    target.__class__ = Other
    assert say() == "other"
    assert isinstance(proxy, Other)


def test_each_proxy_calls_its_own_target() -> None:
    """Proxies of one class do not mix up their targets."""
    targets = [Plain() for _ in range(3)]
    proxies = [pussycache.wrap(target, cached_methods=[]) for target in targets]
    for _ in range(50):
        assert [proxy.say.__self__ for proxy in proxies] == targets


def test_a_method_that_was_taken_is_a_method_of_the_target() -> None:
    """A bound method is bound to the object, and outlives the proxy."""
    target = Plain()
    proxy, _ = warm(target)
    say = proxy.say
    assert say.__self__ == target
    del proxy
    assert say() == "plain"


def test_what_it_does_inside_is_the_targets() -> None:
    """A method that calls another one of the object calls the object's."""
    proxy = pussycache.wrap(Plain(), cached_methods=["say"])
    assert [proxy.loud() for _ in range(50)] == ["PLAIN"] * 50
    assert pussycache.info(proxy.say).misses == 0


def test_attributes_that_are_no_methods() -> None:
    """Values, descriptors and errors come as from the target."""

    class Target:
        number = 1

        @property
        def broken(self) -> Any:
            raise AttributeError("inner")

        @property
        def double(self) -> int:
            return 2 * self.number

        @classmethod
        def kind(cls) -> str:
            return cls.__name__

        @staticmethod
        def static() -> str:
            return "static"

    target = Target()
    proxy = pussycache.wrap(target, cached_methods=[])
    for _ in range(50):
        assert (proxy.number, proxy.double) == (1, 2)
        assert (proxy.kind(), proxy.static()) == ("Target", "static")
    target.number = 5
    assert (proxy.number, proxy.double) == (5, 10)
    with pytest.raises(AttributeError, match="inner"):
        proxy.broken  # noqa: B018
    with pytest.raises(AttributeError, match="absent"):
        proxy.absent  # noqa: B018


def test_nothing_is_kept_alive() -> None:
    """When the proxy and the object are let go, both are freed at once."""
    target = Plain()
    proxy, say = warm(target)
    proxy.loud()
    gone = [weakref.ref(target), weakref.ref(proxy)]
    gc.disable()
    try:
        del target, proxy, say
        assert [ref() for ref in gone] == [None, None]
    finally:
        gc.enable()


def test_a_target_that_knows_its_proxy_is_collected() -> None:
    """A cycle through a method of the target is found by the garbage collector."""
    target: Any = Plain()
    target.proxy, say = warm(target)
    gone = weakref.ref(target)
    del target, say
    gc.collect()
    assert gone() is None


def test_a_proxy_with_a_look_up_of_its_own() -> None:
    """A subclass of BaseProxy that defines one is asked."""

    class Asking(pussycache.BaseProxy):
        def __getattr__(self, name: str) -> Any:
            return "asked" if name == "absent" else super().__getattr__(name)

    proxy = Asking(Plain())
    for _ in range(50):
        assert (proxy.absent, proxy.number, proxy.say()) == ("asked", 1, "plain")
    with pytest.raises(AttributeError):
        proxy.missing  # noqa: B018
