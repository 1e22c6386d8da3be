"""The file of a saved cache: a beginning that says what it is, and sealed records one by one.

What is in a record, and what becomes of it, is not known here.

A record is its length, a checksum of that, and an envelope. The code of an envelope covers the
file's own random name and the place of the record, so that none can be moved, or taken from another
file. The first record is the header.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zlib import crc32

from pussycache.cache.envelope import NO_REPLICATION, Refused
from pussycache.errors import ConfigurationError

if TYPE_CHECKING:
    from types import TracebackType

    from pussycache.cache.envelope import Sealer

__all__ = ["ENTRY", "TABLE", "Head", "Reader", "Writer"]

TABLE: Final = 2
"""The kind of a record that says which method the next entries are of."""
ENTRY: Final = 3
_HEAD: Final = 1

# As PNG's: no text, and neither a mode for text nor seven bits leave it as it is.
_MAGIC: Final = b"\x89pussycache\r\n\x1a\n"
_VERSION: Final = 1
_FIRST: Final = b"the header of a saved cache"
_frame = Struct(">II")
_head = Struct(">dQ16s")
_place = Struct(">16sQ")


class Head(NamedTuple):
    """What a file says of itself: when it was made, by the time of day, and of what."""

    created: float
    entries: int
    name: bytes
    serializer: str

    def packed(self) -> bytes:
        return _head.pack(self.created, self.entries, self.name) + self.serializer.encode()


class Writer:
    """Writes a file beside the one that is meant, and puts it in its place when it is whole."""

    def __init__(
        self, path: str | os.PathLike[str], sealer: Sealer, serializer: str, created: float
    ) -> None:
        from tempfile import NamedTemporaryFile

        self._path = os.path.realpath(_checked(path))
        folder, name = os.path.split(self._path)
        self._sealer = sealer
        self._head = Head(created, 0, os.urandom(16), serializer)
        self._headers = {k: sealer.header(NO_REPLICATION, [], k) for k in (_HEAD, TABLE, ENTRY)}
        self._index = 0
        # Nobody else may read it: what is in a cache is not for everybody.
        self._file: Any = NamedTemporaryFile(  # noqa: SIM115 - closed by `__exit__`
            dir=folder, prefix=f".{name}.", delete=False
        )

    def __enter__(self) -> Writer:
        try:
            self._begin()
        except BaseException:
            self._drop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                # How many there are is known only now; the header keeps its length.
                self._file.seek(0)
                self._begin()
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
                os.replace(self._file.name, self._path)
                _sync(os.path.dirname(self._path))
                return
        except BaseException:
            self._drop()
            raise
        self._drop()

    def add(self, kind: int, payload: bytes) -> None:
        """Add a record."""
        if kind == ENTRY:
            self._head = self._head._replace(entries=self._head.entries + 1)
        self._index += 1
        self._put(_place.pack(self._head.name, self._index), kind, payload)

    def _begin(self) -> None:
        self._file.write(_MAGIC + bytes((_VERSION,)))
        self._put(_FIRST, _HEAD, self._head.packed())

    def _put(self, place: bytes, kind: int, payload: bytes) -> None:
        sealed = self._sealer.seal(place, self._headers[kind], payload)
        length = len(sealed)
        self._file.write(_frame.pack(length, crc32(length.to_bytes(4, "big"))))
        self._file.write(sealed)

    def _drop(self) -> None:
        self._file.close()
        with suppress(OSError):
            os.unlink(self._file.name)


class Reader:
    """Reads a file; whatever is wrong with a record is told in its place.

    ``head`` is what the file says of itself, or why it is not believed.

    :raises ConfigurationError: if it is no saved cache at all.
    :raises OSError: if it cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], sealer: Sealer) -> None:
        self._sealer = sealer
        self._file: Any = open(_checked(path), "rb")  # noqa: SIM115 - closed by `__exit__`
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            self.head = self._begin(path)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()

    def _begin(self, path: str | os.PathLike[str]) -> Head | Refused:
        if self._file.read(len(_MAGIC)) != _MAGIC:
            raise ConfigurationError(
                f"path {os.fspath(path)!r} is no saved cache; give one that MemoryCache.save wrote"
            )
        version = self._file.read(1)
        if version != bytes((_VERSION,)):
            return Refused.FUTURE if version else Refused.TRUNCATED
        sealed = self._next()
        if sealed is None:
            return Refused.TRUNCATED
        opened = self._sealer.open(_FIRST, sealed)
        if isinstance(opened, Refused):
            return opened
        with suppress(ValueError):
            if opened.kind == _HEAD and len(opened.payload) >= _head.size:
                created, entries, name = _head.unpack_from(opened.payload)
                return Head(created, entries, name, opened.payload[_head.size :].decode())
        return Refused.CORRUPT

    def records(self) -> Iterator[tuple[int, bytes | Refused]]:
        """Yield kind and content of each record, or why it is refused.

        The kind of one that is refused is what it says itself. It ends where the next record
        cannot be found.
        """
        index = 0
        while (sealed := self._next()) is not None:
            index += 1
            kind = sealed[1] if len(sealed) > 1 else 0
            if isinstance(self.head, Refused):
                # When it was made is not known, and so not how old anything is.
                yield kind, self.head
                continue
            opened = self._sealer.open(_place.pack(self.head.name, index), sealed)
            yield kind, opened if isinstance(opened, Refused) else opened.payload

    def _next(self) -> bytes | None:
        frame = self._file.read(_frame.size)
        if len(frame) < _frame.size:
            return None
        length, code = _frame.unpack(frame)
        if crc32(frame[:4]) != code or length > self._size - self._file.tell():
            return None
        sealed: bytes = self._file.read(length)
        return sealed if len(sealed) == length else None


def _checked(path: object) -> str | os.PathLike[str]:
    # A number would be a file that somebody has open.
    if not isinstance(path, (str, os.PathLike)):
        raise ConfigurationError(f"path must be a str or a path of pathlib, not {path!r}")
    return path


def _sync(folder: str) -> None:
    # That the new name is in the folder after a power cut, too; not everywhere can one ask for it.
    with suppress(OSError):
        number = os.open(folder or ".", os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
