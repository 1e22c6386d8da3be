"""The report as one page: no script, nothing loaded, light and dark, wide and narrow.

What stands on it comes from words.py. Every name is escaped; values are not known here.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Final

from pussycache.see.ages import TTLS
from pussycache.see.plot import Line, plot
from pussycache.see.words import duration, notes, percent, shown, size, sizes

if TYPE_CHECKING:
    from pussycache.see.figures import Figures, MethodReport

__all__ = ["page"]

_STYLE: Final = """\
:root { color-scheme: light dark; --ink: #1d2329; --soft: #5d6873; --line: #d9dee3;
  --ground: #fff; --card: #f6f8f9; --one: #0b6bcb; --two: #b3261e; --good: #1a7f37; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaee; --soft: #9aa5b0; --line: #39424b;
  --ground: #14181c; --card: #1c2228; --one: #6cb6ff; --two: #ff8f87; --good: #57c874; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 1rem; background: var(--ground);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 0 0 .25rem; }
p { margin: .5rem 0; } .soft { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; overflow-wrap: normal; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
td { font-variant-numeric: tabular-nums; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td:first-child { max-width: 16rem; overflow: hidden; text-overflow: ellipsis; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: 1rem; margin: 1rem 0; }
.cache { color: var(--good); font-weight: 600; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr));
  gap: 1rem; }
figure { margin: .5rem 0 0; } figcaption { color: var(--soft); font-size: .85rem; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
.grid { stroke: var(--line); } .mark { stroke: var(--soft); stroke-dasharray: 3 3; }
.one, .two { fill: none; stroke: var(--one); stroke-width: 2; stroke-linejoin: round; }
.two { stroke: var(--two); stroke-dasharray: 6 3; }
.band { fill: var(--one); opacity: .15; }
figcaption .key { color: var(--one); } figcaption .key.other { color: var(--two); }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: 1rem; overflow-x: auto; overflow-wrap: normal; font-size: .85rem; }
"""


def page(report: Figures, paste: str) -> str:
    """Return the page as HTML."""
    title = f"What to cache of {shown(report.label)}"
    watched = f"Watched for {duration(report.watched)}, {report.calls:,} calls."
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_safe(title)}</title>",
        f"<style>\n{_STYLE}</style>",
        f"<h1>{_safe(title)}</h1>",
        f'<p class="soft">{_safe(watched)}</p>',
        _table(report),
        *[_section(method) for method in report.called],
        *[f'<p class="soft">{_safe(note)}</p>' for note in notes(report)],
        "<h2>To start from</h2>",
        f"<pre>{_safe(paste)}</pre>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def _safe(said: str) -> str:
    # A lone surrogate can stand in no file.
    return escape(said.encode("utf-8", "backslashreplace").decode())


def _table(report: Figures) -> str:
    headings = ("method", "calls", "repeated", "a call", "a result", "changed", "advice")
    rows = []
    for method in report.called:
        changed = f"{method.changed:,} of {method.compared:,}" if method.compared else "?"
        cells = [
            shown(method.name),
            f"{method.calls:,}",
            percent(method.repeated) if method.looked else "?",
            duration(method.mean),
            size(method.size),
            changed,
        ]
        advice = ' class="cache"' if method.advice == "cache" else ""
        rows.append(
            "<tr>"
            + "".join(f"<td>{_safe(cell)}</td>" for cell in cells)
            + f"<td{advice}>{_safe(method.advice)}</td></tr>"
        )
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    return f'<div class="wide"><table><tr>{head}</tr>\n' + "\n".join(rows) + "\n</table></div>"


def _section(method: MethodReport) -> str:
    said = f"<section><h2>{_safe(shown(method.name))}</h2><p>{_safe(method.reasons)}</p>"
    if method.advice in ("cannot", "too few calls") or not method.repeated:
        return said + "</section>"
    return f'{said}<div class="plots">{_by_size(method)}{_by_ttl(method)}</div></section>'


def _by_size(method: MethodReport) -> str:
    points = [(entries, 1.0 - method.hit_ratio(entries)) for entries in sizes(method)]
    band = None
    if not method.exact:
        errors = [method.error(entries) for entries, _ in points]
        band = [
            (x, max(0.0, y - e), min(1.0, y + e)) for (x, y), e in zip(points, errors, strict=True)
        ]
    ticks = [10.0**i for i in range(math.floor(math.log10(points[-1][0])) + 1)]
    drawn = plot(
        [Line("one", points)],
        [(tick, f"{tick:,.0f}") for tick in ticks],
        "share of calls that miss, by entries of an LRU cache",
        band=band,
        mark=method.entries,
    )
    doubt = "" if band is None else " The band is the error of the sample, at 95 %."
    return (
        f'<figure>{drawn}<figcaption><span class="key">Misses</span> of an LRU cache, by its '
        f"number of entries, without a ttl.{doubt}</figcaption></figure>"
    )


def _by_ttl(method: MethodReport) -> str:
    ttls = TTLS[:-1]
    hits = [(ttl, method.hit_ratio(ttl=ttl)) for ttl in ttls]
    lines = [Line("one", hits)]
    wrong = [(ttl, method.wrong_ratio(ttl=ttl)) for ttl in ttls]
    known = [(ttl, share) for ttl, share in wrong if share is not None]
    caption = '<span class="key">Hits</span> by ttl'
    if len(known) == len(wrong):
        lines.append(Line("two", known))
        caption += ' and <span class="key other">wrong answers</span> among them, were nothing'
        caption += " invalidated (dashed)."
    else:
        caption += ". Whether they are right is not known."
    ticks = [(1.0, "1 s"), (60.0, "1 min"), (3600.0, "1 h"), (86400.0, "1 day")]
    drawn = plot(lines, ticks, "share of calls that hit, and wrong ones, by ttl", mark=method.ttl)
    return f"<figure>{drawn}<figcaption>{caption}</figcaption></figure>"
