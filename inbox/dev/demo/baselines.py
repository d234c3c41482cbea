"""Three consumers without an inbox, as they are commonly written, to be killed beside the sink.

    python -m inbox.dev.demo.baselines CONFIG

CONFIG is JSON: `guarantee`, `bootstrap_servers`, `group`, `topic`, `database_url`. Each consumer takes batches
of records, applies each record in its own database transaction, and ends once it has met the end of every
partition. They differ only in when they commit offsets to Kafka. Everything else is librdkafka's default:
`read_committed`, and automatic commits, if there are any, every 5 seconds.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from inventory.handlers import RESERVE, TAKE_STOCK

NONE = "none"
AT_MOST_ONCE = "at most once"
AT_LEAST_ONCE = "at least once"
_BATCH = 100


def consume(config: Mapping[str, str]) -> None:
    guarantee = config["guarantee"]
    consumer = Consumer(
        {
            "bootstrap.servers": config["bootstrap_servers"],
            "group.id": config["group"],
            # A member with a fixed name gets its partitions back immediately after a crash (KIP-345). Without one
            # the group waits for the dead member's session to time out, 45 seconds.
            "group.instance.id": "demo",
            "enable.auto.commit": guarantee == NONE,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "log_level": 0,
        }
    )
    consumer.subscribe([config["topic"]])
    ended: set[int | None] = set()
    with psycopg.connect(config["database_url"], autocommit=True) as connection:
        while not ended or len(ended) < len(consumer.assignment()):
            records, ends = _sorted(consumer.consume(_BATCH, 0.2))
            ended = (ended - {record.partition() for record in records}) | ends
            _take(guarantee, consumer, connection, records)
    consumer.close()


def _sorted(messages: Sequence[Message]) -> tuple[list[Message], set[int | None]]:
    """Return the records, and the partitions whose end was met."""
    records, ends = [], set()
    for message in messages:
        if (error := message.error()) is None:
            records.append(message)
        elif error.code() == KafkaError._PARTITION_EOF:
            ends.add(message.partition())
        elif not error.retriable():
            raise KafkaException(error)
    return records, ends


def _take(guarantee: str, consumer: Consumer, connection: psycopg.Connection[Any], records: list[Message]) -> None:
    if not records:
        return
    if guarantee == AT_MOST_ONCE:
        consumer.commit(asynchronous=False)
    for record in records:
        apply(connection, record)
    if guarantee == AT_LEAST_ONCE:
        consumer.commit(asynchronous=False)


def apply(connection: psycopg.Connection[Any], record: Message) -> None:
    """Apply a record as the example's handler does, without its claim."""
    order = json.loads(record.value() or b"")
    event_id = dict(record.headers() or [])["event_id"]
    text = event_id.decode() if isinstance(event_id, bytes) else event_id
    with connection.transaction():
        connection.execute(TAKE_STOCK, (order["quantity"], order["sku"]))
        connection.execute(RESERVE, (text, order["order_id"], order["sku"], order["quantity"]))


if __name__ == "__main__":
    consume(json.loads(Path(sys.argv[1]).read_text()))
