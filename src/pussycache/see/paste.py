"""The advice as code: a call of `wrap` that can be pasted, with the reasons as comments.

What is advised is decided in advisor.py.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from pussycache.see.words import duration, percent, shown

if TYPE_CHECKING:
    from pussycache.see.changes import Suspect
    from pussycache.see.figures import Figures, MethodReport

__all__ = ["wrap_call"]


def wrap_call(report: Figures) -> str:
    """Return the call. Names of methods stand in it as literals, whatever they are."""
    cached = [method for method in report.called if method.advice == "cache"]
    if not cached:
        return "# Nothing here is worth caching, as far as was seen.\n"
    entries = sum(method.entries or 0 for method in cached)
    target = report.target
    lines = [
        "import pussycache",
        "",
        f"{target} = pussycache.wrap(",
        f"    {target},",
        f"    pussycache.MemoryCache(max_entries={entries}),",
        "    cached_methods={",
    ]
    for method in cached:
        lines += _comment(_why(method))
        ttl = "" if method.ttl is None else f"ttl={method.ttl:g}"
        lines.append(f"        {method.name!r}: pussycache.Cached({ttl}),")
    lines.append("    },")
    rules: dict[str, list[str]] = {}
    why: dict[str, list[str]] = {}
    for method in cached:
        for suspect in method.suspects:
            targets = rules.setdefault(suspect.method, [])
            whole = repr(method.name)
            target_text = _rule(method, suspect)
            if target_text == whole:
                # It says all that the narrower ones say.
                targets[:] = [t for t in targets if not t.startswith(f"pussycache.Forget({whole},")]
            if whole not in targets:
                targets.append(target_text)
            why.setdefault(suspect.method, []).append(
                f"before {suspect.before} of {suspect.changes} changes of {shown(method.name)}"
            )
    if rules:
        lines.append("    invalidate_methods={")
        for name, targets in rules.items():
            lines += _comment("; ".join(why[name]))
            lines.append(f"        {name!r}: [{', '.join(targets)}],")
        lines.append("    },")
    lines.append(")")
    return "\n".join(lines) + "\n"


def _why(method: MethodReport) -> str:
    hits = percent(method.hit_ratio(method.entries or 0, method.ttl) * (1.0 - method.invalidated))
    said = f"{hits} of {method.calls:,} calls answered from {method.entries:,} entries"
    said += f", {duration(method.mean)} each"
    if method.ttl is not None:
        said += "; the ttl because results change by themselves"
    return said


def _rule(method: MethodReport, suspect: Suspect) -> str:
    if suspect.same is None:
        return repr(method.name)
    own, other = suspect.same
    where = repr(own) if own == other else f"**{{{own!r}: {other!r}}}"
    if own != other and own.isidentifier():
        where = f"{own}={other!r}"
    return f"pussycache.Forget({method.name!r}, {where})"


def _comment(said: str) -> list[str]:
    return [f"        # {line}" for line in textwrap.wrap(said, 84)]
