"""What the targets of a write come to: names and rules, resolved to the tables of one object.

Everything is checked before any table is made. How a write goes about it is the engine's.
"""

from __future__ import annotations

from pussycache.compile import Handle
from pussycache.declare.rules import Forget, Match
from pussycache.declare.signatures import find
from pussycache.declare.templates import ForgetTag, TagMatch
from pussycache.engine.writes import Effect
from pussycache.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from pussycache.declare.policy import Cached
    from pussycache.declare.signatures import Method
    from pussycache.engine.generations import Table
    from pussycache.engine.scopes import Scope
    from pussycache.engine.tags import Tags

    AnyMatch = Match | TagMatch | None

__all__ = ["attributes", "decorated", "handle_of", "of_item", "undecorated", "written_through"]


def attributes(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield names and bare attributes of a class and its bases, overridden ones too."""
    for base in kind.__mro__:
        yield from list(base.__dict__.items())


def undecorated(raw: Any) -> Any:
    """Return the function behind a property, a static method or a class method."""
    if isinstance(raw, property):
        return raw.fget
    return raw.__func__ if isinstance(raw, (staticmethod, classmethod)) else raw


def decorated(kind: type, name: str) -> Iterator[tuple[Handle, bool]]:
    """Yield what a name, or ``"*"``, stands for among the decorated methods of a class.

    The methods that it overrides belong to it: `super` may call them. The flag says whether the
    entries belong to the class and not to the instance.
    """
    for known, raw in attributes(kind):
        if name in ("*", known):
            handle = getattr(undecorated(raw), "__pussycache__", None)
            if isinstance(handle, Handle):
                yield handle, isinstance(raw, classmethod)


def handle_of(rule: Forget, where: str) -> Handle:
    """Return what a rule names by the method or function itself."""
    handle = getattr(rule.method, "__pussycache__", None)
    if not isinstance(handle, Handle):
        raise ConfigurationError(
            f"{rule!r} in {where} names no cached method; name a cached method of a proxy or a "
            "decorated function, or a method of this object as a string"
        )
    return handle


def of_item(rule: Forget, handle: Handle, owner: type) -> tuple[Forget, Handle]:
    """Return a rule and what it names as they are said of the method for one id, if there is one.

    The entries of a method for many ids may be those of another one, with other places for the
    arguments.

    :param owner: the class of whose objects' methods they are.
    """
    if handle.item is None:
        return rule, handle
    item = handle.item(owner)
    if not rule.mapped:
        return rule, item
    many, one = handle.method, item.method
    for name in rule.mapped:
        many.position(name, handle.cached, repr(rule))
    (own,) = [name for name in one.positions if name not in many.positions]
    return renamed(rule, one.name, handle.cached.each, own), item


def renamed(rule: Forget, method: str, each: str | None, own: str) -> Forget:
    """Return a rule that was said of many ids as one that is said of the method for one."""
    return Forget(method, **{own if n == each else n: said for n, said in rule.mapped.items()})


def written_through(
    scope: Scope,
    target: object,
    methods: Mapping[str, Method],
    cached: Mapping[str, Cached],
    writes: Mapping[str, tuple[Forget | ForgetTag, ...]],
) -> dict[str, list[Effect]]:
    """Return what each invalidating method of a proxy makes wrong."""
    found: dict[str, list[tuple[Callable[[], Table | Scope | Tags], AnyMatch]]] = {}
    for name, rules in writes.items():
        found[name] = []
        for rule in rules:
            found[name] += _named(scope, target, methods, cached, rule, methods[name])
    return {
        name: [_effect(on(), match, methods[name]) for on, match in on_all]
        for name, on_all in found.items()
    }


def _effect(on: Any, match: AnyMatch, writer: Method) -> Effect:
    if not isinstance(match, TagMatch):
        on.written_by(writer.label)
    if isinstance(match, Match):
        on.index(match.at, match.names)
    return Effect(on, match)


def _named(
    scope: Scope,
    target: object,
    methods: Mapping[str, Method],
    cached: Mapping[str, Cached],
    rule: Forget | ForgetTag,
    writer: Method,
) -> Iterator[tuple[Callable[[], Table | Scope | Tags], AnyMatch]]:
    where = f"invalidate_methods[{writer.name!r}]"
    if isinstance(rule, ForgetTag):
        yield lambda: scope.tags, rule.check(writer.name, writer.positions)
        return

    def match(reader: Method, policy: Cached | None, rule: Forget = rule) -> Match | None:
        return Match.of(rule, reader, policy, writer) if rule.mapped else None

    if not isinstance(rule.method, str):
        handle = handle_of(rule, where)
        owner = getattr(rule.method, "__self__", None)
        rule, handle = of_item(rule, handle, type(owner))
        yield lambda: handle.table(owner), match(handle.method, handle.cached, rule)
        return
    inner = list(decorated(type(target), rule.method))
    if rule.method == "*":
        if rule.mapped:
            raise ConfigurationError(f"{rule!r}: '*' forgets everything, without names")
        yield lambda: scope, None
    elif not (inner and rule.method not in methods):
        reader = methods.get(rule.method) or find(target, rule.method, where)
        name = rule.method
        policy = cached.get(name)
        if policy is not None and policy.item is not None:
            # The entries are those of the method for one id.
            item, name = methods[policy.item], policy.item
            if rule.mapped:
                match(reader, policy)
                (own,) = [p for p in item.positions if p not in reader.positions]
                rule = renamed(rule, name, policy.each, own)
            reader, policy = item, cached[name]
        yield lambda: scope.table(name), match(reader, policy, rule)
    for handle, of_class in inner:
        owner = type(target) if of_class else target
        its_rule, handle = of_item(rule, handle, type(target))
        yield _table(handle, owner), match(handle.method, handle.cached, its_rule)


def _table(handle: Handle, owner: object) -> Callable[[], Table]:
    return lambda: handle.table(owner)
