"""The order service: a transactional, idempotent producer of `order.events`.

By hand: `python -m inventory.orders --orders 1000`, against the Kafka of `./inbox.toml`.
"""

import argparse
import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from inventory.traffic import Fate, Order, Step, plan

TOPIC = "order.events"
PARTITIONS = 3
TIMEOUT_SECONDS = 30.0


@dataclass
class Ledger:
    """What the order service knows to be committed: the truth that a sink is held against.

    `aborted` and `repeated` count records beyond those: taken back, and sent once more.
    """

    committed: dict[UUID, Order] = field(default_factory=dict)
    aborted: int = 0
    repeated: int = 0

    def note(self, step: Step) -> None:
        match step.fate:
            case Fate.COMMITTED:
                self.committed.update({order.event_id: order for order in step.orders})
            case Fate.ABORTED:
                self.aborted += len(step.orders)
            case Fate.REPEATED:
                self.repeated += len(step.orders)


class OrderService:
    """Places orders by telling Kafka of them, all of a transaction or none."""

    def __init__(self, bootstrap_servers: str, topic: str = TOPIC, *, transactional_id: str = "order-service") -> None:
        self._topic = topic
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap_servers,
                "transactional.id": transactional_id,
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 0,
                "log_level": 3,
            }
        )
        self._producer.init_transactions(TIMEOUT_SECONDS)
        self.ledger = Ledger()

    def carry_out(self, step: Step) -> None:
        """Send the transaction and end it as planned; noted only once Kafka has confirmed that."""
        self._producer.begin_transaction()
        for order in step.orders:
            self._emit(order)
        if step.fate is Fate.ABORTED:
            # an abort throws away what is still in the client: only what the broker has got can be read by mistake
            self._producer.flush(TIMEOUT_SECONDS)
            self._producer.abort_transaction(TIMEOUT_SECONDS)
        else:
            self._producer.commit_transaction(TIMEOUT_SECONDS)
        self.ledger.note(step)

    def _emit(self, order: Order) -> None:
        value = {"order_id": order.order_id, "sku": order.sku, "quantity": order.quantity}
        headers: list[tuple[str, str | bytes | None]] = [("event_id", str(order.event_id)), ("type", "OrderCreated")]
        self._producer.produce(self._topic, json.dumps(value), key=order.order_id, headers=headers)


def create_topic(bootstrap_servers: str, topic: str = TOPIC) -> None:
    """Makes the topic where it is not there yet."""
    client = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 3})
    if topic not in client.list_topics(timeout=TIMEOUT_SECONDS).topics:
        client.create_topics([NewTopic(topic, PARTITIONS)], operation_timeout=10)[topic].result(TIMEOUT_SECONDS)


def send(
    bootstrap_servers: str, topic: str = TOPIC, *, orders: int, seed: int = 1, placed: Callable[[int], None] = print
) -> Ledger:
    """Place `orders` orders and return the ledger; `placed` is called after each transaction with
    their number."""
    create_topic(bootstrap_servers, topic)
    service = OrderService(bootstrap_servers, topic, transactional_id=f"order-service {topic}")
    for step in plan(orders, seed=seed):
        service.carry_out(step)
        placed(len(service.ledger.committed))
    return service.ledger


def main() -> None:
    """Sends orders to the Kafka of `./inbox.toml`, new ones with each seed."""
    parser = argparse.ArgumentParser(prog="python -m inventory.orders", description=main.__doc__)
    parser.add_argument("--orders", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    servers = tomllib.loads(Path("inbox.toml").read_text())["kafka"]["bootstrap.servers"]
    ledger = send(servers, orders=arguments.orders, seed=arguments.seed, placed=lambda _: None)
    quantity = sum(order.quantity for order in ledger.committed.values())
    print(f"{len(ledger.committed)} orders committed, {quantity} pieces; {ledger.aborted} records aborted, ", end="")
    print(f"{ledger.repeated} sent twice")


if __name__ == "__main__":
    main()
