"""An outbox with a topic, and relays that run on threads of the test."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from pydantic import SecretStr

from inbox.bootstrap.relay import make_relay
from inbox.kafka.options import KafkaOptions
from inbox.relay.formats.options import EncodingOptions
from inbox.settings import RelaySettings
from inbox.store.options import DatabaseOptions, OutboxOptions
from inbox.store.schema.migrate import migrate
from tests.conftest import MakeTopic
from tests.support.asking import ASKER
from tests.support.kafka_topics import CLIENT, unique_name
from tests.support.waiting import WITHIN_SECONDS, eventually

STOP_SECONDS = 120.0


@dataclass
class Stage:
    """An outbox, what is published into it, and what Kafka has of it."""

    database_url: str
    bootstrap_servers: str
    topic: str
    properties: dict[str, str] = field(default_factory=dict)
    outbox: OutboxOptions = field(default_factory=OutboxOptions)
    encoding: EncodingOptions | None = None
    lease = "inbox.outbox_relay"

    @property
    def settings(self) -> RelaySettings:
        return RelaySettings(
            database=DatabaseOptions(url=SecretStr(self.database_url)),
            kafka=KafkaOptions(
                group_id="",
                properties={**CLIENT_OF_TESTS, "bootstrap.servers": self.bootstrap_servers, **self.properties},
            ),
            outbox=self.outbox,
            http_listen=None,
            encoding=self.encoding,
        )

    def migrate(self) -> None:
        migrate(DatabaseOptions(url=SecretStr(self.database_url)), outbox=self.outbox)

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.database_url)

    def publish(self, *payloads: str | bytes, key: str | None = "a", on: psycopg.Connection[Any] | None = None) -> None:
        """Rows of type T, committed unless `on` is a connection of the test's."""
        with self.connect() as own:
            for payload in payloads:
                (on or own).execute(
                    "INSERT INTO inbox.outbox (event_id, topic, aggregate_id, type, payload)"
                    " VALUES (%s, %s, %s, 'T', %s)",
                    (uuid4(), self.topic, key, payload),
                )

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return ASKER.rows(self.database_url, query)

    def set_lease(self, columns: str) -> None:
        self.rows(f"UPDATE {self.lease} SET {columns}")  # noqa: S608 - both are the tests' own

    def unsent(self) -> int:
        return int(self.rows("SELECT count(*) FROM inbox.outbox_status WHERE status = 'NEW'")[0][0])

    def all_sent(self, *, within: float = WITHIN_SECONDS) -> None:
        eventually(lambda: self.unsent() == 0, within=within, what="an outbox that is sent")

    def in_kafka(self, topic: str | None = None) -> list[Message]:
        """Every record of the topic's partitions, up to their ends of now."""
        return read_all(self.bootstrap_servers, topic or self.topic)

    def values(self) -> list[str]:
        return [(message.value() or b"").decode() for message in self.in_kafka()]

    def first_ids(self) -> list[UUID]:
        """The ids in Kafka, each where it stands first."""
        return list(
            dict.fromkeys(UUID(dict(message.headers() or [])["event_id"].decode()) for message in self.in_kafka())
        )


CLIENT_OF_TESTS = {name: str(value) for name, value in CLIENT.items()}


def read_all(bootstrap_servers: str, topic: str, **config: object) -> list[Message]:
    consumer = Consumer(
        {
            **CLIENT,
            "bootstrap.servers": bootstrap_servers,
            "group.id": unique_name("reader"),
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            **config,
        }
    )
    try:
        partitions = [
            TopicPartition(topic, number, 0)
            for number in consumer.list_topics(topic, timeout=120).topics[topic].partitions
        ]
        ends = {each.partition: consumer.get_watermark_offsets(each, timeout=120)[1] for each in partitions}
        consumer.assign(partitions)
        seen: list[Message] = []

        def is_read() -> bool:
            for message in consumer.consume(10_000, 0.1):
                assert message.error() is None, message.error()
                seen.append(message)
            return all(
                place.offset >= ends[place.partition] or not ends[place.partition]
                for place in consumer.position(partitions)
            )

        eventually(is_read, what=f"the end of {topic}")
        return seen
    finally:
        consumer.close()


@contextmanager
def relaying(stage: Stage, *, until_empty: bool = False, transactional: bool = False) -> Iterator[Any]:
    """A relay on a thread of its own; it is stopped in order at the end, and what it raised is raised."""
    relay = make_relay(stage.settings, until_empty=until_empty, transactional=transactional)
    raised: list[BaseException] = []

    def run() -> None:
        try:
            relay.run()
        except BaseException as error:  # noqa: BLE001 - raised below
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield relay
    finally:
        if not until_empty:
            relay.stop()
        thread.join(STOP_SECONDS)
        assert not thread.is_alive(), "the relay did not end"
        if raised:
            raise raised[0]


MakeStage = Callable[..., Stage]


@pytest.fixture
def make_stage(database_url: str, bootstrap_servers: str, make_topic: MakeTopic) -> MakeStage:
    def make(*, partitions: int = 1, outbox: OutboxOptions | None = None, **config: str | int) -> Stage:
        stage = Stage(
            database_url,
            bootstrap_servers,
            make_topic(partitions=partitions, **config),
            outbox=outbox or OutboxOptions(),
        )
        stage.migrate()
        return stage

    return make


@pytest.fixture
def stage(make_stage: MakeStage) -> Stage:
    """An empty outbox and a topic of one partition."""
    return make_stage()


def values_with_a_late_commit(stage: Stage) -> list[str]:
    """Relay rows of which one commits after later ones, and one is rolled back; return what is in Kafka."""
    with relaying(stage), stage.connect() as slow, stage.connect() as undone:
        stage.publish('"slow"', on=slow)
        stage.publish('"undone"', on=undone)
        stage.publish('"quick"')
        stage.all_sent()
        undone.rollback()
        stage.publish('"next"')
        stage.all_sent()
        slow.commit()
        stage.all_sent()
        return stage.values()
