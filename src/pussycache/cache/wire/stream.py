"""One connection for asyncio that all tasks of a loop share: commands in a row, replies in order.

Whoever asks gets a future; nothing here waits, and nothing decides to try again.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from pussycache.cache.wire.addresses import Place
from pussycache.cache.wire.handshake import CONFIRM, Facts, is_same
from pussycache.cache.wire.link import broken, has_something
from pussycache.cache.wire.nodes import CONFIRM_EVERY
from pussycache.cache.wire.reply import Reply
from pussycache.cache.wire.resp import BROKEN, INCOMPLETE, pack, parser
from pussycache.cache.wire.unreachable import Unreachable

__all__ = ["Stream"]

_CONFIRM: Final = pack(CONFIRM)
_ROOM: Final = 65536
_LOOKS: Final = 5
"""How often the oldest request is looked at before it counts as timed out."""


class _Asked:
    """A request whose replies have not all come."""

    __slots__ = ("count", "future", "replies")

    def __init__(self, future: Reply | None, count: int) -> None:
        self.future = future
        self.count = count
        self.replies: list[Any] = []


class Stream(asyncio.BufferedProtocol):
    """A connection of one event loop.

    A caller that is cancelled leaves its place in the row: its reply is read and thrown away.
    """

    facts: Facts

    def __init__(
        self,
        place: Place,
        loop: asyncio.AbstractEventLoop,
        timeout: float,
        clock: Callable[[], float],
    ) -> None:
        self._clock = clock
        self.good_until = math.inf
        """Until when the facts need not be confirmed."""
        self._place = place
        self._loop = loop
        self._look_every = timeout / _LOOKS
        self._asked: deque[Reply | _Asked] = deque()
        self._unsent: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._oldest: object = None
        self._looks = 0
        reader = parser()
        self._buffer = bytearray(_ROOM)
        # A view, because TLS fills what it is given piece by piece: a slice must be no copy.
        self._room = memoryview(self._buffer)
        self._feed, self._gets = reader.feed, reader.gets
        self._transport: Any = None  # asked on every command: no narrowing, no assertion
        self.lost: asyncio.Future[None] | None = None
        """Done when the socket is closed; None: there has been none."""
        self.closed = False
        self.ended: Callable[[], None] | None = None
        """Called once when the stream is of no more use."""

    # What the transport calls -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.lost = self._loop.create_future()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        self._feed(self._buffer, 0, nbytes)
        asked, gets = self._asked, self._gets
        try:
            while (reply := gets()) is not INCOMPLETE:
                waiting = asked[0]
                if isinstance(waiting, _Asked):
                    waiting.replies.append(reply)
                    if len(waiting.replies) < waiting.count:
                        continue
                    if waiting.future is None:
                        asked.popleft()
                        if is_same(self.facts, reply):
                            continue
                        said = f"{self._place}: no longer the same primary"
                        self.fail(Unreachable("closed", said, sent=True))
                        return
                    future, reply = waiting.future, waiting.replies
                else:
                    future = waiting
                asked.popleft()
                if not future.done():
                    future.come(reply)
        except (BROKEN, IndexError) as error:
            # Not the protocol, or a reply that nobody asked for.
            self.fail(broken(error, self._place))

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(broken(exc or ConnectionResetError("closed by the server"), self._place))
        if self.lost is not None and not self.lost.done():
            self.lost.set_result(None)

    # What a node calls --------------------------------------------------------------------------

    def ask_one(self, packed: bytes) -> Reply:
        """Send one command; the future gives its reply."""
        future = Reply(self._loop)
        self._write(packed, future)
        return future

    def ask(self, packed: bytes, count: int) -> Reply:
        """Send `count` commands in one go; the future gives their replies in order."""
        future = Reply(self._loop)
        self._write(packed, _Asked(future, count))
        return future

    def is_stale(self) -> bool:
        """Whether the server has hung up, or may have, and the loop has not got to know of it."""
        if self.closed:
            return True
        # While others wait for their replies, the loop looks at the connection all the time.
        return not self._asked and has_something(self._transport.get_extra_info("socket"))

    def _write(self, packed: bytes, asked: Reply | _Asked) -> None:
        if self.closed:
            raise Unreachable("closed", str(self._place))
        confirms = self._clock() > self.good_until
        if confirms:
            # The reply to this comes before those that depend on it.
            packed = _CONFIRM + packed
            self.good_until = self._clock() + CONFIRM_EVERY
        if self._asked:
            # Others are waiting: what is asked in this turn of the loop goes out together.
            if not self._unsent:
                self._loop.call_soon(self._flush)
            self._unsent.append(packed)
        else:
            self._transport.write(packed)
        if confirms:
            self._asked.append(_Asked(None, 1))
        self._asked.append(asked)
        if self._timer is None:
            self._timer = self._loop.call_later(self._look_every, self._look)

    def _flush(self) -> None:
        packed = b"".join(self._unsent)
        self._unsent.clear()
        if not self.closed:
            self._transport.write(packed)

    def _look(self) -> None:
        """See whether the oldest request gets on.

        Turns of the loop are counted, not time: a program that holds up its own loop must not
        take that for a silence of the server.
        """
        self._timer = None
        if not self._asked:
            self._oldest = None
            return
        if self._asked[0] is self._oldest:
            self._looks += 1
            if self._looks >= _LOOKS - 1:
                self.fail(Unreachable("timed out", f"{self._place}: no reply in time", sent=True))
                return
        else:
            self._oldest, self._looks = self._asked[0], 0
        self._timer = self._loop.call_later(self._look_every, self._look)

    def fail(self, why: Unreachable) -> None:
        """Close the connection and tell all that wait why."""
        if self.closed:
            return
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()
        ended, self.ended = self.ended, None
        if ended is not None:
            ended()
        while self._asked:
            waiting = self._asked.popleft()
            future = waiting.future if isinstance(waiting, _Asked) else waiting
            if future is not None and not future.done():
                future.fail(why.again())
