"""Change a log as may happen to it between two looks of a sink."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import TopicPartition

from inbox.dev.local.kafka import LocalKafka
from inbox.events import Event
from inbox.handlers import Transaction
from tests.support.kafka_topics import (
    admin,
    create_topic,
    delete_topic,
    idempotent_producer,
    transactional_producer,
    unique_name,
)
from tests.support.sink.running import Out, Sink

CHECKPOINTS = ("recovery-point-offset-checkpoint", "replication-offset-checkpoint", ".kafka_cleanshutdown")


def apply(event: Event, tx: Transaction) -> None:
    """Note each event, in the order of arrival."""
    tx.execute("INSERT INTO effects (event) VALUES (%s)", (event.id.int,))


def effects(sink: Sink) -> list[int]:
    """Return the events that `apply` noted."""
    return sink.column("SELECT event FROM effects ORDER BY position")


def make_anew(sink: Sink, partitions: int = 1) -> None:
    """Delete the sink's topic and create one of the same name."""
    delete_topic(sink.bootstrap_servers, sink.topic)
    create_topic(sink.bootstrap_servers, sink.topic, partitions)


def delete_below(sink: Sink, offset: int) -> None:
    """Delete the records of partition 0 below the offset, as retention does."""
    client = admin(sink.bootstrap_servers)
    at = TopicPartition(sink.topic, 0, offset)
    client.delete_records([at])[at].result(120)


def send_singly(sink: Sink, events: Iterable[Out]) -> None:
    """Send each event in its own batch, by a producer that knows nothing of a longer log."""
    producer = idempotent_producer(sink.bootstrap_servers)
    for event in events:
        event.send(producer, sink.topic)
        assert producer.flush(120) == 0


def truncate(kafka: LocalKafka, topic: str, offset: int) -> None:
    """Truncate the log as an unclean election does: the returning leader has less, and begins a new epoch there."""
    kafka.stop()
    assert kafka.directory is not None
    log = kafka.directory / "log" / f"{topic}-0"
    segment = log / f"{0:020}.log"
    stored, cut = segment.read_bytes(), 0
    while cut < len(stored) and int.from_bytes(stored[cut : cut + 8], "big") < offset:
        cut += 12 + int.from_bytes(stored[cut + 8 : cut + 12], "big")
    segment.write_bytes(stored[:cut])
    for file in log.iterdir():
        if file.suffix in (".index", ".timeindex", ".snapshot"):
            file.unlink()
    for name in CHECKPOINTS:
        (kafka.directory / "log" / name).unlink(missing_ok=True)
    kafka.start()


@dataclass(frozen=True)
class StoredBatch:
    """A record batch in the broker's file of a partition: its first offset, and the place and size of its bytes."""

    first_offset: int
    position: int
    size: int


MAGIC, LENGTH = 16, 11
"""Offsets within a batch: of its format's number, and of the last byte of its length."""


def segment(kafka: LocalKafka, topic: str, first_offset: int = 0) -> Path:
    """Return the broker's file of partition 0 that begins at the offset."""
    assert kafka.directory is not None
    return kafka.directory / "log" / f"{topic}-0" / f"{first_offset:020}.log"


def stored_batches(kafka: LocalKafka, topic: str) -> list[StoredBatch]:
    """Return the batches of the first segment of partition 0."""
    stored, found, position = segment(kafka, topic).read_bytes(), [], 0
    while position < len(stored):
        size = 12 + int.from_bytes(stored[position + 8 : position + 12], "big")
        found.append(StoredBatch(int.from_bytes(stored[position : position + 8], "big"), position, size))
        position += size
    return found


def change_byte(kafka: LocalKafka, topic: str, batch: int, at: int, value: int | None = None) -> None:
    """Change one byte of a batch, to `value` or by one bit; `at` below 0 counts from the end of the batch."""
    chosen = stored_batches(kafka, topic)[batch]
    with segment(kafka, topic).open("r+b") as file:
        file.seek(chosen.position + (at if at >= 0 else chosen.size + at))
        [before] = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([before ^ 1 if value is None else value]))


def send_in_transaction(sink: Sink, events: Iterable[Out], *, commit: bool = True) -> None:
    """Send events in one Kafka transaction, by a producer of its own."""
    producer = transactional_producer(sink.bootstrap_servers, unique_name("producer"))
    producer.begin_transaction()
    for event in events:
        event.send(producer, sink.topic)
    assert producer.flush(120) == 0
    (producer.commit_transaction if commit else producer.abort_transaction)(30)


def lose_a_segment(kafka: LocalKafka, sink: Sink) -> range:
    """Fill three segments of partition 0, let the broker's disk lose the second, and return the offsets in that one."""
    send_singly(sink, (Out(number, {"padding": "x" * 200_000}) for number in range(1, 16)))
    assert kafka.directory is not None
    _, lost, following = sorted((kafka.directory / "log" / f"{sink.topic}-0").glob("*.log"))[:3]
    kafka.stop()
    for suffix in (".log", ".index", ".timeindex"):
        lost.with_suffix(suffix).unlink()
    kafka.start()
    return range(int(lost.stem), int(following.stem))
