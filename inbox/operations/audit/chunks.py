"""The comparison of one chunk of a log on one route: the claims that it expects, and an answer for each offset."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import NamedTuple

from inbox.operations.audit.accounting import OffsetAnswer, Tally
from inbox.store.inbox.audit_queries import Coordinates
from inbox.store.inbox.settled_ranges import Offsets


class ClaimSum(NamedTuple):
    """A number of claims and the sum of their fingerprints. Equal sums mean equal sets, in any order."""

    claims: int = 0
    total: int = 0


class ClaimAddress(NamedTuple):
    """The address of the claim that has an event's id. `at` is None if it is not known (the id was adopted)."""

    at: Coordinates | None


def fingerprint(event_id: bytes, offset: int) -> int:
    """Return the fingerprint of a claim, a signed 64 bit integer, as `claims` in audit.sql computes it."""
    digest = sha256(event_id + offset.to_bytes(8, "big", signed=True)).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


@dataclass(slots=True)
class ChunkEvents:
    """The events of one route in one chunk.

    `ids` and `offsets` are parallel. `without_id` are offsets of events that cannot have a claim,
    because they have no id. `filtered` are offsets of those that the route passes over.
    """

    ids: list[bytes] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    without_id: list[int] = field(default_factory=list)
    filtered: list[int] = field(default_factory=list)

    def identify(self, offset: int, event_id: bytes) -> None:
        """Give an id to an event whose record has none."""
        if offset in self.without_id:
            self.without_id.remove(offset)
            self.ids.append(event_id)
            self.offsets.append(offset)

    def expected(self, except_at: Collection[int]) -> ClaimSum:
        """Return the sum of claims if every event has its own, except those at the given offsets."""
        prints = [
            fingerprint(event_id, offset)
            for event_id, offset in zip(self.ids, self.offsets, strict=True)
            if offset not in except_at
        ]
        return ClaimSum(len(prints), sum(prints))


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """The facts that affect the answers beside the claims.

    `open_letters` and `discarded` are offsets of dead letters. The route owes an ending from
    `owes_from` on. Claims may have been removed below `horizon`. `given_up` are the ranges that a
    resume passed over.
    """

    owes_from: int
    open_letters: Collection[int] = ()
    discarded: Collection[int] = ()
    horizon: int = 0
    given_up: Sequence[range] = ()


def all_claimed(events: ChunkEvents, around: Circumstances, tally: Tally) -> None:
    """Count a chunk whose claims are exactly those expected.

    Each event has its own claim, except the open dead letters.
    """
    filtered = [offset for offset in events.filtered if offset >= around.owes_from]
    tally.count(OffsetAnswer.FILTERED, filtered)
    letters = [each for each in events.offsets if each in around.open_letters or each in around.discarded]
    tally.count(OffsetAnswer.DEAD_LETTERED, letters)
    tally.account.applied += len(events.offsets) - len(letters)
    _count_unclaimed(events.without_id, around, tally)


def one_by_one(
    events: ChunkEvents, unlike: Mapping[int, ClaimAddress | None], around: Circumstances, tally: Tally
) -> ClaimSum:
    """Count a chunk by the claims that were found.

    `unlike` has, by index, the events without a claim of their own.

    Returns:
        The sum of the claims that are the events' own.
    """
    tally.count(OffsetAnswer.FILTERED, [offset for offset in events.filtered if offset >= around.owes_from])
    account, claims, total = tally.account, 0, 0
    unclaimed = list(events.without_id)
    for index, (event_id, offset) in enumerate(zip(events.ids, events.offsets, strict=True)):
        own = index not in unlike
        if own:
            claims, total = claims + 1, total + fingerprint(event_id, offset)
        if offset in around.open_letters or offset in around.discarded:
            tally.count(OffsetAnswer.DEAD_LETTERED, [offset])
        elif own:
            account.applied += 1
        elif (claim := unlike[index]) is None:
            unclaimed.append(offset)
        elif claim.at is None:
            account.applied += 1
            account.adopted += 1
        else:
            tally.count(OffsetAnswer.DUPLICATE, [offset], claim.at)
    _count_unclaimed(unclaimed, around, tally)
    return ClaimSum(claims, total)


def by_ledger(events: ChunkEvents, settled: Offsets, around: Circumstances, tally: Tally) -> None:
    """Count a chunk of a route without claims: what the ledger has as settled was applied, but for dead letters."""
    tally.count(OffsetAnswer.FILTERED, [offset for offset in events.filtered if offset >= around.owes_from])
    unsettled = []
    for offset in sorted([*events.offsets, *events.without_id]):
        if offset in settled and offset not in around.open_letters and offset not in around.discarded:
            tally.account.applied += 1
        else:
            unsettled.append(offset)
    _count_unclaimed(unsettled, replace(around, horizon=0), tally)


def _count_unclaimed(offsets: Sequence[int], around: Circumstances, tally: Tally) -> None:
    for offset in sorted(offsets):
        if (answer := _unclaimed(offset, around)) is not None:
            tally.count(answer, [offset])


def _unclaimed(offset: int, around: Circumstances) -> OffsetAnswer | None:
    """Return the answer for an event without any claim, or None if the route owes it no ending."""
    if offset in around.open_letters or offset in around.discarded:
        return OffsetAnswer.DEAD_LETTERED
    if offset < around.owes_from:
        return None
    if any(offset in gap for gap in around.given_up):
        return OffsetAnswer.PASSED_OVER
    return OffsetAnswer.UNKNOWN if offset < around.horizon else OffsetAnswer.MISSING
