"""`python -m benchmarks`: runs all or some, prints the tables, and keeps them in docs/.

How anything is measured is the business of the module that measures it.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pussycache
from benchmarks import page, ratios
from benchmarks.measure import Figure, amount, table

NAMES = ("hit", "miss", "memory", "write", "threads", "pauses", "fresh", "imports", "beside")
PEERS = ("async-lru", "cachebox", "cachetools")
ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
RATIOS = RESULTS / "hit-ratios.json"
# Of the traces that all libraries are asked for: the slowest takes 10 us for each access.
MOST_ACCESSES = 500_000
PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = (
    "<!-- figures: written by `python -m benchmarks --write` -->",
    "<!-- end of figures -->",
)


def main() -> int:
    """Do what the command line says; 1 if a ratio is over and that was asked about."""
    options = _options()
    if options.render:
        _render()
        return 0
    if options.traces:
        _measure_ratios(options)
    results = []
    for python in options.python or [None]:
        result = _here(options) if python is None else _elsewhere(python, options)
        results.append(result)
        if options.write:
            # At once: what comes after it may fail.
            _keep(result)
    if options.json:
        print(json.dumps(results if options.python else results[0], indent=1))
    else:
        for result in results:
            print(f"\n{page.title(result)}: {_with(result)}\n")
            print(table(_figures(result)))
            if "beside" in result:
                print(f"\n{_beside(result)}")
    if options.write:
        _render()
    over = [figure for result in results for figure in _figures(result) if not figure.ok]
    return 1 if options.check and over else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", metavar="NAMES", help=f"some of {','.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work: do they run?")
    parser.add_argument("--json", action="store_true", help="print JSON, no table")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a figure is over")
    parser.add_argument("--write", action="store_true", help="keep it, and renew the page's tables")
    parser.add_argument("--render", action="store_true", help="renew them from what was kept")
    parser.add_argument("--traces", type=Path, help="hit ratios, too, on the traces in this folder")
    parser.add_argument(
        "--python", action="append", metavar="EXE", help="run under this one; may be repeated"
    )
    options = parser.parse_args()
    options.names = options.only.split(",") if options.only else NAMES
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"--only: there is no {', '.join(sorted(unknown))}")
    if options.write and (options.only or options.quick):
        parser.error("--write keeps whole runs: leave out --only and --quick")
    return options


# Running.


def _here(options: argparse.Namespace) -> dict[str, Any]:
    figures = []
    beside = {}
    began = time.perf_counter()
    for i, name in enumerate(options.names, 1):
        _progress(f"[{i}/{len(options.names)}] {name} ...")
        module = importlib.import_module(f"benchmarks.{name}")
        start = time.perf_counter()
        if name == "beside":
            beside = {"beside": module.measured(10 if options.quick else 1, _progress)}
            _progress(f" {time.perf_counter() - start:.0f} s\n")
            continue
        figures += [
            asdict(figure) | {"verdict": figure.verdict}
            for figure in module.figures(10 if options.quick else 1)
        ]
        _progress(f" {time.perf_counter() - start:.0f} s\n")
    _progress(f"all: {time.perf_counter() - began:.0f} s\n")
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "extension": "pussycache._speed" in sys.modules,
        "date": _today(),
        "commit": _commit(),
        "cpu": _cpu(),
        "system": f"{platform.system()} {platform.machine()}",
        "peers": {name: importlib.metadata.version(name) for name in PEERS},
        "figures": figures,
        **beside,
    }


def _elsewhere(python: str, options: argparse.Namespace) -> dict[str, Any]:
    command = [python, "-m", "benchmarks", "--json", "--only", ",".join(options.names)]
    if options.quick:
        command.append("--quick")
    _progress(f"{python}\n")
    # Where the caller's PYTHONPATH is relative, it is meant from where the caller is.
    paths = [str(Path(p).absolute()) for p in os.environ.get("PYTHONPATH", "").split(":") if p]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def _measure_ratios(options: argparse.Namespace) -> None:
    most = MOST_ACCESSES // 10 if options.quick else MOST_ACCESSES
    _progress("hit ratios:")
    points = ratios.measured(options.traces, most, _progress)
    _progress("\n")
    if options.write:
        RESULTS.mkdir(exist_ok=True)
        peers = {name: importlib.metadata.version(name) for name in ratios.LIBRARIES}
        kept = {"date": _today(), "commit": _commit(), "peers": peers, "points": points}
        RATIOS.write_text(json.dumps(kept, indent=1) + "\n")


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _progress(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)


def _commit() -> str:
    # Of the sources that are measured, which need not be the ones beside this file.
    where = Path(pussycache.__file__).parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=where, capture_output=True, text=True
        )
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} CPUs"


# Showing and keeping.


def _figures(result: dict[str, Any]) -> list[Figure]:
    return [
        Figure(**{key: value for key, value in figure.items() if key != "verdict"})
        for figure in result["figures"]
    ]


def _beside(result: dict[str, Any]) -> str:
    values = result["beside"]["values"]
    return "\n".join(
        f"{name}: " + ", ".join(f"{peer} {amount(value, '')}" for peer, value in row.items())
        for name, row in values.items()
    )


def _with(result: dict[str, Any]) -> str:
    peers = ", ".join(f"{name} {version}" for name, version in result["peers"].items())
    return f"{result['date']}, {result['cpu']} ({result['system']}), {result['commit']}; {peers}"


def _short(result: dict[str, Any]) -> str:
    minor = ".".join(result["python"].split(".")[:2])
    return f"{minor} with C" if result["extension"] else minor


def _keep(result: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    name = f"{result['implementation']}-{_short(result)}".lower().replace(" ", "-")
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")


def _render() -> None:
    """Write the pages' tables from the runs that are kept."""
    results = [json.loads(path.read_text()) for path in RESULTS.glob("*.json") if path != RATIOS]
    results.sort(
        key=lambda r: (
            r["extension"],
            r["implementation"],
            [int(n) for n in r["python"].split(".")[:2]],
        )
    )
    before, begin, rest = PAGE.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{PAGE} has lost its markers: {BEGIN} and {END}")
    PAGE.write_text(f"{before}{BEGIN}\n\n{_markdown(results)}\n\n{END}{after}")
    hit_ratios = json.loads(RATIOS.read_text()) if RATIOS.exists() else None
    for path in (PAGE, *page.render(results, hit_ratios)):
        _progress(f"renewed {path.relative_to(ROOT)}\n")


def _markdown(results: list[dict[str, Any]]) -> str:
    columns = {_short(result): _figures(result) for result in results}
    # A run that was kept before there was a figure has none.
    bounds = {f.name: f.cells()[4] for figures in columns.values() for f in figures}
    shown = {
        (title, f.name): f.shown if f.ok else f"**{f.shown}** over"
        for title, figures in columns.items()
        for f in figures
    }
    lines = _rows(
        ["", "at most", *columns],
        [
            [name, bound, *[shown.get((title, name), "-") for title in columns]]
            for name, bound in bounds.items()
        ],
    )
    over = [
        f"- {title}: "
        + "; ".join(f"{f.name}, {f.shown} of {f.cells()[4]}" for f in figures if not f.ok)
        for title, figures in columns.items()
        if not all(f.ok for f in figures)
    ]
    lines += [
        "",
        "Over the figure:" if over else "No figure is over.",
        *([""] if over else []),
        *over,
    ]
    for result in results:
        lines += ["", f"### {page.title(result)}", "", f"{_with(result)}.", ""]
        lines += _rows(
            ["", "ours", "theirs", "ratio", "at most", ""],
            [figure.cells() for figure in _figures(result)],
        )
        notes = [f"{figure.name}: {figure.note}." for figure in _figures(result) if figure.note]
        lines += [""] * bool(notes) + notes
    return "\n".join(lines)


def _rows(headings: list[str], rows: list[list[str]]) -> list[str]:
    rule = ["---"] + ["--:"] * (len(headings) - 1)
    return ["| " + " | ".join(row) + " |" for row in [headings, rule, *rows]]


if __name__ == "__main__":
    sys.exit(main())
