"""What logs, Prometheus and OpenTelemetry are told, by their own libraries."""

import asyncio
import logging
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.parser import text_string_to_metric_families

import pussycache
from pussycache import Cached, ConfigurationError, MemoryCache, hooks
from pussycache.see import logging as event_logging
from pussycache.see import otel, prometheus
from pussycache.testing import FakeClock

PATIENCE = 60
METHOD = f"{__name__}.Users.get"
SECRET = "a secret argument"


class Users:
    tracer: Any = None

    def get(self, user_id: Any) -> str:
        if self.tracer is not None:
            with self.tracer.start_as_current_span("query"):
                pass
        if user_id == "nobody":
            raise KeyError(user_id)
        return f"user {user_id}"

    async def fetch(self, user_id: int) -> str:
        await asyncio.sleep(0)
        return f"user {user_id}"

    def rename(self, user_id: Any) -> None:
        pass


def wrapped(cache: MemoryCache | None = None, **said: Any) -> Any:
    return pussycache.wrap(
        Users(),
        cache,
        cached_methods={"get": Cached(**said), "fetch": None},
        invalidate_methods={"rename": ["get"]},
    )


def busy(users: Any) -> None:
    """Two hits, four misses, one of which failed; a write, an eviction."""
    users.get(SECRET)
    users.get(SECRET)
    users.get(SECRET)
    users.rename(SECRET)
    users.get(1)
    users.get(2)
    with pytest.raises(KeyError):
        users.get("nobody")


# Logging.


def test_events_are_logged_with_their_fields(caplog: pytest.LogCaptureFixture) -> None:
    """Each event is a record with a level, a text, and its fields in `extra`; no argument is."""
    caplog.set_level(logging.DEBUG, logger="pussycache")
    users = wrapped(MemoryCache(max_entries=1))
    with event_logging.instrument():
        busy(users)
    assert not hooks.active
    users.get(3)
    records = [record.__dict__ for record in caplog.records]
    first = records[0]
    assert (first["pussycache_event"], first["levelname"]) == ("miss", "DEBUG")
    assert (first["pussycache_method"], first["pussycache_reason"]) == (METHOD, "never-cached")
    assert {record["pussycache_event"] for record in records} == {
        *("miss", "load-begun", "load-ended", "invalidated", "evicted"),
    }
    (failed,) = [record for record in records if record.get("pussycache_error") is not None]
    assert isinstance(failed["pussycache_error"], KeyError)
    assert SECRET not in caplog.text


def test_what_is_to_be_looked_at_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A caller that did not wait is a warning, and all that is for debugging is left out by day."""
    caplog.set_level(logging.INFO, logger="pussycache")
    users = wrapped(timeout=0.01)
    go = threading.Event()
    users._proxied.get = lambda user_id: go.wait(PATIENCE)
    with event_logging.instrument(), pytest.raises(pussycache.LoadTimeout):
        users.get(1)
    go.set()
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("WARNING", f"timed-out: method={METHOD!r} cache='MemoryCache'")
    ]


# Prometheus.


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry(auto_describe=True)


def test_prometheus_reads_the_figures(registry: CollectorRegistry) -> None:
    """A scrape over HTTP has all metrics, by cache and method, and never an argument."""
    users = wrapped(MemoryCache(max_entries=1))
    stop = prometheus.instrument(users, registry=registry)
    busy(users)
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics") as reply:
            text = reply.read().decode()
    finally:
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE)
    assert SECRET not in text
    assert {family.name for family in text_string_to_metric_families(text)} == {
        *("pussycache_requests", "pussycache_invalidations", "pussycache_evictions"),
        *("pussycache_errors", "pussycache_entries", "pussycache_pending"),
        "pussycache_load_duration_seconds",
    }
    labels = {"cache": "MemoryCache", "method": METHOD}

    def value(name: str, **more: str) -> float | None:
        return registry.get_sample_value(f"pussycache_{name}", labels | more)

    assert value("requests_total", result="hit") == 2
    assert value("requests_total", result="miss") == 4
    assert value("invalidations_total", writer="Users.rename") == 1
    assert value("evictions_total", reason="max_entries") == 1
    assert value("evictions_total", reason="expired") == 0
    assert value("errors_total", operation="load") == 1
    assert value("entries") == 1
    stop()
    assert not list(registry.collect())


def test_prometheus_has_a_histogram_of_loads(registry: CollectorRegistry) -> None:
    """The buckets are cumulative, end with all loads, and the sum is the time of all."""
    with FakeClock() as clock:
        users = wrapped()
        users._proxied.get = lambda seconds: clock.advance(seconds)
        prometheus.instrument(users, registry=registry)
        for seconds in (0.010, 0.020, 3.0, 5000.0):
            users.get(seconds)
        (family,) = [f for f in registry.collect() if f.type == "histogram"]
    samples = [sample for sample in family.samples if sample.labels["method"] == METHOD]
    buckets = [(s.labels["le"], s.value) for s in samples if s.name.endswith("_bucket")]
    bounds, counts = [float(bound) for bound, _ in buckets], [count for _, count in buckets]
    assert bounds == sorted(bounds)
    assert counts == sorted(counts)
    for bound, count in zip(bounds[:-1], counts, strict=False):
        assert count == sum(seconds < bound for seconds in (0.010, 0.020, 3.0, 5000.0))
    assert (bounds[-1], counts[-1]) == (float("inf"), 4)
    assert [s.value for s in samples if s.name.endswith("_sum")] == [pytest.approx(5003.03)]


def test_several_calls_for_one_registry_are_one_collector(registry: CollectorRegistry) -> None:
    """Each metric is there once, whoever asked for it, and until the last of them has ended."""
    ada, grace = wrapped(), wrapped()
    ada.get(1)
    grace.get(1)

    def misses() -> float | None:
        labels = {"cache": "MemoryCache", "method": METHOD, "result": "miss"}
        return registry.get_sample_value("pussycache_requests_total", labels)

    stop_ada = prometheus.instrument(ada, registry=registry)
    stop_grace = prometheus.instrument(grace, registry=registry)
    names = [family.name for family in registry.collect()]
    assert len(names) == len(set(names))
    assert misses() == 2
    stop_ada()
    stop_ada()
    assert misses() == 1
    stop_grace()
    assert not list(registry.collect())
    prometheus.instrument(ada, registry=registry)()


def test_what_is_no_source_is_refused(registry: CollectorRegistry) -> None:
    """A source that is none is refused before anything is registered."""
    with pytest.raises(ConfigurationError, match="snapshot takes proxies"):
        prometheus.instrument("users", registry=registry)
    assert not list(registry.collect())


# OpenTelemetry.


class Telemetry:
    """Readers in memory, and what they have read."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])
        self.spans = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))

    def points(self) -> dict[str, dict[Any, Any]]:
        """The points of each metric by their attributes."""
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: {
                tuple(sorted((point.attributes or {}).items())): point
                for point in metric.data.data_points
            }
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    made = Telemetry()
    yield made
    made.meters.shutdown()
    made.tracers.shutdown()


def instrumented(telemetry: Telemetry, *sources: Any) -> Any:
    return otel.instrument(
        *sources, meter_provider=telemetry.meters, tracer_provider=telemetry.tracers
    )


def labelled(**more: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({"cache": "MemoryCache", "method": METHOD, **more}.items()))


def test_opentelemetry_reads_the_figures(telemetry: Telemetry) -> None:
    """Each export has the figures as they are then, by cache and method, and never an argument."""
    users = wrapped(MemoryCache(max_entries=1))
    stop = instrumented(telemetry, users)
    busy(users)
    points = telemetry.points()
    requests = points["pussycache.requests"]
    assert requests[labelled(result="hit")].value == 2
    assert requests[labelled(result="miss")].value == 4
    writes = points["pussycache.invalidations"]
    assert writes[labelled(writer="Users.rename")].value == 1
    assert points["pussycache.evictions"][labelled(reason="max_entries")].value == 1
    assert points["pussycache.errors"][labelled(operation="load")].value == 1
    assert points["pussycache.entries"][labelled()].value == 1
    assert points["pussycache.load.duration"][labelled()].count == 3
    failed = points["pussycache.load.duration"][labelled(**{"error.type": "KeyError"})]
    assert failed.count == 1
    assert SECRET not in repr(points)
    users.get(2)
    users.get(2)
    assert telemetry.points()["pussycache.requests"][labelled(result="hit")].value == 4
    stop()
    assert not hooks.active
    assert "pussycache.requests" not in telemetry.points()


def test_a_load_is_a_span_inside_of_the_callers(telemetry: Telemetry) -> None:
    """A load's span has the caller's as its parent, and is the parent of what the method does."""
    users = wrapped()
    users._proxied.tracer = tracer = telemetry.tracers.get_tracer("test")
    stop = instrumented(telemetry, users)
    with tracer.start_as_current_span("request"):
        users.get(1)
        users.get(1)
        assert trace.get_current_span().name == "request"  # type: ignore[attr-defined]
        with pytest.raises(KeyError):
            users.get("nobody")
    stop()
    spans = {span.name: span for span in telemetry.spans.get_finished_spans()}
    loads = [s for s in telemetry.spans.get_finished_spans() if s.name == "pussycache.load"]
    assert len(loads) == 2
    assert {load.parent.span_id for load in loads} == {spans["request"].context.span_id}
    assert spans["query"].parent.span_id in {load.context.span_id for load in loads}
    assert [load.status.status_code.name for load in loads] == ["UNSET", "ERROR"]
    assert dict(loads[0].attributes) == {"cache": "MemoryCache", "method": METHOD}


def test_loads_of_tasks_are_spans_of_their_own(telemetry: Telemetry) -> None:
    """Loads that run at the same time in tasks have each its caller's span as the parent."""
    users = wrapped()
    tracer = telemetry.tracers.get_tracer("test")
    stop = instrumented(telemetry, users)

    async def request(user_id: int) -> None:
        with tracer.start_as_current_span(f"request {user_id}"):
            await users.fetch(user_id)

    async def main() -> None:
        await asyncio.gather(*[request(user_id) for user_id in range(5)])

    asyncio.run(main())
    stop()
    spans = telemetry.spans.get_finished_spans()
    requests = {span.context.span_id for span in spans if span.name.startswith("request")}
    parents = [span.parent.span_id for span in spans if span.name == "pussycache.load"]
    assert sorted(parents) == sorted(requests)


def test_a_refresh_is_a_span_of_who_asked(telemetry: Telemetry) -> None:
    """A load in the background has the span as its parent of the call that has begun it."""
    with FakeClock() as clock:
        users = wrapped(MemoryCache(ttl=10), stale_for=100)
        users.get(1)
        clock.advance(11)
        tracer = telemetry.tracers.get_tracer("test")
        stop = instrumented(telemetry, users)
        with tracer.start_as_current_span("request") as request:
            users.get(1)
        while not pussycache.info(users).refreshes:
            pass
        stop()
    (load,) = [s for s in telemetry.spans.get_finished_spans() if s.name == "pussycache.load"]
    assert load.parent.span_id == request.get_span_context().span_id


# Without the packages.


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [("otel", "opentelemetry", "otel"), ("prometheus", "prometheus_client", "prometheus")],
)
def test_without_the_package_the_error_says_what_to_do(
    module: str, package: str, extra: str
) -> None:
    """Where the package is missing, the import fails with the command that installs it."""
    source = (
        f"import sys; sys.modules[{package!r}] = None\n"
        f"import pussycache.see.logging, pussycache.see.{module}"
    )
    run = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert f'pip install "pussycache[{extra}]"' in run.stderr.splitlines()[-1]
