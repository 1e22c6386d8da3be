"""Commands that are asked again and again.

How they are packed is said in resp.py, which needs hiredis; this does not.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Packed"]


class Packed(list[tuple[Any, ...]]):
    """Some commands, and what they are in the servers' language once they have been sent."""

    __slots__ = ("packed",)

    packed: bytes
