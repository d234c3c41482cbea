"""The horizon: how far back the inbox recognises an event that comes again.

Claims older than their retention are removed (`inbox.store.inbox.generations`), and the horizon of
each partition rises before they are. Its age is the metric `inbox_horizon_seconds`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from inbox.events import TopicPartition
from inbox.store.postgres.connection import Connection
from inbox.store.sql import statements


@dataclass(frozen=True, kw_only=True)
class Horizon:
    """The horizon of a partition: below `offset` claims were removed, and a replay would apply events again.

    Both None: every event that was ever settled is recognised.
    """

    partition_id: int
    address: TopicPartition
    offset: int | None
    time: datetime | None


class Horizons:
    """The reads of the partitions' horizons. `Generations.raise_horizon` moves them."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._sql = statements("generations", schema)

    def read(self) -> list[Horizon]:
        """Return the horizon of each current partition; those that a resume left behind are skipped.

        Claims are removed after the horizon was raised, also under a snapshot that was taken
        before. To compare claims with a horizon, read the horizon after the claims, in another
        snapshot.
        """
        return [
            Horizon(partition_id=row[0], address=TopicPartition(row[1], row[2]), offset=row[3], time=row[4])
            for row in self._connection.execute(self._sql["horizons"])
        ]

    def latest(self) -> datetime | None:
        """Return the latest horizon: ids last seen since then are recognised in every partition; None if all are."""
        return max((each.time for each in self.read() if each.time is not None), default=None)

    def age_seconds(self) -> float:
        """Return the age of the latest horizon in seconds, which is the metric `inbox_horizon_seconds`.

        It is infinite where every id is recognised.
        """
        row = self._connection.execute(self._sql["horizon_seconds"]).fetchone()
        return float(row[0]) if row and row[0] is not None else math.inf

    def to_come(self, number: int) -> Mapping[int, int]:
        """Return the horizons that `raise_horizon` would set, by partition id."""
        return dict(self._connection.execute(self._sql["horizons_to_come"], {"generation": number}).fetchall())
