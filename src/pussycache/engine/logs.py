"""The library's logger, `pussycache`: what went wrong where no caller can be told.

Nothing is decided here; and nothing is printed where a program has not set up its logging.
"""

from __future__ import annotations

from typing import Any

__all__ = ["log_failure"]

_logger: Any = None


def log_failure(what: str, error: BaseException) -> None:
    """Log that something failed in the background, with its traceback."""
    global _logger
    if _logger is None:
        # Asked for only here: few programs ever need it.
        import logging

        _logger = logging.getLogger("pussycache")
        _logger.addHandler(logging.NullHandler())
    _logger.warning(
        "%s failed: %r", what, error, exc_info=error, extra={"pussycache_operation": what}
    )
