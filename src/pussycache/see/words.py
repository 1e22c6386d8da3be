"""The advisor's figures in words, for people, and as JSON, for programs.

Nothing is worked out here.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from pussycache.see.ages import TTLS

if TYPE_CHECKING:
    from pussycache.see.changes import Suspect
    from pussycache.see.figures import Figures, MethodReport

__all__ = ["as_json", "duration", "percent", "reasons", "shown", "size", "text"]


def shown(name: str) -> str:
    """Return a name so that it stays on its line, whatever is in it."""
    return name if name.isidentifier() else repr(name)


def percent(share: float) -> str:
    """Return a share as people say it; not 0 or 100 for what is only nearly that."""
    whole = 100 * share
    if 0 < whole < 1:
        return "under 1 %"
    if 99 < whole < 100:
        return f"{math.floor(whole * 10) / 10:.1f} %"
    return f"{whole:.0f} %"


def duration(seconds: float) -> str:
    """Return a time with its unit."""
    for unit, name in ((86400, "days"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms")):
        # Not 1e+03 of the next smaller one.
        if seconds >= unit * (2 if unit > 1 else 0.9995):
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds * 1e6:.3g} µs"


def size(count: float | None) -> str:
    """Return a number of bytes with its unit."""
    if count is None:
        return "?"
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count:.0f} B"


def reasons(report: Figures, method: MethodReport) -> str:
    """Return what is advised of one method, and why."""
    if not method.calls:
        return "was not called."
    if method.advice == "too few calls":
        return f"too few calls to say ({_times(method.calls)})."
    if method.advice == "cannot":
        return _cannot(method)
    if method.advice == "writes":
        return _writes(report, method)
    parts = [
        f"{percent(method.repeated)} of {method.calls:,} calls repeated an earlier one, each takes "
        f"{duration(method.mean)}"
    ]
    if method.advice == "cache":
        parts.append(_answered(method))
        parts.append(_changes(method))
        lead = "cache it"
    elif method.advice == "unknown":
        parts.append("whether its results change could not be seen, for they cannot be compared")
        lead = "decide yourself"
    else:
        lead = "leave it"
        if method.changed and method.unexplained:
            parts.append(_changes(method))
        else:
            parts.append("a cache would save next to nothing")
    return f"{lead}: " + "; ".join(parts) + "."


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} calls"


def _answered(method: MethodReport) -> str:
    assert method.entries is not None
    lived = "" if method.ttl is None else f" that live {duration(method.ttl)}"
    hits = method.hit_ratio(method.entries, method.ttl) * (1.0 - method.invalidated)
    error = method.error(method.entries)
    doubt = "" if method.exact else f" (give or take {max(0.1, 100 * error):.1f}: a sample)"
    return (
        f"an LRU cache of {method.entries:,} entries{lived} would have answered "
        f"{percent(hits)}{doubt} and saved {duration(max(0.0, method.seconds_saved))}"
    )


def _changes(method: MethodReport) -> str:
    if not method.changed:
        over = duration(method.watched)
        return f"no result had changed in {method.compared:,} comparisons, in {over} of watching"
    said = f"results had changed in {method.changed:,} of {method.compared:,} comparisons"
    if method.change_after is not None and method.change_after > 0:
        said += f", half of them within {duration(method.change_after)}"
    parts = [said, *[f"after {_after(suspect)}: invalidate" for suspect in method.suspects]]
    if method.suspects and method.unexplained:
        parts.append(f"{percent(method.unexplained)} of the changes came without: only time helps")
    elif not method.suspects:
        parts.append("no method explains it: only time helps")
    return "; ".join(parts)


def _after(suspect: Suspect) -> str:
    same = ""
    if suspect.same is not None:
        own, other = suspect.same
        same = f" with the same {own}" + ("" if own == other else f" as its {other}")
    return f"{shown(suspect.method)}(...){same} {suspect.before} of {suspect.changes} times"


def _cannot(method: MethodReport) -> str:
    if method.kind in ("generator", "asyncgen"):
        return (
            "not as it is: a generator, and what it returns can be read once; "
            "Cached(materialize=True) stores what it yields."
        )
    if method.unkeyable > method.calls / 2:
        return (
            f"not as it is: {method.unkeyable:,} of {method.calls:,} calls have arguments that "
            "cannot be part of a key; leave them out with Cached(ignore=...), or say what they "
            "stand for with Cached(key=...)."
        )
    if method.once:
        return (
            "not as it is: what it returns can be used once; if it is an iterator, "
            "Cached(materialize=True) stores what it yields."
        )
    return "no: it returns the object itself."


def _writes(report: Figures, method: MethodReport) -> str:
    changed = [
        f"{shown(other.name)} ({suspect.before} of {suspect.changes} times)"
        for other in report.values()
        for suspect in other.suspects
        if suspect.method == method.name
    ]
    if changed:
        return f"do not cache it: it came before changes of {', '.join(changed)}."
    return (
        "do not cache it: it returned None each time, so it is called for what it does and not "
        "for what it answers."
    )


def text(report: Figures, paste: str) -> str:
    """Return the report as people read it."""
    rows = [["method", "calls", "repeated", "a call", "a result", "changed", "advice"]]
    for method in report.called:
        few = method.advice == "too few calls"
        rows.append(
            [
                shown(method.name),
                f"{method.calls:,}",
                "?" if few or not method.looked else percent(method.repeated),
                duration(method.mean),
                size(method.size),
                f"{method.changed:,} of {method.compared:,}" if method.compared else "?",
                method.advice,
            ]
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        f"{report.label}, watched for {duration(report.watched)}: {report.calls:,} calls",
        "",
        *[_row(row, widths) for row in rows],
        "",
        *[f"{shown(method.name)}: {method.reasons}" for method in report.called],
        *notes(report),
        "",
        paste.rstrip(),
    ]
    return "\n".join(lines)


def _row(row: list[str], widths: list[int]) -> str:
    cells = [
        cell.ljust(width) if i in (0, len(row) - 1) else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return ("  " + "  ".join(cells)).rstrip()


def notes(report: Figures) -> list[str]:
    """Return what else has to be said."""
    found = []
    idle = [shown(method.name) for method in report.values() if not method.calls]
    if idle:
        found.append(f"Not called: {', '.join(idle)}.")
    sampled = [method for method in report.called if not method.exact]
    if sampled:
        found.append(
            "Of "
            + ", ".join(
                f"{shown(m.name)} {m.followed:,} of about {m.different:,} different calls"
                for m in sampled
            )
            + " were followed; the rest is taken to be like them."
        )
    if report.lost:
        found.append(f"{report.lost:,} calls could not be noted.")
    if any(method.advice == "cache" for method in report.values()):
        found.append(
            "Nobody can see from outside what else a method does: one that sends, counts or "
            "writes is not to be cached, however often it is called."
        )
    return found


def as_json(report: Figures, paste: str) -> str:
    """Return the report as programs read it."""
    return json.dumps(
        {
            "object": report.label,
            "watched_seconds": report.watched,
            "calls": report.calls,
            "lost": report.lost,
            "methods": {method.name: _fields(method) for method in report.called},
            "not_called": [method.name for method in report.values() if not method.calls],
            "notes": notes(report),
            "paste": paste,
        },
        allow_nan=False,
    )


def _fields(method: MethodReport) -> dict[str, Any]:
    ttls = [ttl for ttl in TTLS if ttl != math.inf]
    return {
        "kind": method.kind,
        "calls": method.calls,
        "failures": method.failures,
        "uncacheable": method.unkeyable,
        "repeated": method.repeated,
        "seconds": method.seconds,
        "mean_seconds": method.mean,
        "median_seconds": method.median,
        "result_bytes": method.size,
        "compared": method.compared,
        "changed": method.changed,
        "change_after_seconds": method.change_after,
        "suspects": [
            {
                "method": suspect.method,
                "before": suspect.before,
                "changes": suspect.changes,
                "otherwise": suspect.otherwise,
                "same": None if suspect.same is None else list(suspect.same),
            }
            for suspect in method.suspects
        ],
        "unexplained": method.unexplained,
        "invalidated": method.invalidated,
        "different": method.different,
        "followed": method.followed,
        "exact": method.exact,
        "curve": [
            {
                "entries": entries,
                "hit_ratio": method.hit_ratio(entries),
                "miss_ratio": 1.0 - method.hit_ratio(entries),
                "error": method.error(entries),
            }
            for entries in sizes(method)
        ],
        "ttl": [
            {
                "seconds": ttl,
                "hit_ratio": method.hit_ratio(ttl=ttl),
                "wrong_ratio": method.wrong_ratio(ttl=ttl),
            }
            for ttl in ttls
        ],
        "advice": method.advice,
        "entries": method.entries,
        "ttl_seconds": method.ttl,
        "seconds_saved": method.seconds_saved,
        "reasons": method.reasons,
    }


def sizes(method: MethodReport) -> list[int]:
    """Return sizes of caches that are worth drawing, from 1 to all that was different."""
    most = max(2, method.different)
    return sorted({round(most ** (i / 60)) for i in range(61)})
