"""One of Django's caches, as it is asked here: what fails is told, and what was set is looked at.

What the keys and values mean is none of this module's business.
"""

from __future__ import annotations

import math
import os
import threading
import weakref
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from pussycache.cache.wire import forks
from pussycache.cache.wire.breaker import Outage
from pussycache.cache.wire.unreachable import Unreachable
from pussycache.engine.background import tell_of_ends
from pussycache.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Backend"]

_SLOW: Final = 0.1
"""Seconds after which a failure counts as that of a backend that hangs."""
_PAUSE: Final = 0.5
"""Seconds for which a backend that hangs is not asked again."""
_AN_HOUR: Final = 3600
_SET: Final = 5
"""How often something is set that does not stay, before it is given up."""


class _Turns:
    """Which thread of this process may write where a block is exclusive."""

    def __init__(self) -> None:
        self.forget_others()
        forks.watch(self)

    def forget_others(self) -> None:
        """Begin anew in a forked child, where whoever held the lock is not."""
        self.lock = threading.RLock()


_turns: Final = _Turns()


class _Own:
    """An object of Django's that is used by one thread, and closed with it."""

    def __init__(self, django: Any, said: Any) -> None:
        self.django = django
        self.said = said
        # Before the collector comes to what it holds: a socket warns that is collected open.
        weakref.finalize(self, _close, django).atexit = False

    def __del__(self) -> None:
        try:  # noqa: SIM105 # when the interpreter ends, `suppress` may be gone
            _close(self.django)
        except Exception:
            pass


def _close(django: Any) -> None:
    with suppress(Exception):
        django.close()
        # Django leaves those of Redis to the collector.
        for pool in getattr(django.__dict__.get("_cache"), "_pools", {}).values():
            pool.disconnect()


class Backend:
    """One of Django's caches.

    :param handler: where it is found, such as ``django.core.cache.caches``.

    Each thread has an object of its own. Those of the handler go with the context, so that two
    threads may have one; and the clients in them are not made for that.

    Whatever it raises becomes `Unreachable`: which exceptions there are is known only to the
    backend and to the client that it uses.
    """

    def __init__(self, handler: Any, alias: str) -> None:
        self._handler = handler
        self._alias = alias
        self._own = threading.local()
        django = self._django()
        kinds = {
            kind.__name__
            for kind in type(django).__mro__
            if kind.__module__.startswith("django.core.cache.backends.")
        }
        self.keeps = "DummyCache" not in kinds
        servers = getattr(django, "_servers", ())
        if "RedisCache" in kinds and len(servers) > 1:
            raise ConfigurationError(
                "LOCATION names several servers: Django reads from the replicas, which hear of a "
                "write late, and old values would be served; give the primary alone"
            )
        self.in_order = not ("BaseMemcachedCache" in kinds and len(servers) > 1)
        """Whether `get_many` reads the keys in their order, or all at one moment."""
        self.by_our_clock = bool(kinds & {"LocMemCache", "FileBasedCache", "DatabaseCache"})
        """Whether the clock that things expire by is that of this machine."""
        self._folder = django._dir if "FileBasedCache" in kinds else None
        self._is_in_process = "LocMemCache" in kinds
        self._not_before = 0.0
        self._outage: tuple[str, float] | None = None
        self._is_closed = False
        tell_of_ends(self)
        forks.watch(self)

    def forget_others(self) -> None:
        """Begin anew in a forked child: the parent's connections are not to be used."""
        self._own = threading.local()

    # Asking.

    def get(self, key: str) -> Any:
        return self._asked("get", key)

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        found: dict[str, Any] = self._asked("get_many", list(dict.fromkeys(keys)))
        return found

    def add(self, key: str, value: bytes, seconds: float | None) -> bool:
        return bool(self._asked("add", key, value, _whole(seconds)))

    def set(self, key: str, value: bytes, seconds: float | None) -> None:
        self._asked("set", key, value, _whole(seconds))

    def delete(self, key: str) -> None:
        self._asked("delete", key)

    def settle(
        self, key: str, value: bytes, seconds: float | None, alike: Callable[[Any], bool]
    ) -> None:
        """Set something and see it there: some backends and clients fail without a word.

        :param alike: whether what is found there serves as well.
        :raises Unreachable: if it is not there.
        """
        for _ in range(_SET):
            self.set(key, value, seconds)
            if alike(self.get(key)):
                return
        raise Unreachable("closed", "what was set is not there")

    def lasting(self, milliseconds: int) -> int:
        """For how many seconds something is kept that says itself until when it is good.

        By a clock of its own a backend takes it away in time. By ours it need not: it is longer
        there, because a reader who finds that it has expired takes away what has come in its place.
        """
        return _AN_HOUR if self.by_our_clock else math.ceil(milliseconds / 1000)

    def exclusively(self) -> AbstractContextManager[Any]:
        """Return a block that one writer at a time is in, where `add` is more than one step."""
        if self._is_in_process:
            return _turns.lock
        return nullcontext() if self._folder is None else _one_process(self._folder)

    @property
    def is_down(self) -> bool:
        """Whether it is not asked just now."""
        return monotonic() < self._not_before

    def outage(self, key: bytes) -> Outage | None:
        """Return why it failed the last time it was asked, if it did."""
        outage = self._outage
        return None if outage is None else Outage(outage[0], monotonic() - outage[1])

    def close(self) -> None:
        """Close what this thread holds open; from now on nothing is asked."""
        self._is_closed = True
        self._own.__dict__.clear()

    def leave(self) -> None:
        """Close what a thread of this library's holds open, when it ends."""
        from django.db import connections

        self._own.__dict__.clear()
        connections.close_all()

    def _django(self) -> Any:
        own: _Own | None = self._own.__dict__.get("is")
        said = self._handler.settings.get(self._alias)
        # In tests the settings change.
        if own is None or own.said is not said:
            own = self._own.__dict__["is"] = _Own(
                self._handler.create_connection(self._alias), said
            )
        return own.django

    def _asked(self, what: str, *how: Any) -> Any:
        now = monotonic()
        if self._is_closed:
            raise Unreachable("shut")
        if now < self._not_before:
            raise Unreachable("waiting")
        try:
            found = getattr(self._django(), what)(*how)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            since = now if self._outage is None else self._outage[1]
            self._outage = why, since
            if monotonic() - now > _SLOW:
                self._not_before = monotonic() + _PAUSE
            raise Unreachable("closed", why) from error
        self._outage = None
        return found


def _whole(seconds: float | None) -> int | None:
    # Some count whole seconds, of which the first may be over at once. What is rounded off is "not
    # at all", or "for ever". Until when an entry is good it says itself.
    return None if seconds is None else math.ceil(seconds) + 1


@contextmanager
def _one_process(folder: str) -> Iterator[None]:
    from django.core.files import locks

    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        file = open(os.path.join(folder, "pussycache.lock"), "a")  # noqa: SIM115 - closed below
    except OSError as error:
        raise Unreachable("closed", str(error)) from error
    with file:
        # Given back when the file is closed, also by a process that dies.
        locks.lock(file, locks.LOCK_EX)
        yield
