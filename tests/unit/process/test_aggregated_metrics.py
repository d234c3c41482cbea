"""The reports of several processes as one scrape and one probe."""

import math
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from inbox.process.aggregated_metrics import AggregatedMetrics, report
from inbox.telemetry import EVENTS, HORIZON_SECONDS, REGISTRY


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def line(*, not_live: str | None = None, not_ready: str | None = None, **metrics: Any) -> bytes:
    """What a worker reports; metrics are `name=(kind, {labels: value})`."""
    told = {
        f"inbox_{name}": [
            "what it is",
            kind,
            [[sample_name(name, kind), sorted(labels), repr(value)] for labels, value in values.items()],
        ]
        for name, (kind, values) in metrics.items()
    }
    return orjson.dumps({"not_live": not_live, "not_ready": not_ready, "metrics": told}) + b"\n"


def sample_name(name: str, kind: str) -> str:
    return f"inbox_{name}_total" if kind == "counter" else f"inbox_{name}"


def labelled(**labels: str) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


def value(metrics: AggregatedMetrics, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(metrics)  # type: ignore[arg-type]
    return registry.get_sample_value(name, labels)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics(clock: Clock) -> AggregatedMetrics:
    return AggregatedMetrics(2, clock)


NONE = labelled()
FIRST = labelled(topic="orders", partition="0")


def counter(amount: float, labels: frozenset[tuple[str, str]] = NONE) -> tuple[str, Mapping[Any, float]]:
    return "counter", {labels: amount}


def gauge(amount: float, labels: frozenset[tuple[str, str]] = NONE) -> tuple[str, Mapping[Any, float]]:
    return "gauge", {labels: amount}


def test_counters_are_summed_up_and_of_gauges_the_largest_is_shown(metrics: AggregatedMetrics) -> None:
    for worker, (events, paused) in enumerate([(3, 0), (4, 1)]):
        metrics.reported(metrics.began(worker), line(events=counter(events), paused=gauge(paused)))
    assert value(metrics, "inbox_events_total") == 7
    assert value(metrics, "inbox_paused") == 1


def test_a_replaced_worker_keeps_its_counts_and_loses_its_gauges(metrics: AggregatedMetrics) -> None:
    life = metrics.began(0)
    metrics.reported(life, line(events=counter(5), lag=gauge(9, FIRST)))
    metrics.ended(life)
    assert value(metrics, "inbox_events_total") == 5
    assert value(metrics, "inbox_lag", topic="orders", partition="0") is None
    metrics.reported(metrics.began(0), line(events=counter(2), lag=gauge(1, FIRST)))
    assert value(metrics, "inbox_events_total") == 7
    assert value(metrics, "inbox_lag", topic="orders", partition="0") == 1


def test_the_last_words_of_a_process_that_is_gone_do_not_come_back(metrics: AggregatedMetrics) -> None:
    gone = metrics.began(0)
    metrics.ended(gone)
    metrics.began(0)
    metrics.reported(gone, line(lag=gauge(9, FIRST)))
    assert value(metrics, "inbox_lag", topic="orders", partition="0") is None
    assert metrics.not_ready() == "worker 0: starting"


def test_the_lag_of_one_that_is_silent_is_not_shown_and_its_counts_are(
    metrics: AggregatedMetrics, clock: Clock
) -> None:
    stopped, other = metrics.began(0), metrics.began(1)
    metrics.reported(stopped, line(events=counter(5), lag=gauge(9, FIRST)))
    clock.now += 6
    metrics.reported(other, line(lag=gauge(2, FIRST)))
    assert value(metrics, "inbox_lag", topic="orders", partition="0") == 2
    assert value(metrics, "inbox_events_total") == 5


def test_ready_when_all_are_and_the_first_that_is_not_says_why(metrics: AggregatedMetrics) -> None:
    lives = [metrics.began(worker) for worker in range(2)]
    metrics.reported(lives[0], line())
    assert metrics.not_ready() == "worker 1: starting"
    metrics.reported(lives[1], line(not_ready="waiting for database"))
    assert metrics.not_ready() == "worker 1: waiting for database"
    metrics.reported(lives[1], line())
    assert metrics.not_ready() is None
    metrics.ended(lives[0])
    assert metrics.not_ready() == "worker 0: ended; it is to be started again"


def test_live_while_none_hangs(metrics: AggregatedMetrics, clock: Clock) -> None:
    lives = [metrics.began(worker) for worker in range(2)]
    assert metrics.not_live() is None
    metrics.reported(lives[1], line(not_live="the loop has not turned for 31 s"))
    assert metrics.not_live() == "worker 1: the loop has not turned for 31 s"
    metrics.ended(lives[1])
    assert metrics.not_live() is None
    clock.now += 31
    assert metrics.not_live() == "worker 0: has not reported for 31 s"


@pytest.mark.parametrize("horizon", [math.nan, math.inf, 86_400.0])
def test_what_a_process_reports_of_itself_is_what_it_would_have_shown(
    metrics: AggregatedMetrics, horizon: float
) -> None:
    EVENTS.labels("gathered", "a route", "applied").inc(3)
    HORIZON_SECONDS.set(horizon)
    metrics.reported(metrics.began(0), report(None, None))
    registry = CollectorRegistry()
    registry.register(metrics)  # type: ignore[arg-type]
    assert samples(registry) == samples(REGISTRY)


def samples(registry: CollectorRegistry) -> set[tuple[str, str, tuple[tuple[str, str], ...], float]]:
    """Without the time at which a counter was made, and what nobody has set."""
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (family.name, sample.name, tuple(sorted(sample.labels.items())), sample.value)
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created") and sample.value == sample.value
    }
