"""One remembered result, and how it came to be gone.

Records only: who may read or replace them is decided in generations.py.
"""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Mapping
from sys import modules
from threading import current_thread

from pussycache.engine.clock import read, wall
from pussycache.engine.staleness import FRESH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, TypeAlias

    from pussycache.engine.guard import Seal
    from pussycache.engine.staleness import Age

__all__ = ["EVICTED", "Cause", "Entry", "History", "Tended", "Weighed", "shown"]


class Entry:
    """A remembered value. Once it can be found, only its count of hits changes.

    A hit adds to ``hits`` and does nothing else; eviction reads it as the mark of use and moves it
    to the table's own count.
    """

    __slots__ = ("expires", "hits", "key", "value")

    value: Any
    expires: float
    hits: int
    key: Any

    @property
    def deadline(self) -> float:
        """When it expires; ``expires`` is the same, or negative where the hit path must not see."""
        return abs(self.expires)

    @property
    def intact(self) -> bool:
        """Whether its value is known to have been changed by nobody, or not looked after."""
        return True

    @property
    def stage(self) -> str:
        """How old it is, before its deadline: see staleness.py."""
        return FRESH


class Tended(Entry):
    """A remembered value of which more is to be known than until when it is good.

    The hit path serves it until ``expires``, if that is positive. Beyond that the flow decides:
    with a ``seal``, the value is compared with what it was when stored; with an ``age``, it may be
    refreshed, or served though it is old. ``used`` is when it was last used, where it is forgotten
    for want of use. ``writes`` is how many invalidations there had been when it was stored.
    With ``tags``, it is good for as long as none was forgotten since it ``began`` to be loaded: see
    tags.py. It has a ``weight`` only in a cache that is bounded by weight.
    """

    __slots__ = ("age", "began", "seal", "tags", "used", "weight", "writes")

    began: int
    tags: tuple[str, ...]
    writes: int

    age: Age | None
    seal: Seal | None
    used: float
    weight: float

    def __init__(self, age: Age | None = None, seal: Seal | None = None) -> None:
        self.age = age
        self.seal = seal
        self.used = 0.0 if age is None else age.loaded
        self.writes = self.began = 0
        self.tags = ()

    @property
    def deadline(self) -> float:
        age = self.age
        return abs(self.expires) if age is None else age.deadline(self.used)

    @property
    def intact(self) -> bool:
        return self.seal is None or self.seal.holds(self.value)

    @property
    def stage(self) -> str:
        return FRESH if self.age is None else self.age.stage(read())

    def renewed(self) -> float:
        """Return until when a hit need not ask, from the last use on."""
        return math.inf if self.age is None else self.age.expires(self.used)

    def use(self) -> None:
        """Take note that it is served."""
        self.hits += 1
        if self.age is not None:
            self.used = read()
            if self.expires > 0.0:
                self.expires = self.renewed()


class Weighed(Entry):
    """A plain entry of a cache that is bounded by weight; only there does it cost the memory."""

    __slots__ = ("weight",)

    weight: float


_SHOWN: Final = 40
_PLAIN: Final = frozenset({int, float, bool, str, bytes, type(None)})


class Cause:
    """Which call of which method, where and when, made entries wrong.

    ``thread`` and ``task`` are names; ``task`` is that of asyncio, `None` outside of one.
    ``writer`` is the method as statistics name it, where methods of several classes have one name.
    """

    __slots__ = ("arguments", "method", "pid", "task", "thread", "when", "writer")

    def __init__(
        self, method: str, values: Mapping[str, Any] | None = None, writer: str | None = None
    ) -> None:
        self.method = method
        # As statistics name it, where methods of several classes have one name.
        self.writer = writer or method
        self.arguments = values or {}
        self.when = time.time()
        self.thread = current_thread().name
        # Who does not use asyncio pays for nothing.
        asyncio = modules.get("asyncio")
        self.task = None if asyncio is None else _task(asyncio)
        self.pid = os.getpid()

    @property
    def call(self) -> str:
        """The call as text."""
        return f"{self.method}({', '.join(map('='.join, self.arguments.items()))})"

    def __str__(self) -> str:
        return f"{self.call} in process {self.pid}"


def _task(asyncio: Any) -> str | None:
    """Return the name of the running task."""
    try:
        # Without an exception, where no loop runs: a write is not to cost twice as much for that.
        loop = asyncio._get_running_loop()
    except AttributeError:
        # While asyncio is being imported.
        return None
    task = None if loop is None else asyncio.current_task(loop)
    name = getattr(task, "get_name", None)
    return None if name is None else str(name())


def shown(values: Mapping[str, Any]) -> dict[str, str]:
    """Return arguments as short texts; other people's ``__repr__`` is not run during a write."""
    texts = {}
    for name, value in values.items():
        if type(value) in (str, bytes):
            value = value[:_SHOWN]
        short = type(value) is not int or value.bit_length() < 4 * _SHOWN
        plain = type(value) in _PLAIN and short
        text = repr(value) if plain else f"<{type(value).__qualname__}>"
        texts[name] = text if len(text) < _SHOWN else text[: _SHOWN - 3] + "..."
    return texts


EVICTED: Final = "evicted"
_Event: TypeAlias = "tuple[str, Cause | None, float | None, str | None]"
_Noted: TypeAlias = "tuple[str, Cause | None, float | None, object]"


class History:
    """The last things that happened to calls which are not remembered (any more); bounded.

    Keys are known by their hash alone, so that nothing is kept alive for the sake of an
    explanation; a collision gives a wrong explanation and no wrong answer. Evictions, which happen
    most, are noted most briefly: the time stands before the first of those in one second.
    """

    __slots__ = ("_before", "_evicted", "_half", "_later", "evicted")

    def __init__(self, room: int = 4096) -> None:
        # In two parts, the older of which goes as a whole: to take the first of one dictionary
        # each time is to step over all that were taken before.
        self._before: dict[int, _Noted] = {}
        self._later: dict[int, _Noted] = {}
        self._half = room // 2
        self._evicted: deque[float] = deque(maxlen=room)
        # Called with key and table as one number, for each entry thrown out to make room, and with
        # the time, a float. What is noted otherwise stands in between as a complement, so that the
        # later of two is known.
        self.evicted: Final = self._evicted.append

    def note(
        self,
        table: int,
        key: Any,
        reason: str,
        cause: Cause | None = None,
        detail: object = None,
        when: float | None = None,
    ) -> None:
        """Remember the last thing that happened to a call.

        :param detail: what else there is to say; made a text of when somebody asks for it.
        :param when: the time of day, if that is not now.
        """
        try:
            place = hash(key) ^ table
        except Exception:
            # An argument that cannot be hashed any more: there is nothing to find it by.
            return
        events = self._later
        if len(events) >= self._half:
            # Where two threads do this at one moment, some are forgotten earlier.
            self._before, self._later = events, (events := {})
        events[place] = (reason, cause, time.time() if when is None else when, detail)
        self._evicted.append(~place)

    def since(self, when: float) -> list[Cause]:
        """Return what has made calls wrong since then, each cause once, as far as remembered."""
        found: dict[int, Cause] = {}
        for reason, cause, _, _ in [*self._before.copy().values(), *self._later.copy().values()]:
            if cause is not None and reason == "invalidated" and cause.when >= when:
                found[id(cause)] = cause
        return list(found.values())

    def last(self, table: int, key: Any) -> _Event:
        """Return the last thing that happened to a call: a reason, by whom, when, and what else."""
        place = hash(key) ^ table
        told = list(self._evicted)
        for at in range(len(told) - 1, -1, -1):
            if type(told[at]) is float:
                continue
            if told[at] == place:
                return EVICTED, None, _time_of(told, at), None
            if told[at] == ~place:
                break
        noted = self._later.get(place) or self._before.get(place, _NOTHING)
        reason, cause, when, detail = noted
        return reason, cause, when, None if detail is None else str(detail)


def _time_of(told: list[float], at: int) -> float | None:
    """Return the time of day of an eviction, to about a second."""
    for moment in [*reversed(told[:at]), *told[at:]]:
        if type(moment) is float:
            return wall() - (read() - moment)
    return None


_NOTHING: Final[_Event] = "never-cached", None, None, None
