"""The claims: the record of which events took effect through which route."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg import errors

from inbox.errors import EventError, InboxError
from inbox.events import address
from inbox.store.inbox.filters.claim_filters import GenerationFilters, OlderClaims
from inbox.store.postgres import arrays
from inbox.store.postgres.connection import Connection
from inbox.store.schema.names import table_of
from inbox.store.sql import of_generation, statements

_T = TypeVar("_T")

_OLDER_LOOK_SECONDS = 1.0

ADOPTED = 0
"""The partition id of a claim whose event has unknown coordinates; no partition has this id."""


class Claims(NamedTuple):
    """The columns of one attempt's claims, in the order of its events."""

    ids: Sequence[bytes]
    offsets: Sequence[int]
    hashes: Sequence[bytes]
    partition_ids: Sequence[int]

    def only(self, indexes: Sequence[int]) -> "Claims":
        return Claims(
            [self.ids[index] for index in indexes],
            [self.offsets[index] for index in indexes],
            [self.hashes[index] for index in indexes],
            [self.partition_ids[index] for index in indexes],
        )


class EarlierClaim(NamedTuple):
    """A claim that existed before: the coordinates of its event, and the hash of its payload (8 bytes)."""

    address: str
    payload_hash: bytes


class ClaimedBeforeError(EventError):
    """An older generation has a claim of an id that was expected to be new."""


class GenerationChanged(Exception):  # noqa: N818 - an answer on its way up
    """The signal that new claims go into another generation than the claims of this transaction."""


PendingLookups = Sequence[psycopg.Cursor[tuple[Any, ...]]]
"""Look-ups in the older generations, each answered with the ids that it found."""


class ClaimStore:
    """The reads and writes of claims; the caller has the transaction.

    New claims go into `generation`; `older` is what is known of the other generations. No unique
    index spans the generations. A transaction that claims therefore runs `in_current_generation`: a
    switch to another generation waits for every transaction with claims.
    """

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._sql = statements("processed", schema)
        self._schema = schema
        self._filters = GenerationFilters(connection, schema)
        self._older_asked_at = -math.inf
        self.generation = 0
        self.older = OlderClaims()

    def in_current_generation(self, transaction: Callable[[], _T]) -> _T:
        """Run a transaction that claims, again for as long as the generation changes before its COMMIT.

        Args:
            transaction: calls `require_current` after its claims, and rolls back if that raises. A
                transaction whose fence compares the generation need not call it if the fence
                succeeds.
        """
        while True:
            try:
                return transaction()
            except GenerationChanged:
                continue

    def require_current(self) -> None:
        """Raise GenerationChanged, and follow, if new claims go into another generation now.

        After the claims, which hold off a switch, the answer holds until COMMIT.
        """
        before = self.generation
        self.follow()
        if self.generation != before:
            raise GenerationChanged

    def follow(self) -> None:
        """Claim in the youngest generation from now on."""
        row = self._connection.execute(self._sql["youngest"]).fetchone()
        self.generation = int(row[0]) if row else 0

    @property
    def knows_older(self) -> bool:
        """Return whether `older` covers every older generation."""
        return self.older.until >= self.generation

    def refresh_older(self) -> None:
        """Learn what is missing of older generations, at most once a second; call it before the transaction.

        While this is unknown, every id is looked up in the older generations.
        """
        if not self.knows_older and time.monotonic() - self._older_asked_at >= _OLDER_LOOK_SECONDS:
            self._older_asked_at = time.monotonic()
            self.learn_older()

    def learn_older(self) -> None:
        """Read what is known of older generations.

        After a failure nothing is known: a filter read in part proves nothing.
        """
        known, self.older = self.older, OlderClaims()
        self.older = self._filters.older(known)

    def _of_youngest(self, statement: bytes) -> bytes:
        return of_generation(statement, table_of(self.generation))

    def claim_new(self, route_id: int, claims: Claims) -> bool:
        """Claim all, each expected to be new: half the server's work of `claim`.

        Returns:
            False if one was claimed before, or if two have the same id. The caller then has to undo what
            the transaction did since a savepoint, or all of it.
        """
        if not are_unique(claims.ids) or self._in_older(route_id, claims.ids):
            return False
        try:
            self._insert_new(route_id, claims)
        except EventError as error:
            if self.is_claim_conflict(error):
                return False
            raise
        return True

    def send_new(self, route_id: int, claims: Claims) -> PendingLookups:
        """Claim all in a pipeline, each expected to be new.

        Returns:
            Look-ups that must have found nothing at the pipeline's end; otherwise none of the claims may stand.

        Raises:
            EventError: one was claimed before; a later statement may be the first to report this.
        """
        asked = self._ask_older(route_id, claims.ids)
        self._insert_new(route_id, claims)
        return asked

    def is_claim_conflict(self, error: InboxError) -> bool:
        """Return whether the error reports that an id has a claim."""
        cause = error.__cause__
        if isinstance(cause, errors.UniqueViolation) and cause.diag.schema_name == self._schema:
            return True
        return isinstance(error, ClaimedBeforeError)

    def _insert_new(self, route_id: int, claims: Claims) -> None:
        self._connection.execute(self._of_youngest(self._sql["claim_new"]), _parameters(route_id, claims))

    def claim(self, route_id: int, claims: Claims) -> list[int]:
        """Claim all that are new.

        Returns:
            The indexes, counted from 0, of those that were claimed before.
        """
        older = self._in_older(route_id, claims.ids)
        parameters = {**_parameters(route_id, claims), "older": arrays.uuids(older)}
        claimed_before = [row[0] for row in self._connection.execute(self._of_youngest(self._sql["claim"]), parameters)]
        if claimed_before:
            self.renew(route_id, claims.only(claimed_before))
        return claimed_before

    def renew(self, route_id: int, claims: Claims) -> None:
        """Keep claims whose events came again, from elsewhere in the log, for as long as new ones."""
        again = {
            "ids": arrays.uuids(claims.ids),
            "offsets": arrays.int8s(claims.offsets),
            "partition_ids": arrays.int4s(claims.partition_ids),
            "route_id": route_id,
        }
        if self._connection.execute(self._of_youngest(self._sql["renew"]), again).rowcount:
            moved = {"ids": again["ids"], "route_id": again["route_id"]}
            self._connection.execute(self._sql["leave_older"], moved)

    def _in_older(self, route_id: int, ids: Sequence[bytes]) -> list[bytes]:
        """Return the ids with a claim in an older generation. No claim is added there, only moved to the youngest."""
        return [event_id.bytes for rows in self._ask_older(route_id, ids) for (event_id,) in rows]

    def _ask_older(self, route_id: int, ids: Sequence[bytes]) -> PendingLookups:
        """Ask which ids have a claim in an older generation."""
        unknown = range(self.older.until, self.generation)
        asked = []
        if candidates := self.older.candidates(ids) if len(unknown) <= 1 else ids:
            parameters = {"ids": arrays.uuids(candidates), "route_id": route_id}
            asked.append(self._connection.execute(self._of_youngest(self._sql["in_older"]), parameters))
        if len(unknown) == 1:
            in_one = of_generation(self._sql["in_one"], table_of(unknown[0]))
            asked.append(self._connection.execute(in_one, {"ids": arrays.uuids(ids), "route_id": route_id}))
        return asked

    def claim_again(self, route_id: int, claims: Claims, replay_id: int) -> list[int]:
        """Claim for a replay what was claimed before it, or just now.

        Returns:
            The indexes of those that are to take effect: each event once per replay.
        """
        parameters = {
            "ids": arrays.uuids(claims.ids),
            "offsets": arrays.int8s(claims.offsets),
            "partition_ids": arrays.int4s(claims.partition_ids),
            "route_id": route_id,
            "replay_id": replay_id,
        }
        return [row[0] for row in self._connection.execute(self._sql["claim_again"], parameters)]

    def withdraw(self, route_id: int, ids: Sequence[bytes]) -> None:
        """Take back claims that the caller's own transaction made."""
        if ids:
            self._connection.execute(self._sql["withdraw"], {"ids": arrays.uuids(ids), "route_id": route_id})

    def count_claimed(self, route_id: int, ids: Sequence[bytes]) -> int:
        """Return how many of these ids, all different, have a claim."""
        row = self._connection.execute(
            self._sql["count_claimed"], {"ids": arrays.uuids(ids), "route_id": route_id}
        ).fetchone()
        return int(row[0]) if row else 0

    def places_of(self, route_id: int, ids: Sequence[bytes]) -> dict[bytes, tuple[int, int]]:
        """Return partition id and offset of the existing claims, by id; an adopted claim has partition id 0."""
        rows = self._connection.execute(self._sql["places_of"], {"ids": arrays.uuids(ids), "route_id": route_id})
        return {event_id.bytes: (partition_id, offset) for event_id, partition_id, offset in rows}

    def earlier(self, route_id: int, claims: Claims) -> list[EarlierClaim | None]:
        """Return the claim that exists for each of these events, which are refused."""
        found = self.claims_of(route_id, claims.ids)
        return [found.get(event_id) for event_id in claims.ids]

    def claims_of(self, route_id: int, ids: Sequence[bytes]) -> dict[bytes, EarlierClaim]:
        rows = self._connection.execute(self._sql["claims_of"], {"ids": arrays.uuids(ids), "route_id": route_id})
        return {
            event_id.bytes: EarlierClaim(
                address(topic, partition, offset), payload_hash.to_bytes(8, "big", signed=True)
            )
            for event_id, topic, partition, offset, payload_hash in rows
        }


def _parameters(route_id: int, claims: Claims) -> dict[str, Any]:
    return {
        "ids": arrays.uuids(claims.ids),
        "offsets": arrays.int8s(claims.offsets),
        "hashes": arrays.hashes(claims.hashes),
        "partition_ids": arrays.int4s(claims.partition_ids),
        "route_id": route_id,
    }


def are_unique(ids: Sequence[bytes]) -> bool:
    """Return whether all ids are different; of equal ids only the first can be new."""
    return len(set(ids)) == len(ids)


def any_found(asked: PendingLookups) -> bool:
    """Return whether an older generation has a claim of an id that was looked up."""
    return any(rows.rowcount for rows in asked)
