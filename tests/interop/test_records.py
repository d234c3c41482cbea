"""What Debezium and the relay make of an outbox row, byte for byte."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from confluent_kafka import Consumer, Message

from inbox.dev.backends import Servers
from inbox.store.options import OutboxPayload
from tests.interop.capture import CapturedOutbox, captured_outbox
from tests.support.kafka_topics import create_topic, idempotent_producer, unique_name
from tests.support.waiting import eventually

PARTITIONS = 7
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
INSERT = """
INSERT INTO inbox.outbox (event_id, topic, aggregate_id, type, payload, traceparent)
VALUES (%s, %s, %s, %s, %s, %s)
"""


@dataclass(frozen=True)
class Row:
    """What a program inserts."""

    key: str | None
    type: str
    payload: str | bytes
    traceparent: str | None = None


JSON_ROWS = [
    Row("O-1", "OrderCreated", '{"order_id": 1}'),
    Row("Straße/ÄÖÜ ß", "OrderCreated", '{"name": "Zoë", "sign": "\U0001f680", "escaped": "\\u00e9\\n"}', TRACEPARENT),
    Row("注文-42", "注文", '{"amount": 1.50, "rate": 1e-7, "zero": -0.0}'),
    Row(None, "NoKey", '{"a": {"b": [1, {"c": null}, [], {}]}}'),
    Row("", "EmptyKey", '""'),
    Row(" spaces ", "Big", '{"n": 123456789012345678901234567890, "m": 9223372036854775808}'),
    Row("whitespace", "Whitespace", ' {  "b" : 1 ,\n\t"a" : 2, "a": 3 }\n '),
    Row("scalar", "Scalar", "1.50", TRACEPARENT),
    Row("null", "Null", "null"),
    Row("long" * 50, "Long", '{"text": "' + "x" * 100_000 + '"}'),
    *(Row(f"key-{number}", "Many", f'{{"n": {number}}}') for number in range(40)),
]
BYTEA_ROWS = [
    Row("O-1", "Bytes", b"\x00\x01\xfe\xff"),
    Row("empty", "Empty", b""),
    Row(None, "NoKey", b' {"a": 1.50} ', TRACEPARENT),
    Row("ä", "Large", bytes(range(256)) * 400),
]


@dataclass(frozen=True)
class Published:
    """What consumers may rely on of a record."""

    partition: int | None
    key: bytes | None
    value: bytes | None
    event_id: bytes | None
    type: bytes | None
    traceparent: bytes | None


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("payload", "rows"), [(OutboxPayload.JSON, JSON_ROWS), (OutboxPayload.BYTEA, BYTEA_ROWS)], ids=["json", "bytea"]
)
def test_debezium_and_the_relay_send_the_same(
    servers: Servers, tmp_path: Path, payload: OutboxPayload, rows: Sequence[Row]
) -> None:
    """Also what a switch from one to the other costs at most: each event once more, as it was."""
    topic, by_hand = (create_topic(servers.bootstrap_servers, partitions=PARTITIONS) for _ in range(2))
    ids = [uuid4() for _ in rows]
    half = len(rows) // 2
    with captured_outbox(servers.database_url, servers.bootstrap_servers, tmp_path, payload) as outbox:
        with outbox.worker() as connect:
            insert(outbox, topic, ids[:half], rows[:half])  # these the connector finds by its snapshot
            connect.start()
            connect.run(outbox.name, outbox.connector)
            insert(outbox, topic, ids[half:], rows[half:])
            by_debezium = read(servers.bootstrap_servers, topic, len(rows))
        relay_until_empty(outbox)
        by_relay = [each for each in read(servers.bootstrap_servers, topic, 2 * len(rows)) if not is_debeziums(each)]
    send(servers.bootstrap_servers, by_hand, ids, rows)
    expected = published(read(servers.bootstrap_servers, by_hand, len(rows)))

    assert all(map(is_debeziums, by_debezium))
    assert published(by_debezium) == expected
    assert published(by_relay) == expected


def relay_until_empty(outbox: CapturedOutbox) -> None:
    """As `[outbox] relay = "inbox"` from now on."""
    config = outbox.relays_config()
    subprocess.run([sys.executable, "-m", "inbox", "relay", "--until-empty", "--config", str(config)], check=True)


def insert(outbox: CapturedOutbox, topic: str, ids: Sequence[UUID], rows: Sequence[Row]) -> None:
    for event_id, row in zip(ids, rows, strict=True):
        outbox.execute(INSERT, event_id, topic, row.key, row.type, row.payload, row.traceparent)


def send(bootstrap_servers: str, topic: str, ids: Sequence[UUID], rows: Sequence[Row]) -> None:
    """The rows as the contract says that they are sent."""
    producer = idempotent_producer(bootstrap_servers, partitioner="murmur2_random")
    for event_id, row in zip(ids, rows, strict=True):
        headers: list[tuple[str, str | bytes | None]] = [("event_id", str(event_id)), ("type", row.type.encode())]
        if row.traceparent is not None:
            headers.append(("traceparent", row.traceparent))
        value = row.payload if isinstance(row.payload, bytes) else row.payload.encode()
        producer.produce(topic, value, (str(event_id) if row.key is None else row.key).encode(), headers=headers)
    assert producer.flush(30) == 0


def published(records: Sequence[Message]) -> dict[bytes | None, Published]:
    """By event id. Fails when one comes twice."""
    found = {each.event_id: each for each in map(shape, records)}
    assert len(found) == len(records)
    return found


def is_debeziums(record: Message) -> bool:
    """It alone has the header `id`."""
    return "id" in dict(record.headers() or [])


def shape(message: Message) -> Published:
    headers = dict(message.headers() or [])
    return Published(
        message.partition(),
        message.key(),
        message.value(),
        headers["event_id"],
        headers["type"],
        headers.get("traceparent"),
    )


def read(bootstrap_servers: str, topic: str, count: int) -> list[Message]:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": unique_name("reader"),
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
    )
    consumer.subscribe([topic])
    seen: list[Message] = []

    def all_seen() -> bool:
        if (message := consumer.poll(0.2)) is not None:
            assert message.error() is None, message.error()
            seen.append(message)
        return len(seen) >= count

    try:
        eventually(all_seen, within=60, what=f"{count} records in {topic}")
    finally:
        consumer.close()
    return seen
