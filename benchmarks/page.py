"""The page docs/benchmarks/peers.md and its pictures, written from the runs that are kept.

What was measured, and how, is the business of beside.py and ratios.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.beside import MEASURES, THREADS
from benchmarks.measure import amount
from benchmarks.peers import ALL, OURS
from benchmarks.plots import Row, bars, lines

FOLDER = Path(__file__).parents[1] / "docs" / "benchmarks"
PICTURES = {
    "hit": ("hit", "ahit"),
    "miss": ("evict", "aevict"),
    "write": ("write",),
    "memory": ("memory",),
    "import": ("import",),
}
"""Which measures are shown in which picture of bars."""

TABLES = (
    ("hit", "miss", "evict", "write"),
    ("ahit", "amiss", "aevict"),
    ("memory", "import"),
    tuple(f"threads {number}" for number in THREADS),
)
COLUMNS = {
    "hit": "hit",
    "miss": "miss",
    "evict": "miss that evicts",
    "write": "made wrong, asked again",
    "ahit": "hit, awaited",
    "amiss": "miss, awaited",
    "aevict": "miss that evicts, awaited",
    "memory": "bytes an entry",
    "import": "import",
    **{f"threads {n}": f"{n} thread{'s' * (n > 1)}" for n in THREADS},
}

HEAD = """\
# Beside other libraries

<!-- Written by `python -m benchmarks --write`: change benchmarks/page.py instead. -->

:::{admonition} When you want this
You choose between caching libraries, and ask what each of them costs, and where one is ahead.
:::

Every library is used as its own documentation does, with a ttl of 300 seconds where it has one,
and caches what a method of one argument returns. They were measured in turns in one run; the best
turn of each counts. A dash says that the library has no such thing, and nothing else.

What the figures do not say is what is done for them. A proxy of this library tells `1` from `True`,
lets one caller load for all that ask for the same, stores nothing that a write has overtaken, and
counts. `functools.lru_cache` has no ttl, and of these it only counts. A cache on disk outlives its
process.

"""

# A table's row is one line.
MEANINGS = """\
| figure | what is called |
| --- | --- |
| hit | the same argument, again and again |
| miss | a new argument each time, in a cache with room for all |
| miss that evicts | the same in a full cache with room for 1,000 |
| made wrong, asked again | one entry is invalidated, and its argument asked for; with this \
library by a method that a rule names |
| awaited | the same with a coroutine method, in one task |
| bytes an entry | what the process takes more for each of 100,000 entries, with an int as \
argument and as value: the resident memory, so that what is kept outside of Python counts |
| import | the processor time that an import adds to an empty start of the interpreter |
| threads | hits a second, all threads together |
"""


def render(results: Sequence[dict[str, Any]], ratios: dict[str, Any] | None) -> list[Path]:
    """Write the page from the runs that have such figures; returns what was written."""
    some = [result for result in results if "beside" in result]
    if not some:
        return []
    FOLDER.mkdir(exist_ok=True)
    shown = max(some, key=lambda r: (r["extension"], [int(n) for n in r["python"].split(".")]))
    written = [_save(f"{name}.svg", text) for name, text in _pictures(shown).items()]
    parts = [HEAD, _libraries(some), _ahead(shown), _pictured(shown), MEANINGS]
    if ratios is not None:
        written.append(_save("ratios.svg", _ratios_picture(ratios)))
        parts.append(_ratios(ratios))
    parts += [_tables(result) for result in some]
    return [*written, _save("peers.md", "\n".join(part.rstrip() + "\n" for part in parts))]


def _save(name: str, text: str) -> Path:
    path = FOLDER / name
    path.write_text(text)
    return path


def title(result: dict[str, Any]) -> str:
    """Return which interpreter a run was of, in words."""
    python = f"{result['implementation']} {result['python']}"
    return f"{python}, with the C extension" if result["extension"] else python


def _origin(result: dict[str, Any]) -> str:
    where = f"{result['cpu']} ({result['system']})"
    return f"{result['date']}, {where}, pussycache {result['commit']}"


def _libraries(results: Iterable[dict[str, Any]]) -> str:
    results = list(results)
    versions = {name: v for r in results for name, v in r["beside"]["versions"].items()}
    rows = [
        [peer.name, "the one measured" if peer is OURS else versions[peer.name], peer.idiom]
        for peer in ALL
        if peer.name in versions
    ]
    missing = [
        f"Not measured on {title(r)}: {', '.join(r['beside']['missing'])}."
        for r in results
        if r["beside"]["missing"]
    ]
    return "\n".join([*_rows(["library", "version", "as used"], rows), "", *missing])


def _ahead(result: dict[str, Any]) -> str:
    lines = [f"## Where others are ahead\n\nOn {title(result)}:\n"]
    for name, values in result["beside"]["values"].items():
        if OURS.name not in values:
            continue
        more = name.startswith("threads")
        ours = values[OURS.name]
        better = [
            f"{other} {_shown(name, value)}"
            for other, value in sorted(values.items(), key=lambda one: one[1], reverse=more)
            if (value > ours if more else value < ours)
        ]
        if better:
            lines.append(
                f"- {MEASURES[name][0]}: {', '.join(better)}; pussycache {_shown(name, ours)}"
            )
    return "\n".join([*lines, ""])


def _pictured(result: dict[str, Any]) -> str:
    names = [*PICTURES, "threads"]
    return "\n".join(
        [
            "## In pictures",
            "",
            f"{title(result)}; {_origin(result)}. But for memory, each step to the right, or "
            "upwards, is a multiple.",
            "",
            *[f"![{_alt(name)}]({name}.svg)\n" for name in names],
            "## What is measured",
            "",
        ]
    )


def _alt(name: str) -> str:
    measures = PICTURES.get(name, ("threads 8",))
    return "; ".join(MEASURES[measure][0] for measure in measures)


def _pictures(result: dict[str, Any]) -> dict[str, str]:
    values = result["beside"]["values"]
    pictures = {
        picture: bars(
            [
                (f"{MEASURES[measure][0]}: less is better", _sorted(measure, values[measure]))
                for measure in measures
                if values[measure]
            ],
            OURS.name,
            log=picture != "memory",
        )
        for picture, measures in PICTURES.items()
        if any(values[measure] for measure in measures)
    }
    threads = {
        peer.name: {n: values[f"threads {n}"][peer.name] for n in THREADS}
        for peer in ALL
        if peer.name in values["threads 1"]
    }
    pictures["threads"] = lines(
        "hits a second, by the number of threads: more is better", threads, OURS.name
    )
    return pictures


def _sorted(measure: str, values: dict[str, float]) -> list[Row]:
    # What cannot be told from nothing has no bar on a scale of multiples.
    some = [(name, value) for name, value in values.items() if value >= 0.05]
    return [(name, value, _shown(measure, value)) for name, value in sorted(some, key=_second)]


def _second(one: tuple[str, float]) -> float:
    return one[1]


def _shown(measure: str, value: float) -> str:
    unit = MEASURES[measure][1]
    if unit == "ns" and value >= 10_000:
        return amount(value / 1e3, "us")
    if unit == "/s":
        return f"{value / 1e6:.3g} M/s"
    if unit == "ms":
        return f"{value:.1f} ms"
    return amount(value, unit)


def _tables(result: dict[str, Any]) -> str:
    values = result["beside"]["values"]
    parts = [f"## {title(result)}", "", f"{_origin(result)}.", ""]
    for measures in TABLES:
        rows = [
            [
                peer.name,
                *[
                    _shown(m, values[m][peer.name]) if peer.name in values[m] else "-"
                    for m in measures
                ],
            ]
            for peer in ALL
            if any(peer.name in values[measure] for measure in measures)
        ]
        parts += [*_rows(["", *[COLUMNS[measure] for measure in measures]], rows), ""]
    return "\n".join(parts)


# Hit ratios.


def _means(ratios: dict[str, Any]) -> dict[str, float]:
    points = ratios["points"]
    names = list(points[0]["ratios"])
    return {
        name: fmean(point["ratios"][name] / point["ratios"]["OPT"] for point in points)
        for name in names
    }


def _ratios_picture(ratios: dict[str, Any]) -> str:
    rows = [
        (name, value, f"{value:.3f}")
        for name, value in sorted(_means(ratios).items(), key=lambda one: -one[1])
    ]
    return bars(
        [("hits, as a share of what is possible: more is better", rows)], OURS.name, log=False
    )


def _ratios(ratios: dict[str, Any]) -> str:
    points = ratios["points"]
    names = list(points[0]["ratios"])
    rows = [
        [
            point["trace"],
            f"{point['capacity']:,}",
            *[f"{100 * point['ratios'][name]:.1f}" for name in names],
        ]
        for point in points
    ]
    means = _means(ratios)
    peers = ", ".join(f"{name} {version}" for name, version in ratios["peers"].items())
    better = [
        f"{name} ({sum(p['ratios'][name] > p['ratios'][OURS.name] + 1e-4 for p in points)} of "
        f"{len(points)})"
        for name in names
        if name not in (OURS.name, "OPT")
    ]
    return "\n".join(
        [
            "## Hit ratios",
            "",
            "How many calls of a real trace are answered from the cache, in percent, by the number "
            "of entries that there is room for. OPT is what is possible for one that knows the "
            "future. It, LRU and Caffeine were measured elsewhere, on the same traces: they are "
            "not part of the repository, and `--traces` says where they are. "
            f"{ratios['date']}, pussycache {ratios['commit']}; {peers}.",
            "",
            "![hits, as a share of what is possible](ratios.svg)",
            "",
            f"Who has more hits than this library, and at how many points: {', '.join(better)}.",
            "",
            *_rows(["trace", "room", *names], rows),
            "",
            "The mean of hits as a share of OPT's: "
            + ", ".join(f"{name} {means[name]:.3f}" for name in names if name != "OPT")
            + ".",
            "",
        ]
    )


def _rows(headings: list[str], rows: list[list[str]]) -> list[str]:
    rule = ["---"] + ["--:"] * (len(headings) - 1)
    if headings[-1] == "as used":
        rule = ["---"] * len(headings)
    return ["| " + " | ".join(row) + " |" for row in [headings, rule, *rows]]
