"""A Kafka cluster and a database in memory, as simple as they can be, for whole workers to run on.

Nothing here waits: a test says when a member polls, and when and how the database carries out a job.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from uuid import UUID

from inbox.errors import TryAgainError
from inbox.events import Record, Settlement, TopicPartition
from inbox.kafka.consumer import Polled, RebalanceListener
from inbox.kafka.outage import KafkaOutage
from inbox.sink.batch import NO_ID, Batch
from inbox.sink.outcome import SettledBatch, resolved
from inbox.sink.writer_thread import Acquire, Answer, Job, JobResult, ReadLedger
from inbox.store.inbox.ledger import LedgerRow


@dataclass
class Log:
    """A set of partitions of records; None is a control record, which takes an offset and is never delivered."""

    partitions: dict[TopicPartition, list[Record | None]]

    def end(self, partition: TopicPartition) -> int:
        return len(self.partitions[partition])

    def delivered_from(self, partition: TopicPartition, offset: int) -> list[Record]:
        return [each for each in self.partitions[partition][offset:] if each is not None]


class MemoryConsumer:
    """A member of the group, like `GroupConsumer`; callbacks come from within `take`, as librdkafka's do."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._listener: RebalanceListener | None = None
        self._position: dict[TopicPartition, int | None] = {}
        self._paused: set[TopicPartition] = set()
        self._ends_told: set[tuple[TopicPartition, int]] = set()
        self.news: list[tuple[str, TopicPartition]] = []
        self.outage = KafkaOutage()

    def subscribe(self, topics: Sequence[str], listener: RebalanceListener) -> None:
        self._listener = listener

    def poll(self, limit: int, *, wait_seconds: float) -> Polled:
        self._hear_news()
        taken = Polled()
        for partition, position in self._position.items():
            if position is None or partition in self._paused:
                continue
            records = self._log.delivered_from(partition, position)[: limit - len(taken.records)]
            taken.records += records
            if records:
                self._position[partition] = position = records[-1].offset() + 1
            end = self._log.end(partition)
            if not self._log.delivered_from(partition, position) and (partition, end) not in self._ends_told:
                self._ends_told.add((partition, end))
                taken.ends.append((partition, end))
        return taken

    def _hear_news(self) -> None:
        assert self._listener is not None
        news, self.news = self.news, []
        for what, partition in news:
            if what == "assigned":
                self._position[partition] = None
                self._paused.add(partition)
                self._listener.assigned([partition])
            elif partition in self._position:
                listener = self._listener.revoked if what == "revoked" else self._listener.lost
                listener([partition])
                del self._position[partition]

    def seek(self, partition: TopicPartition, offset: int, leader_epoch: int | None = None) -> bool:
        self._position[partition] = offset
        self._paused.discard(partition)
        self._ends_told = {told for told in self._ends_told if told[0] != partition}
        return True

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused.update(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused.difference_update(partitions)

    def commit(self, next_offsets: Mapping[TopicPartition, int], *, wait: bool = False) -> None:
        """Accept a hint that nobody reads."""

    def end_seen(self, partition: TopicPartition) -> int | None:
        return self._log.end(partition)

    def close(self) -> None:
        """Do nothing: there is nothing to close."""


@dataclass(frozen=True)
class Row:
    """A row of the ledger."""

    partition_id: int
    next_offset: int = 0
    owner: str | None = None
    owner_epoch: int = 0


@dataclass
class Store:
    """The committed state."""

    ledger: dict[TopicPartition, Row]
    claims: set[bytes] = field(default_factory=set)
    effects: list[tuple[bytes, TopicPartition, int]] = field(default_factory=list)
    dead_letters: set[tuple[TopicPartition, int]] = field(default_factory=set)

    def replay(self, partition: TopicPartition, offset: int) -> None:
        row = self.ledger[partition]
        self.ledger[partition] = replace(row, next_offset=offset, owner_epoch=row.owner_epoch + 1)


class MemorySettler:
    """A short version of `Settler`: one owner's view of the store."""

    def __init__(self, store: Store, owner: str) -> None:
        self._store = store
        self._owner = owner

    def carry_out(self, job: Job) -> Answer:
        match job:
            case Acquire(partitions):
                return self._acquire(partitions)
            case ReadLedger():
                return self._holdings(self._store.ledger)
            case _:
                return (self._resolve(job.batch) if job.doubtful else None) or self._settle(job.batch)

    def _acquire(self, partitions: Sequence[TopicPartition]) -> list[LedgerRow]:
        for partition in partitions:
            row = self._store.ledger[partition]
            self._store.ledger[partition] = replace(row, owner=self._owner, owner_epoch=row.owner_epoch + 1)
        return self._holdings(partitions)

    def _holdings(self, partitions: Iterable[TopicPartition]) -> list[LedgerRow]:
        rows = [(partition, self._store.ledger[partition]) for partition in partitions]
        return [LedgerRow(r.partition_id, p, r.next_offset, r.owner, r.owner_epoch) for p, r in rows]

    def _resolve(self, batch: Batch) -> SettledBatch | None:
        mine = {row.address: row for row in self._holdings(self._store.ledger) if row.owner == self._owner}
        return resolved(batch, mine)

    def _settle(self, batch: Batch) -> SettledBatch:
        fenced = frozenset(address for address in batch.partitions if not self._may_settle(batch, address))
        if fenced:
            return SettledBatch(fenced=fenced)
        return SettledBatch(settlements={address: self._apply(batch, address) for address in batch.partitions})

    def _may_settle(self, batch: Batch, address: TopicPartition) -> bool:
        row, part = self._store.ledger[address], batch.partitions[address]
        return (row.owner, row.owner_epoch, row.next_offset) == (self._owner, part.owner_epoch, part.before)

    def _apply(self, batch: Batch, address: TopicPartition) -> Settlement:
        part, settlement = batch.partitions[address], Settlement()
        events = part.routes["r"]
        for event_id, record in zip(events.ids, events.records, strict=True):
            if event_id == NO_ID:
                self._store.dead_letters.add((address, record.offset()))
                settlement.dead_lettered += 1
            elif event_id in self._store.claims:
                settlement.duplicate += 1
            else:
                self._store.claims.add(event_id)
                self._store.effects.append((event_id, address, record.offset()))
                settlement.applied += 1
        self._store.ledger[address] = replace(self._store.ledger[address], next_offset=part.after)
        return settlement


class Fate(Enum):
    """The way in which the database carries out a job."""

    ANSWERED = "answered"
    LOST_BEFORE_COMMIT = "lost before the database commit"
    LOST_AFTER_COMMIT = "lost after the database commit"


class SteppedWriter:
    """A `Writer` that carries out its job when the test says so."""

    def __init__(self, settler: MemorySettler) -> None:
        self._settler = settler
        self._job: Job | None = None
        self._outcome: JobResult | None = None

    def start(self) -> None:
        """Do nothing: there is no thread."""

    def close(self, *, wait_seconds: float) -> None:
        """Do nothing: there is no thread."""

    def wait(self, seconds: float) -> None:
        """Do nothing: a caller that waits gives up, since the database is slow."""

    def wait_until_started(self, seconds: float) -> None:
        """Do nothing: the database works when the test says so."""

    @property
    def busy(self) -> bool:
        return self._job is not None

    @property
    def has_work(self) -> bool:
        return self._job is not None and self._outcome is None

    def submit(self, job: Job) -> None:
        assert self._job is None, "one job at a time"
        self._job = job

    def collect(self) -> JobResult | None:
        outcome, self._outcome = self._outcome, None
        if outcome is not None:
            self._job = None
        return outcome

    def carry_out(self, fate: Fate) -> None:
        assert self._job is not None
        answer = None if fate is Fate.LOST_BEFORE_COMMIT else self._settler.carry_out(self._job)
        if fate is Fate.ANSWERED:
            self._outcome = JobResult(self._job, answer)
        else:
            self._outcome = JobResult(self._job, error=TryAgainError(fate.value))


def id_of(number: int) -> bytes:
    return str(UUID(int=number)).encode()
