"""What a fork does to a cache: the child has its entries, and nobody else's locks, loads or writes.

Nothing is decided here but who is still there.
"""

from __future__ import annotations

import os
import weakref
from contextlib import suppress

from pussycache.cache.expiry import janitor
from pussycache.cache.reclaim import reclaimer
from pussycache.engine import background, singleflight
from pussycache.typed import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from pussycache.engine.home import Lock

__all__ = ["delist", "enlist", "known", "watch", "watch_writers"]


class Watched(Protocol):
    """What is asked of a cache here."""

    lock: Lock

    def forget_others(self) -> None:
        """Forget the loads and the writers of threads that are not here."""

    def expect_again(self) -> None:
        """Call the janitor again, when next it is used."""


_caches: Final[weakref.WeakSet[Watched]] = weakref.WeakSet()
_others: Final[weakref.WeakSet[Any]] = weakref.WeakSet()
_held: Final[list[Watched]] = []


def watch(cache: Watched) -> None:
    """Take care of a cache when this process forks."""
    _caches.add(cache)


def enlist(cache: object) -> None:
    """Take note of a cache that is not in this process: nothing is done to it by a fork here."""
    _others.add(cache)


def delist(cache: object) -> None:
    """Take note that a cache was closed that is not in this process."""
    _others.discard(cache)


def known() -> list[Any]:
    """Return the caches that there are in this process."""
    while True:
        # Again, if another thread has made one meanwhile.
        with suppress(RuntimeError):
            return [*_caches, *_others]


class Writers(Protocol):
    """What knows of writers beside the caches."""

    def forget_others(self) -> None:
        """Forget the writers of threads that are not here."""


_writers: Final[weakref.WeakSet[Writers]] = weakref.WeakSet()


def watch_writers(writers: Writers) -> None:
    """Have the writers forgotten that a forked child does not have."""
    _writers.add(writers)


def _before() -> None:
    janitor.pause()
    # With all locks in hand no other thread is in the midst of anything.
    for cache in list(_caches):
        cache.lock.acquire()
        _held.append(cache)


def _after() -> None:
    # Not started again at once: Python warns of a process that has other threads when it forks.
    janitor.resume()
    while _held:
        cache = _held.pop()
        cache.expect_again()
        cache.lock.release()


def _in_child() -> None:
    singleflight.forget_others()
    reclaimer.forget_others()
    background.forget_others()
    janitor.forget_others()
    for cache in _held:
        cache.forget_others()
    for writers in list(_writers):
        writers.forget_others()
    _after()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_in_child)
