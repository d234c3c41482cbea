"""Handlers of the comparison."""

from collections.abc import Sequence

from inbox import Event, Events, Transaction, handler
from tests.benchmarks.orders import COLUMNS
from tests.benchmarks.poison_handlers import INSERT

UPDATE = "UPDATE orders SET customer = %s, amount = %s, quantity = %s, placed_at = %s, note = %s WHERE order_id = %s"


def upsert(event: Event, tx: Transaction) -> None:
    """One statement for each event."""
    tx.execute(INSERT, tuple(event.json().values()))


def update(event: Event, tx: Transaction) -> None:
    """One UPDATE for each event, of a row that exists."""
    order_id, *values = event.json().values()
    tx.execute(UPDATE, (*values, order_id))


@handler(batch=True)
def upsert_all(events: Sequence[Event], tx: Transaction) -> None:
    """One statement for all events, repeated for each in one flight."""
    tx.executemany(INSERT, [tuple(event.json().values()) for event in events])


@handler(batch=True)
def upsert_many(events: Events, tx: Transaction) -> None:
    """Few statements of many rows."""
    tx.upsert_many("orders", COLUMNS, events.json(), key=["order_id"])
