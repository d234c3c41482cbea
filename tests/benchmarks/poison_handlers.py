"""Handlers that cannot apply some of their events."""

from inbox import Event, EventError, Transaction

INSERT = """
INSERT INTO orders (order_id, customer, amount, quantity, placed_at, note) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (order_id) DO UPDATE SET amount = EXCLUDED.amount, quantity = EXCLUDED.quantity
"""


def insert(event: Event, tx: Transaction) -> None:
    order = event.json()
    customer = order["customer"]["name"]
    values = (order["order_id"], customer, order["amount"], order["quantity"], order["placed_at"], order["note"])
    tx.execute(INSERT, values)


def refuse(event: Event, tx: Transaction) -> None:
    insert(event, tx)
    if event.json()["quantity"] < 0:
        raise EventError("nobody orders less than nothing")


def crash(event: Event, tx: Transaction) -> None:
    insert(event, tx)
    if event.json()["quantity"] < 0:
        raise ValueError("nobody orders less than nothing")
