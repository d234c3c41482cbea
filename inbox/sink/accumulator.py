"""Collect polled records into the next batch, within its limits."""

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from inbox.errors import HaltError, InboxError, TryAgainError, UnreadableError
from inbox.events import Record, TopicPartition, record_milliseconds
from inbox.kafka.consumer import Polled
from inbox.sink.assignment import Assigned, Assignment
from inbox.sink.batch import Batch, PartitionBatch
from inbox.sink.batch_size import BatchLimit
from inbox.sink.decoder import PairedEvents, TopicDecoder
from inbox.sink.schema_waits import SchemaWait

_AT_MOST_AT_ONCE = 2000

RequireReason = Callable[[TopicPartition, int, int], None]
"""A function that raises if the log has no reason for a gap between two offsets, or if the brokers do not say.

See `inbox.kafka.log.gaps`.
"""


class BatchAccumulator:
    """The batch that is filled while another one is written.

    A part of a batch never holds both offsets that are settled again and offsets that never were:
    what was taken from behind this border is kept back for the next batch. Everything taken after
    the batch is full is kept back too, until the batch is handed over. This happens because `room`
    is an estimate from earlier records, and later ones may be larger.

    A partition stops where a record cannot be read or a gap has no reason: nothing behind that
    offset is taken, and `stops` reports it.
    """

    def __init__(
        self,
        decoders: Mapping[str, TopicDecoder],
        assignment: Assignment,
        *,
        batch_events: int,
        batch_bytes: int,
        require_reason: RequireReason = lambda *_: None,
    ) -> None:
        self._decoders = dict(decoders)
        self._assignment = assignment
        self.limit = BatchLimit(batch_events)
        self._batch_bytes = batch_bytes
        self._mean_bytes = 1024.0
        self.batch = Batch()
        self._bytes = 0
        self._kept_back = Polled()
        self._full = False
        self._require_reason = require_reason
        self._stopped: dict[TopicPartition, InboxError] = {}
        self._waits: dict[TopicPartition, SchemaWait] = {}

    @property
    def stops(self) -> Mapping[TopicPartition, InboxError]:
        """Return why each stopped partition stopped: HaltError, or TryAgainError if the brokers do not say."""
        return self._stopped

    def take_waits(self) -> Mapping[TopicPartition, SchemaWait]:
        """Return where a schema could not be had since the last call; what is before is in the batch."""
        waits, self._waits = self._waits, {}
        return waits

    @property
    def room(self) -> int:
        """Return how many records may be taken now: 0 if the batch is full or must be handed over first."""
        if self._full or self._kept_back.records or self._kept_back.ends:
            return 0
        events = self.limit.records - self.batch.records
        bytes_left = self._batch_bytes - self._bytes
        if events <= 0 or bytes_left <= 0:
            return 0
        return max(1, min(events, _AT_MOST_AT_ONCE, int(bytes_left / self._mean_bytes)))

    def add(self, taken: Polled) -> None:
        """Add what the consumer took, up to the limits of the batch, and keep the rest back."""
        if edges := self._assignment.edges():
            taken = _up_to(edges, taken)
        for error in taken.unreadable:
            self._stop_at(error)
        before_bytes, before_records = self._bytes, self.batch.records
        self._add_records(taken.records)
        for address, end in taken.ends:
            self._pass_to(address, end)
        if (added := self.batch.records - before_records) > 0:
            self._mean_bytes = max(64.0, (self._bytes - before_bytes) / added)

    def _add_records(self, records: Sequence[Record]) -> None:
        """Add records to the batch; skip those of an inactive partition and offsets that were taken before.

        Records come in runs of one partition, so the partition's state is looked up once for each
        run.
        """
        topic, partition, address = "", -1, ("", -1)
        part: PartitionBatch | None = None
        each: Assigned | None = None
        decoder: TopicDecoder | None = None
        paired: PairedEvents = ()
        newest: Record | None = None
        waits: dict[tuple[str, int], SchemaWait] = self._waits  # type: ignore[assignment]
        border: int | None = None
        events_left = 0 if self._full else self.limit.records - self.batch.records
        bytes_left = self._batch_bytes - self._bytes
        for index, record in enumerate(records):
            if record.partition() != partition or record.topic() != topic:
                _note_epoch(part, newest)
                address = topic, partition = (record.topic(), record.partition())
                each, part = self._assignment.active(address), None
                border = self._border(address, each)
            offset = record.offset()
            if each is None or offset < each.taken or address in waits:
                continue
            if events_left <= 0 or bytes_left <= 0:
                # This check comes before the border's: records that were kept back may lie before the border.
                self._full = True
                self._kept_back.records += records[index:]
                break
            if border is not None and offset >= border:
                if each.taken < border:
                    if not self._may_jump(address, each, border):
                        continue
                    self._end_at_border(TopicPartition(*address), each)
                    newest = None
                self._kept_back.records.append(record)
                continue
            if offset != each.taken and not self._may_jump(address, each, offset):
                continue
            if part is None or decoder is None:
                # Not before: a part without offsets would read as committed if its COMMIT is in doubt.
                part = self._slice(TopicPartition(*address), each, record)
                decoder = self._decoder(address[0], each.topic_id)
                paired = decoder.paired(part.routes.values())
            try:
                size = decoder.put(record, paired)
            except TryAgainError as error:
                waits[TopicPartition(*address)] = SchemaWait(offset, error)
                if part.after == part.before:
                    del self.batch.partitions[TopicPartition(*address)]
                _note_epoch(part, newest)
                part = newest = None
                continue
            if not part.records:
                part.first_offset = offset
            part.after = each.taken = offset + 1
            part.records += 1
            part.bytes += size
            bytes_left -= size
            events_left -= 1
            newest = record
        self._bytes = self._batch_bytes - bytes_left
        _note_epoch(part, newest)

    def _pass_to(self, address: TopicPartition, end: int) -> None:
        """Move the partition to `end`: only control and aborted records lie before, and the next batch settles them."""
        each = self._assignment.active(address)
        if each is None or end <= each.taken:
            return
        if self._full:
            self._kept_back.ends.append((address, end))
            return
        border = self._border(address, each)
        to = end if border is None else min(border, end)
        if to > each.taken and not self._may_jump(address, each, to):
            return
        if to < end:
            self._end_at_border(address, each)
            self._kept_back.ends.append((address, end))
            return
        part = self._slice(address, each, None)
        part.after = each.taken = end
        # The record before may have an earlier leader epoch than what lies between it and here.
        part.leader_epoch = None

    def _stop_at(self, error: UnreadableError) -> None:
        """Stop the partition at an unreadable offset. Records before it are still taken.

        The reported offset may lie before what was already taken, so it is raised to the next
        offset to take.
        """
        if error.at is not None and (each := self._assignment.active(error.at)) is not None:
            error.offset = max(error.offset, each.taken)
            self._stopped.setdefault(TopicPartition(*error.at), error)

    def _may_jump(self, address: tuple[str, int], each: Assigned, offset: int) -> bool:
        """Return whether the log has a reason to hold nothing between what was taken and the offset."""
        at = TopicPartition(*address)
        if self._is_stopped(at, offset):
            return False
        try:
            self._require_reason(at, each.taken, offset)
        except (HaltError, TryAgainError) as error:
            self._stopped[at] = error
            return False
        return True

    def _is_stopped(self, at: TopicPartition, offset: int) -> bool:
        stop = self._stopped.get(at)
        return stop is not None and not (isinstance(stop, UnreadableError) and offset <= stop.offset)

    def _border(self, address: tuple[str, int], each: Assigned | None) -> int | None:
        """Return where the current part must end because its first offset was settled before, or None."""
        if each is None:
            return None
        part = self.batch.partitions.get(address)  # type: ignore[call-overload]
        return each.reached if (each.taken if part is None else part.before) < each.reached else None

    def _end_at_border(self, address: TopicPartition, each: Assigned) -> None:
        """Move the partition to the border: the log holds no record right before it, and the gap is settled as well."""
        if each.taken < each.reached:
            part = self._slice(address, each, None)
            part.after = each.taken = each.reached
            part.leader_epoch = None

    def _slice(self, address: TopicPartition, each: Assigned, first: Record | None) -> PartitionBatch:
        """Return the partition's part of the batch; open it at the next offset to take if there is none."""
        if (part := self.batch.partitions.get(address)) is not None:
            return part
        part = PartitionBatch(
            address=address,
            partition_id=each.partition_id,
            owner_epoch=each.owner_epoch,
            before=each.taken,
            after=each.taken,
            again=each.taken < each.reached,
            routes=self._decoder(address.topic, each.topic_id).new_columns(),
            topic_id=each.topic_id,
            oldest_milliseconds=record_milliseconds(first) if first is not None else None,
            replay=each.replay,
        )
        self.batch.partitions[address] = part
        return part

    def _decoder(self, topic: str, topic_id: UUID | None) -> TopicDecoder:
        """Return the decoder for the topic that the ledger knows. A resume may have changed the topic id."""
        decoder = self._decoders[topic]
        if decoder.topic_id != topic_id:
            decoder = self._decoders[topic] = decoder.of(topic_id)
        return decoder

    def drain(self) -> Batch:
        """Return the batch, and begin the next one with what was kept back."""
        batch, self.batch = self.batch, Batch()
        self._take_kept_back()
        return batch

    def _take_kept_back(self) -> None:
        kept_back, self._kept_back = self._kept_back, Polled()
        self._bytes, self._full = 0, False
        self.add(kept_back)

    def drop(self, partitions: Sequence[TopicPartition]) -> None:
        """Remove everything of these partitions from the batch and from what was kept back."""
        for partition in partitions:
            self._stopped.pop(partition, None)
            self._waits.pop(partition, None)
        self.batch = self.batch.without(partitions)
        kept = self._kept_back
        self._kept_back = Polled(
            [record for record in kept.records if (record.topic(), record.partition()) not in partitions],
            [end for end in kept.ends if end[0] not in partitions],
        )
        self._bytes = self.batch.bytes
        if not self.batch:
            self._take_kept_back()


def _up_to(edges: Mapping[tuple[str, int], int], taken: Polled) -> Polled:
    """Cut what was taken at the partitions' edges.

    A record taken from behind an edge shows that everything before the edge was delivered.
    """
    kept = Polled()
    ends = dict(taken.ends)
    for error in taken.unreadable:
        if error.at is None or error.offset < edges.get(error.at, error.offset + 1):
            kept.unreadable.append(error)
        else:
            ends[TopicPartition(*error.at)] = error.offset
    for record in taken.records:
        address = (record.topic(), record.partition())
        if record.offset() < edges.get(address, record.offset() + 1):
            kept.records.append(record)
        else:
            ends[TopicPartition(*address)] = record.offset()
    kept.ends = [(address, min(end, edges.get(address, end))) for address, end in ends.items()]
    return kept


def _note_epoch(part: PartitionBatch | None, newest: Record | None) -> None:
    if part is not None and newest is not None:
        part.leader_epoch = newest.leader_epoch()
