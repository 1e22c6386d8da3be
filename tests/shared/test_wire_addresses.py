"""URLs: what they say, and what is said of bad ones."""

import pytest

from pussycache import ConfigurationError
from pussycache.cache.wire import Address, Place


@pytest.mark.parametrize(
    ("url", "kind", "places", "db", "service"),
    [
        ("redis://localhost", "single", [Place("localhost", 6379)], 0, ""),
        ("redis://localhost:7/3", "single", [Place("localhost", 7)], 3, ""),
        ("redis://localhost?db=4", "single", [Place("localhost")], 4, ""),
        ("redis://[::1]:7", "single", [Place("::1", 7)], 0, ""),
        ("unix:///run/r.sock?db=2", "single", [Place("", 0, "/run/r.sock")], 2, ""),
        (
            "redis+sentinel://a,b:7/name/5",
            "sentinel",
            [Place("a", 26379), Place("b", 7)],
            5,
            "name",
        ),
        ("redis+cluster://a:1,b:2", "cluster", [Place("a", 1), Place("b", 2)], 0, ""),
        ("rediss+cluster://a:1", "cluster", [Place("a", 1)], 0, ""),
        ("rediss://a:1", "single", [Place("a", 1)], 0, ""),
    ],
)
def test_url(url: str, kind: str, places: list[Place], db: int, service: str) -> None:
    """A URL says what kind of servers, where, which database and which service."""
    address = Address.parse(url)
    assert (address.kind, list(address.places), address.db) == (kind, places, db)
    assert address.service == service
    assert (address.tls is not None) == url.startswith("rediss")


@pytest.mark.parametrize(
    ("url", "username", "password"),
    [
        ("redis://me:p%40ss@host", "me", "p@ss"),
        ("redis://:secret@host", None, "secret"),
        ("redis://host?username=me&password=secret", "me", "secret"),
        ("unix:///s?password=secret", None, "secret"),
        ("redis://host", None, None),
    ],
)
def test_credentials(url: str, username: str | None, password: str | None) -> None:
    """User and password come from before the @, percent-decoded, or from the arguments."""
    assert tuple(Address.parse(url).credentials) == (username, password)


def test_sentinels_have_credentials_of_their_own() -> None:
    """What the sentinels ask for is given apart from what the servers ask for."""
    address = Address.parse("redis+sentinel://:a@h/name?sentinel_username=s&sentinel_password=b")
    assert tuple(address.credentials) == (None, "a")
    assert tuple(address.sentinel) == ("s", "b")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:6379", "begin it with one of redis://"),
        ("http://localhost", "begins with 'http'; begin it with one of"),
        ("redis://", "has no host; write it like redis://localhost:6379/0"),
        ("redis://a,b", "names several servers; use redis[+]cluster"),
        ("redis://a:port", "has a bad host or port"),
        ("redis://a:6379/x", "names the database 'x'; end it with the number"),
        ("redis://a/1/2", "has the path '/1/2'"),
        ("redis://a?decode_responses=1", "has the argument 'decode_responses'; use only"),
        ("redis://a?ssl_ca_certs=x", "without TLS; begin it with rediss"),
        ("rediss://a?ssl_ca_certs=/no/such", "TLS arguments that do not work"),
        ("rediss://a?ssl_cert_reqs=maybe", "use none, optional or required"),
        ("redis+cluster://a/1", "a cluster has only database 0"),
        ("redis+sentinel://a", "add the name that the sentinels know it by"),
        ("unix://run/sock", "write it with three slashes"),
        (7, "is int; give a string"),
    ],
)
def test_bad_url(url: str, says: str) -> None:
    """A URL that cannot work is refused with a message that names `url` and the remedy."""
    with pytest.raises(ConfigurationError, match=f"^url .*{says}"):
        Address.parse(url)


def test_passwords_are_not_shown() -> None:
    """Neither the address nor the refusal of a bad URL shows a password."""
    assert "hush" not in repr(Address.parse("redis+sentinel://:hush@a/n?sentinel_password=hush"))
    for url in ["redis://:hush@a/x", "redis://:hush@", "http://:hush@a", "redis://:hush@a:b"]:
        with pytest.raises(ConfigurationError) as caught:
            Address.parse(url)
        assert "hush" not in str(caught.value)
