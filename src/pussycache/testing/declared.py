"""What is declared for an object, whichever way it was declared, and the object without it.

Whether a declaration is right is not judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from pussycache.cache.memory import MemoryCache
from pussycache.declare.policy import Cached, CachedMethods, declared
from pussycache.declare.rules import Forget, InvalidateMethods, written
from pussycache.declare.templates import ForgetTag
from pussycache.effects import attributes, undecorated
from pussycache.engine import clock
from pussycache.errors import ConfigurationError
from pussycache.proxy import BaseProxy, wrap
from pussycache.standin import TARGET

__all__ = ["Declaration"]


class Declaration:
    """What is cached, and what each write is said to make wrong.

    It is found on the objects that the user's factory makes: a proxy, an instance of a decorated
    class, or a plain object for which the declaration is given beside.
    """

    def __init__(
        self,
        examples: tuple[Any, Any],
        cached_methods: CachedMethods,
        invalidate_methods: InvalidateMethods | None,
    ) -> None:
        example, other = examples
        self._beside = (cached_methods, {} if invalidate_methods is None else invalidate_methods)
        self.cached: dict[str, Cached] = declared(cached_methods)
        self.writes: dict[str, tuple[Forget | ForgetTag, ...]] = written(self._beside[1])
        self._proxied = issubclass(type(example), BaseProxy)
        if self._proxied:
            if self.cached or self.writes:
                raise ConfigurationError(
                    "make_object returns a proxy, which has a declaration of its own; leave "
                    "cached_methods and invalidate_methods out, or return the bare object"
                )
            about = example._pussycache_about
            if about.scope is other._pussycache_about.scope:
                raise ConfigurationError(
                    f"make_object returns proxies that share entries, because they have one cache "
                    f"and the namespace {about.namespace!r}; let it make a new cache each time"
                )
            self.cached, self.writes = dict(about.cached), dict(about.writes)
            self._maker: type = about.maker
        target = self.bare(example)
        decorated, invalidating = _decorated(type(target))
        self.decorated = bool(decorated or invalidating)
        self._on_the_class = self.decorated and not self._proxied and not any(self._beside)
        self.cached = decorated | self.cached
        for name, rules in invalidating.items():
            self.writes[name] = (*self.writes.get(name, ()), *rules)
        if not self.cached:
            raise ConfigurationError(
                "nothing is cached, so there is nothing to look at: name cached_methods, or let "
                "make_object return a proxy or an object of a decorated class"
            )
        # Says what is wrong with a declaration as wrapping does, before anything is run.
        self.caching(example)

    def bare(self, made: Any) -> Any:
        """Return the object itself, of what the factory made."""
        return object.__getattribute__(made, TARGET) if self._proxied else made

    def caching(self, made: Any) -> Any:
        """Return the object that caches, of what the factory made."""
        if self._proxied or self._on_the_class:
            return made
        cached_methods, invalidate_methods = self._beside
        return wrap(made, cached_methods=cached_methods, invalidate_methods=invalidate_methods)

    def without_caching(self) -> AbstractContextManager[None]:
        """Return a block in which the bare object computes, also where its class is decorated."""
        return clock.disabled() if self.decorated else nullcontext()

    def around(self, stand_in: Any) -> Any:
        """Return a proxy with this declaration around something that stands for the object."""
        maker: Callable[..., Any] = self._maker if self._proxied else BaseProxy
        return maker(
            stand_in,
            MemoryCache(),
            cached_methods=self.cached,
            invalidate_methods=self.writes,
        )

    def naming(self, write: str, read: str) -> tuple[Forget | ForgetTag, ...]:
        """Return the rules by which a write makes a cached method wrong."""
        tagged = read in self.cached and bool(self.cached[read].tags)
        return tuple(
            [
                rule
                for rule in self.writes.get(write, ())
                if (tagged if isinstance(rule, ForgetTag) else _name_of(rule) in (read, "*"))
            ]
        )

    # In the words of the one who declared it.

    def said(self, write: str) -> str:
        """Return what is said of a declared write, as it is written."""
        names = [
            rule if isinstance(rule, ForgetTag) or rule.mapped else rule.method
            for rule in self.writes[write]
        ]
        if self._on_the_class:
            return f"@invalidates({', '.join(map(repr, names))}) of {write!r}"
        return f"invalidate_methods={{{write!r}: {names!r}}}"

    def to_add(self, write: str, read: str) -> str:
        """Return what to do, so that a write makes a cached method wrong."""
        if self._on_the_class:
            return f"add @invalidates({read!r}) to {write!r}"
        if write in self.writes:
            return f"add {read!r} to invalidate_methods[{write!r}]"
        return f"add {write!r}: [{read!r}] to invalidate_methods"

    def to_drop(self, read: str) -> str:
        """Return what to do, so that a method is not cached any more."""
        if self._on_the_class:
            return f"take @cached from {read!r}"
        return f"take {read!r} out of cached_methods"


def _name_of(rule: Forget) -> str | None:
    if isinstance(rule.method, str):
        return rule.method
    handle: Any = getattr(rule.method, "__pussycache__", None)
    # A method of another proxy is not one of this object.
    if handle is None or hasattr(rule.method, "__self__"):
        return None
    name: str = handle.method.name
    return name


def _decorated(
    kind: type,
) -> tuple[dict[str, Cached], Mapping[str, tuple[Forget | ForgetTag, ...]]]:
    cached: dict[str, Cached] = {}
    writes: dict[str, tuple[Forget | ForgetTag, ...]] = {}
    for name, raw in attributes(kind):
        function = undecorated(raw)
        handle = getattr(function, "__pussycache__", None)
        if handle is not None and not isinstance(raw, property):
            cached.setdefault(name, handle.cached)
        rules = getattr(function, "__pussycache_rules__", None)
        if rules is not None:
            writes.setdefault(name, rules)
    return cached, writes
