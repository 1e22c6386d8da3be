"""What `import pussycache` costs an interpreter that did not have it, and what is put off by it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

if not __package__:
    # Run as a file: see __main__.py for the other way.
    sys.path[0] = str(Path(__file__).parents[1])

import pussycache
from benchmarks.measure import Figure, alone, best

IMPORT = "import pussycache"
CALL = f"""\
{IMPORT}
class Users:
    def get(self, user_id):
        return user_id
pussycache.wrap(Users(), cached_methods=["get"]).get(1)
"""
"""What is not imported at once, and yet needed by everybody, is paid for here."""

UNWANTED = {
    "ast",
    "asyncio",
    "concurrent",
    "dataclasses",
    "datetime",
    "dis",
    "django",
    "hiredis",
    "http",
    "inspect",
    "json",
    "logging",
    "msgspec",
    "multiprocessing",
    "pickle",
    "re",
    "redis",
    "socket",
    "ssl",
    "tokenize",
    "typing",
    "typing_extensions",
    "unittest",
    "urllib",
}
"""What nobody needs who wraps an object and uses a `MemoryCache`: the figure allows none."""


def figures(hurry: int = 1) -> list[Figure]:
    """Measure; in a hurry, with so many times fewer rounds."""
    with TemporaryDirectory() as compiled:
        return _figures(hurry, compiled)


def _figures(hurry: int, compiled: str) -> list[Figure]:
    # Also the warming up: from here on, everything is there in compiled form.
    empty, full = imported("pass", compiled), imported(CALL, compiled)
    extra = sorted(full - empty)
    unwanted = [name for name in extra if name.partition(".")[0] in UNWANTED]
    at = best(
        {
            "ours": lambda _: started(IMPORT, compiled),
            "called": lambda _: started(CALL, compiled),
            "empty": lambda _: started("pass", compiled),
        },
        calls=1,
        rounds=100 // hurry,
    )
    return [
        beyond("import pussycache, beyond an empty start", at["ours"], at["empty"], 30),
        beyond("the same, wrap and a first call", at["called"], at["empty"], 35),
        Figure(
            "modules imported that need not be",
            len(unwanted),
            0,
            "",
            len(unwanted),
            0,
            note=", ".join(unwanted) or f"none of the {len(extra)} that are imported",
        ),
    ]


def beyond(name: str, ours: float, empty: float, at_most: float) -> Figure:
    """Return the figure that says how many milliseconds more ours took."""
    return Figure(name, ours, empty, "ms", ours - empty, at_most, "ms")


def started(code: str, compiled: str) -> float:
    """Return how long an interpreter takes to start, run this and end, in milliseconds."""
    start = time.perf_counter()
    _interpreter(code, compiled)
    return (time.perf_counter() - start) * 1e3


def imported(code: str, compiled: str) -> set[str]:
    """Return the modules that an interpreter has after running this."""
    return set(_interpreter(f"{code}\nimport sys\nprint(*sys.modules)", compiled).split())


def _interpreter(code: str, compiled: str) -> str:
    # The sources may be somewhere that nobody has compiled them, or PYTHONDONTWRITEBYTECODE be set:
    # an installed package is compiled.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
    } | {
        "PYTHONPATH": str(Path(pussycache.__file__).parents[1]),
        "PYTHONPYCACHEPREFIX": compiled,
    }
    # -P: without the current directory, in which every import would be looked for first.
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


if __name__ == "__main__":
    alone(figures)
