"""Prepare the two databases and the topic through which the orders go, and read the orders in each."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from confluent_kafka import Consumer, KafkaError, Message
from confluent_kafka import TopicPartition as Partition
from pydantic import SecretStr

from inbox.dev.demo.outbox_demo.reconciliation import Line
from inbox.dev.demo.scenario import Stage, create_database, create_stock
from inbox.errors import StartupError, TryAgainError
from inbox.store.options import DatabaseOptions, OutboxOptions
from inbox.store.schema.migrate import migrate

ORDERS = "orders"
INVENTORY = "inventory"
_REMEDY = "run `pip install ./examples/inventory ./examples/orders` in a checkout, or `make demo`"
_READ_WITHIN_SECONDS = 10.0

IN_SERVICE: LiteralString = "SELECT order_id, quantity FROM orders"
IN_OUTBOX: LiteralString = "SELECT aggregate_id, (payload->>'quantity')::integer FROM inbox.outbox"
RESERVED: LiteralString = "SELECT order_id, quantity FROM reservations"
TAKEN: LiteralString = "SELECT %s * count(*) - sum(free) FROM stock"


def require_examples() -> None:
    """Raise StartupError if the example packages are not installed."""
    try:
        import inventory.orders  # noqa: F401 - an optional package
        import orders.service  # noqa: F401
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in {"inventory", "orders"}:
            raise
        raise StartupError(
            f"the demo needs the packages of examples/orders and examples/inventory; {_REMEDY}"
        ) from error


@dataclass(frozen=True)
class DemoDatabases:
    """A pair of prepared databases: with the tables of the example, and the inbox's own."""

    stage: Stage
    orders_url: str
    inventory_url: str

    def lines(self, url: str, query: LiteralString) -> list[Line]:
        with psycopg.connect(url) as connection:
            return [Line(order_id, pieces) for order_id, pieces in connection.execute(query)]

    def taken_from_stock(self) -> int:
        from inventory.tables import FREE_AT_FIRST

        with psycopg.connect(self.inventory_url) as connection:
            (pieces,) = connection.execute(TAKEN, (FREE_AT_FIRST,)).fetchone() or (0,)
        return int(pieces)

    def records(self) -> list[Line]:
        """Return the orders in the topic, read from its committed records."""
        return [_line(record) for record in _read(self.stage.servers.bootstrap_servers, self.stage.topic)]


def prepared(stage: Stage) -> DemoDatabases:
    from inventory.orders import create_topic
    from orders.setup import create_customers

    orders_url = create_database(stage, ORDERS)
    create_customers(orders_url.replace("postgresql://", "postgresql+psycopg://", 1))
    inventory_url = create_stock(stage, INVENTORY)
    migrate(DatabaseOptions(url=SecretStr(orders_url)), outbox=OutboxOptions())
    migrate(DatabaseOptions(url=SecretStr(inventory_url)))
    create_topic(stage.servers.bootstrap_servers, stage.topic)
    return DemoDatabases(stage, orders_url, inventory_url)


def _line(record: Message) -> Line:
    event: dict[str, Any] = json.loads(record.value() or b"")
    return Line(event["order_id"], event["quantity"])


def _read(bootstrap_servers: str, topic: str) -> Iterable[Message]:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": f"{topic} reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        numbers = consumer.list_topics(topic, _READ_WITHIN_SECONDS).topics[topic].partitions
        consumer.assign([Partition(topic, number, 0) for number in numbers])
        ended: set[int | None] = set()
        while len(ended) < len(numbers):
            if (record := consumer.poll(_READ_WITHIN_SECONDS)) is None:
                raise TryAgainError(f"the brokers sent nothing of {topic} for {_READ_WITHIN_SECONDS:g} s")
            if (error := record.error()) is None:
                yield record
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(record.partition())
    finally:
        consumer.close()
