"""The ledger: the offsets that are settled in each partition, and the owner who may settle the next."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

from inbox.events import Settlement, TopicPartition
from inbox.store.postgres import arrays
from inbox.store.postgres.connection import Connection
from inbox.store.sql import statements


class ActiveReplay(NamedTuple):
    """A replay in progress on one partition, ending before `until_offset`.

    `route` is the name of the only route that is replayed; None for all. With `force` an event that
    took effect is applied again. `per_second` is the most events that all workers settle of it together.
    """

    replay_id: int
    until_offset: int
    route: str | None
    force: bool
    per_second: int | None = None


class LedgerRow(NamedTuple):
    """A ledger row as its reader saw it; `topic_id` and `leader_epoch` are None where the brokers reported none.

    `reached_offset` is the furthest that `next_offset` ever was. A replay settles again what lies
    below it. `settled_until` is the end of what routes without claims settled beside the ledger (a
    truncated log may have it before it), or None. `replay` is known only for an acquired partition.
    `too_many_letters`: the partition has more than `[failures] halt_above` dead letters within an
    hour; known only for this owner's partitions. `held`: a person holds it.
    """

    partition_id: int
    address: TopicPartition
    next_offset: int
    owner: str | None
    owner_epoch: int
    topic_id: UUID | None = None
    leader_epoch: int | None = None
    reached_offset: int = 0
    settled_until: int | None = None
    replay: ActiveReplay | None = None
    too_many_letters: bool = False
    held: bool = False


class Revisions(NamedTuple):
    """The revisions that a batch must match beside its partitions: the set of routes, and the generation of claims."""

    routes: int
    generation: int


class OpenSession(NamedTuple):
    """The session of a partition's owner, in a transaction; `started` distinguishes sessions of one pid."""

    pid: int
    started: datetime


class OffsetAdvance(NamedTuple):
    """The offsets that one batch settles in one partition, from `before` up to, not including, `after`.

    They lie either all below the partition's reached offset or all at or above it, so that endings
    are counted once. `leader_epoch` is the epoch of the record right before `after`; None where no
    record is there.
    """

    partition_id: int
    owner_epoch: int
    before: int
    after: int
    settlement: Settlement
    leader_epoch: int | None = None


@dataclass(frozen=True, kw_only=True)
class KnownPartition:
    """A partition that the ledger knows already; `topic_id` is None where the brokers reported none."""

    partition_id: int
    cluster_id: str
    address: TopicPartition
    topic_id: UUID | None
    next_offset: int
    leader_epoch: int | None = None
    owner_epoch: int = 0


@dataclass(frozen=True, kw_only=True)
class PartitionStatus:
    address: TopicPartition
    next_offset: int
    owner: str | None
    owner_epoch: int
    last_progress_at: datetime
    settlement: Settlement
    same_id_other_payload: int
    partition_id: int = 0
    topic_id: UUID | None = None

    @property
    def set_aside(self) -> bool:
        """Return whether a resume left this log behind: its name has a #, which a topic in Kafka cannot have."""
        return "#" in self.address.topic


_END_SESSION: LiteralString = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = %(pid)s AND backend_start = %(started)s AND xact_start IS NOT NULL
    AND (pg_has_role(usesysid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE'))
"""


class Ledger:
    """The reads and writes of `partitions`; the caller has the transaction."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._sql = statements("partitions", schema)

    def known(self, topics: Sequence[str]) -> list[KnownPartition]:
        rows = self._connection.execute(self._sql["known_partitions"], {"topics": list(topics)})
        return [
            KnownPartition(
                partition_id=row[0],
                cluster_id=row[1],
                address=TopicPartition(row[2], row[4]),
                topic_id=row[3],
                next_offset=row[5],
                leader_epoch=row[6],
                owner_epoch=row[7],
            )
            for row in rows
        ]

    def unmoved(self, topics: Sequence[str]) -> dict[TopicPartition, int]:
        """Return the next offsets of partitions in which the last owner settled nothing."""
        rows = self._connection.execute(self._sql["unmoved"], {"topics": list(topics)})
        return {TopicPartition(topic, partition): offset for topic, partition, offset in rows}

    def add(self, cluster_id: str, topic_id: UUID | None, starts: Mapping[TopicPartition, int]) -> None:
        """Add partitions seen for the first time; one that another worker added meanwhile keeps its start."""
        for address, offset in sorted(starts.items()):
            self._connection.execute(
                self._sql["add_partition"],
                {
                    "cluster_id": cluster_id,
                    "topic": address.topic,
                    "topic_id": topic_id,
                    "partition": address.partition,
                    "offset": offset,
                },
            )

    def acquire(self, partitions: Sequence[TopicPartition], owner: str) -> list[LedgerRow]:
        """Raise the owner epoch of each partition, which fences every earlier owner from now on."""
        parameters: dict[str, Any] = {
            "topics": [p.topic for p in partitions],
            "partitions": [p.partition for p in partitions],
            "owner": owner,
            "alone": not self._connection.is_pooled,
        }
        return [_ledger_row(row) for row in self._connection.execute(self._sql["acquire"], parameters)]

    def record_session(self, owner: str) -> None:
        """Record this session as the owner's, after the previous one was lost; behind a pooler it has none."""
        self._connection.execute(self._sql["sign"], {"owner": owner, "alone": not self._connection.is_pooled})

    def open_sessions(self, partitions: Sequence[TopicPartition], owner: str) -> list[OpenSession]:
        """Return the sessions of these partitions' other owners that are in a transaction now."""
        parameters = {
            "topics": [p.topic for p in partitions],
            "partitions": [p.partition for p in partitions],
            "owner": owner,
        }
        return [OpenSession(*row) for row in self._connection.execute(self._sql["open_sessions"], parameters)]

    def hidden_owners(self, topics: Sequence[str]) -> list[str]:
        """Return the roles of other active owners whose sessions this connection's role may not see or end."""
        rows = self._connection.execute(self._sql["hidden_owners"], {"topics": list(topics)})
        return [row[0] for row in rows]

    def end_session(self, session: OpenSession) -> None:
        """End the session, which rolls back its transaction and frees its locks (PostgreSQL manual, 9.28.2)."""
        self._connection.execute(_END_SESSION, session._asdict())

    def read(self, topics: Sequence[str]) -> list[LedgerRow]:
        return [_ledger_row(row) for row in self._connection.execute(self._sql["look"], {"topics": list(topics)})]

    def fence(
        self,
        advances: Sequence[OffsetAdvance],
        *,
        owner: str,
        routes_revision: int,
        generation: int = 0,
    ) -> tuple[frozenset[int], str | None]:
        """Advance the ledger in the partitions where it still is as the batch found it.

        `generation` is the one that holds the batch's claims.

        Returns:
            The partition ids that moved, and the transaction id (PostgreSQL's `pg_current_xact_id`).
        """
        parameters = _fence_parameters(advances, owner, routes_revision, generation, required=0)
        [(moved, transaction_id, _)] = self._connection.execute(self._sql["fence"], parameters)
        return frozenset(moved or ()), transaction_id if moved else None

    def send_fence(
        self, advances: Sequence[OffsetAdvance], *, owner: str, routes_revision: int, generation: int
    ) -> None:
        """Send `fence` in a pipeline, as a statement that fails unless all partitions move."""
        parameters = _fence_parameters(advances, owner, routes_revision, generation, required=len(advances))
        self._connection.execute(self._sql["fence"], parameters)

    def lock(self, partition_id: int) -> None:
        """Lock the partition: nothing of it is settled or acquired before the transaction ends."""
        self._connection.execute(self._sql["lock"], {"partition_id": partition_id})

    def lock_owned(self, partition_id: int, owner: str) -> str | None:
        """Lock the partition as `lock` if this worker owns it.

        Returns:
            The transaction id, as `fence`; None if another worker owns the partition.
        """
        at = {"partition_id": partition_id, "owner": owner}
        row = self._connection.execute(self._sql["lock_owned"], at).fetchone()
        return row[0] if row else None

    def raise_epoch(self, partition_id: int) -> str | None:
        """Raise the epoch, which fences the owner's current work; the owner acquires the partition again.

        Returns:
            The transaction id, as `fence`.
        """
        row = self._connection.execute(self._sql["raise_epoch"], {"partition_id": partition_id}).fetchone()
        return row[0] if row else None

    def count_other_payloads(self, partition_id: int, count: int) -> None:
        self._connection.execute(self._sql["count_other_payloads"], {"partition_id": partition_id, "count": count})

    def revisions(self) -> Revisions:
        row = self._connection.execute(self._sql["revisions"]).fetchone()
        return Revisions(*row) if row else Revisions(-1, -1)

    def status(self) -> list[PartitionStatus]:
        return [
            PartitionStatus(
                address=TopicPartition(row[0], row[1]),
                next_offset=row[2],
                owner=row[3],
                owner_epoch=row[4],
                last_progress_at=row[5],
                settlement=Settlement(*row[6:10]),
                same_id_other_payload=row[10],
                partition_id=row[11],
                topic_id=row[12],
            )
            for row in self._connection.execute(self._sql["status"])
        ]

    def rates(self, within: timedelta) -> dict[TopicPartition, float]:
        """Return offsets settled per second, for the partitions that settled any in this time."""
        rows = self._connection.execute(self._sql["rates"], {"within": within})
        return {TopicPartition(topic, partition): float(rate) for topic, partition, rate in rows}


def missing(advances: Iterable[OffsetAdvance], moved: Collection[int]) -> frozenset[int]:
    """Return the partitions that a fence did not move."""
    return frozenset(a.partition_id for a in advances if a.partition_id not in moved)


def _fence_parameters(
    advances: Sequence[OffsetAdvance], owner: str, routes_revision: int, generation: int, *, required: int
) -> dict[str, Any]:
    endings = [a.settlement for a in advances]
    return {
        "partition_ids": arrays.int4s([a.partition_id for a in advances]),
        "owner_epochs": arrays.int8s([a.owner_epoch for a in advances]),
        "befores": arrays.int8s([a.before for a in advances]),
        "afters": arrays.int8s([a.after for a in advances]),
        "applied": arrays.int8s([s.applied for s in endings]),
        "duplicate": arrays.int8s([s.duplicate for s in endings]),
        "filtered": arrays.int8s([s.filtered for s in endings]),
        "dead_lettered": arrays.int8s([s.dead_lettered for s in endings]),
        "owner": owner,
        "routes_revision": routes_revision,
        "generation": generation,
        "leader_epochs": arrays.int4s([a.leader_epoch for a in advances]),
        "required": required,
    }


def _ledger_row(row: tuple[Any, ...]) -> LedgerRow:
    return LedgerRow(row[0], TopicPartition(row[1], row[2]), *row[3:])
