"""Claim the events of a route, and tell new events from duplicates and conflicting payloads."""

from collections.abc import Sequence
from typing import NamedTuple

import xxhash

from inbox.errors import EventError
from inbox.events import EditedRecord, Record, address_of
from inbox.failpoints import Failpoint, failpoint
from inbox.reading.read_record import ReadRecord
from inbox.sink.batch import RouteBatch
from inbox.sink.settle.context import BoundRoute, SettleContext
from inbox.store.inbox.claims import Claims
from inbox.telemetry import log


def payload_hash(record: Record) -> bytes:
    """Return the hash by which a claim tells a duplicate from another event with the same id."""
    came = record.record if isinstance(record, ReadRecord) else record
    if isinstance(came, EditedRecord):
        return came.claim_hash
    if isinstance(record, ReadRecord) and record.content is not None:
        return xxhash.xxh3_64_digest(record.content)
    return xxhash.xxh3_64_digest(record.value() or b"")


def claims_of(events: RouteBatch) -> Claims:
    """Return the claims of the route's events."""
    hashes = [payload_hash(record) for record in events.records]
    return Claims(events.ids, [record.offset() for record in events.records], hashes, events.partition_ids)


class SameIdOtherPayloadError(EventError):
    """The error of an event whose id was applied before with another payload."""


class Claimed(NamedTuple):
    """The result of claiming: the indexes of `duplicates`, and the errors of those with a conflicting payload."""

    duplicates: list[int]
    other_payloads: dict[int, EventError]


class Claiming:
    """The claiming of one route's events, within an attempt of the transaction."""

    def __init__(self, context: SettleContext, route: BoundRoute) -> None:
        self._context = context
        self._route = route
        self._optimism = context.optimism[route.route_id].claims

    def claim(self, events: RouteBatch) -> Claimed:
        """Claim all events of the route's batch.

        It must be the attempt's first step, because a wrong guess undoes the attempt. On a route
        without claims all of them are new: `inbox.sink.settle.settled_before` left the others out.
        """
        if not self._route.keeps_claims:
            failpoint(Failpoint.CLAIMED)
            return Claimed([], {})
        claims = claims_of(events)
        duplicates = self._claimed_before(claims)
        if events.replays:
            duplicates = self._claim_again(events, claims, duplicates)
        failpoint(Failpoint.CLAIMED)
        return Claimed(duplicates, self._other_payloads(events, claims, duplicates) if duplicates else {})

    def _claimed_before(self, claims: Claims) -> list[int]:
        """Claim the new events; return the indexes of the others."""
        claims_store, route_id = self._context.claims, self._route.route_id
        optimism = self._optimism
        if optimism.expects_success:
            if claims_store.claim_new(route_id, claims):
                optimism.succeeded()
                return []
            optimism.failed()
            self._context.transaction.undo_attempt()
            self._context.transaction.start_attempt()
        duplicates = claims_store.claim(route_id, claims)
        optimism.observed(success=not duplicates)
        return duplicates

    def _claim_again(self, events: RouteBatch, claims: Claims, duplicates: Sequence[int]) -> list[int]:
        """Claim the events that a replay applies once more; return the indexes of the remaining duplicates."""
        left = set(duplicates)
        for replay_id, indexes in events.forced().items():
            left.update(indexes)
            again = self._context.claims.claim_again(self._route.route_id, claims.only(indexes), replay_id)
            left.difference_update(indexes[at] for at in again)
        return sorted(left)

    def _other_payloads(self, events: RouteBatch, claims: Claims, duplicates: Sequence[int]) -> dict[int, EventError]:
        """Return, by index, the errors of duplicates that are different events under one id."""
        ids = [events.ids[index] for index in duplicates]
        earlier = self._context.claims.claims_of(self._route.route_id, ids)
        conflicts: dict[int, EventError] = {}
        for index in duplicates:
            claim, here = earlier.get(events.ids[index]), address_of(events.records[index])
            if claim is not None and claim.payload_hash != claims.hashes[index] and claim.address != here:
                text = f"its event id was applied before, from {claim.address}, with another payload"
                conflicts[index] = SameIdOtherPayloadError(text)
                log().warning("same-id-other-payload", route=self._route.name, address=here, earlier=claim.address)
        return conflicts
