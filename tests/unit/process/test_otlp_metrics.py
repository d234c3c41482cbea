"""Metrics sent by OTLP, as a receiver of the protocol's own messages sees them."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from inbox.process.otlp_metrics import exporting
from tests.support.log_lines import capture_logs


class Receiver:
    """A receiver of OTLP over HTTP, with the metrics of its last request by name."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.metrics: dict[str, Any] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.paths.append(self.path)
                receiver.take(ExportMetricsServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def take(self, request: ExportMetricsServiceRequest) -> None:
        [resource] = request.resource_metrics
        [scope] = resource.scope_metrics
        self.metrics = {metric.name: metric for metric in scope.metrics}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def exported(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Any:
    def export(registry: CollectorRegistry) -> dict[str, Any]:
        # The exporter reads the process's own variables.
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        with exporting({"OTEL_METRICS_EXPORTER": "otlp"}, registry):
            pass
        assert receiver.paths == ["/v1/metrics"]
        return receiver.metrics

    return export


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_a_counter_is_a_cumulative_monotonic_sum_with_its_labels(exported: Any, registry: CollectorRegistry) -> None:
    Counter("inbox_events", "Events.", ["topic"], registry=registry).labels("orders").inc(7)
    metric = exported(registry)["inbox_events"]
    [point] = metric.sum.data_points
    assert metric.sum.is_monotonic
    assert metric.sum.aggregation_temporality == 2
    assert point.as_double == 7
    assert [(each.key, each.value.string_value) for each in point.attributes] == [("topic", "orders")]
    assert 0 < point.start_time_unix_nano < point.time_unix_nano


def test_a_histogram_keeps_its_buckets_count_and_sum(exported: Any, registry: CollectorRegistry) -> None:
    histogram = Histogram("inbox_batch_seconds", "Batch.", buckets=(1, 2), registry=registry)
    for seconds in (0.5, 1.5, 1.6, 9):
        histogram.observe(seconds)
    metric = exported(registry)["inbox_batch_seconds"]
    [point] = metric.histogram.data_points
    assert (list(point.explicit_bounds), list(point.bucket_counts)) == ([1, 2], [1, 2, 1])
    assert (point.count, point.sum, metric.unit) == (4, 12.6, "s")
    assert not point.HasField("min")


def test_a_gauge_that_is_not_known_is_left_out(exported: Any, registry: CollectorRegistry) -> None:
    Gauge("inbox_horizon_seconds", "Horizon.", registry=registry).set(float("nan"))
    Gauge("inbox_outbox_pending", "Pending.", registry=registry).set(3)
    metrics = exported(registry)
    assert [point.as_double for point in metrics["inbox_outbox_pending"].gauge.data_points] == [3]
    assert "inbox_horizon_seconds" not in metrics


def test_a_receiver_that_is_away_ends_nothing(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    Gauge("inbox_outbox_pending", "Pending.", registry=registry).set(3)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with exporting({"OTEL_METRICS_EXPORTER": "otlp"}, registry):
        pass


@pytest.mark.parametrize("environ", [{}, {"OTEL_METRICS_EXPORTER": "none"}, {"OTEL_METRICS_EXPORTER": "prometheus"}])
def test_nothing_is_sent_unless_asked_for(environ: dict[str, str], registry: CollectorRegistry) -> None:
    threads = threading.active_count()
    with exporting(environ, registry), capture_logs() as lines:
        assert threading.active_count() == threads
    assert lines == []
