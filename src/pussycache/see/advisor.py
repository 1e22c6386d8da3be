"""`advise`: the report of what was seen of an observed object, and what of it to cache.

The figures are worked out in figures.py, and put into words, code and a page in others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pussycache.errors import ConfigurationError
from pussycache.see.figures import Figures
from pussycache.see.paste import wrap_call
from pussycache.see.watchers import recorder_of
from pussycache.see.words import as_json, reasons, text

if TYPE_CHECKING:
    from pussycache.see.recorder import Recorder

__all__ = ["Report", "advise"]


class Report(Figures):
    """What was seen of an observed object: a mapping from names of methods to their figures.

    ``str(report)`` is for people, `to_json` for programs, `to_html` a page with curves; ``paste``
    is a call of `wrap` to start from, a comment where nothing is worth it. ``calls`` are those of
    all methods, ``watched`` the seconds since the object was first observed.
    """

    def __init__(self, recorder: Recorder, target: str = "target") -> None:
        super().__init__(recorder, target)
        for method in self.values():
            method.reasons = reasons(self, method)
        self.paste = wrap_call(self)

    def __str__(self) -> str:
        return text(self, self.paste)

    __repr__ = __str__

    def to_json(self) -> str:
        """Return all figures, the curves and the advice as one JSON object."""
        return as_json(self, self.paste)

    def to_html(self) -> str:
        """Return one self-contained page. It shows no arguments and no results."""
        from pussycache.see.page import page

        return page(self, self.paste)


def advise(observed: object) -> Report:
    """Return what was seen of an object since it was given to `observe`, and what to cache.

    May be asked at any time, again and again: watching goes on.

    :raises ConfigurationError: for an object that is not observed.

    >>> import pussycache
    >>> class Weather:
    ...     def today(self, town):
    ...         return "rain"
    >>> weather = pussycache.observe(Weather())
    >>> for town in ["Oslo", "Bergen", "Oslo", "Oslo"] * 25:
    ...     answer = weather.today(town)
    >>> report = pussycache.advise(weather)
    >>> report["today"].calls, report["today"].repeated, report["today"].changed
    (100, 0.98, 0)
    """
    recorder = recorder_of(observed)
    if recorder is None:
        raise ConfigurationError(
            f"advise takes what observe returned, not {type(observed).__qualname__}; observe the "
            "object first, and use what that returns"
        )
    return Report(recorder)
