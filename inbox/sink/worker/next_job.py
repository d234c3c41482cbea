"""Choose what the writer does next: settle, acquire partitions, or read the ledger."""

from collections.abc import Sequence

from inbox.sink.worker.context import WorkerContext
from inbox.sink.writer_thread import Acquire, Job, ReadLedger, RetryLetters, Settle

LEDGER_SECONDS = 1.0
"""How old the ledger as it was read may be, as long as it may change without this worker."""
_BUSY_SECONDS = 2.0
"""How old it may be while batches follow each other: a hold is taken within this time and one batch."""


class JobChooser:
    """The order in which a worker gives jobs to its writer.

    Args:
        idle_seconds: how old the ledger as it was read may be while there is nothing to settle.
    """

    def __init__(self, context: WorkerContext, topics: Sequence[str], *, idle_seconds: float) -> None:
        self._context = context
        self._topics = topics
        self._idle_seconds = idle_seconds

    def choose(self, now: float) -> Job | None:
        """Return the next job, if there is one."""
        context = self._context
        if (again := context.retry.take()) is not None:
            return again
        context.assignment.try_rows(now)
        if to_acquire := context.assignment.to_acquire(now):
            return Acquire(to_acquire)
        if self._must_read_ledger(now):
            return ReadLedger(self._topics)
        if (letters := self._letters_to_retry(now)) is not None:
            return letters
        if context.accumulator.batch:
            return Settle(context.accumulator.drain())
        if now - context.ledger_read_at >= self._idle_seconds:
            return ReadLedger(self._topics)
        return None

    def _letters_to_retry(self, now: float) -> RetryLetters | None:
        """Return the job to try parked events again, if it is time to look for them."""
        context = self._context
        if context.letters_due_at is None or now < context.letters_due_at:
            return None
        assignment = context.assignment
        mine = [assignment.partitions[at].partition_id for at in (*assignment.all_active(), *assignment.paused())]
        context.letters_due_at = now + LEDGER_SECONDS
        return RetryLetters(mine) if mine else None

    def _must_read_ledger(self, now: float) -> bool:
        """Return whether the ledger is to be read before more is settled: a partition waits for what it says."""
        assignment = self._context.assignment
        waits = assignment.paused() or assignment.awaiting() or assignment.held()
        seconds = LEDGER_SECONDS if waits else _BUSY_SECONDS
        return assignment.needs_refresh() or now - self._context.ledger_read_at >= seconds
