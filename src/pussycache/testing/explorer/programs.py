"""The programs that come with the explorer, by name: what is explored of this library itself.

How they are run from the command line is in __main__.py.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pussycache.declare.policy import Cached
from pussycache.declare.rules import Each, Forget
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

__all__ = ["PROGRAMS", "Named"]


class Named(NamedTuple):
    """A program, and what it is in one line."""

    about: str
    scenario: Scenario


_TWICE: Final = [Reads("get"), Reads("get")]
_PAGE: Final = {"get": (), "page": ("get",)}

PROGRAMS: Final[dict[str, Named]] = {
    "one-key": Named(
        "two readers with two reads each, one of whose loads fails, and a writer",
        Scenario(
            {
                "reader 1": _TWICE,
                "reader 2": [Reads("get", fails=True), Reads("get")],
                "writer": [Writes("set")],
            }
        ),
    ),
    "failing-write": Named(
        "two readers, and a writer whose write takes effect and raises",
        Scenario(
            {
                "reader 1": _TWICE,
                "reader 2": [Reads("get")],
                "writer": [Writes("set", fails=True)],
            }
        ),
    ),
    "overlapping-writes": Named(
        "a reader, and two writers at once, one of which fails",
        Scenario(
            {
                "reader": _TWICE,
                "writer 1": [Writes("set")],
                "writer 2": [Writes("set", fails=True)],
            }
        ),
    ),
    "one-argument": Named(
        "a rule that matches on an argument, and a write of the whole method beside it",
        Scenario(
            {"reader": _TWICE, "writer 1": [Writes("set")], "writer 2": [Writes("reset")]},
            writes={"set": [Forget("get", "key")], "reset": ["get"]},
        ),
    ),
    "many-arguments": Named(
        "a rule that forgets for each item of a collection",
        Scenario(
            {
                "reader": [Reads("get", 1), Reads("get", 2), Reads("get", 1)],
                "writer": [Writes("set", (1, 2))],
            },
            writes={"set": [Forget("get", key=Each("key"))]},
        ),
    ),
    "by-the-result": Named(
        "two writers with a rule whose value is known at the end; one fails, and forgets all",
        Scenario(
            {
                "reader": [Reads("get", 1), Reads("get", 2)],
                "writer 1": [Writes("set", 1)],
                "writer 2": [Writes("set", 2, fails=True)],
            },
            writes={"set": [Forget("get", key=lambda call: call.result)]},
        ),
    ),
    "nested": Named(
        "a load that calls another cached method, and a writer that names both",
        Scenario(
            {"reader": [Reads("page"), Reads("page")], "writer": [Writes("set")]}, loads=_PAGE
        ),
    ),
    "everything": Named(
        "the same, with a writer that names all methods of the object at once",
        Scenario(
            {"reader": [Reads("page"), Reads("page")], "writer": [Writes("set")]},
            loads=_PAGE,
            writes={"set": ["*"]},
        ),
    ),
    "mutual-loads": Named(
        "two loads that want one another: nobody hangs",
        Scenario(
            {"reader 1": [Reads("a")], "reader 2": [Reads("b")]},
            loads={"a": ("b",), "b": ("a",)},
        ),
    ),
    "cancelled-load": Named(
        "a reader is cancelled while another one may be waiting for it",
        Scenario(
            {"reader 1": _TWICE, "reader 2": [Reads("get")], "user": [Cancels("reader 1")]},
        ),
    ),
    "cancelled-write": Named(
        "a writer is cancelled in the midst of its write, and reads after that",
        Scenario(
            {
                "reader": _TWICE,
                "writer": [Writes("set"), Reads("get")],
                "user": [Cancels("writer")],
            },
        ),
    ),
    "expiry": Named(
        "the time of what is remembered is over at any moment",
        Scenario({"reader": _TWICE, "writer": [Writes("set")], "clock": [Passes(30)]}, ttl=30),
    ),
    "stale-for": Named(
        "a value that is served when its time is over, and renewed beside that",
        Scenario(
            {
                "reader 1": _TWICE,
                "reader 2": [Reads("get")],
                "writer": [Writes("set")],
                "clock": [Passes(30)],
            },
            policies={"get": Cached(ttl=30, stale_for=30)},
        ),
    ),
    "stale-if-error": Named(
        "a value that is served when its time is over and the load fails",
        Scenario(
            {
                "reader 1": [Reads("get"), Reads("get", fails=True)],
                "reader 2": [Reads("get", fails=True)],
                "writer": [Writes("set")],
                "clock": [Passes(30)],
            },
            policies={"get": Cached(ttl=30, stale_if_error=30)},
        ),
    ),
    "eviction": Named(
        "what is remembered is thrown out at any moment",
        Scenario({"reader": _TWICE, "writer": [Writes("set")], "memory": [Evicts("get")]}),
    ),
    "full-cache": Named(
        "a cache with room for one entry, and two calls that want it",
        Scenario(
            {
                "reader": [Reads("get", 1), Reads("get", 2), Reads("get", 1)],
                "writer": [Writes("set", 1)],
            },
            max_entries=1,
        ),
    ),
    "forget": Named(
        "a call is forgotten by hand",
        Scenario({"reader 1": _TWICE, "reader 2": [Reads("get")], "user": [Forgets("get")]}),
    ),
    "forget-all": Named(
        "a method is forgotten by hand",
        Scenario({"reader 1": _TWICE, "reader 2": [Reads("get")], "user": [ForgetsAll("get")]}),
    ),
    "put": Named(
        "a value is put by hand, and a writer",
        Scenario({"reader": _TWICE, "user": [Puts("get")], "writer": [Writes("set")]}),
    ),
    "refresh": Named(
        "a load that is wanted in any case, and a writer",
        Scenario({"reader": _TWICE, "user": [Refreshes("get")], "writer": [Writes("set")]}),
    ),
}
