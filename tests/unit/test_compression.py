"""Long payloads are compressed where that can be done, and nothing that is read does harm."""

import os
import struct
import threading
import tracemalloc

import pytest

from pussycache.cache import compression
from pussycache.cache.compression import LARGEST, THRESHOLD, NotInstalled, pack, unpack

LONG = b'{"name": "ada", "city": "London"}' * 100


@pytest.fixture(params=["lz4", "zstandard", "zstd"])
def method(request, monkeypatch):
    """One way to compress, as if no other were installed."""
    if request.param == "lz4":
        one = compression._lz4()
    elif request.param == "zstandard":
        one = compression._zstandard()
    else:
        zstd = pytest.importorskip("backports.zstd")  # what Python 3.14 has as compression.zstd
        monkeypatch.setattr(compression, "import_module", lambda name: zstd)
        one = compression._zstd()
    monkeypatch.setattr(compression, "_METHODS", [one])
    return one


def test_what_was_packed_is_unpacked(method):
    """A payload comes back as it was, of whatever length, and long ones are shorter meanwhile."""
    for payload in (b"", b"x", LONG, LONG * 1_000, os.urandom(5_000), b"\0" * 1_000_000):
        assert unpack(pack(payload)) == payload
    assert len(pack(LONG)) < len(LONG) / 5
    assert len(pack(LONG[: THRESHOLD - 1])) == THRESHOLD
    assert pack(LONG, threshold=float("inf")) == b"\0" + LONG


def test_what_would_not_become_shorter(method):
    """What compression does not help is stored as it is."""
    payload = os.urandom(5_000)
    assert pack(payload) == b"\0" + payload


def test_each_reads_what_the_other_wrote(monkeypatch):
    """The two packages for zstd write one format."""
    zstd = pytest.importorskip("backports.zstd")
    monkeypatch.setattr(compression, "import_module", lambda name: zstd)
    ways = [compression._zstd(), compression._zstandard()]
    for one, other in (ways, ways[::-1]):
        assert other.decompress(memoryview(one.compress(LONG)), len(LONG)) == LONG


def test_nothing_is_installed(method, monkeypatch):
    """Without any package payloads are stored as they are, and compressed ones are told apart."""
    packed = pack(LONG)
    monkeypatch.setattr(compression, "_METHODS", [])
    assert unpack(pack(LONG)) == LONG
    assert pack(LONG) == b"\0" + LONG
    with pytest.raises(NotInstalled):
        unpack(packed)


def test_a_bomb(method):
    """What says that it is small is never made large, and what says that it is huge is not read."""
    bomb = method.compress(b"\0" * 50_000_000)
    assert len(bomb) < 250_000
    tracemalloc.start()
    try:
        for size in (0, 10, 1_000_000, LARGEST + 1, 2**32 - 1):
            with pytest.raises(ValueError, match=r"says|size|decompressed"):
                unpack(struct.pack(">BI", method.flag, size) + bomb)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 10_000_000


def test_malformed(method):
    """Whatever else is wrong is a ValueError."""
    packed = pack(LONG)
    size = len(LONG)
    for data in (
        b"",
        packed[:1],
        packed[:4],
        packed[:5],
        packed[:-1],
        packed + b"x",
        packed + packed[5:],
        struct.pack(">BI", method.flag, size - 1) + packed[5:],
        struct.pack(">BI", method.flag, size + 1) + packed[5:],
        struct.pack(">BI", 9, size) + packed[5:],
        struct.pack(">BI", method.flag, size) + os.urandom(50),
    ):
        with pytest.raises(ValueError, match=r"size|decompressed|unknown way"):
            unpack(data)


def test_threads(method):
    """Threads that compress and decompress at once get each their own."""
    barrier = threading.Barrier(4)
    wrong = []

    def work(number):
        payload = bytes([number]) * 3_000 + LONG
        barrier.wait(60)
        for _ in range(300):
            if unpack(pack(payload)) != payload:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong


def test_nothing_too_large_is_compressed(method, monkeypatch):
    """What would not be read again is not compressed."""
    monkeypatch.setattr(compression, "LARGEST", 2_000)
    assert pack(LONG) == b"\0" + LONG
    assert unpack(pack(LONG)) == LONG
