"""`Frozen`: a short mark of a heap of objects and suspended generators, equal for equal heaps.

It tells apart what is built differently, not what is stored elsewhere. Which objects matter is said
by whoever asks.
"""

from __future__ import annotations

import hashlib
import marshal
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodType,
    ModuleType,
)
from typing import Any, Final

from pussycache.testing.explorer.liveness import live_variables

__all__ = ["Frozen", "slots_of"]

_ATOMS: Final = frozenset({int, float, bool, str, bytes, type(None), complex})
_FIXED: Final = (FunctionType, ModuleType, type)


class Frozen:
    """Makes marks of heaps.

    :param fixed: types whose objects never change, and are the same in each run.
    :param values: types whose objects are hashable, and mean no more than they are equal to.
    :param slots: for a type, the names of those attributes that matter; otherwise all do.

    >>> from pussycache.testing.explorer.freezing import Frozen
    >>> frozen = Frozen()
    >>> shared, other = [1], [1]
    >>> frozen([shared, shared]) == frozen([other, other])
    True
    >>> frozen([shared, shared]) == frozen([shared, other])
    False
    """

    def __init__(
        self,
        fixed: Iterable[type] = (),
        values: Iterable[type] = (),
        slots: Mapping[type, tuple[str, ...]] | None = None,
    ) -> None:
        self._how: dict[type, Callable[[Any], None]] = {}
        # Numbers that stand for what is long to write, the same in all marks.
        self._numbers: dict[Any, int] = {}
        self._fixed = {kind: self._number(kind) for kind in fixed}
        self._how |= dict.fromkeys(values, self._value)
        # Which of several equal ones it is makes no difference.
        self._plain = {*self._how, tuple, frozenset}
        for kind, names in (slots or {}).items():
            self._how[kind] = self._attributes(names)
        # The variables that matter, by the code and the place in it.
        self._live: dict[CodeType, dict[int, frozenset[str]] | None] = {}
        self._out: list[Any] = []
        # By its address: which object it was, and the object.
        self._seen: dict[int, tuple[int, Any]] = {}

    def __call__(self, *roots: object) -> bytes:
        """Return the mark of all that can be reached from here.

        128 bits of a hash stand for the whole (P. Wolper and D. Leroy, "Reliable hashing without
        collision detection", 1993).
        """
        out = self._out = []
        for root in roots:
            self._put(root)
        self._seen.clear()
        return hashlib.blake2b(marshal.dumps(out, 2), digest_size=16).digest()

    def _put(self, what: Any) -> None:
        kind = type(what)
        if kind in _ATOMS:
            self._out.append(what)
            return
        if kind in self._fixed:
            self._out.append(self._fixed[kind])
            return
        how = self._how.get(kind)
        if how is None:
            how = self._how[kind] = self._learn(kind)
        if kind in self._plain:
            how(what)
            return
        known = self._seen.get(id(what))
        if known is not None:
            self._out += ("=", known[0])
            return
        # Kept until the end: an address must not be given to another object meanwhile.
        self._seen[id(what)] = len(self._seen), what
        how(what)

    def _learn(self, kind: type) -> Callable[[Any], None]:
        if issubclass(kind, _FIXED):
            self._plain.add(kind)
            return self._name
        if issubclass(kind, (tuple, frozenset)):
            self._plain.add(kind)
        known: list[tuple[type | tuple[type, ...], Callable[[Any], None]]] = [
            (GeneratorType, self._generator),
            (dict, self._mapping),
            ((set, frozenset), self._set),
            ((list, tuple, deque), self._sequence),
            (BaseException, self._error),
            (MethodType, self._method),
            (BuiltinFunctionType, self._method),
            (CellType, self._cell),
        ]
        for base, how in known:
            if issubclass(kind, base):
                return how
        return self._attributes(slots_of(kind))

    def _number(self, what: Any) -> int:
        return self._numbers.setdefault(what, len(self._numbers))

    def _name(self, what: Any) -> None:
        self._out.append(self._number(getattr(what, "__qualname__", type(what))))

    def _value(self, what: Any) -> None:
        self._out.append(self._number(what))

    def _mapping(self, what: Any) -> None:
        self._out += ("{", len(what))
        for key, value in what.items():
            self._put(key)
            self._put(value)

    def _sequence(self, what: Any) -> None:
        self._out += ("[", len(what))
        for item in what:
            self._put(item)

    def _set(self, what: Any) -> None:
        self._out += ("(", *sorted(map(repr, what)), ")")

    def _error(self, what: Any) -> None:
        self._out += (type(what).__qualname__, repr(what.args))

    def _method(self, what: Any) -> None:
        self._out.append(what.__name__)
        self._put(what.__self__)

    def _cell(self, what: Any) -> None:
        try:
            self._put(what.cell_contents)
        except ValueError:
            self._out.append("empty")

    def _generator(self, what: Any) -> None:
        out = self._out
        frame = what.gi_frame
        if frame is None:
            out.append("ended")
            return
        variables = self._read_later(frame)
        out += (self._number(frame.f_code), frame.f_lasti, self._number(tuple(variables)))
        fixed = self._fixed
        for value in variables.values():
            kind = type(value)
            if kind in _ATOMS:
                out.append(value)
            elif kind in fixed:
                out.append(fixed[kind])
            else:
                self._put(value)
        inner = what.gi_yieldfrom
        if inner is not None:
            self._put(inner)

    def _read_later(self, frame: FrameType) -> dict[str, Any]:
        """Return those variables of a suspended frame that can still be read."""
        code = frame.f_code
        if code not in self._live:
            self._live[code] = live_variables(code)
        live, variables = self._live[code], frame.f_locals
        names = None if live is None else live.get(frame.f_lasti)
        if names is None:
            return dict(variables)
        return {
            name: value
            for name, value in variables.items()
            if name in names or name in code.co_cellvars or name in code.co_freevars
        }

    def _attributes(self, names: tuple[str, ...]) -> Callable[[Any], None]:
        def put(what: Any) -> None:
            self._out.append(type(what).__qualname__)
            for name in names:
                try:
                    value = getattr(what, name)
                except AttributeError:
                    self._out.append("none")
                else:
                    self._put(value)
            for name, value in getattr(what, "__dict__", {}).items():
                self._out.append(name)
                self._put(value)

        return put


def slots_of(kind: type) -> tuple[str, ...]:
    """Return the names of the attributes that a class has slots for."""
    found: list[str] = []
    for base in kind.__mro__:
        slots = base.__dict__.get("__slots__", ())
        found += (slots,) if isinstance(slots, str) else slots
    return tuple([name for name in found if name not in ("__weakref__", "__dict__")])
