"""Follow what the writer answered: settled batches, acquired partitions, the ledger as it was read."""

from collections.abc import Mapping, Sequence

from inbox.errors import OrderHaltError, TryAgainError
from inbox.events import TopicPartition
from inbox.log_lines import log
from inbox.sink.batch import Batch
from inbox.sink.outcome import LettersTried, SettledBatch
from inbox.sink.worker.context import WorkerContext
from inbox.sink.worker.failed_jobs import wait_after
from inbox.sink.worker.held_report import HeldReport
from inbox.sink.worker.metrics import count_events, observe_batch
from inbox.sink.writer_thread import Acquire, JobResult, ReadLedger, RetryLetters, Settle
from inbox.store.inbox.ledger import LedgerRow
from inbox.telemetry import FENCED, PAUSED, Pauses

LETTERS_SECONDS = 1.0
"""The time between two looks for parked events whose time has come."""

_BETWEEN_TRIES = 0.05
"""The time for batches between two tries of parked events while more are due."""


class WriterAnswers:
    """The answers of the writer, and the partitions that they pause."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._assignment = context.assignment
        self._retry = context.retry
        self._last: JobResult | None = None
        self._halt: OrderHaltError | None = None
        self.pauses = Pauses()
        self._holds = HeldReport()

    def collect(self) -> None:
        """Follow the writer's answer, if it has one.

        Raises:
            HaltError: continuing could lose or repeat an event.
        """
        outcome = self._context.writer.collect()
        if outcome is None:
            return
        self._last = outcome
        if isinstance(outcome.error, TryAgainError):
            wait_after(self._context, outcome, outcome.error)
        elif outcome.error is not None:
            raise outcome.error
        else:
            self._accept(outcome)
            self._show_state()

    def release(self) -> None:
        """Free the last answer. It takes milliseconds for thousands of records: the writer gets its next job first."""
        self._last = None

    def close(self) -> None:
        """Report that nothing is paused any more."""
        self.pauses.now([])
        self._holds.close()
        PAUSED.labels("missing_row").set(0)

    def _show_state(self) -> None:
        progress = self._context.progress
        if not self._retry.still_unproven(self._assignment.not_held(), progress.next_offsets):
            self._retry.recovered()
            progress.waiting_for = None
        self.pauses.now(self._assignment.paused())
        self._holds.now(self._assignment.held())
        awaiting = self._assignment.awaiting()
        PAUSED.labels("missing_row").set(sum(each not in self._context.schema_waits for each in awaiting))

    def _accept(self, outcome: JobResult) -> None:
        match outcome.job, outcome.answer:
            case Settle(batch), SettledBatch() as settled:
                self._accept_batch(batch, settled)
            case Acquire(), list() as ledger_rows:
                self._assignment.acquired(ledger_rows)
            case RetryLetters(), LettersTried(more):
                self._context.letters_due_at = self._context.clock() + (_BETWEEN_TRIES if more else LETTERS_SECONDS)
            case ReadLedger(), list() as ledger_rows:
                self._accept_ledger(ledger_rows)

    def _accept_ledger(self, ledger_rows: Sequence[LedgerRow]) -> None:
        context = self._context
        context.ledger_read_at = context.clock()
        context.progress.next_offsets.update({row.address: row.next_offset for row in ledger_rows})
        context.hold(self._assignment.refreshed(ledger_rows, context.clock(), idle=not context.accumulator.batch))

    # Batches.

    def _accept_batch(self, batch: Batch, settled: SettledBatch) -> None:
        if settled.fenced:
            self._fenced(batch, settled.fenced)
            return
        if settled.rows_missing:
            self._halt = settled.halt or self._halt
            self._await_rows(batch, settled.rows_missing)
            self._halt_if_all_else_is_settled()
            return
        self._advance(batch, settled)
        count_events(settled.by_route)
        if settled.elsewhere:
            self._context.ask_again(settled.elsewhere)
        self._context.hold(self._assignment.pause(settled.too_many_letters))
        self._context.hold_at_rows()
        self._context.hold(self._assignment.rest(settled.rests, self._context.clock()))
        self._halt_if_all_else_is_settled()
        self._observe(batch)

    def _advance(self, batch: Batch, settled: SettledBatch) -> None:
        context = self._context
        for address, settlement in settled.settlements.items():
            after = batch.partitions[address].after
            self._assignment.settled(address, after)
            context.schema_waits.settled(address, after)
            context.commits.add(address, after)
            context.progress.next_offsets[address] = after
            context.progress.settlement.add(settlement)

    def _observe(self, batch: Batch) -> None:
        progress = self._context.progress
        progress.records += batch.records
        progress.batch_records = batch.records or progress.batch_records
        waited = 0.0 if self._context.pace is None else self._context.pace.waited_seconds
        seconds = self._context.clock() - self._context.submitted_at - waited
        self._context.accumulator.limit.took(batch.records, seconds)
        observe_batch(batch, seconds)

    def _fenced(self, batch: Batch, partitions: frozenset[TopicPartition]) -> None:
        FENCED.inc(len(partitions))
        log().warning("fenced", partitions=sorted(map(str, partitions)))
        self._context.ask_again(partitions)
        self._retry.keep(batch.without(list(partitions)))

    def _await_rows(self, batch: Batch, missing: Mapping[TopicPartition, int]) -> None:
        """Settle the other partitions of the batch now, and these up to their events. Nothing of the batch moved."""
        self._context.ask_again([at for at, offset in missing.items() if self._assignment.await_row(at, offset)])
        self._context.hold_at_rows()
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
