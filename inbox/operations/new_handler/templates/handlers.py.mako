"""What an order does to the database."""

from dataclasses import dataclass
from decimal import Decimal

from inbox import Event, EventError, Transaction

KEEP = """
INSERT INTO ${module} (event_id, order_id, amount) VALUES (%s, %s, %s)
ON CONFLICT (event_id) DO UPDATE SET order_id = excluded.order_id, amount = excluded.amount
"""


@dataclass
class ${kind}Event:
    """The value of an event. One that does not fit becomes a dead letter."""

    order_id: str
    amount: Decimal


def ${module}(order: ${kind}Event, event: Event, tx: Transaction) -> None:
    """Keep the order.

    Whether the event was applied before is the sink's part. A forced replay applies it again.
    """
    if order.amount < 0:
        raise EventError("the amount of an order is not negative; correct the order service")
    tx.execute(KEEP, (event.id, order.order_id, order.amount))
