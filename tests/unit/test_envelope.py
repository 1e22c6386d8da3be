"""An entry is opened only if it is what this program sealed under this key."""

import warnings

import pytest

from pussycache import ConfigurationError, RedisCache
from pussycache.cache.envelope import ERROR, NO_REPLICATION, VALUE, Refused, Sealed, Sealer

KEY = b"{pussycache:users:7}:i7;"
REPLICATION = bytes(range(20))
ONE, TWO = bytes([1]) * 16, bytes([2]) * 16
OLD, NEW = "an old secret that is long", b"a new secret that is long, too"

SEALERS = {
    "checksum": Sealer(),
    "one secret": Sealer([OLD]),
    "two secrets": Sealer([NEW, OLD]),
}
each = pytest.mark.parametrize("name", SEALERS)


def entry(sealer, payload=b"payload", key=KEY):
    return sealer.seal(key, sealer.header(REPLICATION, [ONE, TWO]), payload)


def opened(sealer, key, data, header):
    """What a reader is given of an entry: the first time, and by what it keeps for the next."""
    once = sealer.opens_with(key, data, header)
    opens = sealer.opener(key, header)
    assert (opens(data), opens(data)) == (once, once)
    return once


@each
@pytest.mark.parametrize("payload", [b"", b"x", b"\0" * 3_000], ids=["none", "short", "long"])
def test_what_was_sealed_is_opened(name, payload):
    """An entry gives back its kind, replication id, generations and payload."""
    sealer = SEALERS[name]
    for kind in (VALUE, ERROR):
        for replication in (REPLICATION, NO_REPLICATION):
            for generations in ([], [ONE], [ONE, TWO], [ONE] * 255):
                header = sealer.header(replication, generations, kind)
                data = sealer.seal(KEY, header, payload)
                assert sealer.open(KEY, data) == Sealed(
                    kind, replication, b"".join(generations), payload
                )
                assert opened(sealer, KEY, data, header) == payload


@each
def test_another_header(name):
    """The short way opens nothing whose replication id, generations or kind are others."""
    sealer = SEALERS[name]
    data = entry(sealer)
    for header in (
        sealer.header(REPLICATION, [TWO, ONE]),
        sealer.header(REPLICATION, [ONE]),
        sealer.header(REPLICATION, [ONE, TWO, TWO]),
        sealer.header(NO_REPLICATION, [ONE, TWO]),
        sealer.header(REPLICATION, [ONE, TWO], ERROR),
    ):
        assert opened(sealer, KEY, data, header) is None
    assert opened(sealer, KEY, data, sealer.header(REPLICATION, [ONE, TWO])) == b"payload"


@each
def test_the_beginning_of_a_header(name):
    """What may be kept of a header is what all of its kind and number begin with."""
    sealer = SEALERS[name]
    header = sealer.header(REPLICATION, [ONE, TWO], ERROR)
    assert sealer.beginning(REPLICATION, 2, ERROR) + ONE + TWO == header


@each
def test_another_key(name):
    """An entry that was copied to another key is refused, whatever is moved to fit."""
    sealer = SEALERS[name]
    data, header = entry(sealer), sealer.header(REPLICATION, [ONE, TWO])
    for key in (b"", KEY[:-1], KEY + b"x", KEY + header[:1]):
        assert sealer.open(key, data) in (Refused.FORGED, Refused.CORRUPT)
        assert opened(sealer, key, data, header) is None


@each
def test_every_bit_counts(name):
    """An entry in which any one bit is another is refused, and so is one that is cut anywhere."""
    sealer = SEALERS[name]
    data, header = entry(sealer), sealer.header(REPLICATION, [ONE, TWO])
    for place in range(8 * len(data)):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        assert isinstance(sealer.open(KEY, bytes(changed)), Refused)
        assert opened(sealer, KEY, bytes(changed), header) is None
    for length in range(len(data)):
        assert isinstance(sealer.open(KEY, data[:length]), Refused)
        assert opened(sealer, KEY, data[:length], header) is None


def test_why_it_is_refused():
    """Each way in which an entry is wrong has a name of its own."""
    plain, signed = SEALERS["checksum"], SEALERS["one secret"]
    data, other = entry(plain), entry(signed)
    assert plain.open(KEY, b"") is Refused.TRUNCATED
    assert plain.open(KEY, data[:10]) is Refused.TRUNCATED
    assert plain.open(KEY, data[:56]) is Refused.TRUNCATED
    assert plain.open(KEY, data[:-1]) is Refused.CORRUPT
    assert plain.open(KEY, other) is Refused.SIGNED
    assert signed.open(KEY, data) is Refused.UNSIGNED
    assert signed.open(KEY, other[:-1]) is Refused.FORGED
    for sealer in (plain, signed):
        for later in (b"\xd4", b"\xdf"):
            assert sealer.open(KEY, later + data[1:]) is Refused.FUTURE
        for foreign in (b"\x80", b"{", b"\xd0", b"\xd1", b"\xe2"):
            assert sealer.open(KEY, foreign + data[1:]) is Refused.FOREIGN
    assert {reason.value for reason in Refused} == {
        "truncated",
        "foreign",
        "future-format",
        "unsigned",
        "signed",
        "forged",
        "corrupt",
    }


def test_the_rotation_of_keys():
    """The first key signs and all verify, so that a new one is introduced in two steps."""
    old, second, rotated, new = Sealer([OLD]), Sealer([OLD, NEW]), Sealer([NEW, OLD]), Sealer([NEW])
    assert second.open(KEY, entry(old)) == second.open(KEY, entry(rotated))
    assert isinstance(second.open(KEY, entry(rotated)), Sealed)
    assert isinstance(old.open(KEY, entry(second)), Sealed)
    assert isinstance(rotated.open(KEY, entry(old)), Sealed)
    assert new.open(KEY, entry(old)) is Refused.FORGED
    assert isinstance(new.open(KEY, entry(rotated)), Sealed)
    header = rotated.header(REPLICATION, [ONE, TWO])
    assert opened(rotated, KEY, entry(old), header) == b"payload"
    assert opened(new, KEY, entry(old), header) is None


def test_text_and_bytes_are_one_secret():
    """A secret is the same as text and as its UTF-8, of whatever length; another one is not."""
    long = "é" * 200
    assert isinstance(Sealer([long]).open(KEY, entry(Sealer([long.encode()]))), Sealed)
    assert Sealer([long]).open(KEY, entry(Sealer([long + "x"]))) is Refused.FORGED


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ([], "secret_keys is empty"),
        ((), "secret_keys is empty"),
        ([""], r"secret_keys\[0\] is empty"),
        ([OLD, b""], r"secret_keys\[1\] is empty"),
        ([OLD, None], r"secret_keys\[1\] is of type NoneType"),
        (OLD, "secret_keys is of type str"),
        (NEW, "secret_keys is of type bytes"),
        ({OLD}, "secret_keys is of type set"),
        (5, "secret_keys is of type int"),
    ],
    ids=str,
)
def test_wrong_secrets(keys, said):
    """What cannot be a list of secrets is refused when the cache is made."""
    with pytest.raises(ConfigurationError, match=said) as caught:
        Sealer(keys)
    assert "give a list of str or bytes" in str(caught.value)


def test_short_secrets():
    """A secret that can be guessed is warned about, once for all of them."""
    with pytest.warns(RuntimeWarning, match="less than 16 bytes") as caught:
        Sealer(["short", "too", OLD])
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.warns(RuntimeWarning, match="less than 16 bytes") as caught:
        RedisCache(secret_keys=["short"])
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Sealer(["sixteen bytes ok"])


def test_what_is_no_header():
    """Ids and tokens of another length are not sealed: their entry could be taken for another."""
    sealer = SEALERS["checksum"]
    for replication, generations in ((b"", [ONE]), (REPLICATION, [b"x"]), (bytes(4), [ONE * 2])):
        header = sealer.header(replication, generations)
        if len(header) != 23 + 16 * len(generations):
            with pytest.raises(ValueError, match="16"):
                sealer.seal(KEY, header, b"")
