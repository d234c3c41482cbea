"""The state machine of a worker's partitions: which it may take from, and from which offset. No I/O.

    ASKING ──answer──> PLACING ──seek──> ACTIVE ──fenced──> LOOKING
       ^                                                       │
       ├── immediately: this worker is still the owner, but    │
       │   a replay, a retry or a discard raised the epoch <───┤
       └── after a while <── WITHHELD: another is the owner <──┘

    PLACING and ACTIVE become PAUSED while the partition has too many dead letters, and HELD while a
    person holds it. ACTIVE becomes AWAITING at an event that misses a row: what is before the event
    is settled first, and what is behind it is taken after a while. ACTIVE becomes RESTING after a
    part of a replay with a speed.

A partition that the group assigns delivers nothing before PLACING gives it the ledger's offset. Its
records are taken only in ACTIVE. The first of them is the one that the ledger expects, or a later one
if the log holds none in between (compaction, aborted and control records).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from inbox.errors import HaltError
from inbox.events import TopicPartition
from inbox.store.inbox.ledger import ActiveReplay, LedgerRow

_TAKEOVERS_BEFORE_HALT = 5
_FIRST_ROW_PAUSE, _LONGEST_ROW_PAUSE = 0.05, 2.0


class Phase(Enum):
    """The state of a partition: what it waits for."""

    ASKING = "asking"
    LOOKING = "looking"
    PLACING = "placing"
    ACTIVE = "active"
    WITHHELD = "withheld"
    PAUSED = "paused"
    HELD = "held"
    RESTING = "resting"
    AWAITING = "awaiting"


_STANDING = (Phase.PAUSED, Phase.HELD, Phase.AWAITING, Phase.RESTING)
"""The phases in which nothing of a partition is under way, so that the ledger may be followed at any time."""


def _where_placed(row: LedgerRow) -> Phase:
    if row.too_many_letters:
        return Phase.PAUSED
    return Phase.HELD if row.held else Phase.PLACING


def _rest_edge(replay: ActiveReplay | None, next_offset: int) -> int | None:
    """Return where a replay with a speed rests: after a quarter of a second's worth."""
    if replay is None or replay.per_second is None:
        return None
    return next_offset + max(1, replay.per_second // 4)


@dataclass(slots=True)
class Assigned:
    """The state of one partition of this worker.

    Attributes:
        taken: the next offset to take into a batch.
        settled: the ledger's `next_offset` as last known.
        reached: the offset below which events may have been settled before, as of when the partition
            was placed.
        leader_epoch: the epoch of the record before `settled`, as of when the partition was placed.
        replay: the replay in progress on the partition.
        row_edge: the offset of the event that misses a row; batches end before it.
        row_at: the offset of the last event that missed a row.
        row_tries: how many times in a row the event at `row_at` missed its row.
        rest_edge: the offset at which a replay with a speed rests; batches end before it.
    """

    phase: Phase = Phase.ASKING
    partition_id: int = 0
    owner_epoch: int = 0
    taken: int = 0
    settled: int = 0
    reached: int = 0
    withheld_until: float = 0.0
    takeovers: int = 0
    topic_id: UUID | None = None
    leader_epoch: int | None = None
    replay: ActiveReplay | None = None
    row_edge: int | None = None
    row_at: int = -1
    row_tries: int = 0
    rest_edge: int | None = None


class Assignment:
    """The partitions of one member, changed only by the polling thread.

    Args:
        owner: the random token of this worker's life.
        reclaim_seconds: how long a partition that another owner took is left alone.
    """

    def __init__(self, owner: str, *, reclaim_seconds: float) -> None:
        self._owner = owner
        self._reclaim_seconds = reclaim_seconds
        self.partitions: dict[TopicPartition, Assigned] = {}

    def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        """Add partitions that Kafka assigned."""
        self.partitions.update({partition: Assigned() for partition in partitions})

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """Forget partitions that Kafka revoked."""
        for partition in partitions:
            self.partitions.pop(partition, None)

    def to_acquire(self, now: float) -> list[TopicPartition]:
        """Return the partitions whose owner epoch this worker must raise now."""
        for each in self.partitions.values():
            if each.phase is Phase.WITHHELD and now >= each.withheld_until:
                each.phase = Phase.ASKING
        return self._in(Phase.ASKING)

    def acquired(self, ledger_rows: Iterable[LedgerRow]) -> None:
        """Place the partitions as the ledger answered. Partitions that were revoked meanwhile are skipped."""
        for ledger_row in ledger_rows:
            each = self.partitions.get(ledger_row.address)
            if each is not None and each.phase is Phase.ASKING:
                each.replay = ledger_row.replay
                self._place(each, ledger_row)

    def needs_refresh(self) -> bool:
        """Return whether the ledger must be asked for the owner of a partition."""
        return any(each.phase is Phase.LOOKING for each in self.partitions.values())

    def refreshed(self, ledger_rows: Iterable[LedgerRow], now: float, *, idle: bool) -> list[TopicPartition]:
        """Follow the ledger as it was read; `idle` means that nothing was in flight or taken then.

        Returns:
            The partitions that must not be taken from until they are placed again.

        Raises:
            HaltError: two workers keep taking a partition from each other.
        """
        moved = []
        for ledger_row in ledger_rows:
            each = self.partitions.get(ledger_row.address)
            if each is None:
                continue
            found_elsewhere = ledger_row.owner_epoch != each.owner_epoch or ledger_row.next_offset != each.settled
            sees_moves = each.phase in _STANDING or (idle and each.phase is Phase.ACTIVE)
            if each.phase is Phase.LOOKING or (sees_moves and found_elsewhere):
                self._take_over(each, ledger_row, now)
                moved.append(ledger_row.address)
            elif each.phase in (Phase.PAUSED, Phase.HELD):
                self._place(each, ledger_row)
            elif ledger_row.held and each.phase in (Phase.PLACING, Phase.ACTIVE):
                each.phase = Phase.HELD
                moved.append(ledger_row.address)
        return moved

    def to_place(self) -> list[tuple[TopicPartition, int, int | None]]:
        """Return the partitions to place, each with its offset and the leader epoch of the record before it."""
        placing = [(partition, self.partitions[partition]) for partition in self._in(Phase.PLACING)]
        return [(partition, each.settled, each.leader_epoch) for partition, each in placing]

    def placed(self, partition: TopicPartition) -> None:
        """Record that the consumer is at the partition's offset, so that records may be taken."""
        self.partitions[partition].phase = Phase.ACTIVE

    def active(self, partition: tuple[str, int]) -> Assigned | None:
        """Return the partition if its records may be taken, otherwise None."""
        each = self.partitions.get(partition)  # type: ignore[call-overload]
        return each if each is not None and each.phase is Phase.ACTIVE else None

    def edges(self) -> dict[tuple[str, int], int]:
        """Return, by partition, the offset at which a batch must end: a replay ends there, or an event misses a row."""
        found: dict[tuple[str, int], int] = {}
        for at, each in self.partitions.items():
            edges = [] if each.replay is None else [each.replay.until_offset]
            edges += [edge for edge in (each.row_edge, each.rest_edge) if edge is not None]
            if edges:
                found[at] = min(edges)
        return found

    def await_row(self, partition: TopicPartition, offset: int) -> bool:
        """Note that the event misses a row. What is before it is settled, then `halt_at_rows` holds the partition.

        Returns:
            Whether the partition must be taken from again, up to the event.
        """
        each = self.partitions.get(partition)
        if each is None or each.phase is not Phase.ACTIVE:
            return False
        each.row_tries = each.row_tries + 1 if each.row_at == offset else 1
        each.row_edge = each.row_at = offset
        return each.settled < offset

    def halt_at_rows(self, now: float) -> list[TopicPartition]:
        """Hold the active partitions that reached an event which misses a row, each for a while; return them."""
        held = []
        for partition, each in self.partitions.items():
            if each.phase is Phase.ACTIVE and each.row_edge is not None and each.settled >= each.row_edge:
                each.phase = Phase.AWAITING
                each.withheld_until = now + min(_LONGEST_ROW_PAUSE, _FIRST_ROW_PAUSE * 2.0 ** min(each.row_tries, 10))
                held.append(partition)
        return held

    def rest(self, seconds: Mapping[TopicPartition, float], now: float) -> list[TopicPartition]:
        """Let partitions of a replay with a speed rest once they settled their part of it; return them."""
        resting = []
        for partition, wait in seconds.items():
            each = self.partitions.get(partition)
            if each is None or each.phase is not Phase.ACTIVE:
                continue
            each.withheld_until = now + wait
            if each.rest_edge is not None and each.settled >= each.rest_edge:
                each.phase = Phase.RESTING
                resting.append(partition)
        return resting

    def try_rows(self, now: float) -> None:
        """Try the partitions again that were held, or rested, long enough."""
        for each in self.partitions.values():
            if each.phase in (Phase.AWAITING, Phase.RESTING) and now >= each.withheld_until:
                each.phase, each.row_edge = Phase.LOOKING, None

    def awaiting(self) -> list[TopicPartition]:
        """Return the partitions that are held at an event which misses a row."""
        return self._in(Phase.AWAITING)

    def pause(self, partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
        """Take nothing more from these partitions, which have too many dead letters, until `looked` places them again.

        Returns:
            The partitions that were taken from until now.
        """
        active = [partition for partition in partitions if self.active(partition) is not None]
        for partition in active:
            self.partitions[partition].phase = Phase.PAUSED
        return active

    def paused(self) -> list[TopicPartition]:
        """Return the partitions that have too many dead letters."""
        return self._in(Phase.PAUSED)

    def held(self) -> list[TopicPartition]:
        """Return the partitions that a person holds."""
        return self._in(Phase.HELD)

    def not_held(self) -> set[TopicPartition]:
        """Return the partitions that no person holds."""
        return {partition for partition, each in self.partitions.items() if each.phase is not Phase.HELD}

    def all_active(self) -> list[TopicPartition]:
        """Return the partitions whose records may be taken."""
        return self._in(Phase.ACTIVE)

    def settled_offsets(self) -> dict[TopicPartition, int]:
        """Return the ledger's next offset of each active partition."""
        return {partition: self.partitions[partition].settled for partition in self.all_active()}

    def settled(self, partition: TopicPartition, after: int) -> None:
        """Record that the partition is settled up to, not including, `after`."""
        if (each := self.partitions.get(partition)) is not None:
            each.settled = max(each.settled, after) if each.phase is Phase.ACTIVE else each.settled
            each.takeovers = 0

    def fenced(self, partitions: Iterable[TopicPartition]) -> None:
        """Take nothing more from partitions that a fence refused, and ask the ledger for their owners."""
        for partition in partitions:
            each = self.partitions.get(partition)
            # A partition that was assigned again meanwhile is acquired anyway.
            if each is not None and each.phase in (Phase.ACTIVE, Phase.PLACING):
                each.phase = Phase.LOOKING

    def _take_over(self, each: Assigned, ledger_row: LedgerRow, now: float) -> None:
        if ledger_row.owner == self._owner:
            self._follow(each, ledger_row)
            return
        each.takeovers += 1
        if each.takeovers >= _TAKEOVERS_BEFORE_HALT:
            raise HaltError(
                f"{ledger_row.address} is taken away again and again by {ledger_row.owner} "
                "while Kafka assigns it here; check that no other sink uses this schema with a group of its own"
            )
        each.phase = Phase.WITHHELD
        each.withheld_until = now + self._reclaim_seconds

    def _follow(self, each: Assigned, ledger_row: LedgerRow) -> None:
        if ledger_row.owner_epoch == each.owner_epoch:
            # A replay raises the epoch when it begins or ends, so what is known of a replay still holds.
            self._place(each, ledger_row)
        else:
            # The raised epoch means that the partition's state changed, its parked keys included. This is read
            # when the partition is acquired, not by a look.
            each.phase = Phase.ASKING

    def _place(self, each: Assigned, ledger_row: LedgerRow) -> None:
        each.phase = _where_placed(ledger_row)
        each.partition_id = ledger_row.partition_id
        each.owner_epoch = ledger_row.owner_epoch
        each.topic_id = ledger_row.topic_id
        each.leader_epoch = ledger_row.leader_epoch
        each.taken = each.settled = ledger_row.next_offset
        each.reached = max(ledger_row.reached_offset, ledger_row.settled_until or 0)
        each.rest_edge = _rest_edge(each.replay, ledger_row.next_offset)
        if each.row_edge is not None and ledger_row.next_offset >= each.row_edge:
            each.row_edge = None

    def _in(self, phase: Phase) -> list[TopicPartition]:
        return [partition for partition, each in self.partitions.items() if each.phase is phase]
