"""The command ``python -m pussycache server``: what is in a shared cache, and forgetting it.

How it is counted is cache/shared/survey.py's.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, TextIO

from pussycache.engine.asking import carry
from pussycache.errors import PussyCacheError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pussycache.cache.shared.cleaning import Nodes
    from pussycache.cache.shared.survey import Line

__all__ = ["Store", "show_server", "store"]

_TIMEOUT = 2.0
"""Seconds to wait for the server."""


def show_server(
    url: str,
    prefix: str,
    *,
    as_json: bool = False,
    forget: str | None = None,
    sure: bool = False,
    ask: TextIO | None = None,
) -> int:
    """Print what is there, or forget a part of it; returns the exit code.

    :param forget: a namespace, or a namespace and a method with ``::`` in between.
    :param sure: whether to forget without asking.
    :param ask: where the answer comes from, by default the terminal.
    """
    try:
        with store(url, prefix) as shared:
            lines = shared.lines()
            if forget is None:
                print(json.dumps([asdict(line) for line in lines]) if as_json else _table(lines))
                return 0
            owner, _, method = forget.partition("::")
            mine = [ln for ln in lines if ln.owner == owner and method in ("", ln.method)]
            if not mine:
                return _failed(f"nothing is known of {forget!r}; the names are those of the table")
            if not (sure or _is_sure(mine, ask or sys.stdin)):
                return _failed("nothing was forgotten")
            count = shared.forget(owner, method or None)
            print(f"forgotten: {sum(ln.entries for ln in mine)} entries ({count} generations)")
            return 0
    except PussyCacheError as error:
        return _failed(str(error))
    except ImportError as error:
        return _failed(f'the package {error.name!r} is needed: pip install "pussycache[redis]"')


class Store:
    """What is in a shared cache; use it in a ``with`` block of `store`."""

    def __init__(self, nodes: Nodes, start: bytes) -> None:
        self._nodes = nodes
        self._start = start

    def lines(self) -> list[Line]:
        """Count what is there, by namespace and method.

        :raises BackendUnavailable: if the server does not answer.
        """
        from pussycache.cache.shared.survey import survey

        found: list[Line] = carry(survey(self._nodes, self._start))
        return found

    def forget(self, owner: str, method: str | None) -> int:
        """Forget a namespace, or a method of it; returns how many generations were replaced."""
        from pussycache.cache.shared.survey import forgotten

        count: int = carry(forgotten(self._nodes, self._start, owner, method))
        return count


@contextmanager
def store(url: str, prefix: str) -> Iterator[Store]:
    """Look into a shared cache for a block.

    :raises ConfigurationError: for a url that cannot be one.
    :raises ImportError: where a package is missing.
    """
    from pussycache.cache.shared.cleaning import Nodes
    from pussycache.cache.shared.places import readable
    from pussycache.cache.wire import Address, Server

    server = Server(Address.parse(url), timeout=_TIMEOUT)
    try:
        yield Store(Nodes(server), readable(prefix))
    finally:
        server.close()


def _is_sure(lines: Sequence[Line], answers: TextIO) -> bool:
    for line in lines:
        print(f"  {line.owner}::{line.method}: {line.entries} entries", file=sys.stderr)
    print("Forget these? Everybody who asks for one loads it anew. [y/N] ", end="", file=sys.stderr)
    sys.stderr.flush()
    return answers.readline().strip().lower() in ("y", "yes")


def _failed(why: str) -> int:
    print(f"python -m pussycache server: {why}", file=sys.stderr)
    return 1


def _table(lines: Sequence[Line]) -> str:
    if not lines:
        return "nothing is remembered under this prefix"
    headings = ["namespace", "method", "entries", "bytes", "generations", "writers"]
    rows = [
        [
            ln.owner,
            ln.method,
            f"{ln.entries:,}",
            f"{ln.size:,}",
            *map(str, (ln.generations, ln.writers)),
        ]
        for ln in lines
    ]
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    return "\n".join(
        "  ".join(
            [
                cell.ljust(width) if i < 2 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
        ).rstrip()
        for row in [headings, *rows]
    )
