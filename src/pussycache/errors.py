"""Every exception and warning that the library raises by itself, as one tree.

PussyCacheError
    ConfigurationError      (also a ValueError)
    BackendUnavailable
    LoadTimeout             (also a TimeoutError)
    InvalidationPending
UncacheableCallWarning      (a UserWarning)
MutatedValueWarning         (a UserWarning)

Nothing here knows when it is raised.
"""

from __future__ import annotations

__all__ = [
    "BackendUnavailable",
    "ConfigurationError",
    "InvalidationPending",
    "LoadTimeout",
    "MutatedValueWarning",
    "PussyCacheError",
    "UncacheableCallWarning",
]


class PussyCacheError(Exception):
    """The base of all errors of this library: catch it to catch them all."""


class ConfigurationError(PussyCacheError, ValueError):
    """A declaration that cannot work; the message names the argument and the remedy.

    >>> import pussycache
    >>> pussycache.wrap([], cached_methods=["no_such_method"])
    Traceback (most recent call last):
        ...
    pussycache.errors.ConfigurationError: cached_methods names 'no_such_method', but list has no \
such attribute; name a method that the object has
    """


class BackendUnavailable(PussyCacheError):
    """The shared store cannot be reached, and the cache was told to refuse then."""


class LoadTimeout(PussyCacheError, TimeoutError):
    """A load took longer than its policy allows, and there was no older value to serve."""


class InvalidationPending(PussyCacheError):
    """An invalidation has not reached the shared store yet."""


class UncacheableCallWarning(UserWarning):
    """A call's arguments cannot be part of a key: it was computed, and will be each time."""


class MutatedValueWarning(UserWarning):
    """A shared value was changed in place after it had been stored."""
