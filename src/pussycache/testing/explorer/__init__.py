"""The explorer of interleavings: every schedule of a small program, held against the promise.

The names that are used from outside; the search, the model of the engine and the words of its
programs have a module each.
"""

from pussycache.testing.explorer.ledger import Answer, Call, Ledger, Written
from pussycache.testing.explorer.scenario import (
    Cancels,
    Evicts,
    Forgets,
    ForgetsAll,
    Passes,
    Puts,
    Reads,
    Refreshes,
    Scenario,
    Writes,
)
from pussycache.testing.explorer.search import (
    Exploration,
    Pause,
    Program,
    PromiseBroken,
    explore,
)

__all__ = [
    "Answer",
    "Call",
    "Cancels",
    "Evicts",
    "Exploration",
    "Forgets",
    "ForgetsAll",
    "Ledger",
    "Passes",
    "Pause",
    "Program",
    "PromiseBroken",
    "Puts",
    "Reads",
    "Refreshes",
    "Scenario",
    "Writes",
    "Written",
    "explore",
]
