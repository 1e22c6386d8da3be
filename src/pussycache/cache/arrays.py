"""Arrays and scalars of numpy, taken apart into plain data and made again.

numpy is imported only where such a value is read; where one is written, it is there.
"""

from __future__ import annotations

import sys
from typing import Any, Final

__all__ = ["make", "take"]

# Numbers, booleans, moments, and text: what is the same for whoever reads its bytes.
_KINDS: Final = "biufcmMUS"


def take(value: Any) -> list[Any] | None:
    """Return what an array or a scalar consists of, `None` if the value is neither.

    :raises TypeError: if it is one that bytes do not tell; says why.
    """
    numpy: Any = sys.modules.get("numpy")
    # A test may have put something else in its place.
    if numpy is None or not isinstance(value, (numpy.ndarray, numpy.generic)):
        return None
    dtype = value.dtype
    if dtype.kind not in _KINDS or not dtype.itemsize:
        raise TypeError(f"its dtype is {dtype}")
    if numpy.dtype(dtype.str).type is not dtype.type:
        raise TypeError(f"its dtype {dtype!r} would come back as {dtype.str}")
    if isinstance(value, numpy.generic):
        parts = [dtype.str, None, 0, value.tobytes()]
        again = make(parts)
        if type(again) is not type(value) or again.tobytes() != value.tobytes():
            raise TypeError("it would not come back the same")
        return parts
    if type(value) is not numpy.ndarray:
        raise TypeError("it extends numpy.ndarray")
    flags = value.flags
    fortran = flags.f_contiguous and not flags.c_contiguous
    bits = fortran | flags.writeable << 1
    return [dtype.str, list(value.shape), bits, value.tobytes("F" if fortran else "C")]


def make(parts: list[Any]) -> Any:
    """Return the array or scalar that was taken apart; raises whatever, if it was none."""
    import numpy

    kind, shape, bits, data = parts
    if type(kind) is not str or type(data) is not bytes or type(bits) is not int:
        raise TypeError(kind)
    dtype = numpy.dtype(kind)
    if dtype.kind not in _KINDS or not dtype.itemsize:
        raise TypeError(kind)
    # Other bytes than these would be an array that crashes whoever uses it.
    most = {"U": ("u4", sys.maxunicode), "b": ("u1", 1)}.get(dtype.kind)
    if most is not None:
        units = numpy.frombuffer(data, numpy.dtype(most[0]).newbyteorder(dtype.byteorder))
        if units.size and units.max() > most[1]:
            raise ValueError("not text, or not booleans")
    if shape is None:
        if len(data) != dtype.itemsize:
            raise ValueError("not the size of one")
        return numpy.frombuffer(data, dtype)[0]
    size = dtype.itemsize
    for length in shape:
        if type(length) is not int or length < 0:
            raise ValueError("not a shape")
        size *= length
    if size != len(data):
        raise ValueError("not the size of the array")
    order: Any = "F" if bits & 1 else "C"
    # A copy, because the bytes are not to be written to.
    array: Any = numpy.ndarray(tuple(shape), dtype, data, order=order).copy(order)
    array.flags.writeable = bool(bits & 2)
    return array
