"""The claims: which events took effect through which route."""

from collections.abc import Sequence
from typing import NamedTuple

from inbox.events import address
from inbox.store import arrays
from inbox.store.database import SinkConnection
from inbox.store.sql import statements

ADOPTED = 0
"""The partition id of a claim whose event's place in Kafka nobody knows; no partition has it."""


class Claims(NamedTuple):
    """Columns of one attempt, in the order of its events."""

    ids: Sequence[bytes]
    offsets: Sequence[int]
    hashes: Sequence[bytes]
    partition_ids: Sequence[int]

    def only(self, places: Sequence[int]) -> "Claims":
        return Claims(
            [self.ids[place] for place in places],
            [self.offsets[place] for place in places],
            [self.hashes[place] for place in places],
            [self.partition_ids[place] for place in places],
        )


class EarlierClaim(NamedTuple):
    """A claim that was there before: where its event is, and what its payload hashed to (8 bytes)."""

    address: str
    payload_hash: bytes


class Processed:
    """Reads and writes of `processed`; the caller has the transaction."""

    def __init__(self, schema: str) -> None:
        self._sql = statements("processed", schema)

    def claim(self, connection: SinkConnection, route_id: int, claims: Claims) -> list[int]:
        """Claim all that are new.

        Returns:
            The places, counted from 0, of those that were claimed before.
        """
        parameters = {
            "ids": arrays.uuids(claims.ids),
            "offsets": arrays.int8s(claims.offsets),
            "hashes": arrays.hashes(claims.hashes),
            "partition_ids": arrays.int4s(claims.partition_ids),
            "route_id": route_id,
        }
        return [row[0] for row in connection.execute(self._sql["claim"], parameters)]

    def claim_again(self, connection: SinkConnection, route_id: int, claims: Claims, replay_id: int) -> list[int]:
        """Claim for a replay what was claimed before it, or just now.

        Returns:
            The places of those that are to take effect: each event once a replay.
        """
        parameters = {
            "ids": arrays.uuids(claims.ids),
            "offsets": arrays.int8s(claims.offsets),
            "partition_ids": arrays.int4s(claims.partition_ids),
            "route_id": route_id,
            "replay_id": replay_id,
        }
        return [row[0] for row in connection.execute(self._sql["claim_again"], parameters)]

    def withdraw(self, connection: SinkConnection, route_id: int, ids: Sequence[bytes]) -> None:
        """Take back claims that the caller's own transaction made."""
        if ids:
            connection.execute(self._sql["withdraw"], {"ids": arrays.uuids(ids), "route_id": route_id})

    def count_claimed(self, connection: SinkConnection, route_id: int, ids: Sequence[bytes]) -> int:
        """How many of these ids, which are all different, have a claim."""
        row = connection.execute(
            self._sql["count_claimed"], {"ids": arrays.uuids(ids), "route_id": route_id}
        ).fetchone()
        return int(row[0]) if row else 0

    def places_of(
        self, connection: SinkConnection, route_id: int, ids: Sequence[bytes]
    ) -> dict[bytes, tuple[int, int]]:
        """Partition id and offset of the claims that there are; an adopted one is of partition id 0."""
        rows = connection.execute(self._sql["places_of"], {"ids": arrays.uuids(ids), "route_id": route_id})
        return {event_id.bytes: (partition_id, offset) for event_id, partition_id, offset in rows}

    def claims_of(self, connection: SinkConnection, route_id: int, ids: Sequence[bytes]) -> dict[bytes, EarlierClaim]:
        rows = connection.execute(self._sql["claims_of"], {"ids": arrays.uuids(ids), "route_id": route_id})
        return {
            event_id.bytes: EarlierClaim(
                address(topic, partition, offset), payload_hash.to_bytes(8, "big", signed=True)
            )
            for event_id, topic, partition, offset, payload_hash in rows
        }
