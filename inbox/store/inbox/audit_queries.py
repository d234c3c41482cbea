"""Read what an audit needs: claims in bulk and singly, dead letters, and where each route begins.

Nothing is changed.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from inbox.events import Settlement, TopicPartition
from inbox.store.inbox.claims import ADOPTED
from inbox.store.inbox.dead_letters import State
from inbox.store.postgres import arrays
from inbox.store.postgres.connection import Connection, transaction
from inbox.store.sql import statements


class ProgressRow(NamedTuple):
    """A row of `progress`: the offsets from `from_offset` up to, not including, `until_offset`."""

    from_offset: int
    until_offset: int
    settlement: Settlement


class PartitionHistory(NamedTuple):
    """The history of a partition in the ledger, with its tiles in order.

    The partition was begun at `start_offset`. `reached_offset` is the furthest that it was ever
    settled.
    """

    address: TopicPartition
    start_offset: int
    next_offset: int
    reached_offset: int
    counts: Settlement
    tiles: Sequence[ProgressRow]

    @property
    def from_offset(self) -> int:
        """Return the first offset of the history that is left; a prune removes the oldest rows."""
        return self.tiles[0].from_offset if self.tiles else self.start_offset

    @property
    def until_offset(self) -> int:
        return self.tiles[-1].until_offset if self.tiles else self.start_offset

    @property
    def pruned(self) -> bool:
        return self.from_offset > self.start_offset

    @property
    def total(self) -> Settlement:
        total = Settlement()
        for tile in self.tiles:
            total.add(tile.settlement)
        return total


class Coordinates(NamedTuple):
    """The coordinates of a claim's event; topic and partition are None if the ledger does not know the partition."""

    topic: str | None
    partition: int | None
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignClaim:
    """A claim that no sink makes: its partition or route is unknown, or its offset is past all that was settled.

    A field that is not known is None.
    """

    partition_id: int
    address: TopicPartition | None
    route: str | None
    event_id: str
    offset: int


class Bounds(NamedTuple):
    """The bounds of a partition in the ledger: it was begun at `start_offset` and is settled up to `next_offset`.

    Claims below `horizon` may have been removed.
    """

    partition_id: int
    address: TopicPartition
    start_offset: int
    next_offset: int
    horizon: int = 0


class ChunkOfClaims(NamedTuple):
    """A chunk of offsets (`offset >> bits`) of one partition and route."""

    partition_id: int
    route_id: int
    chunk: int


class Claim(NamedTuple):
    """A claim by its coordinates; `event_id` in 16 bytes."""

    partition_id: int
    chunk: int
    offset: int
    route_id: int
    event_id: bytes


class UnresolvedLetter(NamedTuple):
    """A dead letter that was not retried."""

    route_id: int
    offset: int
    state: State


class AuditQueries:
    """The reads of one audit, in chunks of `2 ** bits` offsets."""

    def __init__(self, connection: Connection, schema: str, *, bits: int) -> None:
        self._connection = connection
        self._sql = statements("audit", schema)
        self._bits = bits

    def bounds(self) -> list[Bounds]:
        rows = self._connection.execute(self._sql["bounds"])
        return [Bounds(row[0], TopicPartition(row[1], row[2]), row[3], row[4], row[5]) for row in rows]

    def horizon(self, partition_id: int) -> int:
        """Return the partition's horizon now: claims below it may have been removed after they were read."""
        row = self._connection.execute(self._sql["horizon"], {"partition_id": partition_id}).fetchone()
        return int(row[0]) if row else 0

    def histories(self) -> Iterator[PartitionHistory]:
        """Yield each partition of the ledger with its rows of `progress`; the caller provides the snapshot."""
        for row in self._connection.execute(self._sql["ledger"]).fetchall():
            rows = self._connection.execute(self._sql["tiles"], {"partition_id": row[0]})
            tiles = [ProgressRow(each[0], each[1], Settlement(*each[2:])) for each in rows]
            address, counts = TopicPartition(row[1], row[2]), Settlement(*row[6:])
            yield PartitionHistory(address, row[3], row[4], row[5], counts, tiles)

    def routes(self) -> dict[str, int]:
        """Return the ids of the routes that are not retired, by name."""
        return dict(self._connection.execute(self._sql["routes"]).fetchall())

    def route_starts(self, partition_ids: Sequence[int]) -> dict[tuple[int, int], int]:
        """Return the offset from which a route has to settle a partition, by (partition id, route id)."""
        rows = self._connection.execute(self._sql["route_starts"], {"partition_ids": list(partition_ids)})
        return {(partition_id, route_id): offset for partition_id, route_id, offset in rows}

    def claims(self, ranges: Sequence[tuple[int, int, int]]) -> dict[ChunkOfClaims, tuple[int, int]]:
        """Return count and sum of fingerprints of the claims by chunk, within (partition id, from, until)."""
        parameters = {
            "bits": self._bits,
            "partition_ids": arrays.int4s([each[0] for each in ranges]),
            "froms": arrays.int8s([each[1] for each in ranges]),
            "untils": arrays.int8s([each[2] for each in ranges]),
        }
        with transaction(self._connection):
            # Sums of chunks that fit into memory avoid a sort of the claims, which took a third of the
            # time.
            self._connection.execute("SET LOCAL work_mem = '64MB'")
            rows = self._connection.execute(self._sql["claims"], parameters)
        return {ChunkOfClaims(row[0], row[1], row[2]): (row[3], int(row[4])) for row in rows}

    def claims_of_chunks(self, chunks: Sequence[ChunkOfClaims]) -> Iterator[Claim]:
        """Yield claims in the order of partition, chunk and offset; rows are read as they are consumed."""
        parameters = {
            "bits": self._bits,
            "partition_ids": arrays.int4s([each.partition_id for each in chunks]),
            "route_ids": arrays.int4s([each.route_id for each in chunks]),
            "chunks": arrays.int8s([each.chunk for each in chunks]),
        }
        with self._connection.transaction(), self._connection.cursor(name="inbox_audit_claims") as cursor:
            cursor.itersize = 10_000
            cursor.execute(self._sql["claims_of_chunks"], parameters)
            for row in cursor:
                yield Claim(row[0], row[1], row[2], row[3], row[4].bytes)

    def foreign_claims(self) -> Iterator[ForeignClaim]:
        """Yield the claims that no sink makes, in any partition; rows are read as they are consumed."""
        with self._connection.transaction(), self._connection.cursor(name="inbox_audit_outsiders") as cursor:
            cursor.itersize = 10_000
            cursor.execute(self._sql["foreign_claims"])
            for partition_id, topic, partition, route, event_id, offset in cursor:
                yield ForeignClaim(
                    partition_id=partition_id,
                    address=None if topic is None else TopicPartition(topic, partition),
                    route=route,
                    event_id=str(event_id),
                    offset=offset,
                )

    def unlike(
        self, partition_id: int, route_id: int, ids: Sequence[bytes], offsets: Sequence[int]
    ) -> Iterator[tuple[int, Coordinates | None, bool]]:
        """Yield the events without a claim of their own.

        Each comes with its index, the coordinates of the claim of its id where they are known, and
        whether there is a claim.
        """
        parameters = {
            "partition_id": partition_id,
            "route_id": route_id,
            "ids": arrays.uuids(ids),
            "offsets": arrays.int8s(offsets),
        }
        for index, claim_at, topic, partition, offset in self._connection.execute(self._sql["unlike"], parameters):
            if claim_at is None:
                yield index, None, False
            elif claim_at == ADOPTED:
                yield index, None, True
            else:
                yield index, Coordinates(topic, partition, offset), True

    def letters(
        self, partition_id: int, route_ids: Collection[int], from_offset: int, until_offset: int
    ) -> list[UnresolvedLetter]:
        parameters = {
            "partition_id": partition_id,
            "route_ids": list(route_ids),
            "from_offset": from_offset,
            "until_offset": until_offset,
        }
        rows = self._connection.execute(self._sql["letters"], parameters)
        return [UnresolvedLetter(route_id, offset, State(state)) for route_id, offset, state in rows]

    def identified(
        self, partition_id: int, route_ids: Collection[int], offsets: Collection[int]
    ) -> list[tuple[int, int, bytes]]:
        """Return route, offset and id of the events at these offsets to which an edit gave an id."""
        parameters = {"partition_id": partition_id, "route_ids": list(route_ids), "offsets": list(offsets)}
        rows = self._connection.execute(self._sql["identified"], parameters)
        return [(route_id, offset, event_id.bytes) for route_id, offset, event_id in rows]

    def given_up(self, partition_id: int) -> list[range]:
        """Return the offsets that a resume passed over."""
        rows = self._connection.execute(self._sql["given_up"], {"partition_id": partition_id})
        return [range(start, end) for start, end in rows]
