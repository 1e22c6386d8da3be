"""Events as records of the standard library's logging, with what they say in ``extra=``.

What is told, and when, is said in events.py.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from pussycache import events

if TYPE_CHECKING:
    from pussycache.hooks import Subscription

__all__ = ["instrument"]

_logger: Final = logging.getLogger("pussycache")

# What nobody need look at by day is for debugging.
_LEVELS: Final[dict[type, int]] = {
    events.TimedOut: logging.WARNING,
    events.StoreDown: logging.WARNING,
    events.Pending: logging.WARNING,
    events.StoreUp: logging.INFO,
    events.Delivered: logging.INFO,
}
# Arguments may be secrets; and so may those of the call that wrote.
_HIDDEN: Final = frozenset({"arguments", "begun", "by"})


def instrument(*kinds: type[events.Event]) -> Subscription:
    """Log what happens, to the logger ``pussycache``; call what is returned to end that.

    A server that is out of reach, writes that it has not heard of and timeouts are warnings, their
    end is for information, and all else for debugging. A record has ``pussycache_event``, and each
    field of the event as ``pussycache_method``, ``pussycache_reason`` and so on; arguments are left
    out.

    :param kinds: the kinds of events to log; without any, all.

    >>> import logging, sys
    >>> import pussycache
    >>> from pussycache.see.logging import instrument
    >>> logger, handler = logging.getLogger("pussycache"), logging.StreamHandler(sys.stdout)
    >>> logger.addHandler(handler); logger.setLevel(logging.DEBUG)
    >>> users = pussycache.wrap({7: "ada"}, cached_methods=["get"])
    >>> with instrument(pussycache.events.Miss):
    ...     users.get(7)
    miss: method='builtins.dict.get' cache='MemoryCache' reason='never-cached'
    'ada'
    >>> logger.removeHandler(handler); logger.setLevel(logging.NOTSET)
    """
    return events.subscribe(_log, *kinds)


def _log(event: Any) -> None:
    kind = type(event)
    level = _LEVELS.get(kind, logging.DEBUG)
    if not _logger.isEnabledFor(level):
        return
    said = {name: value for name, value in event._asdict().items() if name not in _HIDDEN}
    name = _name(kind)
    text = " ".join(f"{field}={value!r}" for field, value in said.items() if value is not None)
    extra = {f"pussycache_{field}": value for field, value in said.items()}
    _logger.log(level, "%s: %s", name, text, extra={"pussycache_event": name, **extra})


def _name(kind: type) -> str:
    """Return what a kind of event is called in a log: ``load-ended`` for `LoadEnded`."""
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in kind.__name__).lstrip("-")
