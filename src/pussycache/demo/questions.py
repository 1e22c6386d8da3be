"""What the demo asks, how often and in which order, and what it writes.

The same for each run, so that two runs can be compared. Nothing is measured here.
"""

from __future__ import annotations

import random
from typing import Final, NamedTuple

from pussycache.demo.library import Library
from pussycache.operations import peek
from pussycache.types import MISSING

__all__ = ["ADDED", "CHANGING", "PACKAGES", "REWRITTEN", "Question", "questions_for", "session"]


class Question(NamedTuple):
    """One call of one method of a `Library`."""

    method: str
    subject: str

    def __str__(self) -> str:
        return f"{self.method}({self.subject!r})"

    def asked_of(self, library: Library) -> tuple[object, ...]:
        """Return a library's answer."""
        answer: tuple[object, ...] = getattr(library, self.method)(self.subject)
        return answer

    def remembered_by(self, library: Library) -> bool:
        """Tell whether the answer would come from memory."""
        return peek(getattr(library, self.method), self.subject) is not MISSING


PACKAGES: Final = (
    *("asyncio", "collections", "concurrent", "email", "http"),
    *("importlib", "json", "logging", "urllib"),
)
# Favourites first: the nearer to the front, the more often one is asked.
SUBJECTS: Final = {
    "outline": (
        *("textwrap", "json", "argparse", "dataclasses", "asyncio.tasks", "subprocess"),
        *("functools", "json.decoder", "shutil", "email.message", "http.client", "enum"),
        *("tempfile", "logging", "inspect", "tarfile", "asyncio.events", "configparser"),
        *("urllib.request", "ast", "heapq", "random", "csv", "typing"),
    ),
    "who_defines": (
        *("dumps", "urlopen", "run_until_complete", "getLogger"),
        *("HTTPError", "OrderedDict", "TemporaryDirectory", "create_connection"),
    ),
    "who_imports": (
        *("json", "heapq", "concurrent.futures", "dataclasses"),
        *("bisect", "asyncio.tasks", "textwrap", "tempfile"),
    ),
}
SEED: Final = 9  # any number would do; a fixed one makes two runs comparable

# What is written: it changes one answer of each method.
REWRITTEN: Final = "textwrap"
ADDED: Final = "\n\nimport json\n\n\ndef dumps(text):\n    return json.dumps(wrap(text))\n"
CHANGING: Final = (
    Question("outline", REWRITTEN),
    Question("who_defines", "dumps"),
    Question("who_imports", "json"),
)


def questions_for(library: Library) -> list[Question]:
    """Return the different questions that can be asked of this copy."""
    questions = []
    for method, subjects in SUBJECTS.items():
        for subject in subjects:
            if method == "outline":
                try:
                    library.source(subject)
                except LookupError:  # systems split the standard library into parts
                    continue
            questions.append(Question(method, subject))
    return questions


def session(questions: list[Question]) -> list[Question]:
    """Return them as a person asks: the favourites again and again, the others now and then."""
    asked = [
        question
        for question in questions
        for _ in range(2 + 8 // (1 + SUBJECTS[question.method].index(question.subject)))
    ]
    random.Random(SEED).shuffle(asked)
    return asked
