"""The exception that says why a server gave no answer.

Nothing here decides what follows from it: the caches compute, queue or refuse.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["Reason", "Unreachable"]

Reason: TypeAlias = Literal[
    "refused",  # nobody listens there
    "timed out",  # no answer in time
    "waiting",  # the breaker is open, or the last attempt was a moment ago
    "closed",  # the connection broke
    "busy",  # all connections of this process are in use
    "loading",  # the server reads its data, runs a script, or has lost its primary
    "read-only",  # a replica, and no primary is known
    "denied",  # it no longer accepts who we are
    "moving",  # the cluster is moving the keys just now
    "unknown",  # no primary is known for the key
    "shut",  # this connection layer was closed
]


class Unreachable(Exception):
    """A server did not answer. Never leaves the library.

    `sent` is true if the server may have carried out what it was asked to.
    """

    def __init__(self, reason: Reason, detail: str = "", *, sent: bool = False) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason: Reason = reason
        self.detail = detail
        self.sent = sent

    def again(self, reason: Reason | None = None) -> Unreachable:
        """Return the same as a new exception: one that is raised twice gathers tracebacks."""
        return Unreachable(reason or self.reason, self.detail, sent=self.sent)
