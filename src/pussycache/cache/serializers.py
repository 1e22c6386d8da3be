"""Serializers: what turns the results of a method into bytes for a shared store, and back.

How the formats look, and what is written around these bytes, is decided elsewhere.
"""

from __future__ import annotations

import pickle
from contextlib import suppress
from typing import Protocol, runtime_checkable

from pussycache.cache.annotations import classes_in, returned_by
from pussycache.cache.msgpack import MsgpackCodec
from pussycache.cache.shapes import NotStorable, shape_of
from pussycache.errors import ConfigurationError

__all__ = [
    "Codec",
    "MsgpackSerializer",
    "NotStorable",
    "PickleSerializer",
    "Serializer",
    "choose",
    "returned_by",
]


class Codec(Protocol):
    """Writes and reads the values of one method."""

    def encode(self, value: object, /) -> bytes:
        """Return the bytes for a value.

        :raises NotStorable: if it would not come back equal, and of the same types.
        """

    def decode(self, data: bytes | memoryview, /) -> object:
        """Return the value that was written.

        :raises ValueError: whatever is wrong with the bytes.
        """


@runtime_checkable
class Serializer(Protocol):
    """A way to write values. One of your own is given as ``serializer=``.

    :ivar name: what this way is called.
    """

    name: str

    def bind(self, annotation: object, /) -> Codec:
        """Return what writes and reads the values of one method.

        :param annotation: its resolved return annotation, `None` where it has none.
        """


class MsgpackSerializer:
    """The default: msgpack, which executes nothing, and gives back exactly what went in.

    Classes of your own are made again only where the method's return annotation names them.

    >>> codec = MsgpackSerializer().bind(None)
    >>> codec.decode(codec.encode({"when": (1, {2})}))
    {'when': (1, {2})}
    >>> codec.encode(object())
    Traceback (most recent call last):
        ...
    pussycache.cache.shapes.NotStorable: a value of type builtins.object cannot be stored: ...
    """

    name = "msgpack"

    def bind(self, annotation: object, /) -> MsgpackCodec:
        """Return what writes and reads the values of a method with this return annotation."""
        shapes = []
        for kind in classes_in(annotation):
            with suppress(NotStorable):
                shapes.append(shape_of(kind))
        return MsgpackCodec(shapes)


class PickleSerializer:
    """Python's pickle, which takes almost every value.

    Reading executes what the bytes say. So `choose` demands that they are signed.

    >>> codec = PickleSerializer().bind(None)
    >>> codec.decode(codec.encode(len)) is len
    True
    """

    name = "pickle"

    def bind(self, annotation: object, /) -> _PickleCodec:
        """Return what writes and reads the values of any method."""
        return _PickleCodec()


class _PickleCodec:
    __slots__ = ()

    def encode(self, value: object, /) -> bytes:
        try:
            return pickle.dumps(value, 5)
        except Exception as error:
            raise NotStorable(
                type(value),
                f"{type(error).__name__}: {error}",
                "return what can be pickled",
            ) from error

    def decode(self, data: bytes | memoryview, /) -> object:
        try:
            return pickle.loads(data)
        except Exception as error:
            raise ValueError(f"malformed: {type(error).__name__}: {error}") from None


def choose(
    serializer: str | Serializer, *, secret_keys: object, insecure: bool = False
) -> Serializer:
    """Return the serializer that is meant.

    :param serializer: ``"msgpack"``, ``"pickle"``, or one of your own.
    :param secret_keys: with what entries are signed, `None` if they are not.
    :param insecure: whether pickle may be used without a signature.
    :raises ConfigurationError: for pickle without `secret_keys` or `insecure`, and for what is no
        serializer.

    >>> choose("msgpack", secret_keys=None).name
    'msgpack'
    >>> choose("pickle", secret_keys=None)
    Traceback (most recent call last):
        ...
    pussycache.errors.ConfigurationError: serializer='pickle' executes whatever is in the store; \
give secret_keys=[...], so that only what was signed is read, or insecure=True if nobody else can \
write to the store
    """
    chosen: object = serializer
    if isinstance(serializer, str):
        chosen = {"msgpack": MsgpackSerializer, "pickle": PickleSerializer}.get(serializer, str)()
    if isinstance(chosen, type) or not isinstance(chosen, Serializer):
        raise ConfigurationError(
            f"serializer is {serializer!r}; give 'msgpack', 'pickle', "
            "or an object with a name and a method bind(annotation)"
        )
    if isinstance(chosen, PickleSerializer) and not secret_keys and not insecure:
        raise ConfigurationError(
            "serializer='pickle' executes whatever is in the store; give secret_keys=[...], "
            "so that only what was signed is read, or insecure=True if nobody else can write to "
            "the store"
        )
    return chosen
