"""The command ``python -m pussycache``: its arguments, and what it prints.

How the demo comes to its answers is `demo`'s; nothing is measured or judged here.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from textwrap import shorten, wrap
from time import monotonic
from typing import Any, Final, TextIO

from pussycache import demo

__all__ = ["main", "run_demo"]

INTERRUPTED: Final = 130  # what a shell reports of a program that Ctrl-C ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pussycache",
        description="Remember what slow methods returned, and never serve what a write has made "
        "wrong.",
    )
    commands = parser.add_subparsers(title="commands", metavar="command")
    said = commands.add_parser(
        "demo",
        help="ask this Python's standard library questions, with and without the wrapper",
        description="Answers questions about this Python's own standard library by parsing its "
        "source, with and without the wrapper; compares all answers, and the time they took; then "
        "changes a module, in a temporary copy, and shows what was forgotten. Takes some ten "
        "seconds. The exit code is 0 if every answer was right, else 1.",
    )
    said.add_argument("--json", action="store_true", help="print one JSON object, for machines")
    said.set_defaults(command=lambda arguments: run_demo(as_json=arguments.json))
    arguments = parser.parse_args(argv)
    if not hasattr(arguments, "command"):
        parser.print_help(sys.stderr)
        return 2
    try:
        code: int = arguments.command(arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read has left; Python would complain once more while closing the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def run_demo(*, as_json: bool, run: Callable[..., demo.Report] = demo.run) -> int:
    """Run the demo and print its report; 0 if every answer was right."""
    progress = Progress(sys.stderr)
    try:
        report = run(tell=progress)
    except demo.NoSource as error:
        print(f"python -m pussycache demo: {error}", file=sys.stderr)
        return 1
    finally:
        progress.clear()
    print(json.dumps(_fields(report)) if as_json else _text(report, Paint(sys.stdout)))
    return 0 if report.ok else 1


class Progress:
    """A line that says how far things are, overwritten again and again; on terminals only."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = stream.isatty()
        self._width = 0
        self._next = 0.0

    def __call__(self, doing: str, done: int, of: int) -> None:
        now = monotonic()
        if self._shown and now >= self._next:
            self._next = now + 0.1
            line = f"{doing}: {done} of {of}"
            self._write("\r" + line.ljust(self._width))
            self._width = len(line)

    def clear(self) -> None:
        """Leave an empty line."""
        if self._width:
            # A terminal may have added ^C.
            self._write("\r" + " " * (self._width + len("^C")) + "\r")
            self._width = 0

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class Paint:
    """Colours, where the stream is a terminal that wants them."""

    def __init__(self, stream: TextIO) -> None:
        environment = os.environ
        self._on = (
            stream.isatty()
            and not environment.get("NO_COLOR")
            and environment.get("TERM") != "dumb"
            # Elsewhere on Windows escape codes may be printed as they are.
            and (os.name != "nt" or "WT_SESSION" in environment)
        )

    def bold(self, text: str) -> str:
        return self._in("1", text)

    def verdict(self, text: str, good: bool) -> str:
        return self._in("32" if good else "1;31", text)

    def _in(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._on else text


def _fields(report: demo.Report) -> dict[str, Any]:
    write = report.write
    return {
        "python": report.python,
        "modules": report.modules,
        "bytes": report.size,
        "questions": report.asked,
        "different_questions": report.different,
        "seconds_without": round(report.seconds_without, 6),
        "seconds_with": round(report.seconds_with, 6),
        "speedup": round(_speedup(report), 2),
        "hits": report.info.hits,
        "misses": report.info.misses,
        "hit_ratio": round(report.info.hit_ratio, 4),
        "answers_equal": not report.wrong,
        "write": {
            "method": write.method,
            "module": write.subject,
            "forgotten": [str(question) for question in write.forgotten],
            "kept": [str(question) for question in write.kept],
            "new_answer_right": not write.wrong,
        },
    }


def _speedup(report: demo.Report) -> float:
    # A clock may be too coarse for a very small library.
    return report.seconds_without / max(report.seconds_with, 1e-9)


def _text(report: demo.Report, paint: Paint) -> str:
    write, info = report.write, report.info
    lines = [
        paint.bold(f"Questions about the standard library of Python {report.python}"),
        "",
        f"  {report.modules} modules, {report.size / 1e6:.1f} MB of source, parsed to answer",
        f"  {report.different} different questions, asked {report.asked} times",
        "",
        f"  {'':16}{'seconds':>8}{'hits':>7}{'misses':>8}",
        f"  {'without wrapper':16}{report.seconds_without:8.2f}{'-':>7}{'-':>8}",
        f"  {'with wrapper':16}{report.seconds_with:8.2f}{info.hits:7}{info.misses:8}",
        "",
        f"  {_speedup(report):.1f} times as fast; {info.hit_ratio:.0%} of the questions were "
        "answered from memory",
        "",
        paint.bold(f"A write: {write.method}({write.subject!r}, ...)"),
        "",
        *_counted("forgotten", write.forgotten),
        *_counted("kept", write.kept),
        *_labelled("why", wrap(shorten(write.why, 240, placeholder=" ..."), 74)),
        "",
        f"  {'length of the answer':28}{'before':>8}{'after':>7}",
    ]
    for question, before, after, right in write.changed:
        verdict = paint.verdict("right" if right else "WRONG", right)
        lines.append(f"  {question!s:28}{before:8}{after:7}  {verdict}")
    lines += ["", paint.verdict(f"every answer equal: {'yes' if report.ok else 'no'}", report.ok)]
    lines += [f"  wrong with the wrapper: {question}" for question in report.wrong]
    lines += [f"  wrong after the write: {question}" for question in write.wrong]
    return "\n".join(lines)


def _counted(label: str, questions: Sequence[demo.Question]) -> list[str]:
    """Say of each method how many answers there are; by name where there is one."""
    by_method: dict[str, list[demo.Question]] = {}
    for question in questions:
        by_method.setdefault(question.method, []).append(question)
    parts = [
        str(same[0]) if len(same) == 1 else f"{len(same)} answers of {method}"
        for method, same in by_method.items()
    ]
    return _labelled(label, parts or ["nothing"])


def _labelled(label: str, values: Sequence[str]) -> list[str]:
    """Put a label before the first of several lines."""
    return [
        f"  {label if first else '':11}{value}"
        for first, value in zip([True] + [False] * len(values), values, strict=False)
    ]
