"""What exporters tell of a snapshot: the names of the metrics, their labels and their values.

Nothing here knows an exporter. No key and no argument is ever part of a label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pussycache.see.snapshots import Snapshot
    from pussycache.stats import CacheInfo

__all__ = ["DURATION", "METRICS", "Metric", "methods", "readings"]


class Metric(NamedTuple):
    """One metric: ``name``, what it says, its unit, its labels, and whether it only grows."""

    name: str
    says: str
    unit: str
    labels: tuple[str, ...]
    grows: bool = True


METRICS: Final = (
    Metric("requests", "Calls of cached methods", "{call}", ("cache", "method", "result")),
    Metric(
        "invalidations", "Writes that made entries wrong", "{write}", ("cache", "method", "writer")
    ),
    Metric("evictions", "Entries that were taken out", "{entry}", ("cache", "method", "reason")),
    Metric("errors", "What has failed", "{error}", ("cache", "method", "operation")),
    Metric("entries", "Results that are remembered", "{entry}", ("cache", "method"), grows=False),
    Metric("pending", "Invalidations that a server is to hear of", "{write}", ("cache",), False),
)

DURATION: Final = Metric("load.duration", "Duration of loads", "s", ("cache", "method"))


def methods(snapshot: Snapshot) -> Iterator[tuple[str, str, CacheInfo]]:
    """Yield the cache, the method and the figures of each."""
    for label, info in snapshot.methods.items():
        cache = snapshot.caches.get(label, "")
        yield cache, label.removesuffix(f" in {cache}"), info


def readings(snapshot: Snapshot, metric: str) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield the values of one metric's labels, and its value for them."""
    if metric == "pending":
        for store in snapshot.stores:
            yield (store.name,), store.pending
        return
    for cache, method, info in methods(snapshot):
        if metric == "entries":
            yield (cache, method), info.entries
            continue
        for last, value in _parts(metric, info).items():
            yield (cache, method, last), value


def _parts(metric: str, info: CacheInfo) -> dict[str, int]:
    if metric == "requests":
        return {"hit": info.hits, "miss": info.misses, "uncacheable": info.uncacheable}
    if metric == "invalidations":
        return dict(info.invalidated)
    if metric == "evictions":
        return {**info.evicted, "expired": info.expired}
    # What failed is a load, also where an old value stood in for it, or a wait for one.
    return {"load": info.failures, "refresh": info.refresh_failures, "wait": info.timeouts}
