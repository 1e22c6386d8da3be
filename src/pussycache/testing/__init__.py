"""Instruments for tests: of caches, and of programs that use this library. Shipped with it."""

from typing import TYPE_CHECKING, Any

from pussycache.engine.guard import guarded
from pussycache.testing.clock import FakeClock
from pussycache.testing.contract import CacheContract

if TYPE_CHECKING:
    from pussycache.testing.auditing import audit
    from pussycache.testing.coherence import assert_coherent
    from pussycache.testing.explorer import Exploration, Pause, Program, PromiseBroken, explore
    from pussycache.testing.incoherent import IncoherentError, Tried
    from pussycache.testing.report import Finding, Report, Use

__all__ = [
    "CacheContract",
    "Exploration",
    "FakeClock",
    "Finding",
    "IncoherentError",
    "Pause",
    "Program",
    "PromiseBroken",
    "Report",
    "Tried",
    "Use",
    "assert_coherent",
    "audit",
    "explore",
    "guarded",
]

# Loaded when they are asked for: pytest imports this package at each start, for its fixtures.
_LATER = {
    "Exploration": "explorer",
    "Finding": "report",
    "IncoherentError": "incoherent",
    "Pause": "explorer",
    "Program": "explorer",
    "PromiseBroken": "explorer",
    "Report": "report",
    "Tried": "incoherent",
    "Use": "report",
    "assert_coherent": "coherence",
    "audit": "auditing",
    "explore": "explorer",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
