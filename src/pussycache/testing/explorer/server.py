"""`ModelServer`: what a Redis or Valkey server does with what the shared tier asks of it.

A model in plain Python whose time passes only when it is told to. Who asks it, and when, is said in
processes.py; that it does what a server does is tested against real ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from pussycache.cache.shared.scripts import (
    CREATE,
    END,
    LIFT,
    MARK,
    RELEASE,
    RENEW,
    START,
    STORE,
)

__all__ = ["SCRIPTS", "Data", "ModelServer"]

Data: TypeAlias = Mapping[bytes, tuple[bytes, int | None]]
"""What a server has: values by key, and the millisecond at which each is gone."""

_WRITER: Final = re.compile(rb"([0-9a-fA-F]+)=(~?)([0-9]+);")


class ModelServer:
    """A server that carries out one command at a time.

    ``now`` is its time in milliseconds, ``replication`` the id of its data set, ``hearers`` how
    many keep entries in their own memory, and ``published`` the messages that nobody has taken
    from there yet: channel and message each.

    >>> server = ModelServer()
    >>> server.do((b"SET", b"key", b"value", b"NX", b"PX", 100)), server.do((b"PTTL", b"key"))
    (b'OK', 100)
    >>> server.advance(100)
    >>> server.do((b"MGET", b"key", b"other"))
    [None, None]
    """

    def __init__(self) -> None:
        # No round number: what comes from a clock is not to be taken for something else.
        self.now = 1_000_000
        self.replication = bytes(20)
        self.hearers = 0
        self.published: list[tuple[bytes, bytes]] = []
        self._data: dict[bytes, tuple[bytes, int | None]] = {}

    def do(self, command: Sequence[Any]) -> Any:
        """Carry out a command, and return what a server replies.

        :raises NotImplementedError: for a command that the shared tier does not use.
        """
        name, *given = map(_bytes, command)
        if name == b"EVALSHA":
            count = int(given[1])
            return SCRIPTS[given[0]](self, given[2 : 2 + count], given[2 + count :])
        carry_out = _COMMANDS.get(name)
        if carry_out is None:
            raise NotImplementedError(f"the model of a server does not know {name.decode()}")
        return carry_out(self, given)

    def advance(self, milliseconds: int) -> None:
        """Let time pass: what lapses meanwhile is gone."""
        self.now += milliseconds
        self._data = {
            key: (value, end)
            for key, (value, end) in self._data.items()
            if end is None or end > self.now
        }

    # What it has.

    def get(self, key: bytes) -> bytes | None:
        """Return a value."""
        found = self._data.get(key)
        return None if found is None else found[0]

    def put(self, key: bytes, value: bytes, milliseconds: int | None = None) -> None:
        """Store a value, for ever or for a time."""
        self._data[key] = value, None if milliseconds is None else self.now + milliseconds

    def remove(self, key: bytes) -> int:
        """Remove a key; 1 if it was there."""
        return 0 if self._data.pop(key, None) is None else 1

    def left(self, key: bytes) -> int:
        """Return for how many milliseconds a key is kept: -1 for ever, -2 if it is not there."""
        if key not in self._data:
            return -2
        end = self._data[key][1]
        return -1 if end is None else end - self.now

    def last(self, key: bytes, milliseconds: int) -> int:
        """Keep a key for so long from now on; 1 if it was there."""
        if key not in self._data:
            return 0
        if milliseconds <= 0:
            return self.remove(key)
        self._data[key] = self._data[key][0], self.now + milliseconds
        return 1

    # All of it.

    def copy(self) -> Data:
        """Return all that it has now."""
        return dict(self._data)

    def restore(self, data: Data) -> None:
        """Have what was copied instead; what has lapsed meanwhile is gone."""
        self._data = dict(data)
        self.advance(0)

    def state(self) -> tuple[Any, ...]:
        """Return all that decides what it does next, for fingerprints."""
        return self.now, self.replication, tuple(sorted(self._data.items()))


def _bytes(what: Any) -> bytes:
    return what if isinstance(what, bytes) else str(what).encode()


# Commands.


def _set(server: ModelServer, given: list[bytes]) -> Any:
    key, value, *options = given
    old, left = server.get(key), server.left(key)
    until: int | None = None
    if b"PX" in options:
        until = int(options[options.index(b"PX") + 1])
    elif b"KEEPTTL" in options and left >= 0:
        until = left
    done = old is None or b"NX" not in options
    if done:
        server.put(key, value, until)
    if b"GET" in options:
        return old
    return b"OK" if done else None


def _getex(server: ModelServer, given: list[bytes]) -> Any:
    found = server.get(given[0])
    server.last(given[0], int(given[2]))
    return found


_Command: TypeAlias = "Callable[[ModelServer, list[bytes]], Any]"

_COMMANDS: Final[dict[bytes, _Command]] = {
    b"GET": lambda server, given: server.get(given[0]),
    b"MGET": lambda server, given: [server.get(key) for key in given],
    b"SET": _set,
    b"GETEX": _getex,
    b"DEL": lambda server, given: sum([server.remove(key) for key in given]),
    b"UNLINK": lambda server, given: sum([server.remove(key) for key in given]),
    b"EXISTS": lambda server, given: sum([server.get(key) is not None for key in given]),
    b"PTTL": lambda server, given: server.left(given[0]),
    b"PEXPIRE": lambda server, given: server.last(given[0], int(given[1])),
    b"PING": lambda server, given: b"PONG",
    b"PUBSUB": lambda server, given: [given[1], server.hearers],
    b"PUBLISH": lambda server, given: _publish(server, *given),
}


def _publish(server: ModelServer, channel: bytes, message: bytes) -> int:
    server.published.append((channel, message))
    return 0


# Scripts: each does what the one of the same name does in cache/shared/scripts.py.


class _Writers:
    """The writers at work on a generation, without one of them and without those that lapsed."""

    def __init__(self, server: ModelServer, key: bytes, writer: bytes) -> None:
        generation = server.get(key) or b""
        self.kind = generation[:1]
        self.others: list[tuple[bytes, int]] = []
        for other, lasts, deadline in _WRITER.findall(generation) if self.kind == b"W" else ():
            until = int(deadline) + (server.now if lasts else 0)
            if other != writer and until > server.now:
                self.others.append((other, until))


def _fence(server: ModelServer, key: bytes, writers: list[tuple[bytes, int]]) -> None:
    listed = b"".join([b"%b=%d;" % writer for writer in writers])
    latest = max([deadline for _, deadline in writers])
    server.put(key, b"W" + listed, latest - server.now)


def _known(server: ModelServer, method: bytes, rule: bytes) -> None:
    token = server.get(method)
    if rule and token and token[:1] == b"T" and rule not in token[17:].split(b";"):
        server.remove(method)


def _start(server: ModelServer, keys: list[bytes], given: list[bytes]) -> int:
    writer, rule, milliseconds = given
    others = _Writers(server, keys[0], writer).others
    if others:
        _fence(server, keys[0], [*others, (writer, server.now + int(milliseconds))])
    else:
        server.put(keys[0], b"W%b=~%b;" % (writer, milliseconds), int(milliseconds))
    if rule:
        rules = _with(server.get(keys[2]) or b"", rule)
        server.put(keys[2], rules, max(server.left(keys[2]), int(milliseconds)))
    _known(server, keys[1], rule)
    return 1


def _with(rules: bytes, rule: bytes) -> bytes:
    known = rules.split(b";") if rules else []
    return rules if rule in known else b";".join([*known, rule])


def _create(server: ModelServer, keys: list[bytes], given: list[bytes]) -> int:
    token, rules, milliseconds = given
    if server.get(keys[0]) is not None:
        return 0
    for rule in filter(None, (server.get(keys[1]) or b"").split(b";")):
        rules = _with(rules, rule)
    server.put(keys[0], token + rules, int(milliseconds) if milliseconds else None)
    return 1


def _end(server: ModelServer, keys: list[bytes], given: list[bytes]) -> int:
    writer, rule, cause, milliseconds = given
    others = _Writers(server, keys[0], writer).others
    server.remove(keys[0])
    if others:
        _fence(server, keys[0], others)
    if cause:
        server.put(keys[2], cause, int(milliseconds))
    _known(server, keys[1], rule)
    return 1


def _is_mine(server: ModelServer, key: bytes, lease: bytes) -> bool:
    return server.get(key) in (lease, lease + b"w")


def _let_go(server: ModelServer, key: bytes, lease: bytes, channel: bytes) -> int:
    waited = server.get(key) == lease + b"w"
    server.remove(key)
    if waited:
        _publish(server, channel, key)
    return 1


def _store(server: ModelServer, keys: list[bytes], given: list[bytes]) -> int:
    lease, channel, entry, milliseconds = given
    if not _is_mine(server, keys[0], lease):
        return 0
    server.put(keys[1], entry, int(milliseconds) if milliseconds else None)
    return _let_go(server, keys[0], lease, channel)


def _release(server: ModelServer, keys: list[bytes], given: list[bytes]) -> int:
    if not _is_mine(server, keys[0], given[0]):
        return 0
    return _let_go(server, keys[0], *given)


def _renew(server: ModelServer, keys: list[bytes], given: list[bytes]) -> int:
    if not _is_mine(server, keys[0], given[0]):
        return 0
    return server.last(keys[0], int(given[1]))


def _mark(server: ModelServer, keys: list[bytes], given: list[bytes]) -> int:
    if not _is_mine(server, keys[0], given[0]):
        return 0
    _set(server, [keys[0], given[0] + b"w", b"KEEPTTL"])
    return server.left(keys[0])


def _lift(server: ModelServer, keys: list[bytes], given: list[bytes]) -> int:
    generation = server.get(keys[0])
    return server.remove(keys[0]) if generation and generation[:1] == b"T" else 0


SCRIPTS: Final[dict[bytes, Callable[[ModelServer, list[bytes], list[bytes]], Any]]] = {
    START.sha: _start,
    CREATE.sha: _create,
    END.sha: _end,
    STORE.sha: _store,
    RELEASE.sha: _release,
    RENEW.sha: _renew,
    MARK.sha: _mark,
    LIFT.sha: _lift,
}
"""The scripts, by their digests."""
