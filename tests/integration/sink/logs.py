"""What may befall a log between two looks at it."""

from collections.abc import Iterable

from confluent_kafka import TopicPartition

from inbox.dev.kafka_local import LocalKafka
from inbox.events import Event
from inbox.handlers import Transaction
from tests.integration.sink.running import Out, Sink
from tests.kafka_topics import admin, create_topic, delete_topic, idempotent_producer

CHECKPOINTS = ("recovery-point-offset-checkpoint", "replication-offset-checkpoint", ".kafka_cleanshutdown")


def apply(event: Event, tx: Transaction) -> None:
    """Notes each event, in the order in which they come."""
    tx.execute("INSERT INTO effects (event) VALUES (%s)", (event.id.int,))


def effects(sink: Sink) -> list[int]:
    """The events that `apply` noted."""
    return sink.column("SELECT event FROM effects ORDER BY position")


def make_anew(sink: Sink, partitions: int = 1) -> None:
    """Delete the sink's topic and create one of the same name."""
    delete_topic(sink.bootstrap_servers, sink.topic)
    create_topic(sink.bootstrap_servers, sink.topic, partitions)


def delete_below(sink: Sink, offset: int) -> None:
    """What retention does to partition 0."""
    client = admin(sink.bootstrap_servers)
    at = TopicPartition(sink.topic, 0, offset)
    client.delete_records([at])[at].result(10)


def send_singly(sink: Sink, events: Iterable[Out]) -> None:
    """Each in a batch of its own, by a producer that knows nothing of a log that was longer."""
    producer = idempotent_producer(sink.bootstrap_servers)
    for event in events:
        event.send(producer, sink.topic)
        assert producer.flush(30) == 0


def truncate(kafka: LocalKafka, topic: str, offset: int) -> None:
    """What an unclean election does: the leader that comes back has less, and begins a new epoch there."""
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
