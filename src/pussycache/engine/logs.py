"""The library's logger, `pussycache`: what went wrong where no caller can be told.

Nothing is decided here; and nothing is printed where a program has not set up its logging.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


__all__ = ["log_disagreement", "log_failure"]

_logger: Any = None


def _log(message: str, *given: Any, error: BaseException | None = None) -> None:
    global _logger
    if _logger is None:
        # Asked for only here: few programs ever need it.
        import logging

        _logger = logging.getLogger("pussycache")
        _logger.addHandler(logging.NullHandler())
    _logger.warning(message, *given, exc_info=error, extra={"pussycache_operation": given[0]})


def log_failure(what: str, error: BaseException) -> None:
    """Log that something failed in the background, with its traceback."""
    _log("%s failed: %r", what, error, error=error)


def log_disagreement(method: str, age: float, writes: int) -> None:
    """Log that a remembered value was not what the method returns now."""
    _log(
        "%s returned something else than was remembered for %.3g s, in which %d writes ran",
        method,
        age,
        writes,
    )
