"""What the order service sends, in which transactions, and how each of them ends. Pure: a seed decides."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from inventory.tables import SKUS

ORDERS_IN_A_TRANSACTION = 40
ABORTED_SHARE = 0.15
CANCELLED_SHARE = 0.5
REPEATED_SHARE = 0.2


@dataclass(frozen=True)
class Order:
    """One order; its event keeps its id however often it is sent."""

    event_id: UUID
    order_id: str
    sku: str
    quantity: int


class Fate(StrEnum):
    """How a transaction ends."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    REPEATED = "repeated"


@dataclass(frozen=True)
class Step:
    """One Kafka transaction of the order service.

    `aborted` is taken back after it was sent. `repeated` was committed once before: the answer got lost, so the
    service sends it again, with the same event ids.
    """

    orders: Sequence[Order]
    fate: Fate


def plan(count: int, *, seed: int = 1) -> Iterator[Step]:
    """Transactions that commit exactly `count` orders, each at least once.

    Half of the aborted ones are tried again and then committed, the others were orders that nobody wanted any more.
    """
    chance = random.Random(seed)
    placed = number = 0
    while placed < count:
        size = min(ORDERS_IN_A_TRANSACTION, count - placed)
        orders = [_order(chance, f"O-{seed}-{number + place:06}") for place in range(size)]
        number += size
        if chance.random() < ABORTED_SHARE:
            yield Step(orders, Fate.ABORTED)
            if chance.random() < CANCELLED_SHARE:
                continue
        yield Step(orders, Fate.COMMITTED)
        placed += size
        if chance.random() < REPEATED_SHARE:
            yield Step(orders, Fate.REPEATED)


def _order(chance: random.Random, order_id: str) -> Order:
    event_id = UUID(int=chance.getrandbits(128), version=4)
    return Order(event_id, order_id, chance.choice(SKUS), chance.randint(1, 5))
