"""Notes that outlive the process: which events a handler was given last."""

from collections.abc import Mapping, Sequence
from typing import LiteralString, NamedTuple

from inbox.store.postgres import arrays
from inbox.store.postgres.connection import SinkConnection
from inbox.store.postgres.pooler import holding
from inbox.store.sql import statements

_ALIVE: LiteralString = "pg_try_advisory_xact_lock_shared(hashtextextended('kafka-inbox owner ' || %s, 0))"


class Deaths(NamedTuple):
    """How many processes ended while their handler had an event of these offsets in hand."""

    route_id: int
    partition_id: int
    offsets: range
    deaths: int


class Handling:
    """Reads and writes of `handling`, for one owner."""

    def __init__(self, schema: str, owner: str) -> None:
        self._sql = statements("handling", schema)
        self._owner = owner

    def count_deaths(self, connection: SinkConnection, partition_ids: Sequence[int]) -> list[Deaths]:
        """What the owners before left in hand when they ended, counted once each."""
        parameters = {"partition_ids": list(partition_ids), "owner": self._owner}
        connection.execute(self._sql["deaths"], parameters)
        return [
            Deaths(route_id, partition_id, range(first, until), deaths)
            for route_id, partition_id, first, until, deaths in connection.execute(self._sql["found"], parameters)
        ]

    def prepare(self, connection: SinkConnection) -> None:
        """A note has to outlive this process, not the server: it does not wait for the disk.

        Behind a pooler the process has no session that tells whether it lives. A lock does, of an open transaction: the
        server ends that one when the process is gone.
        """
        connection.pin_also({"synchronous_commit": "off"})
        if connection.is_pooled and (alive := holding(connection, _ALIVE, self._owner)) is not None:
            connection.keep(alive)

    def in_hand(self, connection: SinkConnection, route_id: int, partition_id: int, offsets: range) -> None:
        """Noted at once: `connection` is not the one of the batch's transaction."""
        connection.check_companions()
        connection.execute(
            self._sql["in_hand"],
            {
                "route_id": route_id,
                "partition_id": partition_id,
                "kafka_offset": offsets.start,
                "until_offset": offsets.stop,
                "owner": self._owner,
                "alone": not connection.is_pooled,
            },
        )

    def put_down(self, connection: SinkConnection) -> None:
        """The handler came back, whatever it said."""
        connection.execute(self._sql["put_down"], {"owner": self._owner})

    def forget(self, connection: SinkConnection, afters: Mapping[int, int]) -> None:
        """What lies before these offsets, by partition id, is settled; in the batch's own transaction."""
        connection.execute(
            self._sql["forget"],
            {"partition_ids": arrays.int4s(list(afters)), "afters": arrays.int8s(list(afters.values()))},
        )
