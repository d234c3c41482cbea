"""Commit settled offsets to Kafka, as a hint for tools: the ledger alone decides where a sink starts."""

from collections.abc import Callable, Mapping, Sequence

from inbox.events import TopicPartition
from inbox.failpoints import Failpoint, failpoint
from inbox.kafka.consumer import GroupConsumer
from inbox.sink.assignment import Assignment
from inbox.sink.worker.held_end_offsets import HeldEndOffsets
from inbox.telemetry import LAG

_COMMIT_SECONDS = 0.5
_REMIND_SECONDS = 60.0


class OffsetCommits:
    """The offsets that Kafka does not know yet, and the lag of each partition."""

    def __init__(self, consumer: GroupConsumer, assignment: Assignment, clock: Callable[[], float]) -> None:
        self._consumer = consumer
        self._assignment = assignment
        self._clock = clock
        self._pending: dict[TopicPartition, int] = {}
        self._committed_at = 0.0
        self._remind_at = 0.0
        self._held_end_offsets = HeldEndOffsets(consumer, clock)

    def add(self, partition: TopicPartition, offset: int) -> None:
        """Commit this offset next, if the partition is still this worker's."""
        if partition in self._assignment.partitions:
            self._pending[partition] = offset

    def drop(self, partitions: Sequence[TopicPartition]) -> None:
        """Forget the offsets and the lag of partitions that are no longer this worker's."""
        for partition in partitions:
            self._pending.pop(partition, None)
            LAG.remove(partition.topic, str(partition.partition))

    def remind_soon(self) -> None:
        """Commit all settled offsets with the next commit."""
        self._remind_at = 0.0

    @property
    def is_due(self) -> bool:
        """Return whether the last commit is long enough ago."""
        return self._clock() - self._committed_at >= _COMMIT_SECONDS

    def commit(self) -> None:
        """Commit the pending offsets, without waiting for the answer."""
        self._committed_at = self._clock()
        if self._pending:
            self._consumer.commit(self._pending)
            self._pending = {}
            failpoint(Failpoint.TOLD)
        if self._committed_at >= self._remind_at:
            self._remind()

    def _remind(self) -> None:
        """Commit the settled offsets to Kafka again: a tool may have reset the group's offsets, or they expired."""
        self._remind_at = self._committed_at + _REMIND_SECONDS
        if settled := self._assignment.settled_offsets():
            self._consumer.commit(settled)

    def commit_last(self) -> None:
        """Commit the pending offsets, and wait for the answer."""
        if self._pending:
            self._consumer.commit(self._pending, wait=True)
            self._pending = {}

    def show_lag(self, settled: Mapping[TopicPartition, int]) -> int:
        """Publish the lag of each partition that is active or held as a metric; return the sum.

        `settled` are the ledger's offsets.
        """
        seen = {partition: self._consumer.end_seen(partition) for partition in self._assignment.all_active()}
        ends = {**seen, **self._held_end_offsets.of(self._assignment.held())}
        return sum(self._lag(partition, end, settled.get(partition)) for partition, end in ends.items())

    def _lag(self, partition: TopicPartition, end: int | None, settled: int | None) -> int:
        if end is None or settled is None:
            return 0
        lag = max(0, end - settled)
        LAG.labels(partition.topic, str(partition.partition)).set(lag)
        return lag
