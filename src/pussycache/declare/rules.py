"""What a write makes wrong: `Forget` and `Each`, and what they say of one call of the write.

A rule is resolved against the two methods it joins once, when it is declared. Which entries are
then forgotten is the engine's.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping

from pussycache.declare.keys import Unkeyable, encode, loose
from pussycache.declare.policy import Cached
from pussycache.declare.records import record
from pussycache.declare.signatures import Method
from pussycache.declare.templates import ForgetTag
from pussycache.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

__all__ = ["Call", "Each", "Forget", "InvalidateMethods", "Match", "Target", "targets", "written"]


class Call:
    """One call of an invalidating method, as a rule's callable sees it.

    ``args`` maps the names of the parameters to the arguments, defaults included. ``result`` is
    what the method returned; a write that raised has none, and asking for it raises
    `AttributeError`.
    """

    __slots__ = ("args", "result")

    args: Mapping[str, Any]
    result: Any

    def __init__(self, args: Mapping[str, Any]) -> None:
        self.args = args


@record
class Each:
    """In a rule: match every item of a collection argument.

    :param source: the name of a parameter of the write, or a callable that is given the `Call`.

    >>> import pussycache
    >>> pussycache.Forget("get_user", user_id=pussycache.Each("ids"))
    Forget('get_user', user_id=Each(source='ids'))
    """

    source: str | Callable[[Call], Iterable[Any]]

    def __post_init__(self) -> None:
        if not isinstance(self.source, str) and not callable(self.source):
            raise ConfigurationError(
                f"Each takes the name of a parameter or a callable, not {self.source!r}"
            )


Source: TypeAlias = "str | Each | Callable[[Call], Any]"


class Forget:
    """A rule: of one method, forget the entries whose arguments match this call's.

    :param method: the name of a method of the same object, or a method of another proxy.
    :param same: names of parameters that both methods have; equal arguments match.
    :param mapped: a parameter of the forgotten method = the name of one of the write, an
        `Each`, or a callable that is given the `Call` and returns the value to match.
    :raises ConfigurationError: at once for what is no rule, and when wrapping for unknown names.

    Without parameters the whole method is forgotten. With several, all must match.

    >>> import pussycache
    >>> class Users:
    ...     def __init__(self):
    ...         self.names = {1: "ada", 2: "bob"}
    ...     def get(self, user_id):
    ...         return self.names[user_id]
    ...     def rename(self, user_id, name):
    ...         self.names[user_id] = name
    >>> users = pussycache.wrap(
    ...     Users(),
    ...     cached_methods=["get"],
    ...     invalidate_methods={"rename": [pussycache.Forget("get", "user_id")]},
    ... )
    >>> users.get(1), users.get(2)
    ('ada', 'bob')
    >>> users.rename(1, "eve")
    >>> pussycache.peek(users.get, 2), users.get(1)
    ('bob', 'eve')
    """

    def __init__(self, method: str | Callable[..., Any], *same: str, **mapped: Source) -> None:
        if not isinstance(method, str) and not callable(method):
            raise ConfigurationError(
                f"Forget takes a method's name or a method of a proxy, not {method!r}"
            )
        sources: dict[str, Source] = {}
        for name in same:
            if not isinstance(name, str):
                raise ConfigurationError(
                    f"Forget({_shown(method)}) takes names of parameters, not {name!r}; "
                    "to compute a value, write parameter=callable"
                )
            sources[name] = name
        for name, source in mapped.items():
            if name in sources:
                raise ConfigurationError(f"Forget({_shown(method)}) names {name!r} twice")
            if not isinstance(source, (str, Each)) and not callable(source):
                raise ConfigurationError(
                    f"Forget({_shown(method)}, {name}=...) takes the name of a parameter, "
                    f"Each(...) or a callable, not {source!r}"
                )
            sources[name] = source
        self.method = method
        self.mapped = sources

    def __repr__(self) -> str:
        said = [_shown(self.method)]
        for name, source in self.mapped.items():
            said.append(repr(name) if source == name else f"{name}={source!r}")
        return f"Forget({', '.join(said)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Forget) and self._said() == other._said()

    def __hash__(self) -> int:
        return hash(self._said())

    def _said(self) -> tuple[Any, ...]:
        return self.method, tuple(sorted(self.mapped.items(), key=lambda item: item[0]))


Target: TypeAlias = "str | Forget | ForgetTag | Callable[..., Any]"
InvalidateMethods: TypeAlias = "Mapping[str, Iterable[Target]]"


def _shown(method: str | Callable[..., Any]) -> str:
    return (
        repr(method) if isinstance(method, str) else getattr(method, "__qualname__", repr(method))
    )


def targets(said: object, argument: str) -> tuple[Forget | ForgetTag, ...]:
    """Return a write's targets as rules, from any form they may have; ``"*"`` stays a name."""
    if isinstance(said, (str, bytes)):
        raise ConfigurationError(
            f"{argument} must be a list of targets, not the string {said!r}; write [{said!r}]"
        )
    if isinstance(said, (Forget, ForgetTag)) or not isinstance(said, Iterable):
        raise ConfigurationError(f"{argument} must be a list of targets, not {said!r}; write [...]")
    rules: list[Forget | ForgetTag] = []
    for target in said:
        if isinstance(target, (Forget, ForgetTag)):
            rules.append(target)
        elif isinstance(target, str) or callable(target):
            rules.append(Forget(target))
        else:
            raise ConfigurationError(
                f"{argument} must hold method names, Forget(...), ForgetTag(...) or methods of a "
                f"proxy, not {target!r}"
            )
    return tuple(rules)


def written(said: object) -> dict[str, tuple[Forget | ForgetTag, ...]]:
    """Return the rules of each invalidating method."""
    if not isinstance(said, Mapping):
        raise ConfigurationError(
            "invalidate_methods must be a mapping from a method's name to a list of what it "
            f"makes wrong, not {said!r}"
        )
    for name in said:
        if not isinstance(name, str):
            raise ConfigurationError(
                f"invalidate_methods must be keyed by names of methods, not {name!r}"
            )
    return {name: targets(items, f"invalidate_methods[{name!r}]") for name, items in said.items()}


class Match:
    """A rule with parameters, resolved: which arguments must be equal to what.

    ``at`` are the places of the parameters in the forgotten method, ``names`` their names;
    ``sources`` give the values.
    """

    __slots__ = ("at", "names", "sources")

    def __init__(
        self, at: tuple[int, ...], sources: tuple[Source, ...], names: tuple[str, ...]
    ) -> None:
        self.at = at
        self.sources = sources
        self.names = names

    @property
    def deferred(self) -> bool:
        """Whether the values are known only once the write has ended."""
        return any(callable(s.source) if isinstance(s, Each) else callable(s) for s in self.sources)

    @classmethod
    def of(cls, rule: Forget, reader: Method, cached: Cached | None, writer: Method) -> Match:
        """Check a rule against both signatures."""
        at = tuple(reader.position(name, cached, repr(rule)) for name in rule.mapped)
        for source in rule.mapped.values():
            name = source.source if isinstance(source, Each) else source
            if isinstance(name, str) and name not in writer.positions:
                known = ", ".join(writer.positions) or "none at all"
                raise ConfigurationError(
                    f"{rule!r} takes {name!r} from the call of {writer.name!r}, which has the "
                    f"parameters: {known}"
                )
        order = sorted(range(len(at)), key=at.__getitem__)
        sources = tuple(rule.mapped.values())
        names = tuple(rule.mapped)
        return cls(
            tuple(at[i] for i in order),
            tuple(sources[i] for i in order),
            tuple(names[i] for i in order),
        )

    def values(self, call: Call) -> frozenset[tuple[Any, ...]] | None:
        """Return what the arguments must be equal to, or `None` for the whole method."""
        found = []
        try:
            for source in self.sources:
                if isinstance(source, Each):
                    items = _each(_ask(source.source, call))
                else:
                    items = (_ask(source, call),)
                encode(items)
                found.append([loose(item) for item in items])
        except (Exception, Unkeyable):
            return None
        return frozenset(itertools.product(*found))


def _each(items: Any) -> tuple[Any, ...]:
    if hasattr(type(items), "__next__"):
        raise TypeError("to read an iterator would take its items away from the method")
    return tuple(items)


def _ask(source: Any, call: Call) -> Any:
    return call.args[source] if isinstance(source, str) else source(call)
