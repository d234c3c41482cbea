"""The group member: takes records, follows rebalances, and commits offsets to Kafka afterwards.

Facts about librdkafka that this module rests on:

- `poll()` waits for one record and `consume(n, 0)` takes those that are there: together they neither wait for
  a batch to fill nor cost a call per record.
- A pause, a resume and a seek each raise the partition's version; records fetched under an older version
  are discarded when they are taken (`rd_kafka_op_version_outdated`).
- A logical offset (END, STORED) is looked up at the broker, and an answer that comes after a seek still
  moves the partition there, past the offset of the seek. So a partition is assigned only at the ledger's
  offset, once that is known. librdkafka wants an answer to a rebalance, but not an assignment of all its
  partitions in that answer.
- If a broker dies with a commit on its way, a synchronous commit and the close wait for that commit
  as long as no broker is back.
- The end of a partition arrives in order behind its records. So it is evidence that everything before
  it was delivered, including control records and aborted records.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from inbox.errors import HaltError, InboxError, LostOffsetError, TryAgainError, UnreadableError
from inbox.events import Record, TopicPartition
from inbox.kafka.clients import ended_within, error_of, made
from inbox.kafka.consumer_properties import consumer_properties
from inbox.kafka.errors import is_unreadable, translate, unreadable
from inbox.kafka.log.open_transactions import OpenTransactions
from inbox.kafka.options import KafkaOptions
from inbox.kafka.outage import KafkaOutage
from inbox.kafka.tokens import token_properties
from inbox.log_lines import log

_ASK_AGAIN_SECONDS = 5.0
_TOPIC_SECONDS = 1.0
_PLACED_WITHIN_SECONDS = 30.0
_END_SECONDS = 8.0
_ASK_END_SECONDS = 0.5
_OF_TOPIC = "Subscribed topic not available"
"""librdkafka's text in `rd_kafka_propagate_consumer_topic_errors` (`rdkafka_cgrp.c`)."""


@dataclass(slots=True)
class Polled:
    """The result of one `poll`: records in offset order per partition, partition ends met, and unreadable offsets."""

    records: list[Record] = field(default_factory=list)
    ends: list[tuple[TopicPartition, int]] = field(default_factory=list)
    unreadable: list[UnreadableError] = field(default_factory=list)


@dataclass(frozen=True)
class RebalanceListener:
    """The callbacks of a rebalance.

    They are called from within `poll` and `close`, while the caller of these waits, so they must not wait for
    the database.
    """

    assigned: Callable[[Sequence[TopicPartition]], None]
    revoked: Callable[[Sequence[TopicPartition]], None]
    lost: Callable[[Sequence[TopicPartition]], None]


class GroupConsumer:
    """A member of the sink's consumer group.

    Nothing of a partition is delivered until `seek` names the offset that the ledger expects. `outage` knows
    which parts of Kafka are away.
    """

    def __init__(
        self,
        options: KafkaOptions,
        *,
        batch_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        properties = {**consumer_properties(options, batch_bytes=batch_bytes), **token_properties(options)}
        self.outage = KafkaOutage()
        self._consumer = made(
            lambda: Consumer({**properties, "error_cb": self._on_error, "stats_cb": self._on_statistics})
        )
        self._clock = clock
        self._open_transactions = OpenTransactions(clock)
        self._asked_at = 0.0
        self._placed: set[TopicPartition] = set()
        self._paused: set[TopicPartition] = set()
        self._unplaced_since: dict[TopicPartition, float] = {}
        self._sought: dict[TopicPartition, int] = {}

    def subscribe(self, topics: Sequence[str], listener: RebalanceListener) -> None:
        def on_assign(consumer: Consumer, partitions: list[KafkaPartition]) -> None:
            consumer.incremental_assign([])
            self.outage.assigned(_addresses(partitions))
            listener.assigned(_addresses(partitions))

        def on_revoke(_: Consumer, partitions: list[KafkaPartition]) -> None:
            listener.revoked(_addresses(partitions))
            self._remove(_addresses(partitions))

        def on_lost(_: Consumer, partitions: list[KafkaPartition]) -> None:
            listener.lost(_addresses(partitions))
            self._remove(_addresses(partitions))

        self._consumer.subscribe(list(topics), on_assign=on_assign, on_revoke=on_revoke, on_lost=on_lost)

    def _remove(self, partitions: Sequence[TopicPartition]) -> None:
        placed = [partition for partition in partitions if partition in self._placed]
        self._placed.difference_update(placed)
        self._paused.difference_update(partitions)
        for partition in partitions:
            self._sought.pop(partition, None)
            self._unplaced_since.pop(partition, None)
        self.outage.unassigned(partitions)
        self._consumer.incremental_unassign([KafkaPartition(*partition) for partition in placed])

    def poll(self, limit: int, *, wait_seconds: float) -> Polled:
        """Return at most `limit` records: those that are there, or the first that arrives within `wait_seconds`.

        Raises:
            HaltError: the log no longer has an offset that was asked for.
        """
        self._ask_again()
        taken = Polled()
        if (error := error_of(lambda: self._take(limit, wait_seconds, taken))) is not None:
            self._complain_of_client(error)
        if self._sought:
            self._check_first(taken)
        return taken

    def _take(self, limit: int, wait_seconds: float, taken: Polled) -> None:
        first = self._consumer.poll(wait_seconds) if wait_seconds else None
        if first is not None:
            self._sort(first, taken)
            limit -= 1
        elif wait_seconds:
            return
        messages: list[Any] = self._consumer.consume(limit, 0) if limit else []
        if self.outage.partitions or any(message.error() is not None for message in messages):
            for message in messages:
                self._sort(message, taken)
        else:
            taken.records += messages

    def _complain_of_client(self, error: KafkaError) -> None:
        """Handle an error that belongs to no record, which librdkafka raises from its callbacks too.

        Raises the translated error, unless waiting helps against it.
        """
        failure = translate(error, "being a member of the group")
        if not isinstance(failure, TryAgainError):
            raise failure
        self.outage.refused(error, None, failure)

    def _check_first(self, taken: Polled) -> None:
        """Raise if the first delivery after a seek is later than asked for because the log begins later by now."""
        for partition, offset in [*_firsts(taken.records), *taken.ends]:
            wanted = self._sought.pop(partition, offset)
            if offset > wanted and (start := self._start_seen(partition)) > wanted:
                raise _lost(partition, f"reading {partition}@{wanted}: the log begins at {start} by now")

    def _sort(self, message: Any, taken: Polled) -> None:
        error: KafkaError | None = message.error()
        if error is None:
            taken.records.append(message)
        elif error.code() == KafkaError._PARTITION_EOF:
            taken.ends.append((TopicPartition(message.topic(), message.partition()), message.offset()))
        else:
            self._complain(error, message, taken)
            return
        if self.outage.partitions:
            self.outage.delivered(TopicPartition(message.topic(), message.partition()))

    def _complain(self, error: KafkaError, message: Any, taken: Polled) -> None:
        where = _partition_of(error, message)
        if where is not None and is_unreadable(error):
            # The records before it are good and are kept; the caller of `poll` stops at the unreadable offset.
            taken.unreadable.append(unreadable(error, where, message.offset()))
            return
        what = None if where is None else where.topic if where.partition < 0 else where
        failure = translate(error, f"reading {what}" if what else "reading")
        if isinstance(failure, LostOffsetError):
            failure.at = where
        if not isinstance(failure, TryAgainError):
            raise failure
        self.outage.refused(error, where, failure)

    def _on_error(self, error: KafkaError) -> None:
        """Note librdkafka's own reports, made from within `poll`.

        Mostly a broker is away, from which librdkafka recovers by itself.
        """
        self.outage.happened(error)

    def _on_statistics(self, text: str) -> None:
        self.outage.statistics(text)
        # A paused partition is not fetched, so the ends known for it are old.
        self._open_transactions.statistics(text, self._placed - self._paused)

    def _ask_again(self) -> None:
        """Check now and then whether partitions that were away are back, since librdkafka does not report that."""
        partitions = [partition for partition in self.outage.partitions if partition in self._placed]
        topics = [] if self.outage.brokers_away else self.outage.topics
        if not (partitions or topics) or self._clock() - self._asked_at < _ASK_AGAIN_SECONDS:
            return
        self._asked_at = self._clock()
        if partitions:
            self._read_again(partitions)
        if topics:
            self._describe(topics)

    def _read_again(self, partitions: Sequence[TopicPartition]) -> None:
        """Seek to the current positions, to see whether they can be read.

        The seek is needed because librdkafka reports the end of a partition only once.
        """
        for position in self._consumer.position([KafkaPartition(*partition) for partition in partitions]):
            partition = TopicPartition(position.topic, position.partition)
            paused = partition in self._paused
            if position.offset >= 0:
                self.seek(partition, position.offset)
            if paused:
                self.pause([partition])

    def _describe(self, topics: Sequence[str]) -> None:
        """Describe topics to see whether they are back.

        librdkafka reports a topic's error once and never its end, which only a member with partitions of the
        topic would see.
        """
        for name in topics:
            try:
                found = self._consumer.list_topics(name, timeout=_TOPIC_SECONDS).topics.get(name)
            except KafkaException:
                return
            if found is not None and found.error is None:
                self.outage.described(name)

    def seek(self, partition: TopicPartition, offset: int, leader_epoch: int | None = None) -> bool:
        """Deliver from `offset` on; return False if librdkafka is not ready yet and has to be asked again.

        `leader_epoch` is the epoch of the record before. With it the broker can say whether the log was
        truncated below `offset` since (KIP-320), however far the log has grown again. Only a seek asks this,
        not an assignment.
        """
        self._sought[partition] = offset
        position = KafkaPartition(
            partition.topic, partition.partition, offset, leader_epoch=-1 if leader_epoch is None else leader_epoch
        )
        try:
            if partition not in self._placed:
                self._consumer.incremental_assign([position])
                self._placed.add(partition)
                if leader_epoch is None:
                    self.resume([partition])
                    return True
            self._consumer.seek(position)
        except KafkaException as error:
            failure = translate(error.args[0], f"going to {partition}@{offset}")
            if isinstance(failure, HaltError):
                raise failure from error
            self._note_unplaced(partition, failure)
            return False
        self._unplaced_since.pop(partition, None)
        self.resume([partition])
        return True

    def _note_unplaced(self, partition: TopicPartition, failure: InboxError) -> None:
        """Report a partition as unreadable if librdkafka is not ready for it in time; a short delay is usual."""
        since = self._unplaced_since.setdefault(partition, self._clock())
        if self._clock() - since >= _PLACED_WITHIN_SECONDS and isinstance(failure, TryAgainError):
            self.outage.unreadable(partition, failure)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        placed = [p for p in partitions if p in self._placed]
        self._paused.update(placed)
        self._consumer.pause([KafkaPartition(*p) for p in placed])

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        placed = [p for p in partitions if p in self._placed]
        self._paused.difference_update(placed)
        self._consumer.resume([KafkaPartition(*p) for p in placed])

    def commit(self, next_offsets: Mapping[TopicPartition, int], *, wait: bool = False) -> None:
        """Commit offsets to the group, a hint for lag tools that the sink never reads back.

        Nothing is committed while the brokers are away.
        """
        if self.outage.brokers_away:
            return
        offsets = [KafkaPartition(*partition, offset) for partition, offset in next_offsets.items()]
        try:
            if wait:
                ended_within(_END_SECONDS, lambda: self._consumer.commit(offsets=offsets, asynchronous=False))
            else:
                self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            log().info("kafka-commit-skipped", error=str(translate(error.args[0], "committing the offsets to Kafka")))

    def _start_seen(self, partition: TopicPartition) -> int:
        """Return the log's first offset as of the last fetch; below 0 before the first fetch."""
        start, _ = self._consumer.get_watermark_offsets(KafkaPartition(*partition), cached=True)
        return int(start)

    def end_seen(self, partition: TopicPartition) -> int | None:
        """Return the last stable offset as of the last fetch; None before the first fetch."""
        _, end = self._consumer.get_watermark_offsets(KafkaPartition(*partition), cached=True)
        return end if end >= 0 else None

    def ask_end(self, partition: TopicPartition) -> int | None:
        """Ask the broker for the last stable offset, which nothing fetches for a paused partition.

        Returns:
            None if the broker does not answer soon.
        """
        if self.outage.brokers_away:
            return None
        try:
            _, end = self._consumer.get_watermark_offsets(KafkaPartition(*partition), timeout=_ASK_END_SECONDS)
        except KafkaException:
            return None
        return end if end >= 0 else None

    def close(self) -> None:
        """Leave the group; if that fails, the brokers remove the member after its session timeout."""
        self.outage.close()
        self._open_transactions.forget(self._placed)
        if not ended_within(_END_SECONDS, self._consumer.close):
            log().warning("group-not-left", after_seconds=_END_SECONDS)


def _firsts(records: Sequence[Record]) -> Iterator[tuple[TopicPartition, int]]:
    """Return where each run of records of one partition begins, with its first offset."""
    topic, partition = "", -1
    for record in records:
        if record.partition() != partition or record.topic() != topic:
            topic, partition = record.topic(), record.partition()
            yield TopicPartition(topic, partition), record.offset()


def _partition_of(error: KafkaError, message: Any) -> TopicPartition | None:
    """Return the partition that an error is of; -1 stands for the whole topic, None for the group."""
    if not message.topic():
        return None
    # An error of a topic has the number of its first partition, even if another member reads that. Only its text
    # says that it concerns the topic.
    of_topic = error.str().startswith(_OF_TOPIC)
    return TopicPartition(message.topic(), -1 if of_topic else message.partition())


def _lost(partition: TopicPartition, text: str) -> LostOffsetError:
    error = LostOffsetError(f"{text}; see `inbox status`, then decide with `inbox resume`")
    error.at = partition
    return error


def _addresses(partitions: Iterable[KafkaPartition]) -> list[TopicPartition]:
    return [TopicPartition(p.topic, p.partition) for p in partitions]
