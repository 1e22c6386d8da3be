"""The streams to one server: one for each event loop, made when first needed.

A loop that ends takes its stream along. Nothing here knows what is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from pussycache.cache.wire import forks
from pussycache.cache.wire.stream import Stream
from pussycache.cache.wire.unreachable import Unreachable

__all__ = ["Streams"]

_abandoned: Final[list[Any]] = []
"""The parent's streams in a forked child: closing them there would disturb the parent's loop."""


class Streams:
    """Finds the stream of the running loop: `of` is a plain dictionary, for the quick path."""

    def __init__(self, connect: Callable[[], Awaitable[Stream]]) -> None:
        self._connect = connect
        self.of: dict[asyncio.AbstractEventLoop, Stream] = {}
        self._coming: dict[asyncio.AbstractEventLoop, asyncio.Task[Stream | Exception]] = {}
        self._closed = False
        forks.watch(self)

    def forget_others(self) -> None:
        """Begin anew, as a forked child must."""
        _abandoned.append((self.of, self._coming))
        self.of, self._coming = {}, {}

    async def more(self) -> Stream:
        """Return a new stream of the running loop; all that ask for it meanwhile share it."""
        if self._closed:
            raise Unreachable("shut")
        loop = asyncio.get_running_loop()
        task = self._coming.get(loop)
        if task is None:
            self._let_go()
            task = self._coming[loop] = loop.create_task(self._made(loop))
        # Shielded: a caller that is cancelled does not take the connection from the others.
        made = await asyncio.shield(task)
        if isinstance(made, Stream):
            return made
        raise made.again() if isinstance(made, Unreachable) else type(made)(*made.args)

    async def _made(self, loop: asyncio.AbstractEventLoop) -> Stream | Exception:
        # An exception is a result here: if all callers are gone, nobody would fetch it.
        try:
            stream = await self._connect()
            life = _life(stream)
            await anext(life)
            # Holds the generator, which would be closed with its last reference.
            stream.ended = partial(self._ended, loop, stream, life)
            self.of[loop] = stream
            if self._closed:  # meanwhile
                why = Unreachable("shut")
                stream.fail(why)
                return why
        except Exception as error:
            return error
        finally:
            self._coming.pop(loop, None)
        return stream

    def _ended(self, loop: asyncio.AbstractEventLoop, stream: Stream, life: object) -> None:
        if self.of.get(loop) is stream:
            del self.of[loop]

    def _let_go(self) -> None:
        for loop in [loop for loop in list(self.of) if loop.is_closed()]:
            self.of.pop(loop, None)

    def close(self) -> None:
        """Close the streams of all loops, each in its own; do not wait for it."""
        self._closed = True
        self.hang_up(Unreachable("shut"))

    def hang_up(self, why: Unreachable) -> None:
        """Let each loop close its stream."""
        for loop, stream in list(self.of.items()):
            self.of.pop(loop, None)
            with suppress(RuntimeError):  # that loop is closed
                loop.call_soon_threadsafe(stream.fail, why)

    async def aclose(self) -> None:
        """Close the streams, and wait until that of the running loop is."""
        own = self.of.get(asyncio.get_running_loop())
        self.close()
        if own is not None and own.lost is not None:
            await own.lost


async def _life(stream: Stream) -> AsyncGenerator[None, None]:
    """Close the stream when its loop shuts down its generators, as `asyncio.run` does at its end.

    There is no other call that a loop makes then; without it, a program that never closes its
    cache would end with warnings of connections left open.
    """
    try:
        yield
    finally:
        stream.fail(Unreachable("shut"))
        if stream.lost is not None:
            await stream.lost
