"""Hold what became of a batch: while its transaction runs, and once it has ended."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from inbox.errors import OrderHaltError
from inbox.events import Settlement, TopicPartition
from inbox.sink.batch import Batch, PartitionBatch
from inbox.store.inbox.dead_letters import DeadLetter
from inbox.store.inbox.ledger import LedgerRow, OffsetAdvance


@dataclass(slots=True)
class RouteResult:
    """The events of a route that were not applied; the counts are by partition id.

    `other_payloads` counts the events among `duplicates` or `set_aside` whose id was applied before
    with another payload. `applied_again` are the offsets that a replay applied without claims, by
    (route id, partition id). `unknown_members` has by (partition id, name) how many applied events
    have a member that fills no column, where the route counts them. `duplicate_indexes` are the
    indexes of the duplicates that the slow path found.
    """

    letters: list[DeadLetter] = field(default_factory=list)
    duplicates: Counter[int] = field(default_factory=Counter)
    duplicate_indexes: list[int] = field(default_factory=list)
    set_aside: Counter[int] = field(default_factory=Counter)
    other_payloads: Counter[int] = field(default_factory=Counter)
    applied_again: Mapping[tuple[int, int], Sequence[int]] = field(default_factory=dict)
    unknown_members: Mapping[tuple[int, str], int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SettledBatch:
    """The outcome of settling one batch. If `fenced` or `rows_missing` is not empty, nothing moved.

    Attributes:
        settlements: the endings of each partition that moved in the ledger.
        by_route: the same endings by partition and route name, for the metrics; empty after a COMMIT
            whose outcome the ledger had to say.
        fenced: the partitions that the fence refused: their owner, owner epoch or next offset
            changed.
        elsewhere: the moved partitions that continue at another offset, because a replay ended.
        too_many_letters: the moved partitions with more dead letters than `[failures] halt_above`.
        rows_missing: by partition, the offset of the event that misses a row or that caused `halt`.
        halt: the error of an event that cannot be applied under `order = "halt"`. The sink stops
            once everything else is settled.
        rests: the moved partitions of a replay with a speed, each with the seconds until its next events.
    """

    settlements: Mapping[TopicPartition, Settlement] = field(default_factory=dict)
    by_route: Mapping[tuple[TopicPartition, str], Settlement] = field(default_factory=dict)
    fenced: frozenset[TopicPartition] = frozenset()
    elsewhere: frozenset[TopicPartition] = frozenset()
    too_many_letters: frozenset[TopicPartition] = frozenset()
    rows_missing: Mapping[TopicPartition, int] = field(default_factory=dict)
    halt: OrderHaltError | None = None
    rests: Mapping[TopicPartition, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LettersTried:
    """The outcome of tries that the sink makes by itself: whether more are due."""

    more: bool


@dataclass(slots=True)
class BatchOutcome:
    """The findings of a batch's transaction so far.

    Attributes:
        results: what was not applied, by route name; complete before anything is parked.
        advances: the offsets that the fence moves, in the order of the batch's partitions.
        by_route: how the events of each partition and route end; known with `advances`.
        elsewhere: the partitions that continue at another offset, because a replay ended.
        too_many_letters: the ids of the partitions with more dead letters than `[failures]
            halt_above`.
        other_payloads: the number of events whose id was applied before with another payload.
        unknown_members: by route name, how often applied events had a member that fills no column.
        new_members: by route name, the names of such members that no event had before.
    """

    batch: Batch
    results: dict[str, RouteResult] = field(default_factory=dict)
    advances: Sequence[OffsetAdvance] = ()
    by_route: Mapping[tuple[TopicPartition, str], Settlement] = field(default_factory=dict)
    elsewhere: frozenset[TopicPartition] = frozenset()
    too_many_letters: frozenset[int] = frozenset()
    other_payloads: int = 0
    unknown_members: Mapping[str, int] = field(default_factory=dict)
    new_members: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def letters(self) -> list[DeadLetter]:
        """Return the dead letters of all routes."""
        return [letter for result in self.results.values() for letter in result.letters]

    def advance(self) -> Sequence[OffsetAdvance]:
        """Return, and keep, the offsets that this batch settles with their endings."""
        advances: list[OffsetAdvance] = []
        by_route: dict[tuple[TopicPartition, str], Settlement] = {}
        for each in self.batch.partitions.values():
            settlements = self._settlements(each)
            by_route |= {(each.address, route): settlement for route, settlement in settlements.items()}
            total = _sum(settlements.values())
            advances.append(
                OffsetAdvance(each.partition_id, each.owner_epoch, each.before, each.after, total, each.leader_epoch)
            )
        self.advances, self.by_route = advances, by_route
        return advances

    def _settlements(self, part: PartitionBatch) -> Mapping[str, Settlement]:
        found = {}
        for route, result in self.results.items():
            events = part.events_of(route)
            if events is None:
                continue
            duplicate = result.duplicates[part.partition_id]
            parked = result.set_aside[part.partition_id]
            found[route] = Settlement(len(events.ids) - duplicate - parked, duplicate, events.filtered, parked)
        return found

    def settled(self) -> SettledBatch:
        """Return the outcome after COMMIT."""
        addresses = {each.partition_id: each.address for each in self.batch.partitions.values()}
        return SettledBatch(
            settlements={addresses[each.partition_id]: each.settlement for each in self.advances},
            by_route=self.by_route,
            elsewhere=self.elsewhere,
            too_many_letters=addresses_of(self.batch, self.too_many_letters),
        )


def _sum(settlements: Iterable[Settlement]) -> Settlement:
    total = Settlement()
    for settlement in settlements:
        total.add(settlement)
    return total


def address_of_id(batch: Batch, partition_id: int) -> TopicPartition:
    """Return the batch's partition with this id."""
    return next(each.address for each in batch.partitions.values() if each.partition_id == partition_id)


def addresses_of(batch: Batch, partition_ids: Iterable[int]) -> frozenset[TopicPartition]:
    """Return the batch's partitions with these ids."""
    wanted = frozenset(partition_ids)
    return frozenset(each.address for each in batch.partitions.values() if each.partition_id in wanted)


def resolved(batch: Batch, mine: Mapping[TopicPartition, LedgerRow]) -> SettledBatch | None:
    """Return what these ledger rows say of a batch whose COMMIT was not answered.

    Args:
        mine: the rows of the ledger that this worker still owns.

    Returns:
        The batch as settled or fenced, or None if nothing of the batch was committed.
    """
    done, behind = [], []
    for address, part in batch.partitions.items():
        row = mine.get(address)
        if row is None or row.owner_epoch != part.owner_epoch:
            behind.append(address)
        elif row.next_offset == part.after:
            done.append(address)
        elif row.next_offset != part.before:
            behind.append(address)
    if behind:
        return SettledBatch(fenced=frozenset(behind))
    # The endings of this batch are counted in the ledger but are not known here.
    return SettledBatch(settlements={address: Settlement() for address in done}) if done else None
