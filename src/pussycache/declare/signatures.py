"""What a method is and how it is called: found on the target once, without running its code.

A `Method` says what kind of callable stands behind a name and what its parameters are. Declarations
that cannot work are refused here. Generating code from a signature is compile's.
"""

from __future__ import annotations

import functools

from pussycache.declare.parameters import Parameter, kind_of, parameters, signature
from pussycache.declare.templates import check_template
from pussycache.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    from pussycache.declare.policy import Cached

__all__ = ["ANY_SIGNATURE", "Method", "find", "method_of"]

_POSITIONAL: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
# Without these, Python cannot make an object or find a method.
_NEVER: Final = frozenset(
    {"__class__", "__del__", "__delattr__", "__dict__", "__getattr__", "__getattribute__"}
    | {"__init__", "__init_subclass__", "__new__", "__set_name__", "__setattr__"}
)
_VARIADIC: Final = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)

ANY_SIGNATURE: Final = (
    Parameter("args", Parameter.VAR_POSITIONAL),
    Parameter("kwargs", Parameter.VAR_KEYWORD),
)


class Method:
    """One method as it is called: without ``self``.

    ``kind`` is ``"function"``, ``"coroutine"``, ``"generator"`` or ``"asyncgen"``; ``owner`` is the
    class that it was found on, for messages.
    """

    def __init__(
        self, name: str, raw: Any, kind: str, params: tuple[Parameter, ...], owner: str
    ) -> None:
        self.name = name
        self.raw = raw
        self.kind = kind
        self.params = params
        self.owner = owner

    @property
    def label(self) -> str:
        """Its name and that of its class, for people."""
        return f"{self.owner}.{self.name}"

    @functools.cached_property
    def positions(self) -> dict[str, int]:
        """Where each parameter stands among the values of a bound call."""
        return {param.name: index for index, param in enumerate(self.params)}

    def position(self, name: str, cached: Cached | None, rule: str) -> int:
        """Return where a parameter stands, or say why a rule cannot name it."""
        index = self.positions.get(name)
        if index is None:
            known = ", ".join(self.positions) or "none at all"
            raise ConfigurationError(
                f"{rule} names the parameter {name!r}, but {self.name!r} has the parameters: "
                f"{known}"
            )
        if self.params[index].kind in _VARIADIC:
            raise ConfigurationError(
                f"{rule} names {name!r}, which collects arguments; name a parameter of its own, "
                "or leave the names out to forget the whole method"
            )
        if cached is not None and (cached.key is not None or name in cached.ignore):
            raise ConfigurationError(
                f"{rule} names {name!r}, which is no part of the key of {self.name!r}; "
                "leave the names out to forget the whole method"
            )
        return index

    def key_positions(self, cached: Cached) -> tuple[int, ...]:
        """Return where the parameters stand that are part of the key."""
        for name in cached.ignore:
            if name not in self.positions:
                known = ", ".join(self.positions) or "none at all"
                raise ConfigurationError(
                    f"ignore names {name!r}, but {self.name!r} has the parameters: {known}"
                )
        return tuple(i for name, i in self.positions.items() if name not in cached.ignore)

    def check(self, cached: Cached) -> None:
        """Refuse a policy that cannot work with this method."""
        self.key_positions(cached)
        if cached.each is not None:
            self.position(cached.each, None, f"each={cached.each!r}")
            if self.kind not in ("function", "coroutine"):
                raise ConfigurationError(
                    f"each of {self.name!r}: the method must return a mapping, and it is a "
                    "generator function; leave each out"
                )
        if not callable(cached.tags):
            for template in cached.tags:
                check_template(template, self.positions, "tags", self.name)
        if cached.key is not None and not self._fits(cached.key):
            wanted = ", ".join(map(str, signature(self.params).parameters.values()))
            raise ConfigurationError(
                f"key of {self.name!r} cannot be called as the method is; "
                f"give it the same parameters: ({wanted})"
            )
        if self.kind in ("generator", "asyncgen") and not cached.materialize:
            raise ConfigurationError(
                f"{self.name!r} of {self.owner} is a generator function: what it returns can be "
                f"read once; cache it with Cached(materialize=True)"
            )

    def _fits(self, key: Callable[..., Any]) -> bool:
        try:
            taken = signature(parameters(key))
        except (TypeError, ValueError):
            return True  # some of those written in C do not tell
        named = {p.name: None for p in self.params if p.kind is Parameter.KEYWORD_ONLY}
        plain = [None for p in self.params if p.kind in _POSITIONAL]
        try:
            taken.bind(*plain, **named)
        except TypeError:
            return False
        return True


def find(target: object, name: str, argument: str) -> Method:
    """Return the method of an object by its name, or say what ``argument`` got wrong."""
    if not isinstance(name, str):
        raise ConfigurationError(f"{argument} must hold names of methods, not {name!r}")
    owner = type(target).__qualname__
    if name in _NEVER:
        raise ConfigurationError(
            f"{argument} names {name!r}, which Python itself needs to make objects and find "
            "methods; name another method"
        )
    raw = _static(target, name)
    if isinstance(raw, (property, functools.cached_property)):
        writes = argument == "invalidate_methods"
        remedy = "mark what sets it with writing()" if writes else "put cached below the @property"
        raise ConfigurationError(
            f"{argument} names {name!r}, which is a property of {owner}; name a method, or {remedy}"
        )
    try:
        bound = getattr(target, name)
    except AttributeError:
        raise ConfigurationError(
            f"{argument} names {name!r}, but {owner} has no such attribute; "
            "name a method that the object has"
        ) from None
    if not callable(bound):
        raise ConfigurationError(
            f"{argument} names {name!r}, which is no method of {owner} but an attribute of type "
            f"{type(bound).__qualname__}; name a method"
        )
    return method_of(name, bound, owner, raw)


def _static(target: object, name: str) -> Any:
    # inspect.getattr_static of 3.12 keeps the classes it is asked about alive.
    try:
        own = object.__getattribute__(target, "__dict__")
    except AttributeError:
        own = {}
    for space in [own, *[base.__dict__ for base in type(target).__mro__]]:
        if name in space:
            return space[name]
    return None


def _bound(params: tuple[Parameter, ...], function: Any) -> tuple[Parameter, ...]:
    """Return the parameters without the first, where what was bound still says that it has one."""
    static = isinstance(function, staticmethod)
    return params if static or len(params) < len(parameters(function)) else params[1:]


def method_of(name: str, function: Any, owner: str, raw: Any) -> Method:
    """Return what a callable is; one whose signature cannot be known takes any arguments."""
    try:
        params = parameters(function)
        if isinstance(raw, functools.singledispatchmethod):
            params = _bound(params, raw.func)
    except (TypeError, ValueError):
        params = ANY_SIGNATURE
    return Method(name, raw, kind_of(function), params, owner)
