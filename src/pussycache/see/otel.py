"""The figures as metrics of OpenTelemetry, and loads as spans.

Counters are read when they are exported; durations and spans are made of events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pussycache import events
from pussycache.see.metrics import DURATION, METRICS, Metric, readings
from pussycache.see.snapshots import Snapshot, snapshot
from pussycache.stats import LoadTimes

try:
    from opentelemetry import context, metrics, trace
    from opentelemetry.metrics import Observation
except ImportError as error:
    raise ImportError(
        'pussycache.see.otel needs the package opentelemetry-api: pip install "pussycache[otel]"'
    ) from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from opentelemetry.metrics import CallbackOptions, Histogram, MeterProvider
    from opentelemetry.trace import Span, Tracer, TracerProvider

__all__ = ["instrument"]

_NAME: Final = "pussycache"


def instrument(
    *sources: object,
    meter_provider: MeterProvider | None = None,
    tracer_provider: TracerProvider | None = None,
) -> Callable[[], None]:
    """Export the figures as metrics, and loads as spans; call what is returned to end that.

    The metrics are ``pussycache.requests``, ``pussycache.load.duration``,
    ``pussycache.invalidations``, ``pussycache.evictions``, ``pussycache.errors``,
    ``pussycache.entries`` and ``pussycache.pending``. A load is a span ``pussycache.load`` inside
    of the caller's, also where it runs in the background, and what the method does is inside of it.

    :param sources: what `pussycache.snapshot` takes; without any, all caches of the process.
        Durations and spans are of all loads of the process.
    :param meter_provider: by default OpenTelemetry's global one; and so is ``tracer_provider``.
    :raises ConfigurationError: for what is no source; nothing is exported then.
    """
    figures = _Figures(sources)
    meter = metrics.get_meter(_NAME, meter_provider=meter_provider)
    for metric in METRICS:
        make = meter.create_observable_counter
        if not metric.grows:
            make = meter.create_observable_up_down_counter  # type: ignore[assignment]
        make(f"{_NAME}.{metric.name}", [figures.of(metric)], metric.unit, metric.says)
    duration = meter.create_histogram(
        f"{_NAME}.{DURATION.name}",
        DURATION.unit,
        DURATION.says,
        explicit_bucket_boundaries_advisory=LoadTimes.bounds[:-1:2],
    )
    loads = _Loads(trace.get_tracer(_NAME, tracer_provider=tracer_provider), duration)
    subscription = events.subscribe(loads, events.LoadBegun, events.LoadEnded)

    def stop() -> None:
        subscription()
        figures.over = True

    return stop


class _Figures:
    """Reads one snapshot for all metrics of one export."""

    def __init__(self, sources: tuple[object, ...]) -> None:
        self._sources = sources
        self._snapshot: Snapshot = snapshot(*sources)
        self._read: set[str] = set()
        self.over = False

    def of(self, metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
        """Return what is asked for the values of a metric."""

        def observe(options: CallbackOptions) -> Iterator[Observation]:
            if self.over:
                return
            if not self._read or metric.name in self._read:
                self._snapshot = snapshot(*self._sources)
                self._read = set()
            self._read.add(metric.name)
            for labels, value in readings(self._snapshot, metric.name):
                yield Observation(value, dict(zip(metric.labels, labels, strict=True)))

        return observe


class _Loads:
    """A hook that makes a span of each load, and counts how long it took."""

    def __init__(self, tracer: Tracer, duration: Histogram) -> None:
        self._tracer = tracer
        self._duration = duration
        # By the identity of what was told when it began.
        self._running: dict[int, tuple[Span, Any]] = {}

    def __call__(self, event: Any) -> None:
        labels = {"cache": event.cache, "method": event.method}
        if type(event) is events.LoadBegun:
            span = self._tracer.start_span(f"{_NAME}.load", attributes=labels)
            token = context.attach(trace.set_span_in_context(span))
            self._running[id(event)] = span, token
            return
        if event.error is not None:
            labels["error.type"] = type(event.error).__qualname__
        self._duration.record(event.seconds, labels)
        running = self._running.pop(id(event.begun), None)
        if running is not None:
            span, token = running
            context.detach(token)
            if event.error is not None:
                span.record_exception(event.error)
                span.set_status(trace.StatusCode.ERROR)
            span.end()
