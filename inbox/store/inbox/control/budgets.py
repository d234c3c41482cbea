"""The budgets of events a second that all workers of a sink share, in the table `pace`."""

from inbox.store.postgres.connection import Connection
from inbox.store.sql import statements


class Budgets:
    """The turns that workers take; each is a transaction of its own, so that no batch holds up another."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._sql = statements("control", schema)

    def take_turn(self, budget: str, events: int, *, per_second: float) -> float:
        """Take so many events from a budget, and return the seconds until their turn, by the database's clock.

        Below 0: so long ago, half a second at most.
        """
        asked = {"budget": budget, "seconds": events / per_second}
        row = self._connection.execute(self._sql["take_turn"], asked).fetchone()
        return float(row[0]) if row else 0.0
