"""The order service: emits OrderCreated events, with the accidents that happen to every producer.

Run it against `inbox dev up`:

    python -m inventory.orders --bootstrap-servers 127.0.0.1:9092 --orders 1000
"""

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import orjson
from confluent_kafka import Producer

TOPIC = "order.events"
SKUS = 20


@dataclass(frozen=True)
class Order:
    """One order; its id is the identity of its event, however often it is sent."""

    event_id: UUID
    sku: str
    quantity: int

    def send(self, producer: Producer, topic: str) -> None:
        producer.produce(
            topic,
            key=self.sku,
            value=orjson.dumps({"sku": self.sku, "quantity": self.quantity}),
            headers={"event_id": str(self.event_id).encode(), "type": b"OrderCreated"},
        )


def orders(count: int, seed: int = 1) -> Iterator[Order]:
    chance = random.Random(seed)
    for _ in range(count):
        event_id = UUID(int=chance.getrandbits(128), version=4)
        yield Order(event_id, f"sku-{chance.randrange(SKUS)}", chance.randint(1, 5))


def emit(bootstrap_servers: str, count: int, *, topic: str = TOPIC, seed: int = 1, batch: int = 50) -> list[Order]:
    """Send `count` orders in Kafka transactions, and return those that were committed, each once.

    Every fourth transaction is followed by one that is aborted. Every fifth order of a transaction is sent
    again in the next: a producer that lost the answer and asked again, with the same event id.
    """
    producer = Producer(
        {"bootstrap.servers": bootstrap_servers, "transactional.id": f"orders-{seed}", "acks": "all", "log_level": 0}
    )
    producer.init_transactions(30)
    committed: list[Order] = []
    again: list[Order] = []
    ghosts = orders(count, seed + 1)
    new = list(orders(count, seed))
    for number, start in enumerate(range(0, count, batch)):
        part = new[start : start + batch]
        _transaction(producer, topic, again + part)
        committed += part
        again = part[::5]
        if number % 4 == 0:
            _aborted(producer, topic, [next(ghosts) for _ in range(batch // 2)])
    return committed


def _transaction(producer: Producer, topic: str, sent: list[Order]) -> None:
    producer.begin_transaction()
    for order in sent:
        order.send(producer, topic)
    producer.commit_transaction(30)


def _aborted(producer: Producer, topic: str, sent: list[Order]) -> None:
    producer.begin_transaction()
    for order in sent:
        order.send(producer, topic)
    producer.flush(30)
    producer.abort_transaction(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap-servers", required=True)
    parser.add_argument("--orders", type=int, default=1000)
    parser.add_argument("--topic", default=TOPIC)
    parser.add_argument("--seed", type=int, default=1, help="another seed makes other orders")
    arguments = parser.parse_args()
    committed = emit(arguments.bootstrap_servers, arguments.orders, topic=arguments.topic, seed=arguments.seed)
    print(f"{len(committed)} orders committed to {arguments.topic}")


if __name__ == "__main__":
    main()
