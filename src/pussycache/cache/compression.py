"""Compression of payloads, where a package for it is installed; a first byte says which.

What is in a payload is not known here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from struct import Struct
from struct import error as StructError
from typing import Any, Final, NamedTuple

__all__ = ["LARGEST", "THRESHOLD", "NotInstalled", "pack", "unpack"]

THRESHOLD: Final = 1024
"""Payloads of so many bytes and more are compressed."""
LARGEST: Final = 128 * 2**20
"""Nothing larger is compressed, and nothing that says so is decompressed."""

# Less than this fraction is gained: the reader's time is worth more.
_WORTH: Final = 0.9
_PLAIN: Final = b"\0"
_LZ4: Final = 1
_ZSTD: Final = 2
_head = Struct(">BI")


class NotInstalled(ValueError):
    """The payload was compressed by a package that is not installed here."""


class _Method(NamedTuple):
    flag: int
    compress: Callable[[bytes], bytes]
    decompress: Callable[[memoryview, int], bytes]


def pack(payload: bytes, threshold: float = THRESHOLD) -> bytes:
    """Return a payload for the store: compressed, if it is long and becomes shorter by that.

    >>> bytes(unpack(pack(b"a" * 5_000))) == b"a" * 5_000
    True
    """
    if threshold <= len(payload) <= LARGEST and _METHODS:
        method = _METHODS[0]
        packed = method.compress(payload)
        if len(packed) < _WORTH * len(payload):
            return _head.pack(method.flag, len(payload)) + packed
    return _PLAIN + payload


def unpack(data: bytes) -> bytes:
    """Return the payload that was packed.

    :raises NotInstalled: if the package that compressed it is not installed.
    :raises ValueError: if nothing that `pack` made looks like this.
    """
    if data[:1] == _PLAIN:
        return data[1:]
    try:
        flag, size = _head.unpack_from(data)
    except StructError:
        raise ValueError("truncated before the size") from None
    if size > LARGEST:
        raise ValueError("says that it is larger than anything that is compressed")
    for method in _METHODS:
        if method.flag == flag:
            break
    else:
        if flag in (_LZ4, _ZSTD):
            raise NotInstalled("compressed by a package that is not installed")
        raise ValueError("compressed in an unknown way")
    try:
        payload = method.decompress(memoryview(data)[_head.size :], size)
    except Exception as error:
        # Each package has errors of its own, and lz4 a bare RuntimeError.
        raise ValueError(f"cannot be decompressed: {error}") from None
    if len(payload) != size:
        raise ValueError("has not the size that it says")
    return payload


def _lz4() -> _Method:
    from lz4.block import compress, decompress

    return _Method(
        _LZ4,
        lambda payload: compress(payload, store_size=False),
        lambda data, size: decompress(data, uncompressed_size=size),
    )


def _zstd() -> _Method:
    zstd: Any = import_module("compression.zstd")

    def decompress(data: memoryview, size: int) -> bytes:
        decompressor = zstd.ZstdDecompressor()
        # One more than there should be, so that what does not end there is found out.
        payload: bytes = decompressor.decompress(data, size + 1)
        if not decompressor.eof or decompressor.unused_data:
            raise ValueError("the frame does not end where it should")
        return payload

    return _Method(_ZSTD, lambda payload: zstd.compress(payload, 1), decompress)


def _zstandard() -> _Method:
    import zstandard

    # Neither compressor nor decompressor may be used by two threads at a time.
    own = threading.local()

    def compress(payload: bytes) -> bytes:
        compressor = getattr(own, "compressor", None)
        if compressor is None:
            compressor = own.compressor = zstandard.ZstdCompressor(level=1)
        packed: bytes = compressor.compress(payload)
        return packed

    def decompress(data: memoryview, size: int) -> bytes:
        # What the frame says is what would be allocated, whatever is asked for.
        if zstandard.frame_content_size(data) != size:
            raise ValueError("the frame has another size")
        decompressor = getattr(own, "decompressor", None)
        if decompressor is None:
            decompressor = own.decompressor = zstandard.ZstdDecompressor()
        payload: bytes = decompressor.decompress(data, max_output_size=size, allow_extra_data=False)
        return payload

    return _Method(_ZSTD, compress, decompress)


def _installed() -> list[_Method]:
    methods = []
    # lz4 first: it is read in a quarter of the time. zstd as Python has it from 3.14 on, or as a
    # package: what one wrote, the other reads.
    for make in (_lz4, _zstd, _zstandard):
        with suppress(ImportError):
            methods.append(make())
    return methods


_METHODS: Final[list[_Method]] = _installed()
