"""Run the loop of one worker: it polls, prepares and decides, while the writer's thread works on the database.

A turn has this order: collect the writer's answer, give the writer its next job, place partitions,
take records.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from inbox.errors import (
    HaltError,
    InboxError,
    LostPlaceError,
    OrderHaltError,
    SmallerBatchError,
    TryAgainError,
    UnprovenError,
    UnreadableError,
    error_text,
    forget_frames,
)
from inbox.events import Settlement, TopicPartition
from inbox.kafka.consumer import GroupConsumer, RebalanceListener
from inbox.sink.accumulator import BatchAccumulator
from inbox.sink.assignment import Assignment
from inbox.sink.batch import Batch
from inbox.sink.guards.time_limit import TimeLimit
from inbox.sink.offset_commits import OffsetCommits
from inbox.sink.outcome import SettledBatch
from inbox.sink.retry_state import RetryState
from inbox.sink.schema_waits import SchemaWaits
from inbox.sink.settle.fault.blame import HANDFUL
from inbox.sink.writer_thread import Acquire, JobResult, ReadLedger, Settle, Writer
from inbox.store.inbox.ledger import LedgerRow
from inbox.telemetry import (
    BATCH_EVENTS,
    BATCH_SECONDS,
    END_TO_END_SECONDS,
    EVENTS,
    FENCED,
    PAUSED,
    Outage,
    Pauses,
    log,
)

_POLL_SECONDS = 0.1
_LEDGER_SECONDS = 1.0
_SLOW_SECONDS = 1.0
_DRAIN_SECONDS = 20.0
_REVOKE_SECONDS = 5.0
_START_SECONDS = 0.05


@dataclass
class WorkerProgress:
    """The state of a worker for a terminal and a probe, kept up to date by the loop.

    `joined` means that the worker is a member of the group, with partitions or as a spare.
    `last_turn` is when the loop last began a turn, in seconds by the loop's clock.
    """

    settlement: Settlement = field(default_factory=Settlement)
    records: int = 0
    batch_records: int = 0
    next_offsets: dict[TopicPartition, int] = field(default_factory=dict)
    waiting_for: str | None = None
    lag: int = 0
    joined: bool = False
    last_turn: float | None = None


class Worker:
    """A member of the group with one connection to the database.

    Args:
        ends: the offsets at which the worker stops once the ledger has reached all of them, if
            given.
        explain: adds to a halt what a person must know.
    """

    def __init__(
        self,
        consumer: GroupConsumer,
        writer: Writer,
        assignment: Assignment,
        accumulator: BatchAccumulator,
        topics: Sequence[str],
        time_limit: TimeLimit,
        *,
        ends: Mapping[TopicPartition, int] | None = None,
        explain: Callable[[LostPlaceError | UnreadableError], HaltError] = lambda error: error,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._consumer = consumer
        self._writer = writer
        self._assignment = assignment
        self._accumulator = accumulator
        self._topics = topics
        self._time_limit = time_limit
        self._ends = dict(ends) if ends is not None else None
        self._explain = explain
        self._clock = clock
        self._stopping = False
        self._retry = RetryState(consumer.outage, clock)
        self._commits = OffsetCommits(consumer, assignment, clock)
        self._schema_waits = SchemaWaits(assignment, Outage(clock))
        self._last: JobResult | None = None
        self._pauses = Pauses()
        self._halt: OrderHaltError | None = None
        self._submitted_at = 0.0
        self._ledger_read_at = clock()
        self._paused = False
        self.progress = WorkerProgress()

    def stop(self) -> None:
        """Ask the worker to finish the current batch and leave the group. It is safe in a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Run until `stop` is called or the ends are reached.

        Raises:
            HaltError: continuing could lose or repeat an event.
        """
        self._writer.start()
        self._consumer.subscribe(
            self._topics, RebalanceListener(self._on_assigned, self._on_revoked, self._assignment_lost)
        )
        try:
            while not self._stopping and not self._at_end():
                self._turn()
            self._drain()
        except (LostPlaceError, UnreadableError) as error:
            raise self._explain(error) from error
        finally:
            self._retry.close()
            self._schema_waits.close()
            try:
                self._writer.close(wait_seconds=_REVOKE_SECONDS)
                self._consumer.close()
            finally:
                # Not before: while it closes, the worker may still collect an answer of the writer.
                self._pauses.now([])
                PAUSED.labels("missing_row").set(0)

    def _turn(self) -> None:
        self.progress.last_turn = self._clock()
        self._time_limit.enforce()
        self._collect()
        self._heed_stops()
        self._heed_schema_waits()
        self._poll_what_came_meanwhile()
        self._give_work()
        self._place()
        self._poll()
        if self._commits.is_due:
            self._commit()

    # What the writer answered.

    def _collect(self) -> None:
        outcome = self._writer.collect()
        if outcome is None:
            return
        self._last = outcome
        if isinstance(outcome.error, TryAgainError):
            self._wait_after(outcome, outcome.error)
        elif outcome.error is not None:
            raise outcome.error
        else:
            self._accept(outcome)
            if not self._retry.still_unproven(self._assignment.partitions, self.progress.next_offsets):
                self._retry.recovered()
                self.progress.waiting_for = None
            self._pauses.now(self._assignment.paused())
            awaiting = self._assignment.awaiting()
            PAUSED.labels("missing_row").set(sum(each not in self._schema_waits for each in awaiting))

    def _accept(self, outcome: JobResult) -> None:
        match outcome.job, outcome.answer:
            case Settle(batch), SettledBatch() as settled:
                self._accept_batch(batch, settled)
            case Acquire(), list() as ledger_rows:
                self._assignment.acquired(ledger_rows)
            case ReadLedger(), list() as ledger_rows:
                self._accept_ledger(ledger_rows)

    def _accept_batch(self, batch: Batch, settled: SettledBatch) -> None:
        if settled.fenced:
            self._fenced(settled.fenced)
            self._retry.keep(batch.without(list(settled.fenced)))
            return
        if settled.rows_missing:
            self._halt = settled.halt or self._halt
            self._await_rows(batch, settled.rows_missing)
            self._halt_if_all_else_is_settled()
            return
        for address, settlement in settled.settlements.items():
            after = batch.partitions[address].after
            self._assignment.settled(address, after)
            self._schema_waits.settled(address, after)
            self._commits.add(address, after)
            self.progress.next_offsets[address] = after
            self.progress.settlement.add(settlement)
            for ending, count in settlement.by_ending().items():
                if count:
                    EVENTS.labels(address.topic, ending.value).inc(count)
        if settled.elsewhere:
            self._ask_again(settled.elsewhere)
        self._hold(self._assignment.pause(settled.too_many_letters))
        self._hold(self._assignment.halt_at_rows(self._clock()))
        self._halt_if_all_else_is_settled()
        self._observe(batch, settled)

    def _observe(self, batch: Batch, settled: SettledBatch) -> None:
        self.progress.records += batch.records
        self.progress.batch_records = batch.records or self.progress.batch_records
        seconds = self._clock() - self._submitted_at
        self._accumulator.limit.took(batch.records, seconds)
        BATCH_SECONDS.observe(seconds)
        if batch.records:
            BATCH_EVENTS.observe(batch.records)
        times = (part.oldest_milliseconds for part in batch.partitions.values())
        oldest = [each for each in times if each is not None]
        if oldest:
            END_TO_END_SECONDS.observe(max(0.0, time.time() - min(oldest) / 1000))

    def _accept_ledger(self, ledger_rows: Sequence[LedgerRow]) -> None:
        self._ledger_read_at = self._clock()
        self.progress.next_offsets.update({row.address: row.next_offset for row in ledger_rows})
        moved = self._assignment.refreshed(ledger_rows, self._clock(), idle=not self._accumulator.batch)
        if moved:
            self._consumer.pause(moved)
            self._accumulator.drop(moved)

    def _fenced(self, partitions: frozenset[TopicPartition]) -> None:
        FENCED.inc(len(partitions))
        log().warning("fenced", partitions=sorted(map(str, partitions)))
        self._ask_again(partitions)

    def _await_rows(self, batch: Batch, missing: Mapping[TopicPartition, int]) -> None:
        """Settle the other partitions of the batch now, and these up to their events. Nothing of the batch moved."""
        self._ask_again([at for at, offset in missing.items() if self._assignment.await_row(at, offset)])
        self._hold(self._assignment.halt_at_rows(self._clock()))
        self._retry.keep(batch.without(list(missing)))

    def _halt_if_all_else_is_settled(self) -> None:
        """Stop at an event that failed under `order = "halt"`, once everything else is settled.

        Everything else is what lies before the event, and the rest of its batch.
        """
        if self._halt is None or self._retry.has_batch:
            return
        held = [self._assignment.partitions[at] for at in self._assignment.awaiting()]
        if (self._halt.partition_id, self._halt.offset) in [(each.partition_id, each.row_at) for each in held]:
            raise self._halt

    def _hold(self, partitions: Sequence[TopicPartition]) -> None:
        if partitions:
            self._consumer.pause(partitions)
            self._accumulator.drop(partitions)

    def _ask_again(self, partitions: Iterable[TopicPartition]) -> None:
        mine = [partition for partition in partitions if partition in self._assignment.partitions]
        self._assignment.fenced(mine)
        self._consumer.pause(mine)
        self._accumulator.drop(mine)

    # Outages.

    def _wait_after(self, outcome: JobResult, error: TryAgainError) -> None:
        self._retry.failed(error)
        self.progress.waiting_for = error_text(error)
        if isinstance(outcome.job, Settle):
            self._settle_again(outcome.job.batch, error)
        forget_frames(error)

    def _settle_again(self, batch: Batch, error: TryAgainError) -> None:
        """Settle the batch again after the pause: as it is, or from records that are read again."""
        if isinstance(error, UnprovenError):
            self._accumulator.limit.at_least(HANDFUL)
            self._retry.unproven(batch)
            self._ask_again(list(batch.partitions))
        elif isinstance(error, SmallerBatchError):
            self._go_back(batch, one_by_one=error.one_by_one)
        else:
            gone = [address for address in batch.partitions if address not in self._assignment.partitions]
            self._retry.keep(batch.without(gone), doubtful=True)

    def _go_back(self, batch: Batch, *, one_by_one: bool) -> None:
        """Take the same offsets again from the ledger's next offset, fewer at a time."""
        if one_by_one:
            self._accumulator.limit.one_by_one(batch.records)
        else:
            self._accumulator.limit.failed(batch.records)
        self._ask_again(list(batch.partitions))

    def _heed_schema_waits(self) -> None:
        """Hold the partitions whose next record needs a schema that the registry does not give now."""
        if waits := self._accumulator.take_waits():
            self._schema_waits.note(waits)
            self._hold(self._assignment.halt_at_rows(self._clock()))

    def _heed_stops(self) -> None:
        """Stop where the log cannot be followed, after what was taken of all partitions is settled.

        If the brokers did not answer, the records are read again and the brokers are asked again.
        """
        for partition, error in list(self._accumulator.stops.items()):
            if isinstance(error, TryAgainError):
                self._retry.report(error)
                self._ask_again([partition])
            elif not self._unsettled:
                raise error

    @property
    def _unsettled(self) -> bool:
        return bool(self._writer.busy or self._retry.has_batch or self._accumulator.batch)

    # What the writer does next.

    def _give_work(self) -> None:
        now = self._clock()
        if self._writer.busy or not self._retry.is_pause_over():
            return
        job = self._next_job(now)
        if job is not None:
            self._submitted_at = now
            self._writer.submit(job)
            self._writer.wait_until_started(_START_SECONDS)
        # Not before: freeing thousands of records takes milliseconds, in which the database would wait.
        self._last = None

    def _next_job(self, now: float) -> Acquire | ReadLedger | Settle | None:
        if (again := self._retry.take()) is not None:
            return again
        self._assignment.try_rows(now)
        if to_acquire := self._assignment.to_acquire(now):
            return Acquire(to_acquire)
        held = self._assignment.paused() or self._assignment.awaiting()
        if self._assignment.needs_refresh() or (held and now - self._ledger_read_at >= _LEDGER_SECONDS):
            return ReadLedger(self._topics)
        if self._accumulator.batch:
            return Settle(self._accumulator.drain())
        if now - self._ledger_read_at >= (_LEDGER_SECONDS if self._ends is None else _POLL_SECONDS):
            return ReadLedger(self._topics)
        return None

    # Kafka.

    def _place(self) -> None:
        for partition, offset, leader_epoch in self._assignment.to_place():
            if self._consumer.seek(partition, offset, leader_epoch):
                self._assignment.placed(partition)
                self._commits.remind_soon()
                if self._paused:
                    self._consumer.pause([partition])

    def _poll_what_came_meanwhile(self) -> None:
        """Take the records that came while the writer was busy; otherwise they would wait for one more batch."""
        if (
            self._accumulator.batch
            and not self._writer.busy
            and not self._waits_long()
            and (room := self._accumulator.room)
        ):
            self._accumulator.add(self._consumer.poll(room, wait_seconds=0))

    def _poll(self) -> None:
        if self._waits_long():
            self._keep_polling()
            return
        self._resume()
        room = self._accumulator.room
        if not self._writer.busy:
            self._accumulator.add(self._consumer.poll(max(1, room), wait_seconds=_POLL_SECONDS))
        elif room:
            before = self._accumulator.batch.records
            self._accumulator.add(self._consumer.poll(room, wait_seconds=0))
            if self._accumulator.batch.records == before:
                self._writer.wait(0.005)
        else:
            self._writer.wait(0.05)

    def _waits_long(self) -> bool:
        # The next try of unproven events includes the records that came meanwhile.
        proving = self._retry.is_unproven and self._retry.is_pause_over()
        if self._retry.has_batch or self._accumulator.stops or (self._retry.fails and not proving):
            return True
        return self._writer.busy and self._clock() - self._submitted_at > _SLOW_SECONDS

    def _keep_polling(self) -> None:
        """Stay a member of the group while the database is away or slow."""
        if not self._paused:
            self._consumer.pause(self._assignment.all_active())
            self._paused = True
        self._accumulator.add(self._consumer.poll(1, wait_seconds=0.02 if self._writer.busy else _POLL_SECONDS))

    def _resume(self) -> None:
        if self._paused:
            self._consumer.resume(self._assignment.all_active())
            self._paused = False

    def _commit(self) -> None:
        self._commits.commit()
        self.progress.joined = self.progress.joined or self._consumer.outage.steady
        self.progress.lag = self._commits.show_lag(self.progress.next_offsets)

    # Rebalances, called from within the consumer.

    def _on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        log().info("assigned", partitions=sorted(map(str, partitions)))
        self._assignment.assigned(partitions)
        self.progress.joined = True

    def _on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Let the current batch finish, so that the next owner need not fence it. This may take a few seconds."""
        log().info("revoked", partitions=sorted(map(str, partitions)))
        if self._writer.busy:
            self._writer.wait(_REVOKE_SECONDS)
            self._collect()
        self._commit()
        self._forget(partitions)

    def _assignment_lost(self, partitions: Sequence[TopicPartition]) -> None:
        log().info("assignment-lost", partitions=sorted(map(str, partitions)))
        self.progress.joined = False
        self._forget(partitions)

    def _forget(self, partitions: Sequence[TopicPartition]) -> None:
        self._assignment.revoked(partitions)
        self._schema_waits.forget(partitions)
        self._accumulator.drop(partitions)
        self._retry.drop(partitions)
        self._commits.drop(partitions)

    # The end.

    def _at_end(self) -> bool:
        if self._ends is None:
            return False
        left = [at for at, end in self._ends.items() if self.progress.next_offsets.get(at, -1) < end]
        if left and all(partition in self._pauses.partitions for partition in left):
            raise HaltError(
                f"{', '.join(map(str, left))} cannot be completed: too many dead letters within an hour "
                "([failures] halt_above). They are kept, and all other events are settled. See `inbox dead-letters "
                "list`, remove the cause, then `inbox dead-letters retry`, or start again with a higher halt_above"
            )
        return not left

    def _drain(self) -> None:
        """Finish the current batch, or leave its outcome to the ledger. Records that were only taken are dropped."""
        deadline = self._clock() + _DRAIN_SECONDS
        while self._writer.busy and self._clock() < deadline:
            self._writer.wait(0.1)
            try:
                self._collect()
            except InboxError as error:
                log().warning("batch-abandoned", reason=str(error))
        self._commits.commit_last()
