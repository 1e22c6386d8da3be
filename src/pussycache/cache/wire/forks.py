"""What a fork does to connections: the child forgets them, and opens its own.

Nothing here knows what a connection is.
"""

from __future__ import annotations

import os
import weakref
from typing import Final, Protocol

__all__ = ["watch"]


class Watched(Protocol):
    """What is asked of whoever holds connections."""

    def forget_others(self) -> None:
        """Forget the parent's connections and threads, without a word to the server."""


_watched: Final[weakref.WeakSet[Watched]] = weakref.WeakSet()


def watch(holder: Watched) -> None:
    """Tell a holder when it finds itself in a forked child."""
    _watched.add(holder)


def _in_child() -> None:
    for holder in list(_watched):
        holder.forget_others()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
