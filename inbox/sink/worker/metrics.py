"""Observe the size and the times of a settled batch for the metrics."""

import time
from collections import defaultdict
from collections.abc import Mapping

from inbox.events import Settlement, TopicPartition
from inbox.sink.batch import Batch
from inbox.telemetry import BATCH_EVENTS, BATCH_SECONDS, END_TO_END_SECONDS, EVENTS


def count_events(by_route: Mapping[tuple[TopicPartition, str], Settlement]) -> None:
    """Count the settled events of each route by how they ended, of all partitions of a topic at once."""
    total: defaultdict[tuple[str, str], Settlement] = defaultdict(Settlement)
    for (address, route), settlement in by_route.items():
        total[address.topic, route].add(settlement)
    for (topic, route), settlement in total.items():
        for ending, count in settlement.by_ending().items():
            if count:
                EVENTS.labels(topic, route, ending.value).inc(count)


def observe_batch(batch: Batch, seconds: float) -> None:
    """Observe a settled batch that took the writer this long."""
    BATCH_SECONDS.observe(seconds)
    if batch.records:
        BATCH_EVENTS.observe(batch.records)
    times = (part.oldest_milliseconds for part in batch.partitions.values())
    oldest = [each for each in times if each is not None]
    if oldest:
        END_TO_END_SECONDS.observe(max(0.0, time.time() - min(oldest) / 1000))
