"""One server over connections of our own: its links, its streams, its breaker.

Nothing here knows which server a key belongs to, or what an error reply means.
"""

from __future__ import annotations

import asyncio
import math
from functools import partial
from typing import Any, Final

from pussycache.cache.wire import forks
from pussycache.cache.wire.addresses import Place
from pussycache.cache.wire.breaker import PROBE_EVERY, Breaker, Outage
from pussycache.cache.wire.handshake import CONFIRM, Facts, is_same
from pussycache.cache.wire.link import Link, not_connected
from pussycache.cache.wire.nodes import CONFIRM_EVERY, Terms
from pussycache.cache.wire.pool import Pool
from pussycache.cache.wire.repeating import Repeating
from pussycache.cache.wire.resp import pack, pack_all
from pussycache.cache.wire.stream import Stream
from pussycache.cache.wire.streams import Streams
from pussycache.cache.wire.unreachable import Unreachable
from pussycache.errors import ConfigurationError
from pussycache.hooks import active, tell

__all__ = ["HeldNode"]

_CONFIRM: Final = pack(CONFIRM)


class HeldNode:
    """A `Node` whose connections are our own, with a breaker that is closed by probes."""

    def __init__(self, place: Place, terms: Terms) -> None:
        self.place = place
        self.terms = terms
        self._clock = terms.clock
        self._connect = partial(Link, place, terms.tls, terms.greeting, terms.timeout)
        self._pool = Pool(self._link, terms.max_connections, terms.timeout)
        self._streams = Streams(self._stream)
        self.forget_others()
        forks.watch(self)

    def forget_others(self) -> None:
        """Begin anew, as a forked child must."""
        self._breaker = Breaker(self.terms.clock, name=str(self.place))
        self._probing = Repeating(self._probe, PROBE_EVERY, f"pussycache probe {self.place}")

    def __repr__(self) -> str:
        return f"<HeldNode {self.place}>"

    @property
    def outage(self) -> Outage | None:
        """Why it is not asked just now, and for how long that has been so."""
        return self._breaker.outage

    @property
    def is_down(self) -> bool:
        """Whether it has not answered when it was last asked."""
        return self._breaker.shut

    @property
    def is_open(self) -> bool:
        """Whether the breaker is open: this server has timed out, and no probe has succeeded."""
        return self._breaker.is_open

    # Threads ------------------------------------------------------------------------------------

    def send_one(self, packed: bytes, repeatable: bool = False) -> tuple[Any, Facts]:
        """Send one command and return its reply."""
        link, fresh = self._take(repeatable)
        try:
            reply = link.ask_one(packed)
        except BaseException as error:
            if not self._had_hung_up(link, error, fresh) or not repeatable:
                raise
            (reply,), facts = self._once_more(packed, 1)
            return reply, facts
        self._pool.give(link)
        return reply, link.facts

    def send(self, packed: bytes, count: int, repeatable: bool = False) -> tuple[list[Any], Facts]:
        """Send `count` commands in one go and return their replies."""
        link, fresh = self._take(repeatable)
        try:
            replies = link.ask(packed, count)
        except BaseException as error:
            if not self._had_hung_up(link, error, fresh) or not repeatable:
                raise
            return self._once_more(packed, count)
        self._pool.give(link)
        return replies, link.facts

    def inquire(self, packed: bytes, count: int) -> tuple[list[Any], Facts]:
        """Ask over a connection of its own, whatever the server's role."""
        if self.is_open:
            self._breaker.admit()
        link = self._linked()
        try:
            return link.ask(packed, count), link.facts
        except Unreachable as error:
            self._failed(error)
            raise
        finally:
            link.close()

    def _take(self, repeatable: bool) -> tuple[Link, bool]:
        """Return a link, and whether it has been made just now."""
        if self._breaker.shut:
            self._breaker.admit()
        try:
            link = self._pool.free.pop()
        except IndexError:
            link, fresh = self._pool.more()
            if fresh:
                return link, True
        if self._clock() > link.good_until:
            return self._confirmed(link)
        # A link that is free has nothing to say; if it has, it is its end. What may be repeated
        # finds that out at less cost.
        if not repeatable and link.is_ready():
            self._pool.drop(link)
            self._pool.drop_free()
            return self._pool.fresh(), True
        return link, False

    def _confirmed(self, link: Link) -> tuple[Link, bool]:
        """Ask whether the server is what it was, and make a new link if not."""
        try:
            reply = link.ask_one(_CONFIRM)
        except BaseException as error:
            if not self._had_hung_up(link, error, fresh=False):
                raise
        else:
            if is_same(link.facts, reply):
                link.good_until = self._clock() + CONFIRM_EVERY
                return link, False
            self._pool.drop(link)
            self._pool.drop_free()
        return self._pool.fresh(), True

    def _had_hung_up(self, link: Link, error: BaseException, fresh: bool) -> bool:
        """Note a failure; true if it was only that the server had hung up while the link was free.

        Most often it has been restarted, and the other free links are as dead.
        """
        self._pool.drop(link)
        if not isinstance(error, Unreachable):
            return False  # the caller was interrupted
        self._failed(error)
        if error.reason != "closed":
            return False
        self._pool.drop_free()
        return not fresh

    def _once_more(self, packed: bytes, count: int) -> tuple[list[Any], Facts]:
        link = self._pool.fresh()
        try:
            replies = link.ask(packed, count)
        except BaseException as error:
            self._had_hung_up(link, error, fresh=True)
            raise
        self._pool.give(link)
        return replies, link.facts

    def _link(self) -> Link:
        link = self._linked()
        try:
            self._check(link.facts)
        except Unreachable:
            link.close()
            raise
        link.good_until = self._good_until(link.facts)
        return link

    def _linked(self) -> Link:
        try:
            link = self._connect()
        except Unreachable as error:
            self._failed(error)
            raise
        except ConfigurationError as error:
            raise self._denied(error) from None
        self._answered()
        return link

    # Tasks --------------------------------------------------------------------------------------

    async def asend_one(self, packed: bytes, repeatable: bool = False) -> tuple[Any, Facts]:
        """Send one command and return its reply."""
        (reply,), facts = await self.asend(packed, 1, repeatable)
        return reply, facts

    async def asend(
        self, packed: bytes, count: int, repeatable: bool = False
    ) -> tuple[list[Any], Facts]:
        """Send `count` commands in one go and return their replies."""
        if self._breaker.shut:
            self._breaker.admit()
        stream = self._streams.of.get(asyncio.get_running_loop())
        if stream is not None and not repeatable and stream.is_stale():
            stream.fail(Unreachable("closed", str(self.place)))
            stream = None
        if stream is None:
            return await self._aonce(await self._streams.more(), packed, count)
        try:
            # As in `_aonce`, without a coroutine of its own: this is every call.
            if count == 1:
                return [await stream.ask_one(packed)], stream.facts
            return await stream.ask(packed, count), stream.facts
        except Unreachable as error:
            self._failed(error)
            if error.reason != "closed" or (error.sent and not repeatable):
                raise
        return await self._aonce(await self._streams.more(), packed, count)

    async def _aonce(self, stream: Stream, packed: bytes, count: int) -> tuple[list[Any], Facts]:
        try:
            return await stream.ask(packed, count), stream.facts
        except Unreachable as error:
            self._failed(error)
            raise

    async def ainquire(self, packed: bytes, count: int) -> tuple[list[Any], Facts]:
        """Ask over a connection of its own, whatever the server's role."""
        if self.is_open:
            self._breaker.admit()
        stream = await self._streamed()
        try:
            return await self._aonce(stream, packed, count)
        finally:
            stream.fail(Unreachable("shut"))
            if stream.lost is not None:
                await stream.lost

    async def _stream(self) -> Stream:
        stream = await self._streamed()
        try:
            self._check(stream.facts)
        except Unreachable as error:
            stream.fail(error)
            raise
        stream.good_until = self._good_until(stream.facts)
        return stream

    async def _streamed(self) -> Stream:
        terms, place = self.terms, self.place
        loop = asyncio.get_running_loop()
        stream = Stream(place, loop, terms.timeout, terms.clock)
        try:
            async with asyncio.timeout(terms.timeout):
                if place.path:
                    await loop.create_unix_connection(lambda: stream, place.path)
                else:
                    await loop.create_connection(
                        lambda: stream, place.host, place.port, ssl=terms.tls
                    )
            commands = terms.greeting.commands()
            packed = pack_all(commands)
            stream.facts = terms.greeting.read(await stream.ask(packed, len(commands)))
        except BaseException as error:
            stream.fail(Unreachable("shut"))
            # A TimeoutError is an OSError, too; what is neither is a loop that ends.
            why = not_connected(error, place) if isinstance(error, OSError) else error
            if isinstance(why, Unreachable):
                self._failed(why)
            elif isinstance(why, ConfigurationError):
                why = self._denied(why)
            raise why from None
        self._answered()
        return stream

    # Both ---------------------------------------------------------------------------------------

    def _check(self, facts: Facts) -> None:
        """See that a connection is to a primary.

        One that was made to a replica would go on after its promotion, and know nothing of it.
        """
        if facts.role == "replica":
            self._failed(why := Unreachable("read-only", f"{self.place} is a replica"))
            raise why

    def _good_until(self, facts: Facts) -> float:
        # Where the server does not say what it is, there is nothing to confirm.
        known = facts.replication_id is not None
        return self._clock() + CONFIRM_EVERY if known else math.inf

    def _failed(self, why: Unreachable) -> None:
        if self._breaker.failed(why):
            try:
                self._probing.start()
            except RuntimeError:
                # No thread is to be had, and nobody would find it well again: the next call does.
                self._breaker.answered(for_good=False)

    def _answered(self) -> None:
        self.terms.reached = True
        if self._breaker.shut:
            self._breaker.answered()

    def _denied(self, error: ConfigurationError) -> Exception:
        """Return what a refusal is: an outage if this cache has been accepted before."""
        if not self.terms.reached:
            return error
        self._failed(why := Unreachable("denied", str(error)))
        return why

    def _probe(self) -> bool:
        try:
            self._connect().close()
        except Unreachable as error:
            if error.reason != "refused":
                return False
            # It was killed, or has hung up on everybody: whoever calls next finds out as cheaply.
            self._breaker.answered(for_good=False)
            self._breaker.failed(error)
        except ConfigurationError as error:
            self._breaker.answered(for_good=False)
            self._denied(error)
        else:
            self._answered()
        finally:
            if active:
                tell()
        return True

    def noted(self, why: Unreachable) -> None:
        """Take note that it did not answer on a connection that is not one of these."""
        self._failed(why)

    def hang_up(self) -> None:
        """Use none of the present connections again: this server is no longer what it was."""
        self._pool.drop_free()
        self._streams.hang_up(Unreachable("closed", str(self.place), sent=True))

    def retire(self) -> None:
        """Close all connections and end the probes, without waiting for anything."""
        self._probing.stop()
        self._pool.close()
        self._streams.close()

    def close(self) -> None:
        """Close all connections and end the probes."""
        self.retire()
        self._probing.close()

    async def aclose(self) -> None:
        """Close all connections; when it returns, those of the running loop are closed."""
        await self._streams.aclose()
        self.retire()
        await asyncio.to_thread(self._probing.close)
