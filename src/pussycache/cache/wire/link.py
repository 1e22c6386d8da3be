"""One held connection for threads: a socket, a parser, and nothing between them.

redis-py's own connection costs a quarter more for a hit, most of it in checks that a server of
ours makes once; see benchmarks/redis_wire.py. Nothing here decides to try again.
"""

from __future__ import annotations

import _socket
import os
import select
import socket
import ssl
import struct
import sys
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from pussycache.cache.wire.resp import BROKEN, INCOMPLETE, pack_all, parser
from pussycache.cache.wire.unreachable import Unreachable
from pussycache.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pussycache.cache.wire.addresses import Place
    from pussycache.cache.wire.handshake import Facts, Greeting

__all__ = ["Link", "broken", "dial", "has_something", "not_connected"]

_ROOM: Final = 65536


def broken(error: BaseException, place: Place) -> Unreachable:
    """Return what it means that a connection failed while it was used."""
    timed_out = isinstance(error, _TIMEOUTS)
    return Unreachable("timed out" if timed_out else "closed", _said(error, place), sent=True)


def not_connected(error: OSError, place: Place) -> Unreachable | ConfigurationError:
    """Return what it means that a connection could not be made."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConfigurationError(
            f"url: the certificate of {place} is not accepted ({error.verify_message}); "
            "name the authority that signed it: ?ssl_ca_certs=ca.pem"
        )
    return Unreachable(
        "timed out" if isinstance(error, _TIMEOUTS) else "refused", _said(error, place)
    )


def _said(error: BaseException, place: Place) -> str:
    return f"{place}: {str(error) or type(error).__name__}"


# BlockingIOError: what a socket says whose time is kept by the kernel.
_TIMEOUTS: Final = (TimeoutError, BlockingIOError)


def dial(place: Place, tls: ssl.SSLContext | None, timeout: float) -> socket.socket:
    """Return a connected socket, or raise an `OSError`, within `timeout` seconds for each try."""
    if place.path:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    else:
        sock = socket.create_connection((place.host, place.port), timeout)
    try:
        sock.settimeout(timeout)
        if place.path:
            sock.connect(place.path)
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if tls is not None:
            return tls.wrap_socket(sock, server_hostname=place.host)
    except BaseException:
        sock.close()
        raise
    return sock


def _let_the_kernel_wait(sock: socket.socket, timeout: float) -> None:
    """Give the timeout to the kernel: half the system calls of a socket whose time Python keeps.

    Where that is not known to work (TLS, Windows, a socket that gevent put in the place of
    Python's), Python goes on keeping it.
    """
    own = type(sock) is socket.socket and issubclass(socket.socket, _socket.socket)
    if os.name != "posix" or not own:
        return
    whole, part = divmod(round(timeout * 1_000_000), 1_000_000)
    # struct timeval, with the padding that the platform gives it
    value = struct.pack("@qi4x" if sys.platform == "darwin" else "@ll", whole, part)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)
    sock.settimeout(None)


def _polling(sock: socket.socket) -> Callable[[float], bool]:
    # Not select: a socket's number may be beyond what it can take.
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return poll.poll  # type: ignore[return-value]  # a list, which is true if not empty


def has_something(sock: socket.socket) -> bool:
    """Whether something has arrived at a socket, if only its end; takes no time."""
    return bool(_polling(sock)(0))


class Link:
    """A connection that one thread at a time uses.

    Whatever `ask` or `ask_one` raises, the link is of no more use: a reply may be under way.
    """

    __slots__ = (
        "__weakref__",
        "_buffer",
        "_feed",
        "_gets",
        "_into",
        "_send",
        "_socket",
        "facts",
        "good_until",
        "place",
    )

    def __init__(
        self, place: Place, tls: ssl.SSLContext | None, greeting: Greeting, timeout: float
    ) -> None:
        """Connect and greet: `Unreachable`, or a `ConfigurationError` if the server will not do."""
        self.place = place
        self.good_until = 0.0
        """Until when the facts need not be confirmed."""
        try:
            self._socket = dial(place, tls, timeout)
        except OSError as error:
            raise not_connected(error, place) from None
        # By itself a socket that is collected warns that it was not closed, and the collector may
        # come to it before it comes to what has it. So it is kept until it has been closed.
        weakref.finalize(self, self._socket.close).atexit = False
        reader = parser()
        self._buffer = bytearray(_ROOM)
        self._feed, self._gets = reader.feed, reader.gets
        self._into, self._send = self._socket.recv_into, self._socket.sendall
        try:
            commands = greeting.commands()
            replies = self.ask(pack_all(commands), len(commands))
            self.facts: Facts = greeting.read(replies)
            _let_the_kernel_wait(self._socket, timeout)
        except BaseException:
            self.close()
            raise

    def ask_one(self, packed: bytes) -> Any:
        """Send one command and return its reply."""
        return self.ask(packed, 1)[0]

    def ask(self, packed: bytes, count: int) -> list[Any]:
        """Send `count` commands in one go and return their replies in order."""
        gets = self._gets
        replies: list[Any] = []
        try:
            self._send(packed)
            while True:
                got = self._into(self._buffer)
                if not got:
                    raise ConnectionResetError("the server closed the connection")
                self._feed(self._buffer, 0, got)
                while (reply := gets()) is not INCOMPLETE:
                    replies.append(reply)
                    if len(replies) == count:
                        return replies
        except (OSError, BROKEN) as error:
            raise broken(error, self.place) from None

    def tell(self, packed: bytes) -> None:
        """Send without waiting for a reply: for connections that are told things unasked."""
        try:
            self._send(packed)
        except OSError as error:
            raise broken(error, self.place) from None

    def arrived(self) -> list[Any]:
        """Return what has arrived on a connection that is ready to be read."""
        came: list[Any] = []
        try:
            while True:
                count = self._into(self._buffer)
                if not count:
                    raise ConnectionResetError("the server closed the connection")
                self._feed(self._buffer, 0, count)
                while (reply := self._gets()) is not INCOMPLETE:
                    came.append(reply)
                # What TLS has decrypted already does not make the socket ready.
                if not (isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()):
                    return came
        except (OSError, BROKEN) as error:
            raise broken(error, self.place) from None

    def ready(self) -> Callable[[float], bool]:
        """Return what says whether something has arrived, after so many milliseconds at most.

        It serves one thread at a time, and raises a `RuntimeError` to others. The server hanging
        up is something, too.
        """
        return _polling(self._socket)

    def fileno(self) -> int:
        """Return the socket's number, -1 once it is closed."""
        return self._socket.fileno()

    def is_ready(self, seconds: float = 0) -> bool:
        """Whether something has arrived, or does within so many seconds."""
        try:
            return bool(self.ready()(seconds * 1000))
        except ValueError:  # closed meanwhile
            return False

    def hang_up(self) -> None:
        """End the connection while another thread waits on it: that thread sees its end."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket. In a forked child, this leaves the parent's connection as it is."""
        with suppress(OSError):
            self._socket.close()

    def __del__(self) -> None:
        # That of a cache which was dropped and not closed, also when the interpreter ends.
        try:  # noqa: SIM105 # when the interpreter ends, `suppress` may be gone
            self._socket.close()
        except (AttributeError, OSError):
            pass
