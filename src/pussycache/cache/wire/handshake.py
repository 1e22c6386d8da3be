"""What is said first on every connection, and what the server's answer tells about it.

Nothing here reads or writes: a link and a stream both carry it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import ResponseError

from pussycache.cache.wire.addresses import Credentials
from pussycache.cache.wire.resp import Command
from pussycache.cache.wire.unreachable import Unreachable
from pussycache.errors import ConfigurationError

__all__ = ["CONFIRM", "Facts", "Greeting", "is_same"]

_OLDEST: Final = {False: (7, 0), True: (7, 2)}
_DENIED: Final = ("WRONGPASS", "NOAUTH", "NOPERM", "DENIED")


@dataclass(frozen=True, slots=True)
class Facts:
    """What a connection knows of the server at its other end; None: the server does not say."""

    version: str | None = None
    """As it calls itself: Valkey's own number, not the one it gives for compatibility."""
    valkey: bool = False
    role: str | None = None
    """`master` or `replica`; `sentinel` for a sentinel."""
    replication_id: bytes | None = None
    """`master_replid`: changes with every promotion, and when a server starts without its data."""
    eviction: str | None = None
    """`maxmemory_policy`."""
    maxmemory: int | None = None
    """In bytes; 0 is no limit."""


CONFIRM: Final[Command] = (b"INFO", b"replication")
"""Asked now and then: a connection can outlive what its server was when it was made."""


def is_same(facts: Facts, reply: Any) -> bool:
    """Whether the reply to `CONFIRM` is that of the primary that the facts are of."""
    if not isinstance(reply, bytes):
        return False
    info = _parse_info(reply)
    return info.get("role") == b"master" and info.get("master_replid") == facts.replication_id


_NOTHING: Final[Mapping[bytes, Any]] = {}


def _parse_info(text: bytes) -> dict[str, bytes]:
    """Read the answer to `INFO`."""
    lines = (line.partition(b":") for line in text.splitlines() if not line.startswith(b"#"))
    return {name.decode("ascii", "replace"): value for name, colon, value in lines if colon}


@dataclass(frozen=True, slots=True)
class Greeting:
    """The commands that open a connection, and the reading of their replies."""

    credentials: Credentials
    db: int
    client_name: str
    protocol: int = 2
    sentinel: bool = False

    def commands(self) -> list[Command]:
        """Return them in order; they are sent in one go."""
        hello: list[bytes | str | int | float] = [b"HELLO", self.protocol]
        username, password = self.credentials
        if password is not None:
            hello += [b"AUTH", username or "default", password]
        hello += [b"SETNAME", self.client_name]
        commands: list[Command] = [tuple(hello)]
        if self.db:
            commands.append((b"SELECT", self.db))
        return commands + self.questions()

    def questions(self) -> list[Command]:
        """Return what is asked of a server that has been greeted already."""
        return [] if self.sentinel else [(b"INFO", b"server", b"replication", b"memory")]

    def read(self, replies: Sequence[Any]) -> Facts:
        """Return the facts, or say why this server will not do.

        `ConfigurationError` where only a changed URL, server or user helps.
        """
        hello, *others = replies
        if isinstance(hello, ResponseError):
            self._refused(hello)
        if self.db and isinstance(selected := others.pop(0), ResponseError):
            raise ConfigurationError(
                f"url names database {self.db}, which the server refuses ({selected}); "
                "name one that it has"
            )
        if isinstance(hello, list):  # RESP2 has no dictionaries
            hello = dict(zip(hello[::2], hello[1::2], strict=False))
        return self.learnt(others, hello)

    def learnt(self, replies: Sequence[Any], hello: Mapping[bytes, Any] = _NOTHING) -> Facts:
        """Return the facts that follow from the replies to `questions` and to `HELLO`."""
        info = _parse_info(replies[0]) if replies and isinstance(replies[0], bytes) else {}
        valkey = "valkey_version" in info or hello.get(b"server") == b"valkey"
        version = info.get("valkey_version") or info.get("redis_version") or hello.get(b"version")
        facts = Facts(
            version=_text(version),
            valkey=valkey,
            role=_role(info.get("role") or hello.get(b"role")),
            replication_id=info.get("master_replid"),
            eviction=_text(info.get("maxmemory_policy")),
            maxmemory=int(info["maxmemory"]) if "maxmemory" in info else None,
        )
        _check(facts)
        return facts

    def _refused(self, error: ResponseError) -> None:
        said = str(error)
        if said.startswith(_DENIED):
            who = self.credentials.username or "default"
            raise ConfigurationError(
                f"url: the server refuses user {who!r} ({said}); "
                "give a user and a password that it accepts: redis://user:password@host"
            )
        if "max number of clients" in said:
            raise Unreachable("busy", said)
        if "unknown command" in said:
            raise ConfigurationError(
                f"url names a server that is older than 6.0 ({said}); {_NEEDED}"
            )
        raise Unreachable("denied", said)


_NEEDED: Final = "Redis 7.0 or Valkey 7.2 is needed, or newer"


def _check(facts: Facts) -> None:
    if facts.version is None:
        return
    numbers = facts.version.split(".")
    if not all(number.isdigit() for number in numbers[:2]):
        return  # a development build says "unstable"
    if tuple(map(int, numbers[:2])) < _OLDEST[facts.valkey]:
        name = "Valkey" if facts.valkey else "Redis"
        raise ConfigurationError(f"url names a server of {name} {facts.version}; {_NEEDED}")


def _role(value: bytes | None) -> str | None:
    # INFO says slave where HELLO says replica.
    return "replica" if value == b"slave" else _text(value)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")
