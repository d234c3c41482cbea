"""Which job a worker gives its writer next."""

from types import SimpleNamespace
from typing import Any, cast

from inbox.sink.assignment import Assignment
from inbox.sink.batch import Batch
from inbox.sink.worker.context import WorkerContext
from inbox.sink.worker.next_job import JobChooser
from inbox.sink.writer_thread import ReadLedger, Settle


def chooser(*, read_at: float, batch: Any) -> JobChooser:
    context = SimpleNamespace(
        retry=SimpleNamespace(take=lambda: None),
        assignment=Assignment("me", reclaim_seconds=45.0),
        accumulator=SimpleNamespace(batch=batch, drain=lambda: batch),
        ledger_read_at=read_at,
        letters_due_at=None,
    )
    return JobChooser(cast(WorkerContext, context), ["orders"], idle_seconds=1.0)


def test_batches_follow_each_other_and_the_ledger_is_read_in_between() -> None:
    full = SimpleNamespace(records=10)
    assert isinstance(chooser(read_at=9.0, batch=full).choose(10.0), Settle)
    assert isinstance(chooser(read_at=8.0, batch=full).choose(10.0), ReadLedger)


def test_an_idle_worker_reads_the_ledger_every_second() -> None:
    assert chooser(read_at=9.5, batch=Batch()).choose(10.0) is None
    assert isinstance(chooser(read_at=9.0, batch=Batch()).choose(10.0), ReadLedger)
