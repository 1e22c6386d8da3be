"""The optional C extension, or what stands in for it where it was not built.

Nothing else imports `pussycache._speed`. ``PUSSYCACHE_PURE_PYTHON=1`` does without it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

__all__ = ["Hit", "use_clock"]

Hit: Any = None


def use_clock(real: bool, floor: float, /) -> None:
    """Tell the extension's hits which clock they go by; without it there is nobody to tell."""


if os.environ.get("PUSSYCACHE_PURE_PYTHON", "") in ("", "0"):
    with suppress(ImportError):
        from pussycache._speed import Hit, use_clock
