"""An exception that is remembered, and raised again as a new one each time.

How long, and which ones, is said by the declaration; when it is raised, by the flow.
"""

from __future__ import annotations

from pussycache.typed import final

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, TypeVar

    E = TypeVar("E", bound=BaseException)

__all__ = ["Remembered", "bare"]

# Causes of causes beyond this are left out.
_DEEPEST: Final = 8


@final
class Remembered:
    """Stands in an entry in the place of a value. It holds no traceback, and so no frames."""

    __slots__ = ("_error",)

    def __init__(self, error: Exception) -> None:
        """Take a copy; an exception that cannot be copied raises here, whatever it raises."""
        self._error = bare(error)

    @property
    def absence(self) -> bool:
        """Whether it says that there is nothing to be found."""
        return isinstance(self._error, LookupError)

    def again(self) -> Exception:
        """Return an exception to raise: of its own, with no traceback and no context yet."""
        return bare(self._error)

    def __str__(self) -> str:
        kind = type(self._error).__qualname__
        try:
            text = str(self._error)
        except Exception:
            text = ""
        return f"{kind}: {text}" if text else kind


def bare(error: E, depth: int = 0) -> E:
    """Return a copy of an exception that holds neither traceback nor context."""
    made = _grouped(error, depth) if isinstance(error, BaseExceptionGroup) else _alike(error)
    own = dict(error.__dict__)
    if "__notes__" in own:
        # Who adds a note to one adds it to none of the others.
        own["__notes__"] = [*own["__notes__"]]
    made.__dict__.update(own)
    cause = error.__cause__
    made.__cause__ = None if cause is None or depth == _DEEPEST else bare(cause, depth + 1)
    made.__suppress_context__ = error.__suppress_context__
    return made


def _alike(error: E) -> E:
    kind = type(error)
    builtin = next(base for base in kind.__mro__ if base.__module__ == "builtins")
    simple = builtin.__basicsize__ == BaseException.__basicsize__
    if not simple:
        # It keeps more than its arguments: OSError, UnicodeDecodeError, ImportError.
        from copy import copy

        try:
            made = copy(error)
            if type(made) is kind:
                return made
        except Exception:  # a constructor of the user's that wants other arguments
            pass
    # Its constructor is not run: it may want other arguments than it hands on.
    made = kind.__new__(kind, *error.args)
    if not simple:
        builtin.__init__(made, *error.__reduce__()[1])  # type: ignore[misc]
    made.args = error.args
    return made


def _grouped(error: E, depth: int) -> E:
    inner = [bare(one, depth + 1) for one in error.exceptions]  # type: ignore[attr-defined]
    made = error.derive(inner)  # type: ignore[attr-defined]
    if type(made) is not type(error):
        raise TypeError(f"{type(error).__qualname__}.derive returns another type")
    return made
