"""The generations of claims: tables used in turn, so that the oldest claims go by emptying one.

No unique index spans them. Two things keep an id from being claimed in two at once: whoever claims holds its table
until COMMIT, which the switch to another waits for (`switch`), and whoever comes to COMMIT in a generation that is no
longer the youngest is fenced (`fence` in partitions.sql).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from inbox.events import TopicPartition
from inbox.store.postgres.connection import SinkConnection, transaction
from inbox.store.schema.names import table_of
from inbox.store.sql import of_generation, statements

FILTERED_TOGETHER = 4
"""Generations share a filter, from one whose number this divides: for a worker reads all filters, each of full size."""


@dataclass(frozen=True, kw_only=True)
class Generation:
    """`closed_at` is None for the one that takes new claims, `filter_bits` where no filter was built yet."""

    number: int
    opened_at: datetime
    closed_at: datetime | None
    filter_bits: int | None
    now: datetime

    def is_due(self, length: timedelta) -> bool:
        """Whether another one has to take over from it."""
        return self.closed_at is None and self.now - self.opened_at >= length

    def may_go(self, retention: timedelta) -> bool:
        """Whether every id in it was last seen before the retention."""
        return self.closed_at is not None and self.now - self.closed_at >= retention


@dataclass(frozen=True, kw_only=True)
class Horizon:
    """From where on duplicates are recognised and claims are kept: below `offset` a replay would apply events again.

    Both None: everything that was ever settled is recognised.
    """

    partition_id: int
    address: TopicPartition
    offset: int | None
    time: datetime | None


class Generations:
    """Reads and writes of the generations; each method that writes is a transaction of its own."""

    def __init__(self, schema: str) -> None:
        self._sql = statements("generations", schema)

    def read(self, connection: SinkConnection) -> list[Generation]:
        """The oldest first."""
        return [
            Generation(number=row[0], opened_at=row[1], closed_at=row[2], filter_bits=row[3], now=row[4])
            for row in connection.execute(self._sql["generations"])
        ]

    def size(self, connection: SinkConnection, number: int) -> int:
        """How many claims are in it."""
        row = connection.execute(of_generation(self._sql["size"], table_of(number))).fetchone()
        return int(row[0]) if row else 0

    def switch(self, connection: SinkConnection, number: int) -> None:
        """Let new claims go into the generation after this one, once every batch with claims in it has ended.

        Raises:
            TryAgainError: a batch took too long; nothing has changed.
        """
        with transaction(connection):
            _wait_briefly(connection)
            connection.execute(self._sql["switch"], {"generation": number})

    def raise_horizon(self, connection: SinkConnection, number: int) -> bool:
        """Refuse replays from now on that would want the claims of this generation.

        Returns:
            False where one is under way: the claims have to stay.
        """
        row = connection.execute(self._sql["raise_horizon"], {"generation": number}).fetchone()
        return bool(row and row[0])

    def drop(self, connection: SinkConnection, number: int) -> None:
        """All claims of a generation, after `raise_horizon`; its table is free for another one.

        Raises:
            TryAgainError: somebody reads them for too long; nothing has changed.
        """
        with transaction(connection):
            _wait_briefly(connection)
            parameters = {"generation": number, "filters_from": first_of_filter(number + 1)}
            connection.execute(self._sql["drop"], parameters)

    def horizons(self, connection: SinkConnection) -> list[Horizon]:
        """Of every partition that is not of a log left behind.

        Claims are removed after the horizon was raised, also under a snapshot that was taken before: who compares
        claims with a horizon reads it after them, in another snapshot.
        """
        return [
            Horizon(partition_id=row[0], address=TopicPartition(row[1], row[2]), offset=row[3], time=row[4])
            for row in connection.execute(self._sql["horizons"])
        ]

    def horizon(self, connection: SinkConnection) -> datetime | None:
        """Ids last seen since then are recognised, in every partition; None: all that ever were."""
        return max((each.time for each in self.horizons(connection) if each.time is not None), default=None)

    def horizon_seconds(self, connection: SinkConnection) -> float:
        """How long ago that was; infinite where every id is recognised."""
        row = connection.execute(self._sql["horizon_seconds"]).fetchone()
        return float(row[0]) if row and row[0] is not None else math.inf

    def horizons_to_come(self, connection: SinkConnection, number: int) -> Mapping[int, int]:
        """By partition id, what `raise_horizon` would make of them."""
        return dict(connection.execute(self._sql["horizons_to_come"], {"generation": number}).fetchall())


def _wait_briefly(connection: SinkConnection) -> None:
    """Every batch that begins meanwhile waits behind the lock of the table, so it does not wait for long itself."""
    connection.execute("SET LOCAL lock_timeout = '1s'")


def first_of_filter(number: int) -> int:
    """The generation by whose number the filter goes that this one is in."""
    return number - number % FILTERED_TOGETHER
