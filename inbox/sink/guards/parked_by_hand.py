"""Refuse the events that a person parked before the sink reached them (`inbox dead-letters park`).

Their dead letters are in the table while the ledger is still before them. The command raises the
owner epoch, so that the owner acquires the partition again and reads these dead letters.
"""

from collections.abc import Sequence

from inbox.errors import EventError, FailureKind
from inbox.sink.batch import Batch, RouteBatch
from inbox.sink.guards.guard import Guard
from inbox.store.inbox.dead_letters import DeadLetters


class ParkedByHandError(EventError):
    """The error of an event that a person decided not to try."""

    failure_kind = FailureKind.BY_HAND


class HandParked(Guard):
    """The events parked by hand that one connection knows, by partition id."""

    def __init__(self, dead_letters: DeadLetters) -> None:
        self._dead_letters = dead_letters
        self._by_partition: dict[int, dict[tuple[int, int], str]] = {}
        self._any = False

    def acquired(self, partition_ids: Sequence[int]) -> None:
        """Read the dead letters of these partitions whose offsets were never settled."""
        self._by_partition.update({partition_id: {} for partition_id in partition_ids})
        for letter in self._dead_letters.parked_ahead(partition_ids, ParkedByHandError.__name__):
            self._by_partition[letter.partition_id][letter.route_id, letter.kafka_offset] = letter.error
        self._any = any(self._by_partition.values())

    def begin(self, batch: Batch) -> None:
        """Read the partitions of the batch that were not read on this connection."""
        ids = [each.partition_id for each in batch.partitions.values()]
        if unknown := [each for each in ids if each not in self._by_partition]:
            self.acquired(unknown)

    def mark(self, route_id: int, events: RouteBatch) -> None:
        """Refuse the events of the route's batch that were parked by hand."""
        if not self._any:
            return
        for at, (partition_id, record) in enumerate(zip(events.partition_ids, events.records, strict=True)):
            if events.replays.get(partition_id) is None:
                reason = self._by_partition.get(partition_id, {}).get((route_id, record.offset()))
                if reason is not None:
                    events.refused[at] = ParkedByHandError(reason)
