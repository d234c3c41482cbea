"""A log that was truncated below the ledger and has grown beyond it again: offsets alone do not show it (KIP-320)."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inbox.dev.backends import chosen_kafka
from inbox.dev.kafka_local import LocalKafka
from inbox.errors import HaltError
from tests.integration.sink.conftest import EFFECTS, HANDLER_ROUTE
from tests.integration.sink.running import Out, Sink
from tests.integration.sink.test_identity import apply
from tests.kafka_topics import create_topic, idempotent_producer

CHECKPOINTS = ("recovery-point-offset-checkpoint", "replication-offset-checkpoint", ".kafka_cleanshutdown")


@pytest.fixture
def kafka() -> Iterator[LocalKafka]:
    """A broker whose files can be cut."""
    backend = chosen_kafka()
    if backend.kind != "pypi":
        pytest.skip("needs a local Kafka")
    server = LocalKafka()
    server.start()
    yield server
    server.close()


@pytest.fixture
def sink(kafka: LocalKafka, tmp_path: Path, database_url: str, offer: Callable[..., None]) -> Sink:
    """A sink on that broker."""
    made = Sink(
        tmp_path,
        topic=create_topic(kafka.address),
        database_url=database_url,
        bootstrap_servers=kafka.address,
        producer=idempotent_producer(kafka.address),
    )
    offer(handler=apply)
    made.configure(HANDLER_ROUTE)
    made.sql(EFFECTS)
    return made


def send_singly(sink: Sink, numbers: range) -> None:
    """Each in a batch of its own, by a producer that knows nothing of a log that was longer."""
    producer = idempotent_producer(sink.bootstrap_servers)
    for number in numbers:
        Out(number).send(producer, sink.topic)
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


def test_a_log_that_was_truncated_and_has_grown_again_halts_with_the_offset_where_it_differs(
    kafka: LocalKafka, sink: Sink
) -> None:
    send_singly(sink, range(1, 11))
    sink.run()
    truncate(kafka, sink.topic, 6)
    send_singly(sink, range(101, 111))

    with pytest.raises(HaltError) as halt:
        sink.run()

    assert str(halt.value) == (
        f"{sink.topic}[0]: the log was truncated at offset 6, below the ledger's next offset 10 (leader epoch 0), and "
        f"ends at 16 by now; decide with `inbox resume --topic {sink.topic}:0 --from-offset 6 --accept-loss`"
    )
    assert sink.column("SELECT event FROM effects ORDER BY position") == list(range(1, 11))


def test_a_broker_that_was_restarted_with_a_whole_log_is_gone_on_with(kafka: LocalKafka, sink: Sink) -> None:
    send_singly(sink, range(1, 6))
    sink.run()
    kafka.restart()
    send_singly(sink, range(6, 11))
    sink.run()
    sink.run()
    assert sink.column("SELECT event FROM effects ORDER BY position") == list(range(1, 11))
    assert sink.column("SELECT leader_epoch > 0 FROM inbox.partitions") == [True]
