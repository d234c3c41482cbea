"""Hold the partitions whose next record needs a schema that cannot be had now; all others continue.

What lies before such a record is settled first. Then the partition is held, and tried again after a while.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from inbox.errors import TryAgainError
from inbox.events import TopicPartition
from inbox.sink.assignment import Assignment
from inbox.telemetry import RETRIES, Outage


class SchemaWait(NamedTuple):
    """A record that cannot be decoded yet: its offset, and why."""

    offset: int
    error: TryAgainError


class SchemaWaits:
    """The partitions that wait for a schema, and the outage that this is."""

    def __init__(self, assignment: Assignment, outage: Outage) -> None:
        self._assignment = assignment
        self._outage = outage
        self._waiting: dict[TopicPartition, int] = {}

    def __contains__(self, partition: TopicPartition) -> bool:
        return partition in self._waiting

    def note(self, waits: Mapping[TopicPartition, SchemaWait]) -> None:
        """Let batches end before these records, and report the outage."""
        for partition, (offset, error) in waits.items():
            self._assignment.await_row(partition, offset)
            self._waiting[partition] = offset
            self._outage.seen(error)
            RETRIES.labels(error.reason).inc()

    def settled(self, partition: TopicPartition, after: int) -> None:
        """Record that the partition is settled up to `after`; the outage is over with the last that waited."""
        if self._waiting and self._waiting.get(partition, after) < after:
            del self._waiting[partition]
            if not self._waiting:
                self._outage.over()

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Forget partitions that were revoked."""
        if not self._waiting:
            return
        for partition in partitions:
            self._waiting.pop(partition, None)
        if not self._waiting:
            self._outage.given_up()

    def close(self) -> None:
        """Record that the worker ends."""
        self._outage.close()
