"""What is asked of a cache outside of this process, and how it comes in between.

A flow never learns how asking is done: it yields an `Ask` and is sent the replies. Who is asked,
and what, is the cache's own business.
"""

from __future__ import annotations

from pussycache.typed import Protocol, final

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator
    from typing import Any, Final

    from pussycache.engine.entry import Cause
    from pussycache.engine.fences import Fence

__all__ = ["AT_ONCE", "NOWHERE", "WATCHED", "Ask", "Distant", "Far", "Link", "acarry", "carry"]

NOWHERE: Final = "nowhere"
"""No entry is found without asking."""
AT_ONCE: Final = "at once"
"""An entry of the table is served as it is."""
WATCHED: Final = "watched"
"""An entry of the table is served if its ``watch`` says so first."""


class Link(Protocol):
    """Somebody outside who can be asked, from threads and from event loops.

    Neither raises because of whom it asks: a failure is a reply.
    """

    def ask(self, *what: Any) -> Any: ...

    def aask(self, *what: Any) -> Awaitable[Any]: ...


@final
class Ask:
    """A wish to ask somebody outside of this process; the flow is sent what they reply."""

    __slots__ = ("link", "what")

    def __init__(self, link: Link, *what: Any) -> None:
        self.link = link
        self.what = what


class Far(Protocol):
    """What there is to do with a call whose cache is outside of this process: each is a flow.

    ``looks`` says whether entries are found in this process before: `NOWHERE`, `AT_ONCE`, or where
    they are `WATCHED`.
    """

    looks: str

    def begin(self, plan: Any, table: Any, values: Any, me: object) -> tuple[Ask, Any] | None:
        """Return what is asked first, and how the call is known; `None` if it has to be computed.

        With `serve`, this is the whole of a hit, which takes no flow.
        """

    def serve(self, plan: Any, table: Any, known: Any, seen: Any) -> Any:
        """Return what the caller is given if the reply is a plain hit, and `MISSING` if not."""

    def answer(
        self, plan: Any, table: Any, values: Any, me: object, begun: tuple[Any, Any]
    ) -> Generator[Any, Any, Any]:
        """Answer a call that was no plain hit.

        :param begun: how the call is known, and the reply; two times `None` if it has to be
            computed.
        """

    def reload(self, plan: Any, table: Any, values: Any, me: object) -> Generator[Any, Any, Any]:
        """Load now, whatever is stored, and store what comes."""

    def gather(
        self, plan: Any, ids: Any, table: Any, values: Any, me: object
    ) -> Generator[Any, Any, Any]:
        """Answer a call for many ids."""

    def gather_anew(
        self, plan: Any, ids: Any, table: Any, values: Any, me: object
    ) -> Generator[Any, Any, Any]:
        """Load all ids of a call now, whatever is stored, and store what comes."""

    def peek(self, plan: Any, table: Any, values: Any, me: object) -> Generator[Ask, Any, Any]:
        """Return what is stored, or `MISSING`."""

    def forget(
        self, plan: Any, table: Any, values: Any, me: object, cause: Cause
    ) -> Generator[Ask, Any, bool]:
        """Forget it; true if it was there."""

    def put(
        self, plan: Any, table: Any, values: Any, me: object, value: Any, kind: str
    ) -> Generator[Ask, Any, bool]:
        """Store a value from outside; true if it was stored."""

    def explain(self, plan: Any, table: Any, values: Any, me: object) -> Generator[Ask, Any, Any]:
        """Say why it would hit or miss, in an `Explanation`; loads nothing, and counts nothing."""


class Distant(Protocol):
    """Entries outside of this process that a write makes wrong."""

    def raising(self, fence: Fence, cause: Cause) -> Generator[Ask, Any, None]:
        """Begin a write there, before the method runs."""

    def lifting(self, fence: Fence, cause: Cause) -> Generator[Ask, Any, None]:
        """End it there; does not raise because of whom it asks."""

    def replacing(self, fence: Fence, cause: Cause) -> Generator[Ask, Any, None]:
        """Do both, for a write that begins and ends at once."""


def carry(flow: Generator[Ask, Any, Any]) -> Any:
    """Run a flow that only asks to its end in this thread."""
    got = None
    while True:
        try:
            step = flow.send(got)
        except StopIteration as stop:
            return stop.value
        try:
            got = step.link.ask(*step.what)
        except BaseException:
            # An interrupt: the flow has something to put right, and not when it is collected.
            flow.close()
            raise


async def acarry(flow: Generator[Ask, Any, Any]) -> Any:
    """Run a flow that only asks to its end in this task."""
    got = None
    while True:
        try:
            step = flow.send(got)
        except StopIteration as stop:
            return stop.value
        try:
            got = await step.link.aask(*step.what)
        except BaseException:
            flow.close()
            raise
