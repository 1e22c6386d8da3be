"""Who is told of what happens: the hooks, and what they have not been told yet.

Nothing here knows what happens; the records are in events.py. Where there is no hook, all that is
paid is the look whether `active` is empty.
"""

from __future__ import annotations

import _thread
from contextvars import ContextVar

from pussycache.errors import ConfigurationError
from pussycache.typed import final

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Final

__all__ = ["Subscription", "active", "emit", "note", "subscribed", "tell", "wants"]


@final
class Subscription:
    """A hook that is told of events, until this is called or its block is left."""

    __slots__ = ("_said", "hook", "kinds")

    def __init__(self, hook: Callable[[Any], object], kinds: tuple[type, ...]) -> None:
        self.hook = hook
        self.kinds = kinds
        # With which kinds of errors it has failed; each is logged once.
        self._said: set[type] = set()

    def __call__(self) -> None:
        """Tell the hook nothing any more; a second time does nothing."""
        if self in active:
            active.remove(self)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self()

    def tell(self, event: object) -> None:
        """Call the hook; what it raises goes no further."""
        if self.kinds and type(event) not in self.kinds:
            return
        try:
            self.hook(event)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if type(error) not in self._said:
                self._said.add(type(error))
                _log(self.hook, error)


active: Final[list[Subscription]] = []
"""The hooks there are; nobody, as a rule. The C extension looks at this very list."""

_telling: Final[ContextVar[bool]] = ContextVar("pussycache_telling", default=False)
"""Whether the current code runs inside of a hook. What a hook's own calls bring about is not told:
it would go on for ever. Loads that they begin in the background inherit it."""


class _Here(_thread._local):
    """What was noted in this thread, and not told yet."""

    def __init__(self) -> None:
        self.untold: list[object] = []


_here: Final = _Here()


def subscribed(hook: Callable[[Any], object], kinds: tuple[type, ...]) -> Subscription:
    """Have a hook told of these kinds of events, or of all."""
    if not callable(hook):
        raise ConfigurationError(f"hook must be a callable that takes an event, not {hook!r}")
    # As inspect says it of a coroutine function.
    if getattr(getattr(hook, "__code__", None), "co_flags", 0) & 0x80:
        raise ConfigurationError(
            f"hook {hook!r} is a coroutine function, and hooks are not awaited; give a function "
            "that begins a task, or puts the event into a queue"
        )
    subscription = Subscription(hook, kinds)
    active.append(subscription)
    return subscription


def wants(kind: type) -> bool:
    """Whether anybody wants to know of a kind of event; else it need not be worked out."""
    if _telling.get():
        return False
    return any(not one.kinds or kind in one.kinds for one in list(active))


def note(event: object) -> None:
    """Have an event told by this thread's next `tell`: for who holds a lock."""
    if not _telling.get():
        _here.untold.append(event)


def tell() -> None:
    """Tell what was noted in this thread; to be called without a lock."""
    untold = _here.untold
    if not untold or _telling.get():
        return
    token = _telling.set(True)
    try:
        while untold:
            event = untold.pop(0)
            for subscription in list(active):
                subscription.tell(event)
    finally:
        _telling.reset(token)


def emit(event: object) -> None:
    """Tell an event at once; to be called without a lock."""
    note(event)
    tell()


def _log(hook: object, error: BaseException) -> None:
    import logging

    logging.getLogger("pussycache").error(
        "the hook %r failed: %r; errors of this kind are logged once",
        hook,
        error,
        exc_info=error,
        extra={"pussycache_operation": "hook"},
    )
