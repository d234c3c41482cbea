"""Hold what the parts of a worker share: its consumer, its writer, its partitions, and what it knows of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from inbox.events import TopicPartition
from inbox.kafka.consumer import GroupConsumer
from inbox.sink.accumulator import BatchAccumulator
from inbox.sink.assignment import Assignment
from inbox.sink.pace import Pace
from inbox.sink.schema_waits import SchemaWaits
from inbox.sink.worker.offset_commits import OffsetCommits
from inbox.sink.worker.progress import WorkerProgress
from inbox.sink.worker.retry_state import RetryState
from inbox.sink.writer_thread import Writer
from inbox.telemetry import Outage


@dataclass
class WorkerContext:
    """The parts of one worker, changed only by the polling thread.

    Attributes:
        submitted_at: when the writer got its last job, in seconds by the clock.
        letters_due_at: when parked events are next tried again, in seconds by the clock; None if they never are.
        ledger_read_at: when the ledger was last read, in seconds by the clock.
        pace: the wait for turns, if the sink has a budget of events a second.
    """

    consumer: GroupConsumer
    writer: Writer
    assignment: Assignment
    accumulator: BatchAccumulator
    clock: Callable[[], float]
    progress: WorkerProgress = field(default_factory=WorkerProgress)
    submitted_at: float = 0.0
    letters_due_at: float | None = None
    pace: Pace | None = None

    def __post_init__(self) -> None:
        self.retry = RetryState(self.consumer.outage, self.clock)
        self.commits = OffsetCommits(self.consumer, self.assignment, self.clock)
        self.schema_waits = SchemaWaits(self.assignment, Outage(self.clock))
        self.ledger_read_at = self.clock()

    @property
    def has_unsettled(self) -> bool:
        """Return whether records that were taken are not settled yet."""
        return bool(self.writer.busy or self.retry.has_batch or self.accumulator.batch)

    def hurry(self) -> None:
        """Let the batch that waits for its turn go now."""
        if self.pace is not None and self.writer.busy:
            self.pace.hurry()

    def hold(self, partitions: Sequence[TopicPartition]) -> None:
        """Take nothing more from these partitions, and drop what was taken."""
        if partitions:
            self.consumer.pause(partitions)
            self.accumulator.drop(partitions)

    def hold_at_rows(self) -> None:
        """Hold the partitions that reached an event which cannot be settled yet."""
        self.hold(self.assignment.halt_at_rows(self.clock()))

    def ask_again(self, partitions: Iterable[TopicPartition]) -> None:
        """Hold these partitions until the ledger says whose they are, and where they continue."""
        mine = [partition for partition in partitions if partition in self.assignment.partitions]
        self.assignment.fenced(mine)
        self.consumer.pause(mine)
        self.accumulator.drop(mine)

    def commit_offsets(self) -> None:
        """Commit to Kafka what is settled, and note the lag."""
        self.commits.commit()
        self.progress.joined = self.progress.joined or self.consumer.outage.steady
        self.progress.lag = self.commits.show_lag(self.progress.next_offsets)
