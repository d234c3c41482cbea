"""Decide what follows a job that failed for now: a pause, and which batch is settled again."""

from inbox.errors import SmallerBatchError, TryAgainError, UnprovenError, error_text, forget_frames
from inbox.failure_policy import HANDFUL
from inbox.sink.batch import Batch
from inbox.sink.worker.context import WorkerContext
from inbox.sink.writer_thread import JobResult, Settle


def wait_after(context: WorkerContext, outcome: JobResult, error: TryAgainError) -> None:
    """Pause after a job that failed, and settle its batch again afterwards."""
    context.retry.failed(error)
    context.progress.waiting_for = error_text(error)
    if isinstance(outcome.job, Settle):
        _settle_again(context, outcome.job.batch, error)
    forget_frames(error)


def _settle_again(context: WorkerContext, batch: Batch, error: TryAgainError) -> None:
    """Settle the batch again after the pause: as it is, or from records that are read again."""
    if isinstance(error, UnprovenError):
        context.accumulator.limit.at_least(HANDFUL)
        context.retry.unproven(batch)
        context.ask_again(list(batch.partitions))
    elif isinstance(error, SmallerBatchError):
        _go_back(context, batch, one_by_one=error.one_by_one)
    else:
        gone = [address for address in batch.partitions if address not in context.assignment.partitions]
        context.retry.keep(batch.without(gone), doubtful=True)


def _go_back(context: WorkerContext, batch: Batch, *, one_by_one: bool) -> None:
    """Take the same offsets again from the ledger's next offset, fewer at a time."""
    if one_by_one:
        context.accumulator.limit.one_by_one(batch.records)
    else:
        context.accumulator.limit.failed(batch.records)
    context.ask_again(list(batch.partitions))
