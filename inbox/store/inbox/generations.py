"""The generations of claims: tables used in turn, so that the oldest claims are removed by emptying one table.

No unique index spans the generations. Two rules keep an id from being claimed in two of them. A
transaction that claims holds its table until COMMIT, and the switch to another table waits for that
(`switch`). A transaction that reaches COMMIT in a generation that is no longer the youngest is
fenced (`fence` in partitions.sql).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from inbox.store.postgres.connection import Connection, transaction
from inbox.store.schema.names import table_of
from inbox.store.sql import of_generation, statements

FILTERED_TOGETHER = 4
"""The number of generations that share a filter, from one whose number this divides.

A worker reads all filters, and each has the full size.
"""


@dataclass(frozen=True, kw_only=True)
class Generation:
    """A generation of claims; `closed_at` is None while it takes new claims, `filter_bits` before it has a filter."""

    number: int
    opened_at: datetime
    closed_at: datetime | None
    filter_bits: int | None
    now: datetime

    def is_due(self, length: timedelta) -> bool:
        """Return whether another generation has to take over from this one."""
        return self.closed_at is None and self.now - self.opened_at >= length

    def may_go(self, retention: timedelta) -> bool:
        """Return whether every id in the generation was last seen before the retention."""
        return self.closed_at is not None and self.now - self.closed_at >= retention


class Generations:
    """The reads and writes of the generations; each method that writes is a transaction of its own."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._sql = statements("generations", schema)

    def read(self) -> list[Generation]:
        """Return the generations, the oldest first."""
        return [
            Generation(number=row[0], opened_at=row[1], closed_at=row[2], filter_bits=row[3], now=row[4])
            for row in self._connection.execute(self._sql["generations"])
        ]

    def size(self, number: int) -> int:
        """Return the number of claims in a generation."""
        row = self._connection.execute(of_generation(self._sql["size"], table_of(number))).fetchone()
        return int(row[0]) if row else 0

    def switch(self, number: int) -> None:
        """Direct new claims to the next generation, once every batch with claims in this one has ended.

        Raises:
            TryAgainError: a batch took too long; nothing has changed.
        """
        with transaction(self._connection):
            self._wait_briefly()
            self._connection.execute(self._sql["switch"], {"generation": number})

    def raise_horizon(self, number: int) -> bool:
        """Refuse from now on replays that would need the claims of this generation.

        Returns:
            False where such a replay is in progress: the claims have to stay.
        """
        row = self._connection.execute(self._sql["raise_horizon"], {"generation": number}).fetchone()
        return bool(row and row[0])

    def drop(self, number: int) -> None:
        """Remove all claims of a generation, after `raise_horizon`; its table is free for another generation.

        Raises:
            TryAgainError: another session reads them for too long; nothing has changed.
        """
        with transaction(self._connection):
            self._wait_briefly()
            parameters = {"generation": number, "filters_from": first_of_filter(number + 1)}
            self._connection.execute(self._sql["drop"], parameters)

    def _wait_briefly(self) -> None:
        """Limit the wait for the table's lock: every batch that begins meanwhile waits behind this request."""
        self._connection.execute("SET LOCAL lock_timeout = '1s'")


def first_of_filter(number: int) -> int:
    """Return the number of the first generation in this one's filter, which names the filter."""
    return number - number % FILTERED_TOGETHER
