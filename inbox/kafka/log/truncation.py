"""Find the offset where a truncated log departs from the log that was read (KIP-320), without joining the group."""

import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from inbox.errors import LostOffsetError, TryAgainError
from inbox.events import TopicPartition
from inbox.kafka.clients import made
from inbox.kafka.consumer_properties import consumer_properties
from inbox.kafka.errors import translate
from inbox.kafka.options import KafkaOptions
from inbox.kafka.tokens import token_properties

_BATCH_BYTES = 1 << 20


def truncation_points(
    options: KafkaOptions, positions: Mapping[TopicPartition, tuple[int, int]], *, seconds: float = 10.0
) -> dict[TopicPartition, int]:
    """Return the offset up to which a log is the one that was read, for each log truncated below its position.

    Args:
        positions: the next offset to read, and the leader epoch of the record before it.

    Raises:
        TryAgainError: the brokers do not answer.
    """
    properties: dict[str, Any] = {
        **consumer_properties(options, batch_bytes=_BATCH_BYTES),
        **token_properties(options),
        "statistics.interval.ms": "0",
    }
    consumer = made(lambda: Consumer(properties))
    try:
        consumer.assign([KafkaPartition(*at, offset, leader_epoch=epoch) for at, (offset, epoch) in positions.items()])
        return _answers(consumer, positions, time.monotonic() + seconds) if positions else {}
    finally:
        consumer.close()


def _answers(
    consumer: Consumer, positions: Mapping[TopicPartition, tuple[int, int]], deadline: float
) -> dict[TopicPartition, int]:
    to_seek, unanswered, found = dict(positions), set(positions), dict[TopicPartition, int]()
    while unanswered:
        if time.monotonic() > deadline:
            names = ", ".join(map(str, sorted(unanswered)))
            raise TryAgainError(f"the brokers do not say whether {names} was truncated", away="kafka", reason="leader")
        for at in [at for at, (offset, epoch) in to_seek.items() if _sought(consumer, at, offset, epoch)]:
            del to_seek[at]
        message = consumer.poll(0.05)
        if message is None or (at := _partition_of(message)) in to_seek or at not in positions:
            continue
        if (agrees_until := _agrees_until(message)) is not None:
            found[at] = agrees_until
        unanswered.discard(at)
        consumer.pause([KafkaPartition(*at)])
    return found


def _partition_of(message: Any) -> TopicPartition:
    return TopicPartition(message.topic(), message.partition())


def _sought(consumer: Consumer, at: TopicPartition, offset: int, epoch: int) -> bool:
    """Seek, because only a seek is validated; return False while the assignment has not taken hold."""
    try:
        consumer.seek(KafkaPartition(*at, offset, leader_epoch=epoch))
    except KafkaException:
        return False
    return True


def _agrees_until(message: Any) -> int | None:
    error: KafkaError | None = message.error()
    failure = translate(error, "asking for the leader epoch") if error is not None else None
    return failure.agrees_until if isinstance(failure, LostOffsetError) else None
