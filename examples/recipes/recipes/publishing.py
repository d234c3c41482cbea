"""Publish an event in the transaction of the effect: both commit, or neither."""

from dataclasses import dataclass

from inbox import EventError, Transaction

SCHEMA = "CREATE TABLE stock (sku text PRIMARY KEY, free integer NOT NULL); INSERT INTO stock VALUES ('tea', 10)"
TAKE = "UPDATE stock SET free = free - %s WHERE sku = %s RETURNING free"


@dataclass
class Order:
    order_id: str
    sku: str
    quantity: int


def reserve_and_tell(order: Order, tx: Transaction) -> None:
    """Take the ordered quantity from stock, and tell others.

    The id of the published event follows from that of the order, so that a replay publishes no other one.
    """
    left = tx.fetch_one(TAKE, (order.quantity, order.sku))
    if left is None:
        raise EventError("the article is not known; correct the order service")
    tx.publish("reservations", {"order_id": order.order_id, "left": left[0]}, type="StockReserved", key=order.sku)
