"""What is recorded of one call in a trace, and how it looks as text: a line, and a tree of them.

How it is recorded is said in following.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pussycache.engine.reasons import Explanation

__all__ = ["Forgotten", "TracedCall", "drawn"]


class Forgotten(NamedTuple):
    """What a write has made wrong.

    ``method`` is that of the entries, or ``"tag ..."``. ``arguments`` says which calls, as text;
    `None` is all of them. ``entries`` is how many were remembered; `None` where that is not known,
    as for tags, and in a shared store.
    """

    method: str
    arguments: str | None
    entries: int | None

    def __str__(self) -> str:
        called = "" if self.arguments is None else f"({self.arguments})"
        count = "" if self.entries is None else f", {self.entries:,} remembered"
        return f"{self.method}{called}{count}"


class TracedCall:
    """One call that was made in a `trace`, or one write.

    ``method`` is the method with its class, of a write its name alone; ``arguments`` are its
    arguments as text, cut off after 200 characters. ``outcome`` is ``"hit"``; ``"stale"``, for an
    old value; ``"miss"``, if this call loaded; ``"waited"``, for somebody else's load;
    ``"refresh"``, for a load that was asked for, or went on beside a call; ``"write"``; or
    ``"open"`` as long as it has not ended.

    ``reason`` is why it missed or waited, one of those of `Explanation`, and `None` for all others;
    ``why`` is all that `explain` said right before the call, `None` where it was not asked, as for
    a call for many ids. ``stored`` is whether what it loaded was stored; `None` where nothing was
    loaded, and where that is not known.

    ``seconds`` is how long it took, ``load_seconds`` how much of that the loads took that it ran
    itself, ``wait_seconds`` how long it waited for the loads of others; `None` if it ran none, or
    did not wait. ``ids`` is how many ids were asked for, and how many of them were loaded, of a
    call for many. ``error`` is what it raised, as text, cut off after 200 characters. ``forgot`` is
    what it has made wrong. ``thread`` and ``task`` are the names of those it was made in.

    ``children`` are the calls that were made inside of it, in order.
    """

    __slots__ = (
        *("arguments", "children", "error", "forgot", "ids", "load_seconds", "method", "outcome"),
        *("reason", "seconds", "stored", "task", "thread", "wait_seconds", "why"),
    )

    def __init__(self, method: str, arguments: str, thread: str, task: str | None) -> None:
        self.method = method
        self.arguments = arguments
        self.outcome = "open"
        self.reason: str | None = None
        self.why: Explanation | None = None
        self.stored: bool | None = None
        self.seconds = 0.0
        self.load_seconds: float | None = None
        self.wait_seconds: float | None = None
        self.ids: tuple[int, int] | None = None
        self.error: str | None = None
        self.forgot: list[Forgotten] = []
        self.thread = thread
        self.task = task
        self.children: list[TracedCall] = []

    def __str__(self) -> str:
        return f"{self.method}({self.arguments}): {'; '.join(self._said())}"

    def __repr__(self) -> str:
        return f"<{self}>"

    def _said(self) -> Iterator[str]:
        what = self.outcome
        if self.reason is not None and self.why is not None:
            what += f", {self.reason}"
            if self.why.by is not None:
                what += f" by {self.why.by}"
        yield what if self.load_seconds is not None else f"{what} in {_time(self.seconds)}"
        if self.wait_seconds is not None:
            yield f"waited {_time(self.wait_seconds)} for another load"
        if self.load_seconds is not None:
            ids = "" if self.ids is None else f"{self.ids[1]:,} of {self.ids[0]:,} ids "
            yield f"loaded {ids}in {_time(self.load_seconds)}"
        if self.stored is False:
            yield "not stored"
        if self.error is not None:
            yield f"raised {self.error}"
        if self.forgot:
            yield f"forgot {'; '.join(map(str, self.forgot))}"


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


_DEEPEST: Final = 50
"""So many levels are drawn as such; what is deeper stands there as deep."""


def drawn(calls: Sequence[TracedCall], dropped: int) -> str:
    """Return calls as a tree, one line each."""
    lines = []
    todo = [(call, "", "", 0) for call in reversed(calls)]
    while todo:
        call, first, rest, depth = todo.pop()
        lines.append(f"{first}{call}")
        below = call.children[:]
        for child in reversed(below):
            last = child is below[-1]
            if depth < _DEEPEST:
                first, more = rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  ")
            else:
                first, more = rest, rest
            todo.append((child, first, more, depth + 1))
    if dropped:
        lines.append(f"and {dropped:,} more, which were not recorded")
    return "\n".join(lines) or "no calls"
