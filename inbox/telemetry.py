"""Define the metrics in one place, so that dashboards and alerts do not drift, and report outages and pauses."""

import math
import platform
import time
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from inbox.errors import TryAgainError, error_text
from inbox.log_lines import log

REGISTRY = CollectorRegistry()

EVENTS = Counter("inbox_events", "Events settled, by ending.", ["topic", "route", "ending"], registry=REGISTRY)
LAG = Gauge("inbox_lag", "Last stable offset minus next_offset.", ["topic", "partition"], registry=REGISTRY)
OPEN_TRANSACTION_SECONDS = Gauge(
    "inbox_open_transaction_seconds",
    "How long a producer's open transaction has held the partition up; 0 while none does.",
    ["topic", "partition"],
    registry=REGISTRY,
)
BATCH_SECONDS = Histogram("inbox_batch_seconds", "From the hand-over of a batch to its end.", registry=REGISTRY)
COMMIT_SECONDS = Histogram("inbox_commit_seconds", "From the sending of COMMIT to its answer.", registry=REGISTRY)
BATCH_EVENTS = Histogram(
    "inbox_batch_events",
    "Events in one transaction.",
    buckets=(1, 10, 100, 500, 1000, 2500, 5000, 10_000, 50_000, 100_000),
    registry=REGISTRY,
)
END_TO_END_SECONDS = Histogram(
    "inbox_end_to_end_seconds",
    "From the timestamp of a batch's oldest record to its database commit.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600),
    registry=REGISTRY,
)
DEAD_LETTERS = Gauge(
    "inbox_dead_letters", "Open dead letters, parked or waiting behind one.", ["state"], registry=REGISTRY
)
PARKED_BY_KIND = Gauge("inbox_parked", "Parked events by the kind of their cause.", ["kind"], registry=REGISTRY)
AUTOMATIC_RETRIES = Counter(
    "inbox_automatic_retries", "Parked events that the sink tried again by itself.", ["outcome"], registry=REGISTRY
)
SAME_ID_OTHER_PAYLOAD = Counter(
    "inbox_same_id_other_payload",
    "Events whose id was applied before with another payload, parked or counted as duplicates.",
    registry=REGISTRY,
)
UNKNOWN_MEMBERS = Counter(
    "inbox_unknown_members",
    "Members of applied events that fill no column of their route's table.",
    ["route"],
    registry=REGISTRY,
)
FENCED = Counter("inbox_fenced", "Batches of a partition that met a higher owner epoch.", registry=REGISTRY)
RETRIES = Counter("inbox_retries", "Work for the database tried again.", ["reason"], registry=REGISTRY)
PAUSED = Gauge(
    "inbox_paused",
    "Above 0 while the sink, or a partition of it, waits for something to come back.",
    ["reason"],
    registry=REGISTRY,
)
HELD = Gauge(
    "inbox_held", "Partitions of the topic that an operator holds, by `inbox hold`.", ["topic"], registry=REGISTRY
)
OF_PARTITIONS = frozenset({"dead_letters", "missing_row"})
"""The reasons of `inbox_paused` that concern only some partitions, while the sink works on the others."""
WORKER_RESTARTS = Counter(
    "inbox_worker_restarts", "Workers started again by `inbox run --workers N`, however they ended.", registry=REGISTRY
)
HORIZON_SECONDS = Gauge(
    "inbox_horizon_seconds",
    "How far back duplicates are recognised; +Inf: all; NaN where it is not known.",
    registry=REGISTRY,
)
HORIZON_SECONDS.set(math.nan)
LAST_PRUNE = Gauge(
    "inbox_last_prune_timestamp_seconds",
    "When the last round of pruning ended that left nothing over, as Unix time; NaN where it is not known.",
    registry=REGISTRY,
)
LAST_PRUNE.set(math.nan)
OUTBOX_PENDING = Gauge(
    "inbox_outbox_pending", "Rows of the outbox that are not sent yet; NaN but in the active relay.", registry=REGISTRY
)
OUTBOX_PENDING.set(math.nan)
RELAY_EVENTS = Counter("inbox_relay_events", "Events of the outbox that Kafka has taken.", registry=REGISTRY)
BUILD = Gauge(
    "inbox_build_info", "1, with the versions of this process.", ["version", "librdkafka", "python"], registry=REGISTRY
)


def show_build(version: str, librdkafka: str) -> None:
    """Set `inbox_build_info` to the versions of this process."""
    BUILD.labels(version, librdkafka, platform.python_version()).set(1)


class Outage:
    """An outage, reported without noise: one line at its start, one for each further reason, one at its end."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = 0.0
        self._away: str | None = None
        self._reported: set[tuple[str, str]] = set()
        self._closed = False

    def seen(self, failure: TryAgainError) -> None:
        """Record that the service is away, or still is. After `close` this does nothing."""
        if self._closed:
            return
        if self._away is None:
            self._since = self._clock()
        self._pause_for(failure.away)
        if (failure.away, failure.reason) not in self._reported:
            self._reported.add((failure.away, failure.reason))
            tell = log().error if failure.alert else log().warning
            tell("outage", away=failure.away, reason=failure.reason, error=error_text(failure))

    def over(self) -> None:
        """Record that the service is back. This does nothing if there was no outage."""
        if self._away is not None:
            seconds = round(self._clock() - self._since, 1)
            log().info("outage-over", away=self._away, after_seconds=seconds)
            self.given_up()

    def given_up(self) -> None:
        """Record that nothing waits for the service any more."""
        self._pause_for(None)
        self._reported.clear()

    def close(self) -> None:
        """Record that the waiting worker ends: what it still hears while it closes is not an outage."""
        self._closed = True
        self.given_up()

    def _pause_for(self, away: str | None) -> None:
        if away == self._away:
            return
        if self._away is not None:
            PAUSED.labels(self._away).dec()
        if away is not None:
            PAUSED.labels(away).inc()
        self._away = away


class Pauses:
    """The partitions of a worker that dead letters pause, reported at the start and at the end of a pause."""

    def __init__(self) -> None:
        self.partitions: frozenset[object] = frozenset()

    def now(self, partitions: Iterable[object]) -> None:
        """Record that exactly these partitions are paused now."""
        before, self.partitions = self.partitions, frozenset(partitions)
        if self.partitions == before:
            return
        PAUSED.labels("dead_letters").set(len(self.partitions))
        if begun := self.partitions - before:
            log().error(
                "partitions-paused",
                partitions=sorted(map(str, begun)),
                reason="more dead letters within an hour than [failures] halt_above",
                remedy="see `inbox dead-letters list`; a retry or a discard lets them continue, and so does time",
            )
        if ended := before - self.partitions:
            log().info("partitions-resumed", partitions=sorted(map(str, ended)))
