"""Handlers of the comparison."""

from inbox import Event, Transaction
from tests.benchmarks.poison_handlers import INSERT


def upsert(event: Event, tx: Transaction) -> None:
    """One statement for each event."""
    tx.execute(INSERT, tuple(event.json().values()))
