"""Write the rows of many events by few statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import inbox
from inbox import Event, Transaction

SCHEMA = "CREATE TABLE sales (event_id uuid PRIMARY KEY, sku text NOT NULL, amount numeric(12, 2) NOT NULL)"


@dataclass
class Sale:
    sku: str
    amount: Decimal


@inbox.handler(batch=True)
def count_sold(sales: Sequence[Sale], events: Sequence[Event], tx: Transaction) -> None:
    """Keep the sales. A row of an event that is replayed by force is there already."""
    rows = [(event.id, sale.sku, sale.amount) for event, sale in zip(events, sales, strict=True)]
    tx.insert_many("sales", ["event_id", "sku", "amount"], rows, ignore_existing=True)
