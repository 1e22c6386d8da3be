"""Where the servers are: what a URL says about them.

    redis://user:password@host:6379/0          one server
    rediss://host:6379/0?ssl_ca_certs=ca.pem   the same over TLS
    unix:///run/redis.sock?db=0                the same over a unix socket
    redis+sentinel://h1:26379,h2:26379/name/0  the primary that the sentinels call `name`
    redis+cluster://h1:7000,h2:7001            a cluster; some of its nodes are enough

`rediss+sentinel` and `rediss+cluster` use TLS for every connection. Arguments after `?` bear the
names that redis-py's `from_url` gives them. Nothing here connects.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, NoReturn
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pussycache.errors import ConfigurationError

__all__ = ["Address", "Credentials", "Place"]


class Place(NamedTuple):
    """One server: a host and a port, or the path of a unix socket."""

    host: str
    port: int = 6379
    path: str = ""

    def __str__(self) -> str:
        return self.path or (f"[{self.host}]" if ":" in self.host else self.host) + f":{self.port}"


class Credentials(NamedTuple):
    """Who we are to a server; a name of None is its user `default`."""

    username: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r})"  # a password has no place in a log


_NOBODY: Final = Credentials()

_SCHEMES: Final[dict[str, tuple[Literal["single", "sentinel", "cluster"], bool]]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "unix": ("single", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
_PLAIN: Final = ("db", "username", "password", "client_name")
_SENTINEL: Final = ("sentinel_username", "sentinel_password")
_TLS: Final = (
    "ssl_ca_certs",
    "ssl_ca_data",
    "ssl_ca_path",
    "ssl_cert_reqs",
    "ssl_certfile",
    "ssl_check_hostname",
    "ssl_ciphers",
    "ssl_keyfile",
    "ssl_password",
)
_REQUIRED: Final = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}
_FALSE: Final = ("0", "f", "false", "n", "no")
_TRUE: Final = ("1", "t", "true", "y", "yes")


@dataclass(frozen=True)
class Address:
    """What a URL says: what kind of servers, where, and who we are to them.

    >>> Address.parse("redis+sentinel://one,two:26380/orders/1").places
    (Place(host='one', port=26379, path=''), Place(host='two', port=26380, path=''))
    >>> Address.parse("redis:/localhost")
    Traceback (most recent call last):
        ...
    pussycache.errors.ConfigurationError: url has no host; write it like redis://localhost:6379/0
    """

    kind: Literal["single", "sentinel", "cluster"]
    places: tuple[Place, ...]
    credentials: Credentials = _NOBODY
    db: int = 0
    service: str = ""
    sentinel: Credentials = _NOBODY
    client_name: str = "pussycache"
    tls: ssl.SSLContext | None = field(default=None, repr=False, compare=False)

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read a URL; a bad one is a `ConfigurationError` that never shows the password."""
        if not isinstance(url, str):
            _refuse(f"is {type(url).__name__}", "give a string like redis://localhost:6379/0")
        try:
            parts = urlsplit(url)
            query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError as error:
            _refuse(f"cannot be read ({error})", "write it like redis://localhost:6379/0")
        if parts.scheme not in _SCHEMES:
            _refuse(
                f"begins with {parts.scheme!r}" if parts.scheme else "names no scheme",
                "begin it with one of " + ", ".join(f"{scheme}://" for scheme in _SCHEMES),
            )
        kind, secure = _SCHEMES[parts.scheme]
        given = _arguments(query, kind, secure)
        user, at, hosts = parts.netloc.rpartition("@")
        name, _, password = user.partition(":")
        credentials = Credentials(
            given.get("username") or (unquote(name) if at else None) or None,
            given.get("password") or unquote(password) or None,
        )
        places, service, path = _places(parts, kind, hosts)
        return cls(
            kind=kind,
            places=places,
            credentials=credentials,
            db=_db(given.get("db") or path or "0", kind),
            service=service,
            sentinel=Credentials(given.get("sentinel_username"), given.get("sentinel_password")),
            client_name=given.get("client_name", "pussycache"),
            tls=_context(given) if secure else None,
        )


def _refuse(what: str, remedy: str) -> NoReturn:
    raise ConfigurationError(f"url {what}; {remedy}")


def _arguments(query: list[tuple[str, str]], kind: str, secure: bool) -> dict[str, str]:
    known = _PLAIN + (_SENTINEL if kind == "sentinel" else ()) + (_TLS if secure else ())
    for name, _ in query:
        if name in _TLS and not secure:
            _refuse(f"has the argument {name!r} without TLS", "begin it with rediss")
        if name not in known:
            _refuse(f"has the argument {name!r}", "use only " + ", ".join(sorted(known)))
    return dict(query)


def _places(parts: SplitResult, kind: str, hosts: str) -> tuple[tuple[Place, ...], str, str]:
    """Return the servers, the sentinels' name of the primary, and what else the path says."""
    path = unquote(parts.path)
    if parts.scheme == "unix":
        if not path or hosts:
            _refuse("names no socket", "write it with three slashes: unix:///run/redis.sock")
        return (Place("", 0, path),), "", ""
    if not hosts:
        _refuse("has no host", f"write it like {parts.scheme}://localhost:6379/0")
    port = 26379 if kind == "sentinel" else 6379
    places = tuple(_place(host, port) for host in hosts.split(","))
    if kind == "single" and len(places) > 1:
        _refuse("names several servers", "use redis+cluster:// or redis+sentinel:// for several")
    words = [word for word in path.split("/") if word]
    service = ""
    if kind == "sentinel":
        if not words:
            _refuse(
                "does not say which primary",
                "add the name that the sentinels know it by: redis+sentinel://host/name/0",
            )
        service = words.pop(0)
    if len(words) > 1:
        _refuse(f"has the path {path!r}", "end it with the number of a database, like /0")
    return places, service, words[0] if words else ""


def _place(text: str, default: int) -> Place:
    try:
        # The standard library knows how to take an IPv6 address in brackets apart.
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        _refuse(f"has a bad host or port ({error})", "write it like localhost:6379")
    if not host:
        _refuse("has an empty host", "write it like localhost:6379")
    return Place(host, port if port is not None else default)


def _db(text: str, kind: str) -> int:
    if not (text.isascii() and text.isdigit()):
        _refuse(f"names the database {text!r}", "end it with the number of a database, like /0")
    db = int(text)
    if db and kind == "cluster":
        _refuse(f"names database {db}", "leave it out: a cluster has only database 0")
    return db


def _context(given: dict[str, str]) -> ssl.SSLContext:
    """Return what TLS needs; certificates and names are checked unless the URL says otherwise."""
    required = given.get("ssl_cert_reqs", "required")
    if required not in _REQUIRED:
        _refuse(f"has ssl_cert_reqs={required}", "use none, optional or required")
    checked = given.get("ssl_check_hostname", "false" if required == "none" else "true").lower()
    if checked not in _TRUE + _FALSE:
        _refuse(f"has ssl_check_hostname={checked}", "use true or false")
    try:
        context = ssl.create_default_context(
            cafile=given.get("ssl_ca_certs"),
            capath=given.get("ssl_ca_path"),
            cadata=given.get("ssl_ca_data"),
        )
        context.check_hostname = checked in _TRUE
        context.verify_mode = _REQUIRED[required]
        if "ssl_certfile" in given or "ssl_keyfile" in given:
            context.load_cert_chain(
                given.get("ssl_certfile", ""), given.get("ssl_keyfile"), given.get("ssl_password")
            )
        if "ssl_ciphers" in given:
            context.set_ciphers(given["ssl_ciphers"])
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        _refuse(f"has TLS arguments that do not work ({error})", "check its ssl_ arguments")
    return context
