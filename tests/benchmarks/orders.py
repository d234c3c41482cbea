"""The events of the comparison and the table that they fill: six columns, about 270 bytes, an id in a header."""

import hashlib
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Producer

PARTITIONS = 4
BY_KEY = -1
"""The partition that librdkafka chooses."""

TABLE = """
CREATE TABLE orders (
    order_id bigint PRIMARY KEY, customer text, amount numeric, quantity integer, placed_at timestamptz, note text
);
"""
EXISTING = """
INSERT INTO orders SELECT number, 'customer ' || number, number, NULL, now(), repeat('y', 140)
FROM generate_series(0, %s - 1) AS number
"""
"""Rows of the same size, to be updated; what an event brings has a quantity."""

# Debezium's UNNEST casts an array of strings to text[], which no column of another type takes by itself.
CASTS = """
CREATE CAST (text AS numeric) WITH INOUT AS ASSIGNMENT;
CREATE CAST (text AS timestamptz) WITH INOUT AS ASSIGNMENT;
CREATE CAST (text AS uuid) WITH INOUT AS ASSIGNMENT;
"""
TABLE_BY_EVENT = TABLE.replace("order_id bigint PRIMARY KEY", "event_id uuid PRIMARY KEY, order_id bigint")


def event_id(number: int) -> uuid.UUID:
    """Return the id of an order's event: random to the database, and known to those who look for its row."""
    return uuid.UUID(bytes=hashlib.md5(b"%d" % number, usedforsecurity=False).digest(), version=4)


@dataclass(frozen=True)
class Shape:
    """Rows to write: the table, the column of its key and its values by number; `exist`: updates of all rows.

    Debezium takes each header for a part of the key, so where the event's id is the key, it is the only one: the
    records are not `typed`.
    """

    suffix: str
    table: str = TABLE
    key: str = "order_id"
    keys: Callable[[int], object] = int
    exist: bool = False
    typed: bool = True


NEW = Shape("")
BY_EVENT = Shape(", keyed by event id", TABLE_BY_EVENT, "event_id", event_id, typed=False)
EXIST = Shape(", rows that exist", exist=True)

COLUMNS = ("order_id", "customer", "amount", "quantity", "placed_at", "note")


def order(number: int) -> dict[str, Any]:
    return {
        "order_id": number,
        "customer": f"customer {number % 9973}",
        "amount": f"{number % 1000}.50",
        "quantity": number % 7,
        "placed_at": "2026-01-01T10:00:00.123Z",
        "note": "x" * 140,
    }


def value(number: int) -> bytes:
    return json.dumps(order(number)).encode()


CONNECT_SCHEMA = {
    "type": "struct",
    "fields": [
        {"field": "order_id", "type": "int64", "optional": False},
        {"field": "customer", "type": "string", "optional": True},
        {"field": "amount", "type": "string", "optional": True},
        {"field": "quantity", "type": "int32", "optional": True},
        {"field": "placed_at", "type": "string", "optional": True},
        {"field": "note", "type": "string", "optional": True},
    ],
}


def value_with_schema(number: int) -> bytes:
    """The same order in the envelope that Kafka Connect's JSON converter reads."""
    return json.dumps({"schema": CONNECT_SCHEMA, "payload": order(number)}).encode()


TABLE_ROUTE = """
[routes.table]
name = "public.orders"
mode = "upsert"
key = ["order_id"]
[routes.table.columns]
""" + "".join(f'{name} = "/{name}"\n' for name in COLUMNS)


def fill(
    bootstrap_servers: str,
    topic: str,
    events: int,
    encode: Callable[[int], bytes] = value,
    *,
    partitions: int = PARTITIONS,
    new_id: Callable[[], uuid.UUID] | None = uuid.uuid4,
    typed: bool = True,
) -> None:
    """In turn into each partition, with ids that are random, as most producers make them, unless said otherwise.

    Without `new_id` the records have no headers; with it a type as well, unless they are not `typed`.
    """
    producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True, "linger.ms": 50})
    for number in range(events):
        produce(producer, topic, encode(number), number, partition=number % partitions, new_id=new_id, typed=typed)
    producer.flush()


def produce(
    producer: Producer,
    topic: str,
    payload: bytes,
    number: int,
    *,
    partition: int = BY_KEY,
    new_id: Callable[[], uuid.UUID] | None = uuid.uuid4,
    typed: bool = True,
) -> None:
    headers = [] if new_id is None else [("event_id", str(new_id()).encode())]
    if headers and typed:
        headers.append(("type", b"OrderPlaced"))
    while True:
        try:
            producer.produce(topic, payload, str(number).encode(), partition, headers=headers)
        except BufferError:
            producer.poll(0.5)
        else:
            break
    producer.poll(0)


def of_each_partition(events: int) -> list[int]:
    """The numbers of the orders that come last among so many first ones; where they are, all of those are."""
    return list(range(events - PARTITIONS, events))
