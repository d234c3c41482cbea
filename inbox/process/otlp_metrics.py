"""The export of the metrics that `/metrics` shows to OpenTelemetry, at an interval, as OTEL_METRICS_EXPORTER says.

The SDK (the extra `otel`) is imported only if that variable asks for metrics. The families of
prometheus_client stay the only instruments; each export reads them and passes them to the SDK's exporter.
"""

import math
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from prometheus_client import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from inbox import __version__
from inbox.log_lines import log
from inbox.telemetry import REGISTRY

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter, MetricsData

_DEFAULT_INTERVAL_MS = "60000"
_BUCKET, _COUNT, _SUM = "_bucket", "_count", "_sum"

Attributes = Mapping[str, str]


@contextmanager
def exporting(environ: Mapping[str, str], metrics: Collector = REGISTRY) -> Iterator[None]:
    """Send the metrics every OTEL_METRIC_EXPORT_INTERVAL milliseconds while the context lasts, and once at its end.

    Nothing happens unless OTEL_METRICS_EXPORTER is `otlp` or `console`.
    """
    exporter = _configured(environ)
    if exporter is None:
        yield
        return
    seconds = int(environ.get("OTEL_METRIC_EXPORT_INTERVAL") or _DEFAULT_INTERVAL_MS) / 1000
    over, source = threading.Event(), MetricsSource(metrics, time.time_ns())

    def export_repeatedly() -> None:
        while not over.wait(seconds):
            _export(exporter, source)
        _export(exporter, source)

    thread = threading.Thread(target=export_repeatedly, name="inbox-otlp-metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=5.0)
        with suppress(Exception):
            exporter.shutdown()


def _export(exporter: "MetricExporter", source: "MetricsSource") -> None:
    # An exporter reports its failures itself; nothing that it does may end the process.
    try:
        exporter.export(source.read(time.time_ns()))
    except Exception as error:  # noqa: BLE001 - whatever a network library raises
        log().warning("metrics-not-sent", reason=type(error).__name__)


def _configured(environ: Mapping[str, str]) -> "MetricExporter | None":
    name = environ.get("OTEL_METRICS_EXPORTER", "none")
    if name not in ("otlp", "console") or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    try:
        if name == "console":
            from opentelemetry.sdk.metrics.export import ConsoleMetricExporter

            return ConsoleMetricExporter()
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        return OTLPMetricExporter()
    except ImportError as error:
        log().warning("metrics-off", reason=f"{error.name} is not installed; install kafka-inbox[otel]")
        return None


class MetricsSource:
    """A reader of a collector's families in the SDK's data model.

    Counters and histograms are cumulative since `started` (Unix time in nanoseconds). A gauge that is NaN is
    not known, so it is left out.
    """

    def __init__(self, metrics: Collector, started: int) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        self._metrics = metrics
        self._started = started
        self._resource = Resource.create()
        self._scope = InstrumentationScope("inbox", __version__)

    def read(self, now: int) -> "MetricsData":
        """Return all families as they are now; `now` in nanoseconds of Unix time."""
        from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics

        found = [each for family in self._metrics.collect() if (each := self._metric(family, now)) is not None]
        return MetricsData([ResourceMetrics(self._resource, [ScopeMetrics(self._scope, found, "")], "")])

    def _metric(self, family: Metric, now: int) -> Any:
        from opentelemetry.sdk.metrics import export as sdk

        cumulative = sdk.AggregationTemporality.CUMULATIVE
        data: Any
        match family.type:
            case "counter":
                points = self._numbers((each for each in family.samples if each.name.endswith("_total")), now)
                data = sdk.Sum(points, cumulative, is_monotonic=True)
            case "histogram":
                points = [self._histogram(attributes, series, now) for attributes, series in _series(family.samples)]
                data = sdk.Histogram(points, cumulative)
            case _:
                points = self._numbers(family.samples, now)
                data = sdk.Gauge(points)
        unit = "s" if family.name.endswith("_seconds") else "1"
        return sdk.Metric(family.name, family.documentation, unit, data) if points else None

    def _numbers(self, samples: Iterable[Sample], now: int) -> list[Any]:
        from opentelemetry.sdk.metrics.export import NumberDataPoint

        return [
            NumberDataPoint(each.labels, self._started, now, each.value)
            for each in samples
            if not math.isnan(each.value)
        ]

    def _histogram(self, attributes: Attributes, samples: list[Sample], now: int) -> Any:
        from opentelemetry.sdk.metrics.export import HistogramDataPoint

        below = sorted((float(each.labels["le"]), each.value) for each in samples if each.name.endswith(_BUCKET))
        counts = [int(after - before) for before, after in pairwise([0.0, *(count for _, count in below)])]
        unknown: Any = None  # the message's field stays unset
        [total] = [each.value for each in samples if each.name.endswith(_SUM)]
        return HistogramDataPoint(
            attributes=attributes,
            start_time_unix_nano=self._started,
            time_unix_nano=now,
            count=sum(counts),
            sum=total,
            bucket_counts=counts,
            explicit_bounds=[bound for bound, _ in below if not math.isinf(bound)],
            min=unknown,
            max=unknown,
        )


def _series(samples: Iterable[Sample]) -> Iterable[tuple[Attributes, list[Sample]]]:
    """Return the samples of a histogram by their labels, without the bound of a bucket."""
    found = dict[tuple[tuple[str, str], ...], list[Sample]]()
    for each in samples:
        if each.name.endswith((_BUCKET, _COUNT, _SUM)):
            labels = tuple(sorted((name, value) for name, value in each.labels.items() if name != "le"))
            found.setdefault(labels, []).append(each)
    return [(dict(labels), series) for labels, series in found.items()]
