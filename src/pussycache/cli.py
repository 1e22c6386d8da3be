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

TOKEN: Final = "PUSSYCACHE_TOKEN"
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
    said = commands.add_parser(
        "server",
        help="show what is in a shared cache, and forget a part of it",
        description="Shows what is in a Redis or Valkey server under a prefix, by namespace and "
        "method, without holding it up. With --forget, all that belongs to one of them is "
        "forgotten, as a write would.",
    )
    said.add_argument("--url", default="redis://localhost:6379/0", help="as RedisCache takes it")
    said.add_argument("--prefix", default="pussycache", help='default "pussycache"')
    said.add_argument("--json", action="store_true", help="print one JSON array, for machines")
    said.add_argument(
        "--forget", metavar="NAMESPACE[::METHOD]", help="forget this, as the table names it"
    )
    said.add_argument("--yes", action="store_true", help="forget without asking")
    said.set_defaults(command=_server)
    said = commands.add_parser(
        "advise",
        help="run a script with an object observed, and say what of it is worth caching",
        usage="python -m pussycache advise [-h] [--json] [--html PATH] FILE.py:NAME "
        "-- script [argument ...]",
        description="Runs a script with one object observed (or all objects of a class), and "
        "prints what is worth caching of its methods, for how long, and why. The exit code is the "
        "script's.",
    )
    said.add_argument("object", metavar="FILE.py:NAME", help="the file, and a name at its top")
    said.add_argument("--json", action="store_true", help="print one line of JSON, for machines")
    said.add_argument("--html", metavar="PATH", help="write the report as a page, too")
    said.set_defaults(command=_advise)
    said = commands.add_parser(
        "serve",
        help="serve the live page, with the demo at work behind it",
        description="Serves the page that pussycache.web.app makes, on this machine only unless "
        "--host says otherwise. Behind it the demo's questions are asked again and again. Ctrl-C "
        "ends it.",
    )
    said.add_argument("--host", default="127.0.0.1", help="where to listen; default 127.0.0.1")
    said.add_argument("--port", type=_port, default=8000, help="default 8000; 0 for any free one")
    said.add_argument(
        "--token",
        help="what one has to know to forget from the page; default: the environment's "
        f"{TOKEN}, which others on this machine do not see",
    )
    said.set_defaults(command=_serve)
    said = commands.add_parser(
        "top",
        help="show figures live in the terminal",
        description="Shows the figures of a process that serves the page, or what is in a shared "
        "cache, and goes on until Ctrl-C.",
    )
    said.add_argument(
        "url",
        metavar="URL",
        nargs="?",
        default="http://127.0.0.1:8000/",
        help="the page's address (default %(default)s), or a shared cache's, as RedisCache takes "
        "it",
    )
    said.add_argument("--prefix", default="pussycache", help='of the shared cache; "pussycache"')
    said.add_argument("--once", action="store_true", help="print one table, and end")
    said.set_defaults(command=_top)
    # Everything behind -- is the script's, also what looks like one of our options.
    given = list(sys.argv[1:] if argv is None else argv)
    at = given.index("--") if "--" in given else len(given)
    arguments = parser.parse_args(given[:at])
    arguments.script = given[at + 1 :]
    if arguments.script and getattr(arguments, "command", None) is not _advise:
        parser.error("only advise takes a script")
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


def _server(arguments: argparse.Namespace) -> int:
    from pussycache.see.server import show_server

    return show_server(
        arguments.url,
        arguments.prefix,
        as_json=arguments.json,
        forget=arguments.forget,
        sure=arguments.yes,
    )


def _serve(arguments: argparse.Namespace) -> int:
    from pussycache.demo.serving import serve

    token = os.environ.get(TOKEN) or None if arguments.token is None else arguments.token
    return serve(arguments.host, arguments.port, token)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is no port; give a number from 0 to 65535")
    return int(text)


def _top(arguments: argparse.Namespace) -> int:
    from pussycache.see.terminal import show_top

    return show_top(arguments.url, arguments.prefix, once=arguments.once)


def _advise(arguments: argparse.Namespace) -> int:
    from pussycache.see.script import advise_script

    return advise_script(
        arguments.object, arguments.script, as_json=arguments.json, html=arguments.html
    )


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
