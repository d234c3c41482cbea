"""The sum of the reports of one supervisor's processes, as one answer to a scrape or a probe.

A report is a line of JSON that a worker sends every second, and once more at its end. The counters
of an ended process stay in the sums, so that no sum goes backwards. Its gauges are dropped. Counts
that a killed worker made after its last report, at most one second's worth, are in the ledger
alone.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from prometheus_client import Metric

from inbox.telemetry import REGISTRY, WORKER_RESTARTS

_SILENT_SECONDS = 30.0
_CURRENT_SECONDS = 5.0
"""A worker silent for longer may have lost its partitions, so the lag that it reported no longer counts."""

Labels = tuple[tuple[str, str], ...]


@dataclass
class _Family:
    """A metric family: one metric with its samples by name and labels."""

    documentation: str
    kind: str
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)

    @property
    def adds_up(self) -> bool:
        return self.kind in ("counter", "histogram")


Families = dict[str, _Family]


@dataclass
class WorkerReport:
    """A process of a worker, from its start to its end, with its last report."""

    worker: int
    heard_at: float
    not_live: str | None = None
    not_ready: str | None = "starting"
    families: Families = field(default_factory=dict)


def report(not_live: str | None, not_ready: str | None) -> bytes:
    """Return the line that reports this process's health and its counts so far."""
    metrics = {
        name: [family.documentation, family.kind, [[*key, repr(value)] for key, value in family.samples.items()]]
        for name, family in _families(REGISTRY.collect()).items()
    }
    return orjson.dumps({"not_live": not_live, "not_ready": not_ready, "metrics": metrics}) + b"\n"


class AggregatedMetrics:
    """The reports of a number of workers.

    The supervisor calls it, and so do the threads that read reports and answer requests.
    """

    def __init__(self, workers: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._workers = workers
        self._clock = clock
        self._lock = threading.Lock()
        self._reports: dict[int, WorkerReport] = {}
        self._past: Families = {}

    def began(self, worker: int) -> WorkerReport:
        """Record that a process of that worker was started."""
        life = WorkerReport(worker, self._clock())
        with self._lock:
            self._reports[worker] = life
        return life

    def reported(self, life: WorkerReport, line: bytes) -> None:
        """Record a whole line that the process sent."""
        report: Mapping[str, Any] = orjson.loads(line)
        families = {name: _read(*parts) for name, parts in report["metrics"].items()}
        with self._lock:
            life.heard_at, life.families = self._clock(), families
            life.not_live, life.not_ready = report["not_live"], report["not_ready"]

    def ended(self, life: WorkerReport) -> None:
        """Record that the process is gone."""
        with self._lock:
            if self._reports.get(life.worker) is life:
                del self._reports[life.worker]
            _add(self._past, life.families, gauges=False)

    def is_ready(self, worker: int) -> bool:
        with self._lock:
            life = self._reports.get(worker)
            return life is not None and life.not_ready is None

    def not_live(self) -> str | None:
        """Return the first hanging worker and why it is considered hanging, or None.

        A worker that is waiting to be restarted is not hanging.
        """
        return next((f"worker {worker}: {why}" for worker, why in self._complaints(_hangs) if why), None)

    def not_ready(self) -> str | None:
        """Return the first worker that does not do its work now, and why, or None."""
        return next((f"worker {worker}: {why}" for worker, why in self._complaints(_idles) if why), None)

    def _complaints(self, of: "Callable[[WorkerReport | None, float], str | None]") -> Iterator[tuple[int, str | None]]:
        with self._lock:
            now = self._clock()
            found = [(worker, of(self._reports.get(worker), now)) for worker in range(self._workers)]
        return iter(found)

    def collect(self) -> Iterable[Metric]:
        """Return the families of all processes, as a collector of prometheus_client.

        Counters and histograms are summed up. Of gauges the largest counts.
        """
        total: Families = {}
        with self._lock:
            _add(total, self._past)
            for life in self._reports.values():
                _add(total, life.families, gauges=self._clock() - life.heard_at <= _CURRENT_SECONDS)
        _add(total, _families(WORKER_RESTARTS.collect()))
        return [_as_metric(name, family) for name, family in sorted(total.items())]


def _hangs(life: WorkerReport | None, now: float) -> str | None:
    if life is None:
        return None
    silent = now - life.heard_at
    return f"has not reported for {silent:.0f} s" if silent > _SILENT_SECONDS else life.not_live


def _idles(life: WorkerReport | None, now: float) -> str | None:
    if life is None:
        return "ended; it is to be started again"
    return life.not_ready


def _add(total: Families, more: Families, *, gauges: bool = True) -> None:
    for name, family in more.items():
        if not (gauges or family.adds_up):
            continue
        into = total.setdefault(name, _Family(family.documentation, family.kind)).samples
        for key, value in family.samples.items():
            before = into.get(key)
            into[key] = value if before is None else before + value if family.adds_up else max(before, value)


def _families(metrics: Iterable[Metric]) -> Families:
    """Return the families without the times at which counters were made, which mean nothing in a sum."""
    return {
        metric.name: _Family(
            metric.documentation,
            metric.type,
            {
                (sample.name, tuple(sorted(sample.labels.items()))): sample.value
                for sample in metric.samples
                if not sample.name.endswith("_created")
            },
        )
        for metric in metrics
    }


def _read(documentation: str, kind: str, samples: Iterable[tuple[str, list[list[str]], str]]) -> _Family:
    """Return the families of a report.

    Values are text: JSON has no infinity (a horizon without retention) and no NaN (a gauge that was
    never set).
    """
    known = {
        (name, tuple((label, value) for label, value in labels)): float(amount)
        for name, labels, amount in samples
        if amount != "nan"
    }
    return _Family(documentation, kind, known)


def _as_metric(name: str, family: _Family) -> Metric:
    metric = Metric(name, family.documentation, family.kind)
    for (sample, labels), value in family.samples.items():
        metric.add_sample(sample, dict(labels), value)
    return metric
