"""What the inventory does with an order: the sink calls it once for each event, in its transaction."""

from inbox import Event, EventError, Transaction


def reserve_stock(event: Event, tx: Transaction) -> None:
    """Take the ordered quantity off the shelf and note the reservation."""
    order = event.json()
    if order["quantity"] <= 0:
        raise EventError("the quantity is not positive")
    tx.execute("UPDATE stock SET free = free - %s WHERE sku = %s", (order["quantity"], order["sku"]))
    tx.execute(
        "INSERT INTO reservations (event_id, sku, quantity) VALUES (%s, %s, %s)",
        (event.id, order["sku"], order["quantity"]),
    )
