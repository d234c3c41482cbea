"""Claim the events of a route, and tell new events from duplicates and conflicting payloads."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from inbox.errors import EventError
from inbox.events import Record, address_of
from inbox.failpoints import Failpoint, failpoint
from inbox.log_lines import log
from inbox.reading.payload_hash import UNKNOWN_PAYLOAD, has_payload, payload_hash
from inbox.sink.batch import NO_ID, RouteBatch
from inbox.sink.guards.parked_by_hand import ParkedByHandError
from inbox.sink.settle.context import BoundRoute, SettleContext
from inbox.store.inbox.claims import Claims, EarlierClaim


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

    def repeats(self, events: RouteBatch, indexes: Iterable[int]) -> set[int]:
        """Return the indexes of events that are refused as they came, and have a claim nevertheless.

        A person discarded such an event, or edited and retried it, and now the same payload came
        again. An event with another payload is not among them: nobody knows what it says.
        """
        wanted = [index for index in indexes if self._may_be_repeat(events, index)] if events.refused else []
        released = self.release(events, wanted)
        if not (wanted := [index for index in wanted if index not in released]):
            return set()
        claims, route_id = claims_of(events.only(wanted)), self._route.route_id
        earlier = self._context.claims.earlier(route_id, claims)
        found = [
            at
            for at, (index, claim) in enumerate(zip(wanted, earlier, strict=True))
            if claim is not None and self._is_repeat(events.records[index], claim)
        ]
        if found:
            self._context.claims.renew(route_id, claims.only(found))
            self._context.transaction.keep()
        return {wanted[at] for at in found}

    @staticmethod
    def _is_repeat(record: Record, claim: EarlierClaim) -> bool:
        """Return whether the claim covers what this record says."""
        return claim.address == address_of(record) or has_payload(record, claim.payload_hash)

    def release(self, events: RouteBatch, indexes: Sequence[int]) -> set[int]:
        """Take back the claims of events that a forced replay sets aside, and return their indexes.

        Such an event takes effect once more when its dead letter is retried. Until then it has no claim, like
        any event that was set aside. A discarded event keeps its claim, and so does one that was released or
        applied by this replay before.
        """
        released: set[int] = set()
        indexes = [index for index in indexes if events.ids[index] != NO_ID]
        if not (events.replays and indexes and self._route.keeps_claims):
            return released
        aside, route_id = events.only(indexes), self._route.route_id
        for replay_id, forced in aside.forced().items():
            claims = claims_of(aside.only(forced))
            again = self._context.claims.claim_again(route_id, claims, replay_id)
            self._context.claims.withdraw(route_id, [claims.ids[at] for at in again])
            released.update(indexes[forced[at]] for at in again)
        if released:
            self._context.transaction.keep()
        return released

    def _may_be_repeat(self, events: RouteBatch, index: int) -> bool:
        refusal = events.refused.get(index)
        if refusal is None or events.ids[index] == NO_ID or not self._route.keeps_claims:
            return False
        return not isinstance(refusal, ParkedByHandError)

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
            claim, record = earlier.get(events.ids[index]), events.records[index]
            if claim is None or claim.payload_hash in (claims.hashes[index], UNKNOWN_PAYLOAD):
                continue
            here = address_of(record)
            if claim.address != here and not has_payload(record, claim.payload_hash):
                text = f"its event id was applied before, from {claim.address}, with another payload"
                conflicts[index] = SameIdOtherPayloadError(text)
                log().warning("same-id-other-payload", route=self._route.name, address=here, earlier=claim.address)
        return conflicts
