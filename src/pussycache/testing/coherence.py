"""`assert_coherent`: shows that a user's declaration is right for an object of theirs.

Its arguments, and what is wrong with them. What is tried then is said in search.py.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from pussycache.declare.policy import seconds as in_seconds
from pussycache.engine import clock
from pussycache.errors import ConfigurationError, UncacheableCallWarning
from pussycache.testing.answers import Equal, Same
from pussycache.testing.calls import Calls, checked, drive, made, needs_loop, parsed
from pussycache.testing.declared import Declaration
from pussycache.testing.incoherent import Tried
from pussycache.testing.search import Search
from pussycache.testing.trial import Trial

if TYPE_CHECKING:
    from pussycache.declare.policy import CachedMethods
    from pussycache.declare.rules import InvalidateMethods
    from pussycache.declare.signatures import Method
    from pussycache.types import Seconds

__all__ = ["assert_coherent"]

T = TypeVar("T")


def assert_coherent(
    make_object: Callable[[], T],
    cached_methods: CachedMethods = (),
    invalidate_methods: InvalidateMethods | None = None,
    *,
    calls: Calls[T],
    equal: Equal | None = None,
    length: int = 3,
    histories: int = 200,
    seed: int = 0,
    seconds: Seconds = 10,
) -> Tried:
    """Fail if a wrapped object can be made to answer otherwise than a bare one.

    All sequences of the calls are tried, shortest first, then longer ones at random, then loads and
    writes that overlap, held before and after the real method.

    :param make_object: makes a new object each time: a bare one, a proxy, or one of a decorated
        class. Of the latter two the declaration is known.
    :param cached_methods: as for `wrap`.
    :param invalidate_methods: as for `wrap`.
    :param calls: each a tuple of a method's name and arguments, the bare name, or a callable such
        as ``lambda users: users.get_user(7)``; at least one of each method that is declared.
    :param equal: given two answers, says whether they mean the same. Without it answers are
        compared by ``==``, and by their attributes where their class does not say what equal is.
    :param length: sequences of up to so many calls are all tried.
    :param histories: so many longer ones are tried, and as many overlaps after them.
    :param seed: decides which longer ones.
    :param seconds: (or a `timedelta`) nothing new is begun afterwards; the result says whether
        that left anything out.
    :return: what was tried.
    :raises IncoherentError: an `AssertionError` that names the shortest history, the two methods
        that the declaration does not join, and the remedy.
    :raises ConfigurationError: for calls that the object has not, or whose answers vary by
        themselves, and for declared methods without a call.

    >>> from pussycache.testing import assert_coherent
    >>> class Users:
    ...     def __init__(self):
    ...         self.names = {7: "ada"}
    ...     def get_user(self, user_id):
    ...         return self.names[user_id]
    ...     def rename_user(self, user_id, name):
    ...         self.names[user_id] = name
    >>> assert_coherent(
    ...     Users,
    ...     cached_methods=["get_user"],
    ...     calls=[("get_user", 7), ("rename_user", 7, "eve")],
    ... )
    Traceback (most recent call last):
        ...
    pussycache.testing.incoherent.IncoherentError: get_user(7) answered 'ada', and a bare object \
'eve'.
      1. get_user(7) -> 'ada'
      2. rename_user(7, 'eve') -> None
      3. get_user(7) -> 'ada'    bare: 'eve'
    rename_user(7, 'eve') made get_user(7) wrong: 'rename_user' is not declared as a write; \
add 'rename_user': ['get_user'] to invalidate_methods.
    (seed=0)
    """
    _whole("length", length, least=1)
    _whole("histories", histories, least=0)
    limit = in_seconds(seconds, "seconds", "math.inf leaves nothing out")
    if clock.switches:
        raise ConfigurationError(
            "caching is switched off, so nothing would be tried; take PUSSYCACHE_DISABLED away, or "
            "call assert_coherent outside of disabled()"
        )
    said = parsed(calls)
    same = Same(equal)
    examples = made(make_object)
    declaration = Declaration(examples, cached_methods, invalidate_methods)
    methods = checked(said, declaration.bare(examples[0]))
    _all_called(declaration, methods)
    trial = Trial(make_object, declaration, same)
    search = Search(trial, said, methods, length, histories, seed, limit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UncacheableCallWarning)
        return drive(search.all(), needs_loop(methods.values()))


def _whole(argument: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{argument} must be a whole number from {least}, not {value!r}")


def _all_called(declaration: Declaration, methods: dict[str, Method]) -> None:
    for argument, names in (
        ("cached_methods", declaration.cached),
        ("invalidate_methods", declaration.writes),
    ):
        missing = [name for name in names if name not in methods]
        if missing:
            raise ConfigurationError(
                f"calls holds no call of {missing[0]!r}, which {argument} names: nothing would be "
                f"known of it; add one, such as ({missing[0]!r}, ...)"
            )
