"""The figures as metrics of prometheus-client, read when they are scraped.

Nothing is done between two scrapes.
"""

from __future__ import annotations

import threading
from itertools import accumulate, chain
from math import inf
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from pussycache.see.metrics import DURATION, METRICS, methods, readings
from pussycache.see.snapshots import snapshot
from pussycache.stats import LoadTimes

try:
    from prometheus_client import REGISTRY
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )
except ImportError as error:
    raise ImportError(
        "pussycache.see.prometheus needs the package prometheus-client: "
        'pip install "pussycache[prometheus]"'
    ) from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import CollectorRegistry

__all__ = ["instrument"]

# Each is four times the one before: half as many time series as there are buckets.
_EACH: Final = 2

_lock = threading.Lock()
_collectors: WeakKeyDictionary[CollectorRegistry, _Collector] = WeakKeyDictionary()


def instrument(*sources: object, registry: CollectorRegistry = REGISTRY) -> Callable[[], None]:
    """Have a registry's scrapes read the figures; call what is returned to end that.

    The metrics are ``pussycache_requests_total``, ``pussycache_load_duration_seconds``,
    ``pussycache_invalidations_total``, ``pussycache_evictions_total``, ``pussycache_errors_total``,
    ``pussycache_entries`` and ``pussycache_pending``.

    :param sources: what `pussycache.snapshot` takes; without any, all caches of the process.
    :param registry: by default the one that prometheus-client exports.
    :raises ConfigurationError: for what is no source; nothing is registered then.

    Called again for the same registry, it adds to what is read.
    """
    snapshot(*sources)
    mine = [sources]
    with _lock:
        collector = _collectors.get(registry)
        if collector is None:
            # One for all: two would give each metric twice, which Prometheus refuses to read.
            collector = _Collector()
            registry.register(collector)
            _collectors[registry] = collector
        collector.asked.append(mine)

    def stop() -> None:
        with _lock:
            if not mine:
                return
            mine.clear()
            collector.asked = [one for one in collector.asked if one]
            if not collector.asked:
                registry.unregister(collector)
                del _collectors[registry]

    return stop


class _Collector:
    def __init__(self) -> None:
        # What each call of instrument asked for, in a list that is emptied when it ends.
        self.asked: list[list[tuple[object, ...]]] = []

    def describe(self) -> list[Any]:
        """Say nothing beforehand: else all would be read when it is registered."""
        return []

    def collect(self) -> Iterator[Any]:
        asked = [sources for one in list(self.asked) for sources in one]
        # Nothing named is everything.
        seen = snapshot(*chain(*asked)) if all(asked) else snapshot()
        for metric in METRICS:
            kind = CounterMetricFamily if metric.grows else GaugeMetricFamily
            family = kind(f"pussycache_{metric.name}", metric.says, labels=metric.labels)
            for labels, value in readings(seen, metric.name):
                family.add_metric(labels, value)
            yield family
        times = HistogramMetricFamily(
            "pussycache_load_duration_seconds", DURATION.says, labels=DURATION.labels
        )
        for cache, method, info in methods(seen):
            times.add_metric((cache, method), _buckets(info.load_times), info.load_time)
        yield times


def _buckets(times: LoadTimes) -> list[tuple[str, float]]:
    """Return the buckets as they are told: each with what is in those before it, too."""
    counts = [*zip(LoadTimes.bounds, accumulate(times.counts), strict=True)]
    some = [(bound, count) for bound, count in counts[::_EACH] if bound != inf]
    return [*[(repr(bound), count) for bound, count in some], ("+Inf", counts[-1][1])]
