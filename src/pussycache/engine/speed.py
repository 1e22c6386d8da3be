"""The optional C extension, or what stands in for it where it was not built.

Nothing else imports `pussycache._speed`. ``PUSSYCACHE_PURE_PYTHON=1`` does without it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from types import CoroutineType

from pussycache.hooks import active

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Coroutine", "Hit", "Watch", "quicken", "through", "use_clock", "use_policy"]

Hit: Any = None

# What looks at connections before a hit: cache/shared/links.py has one in Python.
Watch: Any = None

# What the hits of coroutine methods return: the interpreter's own kind, or the extension's.
Coroutine: Any = CoroutineType

# On CPython 3.11 only: later ones are as quick by themselves.
through: Any = None
quicken: Any = None


def use_clock(real: bool, floor: float, /) -> None:
    """Tell the extension's hits which clock they go by; without it there is nobody to tell."""


def use_hooks(active: list[Any], /) -> None:
    """Show the extension the hooks: its misses are none of its own while there are any."""


def use_policy(policy: type, sketch: type, queue: type, /) -> None:
    """Tell the extension's misses which policy they know; without it there is nobody to tell."""


if os.environ.get("PUSSYCACHE_PURE_PYTHON", "") in ("", "0"):
    with suppress(ImportError):
        from pussycache._speed import Coroutine, Hit, Watch, use_clock, use_hooks, use_policy
    with suppress(ImportError):
        from pussycache._speed import quicken, through

use_hooks(active)
