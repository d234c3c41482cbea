"""Run the thread that talks to the database, one job at a time, while the other thread polls Kafka."""

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from inbox.errors import EventError, TryAgainError
from inbox.events import TopicPartition
from inbox.failpoints import Failpoint, failpoint
from inbox.sink.batch import Batch
from inbox.sink.outcome import LettersTried, SettledBatch
from inbox.store.inbox.ledger import LedgerRow

_SWITCH_SECONDS = 0.0005


@dataclass(frozen=True)
class Acquire:
    """A job: become the owner of partitions."""

    partitions: Sequence[TopicPartition]


@dataclass(frozen=True)
class ReadLedger:
    """A job: read the ledger rows of the topics."""

    topics: Sequence[str]


@dataclass(frozen=True)
class Settle:
    """A job: settle a batch.

    `doubtful` means that an earlier try may have been committed, so that the ledger is asked first.
    """

    batch: Batch
    doubtful: bool = False


@dataclass(frozen=True)
class RetryLetters:
    """A job: try the parked events of the partitions again whose time has come, for a short time."""

    partition_ids: Sequence[int]


Job = Acquire | ReadLedger | Settle | RetryLetters
Answer = list[LedgerRow] | SettledBatch | LettersTried


@dataclass(frozen=True)
class JobResult:
    """The outcome of a job: its answer, or the error that prevented one."""

    job: Job
    answer: Answer | None = None
    error: BaseException | None = None


class BatchSettler(Protocol):
    """The interface that carries out the jobs on one connection: `inbox.sink.settle.settler.Settler`."""

    def acquire(self, partitions: Sequence[TopicPartition]) -> list[LedgerRow]: ...
    def read_ledger(self, topics: Sequence[str]) -> list[LedgerRow]: ...
    def settle(self, batch: Batch, on_started: Callable[[], None]) -> SettledBatch:
        """Settle the batch; call `on_started` once the database has more work left than the client."""
        ...

    def retry_letters(self, partition_ids: Sequence[int]) -> LettersTried: ...
    def resolve(self, batch: Batch) -> SettledBatch | None: ...
    def close(self) -> None: ...


class Writer:
    """A runner of jobs on its own thread. After an outage it opens a new settler.

    `open_settler` connects to the database, and raises TryAgainError while that fails.
    """

    def __init__(self, open_settler: Callable[[], BatchSettler]) -> None:
        self._open_settler = open_settler
        self._settler: BatchSettler | None = None
        self._job: Job | None = None
        self._outcome: JobResult | None = None
        self._on_started = False
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="inbox-writer", daemon=True)

    def start(self) -> None:
        """Start the thread, and let the interpreter switch threads more often."""
        # The polling thread is busy with Python. When PostgreSQL answers, the writer must not wait for its turn
        # as long as the interpreter's default of 5 ms, ten times a batch.
        sys.setswitchinterval(_SWITCH_SECONDS)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Return whether a job was submitted whose outcome is not collected yet."""
        return self._job is not None

    def submit(self, job: Job) -> None:
        """Hand the writer a job. Call it only while the writer is not busy."""
        with self._wake:
            self._job = job
            self._on_started = False
            self._wake.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait until the current job has an outcome, for at most this many seconds."""
        with self._wake:
            self._wake.wait_for(lambda: self._outcome is not None or self._job is None, timeout=seconds)

    def wait_until_started(self, seconds: float) -> None:
        """Wait until the database works on the current job or the job has an outcome, for at most this many seconds.

        Two busy threads of one interpreter take turns, and until then the database waits for both.
        """
        with self._wake:
            self._wake.wait_for(lambda: self._on_started or self._outcome is not None, timeout=seconds)

    def collect(self) -> JobResult | None:
        """Return the outcome of the current job once, or None. Afterwards the writer is free."""
        with self._wake:
            outcome, self._outcome = self._outcome, None
            if outcome is not None:
                self._job = None
        return outcome

    def close(self, *, wait_seconds: float) -> None:
        """Let the thread end after its current job, and wait for it for at most this many seconds."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        self._thread.join(wait_seconds)

    def _run(self) -> None:
        while self._has_job():
            self._work()
        self._drop_settler()

    def _has_job(self) -> bool:
        """Wait for a job; return False at the end."""
        with self._wake:
            self._wake.wait_for(lambda: self._closing or (self._job is not None and self._outcome is None))
            return not self._closing

    def _work(self) -> None:
        """Carry out the job and keep no reference to it: freeing a batch of records is left to the polling thread."""
        assert self._job is not None  # noqa: S101 - `_has_job` says so, mypy cannot see it
        outcome = self._carry_out(self._job)
        with self._wake:
            self._outcome = outcome
            self._wake.notify_all()

    def _note_started(self) -> None:
        with self._wake:
            self._on_started = True
            self._wake.notify_all()

    def _carry_out(self, job: Job) -> JobResult:
        try:
            settler = self._settler = self._settler or self._open_settler()
            return JobResult(job, _answer(settler, job, self._note_started))
        except TryAgainError as error:
            self._drop_settler()
            return JobResult(job, error=error)
        except EventError as error:
            # The settler parks events that fail, so this error means that a statement of the sink's own was refused.
            self._drop_settler()
            text = f"a statement of the sink itself was refused: {error}; see what its schema or its role lacks"
            refused = TryAgainError(text, away="database", reason="statement", alert=True)
            refused.__cause__ = error
            return JobResult(job, error=refused)
        except BaseException as error:  # noqa: BLE001 - the polling thread raises it where it is seen
            return JobResult(job, error=error)

    def _drop_settler(self) -> None:
        settler, self._settler = self._settler, None
        if settler is not None:
            settler.close()


def _answer(settler: BatchSettler, job: Job, on_started: Callable[[], None]) -> Answer:
    match job:
        case Acquire(partitions):
            ledger_rows = settler.acquire(partitions)
            failpoint(Failpoint.ACQUIRED)
            return ledger_rows
        case ReadLedger(topics):
            return settler.read_ledger(topics)
        case RetryLetters(partition_ids):
            return settler.retry_letters(partition_ids)
        case Settle(batch, doubtful):
            return (settler.resolve(batch) if doubtful else None) or settler.settle(batch, on_started)
