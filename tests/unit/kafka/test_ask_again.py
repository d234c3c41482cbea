"""How a member finds out that what was away is back, and whose the errors are that it hears."""

from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from inbox.events import TopicPartition
from inbox.kafka.consumer import GroupConsumer
from inbox.kafka.options import KafkaOptions

HERE = TopicPartition("orders", 0)
DENIED = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)


class Client:
    """As librdkafka's consumer: notes which partitions are paused, and describes topics with the error it is given."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.paused: set[TopicPartition] = set()
        self.sought: list[KafkaPartition] = []
        self.error: KafkaError | None = None

    def poll(self, timeout: float) -> Any:
        return self.messages.pop(0) if self.messages else None

    def consume(self, limit: int, timeout: float) -> list[Any]:
        return []

    def incremental_assign(self, partitions: list[KafkaPartition]) -> None: ...
    def incremental_unassign(self, partitions: list[KafkaPartition]) -> None: ...

    def seek(self, partition: KafkaPartition) -> None:
        if self.error is not None:
            raise KafkaException(self.error)
        self.sought.append(partition)

    def position(self, partitions: list[KafkaPartition]) -> list[KafkaPartition]:
        return [KafkaPartition(each.topic, each.partition, 7) for each in partitions]

    def pause(self, partitions: list[KafkaPartition]) -> None:
        self.paused |= {TopicPartition(each.topic, each.partition) for each in partitions}

    def resume(self, partitions: list[KafkaPartition]) -> None:
        self.paused -= {TopicPartition(each.topic, each.partition) for each in partitions}

    def list_topics(self, name: str, timeout: float) -> Any:
        described = type("Described", (), {"error": self.error})
        return type("Metadata", (), {"topics": {name: described}})


class Refusal:
    """An error as librdkafka hands it over among the records."""

    def __init__(self, error: KafkaError, topic: str | None = "orders") -> None:
        self._error = error
        self._topic = topic

    def error(self) -> KafkaError:
        return self._error

    def topic(self) -> str | None:
        return self._topic

    def partition(self) -> int:
        return 0


@pytest.fixture
def now() -> list[float]:
    return [100.0]


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def member(client: Client, now: list[float]) -> Iterator[GroupConsumer]:
    options = KafkaOptions(group_id="g", properties={})
    made = GroupConsumer(options, batch_bytes=1 << 20, clock=lambda: now[0])
    made._consumer.close()
    made._consumer = client
    made.outage.assigned([HERE])
    made.seek(HERE, 7)
    yield made
    made.outage.close()


def hears(member: GroupConsumer, client: Client, error: KafkaError) -> None:
    client.messages.append(Refusal(error))
    member.poll(1, wait_seconds=0.1)


def test_a_paused_partition_that_is_read_again_stays_paused(
    member: GroupConsumer, client: Client, now: list[float]
) -> None:
    hears(member, client, DENIED)
    member.pause([HERE])
    now[0] += 10
    member.poll(1, wait_seconds=0.1)
    assert client.sought
    assert client.paused == {HERE}


def test_an_error_of_a_topic_is_not_that_of_its_first_partition(member: GroupConsumer, client: Client) -> None:
    """librdkafka gives it the number 0."""
    text = "Subscribed topic not available: orders: Broker: Topic authorization failed"
    hears(member, client, KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, text))
    assert (member.outage.topics, member.outage.partitions) == (["orders"], [])


def test_a_topic_is_described_again_until_there_is_no_error(
    member: GroupConsumer, client: Client, now: list[float]
) -> None:
    text = "Subscribed topic not available: orders: Broker: Unknown topic or partition"
    hears(member, client, KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, text))
    client.error = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
    now[0] += 10
    member.poll(1, wait_seconds=0.1)
    assert member.outage.topics == ["orders"]
    client.error = None
    now[0] += 10
    member.poll(1, wait_seconds=0.1)
    assert member.outage.topics == []


def test_a_partition_that_librdkafka_cannot_place_for_long_cannot_be_read(
    member: GroupConsumer, client: Client, now: list[float]
) -> None:
    client.error = KafkaError(KafkaError._STATE)
    assert not member.seek(HERE, 9, leader_epoch=1)
    assert member.outage.partitions == []
    now[0] += 31
    assert not member.seek(HERE, 9, leader_epoch=1)
    assert member.outage.partitions == [HERE]
