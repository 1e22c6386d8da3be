"""Names that nobody else has, for writers and loads: of a process, and then by number."""

from __future__ import annotations

import itertools
import os
from typing import Final

__all__ = ["unique"]

_count: Final = itertools.count()
_process: tuple[int, bytes] = 0, b""


def unique() -> bytes:
    """Return a name that neither this process nor another has used, in hexadecimal."""
    global _process
    if _process[0] != os.getpid():
        # Also in a forked child.
        _process = os.getpid(), os.urandom(12).hex().encode()
    return b"%b%08x" % (_process[1], next(_count))
