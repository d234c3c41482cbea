"""A producer of the outbox that is discarded is gone: its client ends, and its outage with it."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from inbox.dev.ports import LOOPBACK, free_port
from inbox.errors import TryAgainError
from inbox.kafka import producer as module
from inbox.kafka.options import KafkaOptions
from inbox.kafka.producer import EventProducer, TransactionalProducer
from inbox.telemetry import PAUSED
from tests.support.waiting import eventually

TASKS = Path("/proc/self/task")

pytestmark = pytest.mark.skipif(not TASKS.exists(), reason="the threads of librdkafka are found in /proc")


def threads_of_clients() -> set[str]:
    found = set()
    for task in TASKS.iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that ends meanwhile
            if (task / "comm").read_text().startswith("rdk:"):
                found.add(task.name)
    return found


def await_end_of(threads: set[str]) -> None:
    """Wait for these threads alone: a client that another test left may start one at any time."""
    eventually(lambda: not threads & threads_of_clients(), what="the end of the client's threads")


@pytest.fixture
def options() -> KafkaOptions:
    """Of brokers that are away."""
    return KafkaOptions(group_id="", properties={"bootstrap.servers": f"{LOOPBACK}:{free_port()}"})


@pytest.fixture
def threads_made() -> Callable[[], set[str]]:
    before = threads_of_clients()
    return lambda: threads_of_clients() - before


def test_it_keeps_no_connection(options: KafkaOptions, threads_made: Callable[[], set[str]]) -> None:
    """A relay makes one for each term: while Kafka is away, hundreds."""
    producer = EventProducer(options, lambda *_: None)
    made = threads_made()
    assert made
    producer.discard()
    await_end_of(made)


def test_a_message_that_was_given_up_does_not_keep_it(
    options: KafkaOptions, threads_made: Callable[[], set[str]]
) -> None:
    producer = EventProducer(options, lambda *_: None)
    producer.send(1, "topic", "key", b"value", [])
    made = threads_made()
    producer.discard()
    await_end_of(made)


def test_one_that_cannot_begin_transactions_is_discarded(
    options: KafkaOptions, threads_made: Callable[[], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TRANSACTION_SECONDS", 0.2)
    with pytest.raises(TryAgainError, match="beginning transactions"):
        TransactionalProducer(options, "id", lambda *_: None)
    await_end_of(threads_made())


def test_what_it_still_hears_is_no_outage(options: KafkaOptions) -> None:
    producer = EventProducer(options, lambda *_: None)
    producer._on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert PAUSED.labels("kafka")._value.get() == 1
    producer.discard()
    producer._on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert PAUSED.labels("kafka")._value.get() == 0


class Fatal:
    """As librdkafka's producer, whose fatal error comes just before the report of a message."""

    def purge(self, **_: bool) -> None:
        pass

    def flush(self, timeout: float) -> None:
        self.poll(timeout)

    def poll(self, timeout: float) -> None:
        error = KafkaError(KafkaError._GAPLESS_GUARANTEE, "unable to satisfy the gap-less guarantee", True)
        raise SystemError("a callback returned a result with an exception set") from KafkaException(error)


def end(producer: EventProducer, real: Any) -> None:
    """End the producer with the client it had, which reports an outage for as long as it lives."""
    producer._producer = real
    producer.discard()


def test_a_fatal_error_between_two_callbacks_is_the_error_of_kafka(options: KafkaOptions) -> None:
    producer = EventProducer(options, lambda *_: None)
    real, producer._producer = producer._producer, Fatal()
    with pytest.raises(TryAgainError, match="gap-less guarantee"):
        producer.poll(0)
    end(producer, real)


def test_another_defect_of_the_client_is_no_error_of_kafka(
    options: KafkaOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = EventProducer(options, lambda *_: None)
    monkeypatch.setattr(Fatal, "poll", lambda *_: (_ for _ in ()).throw(SystemError("something else")))
    real, producer._producer = producer._producer, Fatal()
    with pytest.raises(SystemError, match="something else"):
        producer.poll(0)
    end(producer, real)
