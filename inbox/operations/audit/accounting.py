"""The accounting of a log's offsets, and the findings that an audit keeps of them."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from inbox.events import TopicPartition
from inbox.store.inbox.audit_queries import Coordinates

OFFSETS_KEPT = 1000
"""The most offsets that are named for each route and partition. All are counted."""

CHUNK_BITS = 12
"""The size of a chunk: 4,096 offsets are compared together, and only a chunk that differs is read claim by claim."""


class OffsetAnswer(StrEnum):
    """An answer for an offset to which a route owes an ending.

    `UNKNOWN`: the offset is below the horizon, where claims may have been removed. `PASSED_OVER`:
    `inbox resume` gave the offset up.
    """

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    FILTERED = "filtered"
    DEAD_LETTERED = "dead_lettered"
    PASSED_OVER = "passed_over"
    UNKNOWN = "unknown"
    MISSING = "missing"


@dataclass(slots=True)
class RouteAccount:
    """The number of offsets by answer on one route. `adopted` of those applied have a claim from `inbox adopt`.

    `by_ledger`: the route keeps no claims, so the ledger alone was asked.
    """

    applied: int = 0
    duplicate: int = 0
    filtered: int = 0
    dead_lettered: int = 0
    passed_over: int = 0
    unknown: int = 0
    missing: int = 0
    adopted: int = 0
    missing_offsets: list[int] = field(default_factory=list)
    by_ledger: bool = False

    def count(self, answer: OffsetAnswer, offsets: Sequence[int]) -> None:
        name = answer.value
        setattr(self, name, getattr(self, name) + len(offsets))
        if answer is OffsetAnswer.MISSING:
            self.missing_offsets += offsets[: max(0, OFFSETS_KEPT - len(self.missing_offsets))]

    def add(self, other: "RouteAccount") -> None:
        for answer in OffsetAnswer:
            setattr(self, answer.value, getattr(self, answer.value) + getattr(other, answer.value))
        self.adopted += other.adopted
        self.missing_offsets = sorted({*self.missing_offsets, *other.missing_offsets})[:OFFSETS_KEPT]


class Listed(NamedTuple):
    """An offset and its answer on a route. `of` is the address of the claim that made the event a duplicate."""

    address: TopicPartition
    route: str
    offset: int
    answer: OffsetAnswer
    of: Coordinates | None


@dataclass(frozen=True)
class Listing:
    """The answers to report one by one beside counting them, and the function that receives each."""

    wanted: Collection[OffsetAnswer]
    tell: Callable[[Listed], None]


@dataclass(frozen=True)
class Tally:
    """A counter of the answers of one route of one partition, which reports the listed ones."""

    address: TopicPartition
    route: str
    account: RouteAccount
    listing: Listing | None = None

    def count(self, answer: OffsetAnswer, offsets: Sequence[int], of: Coordinates | None = None) -> None:
        self.account.count(answer, offsets)
        if self.listing is not None and answer in self.listing.wanted:
            for offset in offsets:
                self.listing.tell(Listed(self.address, self.route, offset, answer, of))


@dataclass(frozen=True, slots=True, kw_only=True)
class OrphanClaim:
    """A claim without its event: the log has no event with this id at this offset."""

    route: str
    event_id: str
    offset: int


@dataclass(slots=True, kw_only=True)
class PartitionAudit:
    """The audit of one partition: offsets `from_offset` up to, not including, `until_offset`, read up to `at`.

    Claims below `horizon` may have been removed. `differing` are, by route, the chunks on which the
    log and the claims disagree. `skipped` are the ranges for which the log showed neither a record
    nor a reason for a gap, and `unread` the parts of them that no resume gave up.
    """

    address: TopicPartition
    partition_id: int
    from_offset: int
    until_offset: int
    at: int
    horizon: int = 0
    records: int = 0
    routes: dict[str, RouteAccount] = field(default_factory=dict)
    differing: list[tuple[str, int]] = field(default_factory=list)
    skipped: list[range] = field(default_factory=list)
    unread: list[range] = field(default_factory=list)
    strays: list[OrphanClaim] = field(default_factory=list)
    stray_count: int = 0

    @property
    def done(self) -> bool:
        return self.at >= self.until_offset

    @property
    def total(self) -> RouteAccount:
        """Return the sum over all routes: an event that two routes take counts twice."""
        total = RouteAccount()
        for account in self.routes.values():
            total.add(account)
        return total

    @property
    def ok(self) -> bool:
        missing = any(account.missing for account in self.routes.values())
        return not self.stray_count and not missing and not self.unread

    @property
    def unread_count(self) -> int:
        """Return the number of offsets for which the log showed nothing and that no resume gave up."""
        return sum(map(len, self.unread))

    def skip(self, offsets: range, given_up: Iterable[range]) -> None:
        """Note a range for which the log showed nothing. A range that is read again counts once."""
        if offsets in self.skipped:
            return
        self.skipped.append(offsets)
        self.unread += _without(offsets, given_up)

    def add_orphans(self, orphans: Iterable[OrphanClaim]) -> None:
        for each in orphans:
            self.stray_count += 1
            if len(self.strays) < OFFSETS_KEPT:
                self.strays.append(each)


def _without(offsets: range, given_up: Iterable[range]) -> list[range]:
    left = [offsets]
    for gap in given_up:
        pieces = [
            (range(each.start, min(each.stop, gap.start)), range(max(each.start, gap.stop), each.stop)) for each in left
        ]
        left = [piece for pair in pieces for piece in pair if piece]
    return left


def repair_command(part: PartitionAudit) -> str | None:
    """Return the command that gives the missing offsets their ending, or None if none is missing."""
    accounts = part.routes.values()
    named = {offset for account in accounts for offset in account.missing_offsets}
    if not named:
        return None
    # If not all are named, the last is unknown, so the command covers everything up to the end of the audit.
    all_named = all(account.missing == len(account.missing_offsets) for account in accounts)
    until = max(named) + 1 if all_named else part.until_offset
    where = f"{part.address.topic}:{part.address.partition}"
    return f"inbox replay --topic {where} --from-offset {min(named)} --until-offset {until} --execute"
