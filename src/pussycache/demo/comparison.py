"""`run`: asks with and without the wrapper, writes, and returns what it found as a `Report`.

Nothing is printed here; `cli` does that.
"""

from __future__ import annotations

import platform
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from pussycache.declare.rules import Forget
from pussycache.demo.library import Library
from pussycache.demo.questions import (
    ADDED,
    CHANGING,
    PACKAGES,
    REWRITTEN,
    Question,
    questions_for,
    session,
)
from pussycache.operations import explain, info
from pussycache.proxy import wrap
from pussycache.stats import CacheInfo

__all__ = ["Changed", "NoSource", "Report", "Written", "copied", "remembering", "run"]


def remembering(library: Library) -> Library:
    """Return a library that remembers its answers, and forgets what a rewrite makes wrong."""
    return wrap(
        library,
        cached_methods=["outline", "who_defines", "who_imports"],
        invalidate_methods={
            # Of outlines, only the rewritten module's; the others' answers may come from any file.
            "rewrite": [Forget("outline", "module"), "who_defines", "who_imports"],
        },
    )


class NoSource(Exception):
    """This Python has no source of its standard library to ask about."""


class Changed(NamedTuple):
    """An answer that the write was to change: its length before and after, and if it is right."""

    question: Question
    before: int
    after: int
    right: bool


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did to the answers that were remembered."""

    method: str
    subject: str
    forgotten: tuple[Question, ...]
    kept: tuple[Question, ...]
    why: str
    changed: tuple[Changed, ...]
    wrong: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What the demo found."""

    python: str
    modules: int
    size: int
    asked: int
    different: int
    seconds_without: float
    seconds_with: float
    info: CacheInfo
    wrong: tuple[Question, ...]
    write: Written

    @property
    def ok(self) -> bool:
        """Whether every answer was right, before the write and after it."""
        return not self.wrong and not self.write.wrong


Tell = Callable[[str, int, int], None]
"""Is told what is being done, how many steps of it are done, and of how many."""


def run(
    *,
    stdlib: Path | None = None,
    wrapper: Callable[[Library], Library] = remembering,
    tell: Tell = lambda doing, done, of: None,
) -> Report:
    """Ask, ask again with the wrapper, write, and ask once more; all in a temporary copy.

    :param stdlib: the folder of the standard library's source; this Python's own by default.
    :param wrapper: returns the library wrapped.
    :raises NoSource: where the folder holds no source.
    """
    with tempfile.TemporaryDirectory(prefix="pussycache-demo-") as folder:
        copy = Path(folder)
        sizes = copied(stdlib, copy)
        bare = Library(copy)
        wrapped = wrapper(Library(copy))
        questions = questions_for(bare)
        asked = session(questions)
        answers, seconds_without = _timed(bare, asked, "asking without the wrapper", tell)
        again, seconds_with = _timed(wrapped, asked, "asking with the wrapper", tell)
        figures = info(wrapped)
        return Report(
            python=platform.python_version(),
            modules=len(sizes),
            size=sum(sizes),
            asked=len(asked),
            different=len(questions),
            seconds_without=seconds_without,
            seconds_with=seconds_with,
            info=figures,
            wrong=_unequal(asked, answers, again),
            write=_written(wrapped, questions, bare, tell),
        )


def copied(stdlib: Path | None, copy: Path) -> list[int]:
    """Copy a part of the standard library: its modules in Python, and some packages.

    :param stdlib: the folder of its source; this Python's own by default.
    :return: the sizes of the modules.
    :raises NoSource: where the folder holds no source.
    """
    if stdlib is None:
        stdlib = Path(sysconfig.get_path("stdlib"))
    if not (stdlib / f"{REWRITTEN}.py").is_file():
        raise NoSource(
            f"the source of Python's standard library is not in {stdlib} (it may be in a zip file, "
            "compiled, or in a package of its own); run the demo with a Python that has it"
        )
    found = [path for path in stdlib.glob("*.py") if path.stem in sys.stdlib_module_names]
    for package in PACKAGES:
        found += (stdlib / package).rglob("*.py")
    sizes = []
    for path in found:
        target = copy / path.relative_to(stdlib)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        sizes.append(target.stat().st_size)
    return sizes


def _timed(
    library: Library, asked: list[Question], doing: str, tell: Tell
) -> tuple[list[tuple[object, ...]], float]:
    answers = []
    start = perf_counter()
    for done, question in enumerate(asked):
        tell(doing, done, len(asked))
        answers.append(question.asked_of(library))
    return answers, perf_counter() - start


def _unequal(
    questions: list[Question],
    expected: list[tuple[object, ...]],
    answers: list[tuple[object, ...]],
) -> tuple[Question, ...]:
    pairs = zip(questions, expected, answers, strict=True)
    wrong = [question for question, one, other in pairs if one != other]
    return tuple(dict.fromkeys(wrong))


def _written(wrapped: Library, questions: list[Question], bare: Library, tell: Tell) -> Written:
    """Change a module through the wrapper, and compare every answer with a bare library's."""
    remembered = [question for question in questions if question.remembered_by(wrapped)]
    before = [question.asked_of(wrapped) for question in CHANGING]
    wrapped.rewrite(REWRITTEN, wrapped.source(REWRITTEN) + ADDED)
    kept = [question for question in remembered if question.remembered_by(wrapped)]
    why = explain(wrapped.outline, REWRITTEN)
    after, _ = _timed(wrapped, questions, "asking after the write", tell)
    expected, _ = _timed(bare, questions, "comparing with the files", tell)
    wrong = list(_unequal(questions, expected, after))
    answer_of = dict(zip(questions, after, strict=True))
    changed = []
    for question, old in zip(CHANGING, before, strict=True):
        new = answer_of[question]
        if new == old and question not in wrong:
            wrong.append(question)  # the write changes this answer: bare and wrapped are both wrong
        changed.append(Changed(question, len(old), len(new), question not in wrong))
    return Written(
        method="rewrite",
        subject=REWRITTEN,
        forgotten=tuple([question for question in remembered if question not in kept]),
        kept=tuple(kept),
        why=str(why),
        changed=tuple(changed),
        wrong=tuple(wrong),
    )
