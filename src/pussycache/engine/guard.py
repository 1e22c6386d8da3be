"""The seal of a stored value, which tells later whether it was changed, and the switch for all.

What a value looks like is described by looks.py, which is imported when somebody guards, and not
before; what becomes of a changed one is decided in flow.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import compress
from operator import is_not

from pussycache.typed import final

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

__all__ = ["Seal", "guarded", "guards", "seal"]

guards: Final[list[object]] = []
"""Who has the values of all methods guarded; nobody, as a rule."""


@contextmanager
def guarded() -> Iterator[None]:
    """Guard every cached value that is stored during a block, in the whole process.

    As if every `Cached` said ``guard=True``: a value that was changed in place after it was stored
    is not served, and a `MutatedValueWarning` says which method returned it. Values that were
    stored before are not looked at. The environment variable ``PUSSYCACHE_GUARD=1`` does the same
    for the life of the process, and the pytest fixture ``pussycache_guard`` for a test.

    >>> import warnings
    >>> import pussycache
    >>> from pussycache.testing import guarded
    >>> class Shop:
    ...     def products(self):
    ...         return ["tea", "milk"]
    >>> shop = pussycache.wrap(Shop(), cached_methods=["products"])
    >>> with guarded(), warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     shop.products().append("a caller's own")
    ...     print(shop.products(), caught[0].category.__name__)
    ['tea', 'milk'] MutatedValueWarning
    """
    switch = object()
    guards.append(switch)
    try:
        yield
    finally:
        guards.remove(switch)


if os.environ.get("PUSSYCACHE_GUARD", "") not in ("", "0"):
    guards.append("PUSSYCACHE_GUARD")


def seal(value: object, me: object) -> Seal | None:
    """Return what tells later whether a value was changed; `None` if nothing in it can be.

    :param me: the wrapped object, whose own state is no part of any value.
    """
    from pussycache.engine.looks import VALUES, look

    if type(value) in VALUES:
        return None
    looks, changeable = look(value, id(me))
    return Seal(looks, id(me)) if changeable else None


@final
class Seal:
    """What a value looked like when it was stored.

    It holds the plain values and the opaque objects that were found, so that none of them can be
    mistaken for a later one at the same address. It does not hold the wrapped object: where that
    is part of the value, the value does.
    """

    __slots__ = ("_looks", "_me")

    def __init__(self, looks: list[Any], me: int) -> None:
        self._looks = looks
        self._me = me

    def holds(self, value: object) -> bool:
        """Whether the value looks as it did."""
        from pussycache.engine.looks import look, same

        then, now = self._looks, look(value, self._me)[0]
        return len(then) == len(now) and all(
            same(a, b) for a, b in compress(zip(then, now, strict=True), map(is_not, then, now))
        )
