"""Handlers of the comparison."""

from inbox import Event, Transaction

UPSERT = """
INSERT INTO orders (order_id, customer, amount, quantity, placed_at, note) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (order_id) DO UPDATE SET amount = EXCLUDED.amount, quantity = EXCLUDED.quantity
"""


def upsert(event: Event, tx: Transaction) -> None:
    """One statement for each event."""
    tx.execute(UPSERT, tuple(event.json().values()))
