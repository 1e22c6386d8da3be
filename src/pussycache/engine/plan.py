"""What is known of one cached method, and what its callers are warned about.

Nothing is decided about a call here: that is the flow's.
"""

from __future__ import annotations

import sys

from pussycache.declare.keys import why_not
from pussycache.engine import telling
from pussycache.engine.asking import AT_ONCE, NOWHERE
from pussycache.engine.entry import shown
from pussycache.engine.tags import ANY
from pussycache.errors import MutatedValueWarning, UncacheableCallWarning
from pussycache.hooks import active

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    from pussycache.engine.asking import Far
    from pussycache.engine.generations import Table
    from pussycache.engine.keeping import Keeping

__all__ = ["Plan", "Tagger", "changed", "level_of_the_caller", "uncacheable"]


_OURS: Final = "pussycache."


class Tagger:
    """What gives the tags of a call: given its arguments, and its result if they depend on it."""

    __slots__ = ("by_result", "of")

    def __init__(self, of: Callable[..., tuple[str, ...]], by_result: bool) -> None:
        self.of = of
        self.by_result = by_result

    def before(self, values: tuple[Any, ...]) -> tuple[str, ...]:
        """Return the tags as far as they are known without a result."""
        if self.by_result:
            return ANY
        try:
            return self.of(values)
        except Exception:
            # A template that cannot be filled: the load will say so.
            return ANY


class Plan:
    """All that the flow needs to know of one cached method.

    ``invoke`` passes bound arguments on to a call; `None` where they are just passed in order.
    ``names`` are those of the parameters; ``tags`` is there where entries carry tags. ``far`` is
    there where the cache is outside of this process: ``parts`` gives what of the arguments makes
    the key then, ``steady`` says that this is always the same, ``function`` is the bare one, for
    what it is annotated to return, and ``looks`` says whether entries are found here before.
    """

    __slots__ = (
        "encode",
        "far",
        "function",
        "invoke",
        "keeping",
        "label",
        "looks",
        "names",
        "parts",
        "steady",
        "tags",
        "warned",
    )

    def __init__(
        self,
        label: str,
        encode: Callable[[tuple[Any, ...], object], Any],
        invoke: Callable[[Any, tuple[Any, ...]], Any] | None,
        keeping: Keeping,
        names: tuple[str, ...],
        tags: Tagger | None = None,
        far: Far | None = None,
        parts: Callable[[tuple[Any, ...]], tuple[Any, ...]] = tuple,
        function: object = None,
        steady: bool = False,
    ) -> None:
        self.label = label
        self.encode = encode
        self.invoke = invoke
        self.keeping = keeping
        self.names = names
        self.tags = tags
        self.far = far
        self.looks = AT_ONCE
        if far is not None:
            self.looks = far.looks if keeping.nearby else NOWHERE
        self.parts = parts
        self.steady = steady
        self.function = function
        self.warned = False


def uncacheable(plan: Plan, table: Table, error: Exception, values: tuple[Any, ...] = ()) -> None:
    """Count a call without a key, and warn about it once a method."""
    table.uncacheable += 1
    if active:
        telling.missed(table, "uncacheable", values)
    if not plan.warned:
        plan.warned = True
        import warnings

        warnings.warn(
            f"a call of {plan.label} cannot be cached: {why_not(error)}; give the argument's "
            "class a method __cache_key__(), or the declaration a Cached(key=...) or "
            "Cached(ignore=[...]). It is computed each time; this is said once",
            UncacheableCallWarning,
            stacklevel=level_of_the_caller(),
        )


def changed(plan: Plan, values: tuple[Any, ...]) -> None:
    """Warn that what a call returned was changed by somebody."""
    import warnings

    arguments = shown(dict(zip(plan.names, values, strict=True))).items()
    call = f"{plan.label}({', '.join([f'{name}={text}' for name, text in arguments])})"
    warnings.warn(
        f"what {call} returned was changed in place after it had been stored: it is forgotten, and "
        "loaded anew. Copy it before changing it, declare Cached(copy='deep'), or return what "
        "cannot be changed, such as a tuple; if a method of the object changed it, name that "
        "method in invalidate_methods",
        MutatedValueWarning,
        stacklevel=level_of_the_caller(),
    )


def level_of_the_caller() -> int:
    """Return the ``stacklevel`` of the first frame that is not this library's."""
    level, frame = 0, sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith(_OURS):
        level, frame = level + 1, frame.f_back
    return level
