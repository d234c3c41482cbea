"""Reads ranges of logs beside the group: a consumer that is no member, commits nothing and changes nothing.

Partitions are assigned, not subscribed to, so that no coordinator learns of it and nobody's partitions move.
"""

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from inbox.errors import InboxError, LostPlaceError, TryAgainError
from inbox.events import Record, TopicPartition, record_time
from inbox.kafka.consumer import consumer_properties
from inbox.kafka.failures import translated
from inbox.kafka.options import KafkaOptions

_AT_ONCE = 2000
_LOOK_SECONDS = 0.5


class LogReader:
    """Committed records in the order of their offsets, one partition at a time.

    `batch_bytes` bounds what is fetched ahead; `patience_seconds` how long nothing may come where more is to come.
    """

    def __init__(self, options: KafkaOptions, *, batch_bytes: int, patience_seconds: float = 60.0) -> None:
        properties: dict[str, Any] = {**consumer_properties(options, batch_bytes=batch_bytes)}
        properties |= {"client.id": "kafka-inbox-reader", "statistics.interval.ms": "0"}
        properties.pop("group.instance.id", None)
        self._consumer: Any = Consumer({**properties, "error_cb": self._on_error})
        self._patience = patience_seconds
        self._failure: InboxError | None = None

    def _on_error(self, error: KafkaError) -> None:
        self._failure = translated(error, "reading beside the group")

    def read(self, at: TopicPartition, from_offset: int, until_offset: int) -> Iterator[tuple[list[Record], int]]:
        """What the log holds between the offsets, piece by piece, each with the offset up to which it reaches.

        Offsets without a record (control records, aborted ones, what was compacted) are passed over.

        Raises:
            LostPlaceError: the log does not hold the offset any more that was to be read next.
            TryAgainError: nothing came for the time of patience.
        """
        if from_offset >= until_offset:
            return
        self._consumer.assign([KafkaPartition(*at, from_offset)])
        reached, deadline = from_offset, time.monotonic() + self._patience
        while reached < until_offset:
            records, after = self._take(at)
            if after <= reached:
                if time.monotonic() > deadline:
                    raise self._gave_up(at, reached)
                continue
            deadline = time.monotonic() + self._patience
            reached = min(after, until_offset)
            if after > until_offset:
                records = [record for record in records if record.offset() < until_offset]
            yield records, reached
        self._consumer.unassign()

    def _take(self, at: TopicPartition) -> tuple[list[Record], int]:
        """Records, and the offset behind them; -1 where nothing came."""
        first = self._consumer.poll(_LOOK_SECONDS)
        if first is None:
            return [], -1
        records: list[Record] = []
        after = -1
        for message in [first, *self._consumer.consume(_AT_ONCE, 0)]:
            if (message.topic(), message.partition()) != at:
                continue
            error = message.error()
            if error is None:
                records.append(message)
                after = message.offset() + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                after = message.offset()
            else:
                self._fail(at, error)
        return records, after

    def _fail(self, at: tuple[str, int], error: KafkaError) -> None:
        failure = translated(error, f"reading {TopicPartition(*at)}")
        if not isinstance(failure, TryAgainError):
            if isinstance(failure, LostPlaceError):
                failure.at = at
            raise failure
        self._failure = failure

    def _gave_up(self, at: TopicPartition, offset: int) -> InboxError:
        text = f"{at}@{offset} could not be read within {self._patience:g} s"
        return TryAgainError(f"{text}: {self._failure}" if self._failure else text, away="kafka", reason="brokers")

    def first_times(self, places: Mapping[TopicPartition, int], *, seconds: float) -> dict[TopicPartition, datetime]:
        """The timestamp of the first record at or after each place, as far as the brokers answer in that time.

        What has no record there, or one without a timestamp, is left out.
        """
        if not places:
            return {}
        self._consumer.assign([KafkaPartition(*at, offset) for at, offset in places.items()])
        found: dict[TopicPartition, datetime] = {}
        waiting, deadline = set(places), time.monotonic() + seconds
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
