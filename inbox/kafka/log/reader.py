"""Read ranges of logs outside the group, with a consumer that is not a member, commits nothing and changes nothing.

Partitions are assigned, not subscribed to, so the group's coordinator does not notice and no partitions move.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from inbox.errors import InboxError, LostOffsetError, TryAgainError, UnreadableError
from inbox.events import Record, TopicPartition, record_time
from inbox.kafka.clients import made
from inbox.kafka.consumer_properties import reader_properties
from inbox.kafka.errors import is_unreadable, translate, unreadable
from inbox.kafka.log.gaps import Gaps
from inbox.kafka.options import KafkaOptions
from inbox.kafka.tokens import token_properties

_AT_ONCE = 2000
_LOOK_SECONDS = 0.5
_LEADERS_SECONDS = 1.0


@dataclass(slots=True)
class _Piece:
    """A run of records, the offset behind them (-1 if nothing arrived), and the error that ends the run."""

    records: list[Record]
    after: int
    failure: UnreadableError | None = None


class LogReader:
    """A reader of committed records in offset order, one partition at a time.

    `batch_bytes` bounds how much is fetched ahead. `patience_seconds` is how long to wait for data that must
    still come. `gaps` judges where the log may hold nothing; without `gaps` any gap is accepted. With
    `uncommitted`, records of open and aborted transactions are read too.
    """

    def __init__(
        self,
        options: KafkaOptions,
        *,
        batch_bytes: int,
        patience_seconds: float = 60.0,
        gaps: Gaps | None = None,
        uncommitted: bool = False,
    ) -> None:
        properties: dict[str, Any] = {
            **reader_properties(options, batch_bytes=batch_bytes),
            **token_properties(options),
        }
        properties["statistics.interval.ms"] = "0"
        if uncommitted:
            properties["isolation.level"] = "read_uncommitted"
        self._consumer: Any = made(lambda: Consumer({**properties, "error_cb": self._on_error}))
        self._patience = patience_seconds
        self._gaps = gaps
        self._learned: set[str] = set()
        self._failure: InboxError | None = None

    def _on_error(self, error: KafkaError) -> None:
        self._failure = translate(error, "reading beside the group")

    def read(self, at: TopicPartition, from_offset: int, until_offset: int) -> Iterator[tuple[list[Record], int]]:
        """Yield the log's records between the offsets in pieces, each with the offset up to which it reaches.

        Offsets without a record are skipped if the log has a reason for them.

        Raises:
            UnreadableError: the next offset cannot be read, or is empty without a reason. Everything before it was
                yielded.
            LostOffsetError: the log no longer holds the next offset to read.
            TryAgainError: nothing arrived within `patience_seconds`.
        """
        if from_offset >= until_offset:
            return
        self._learn(at.topic)
        self._consumer.assign([KafkaPartition(*at, from_offset)])
        reached, deadline = from_offset, time.monotonic() + self._patience
        while reached < until_offset:
            taken = self._take(at)
            piece = self._without_gap(at, reached, until_offset, taken)
            if piece.after > reached:
                deadline = time.monotonic() + self._patience
                reached = piece.after
                yield piece.records, reached
            if piece.failure is not None and reached < until_offset:
                # librdkafka names the first offset of an unreadable batch, even if the reading began within the
                # batch.
                piece.failure.offset = max(piece.failure.offset, reached)
                raise piece.failure
            if time.monotonic() > deadline:
                raise self._gave_up(at, reached)
        self._consumer.unassign()

    def _learn(self, topic: str) -> None:
        """Ask for the leaders of a topic that is new to this reader; without an answer, reading waits for them.

        By itself librdkafka looks for the leaders of topics that it does not know once a second (its issue 3202).
        """
        if topic not in self._learned:
            with suppress(KafkaException):
                self._consumer.list_topics(topic, timeout=min(_LEADERS_SECONDS, self._patience))
            self._learned.add(topic)

    def _without_gap(self, at: TopicPartition, reached: int, until_offset: int, taken: "_Piece") -> "_Piece":
        """Return the part of `taken` below `until_offset`, up to the first gap without a reason."""
        first = taken.records[0].offset() if taken.records else reached
        if first == reached and taken.after == reached + len(taken.records) <= until_offset:
            return taken
        records: list[Record] = []
        try:
            for record in taken.records:
                if (offset := record.offset()) >= until_offset:
                    break
                self._require_reason(at, reached, offset)
                records.append(record)
                reached = offset + 1
            self._require_reason(at, reached, end := min(taken.after, until_offset))
        except UnreadableError as error:
            return _Piece(records, reached, error)
        return _Piece(records, max(reached, end), taken.failure)

    def _require_reason(self, at: TopicPartition, from_offset: int, until_offset: int) -> None:
        if self._gaps is not None and until_offset > from_offset:
            self._gaps.require_reason(at, from_offset, until_offset)

    def _take(self, at: TopicPartition) -> "_Piece":
        """Return what has arrived, up to the first message that cannot be read."""
        first = self._consumer.poll(_LOOK_SECONDS)
        taken = _Piece([], -1)
        for message in [] if first is None else [first, *self._consumer.consume(_AT_ONCE, 0)]:
            if (message.topic(), message.partition()) != at:
                continue
            error = message.error()
            if error is None:
                taken.records.append(message)
                taken.after = message.offset() + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                taken.after = message.offset()
            elif is_unreadable(error):
                taken.failure = unreadable(error, TopicPartition(*at), max(taken.after, message.offset()))
                taken.after = max(taken.after, message.offset())
                return taken
            else:
                self._fail(at, error)
        return taken

    def _fail(self, at: tuple[str, int], error: KafkaError) -> None:
        failure = translate(error, f"reading {TopicPartition(*at)}")
        if not isinstance(failure, TryAgainError):
            if isinstance(failure, LostOffsetError):
                failure.at = at
            raise failure
        self._failure = failure

    def _gave_up(self, at: TopicPartition, offset: int) -> InboxError:
        text = f"{at}@{offset} could not be read within {self._patience:g} s"
        return TryAgainError(f"{text}: {self._failure}" if self._failure else text, away="kafka", reason="brokers")

    def first_times(self, positions: Mapping[TopicPartition, int], *, seconds: float) -> dict[TopicPartition, datetime]:
        """Return the timestamp of the first record at or after each position.

        A partition is left out if the brokers do not answer within `seconds`, if there is no such record, or if the
        record has no timestamp.
        """
        if not positions:
            return {}
        self._consumer.assign([KafkaPartition(*at, offset) for at, offset in positions.items()])
        found: dict[TopicPartition, datetime] = {}
        waiting, deadline = set(positions), time.monotonic() + seconds
        while waiting and time.monotonic() < deadline:
            message = self._consumer.poll(0.05)
            if message is None or (at := TopicPartition(message.topic(), message.partition())) not in waiting:
                continue
            waiting.discard(at)
            if message.error() is None and (moment := record_time(message)) is not None:
                found[at] = moment
            try:
                self._consumer.incremental_unassign([KafkaPartition(*at)])
            except KafkaException:
                continue
        self._consumer.unassign()
        return found

    def close(self) -> None:
        self._consumer.close()
