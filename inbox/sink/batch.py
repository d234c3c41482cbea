"""Hold the polled records as the transaction needs them: one part for each partition, with its events by route."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress
from uuid import UUID

from inbox.errors import EventError
from inbox.events import Record, TopicPartition
from inbox.store.inbox.ledger import ActiveReplay

NO_ID = b""


@dataclass(slots=True)
class RouteEvents:
    """The events of one route in one partition, in offset order.

    `refused` has, by index, the errors of events that cannot even be tried. Such an event keeps its
    place, so that the order within its key holds.
    """

    ids: list[bytes] = field(default_factory=list)
    types: list[str | None] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    refused: dict[int, EventError] = field(default_factory=dict)
    filtered: int = 0


@dataclass(slots=True)
class PartitionBatch:
    """The offsets of one partition that a batch settles: from `before` up to, not including, `after`.

    `topic_id` is the topic id of the ledger's row. `leader_epoch` is that of the record right
    before `after`, or None if there is no record. `again`: the offsets, or some of them, were
    settled before. `replay` is set if a replay settles them again.
    """

    address: TopicPartition
    partition_id: int
    owner_epoch: int
    before: int
    after: int
    routes: dict[str, RouteEvents]
    records: int = 0
    bytes: int = 0
    oldest_milliseconds: int | None = None
    first_offset: int = -1
    topic_id: UUID | None = None
    leader_epoch: int | None = None
    replay: ActiveReplay | None = None
    again: bool = False

    def events_of(self, route: str) -> RouteEvents | None:
        """Return the route's events, or None if the route takes none from here or the replay excludes the route."""
        if self.replay is not None and self.replay.route not in (None, route):
            return None
        return self.routes.get(route)


@dataclass(slots=True)
class Batch:
    """The records that one transaction settles."""

    partitions: dict[TopicPartition, PartitionBatch] = field(default_factory=dict)

    @property
    def records(self) -> int:
        """Return the number of records in the batch."""
        return sum(part.records for part in self.partitions.values())

    @property
    def bytes(self) -> int:
        """Return the size of the batch's records in bytes."""
        return sum(part.bytes for part in self.partitions.values())

    def __bool__(self) -> bool:
        return bool(self.partitions)

    def without(self, partitions: Sequence[TopicPartition]) -> "Batch":
        """Return the batch without these partitions."""
        kept = {address: each for address, each in self.partitions.items() if address not in partitions}
        return Batch(kept)

    def of_route(self, route: str) -> "RouteBatch":
        """Return all events of a route, partition after partition."""
        whole = RouteBatch()
        for each in self.partitions.values():
            if (events := each.events_of(route)) is not None and events.ids:
                whole.append(each, events)
        return whole


@dataclass(slots=True)
class RouteBatch:
    """The events of one route in a batch, as parallel lists; `replays` is by partition id."""

    ids: list[bytes] = field(default_factory=list)
    types: list[str | None] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    partition_ids: list[int] = field(default_factory=list)
    refused: dict[int, EventError] = field(default_factory=dict)
    tries: dict[int, int] = field(default_factory=dict)
    replays: dict[int, ActiveReplay] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def append(self, part: PartitionBatch, events: RouteEvents) -> None:
        """Append the events of one partition."""
        start = len(self.ids)
        self.ids += events.ids
        self.types += events.types
        self.records += events.records
        self.partition_ids += [part.partition_id] * len(events.ids)
        self.refused.update({start + index: error for index, error in events.refused.items()})
        if part.replay is not None:
            self.replays[part.partition_id] = part.replay

    def forced(self) -> dict[int, list[int]]:
        """Return, by replay id, the indexes of events that must take effect once more."""
        forced: dict[int, list[int]] = {}
        for index, partition_id in enumerate(self.partition_ids):
            if (replay := self.replays.get(partition_id)) is not None and replay.force:
                forced.setdefault(replay.replay_id, []).append(index)
        return forced

    def only(self, indexes: Sequence[int]) -> "RouteBatch":
        """Return a route's batch of the events at these indexes, without their `refused` and `tries`."""
        return RouteBatch(
            [self.ids[p] for p in indexes],
            [self.types[p] for p in indexes],
            [self.records[p] for p in indexes],
            [self.partition_ids[p] for p in indexes],
            replays=self.replays,
        )

    def between(self, start: int, stop: int) -> "RouteBatch":
        """Return the events at the indexes from `start` to before `stop`."""
        part = slice(start, stop)
        return RouteBatch(
            self.ids[part], self.types[part], self.records[part], self.partition_ids[part], replays=self.replays
        )

    def left_out(self, indexes: Collection[int]) -> "RouteBatch":
        """Return the route's batch without these events, before any of it was tried; `refused` is kept."""
        if not indexes:
            return self
        kept = [index for index in range(len(self.ids)) if index not in indexes]
        left = self.only(kept)
        left.refused = {at: self.refused[index] for at, index in enumerate(kept) if index in self.refused}
        return left

    def without(self, indexes: Sequence[int]) -> "RouteBatch":
        """Return the route's batch without the events at these indexes."""
        if not indexes:
            return self
        gone = set(indexes)
        keep = [index not in gone for index in range(len(self.ids))]
        kept = RouteBatch(*(list(compress(each, keep)) for each in self._lists()))  # type: ignore[arg-type]
        kept.replays = self.replays
        return kept

    def _lists(self) -> Iterator[Sequence[object]]:
        return iter((self.ids, self.types, self.records, self.partition_ids))
