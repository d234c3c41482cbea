"""The events of the comparison and the table that they fill: six columns, about 270 bytes, an id in a header."""

import json
import uuid

from confluent_kafka import Producer

PARTITIONS = 4

TABLE = """
CREATE TABLE orders (
    order_id bigint PRIMARY KEY, customer text, amount numeric, quantity integer, placed_at timestamptz, note text
);
"""
COLUMNS = ("order_id", "customer", "amount", "quantity", "placed_at", "note")


def value(number: int) -> bytes:
    order = {
        "order_id": number,
        "customer": f"customer {number % 9973}",
        "amount": f"{number % 1000}.50",
        "quantity": number % 7,
        "placed_at": "2026-01-01T10:00:00.123Z",
        "note": "x" * 140,
    }
    return json.dumps(order).encode()


TABLE_ROUTE = """
[routes.table]
name = "public.orders"
mode = "upsert"
key = ["order_id"]
[routes.table.columns]
""" + "".join(f'{name} = "/{name}"\n' for name in COLUMNS)


def fill(bootstrap_servers: str, topic: str, events: int) -> None:
    """In turn into each partition, with ids that are random, as most producers make them."""
    producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True, "linger.ms": 50})
    for number in range(events):
        headers = [("event_id", str(uuid.uuid4()).encode()), ("type", b"OrderPlaced")]
        while True:
            try:
                producer.produce(topic, value(number), str(number), number % PARTITIONS, headers=headers)
                break
            except BufferError:
                producer.poll(0.5)
        producer.poll(0)
    producer.flush()


def last_of_each_partition(events: int) -> list[int]:
    """The numbers of the orders that come last; where they are, all are."""
    return list(range(events - PARTITIONS, events))
