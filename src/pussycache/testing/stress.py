"""The command ``python -m pussycache.testing.stress``: a versioned register under load, judged.

Whose threads and tasks do what is crowd.py's, and several processes are fleet.py's.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pussycache.errors import PussyCacheError
from pussycache.testing.crowd import Report, run

__all__ = ["Report", "main", "run"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0 if no answer was stale, else 1; 2: it cannot run."""
    parser = argparse.ArgumentParser(
        prog="python -m pussycache.testing.stress",
        description="Reads and writes a versioned register through the cache, in threads and in "
        "tasks, and counts the answers that are older than the last write that had ended when they "
        "were asked for. The exit code is 0 if there are none, 1 if there are some, and 2 if it "
        "could not run.",
    )
    positive, whole = _number(float, above=0), _number(int, above=-1)
    parser.add_argument("--seconds", type=positive, default=5.0, help="how long (default 5)")
    parser.add_argument("--threads", type=whole, default=4, help="how many threads (default 4)")
    parser.add_argument("--tasks", type=whole, default=8, help="how many tasks (default 8)")
    parser.add_argument(
        "--keys", type=_number(int, above=0), default=16, help="how many keys (default 16)"
    )
    parser.add_argument(
        "--processes",
        type=_number(int, above=0),
        help="how many processes share the cache at --url (default 2); each has so many threads "
        "and tasks",
    )
    parser.add_argument("--url", help="of a Redis or Valkey server, as RedisCache takes it")
    parser.add_argument(
        "--kill", action="store_true", help="kill a process now and then, and start another"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, for machines")
    said = parser.parse_args(argv)
    if not said.threads + said.tasks:
        parser.error("--threads and --tasks are both 0: nobody would read; give one of them")
    if said.url is None and (said.processes or said.kill):
        parser.error("--processes and --kill need --url: processes share no memory")
    report: Any
    try:
        if said.url is None:
            report = run(said.seconds, said.threads, said.tasks, said.keys)
        else:
            from pussycache.testing import fleet

            report = fleet.run(
                said.url,
                said.processes or 2,
                said.seconds,
                said.threads,
                said.tasks,
                said.keys,
                kill=said.kill,
            )
    except KeyboardInterrupt:
        return 130
    except (ImportError, PussyCacheError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    if said.json:
        print(json.dumps(asdict(report)))
    else:
        names = ["reads", "writes", "loads", "stale"]
        names += [] if said.url is None else ["killed", "unsettled"]
        for name in names:
            print(f"{name:9}{getattr(report, name):11}")
        for story in report.stories:
            print(story)
        if report.stuck:
            print(f"{report.stuck} of the threads did not come back")
    return 0 if report.ok else 1


def _number(kind: Any, above: float) -> Any:
    def number(text: str) -> Any:
        value = kind(text)
        if not above < value < float("inf"):
            raise ValueError(text)
        return value

    number.__name__ = "number"
    return number


if __name__ == "__main__":
    sys.exit(main())
