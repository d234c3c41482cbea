"""Create topics, and records in them, for tests against a real broker."""

import secrets
from collections.abc import Iterable

from confluent_kafka import Consumer, Message, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.support.waiting import eventually

PATIENCE = {"operation_timeout": 120, "request_timeout": 150}
"""Seconds in which the brokers have to know of a topic, or forget it, and to say so."""

# a test deletes and creates things in quick succession, so its metadata must not be older than that
CLIENT = {"topic.metadata.refresh.interval.ms": 1000, "reconnect.backoff.max.ms": 500}


def admin(bootstrap_servers: str) -> AdminClient:
    """Return an admin client for one test."""
    return AdminClient({"bootstrap.servers": bootstrap_servers})


def unique_name(prefix: str) -> str:
    """Return `<prefix>_<random>`, a name for a topic, group or database that no other test or run uses."""
    return f"{prefix}_{secrets.token_hex(5)}"


def create_topic(
    bootstrap_servers: str, name: str | None = None, partitions: int = 1, replicas: int = 1, **config: str | int
) -> str:
    """Create a topic, of a unique name if none is given, and return when each partition has a leader.

    `config` are the topic's own settings with `_` for `.`: `create_topic(servers, cleanup_policy="compact")`.
    """
    name = name or unique_name("topic")
    settings = {key.replace("_", "."): str(value) for key, value in config.items()}
    client = admin(bootstrap_servers)
    topic = NewTopic(name, partitions, replicas, config=settings)
    client.create_topics([topic], **PATIENCE)[name].result()
    eventually(lambda: has_leaders(client, name, partitions), what=f"a leader for each partition of {name}")
    return name


def delete_topic(bootstrap_servers: str, name: str) -> None:
    """Delete a topic and return when the brokers no longer name it."""
    client = admin(bootstrap_servers)
    client.delete_topics([name], **PATIENCE)[name].result()
    eventually(lambda: name not in client.list_topics(timeout=120).topics, what=f"the end of {name}")


def has_leaders(client: AdminClient, name: str, partitions: int) -> bool:
    """Return whether the brokers name a leader for each of the topic's partitions."""
    topic = client.list_topics(timeout=120).topics.get(name)
    if topic is None or topic.error is not None:
        return False
    return len(topic.partitions) == partitions and all(found.leader >= 0 for found in topic.partitions.values())


def topic_id(bootstrap_servers: str, name: str) -> str:
    """Return the topic's id; a topic that was deleted and created again has another one."""
    client = admin(bootstrap_servers)  # a future without a living client fails
    return str(client.describe_topics(TopicCollection([name]))[name].result(120).topic_id)


def cluster_id(bootstrap_servers: str) -> str:
    """Return the cluster's id, as the brokers report it."""
    client = admin(bootstrap_servers)
    return str(client.describe_cluster().result(120).cluster_id)


def transactional_producer(bootstrap_servers: str, transactional_id: str, **config: object) -> Producer:
    """Return a transactional producer, initialised: any earlier one of the same id is fenced."""
    producer = Producer(
        {**CLIENT, "bootstrap.servers": bootstrap_servers, "transactional.id": transactional_id, **config}
    )
    producer.init_transactions(30)
    return producer


def idempotent_producer(bootstrap_servers: str, **config: object) -> Producer:
    """Return a producer whose own retries neither repeat nor reorder."""
    return Producer({**CLIENT, "bootstrap.servers": bootstrap_servers, "enable.idempotence": True, **config})


def produce(bootstrap_servers: str, topic: str, values: Iterable[bytes | None], *, partition: int = 0) -> None:
    """Produce the values in order and return when all are stored."""
    producer = idempotent_producer(bootstrap_servers)
    for value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(120) == 0


def read_committed(bootstrap_servers: str, topic: str, count: int, *, within: float = 20.0) -> list[Message]:
    """Return the first `count` records of partition 0 that a reader of committed records sees."""
    consumer = Consumer(
        {
            **CLIENT,
            "bootstrap.servers": bootstrap_servers,
            "group.id": unique_name("reader"),
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    seen: list[Message] = []

    def all_seen() -> bool:
        message = consumer.poll(0.2)
        if message is not None:
            assert message.error() is None, message.error()
            seen.append(message)
        return len(seen) >= count

    try:
        eventually(all_seen, within=within, what=f"{count} records in {topic}")
    finally:
        consumer.close()
    return seen
