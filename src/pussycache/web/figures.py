"""A snapshot as the page is told of it: bounded, whatever there is, and without arguments.

Nothing is counted here. What the figures mean is said in stats.py.
"""

from __future__ import annotations

from heapq import nlargest
from typing import TYPE_CHECKING, Any, Final

from pussycache.stats import BY_HAND, OTHERS

if TYPE_CHECKING:
    from pussycache.see.snapshots import Snapshot
    from pussycache.stats import CacheInfo

__all__ = ["fields", "figures", "readable"]

_METHODS: Final = 200
_EDGES: Final = 60
_LETTERS: Final = 300
_SHOWN: Final = (
    *("hits", "misses", "loads", "failures", "load_time", "time_saved", "entries", "bytes"),
    *("evictions", "expired", "invalidations", "stale", "uncacheable", "pending"),
)


# What is no method, and cannot be forgotten like one.
_SUMS: Final = (BY_HAND, OTHERS)


def readable(said: str) -> str:
    """Return a text as it can be shown anywhere, whatever is in it: short, and on one line."""
    shown = said if said.isprintable() else repr(said)[1:-1]
    return shown if len(shown) <= _LETTERS else shown[: _LETTERS - 1] + "…"


def figures(seen: Snapshot) -> dict[str, Any]:
    """Return what the page shows of a snapshot: the methods called most, and the busiest edges."""
    most = nlargest(_METHODS, seen.methods.items(), key=lambda item: item[1].hits + item[1].misses)
    edges = nlargest(_EDGES, seen.edges.items(), key=lambda item: item[1])
    return {
        "methods": [
            {"label": readable(label), "forgettable": not label.startswith(_SUMS), **fields(info)}
            for label, info in most
        ],
        "more": len(seen.methods) - len(most),
        "edges": [[readable(writer), readable(label), count] for (writer, label), count in edges],
        "more_edges": len(seen.edges) - len(edges),
        "stores": [
            {
                "name": readable(f"{store.name} {store.url}".strip()),
                "breaker": store.breaker,
                "pending": store.pending,
            }
            for store in seen.stores
        ],
    }


def fields(info: CacheInfo) -> dict[str, Any]:
    """Return the figures of a method, or of all."""
    # In pairs: sixteen bars tell as much as thirty-two do.
    counts = info.load_times.counts
    return {
        **{name: getattr(info, name) for name in _SHOWN},
        "load_times": [sum(counts[i : i + 2]) for i in range(0, len(counts), 2)],
    }
