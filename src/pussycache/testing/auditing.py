"""`audit`: which attributes methods read and change, and what of that a declaration leaves out.

How it is seen is said in watching.py and picture.py, how it is told in report.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from pussycache.declare.rules import Forget
from pussycache.errors import ConfigurationError
from pussycache.testing.calls import (
    Calls,
    MethodCall,
    Outcome,
    checked,
    drive,
    made,
    needs_loop,
    parsed,
)
from pussycache.testing.declared import Declaration
from pussycache.testing.picture import ITEMS, changed, picture
from pussycache.testing.report import Finding, Report, Use
from pussycache.testing.watching import watched

if TYPE_CHECKING:
    from pussycache.declare.policy import CachedMethods
    from pussycache.declare.rules import InvalidateMethods

__all__ = ["audit"]

T = TypeVar("T")


def audit(
    make_object: Callable[[], T],
    cached_methods: CachedMethods = (),
    invalidate_methods: InvalidateMethods | None = None,
    *,
    calls: Calls[T],
    ignore: Iterable[str] = (),
) -> Report:
    """Say which writes change what a cached method reads, and compare it with the declaration.

    Each call is made on an object of its own, then all of them one after the other on one object,
    and the other way round; without any cache. What a method does by way of others counts for it.

    :param make_object: makes a new object each time: a bare one, a proxy, or one of a decorated
        class. Of the latter two the declaration is known.
    :param cached_methods: as for `wrap`.
    :param invalidate_methods: as for `wrap`.
    :param calls: each a tuple of a method's name and arguments, the bare name, or a callable such
        as ``lambda users: users.get_user(7)``.
    :param ignore: names of attributes on which no answer depends: counters, logs, memos.
    :raises ConfigurationError: for calls that the object has not, and unknown names in ``ignore``.

    >>> from pussycache.testing import audit
    >>> class Users:
    ...     def __init__(self):
    ...         self._rows = {7: "ada"}
    ...     def list_users(self):
    ...         return sorted(self._rows.values())
    ...     def rename_user(self, user_id, name):
    ...         self._rows[user_id] = name
    >>> report = audit(
    ...     Users, cached_methods=["list_users"], calls=["list_users", ("rename_user", 7, "eve")]
    ... )
    >>> print(report)
    audit of Users
      method       reads  changes
      list_users   _rows  -
      rename_user  _rows  _rows[7]
    rename_user changed _rows, which list_users reads: not declared; \
add 'rename_user': ['list_users'] to invalidate_methods
    >>> report["rename_user"].writes
    frozenset({'_rows'})
    """
    said = parsed(calls)
    examples = made(make_object)
    declaration = Declaration(examples, cached_methods, invalidate_methods)
    target = declaration.bare(examples[0])
    methods = checked(said, target)
    watch = _Watch(make_object, declaration)
    with declaration.without_caching():
        drive(watch.all(said), needs_loop(methods.values()))
    name = type(target).__qualname__.rpartition("<locals>.")[2]
    return watch.report(name, _ignored(ignore, watch))


def _ignored(ignore: Iterable[str], watch: _Watch) -> frozenset[str]:
    if isinstance(ignore, str) or not isinstance(ignore, Iterable):
        raise ConfigurationError(
            f"ignore must be a list of names of attributes, not {ignore!r}; write [{ignore!r}]"
        )
    names = frozenset(ignore)
    known = set[str]().union(*[use.reads | use.writes for use in watch.uses.values()])
    for name in names:
        if name not in known:
            raise ConfigurationError(
                f"ignore names {name!r}, which no call read or changed; known are: "
                f"{', '.join(sorted(known)) or 'none at all'}"
            )
    return names


class _Gathered:
    """The same as a `Use`, while it grows."""

    def __init__(self) -> None:
        self.reads: set[str] = set()
        self.writes: set[str] = set()
        self.items: set[str] = set()
        # What is changed again by the same call: the first one may only fill a memo.
        self.again: set[str] = set()
        self.outcomes: list[Outcome] = []


class _Watch:
    """Makes the calls, and gathers what each method does."""

    def __init__(self, make_object: Callable[[], Any], declaration: Declaration) -> None:
        self._make_object = make_object
        self._declaration = declaration
        self.uses: dict[str, _Gathered] = {}
        self._opaque: set[str] = set()
        self._blind = False

    async def all(self, calls: tuple[MethodCall, ...]) -> None:
        for order in [*[(call,) for call in calls], calls, calls[::-1]]:
            target = self._declaration.bare(self._make_object())
            for call in order:
                use = self.uses.setdefault(call.name, _Gathered())
                use.writes |= await self._one(target, call, use)
                if call.name in self._declaration.cached:
                    use.again |= await self._one(target, call, use)

    async def _one(self, target: Any, call: MethodCall, use: _Gathered) -> set[str]:
        # Both pictures show the class that is watched.
        with watched(target) as seen:
            before = picture(target)
            seen.on = True
            use.outcomes.append(await Outcome.of(target, call))
            seen.on = False
            after = picture(target)
        self._opaque |= after.opaque
        if seen.reads is None:
            self._blind = True
            use.reads |= after.parts.keys()
        else:
            use.reads |= seen.reads
        if ITEMS in after.parts:
            use.reads.add(ITEMS)
        differ = changed(before, after)
        use.items |= {name + item for name, items in differ.items() for item in items}
        return seen.writes | differ.keys()

    def report(self, name: str, ignored: frozenset[str]) -> Report:
        declaration, uses = self._declaration, self.uses
        found = [
            finding
            for write in uses
            for read in uses
            if (finding := self._finding(write, read, ignored)) is not None
        ]
        declared = dict.fromkeys([*declaration.cached, *declaration.writes])
        return Report(
            name,
            tuple([_use(method, use) for method, use in uses.items()]),
            tuple(sorted(found, key=lambda finding: _KINDS.index(finding.kind))),
            tuple([method for method in declared if method not in uses]),
            tuple(self._notes()),
        )

    def _finding(self, write: str, read: str, ignored: frozenset[str]) -> Finding | None:
        declaration, done, needs = self._declaration, self.uses[write], self.uses[read]
        if write in declaration.cached:
            common = tuple(sorted((done.again & needs.reads) - ignored))
            if not common or write == read:
                return None
            return Finding("cached-write", write, read, common, declaration.to_drop(write))
        if read not in declaration.cached:
            return None
        common = tuple(sorted((done.writes & needs.reads) - ignored))
        said = declaration.naming(write, read)
        if common and not said:
            return Finding("undeclared", write, read, common, declaration.to_add(write, read))
        # Whoever says "everything" has not said it of this one.
        named = any(isinstance(rule, Forget) and rule.method != "*" for rule in said)
        if common or not named or self._hidden(done, needs):
            return None
        return Finding("unneeded", write, read, (), "take it out, if the calls show all it does")

    def _hidden(self, one: _Gathered, other: _Gathered) -> bool:
        """Whether two methods may hang together by something that cannot be looked into."""
        return bool(one.reads & other.reads & self._opaque)

    def _notes(self) -> Iterable[str]:
        if self._blind:
            yield "what is read cannot be seen in this object: everything counts as read"
        for name in sorted(self._opaque):
            yield f"{name} cannot be looked into: what is changed inside it was not seen"
        for method, use in self.uses.items():
            if not use.reads and method in self._declaration.cached:
                yield f"{method} reads nothing of the object: what it depends on was not seen"
            if all(outcome.error is not None for outcome in use.outcomes):
                yield f"{method} raised each time ({use.outcomes[0]}): little of it was seen"


_KINDS = ("undeclared", "cached-write", "unneeded")


def _use(method: str, use: _Gathered) -> Use:
    raised = all(outcome.error is not None for outcome in use.outcomes)
    return Use(
        method,
        frozenset(use.reads),
        frozenset(use.writes | use.again),
        frozenset(use.items),
        str(use.outcomes[0]) if raised else None,
    )
