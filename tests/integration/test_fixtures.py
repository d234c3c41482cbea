"""The fixtures give each test what is its own."""

from collections.abc import Callable

import psycopg
from confluent_kafka import Producer

from inbox.dev.backends import Servers
from tests.conftest import MakeTopic
from tests.support.kafka_topics import read_committed


def test_each_database_is_a_copy_of_its_own(make_database: Callable[[], str]) -> None:
    first, second = make_database(), make_database()
    with psycopg.connect(first) as connection:
        connection.execute("CREATE TABLE effects (name text)")
    with psycopg.connect(second) as connection:
        assert connection.execute("SELECT to_regclass('effects')").fetchone() == (None,)


def test_topics_and_producers_are_made_as_asked(
    bootstrap_servers: str, make_topic: MakeTopic, make_producer: Callable[..., Producer]
) -> None:
    topic = make_topic(partitions=3, cleanup_policy="compact")
    producer = make_producer(linger_ms=0)
    assert len(producer.list_topics(topic, timeout=120).topics[topic].partitions) == 3
    producer.produce(topic, b"value", key=b"key", partition=0)
    assert producer.flush(120) == 0
    assert [message.value() for message in read_committed(bootstrap_servers, topic, 1)] == [b"value"]


def test_the_servers_do_not_show_the_password(servers: Servers) -> None:
    assert servers.database_url not in repr(servers)
    assert servers.database_url not in servers.description
