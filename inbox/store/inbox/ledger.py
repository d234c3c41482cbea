"""The ledger: which offset of which partition is settled, and who may settle the next."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

from inbox.events import Settlement, TopicPartition
from inbox.store.postgres import arrays
from inbox.store.postgres.connection import SinkConnection
from inbox.store.sql import statements


class Replaying(NamedTuple):
    """A replay that goes over a partition, up to, not including, `until_offset`.

    `route` is the name of the only one that it concerns; None for all. With `force` what was applied is applied again.
    """

    replay_id: int
    until_offset: int
    route: str | None
    force: bool


class Holding(NamedTuple):
    """A ledger row as its reader saw it; `topic_id` and `leader_epoch` are None where the brokers reported none.

    `reached_offset`: the furthest that `next_offset` ever was. What lies below it is settled again, by a replay.
    `replay` is known of a partition that was acquired. `too_many_letters`: it has more than `[failures] halt_above`
    dead letters within an hour; known only of this owner's partitions.
    """

    partition_id: int
    address: TopicPartition
    next_offset: int
    owner: str | None
    owner_epoch: int
    topic_id: UUID | None = None
    leader_epoch: int | None = None
    reached_offset: int = 0
    replay: Replaying | None = None
    too_many_letters: bool = False


class Revisions(NamedTuple):
    """What a batch has to be of beside its partitions: the set of routes, and the generation of claims."""

    routes: int
    generation: int


class OpenSession(NamedTuple):
    """The session of a partition's owner, with a transaction open; `started` tells it from another with its pid."""

    pid: int
    started: datetime


class Advance(NamedTuple):
    """What one batch settles in one partition: the offsets from `before` up to, not including, `after`.

    They all lie below the partition's reached offset, or all at or above it, so that endings count once.
    `leader_epoch` is the leader's term of the record right before `after`; None where that is no record.
    """

    partition_id: int
    owner_epoch: int
    before: int
    after: int
    settlement: Settlement
    leader_epoch: int | None = None


@dataclass(frozen=True, kw_only=True)
class KnownPartition:
    """A partition that the ledger has met before; `topic_id` is None where the brokers knew none."""

    partition_id: int
    cluster_id: str
    address: TopicPartition
    topic_id: UUID | None
    next_offset: int
    leader_epoch: int | None = None


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
        """Of a log that a resume left behind: a topic in Kafka has no # in its name."""
        return "#" in self.address.topic


_END_SESSION: LiteralString = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = %(pid)s AND backend_start = %(started)s AND xact_start IS NOT NULL
    AND (pg_has_role(usesysid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE'))
"""


class Ledger:
    """Reads and writes of `partitions`; the caller has the transaction."""

    def __init__(self, schema: str) -> None:
        self._sql = statements("partitions", schema)

    def known(self, connection: SinkConnection, topics: Sequence[str]) -> list[KnownPartition]:
        rows = connection.execute(self._sql["known_partitions"], {"topics": list(topics)})
        return [
            KnownPartition(
                partition_id=row[0],
                cluster_id=row[1],
                address=TopicPartition(row[2], row[4]),
                topic_id=row[3],
                next_offset=row[5],
                leader_epoch=row[6],
            )
            for row in rows
        ]

    def unmoved(self, connection: SinkConnection, topics: Sequence[str]) -> dict[TopicPartition, int]:
        """The next offsets of partitions of which the last owner settled nothing."""
        rows = connection.execute(self._sql["unmoved"], {"topics": list(topics)})
        return {TopicPartition(topic, partition): offset for topic, partition, offset in rows}

    def add(
        self, connection: SinkConnection, cluster_id: str, topic_id: UUID | None, starts: Mapping[TopicPartition, int]
    ) -> None:
        """Partitions seen for the first time; one that another worker added meanwhile keeps its start."""
        for address, offset in sorted(starts.items()):
            connection.execute(
                self._sql["add_partition"],
                {
                    "cluster_id": cluster_id,
                    "topic": address.topic,
                    "topic_id": topic_id,
                    "partition": address.partition,
                    "offset": offset,
                },
            )

    def acquire(self, connection: SinkConnection, partitions: Sequence[TopicPartition], owner: str) -> list[Holding]:
        """Raise the owner epoch of each: from now on every earlier owner is fenced."""
        parameters: dict[str, Any] = {
            "topics": [p.topic for p in partitions],
            "partitions": [p.partition for p in partitions],
            "owner": owner,
            "alone": not connection.is_pooled,
        }
        return [_holding(row) for row in connection.execute(self._sql["acquire"], parameters)]

    def sign(self, connection: SinkConnection, owner: str) -> None:
        """Note that the owner's session is this one, since it lost the one before; behind a pooler it has none."""
        connection.execute(self._sql["sign"], {"owner": owner, "alone": not connection.is_pooled})

    def open_sessions(
        self, connection: SinkConnection, partitions: Sequence[TopicPartition], owner: str
    ) -> list[OpenSession]:
        """The sessions of other owners of these partitions that are in a transaction now."""
        parameters = {
            "topics": [p.topic for p in partitions],
            "partitions": [p.partition for p in partitions],
            "owner": owner,
        }
        return [OpenSession(*row) for row in connection.execute(self._sql["open_sessions"], parameters)]

    def hidden_owners(self, connection: SinkConnection, topics: Sequence[str]) -> list[str]:
        """The other roles of owners at work whose sessions this connection's role may not see, or not end."""
        rows = connection.execute(self._sql["hidden_owners"], {"topics": list(topics)})
        return [row[0] for row in rows]

    def end_session(self, connection: SinkConnection, session: OpenSession) -> None:
        """Its transaction is rolled back and its locks are free (PostgreSQL manual, 9.28.2)."""
        connection.execute(_END_SESSION, session._asdict())

    def look(self, connection: SinkConnection, topics: Sequence[str]) -> list[Holding]:
        return [_holding(row) for row in connection.execute(self._sql["look"], {"topics": list(topics)})]

    def fence(
        self,
        connection: SinkConnection,
        advances: Sequence[Advance],
        *,
        owner: str,
        routes_revision: int,
        generation: int = 0,
    ) -> tuple[frozenset[int], str | None]:
        """Move the ledger on where it still is as the batch found it.

        `generation` is the one that the batch's claims are in.

        Returns:
            The partition ids that moved, and the transaction id (PostgreSQL's `pg_current_xact_id`).
        """
        endings = [a.settlement for a in advances]
        parameters = {
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
        }
        rows = connection.execute(self._sql["fence"], parameters).fetchall()
        return frozenset(row[0] for row in rows), rows[0][1] if rows else None

    def lock(self, connection: SinkConnection, partition_id: int) -> None:
        """Nothing of the partition is settled or acquired before the transaction ends."""
        connection.execute(self._sql["lock"], {"partition_id": partition_id})

    def raise_epoch(self, connection: SinkConnection, partition_id: int) -> str | None:
        """Fence what the owner does by what it knew before; it acquires the partition again.

        Returns:
            The transaction id, as `fence`.
        """
        row = connection.execute(self._sql["raise_epoch"], {"partition_id": partition_id}).fetchone()
        return row[0] if row else None

    def count_other_payloads(self, connection: SinkConnection, partition_id: int, count: int) -> None:
        connection.execute(self._sql["count_other_payloads"], {"partition_id": partition_id, "count": count})

    def revisions(self, connection: SinkConnection) -> Revisions:
        row = connection.execute(self._sql["revisions"]).fetchone()
        return Revisions(*row) if row else Revisions(-1, -1)

    def status(self, connection: SinkConnection) -> list[PartitionStatus]:
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
            for row in connection.execute(self._sql["status"])
        ]

    def rates(self, connection: SinkConnection, within: timedelta) -> dict[TopicPartition, float]:
        """Offsets settled a second, of those partitions that settled any lately."""
        rows = connection.execute(self._sql["rates"], {"within": within})
        return {TopicPartition(topic, partition): float(rate) for topic, partition, rate in rows}


def missing(advances: Iterable[Advance], moved: Collection[int]) -> frozenset[int]:
    """The partitions that a fence did not move."""
    return frozenset(a.partition_id for a in advances if a.partition_id not in moved)


def _holding(row: tuple[Any, ...]) -> Holding:
    return Holding(row[0], TopicPartition(row[1], row[2]), *row[3:])
