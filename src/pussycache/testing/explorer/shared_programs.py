"""The programs of the shared tier that come with the explorer, by name.

How they are run from the command line is in __main__.py.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pussycache.declare.rules import Forget
from pussycache.testing.explorer.scenario import Forgets, ForgetsAll, Puts, Reads, Refreshes, Writes
from pussycache.testing.explorer.sharing import (
    Copies,
    Cuts,
    FailsOver,
    Kills,
    Lapses,
    Loses,
    LosesReply,
    Process,
    Reaches,
    RepeatsEnd,
    SharedScenario,
)

__all__ = ["SHARED_PROGRAMS", "SharedNamed"]


class SharedNamed(NamedTuple):
    """A program, and what it is in one line."""

    about: str
    scenario: SharedScenario


_ONCE: Final = [Reads("get")]
_TWICE: Final = [Reads("get"), Reads("get")]
_READER: Final = Process({"reader": _TWICE})
_READER_ONCE: Final = Process({"reader": _ONCE})
_WRITER: Final = Process({"writer": [Writes("set")]})
_BY_RULE: Final = {"set": [Forget("get", "key")]}

SHARED_PROGRAMS: Final[dict[str, SharedNamed]] = {
    "killed-writer": SharedNamed(
        "a reader, and a writer whose process is killed at any moment; its fence lapses",
        SharedScenario(
            {"A": _READER, "B": _WRITER}, {"killer": [Kills("B")], "time": [Lapses(10)]}
        ),
    ),
    "failing-write": SharedNamed(
        "a reader, and a writer whose write takes effect and raises",
        SharedScenario(
            {
                "A": _READER,
                "B": Process({"writer": [Writes("set", fails=True)]}),
            }
        ),
    ),
    "overlapping-writes": SharedNamed(
        "a reader, and writers of two processes at once",
        SharedScenario(
            {
                "A": _READER_ONCE,
                "B": Process({"writer 1": [Writes("set")]}),
                "C": Process({"writer 2": [Writes("set", fails=True)]}),
            }
        ),
    ),
    "unequal-fences": SharedNamed(
        "two writers whose fences stand for different times; the one with the short one is killed",
        SharedScenario(
            {
                "A": _READER_ONCE,
                "B": Process({"writer 1": [Writes("set")]}),
                "C": Process({"writer 2": [Writes("set")]}, fence=2.0),
            },
            # Before the other one is renewed.
            {"fate": [Kills("C"), Lapses(3)]},
        ),
    ),
    "repeated-end": SharedNamed(
        "a reader, and two writers; the end of one is carried out once more",
        SharedScenario(
            {
                "A": _READER_ONCE,
                "B": Process({"writer 1": [Writes("set")]}),
                "C": Process({"writer 2": [Writes("set")]}),
            },
            {"network": [RepeatsEnd("writer 2")]},
        ),
    ),
    "renewed-fence": SharedNamed(
        "a write that takes longer than its fence stands without being renewed",
        # Not strict: if a method returns while its fence is being renewed, the keeper ends the
        # write, a moment before its own end.
        SharedScenario(
            {"A": _READER_ONCE, "B": _WRITER}, {"time": [Lapses(6), Lapses(6)]}, strict=False
        ),
    ),
    "lost-generation": SharedNamed(
        "a reader and a writer; a generation is lost",
        SharedScenario(
            {"A": _READER, "B": _WRITER},
            {"memory": [Loses(b"p:g:")]},
        ),
    ),
    "lost-reply": SharedNamed(
        "a reader that gets no reply, and may ask again; and one in another process that writes",
        SharedScenario(
            {
                "A": _READER_ONCE,
                "B": Process({"user": [Reads("get"), Writes("set"), Reads("get")]}),
            },
            {"network": [LosesReply("reader")]},
        ),
    ),
    "lost-start": SharedNamed(
        "a reader and a writer, who gets no reply and tells it again",
        SharedScenario({"A": _READER_ONCE, "B": _WRITER}, {"network": [LosesReply("writer")] * 2}),
    ),
    "one-argument": SharedNamed(
        "a rule that matches on an argument, and a write of the whole method in another process",
        SharedScenario(
            {
                "A": Process({"reader": _ONCE}, _BY_RULE),
                "B": Process({"writer 1": [Writes("set")]}, _BY_RULE),
                "C": Process({"writer 2": [Writes("reset")]}, {"reset": ["get"]}),
            }
        ),
    ),
    "unknown-rule": SharedNamed(
        "a rule that the reader's process has not declared; its writer is killed",
        SharedScenario(
            {
                "A": Process({"reader": _TWICE}, {}),
                "B": Process({"writer": [Writes("set")]}, _BY_RULE),
            },
            {"killer": [Kills("B")], "time": [Lapses(10)]},
        ),
    ),
    "unknown-rule-lost": SharedNamed(
        "the same, and the method's generation is lost at any moment",
        SharedScenario(
            {
                "A": Process({"reader": _TWICE}, {}),
                "B": Process({"writer": [Writes("set")]}, _BY_RULE),
            },
            {
                "killer": [Kills("B")],
                "time": [Lapses(10)],
                "memory": [Loses(b"p:g:{o:get:0}")],
            },
        ),
    ),
    "failover": SharedNamed(
        "a reader and a writer; a replica is promoted that has not got everything",
        # A fence that is lost with it protects nobody: that takes durability.
        SharedScenario(
            {"A": _READER, "B": _WRITER}, {"replica": [Copies(), FailsOver()]}, strict=False
        ),
    ),
    "outage": SharedNamed(
        "a process that reads and writes, and cannot reach the server for a while",
        # Others cannot know of what it has not delivered.
        SharedScenario(
            {"A": Process({"reader": _TWICE, "writer": [Writes("set")]})},
            {"network": [Cuts("A"), Reaches("A")]},
            strict=False,
        ),
    ),
    "refusal": SharedNamed(
        "the same with a second process, and a write that is refused where nobody can be told",
        SharedScenario(
            {
                "A": _READER,
                "B": Process({"writer": [Writes("set")]}, refuses=True),
            },
            {"network": [Cuts("B"), Reaches("B")], "time": [Lapses(10)]},
            strict=False,
        ),
    ),
    "killed-reader": SharedNamed(
        "two readers that want one load, whose process is killed at any moment: nobody hangs",
        SharedScenario({"A": Process({"reader 1": _ONCE}), "B": _READER}, {"killer": [Kills("A")]}),
    ),
    "forget": SharedNamed(
        "a call is forgotten by hand in another process",
        SharedScenario(
            {
                "A": Process({"reader 1": _ONCE, "reader 2": _ONCE}),
                "B": Process({"user": [Forgets("get")]}),
            }
        ),
    ),
    "forget-slowly": SharedNamed(
        "the same, and replies take their time",
        SharedScenario(
            {
                "A": Process({"reader 1": _ONCE, "reader 2": _ONCE}),
                "B": Process({"user": [Forgets("get")]}),
            },
            slow=True,
        ),
    ),
    "forget-all": SharedNamed(
        "a method is forgotten by hand in another process",
        SharedScenario(
            {
                "A": Process({"reader 1": _ONCE, "reader 2": _ONCE}),
                "B": Process({"user": [ForgetsAll("get")]}),
            }
        ),
    ),
    "put": SharedNamed(
        "a value is put by hand in another process, and is lost",
        SharedScenario(
            {
                "A": Process({"reader 1": _ONCE, "reader 2": _ONCE}),
                "B": Process({"user": [Puts("get")]}),
            },
            {"memory": [Loses(b"p:e:")]},
        ),
    ),
    "put-and-write": SharedNamed(
        "a value is put by hand, and a writer in another process",
        SharedScenario({"A": _READER_ONCE, "B": Process({"user": [Puts("get")]}), "C": _WRITER}),
    ),
    "two-by-two": SharedNamed(
        "two readers with two reads each in two processes, and a writer",
        SharedScenario(
            {
                "A": Process({"reader 1": _TWICE}),
                "B": Process({"reader 2": _TWICE}),
                "C": _WRITER,
            }
        ),
    ),
    "three-writers": SharedNamed(
        "a reader with two reads, and writers of three processes, one of which is killed",
        SharedScenario(
            {
                "A": _READER,
                "B": Process({"writer 1": [Writes("set")]}),
                "C": Process({"writer 2": [Writes("set", fails=True)]}),
                "D": Process({"writer 3": [Writes("set")]}, fence=4.0),
            },
            {"killer": [Kills("D")], "time": [Lapses(5)], "network": [RepeatsEnd("writer 2")]},
        ),
    ),
    "local": SharedNamed(
        "a process that keeps entries of its own, too, and a writer in another one",
        SharedScenario(
            {"A": Process({"reader": _TWICE}, local=True), "B": _WRITER},
            strict=False,
        ),
    ),
    "local-writer": SharedNamed(
        "a process that keeps entries of its own, reads and writes; replies take their time",
        SharedScenario(
            {
                "A": Process(
                    {"reader": _ONCE, "user": [Writes("set"), Reads("get"), Reads("get")]},
                    local=True,
                )
            },
            strict=False,
            slow=True,
        ),
    ),
    "local-forgotten": SharedNamed(
        "a process that keeps entries of its own, and another in which a method is forgotten",
        SharedScenario(
            {
                "A": Process({"reader": _TWICE}, local=True),
                "B": Process({"user": [ForgetsAll("get")]}),
            },
            strict=False,
        ),
    ),
    "refresh": SharedNamed(
        "a load that is wanted in any case, and a writer in another process",
        SharedScenario(
            {"A": _READER_ONCE, "B": Process({"user": [Refreshes("get")]}), "C": _WRITER}
        ),
    ),
}
