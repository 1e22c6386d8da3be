"""The one clock, and the switches that turn caching, or the hit path, off.

`hot` is the dictionary of globals of every compiled function: exchanging a name in it changes all
of them at once, and costs a hit nothing. Nothing here knows of entries.
"""

from __future__ import annotations

import builtins
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pussycache.engine.speed import use_clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

__all__ = [
    "aside",
    "chance",
    "disabled",
    "hot",
    "is_real",
    "read",
    "replaced",
    "switches",
    "unwatch",
    "wall",
    "watch",
    "watching",
]

hot: Final[dict[str, Any]] = {
    "__builtins__": builtins,
    "__name__": "pussycache.compiled",
    "now": time.monotonic,
    # The same clock while caching is switched off, too.
    "time": time.monotonic,
    # What an entry's expiry must exceed where a method's entries cannot expire by time.
    "floor": 0.0,
}

switches: Final[list[object]] = []
"""Who has switched caching off; nobody, as a rule."""

watching: Final[list[object]] = []
"""Who wants to see what calls do; nobody, as a rule."""

aside: Final[list[object]] = []
"""All of these: while there is somebody, no call is answered by the hit path."""


def read() -> float:
    """Return the time in seconds of a clock that never goes back; wall clocks have no part."""
    time_now: float = hot["time"]()
    return time_now


def is_real() -> bool:
    """Whether that is the computer's clock, and not one that a test has put in its place."""
    return hot["time"] is time.monotonic


_dice: Callable[[], float] | None = None


def chance() -> float:
    """Return a random number, at least 0 and below 1; under a test's clock always the same ones."""
    global _dice
    if _dice is None:
        # Asked for only here: most programs spread nothing.
        from random import Random

        _dice = Random(None if is_real() else 0).random
    return _dice()


def wall() -> float:
    """Return the time of day: when something happened, and how long ago a cache was saved.

    In a running process it decides nothing.
    """
    return time.time()


def _never() -> float:
    return math.inf


def _settle() -> None:
    # A clock that shows the end of time makes every entry look expired to the hit path, which then
    # asks the slow one: so the switch needs no test on a hit.
    aside[:] = [*switches, *watching]
    hot["now"] = _never if aside else hot["time"]
    hot["floor"] = math.inf if aside else 0.0
    use_clock(hot["now"] is time.monotonic, hot["floor"])


@contextmanager
def replaced(source: Callable[[], float]) -> Iterator[None]:
    """Let another clock tell the time meanwhile, for tests."""
    global _dice
    before = hot["time"], _dice
    hot["time"], _dice = source, None
    _settle()
    try:
        yield
    finally:
        hot["time"], _dice = before
        _settle()


def watch(who: object) -> None:
    """Have all calls go where what they do can be seen, until `unwatch`."""
    watching.append(who)
    _settle()


def unwatch(who: object) -> None:
    """Let calls be answered by the hit path again, unless somebody else watches."""
    if who in watching:
        watching.remove(who)
        _settle()


@contextmanager
def disabled() -> Iterator[None]:
    """Switch all caching off for a block, in the whole process.

    Calls compute and store nothing; writes go on invalidating, so that what was cached before the
    block is right after it. The environment variable ``PUSSYCACHE_DISABLED=1`` does the same for
    the life of the process.

    >>> import pussycache
    >>> from random import Random
    >>> dice = pussycache.wrap(Random(7), cached_methods=["random"])
    >>> dice.random() == dice.random()
    True
    >>> with pussycache.disabled():
    ...     dice.random() == dice.random()
    False
    """
    switch = object()
    switches.append(switch)
    _settle()
    try:
        yield
    finally:
        switches.remove(switch)
        _settle()


if os.environ.get("PUSSYCACHE_DISABLED", "").lower() not in ("", "0", "false", "no", "off"):
    switches.append("PUSSYCACHE_DISABLED")
    _settle()
