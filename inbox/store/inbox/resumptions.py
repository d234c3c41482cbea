"""The changes of `inbox resume`: the offset at which a partition continues, and the log."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

from inbox.store.inbox.ledger import KnownPartition
from inbox.store.inbox.replays import Replays
from inbox.store.inbox.settled_ranges import SettledRanges
from inbox.store.postgres import arrays
from inbox.store.postgres.connection import Connection
from inbox.store.sql import statements

_IDS_AT_ONCE = 10_000


@dataclass(frozen=True, kw_only=True)
class Successor:
    """The offset at which a partition continues; `to_offset` is None where the cluster no longer has the partition.

    `another_log`: the row's earlier offsets mean nothing in the current log, but for those below
    `same_below`, which the log has as they were settled.
    """

    before: KnownPartition
    cluster_id: str
    topic_id: UUID | None
    to_offset: int | None
    another_log: bool
    consequence: str
    same_below: int = 0


class Resumptions:
    """The writes of one resume; the caller has the transaction."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._sql = statements("resumptions", schema)
        self._replays = Replays(connection, schema)
        self._settled = SettledRanges(connection, schema)

    def lock(self, topic: str) -> None:
        """Lock the topic: nothing of it is settled or acquired before the transaction ends."""
        self._connection.execute(self._sql["lock_topic"], {"topic": topic})

    def open_letters(self, partition_ids: Sequence[int]) -> dict[int, int]:
        """Return the number of dead letters that are neither retried nor discarded, for partitions that have any."""
        rows = self._connection.execute(self._sql["open_letters"], {"partition_ids": list(partition_ids)})
        return dict(rows)

    def continue_at(self, successor: Successor, *, requested_by: str) -> None:
        """Bind the partition to its current log, and record that."""
        before = successor.before
        partition_id = before.partition_id
        self._replays.supersede(partition_id)
        if successor.another_log:
            self._connection.execute(self._sql["set_aside"], {"partition_id": partition_id})
            partition_id = self._succeed(successor)
            if successor.same_below and partition_id != before.partition_id:
                self._settled.copy(before.partition_id, partition_id, below=successor.same_below)
        else:
            if successor.to_offset is not None and successor.to_offset > before.next_offset:
                self._settled.copy(partition_id, partition_id)
            moved = {"to_offset": successor.to_offset, "topic_id": successor.topic_id, "partition_id": partition_id}
            self._connection.execute(self._sql["move"], moved)
        self._connection.execute(
            self._sql["note"],
            {
                "partition_id": partition_id,
                "from_cluster_id": before.cluster_id,
                "to_cluster_id": successor.cluster_id,
                "from_topic_id": before.topic_id,
                "to_topic_id": successor.topic_id,
                "from_offset": before.next_offset,
                "to_offset": before.next_offset if successor.to_offset is None else successor.to_offset,
                "consequence": successor.consequence,
                "requested_by": requested_by,
            },
        )

    def _succeed(self, successor: Successor) -> int:
        before = successor.before
        if successor.to_offset is None:
            return before.partition_id
        parameters = {
            "cluster_id": successor.cluster_id,
            "topic": before.address.topic,
            "topic_id": successor.topic_id,
            "to_offset": successor.to_offset,
            "partition_id": before.partition_id,
        }
        row = self._connection.execute(self._sql["succeed"], parameters).fetchone()
        return int(row[0]) if row else before.partition_id

    def forget_claims(self, partition_id: int, ids: Iterable[bytes]) -> None:
        """Delete the claims of events that no longer exist, because other events will have their ids."""
        remaining = iter(ids)
        while some := list(islice(remaining, _IDS_AT_ONCE)):
            parameters = {"ids": arrays.uuids(some), "partition_id": partition_id}
            self._connection.execute(self._sql["forget_claims"], parameters)

    def bind_cluster(self, cluster_id: str) -> list[str]:
        """Let the sink start on this cluster once all its topics belong to it.

        Returns:
            The topics that still belong to another cluster.
        """
        self._connection.execute(self._sql["bind_cluster"], {"cluster_id": cluster_id})
        return [row[0] for row in self._connection.execute(self._sql["topics_elsewhere"], {"cluster_id": cluster_id})]
