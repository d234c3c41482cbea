"""Notes that outlive the process: the events that a handler received last."""

from collections.abc import Mapping, Sequence
from typing import LiteralString, NamedTuple

from inbox.store.postgres import arrays
from inbox.store.postgres.connection import Connection
from inbox.store.postgres.pooler import holding
from inbox.store.sql import statements

_ALIVE: LiteralString = "pg_try_advisory_xact_lock_shared(hashtextextended('kafka-inbox owner ' || %s, 0))"


class Deaths(NamedTuple):
    """The number of processes that ended while their handler was processing an event of these offsets."""

    route_id: int
    partition_id: int
    offsets: range
    deaths: int


class HandlerCallNotes:
    """The reads and writes of `handling` for one owner."""

    def __init__(self, connection: Connection, schema: str, owner: str) -> None:
        self._connection = connection
        self._sql = statements("handling", schema)
        self._owner = owner

    def count_deaths(self, partition_ids: Sequence[int]) -> list[Deaths]:
        """Count, once each, the notes left by earlier owners' ended processes, and return all deaths found."""
        parameters = {"partition_ids": list(partition_ids), "owner": self._owner}
        self._connection.execute(self._sql["deaths"], parameters)
        return [
            Deaths(route_id, partition_id, range(first, until), deaths)
            for route_id, partition_id, first, until, deaths in self._connection.execute(self._sql["found"], parameters)
        ]

    def prepare(self) -> None:
        """Prepare the connection: a note has to outlive this process, not the server, so it does not wait for the disk.

        Behind a pooler no session shows whether the process lives. The lock of an open transaction
        does: the server ends that transaction when the process is gone.
        """
        self._connection.pin_also({"synchronous_commit": "off"})
        if self._connection.is_pooled and (alive := holding(self._connection, _ALIVE, self._owner)) is not None:
            self._connection.keep(alive)

    def start_call(self, route_id: int, partition_id: int, offsets: range) -> None:
        """Note that the handler has these events.

        `connection` is not that of the batch, so the note commits immediately.
        """
        self._connection.check_companions()
        self._connection.execute(
            self._sql["in_hand"],
            {
                "route_id": route_id,
                "partition_id": partition_id,
                "kafka_offset": offsets.start,
                "until_offset": offsets.stop,
                "owner": self._owner,
                "alone": not self._connection.is_pooled,
            },
        )

    def finish_call(self) -> None:
        """Note that the handler returned, with whatever result."""
        self._connection.execute(self._sql["put_down"], {"owner": self._owner})

    def forget(self, afters: Mapping[int, int]) -> None:
        """Forget notes below these offsets, by partition id, which are settled; runs in the batch's own transaction."""
        self._connection.execute(
            self._sql["forget"],
            {"partition_ids": arrays.int4s(list(afters)), "afters": arrays.int8s(list(afters.values()))},
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
