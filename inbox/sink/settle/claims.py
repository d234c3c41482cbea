"""Claim the events of a route, and tell new events from duplicates and conflicting payloads."""

from collections.abc import Sequence
from typing import NamedTuple

import xxhash

from inbox.errors import EventError
from inbox.events import Record, address_of
from inbox.failpoints import Failpoint, reach
from inbox.reading.read_record import ReadRecord
from inbox.sink.batch import Column
from inbox.sink.settle.context import Attempts, BoundRoute
from inbox.store.inbox.claims import Claims
from inbox.telemetry import log


def payload_hash(record: Record) -> bytes:
    """Return the hash by which a claim tells a duplicate from another event with the same id."""
    if isinstance(record, ReadRecord) and record.content is not None:
        return xxhash.xxh3_64_digest(record.content)
    return xxhash.xxh3_64_digest(record.value() or b"")


def claims_of(column: Column) -> Claims:
    """Return the claims of the column's events."""
    hashes = [payload_hash(record) for record in column.records]
    return Claims(column.ids, [record.offset() for record in column.records], hashes, column.partition_ids)


class SameIdOtherPayloadError(EventError):
    """The error of an event whose id was applied before with another payload."""


class Claimed(NamedTuple):
    """The result of claiming: the indexes of `duplicates`, and the errors of those with a conflicting payload."""

    duplicates: list[int]
    other_payloads: dict[int, EventError]


class Claiming:
    """The claiming of one route's events, within an attempt of the transaction."""

    def __init__(self, attempts: Attempts, route: BoundRoute) -> None:
        self._do = attempts
        self._route = route
        self._foresight = attempts.foresight[route.route_id].claims

    def claim(self, column: Column) -> Claimed:
        """Claim all events of the column.

        It must be the attempt's first step, because a wrong guess undoes the attempt.
        """
        claims = claims_of(column)
        duplicates = self._claimed_before(claims)
        if column.replays:
            duplicates = self._claim_again(column, claims, duplicates)
        reach(Failpoint.CLAIMED)
        return Claimed(duplicates, self._other_payloads(column, claims, duplicates) if duplicates else {})

    def _claimed_before(self, claims: Claims) -> list[int]:
        """Claim the new events; return the indexes of the others."""
        processed, connection, route_id = self._do.processed, self._do.connection, self._route.route_id
        foresight = self._foresight
        if foresight.is_good:
            if processed.claim_new(connection, route_id, claims):
                foresight.was_right()
                return []
            foresight.was_wrong()
            self._do.transaction.undo_attempt()
            self._do.transaction.start_attempt()
        duplicates = processed.claim(connection, route_id, claims)
        foresight.learned(well=not duplicates)
        return duplicates

    def _claim_again(self, column: Column, claims: Claims, duplicates: Sequence[int]) -> list[int]:
        """Claim the events that a replay applies once more; return the indexes of the remaining duplicates."""
        left = set(duplicates)
        for replay_id, places in column.forced().items():
            left.update(places)
            again = self._do.processed.claim_again(
                self._do.connection, self._route.route_id, claims.only(places), replay_id
            )
            left.difference_update(places[at] for at in again)
        return sorted(left)

    def _other_payloads(self, column: Column, claims: Claims, duplicates: Sequence[int]) -> dict[int, EventError]:
        """Return, by index, the errors of duplicates that are different events under one id."""
        ids = [column.ids[place] for place in duplicates]
        earlier = self._do.processed.claims_of(self._do.connection, self._route.route_id, ids)
        conflicts: dict[int, EventError] = {}
        for place in duplicates:
            claim, here = earlier.get(column.ids[place]), address_of(column.records[place])
            if claim is not None and claim.payload_hash != claims.hashes[place] and claim.address != here:
                text = f"its event id was applied before, from {claim.address}, with another payload"
                conflicts[place] = SameIdOtherPayloadError(text)
                log().warning("same-id-other-payload", route=self._route.name, address=here, earlier=claim.address)
        return conflicts
