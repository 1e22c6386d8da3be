"""`Stepwise`: functions of the engine, made anew from their own source so that they pause.

A twin of a function does what the function does, but is a generator with a scheduling point before
each statement whose place among other actors' statements can matter. Nothing is changed in the
engine, which pays nothing for it. Which functions these are is said in world.py.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextvars import ContextVar
from types import FunctionType
from typing import Any, Final

from pussycache.testing.explorer.search import ABANDONED, Pause

__all__ = ["ACTOR", "StepLock", "Stepwise"]

ACTOR: Final[ContextVar[str]] = ContextVar("pussycache_explorer_actor", default="")
"""The name of the actor that is moving."""


# Methods of dictionaries and lists that change nothing.
_READING: Final = frozenset({"copy", "get", "items", "keys", "values"})


class StepLock:
    """A reentrant lock for actors: who wants it while another one has it cannot move."""

    __slots__ = ("count", "fresh", "owner")

    def __init__(self) -> None:
        self.owner = ""
        self.count = 0
        # Whether its holder has done nothing yet that others can see.
        self.fresh = False

    def take(self) -> Generator[Pause, None, bool]:
        """Wait for the lock, if need be, and take it."""
        me = ACTOR.get()
        if self.owner != me or not self.count:
            yield Pause("takes the lock", self.free)
            self.fresh = True
        return self.acquire()

    def free(self) -> bool:
        """Whether nobody has it."""
        return not self.count

    def acquire(self, blocking: bool = True) -> bool:
        """Take the lock, which must be free: for code that does not pause."""
        me = ACTOR.get()
        if self.count and self.owner != me:
            if blocking:
                raise RuntimeError(f"{me} would wait for the lock of {self.owner} for ever")
            return False
        self.owner = me
        self.count += 1
        return True

    def release(self) -> None:
        """Give the lock back."""
        self.count -= 1
        if not self.count:
            self.owner = ""

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()

    def _is_owned(self) -> bool:
        return self.count > 0 and self.owner == ACTOR.get()


class Stepwise:
    """The twins of some functions; called with a function and its arguments, it returns its steps.

    :param functions: those that are to pause; they may call one another.
    :param shared: attributes that are read and changed without the lock. There is a scheduling
        point before each statement that mentions one of them, or a variable that was given it.
    :param guarded: attributes that are read without the lock, and changed by its holder only. There
        is none before a statement of the lock's holder that only reads them.
    :param lock: returns the lock.
    :param instead: what else these functions are to find under a global name.
    :param given: other functions that they call, and what returns the steps of each.
    :raises RuntimeError: for a function whose source is not there, and, while it runs, for one that
        changes what is guarded without having the lock.

    A call of something that has no twin is made at once. What needs no scheduling point because it
    cannot be told from the other order: what touches nothing shared; what is first done with the
    lock, because there is one before taking it; and giving the lock back (R. Lipton, "Reduction: a
    method of proving properties of parallel programs", 1975).
    """

    def __init__(
        self,
        functions: Iterable[FunctionType],
        shared: frozenset[str],
        guarded: frozenset[str],
        lock: Callable[[], StepLock],
        instead: Mapping[str, object],
        given: Mapping[Any, Callable[..., Generator[Any, Any, Any]]] | None = None,
    ) -> None:
        functions = list(functions)
        given = given or {}
        names = {function.__name__ for function in [*functions, *given]}
        # A flow is handed what is due at its end as `end`.
        self._names = frozenset(names | {"acquire", "end"})
        self._shared = shared
        self._guarded = guarded
        self._lock = lock
        self._instead = instead
        self._twins: dict[Any, Callable[..., Generator[Any, Any, Any]]] = {
            StepLock.acquire: StepLock.take,
            **given,
        }
        for function in functions:
            self._twins[function] = self._twin(function)

    def __call__(self, called: Any, *args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        function = getattr(called, "__func__", called)
        twin = self._twins.get(function)
        if twin is None:
            return _at_once(called, args, kwargs)
        if function is called:
            return twin(*args, **kwargs)
        return twin(called.__self__, *args, **kwargs)

    def _twin(self, function: FunctionType) -> Callable[..., Generator[Any, Any, Any]]:
        name = function.__qualname__.rpartition("<locals>.")[2]
        try:
            source = textwrap.dedent(inspect.getsource(function))
        except OSError:
            raise RuntimeError(
                f"the source of {name} is not there; the explorer works on it: install the package "
                "with its .py files"
            ) from None
        if function.__code__.co_freevars:
            raise RuntimeError(f"{name} is a closure; its twin would not have what it encloses")
        tree = ast.parse(source)
        weaver = _Weaver(name, self._names, self._shared, self._guarded)
        weaver.weave(tree)
        space = {**function.__globals__, **self._instead, **weaver.pauses}
        space |= {"_step": self, "_take": _take, "_abandoned": ABANDONED.get}
        space |= {"_matters": self._matters, "_change": self._change}
        exec(compile(tree, f"<steps of {name}>", "exec"), space)
        twin: Callable[..., Generator[Any, Any, Any]] = space[function.__name__]
        twin.__defaults__ = function.__defaults__
        return twin

    def _matters(self, reads_only: bool) -> bool:
        """Whether another actor's step before this statement can matter."""
        lock = self._lock()
        if not lock._is_owned():
            return True
        if reads_only:
            return False
        fresh, lock.fresh = lock.fresh, False
        return not fresh

    def _change(self, where: Pause) -> None:
        if not self._lock()._is_owned():
            raise RuntimeError(
                f"{where.text} is done without the lock; the explorer takes it for guarded"
            )


def _at_once(called: Callable[..., Any], args: Any, kwargs: Any) -> Generator[Any, Any, Any]:
    yield from ()
    return called(*args, **kwargs)


def _take(lock: Any) -> Generator[Pause, None, Any]:
    return lock.take() if isinstance(lock, StepLock) else _at_once(lock.acquire, (), {})


class _Weaver:
    """Puts pauses into the tree of one function."""

    def __init__(
        self, name: str, names: frozenset[str], shared: frozenset[str], guarded: frozenset[str]
    ) -> None:
        self._name = name
        self._shared = shared
        self._guarded = guarded
        self._calls = _Calls(names)
        self._aliases: dict[str, str] = {}
        self._count = 0
        self.pauses: dict[str, Pause] = {}

    def weave(self, tree: ast.Module) -> None:
        (function,) = tree.body
        assert isinstance(function, ast.FunctionDef)
        function.decorator_list = []
        function.returns = None
        for argument in ast.walk(function.args):
            if isinstance(argument, ast.arg):
                argument.annotation = None
        self._aliases = dict(_aliases(function))
        # The yield is never reached; it makes a generator of a function that has no pause.
        function.body = [*self._all(function.body), *_parsed("return\nyield")]
        ast.fix_missing_locations(tree)

    def _all(self, body: list[ast.stmt]) -> list[ast.stmt]:
        woven: list[ast.stmt] = []
        for statement in body:
            woven += self._one(statement)
        return woven

    def _one(self, statement: ast.stmt) -> list[ast.stmt]:
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            return [statement]
        before = self._pause(statement)
        if isinstance(statement, ast.For):
            before += self._row(statement)
        elif isinstance(statement, ast.With) and _is_lock(statement):
            return before + self._locked(statement)
        for field, value in ast.iter_fields(statement):
            if field in ("body", "orelse"):
                setattr(statement, field, self._all(value))
            elif field == "finalbody":
                setattr(statement, field, self._unless_abandoned(value))
            elif field == "handlers":
                for handler in value:
                    handler.body = [
                        *_parsed("if _abandoned(): raise"),
                        *self._all(handler.body),
                    ]
            elif isinstance(value, ast.AST):
                setattr(statement, field, self._calls.visit(value))
            elif isinstance(value, list):
                setattr(statement, field, [self._calls.visit(item) for item in value])
        return [*before, statement]

    def _pause(self, statement: ast.stmt) -> list[ast.stmt]:
        parts = _header(statement)
        shared = any(self._mentions(part, self._shared) for part in parts)
        guarded = any(self._mentions(part, self._guarded) for part in parts)
        if not shared and not guarded:
            return []
        changes = guarded and any(self._changes(part) for part in parts)
        name = f"_pause_{len(self.pauses)}"
        line = ast.unparse(statement).partition("\n")[0]
        self.pauses[name] = Pause(f"[{self._name}] {line}")
        woven = _parsed(f"if _matters({not shared and not changes}): yield {name}")
        return woven + (_parsed(f"_change({name})") if changes else [])

    def _mentions(self, tree: ast.AST, names: frozenset[str]) -> bool:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in names:
                return True
            if isinstance(node, ast.Name) and self._aliases.get(node.id) in names:
                return True
        return False

    def _changes(self, tree: ast.AST) -> bool:
        """Whether something guarded is assigned to, deleted from, or called a method of."""
        for node in ast.walk(tree):
            if isinstance(node, (ast.Attribute, ast.Subscript)):
                if isinstance(node.ctx, ast.Load):
                    continue
                held = node.value if isinstance(node, ast.Subscript) else node
                if self._is(held):
                    return True
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr not in _READING
                and self._is(node.func.value)
            ):
                return True
        return False

    def _is(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Attribute):
            return node.attr in self._guarded
        return isinstance(node, ast.Name) and self._aliases.get(node.id) in self._guarded

    def _row(self, statement: ast.For) -> list[ast.stmt]:
        # What a loop still has to do is in no variable, and so in no mark of the state: until here.
        self._count += 1
        row, index = f"_row_{self._count}", f"_index_{self._count}"
        put = _parsed(f"{row} = tuple(())")
        assert isinstance(put[0], ast.Assign)
        assert isinstance(put[0].value, ast.Call)
        put[0].value.args = [self._calls.visit(statement.iter)]
        place = ast.Tuple([ast.Name(index, ast.Store()), statement.target], ast.Store())
        statement.target = place
        statement.iter = ast.parse(f"enumerate({row})", mode="eval").body
        return put

    def _locked(self, statement: ast.With) -> list[ast.stmt]:
        self._count += 1
        lock = f"_lock_{self._count}"
        (item,) = statement.items
        woven = _parsed(
            f"{lock} = None\n"
            f"yield from _take({lock})\n"
            "try:\n pass\n"
            f"finally:\n if not _abandoned(): {lock}.release()"
        )
        put, _, attempt = woven
        assert isinstance(put, ast.Assign)
        assert isinstance(attempt, ast.Try)
        put.value = item.context_expr
        attempt.body = self._all(statement.body)
        return woven

    def _unless_abandoned(self, body: list[ast.stmt]) -> list[ast.stmt]:
        if not body:
            return []
        (unless,) = _parsed("if not _abandoned(): pass")
        assert isinstance(unless, ast.If)
        unless.body = self._all(body)
        return [unless]


class _Calls(ast.NodeTransformer):
    """Makes calls of functions that pause, by their names, into ``yield from``."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        called = node.func
        name = getattr(called, "attr", getattr(called, "id", None))
        if name not in self._names:
            return node
        step = ast.Call(ast.Name("_step", ast.Load()), [called, *node.args], node.keywords)
        return ast.YieldFrom(step)

    def _leave(self, node: ast.AST) -> ast.AST:
        # A scope of its own: nothing in it can pause.
        return node

    visit_Lambda = visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _leave


def _parsed(source: str) -> list[ast.stmt]:
    return ast.parse(source).body


def _aliases(function: ast.FunctionDef) -> Iterator[tuple[str, str]]:
    """Yield the variables that are given an attribute as it is, and its name."""
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            pairs: list[tuple[ast.expr, ast.expr]] = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(target.elts, node.value.elts, strict=True))
            for to, given in pairs:
                if isinstance(to, ast.Name) and isinstance(given, ast.Attribute):
                    yield to.id, given.attr


def _header(statement: ast.stmt) -> list[ast.AST]:
    """Return what is evaluated before the first statement inside, or all where none is inside."""
    if isinstance(statement, (ast.If, ast.While)):
        return [statement.test]
    if isinstance(statement, ast.For):
        return [statement.iter]
    if isinstance(statement, ast.With):
        return [item.context_expr for item in statement.items if not _is_lock(statement)]
    if isinstance(statement, ast.Try):
        return []
    return [statement]


def _is_lock(statement: ast.With) -> bool:
    """Whether a lock is taken, as far as its name tells."""
    called = statement.items[0].context_expr
    return len(statement.items) == 1 and (
        getattr(called, "attr", getattr(called, "id", "")).endswith("lock")
    )
