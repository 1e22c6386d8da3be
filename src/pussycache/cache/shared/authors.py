"""Who made entries wrong, as the server is told of it: a text of bounded length.

Only explanations read it. Where it is kept is said in places.py.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pussycache.engine import clock
from pussycache.engine.reasons import Explanation, moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pussycache.engine.entry import Cause

__all__ = ["LASTING", "Author", "asked", "latest", "marked", "signed", "told"]

LASTING: Final = 604_800_000
"""Milliseconds for which it is remembered: a week. How much is left of it says when it was."""

_CALL: Final = 200
_NAME: Final = 60
# Between the parts; what is in them is replaced.
_BAR: Final = "\x1f"
_bar: Final = _BAR.encode()


class Author(NamedTuple):
    """The call that made entries wrong, and when: the time that has passed is the server's."""

    when: float
    call: str
    process: str
    thread: str
    task: str | None

    def blamed(self, method: str, detail: str | None = None) -> Explanation:
        """Explain a miss by it."""
        return Explanation(
            method,
            False,
            "invalidated",
            moment(self.when),
            by=f"{self.call} in process {self.process}",
            detail=detail,
            thread=self.thread,
            task=self.task,
            process=self.process,
        )


def signed(cause: Cause) -> bytes:
    """Return who is at work as the server keeps it; at most some hundred characters.

    The call is its method's name, and of its arguments what `Cause` shows.
    """
    call = cause.call
    if len(call) > _CALL:
        call = call[: _CALL - 3] + "..."
    return call.encode("utf-8", "backslashreplace") + _where(cause.pid, cause.thread, cause.task)


def told(author: bytes) -> str:
    """Return what is signed as text: the call, and its process."""
    call, process, *_ = author.decode("utf-8", "replace").rsplit(_BAR, 3)
    return f"{call} in process {process}"


@lru_cache(256)
def _where(pid: int, thread: str, task: str | None) -> bytes:
    # Most writes of a process are made in a few places.
    import socket

    parts = [f"{socket.gethostname()}:{pid}", thread, task or ""]
    short = [part if len(part) <= _NAME else part[: _NAME - 3] + "..." for part in parts]
    text = "".join([_BAR + part.replace(_BAR, " ") for part in short])
    return text.encode("utf-8", "backslashreplace")


def marked(key: bytes, author: bytes) -> bytes:
    """Return what is stored of a write that makes a generation, or one entry, another.

    Several share a place, so it says whose it is.
    """
    return key + _bar + author


def asked(places: Sequence[bytes]) -> list[tuple[Any, ...]]:
    """Return the commands that ask what is told there."""
    return [(b"MGET", *places), *[(b"PTTL", place) for place in places]]


def latest(replies: Sequence[Any], keys: Sequence[bytes]) -> Author | None:
    """Return the last author of what is told of some keys; what cannot be read is left out.

    :param replies: those to what was `asked`.
    """
    told, *left = replies
    if not isinstance(told, list):
        return None
    now = clock.wall()
    found = [_read(*one, now) for one in zip(told, left, keys, strict=True)]
    return max([author for author in found if author is not None], default=None)


def _read(told: object, left: object, key: bytes, now: float) -> Author | None:
    if not isinstance(told, bytes) or not isinstance(left, int) or left < 0:
        return None
    if not told.startswith(key + _bar):
        return None
    parts = told[len(key) + 1 :].decode("utf-8", "replace").rsplit(_BAR, 3)
    if len(parts) != 4:
        return None
    call, process, thread, task = parts
    return Author(now - (LASTING - left) / 1000.0, call, process, thread, task or None)
