"""What an order does to the inventory."""

from inbox import Event, EventError, Transaction

TAKE_STOCK = "UPDATE stock SET free = free - %s WHERE sku = %s"
RESERVE = "INSERT INTO reservations (event_id, order_id, sku, quantity) VALUES (%s, %s, %s, %s)"


def reserve_stock(event: Event, tx: Transaction) -> None:
    """Take the ordered quantity from stock, and note for which order.

    Nothing here looks whether the event was applied before: that is the sink's part.
    """
    order = event.json()
    if order["quantity"] <= 0:
        raise EventError("an order takes a quantity above 0; correct the order service")
    tx.execute(TAKE_STOCK, (order["quantity"], order["sku"]))
    tx.execute(RESERVE, (event.id, order["order_id"], order["sku"], order["quantity"]))
