"""`Explanation`: what is said of one call, in fields and as one line of text.

How it is found out is said in explanation.py, and for shared stores in cache/shared/explaining.py.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from pussycache.engine import clock
from pussycache.engine.staleness import AHEAD, FRESH, STALE

if TYPE_CHECKING:
    from datetime import datetime

    from pussycache.engine.entry import Cause
    from pussycache.engine.failures import Remembered
    from pussycache.engine.staleness import Age

__all__ = ["Explanation", "again", "aged", "because", "good_for", "moment"]


class Explanation(NamedTuple):
    """Why a call would hit or miss, in fields and, as text, in one line.

    ``reason`` is ``"hit"`` or one of ``never-cached``, ``expired``, ``invalidated``, ``evicted``,
    ``not-stored``, ``uncacheable``, ``bypassed-by-write`` and ``backend-down``. ``when`` is the
    aware moment it happened, where that is known. ``by`` says which call of which method, in which
    process, made the entry wrong, and ``thread``, ``task`` and ``process`` where that was: names of
    the thread and of the asyncio task, and the number of the process, with the name of its host
    before it where the store is shared. ``detail`` is what else is known.
    """

    method: str
    hit: bool
    reason: str
    when: datetime | None = None
    by: str | None = None
    detail: str | None = None
    thread: str | None = None
    task: str | None = None
    process: str | None = None

    def __str__(self) -> str:
        text = f"{self.method}: {'hit' if self.hit else 'miss, ' + self.reason}"
        if self.when is not None:
            text += f" at {self.when.astimezone().isoformat(timespec='seconds')}"
        if self.by is not None:
            text += f" by {self.by}"
        if self.thread is not None:
            text += f", thread {self.thread}"
        if self.task is not None:
            text += f", task {self.task}"
        return f"{text} ({self.detail})" if self.detail else text


def because(
    method: str,
    reason: str,
    cause: Cause | None,
    when: float | None = None,
    detail: str | None = None,
) -> Explanation:
    """Explain a miss by what made the call wrong, if that is known.

    :param when: the time of day, if it is not that of the cause.
    """
    if cause is None:
        return Explanation(method, False, reason, moment(when), detail=detail)
    return Explanation(
        method,
        False,
        reason,
        moment(cause.when if when is None else when),
        by=str(cause),
        detail=detail,
        thread=cause.thread,
        task=cause.task,
        process=str(cause.pid),
    )


def again(method: str, remembered: Remembered, left: float) -> Explanation:
    """Explain a call that raises an exception that is remembered for so many seconds."""
    detail = f"raises {remembered} again, for {left:.3g} s more"
    return Explanation(method, True, "hit", detail=detail)


def aged(method: str, age: Age, left: float) -> Explanation:
    """Explain a call whose entry, which is kept for so many seconds, may be old."""
    stage, over = age.stage(clock.read()), age.over(clock.read())
    error = f"; the last load failed: {age.error}" if age.error else ""
    if stage in (FRESH, AHEAD):
        good = f"good for {min(left, -over):.3g} s more" if left != math.inf else ""
        if left < -over:
            good += " if it is not used"
        ahead = ", and due for a refresh" if stage is AHEAD else ""
        return Explanation(method, True, "hit", detail=f"{good}{ahead}{error}" or None)
    expired = moment(clock.wall() - over)
    if stage is STALE:
        old = f"stale for {over:.3g} s, served for {left:.3g} s more{error}"
        return Explanation(method, True, "hit", expired, detail=old)
    old = f"the old value is served if the load fails, for {left:.3g} s more{error}"
    return Explanation(method, False, "expired", expired, detail=old)


def good_for(seconds: float) -> str | None:
    """Return the text for an entry that is good for so long."""
    return None if seconds == math.inf else f"good for {seconds:.3g} s more"


def moment(wall: float | None) -> datetime | None:
    """Return a time of day as an aware moment."""
    if wall is None:
        return None
    from datetime import UTC, datetime

    return datetime.fromtimestamp(wall, UTC)
