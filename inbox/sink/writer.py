"""Run the thread that talks to the database, one job at a time, while the other thread polls Kafka."""

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from inbox.errors import EventError, TryAgainError
from inbox.events import TopicPartition
from inbox.failpoints import Failpoint, reach
from inbox.sink.batch import Batch
from inbox.sink.settle.settler import SettledBatch
from inbox.store.inbox.ledger import Holding

_SWITCH_SECONDS = 0.0005


@dataclass(frozen=True)
class Acquire:
    """A job: become the owner of partitions."""

    partitions: Sequence[TopicPartition]


@dataclass(frozen=True)
class Look:
    """A job: read the ledger rows of the topics."""

    topics: Sequence[str]


@dataclass(frozen=True)
class Settle:
    """A job: settle a batch.

    `doubtful` means that an earlier try may have been committed, so that the ledger is asked first.
    """

    batch: Batch
    doubtful: bool = False


Job = Acquire | Look | Settle
Answer = list[Holding] | SettledBatch


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job: its answer, or the error that prevented one."""

    job: Job
    answer: Answer | None = None
    error: BaseException | None = None


class Desk(Protocol):
    """The interface that carries out the jobs on one connection: `inbox.sink.settle.settler.Settler`."""

    def acquire(self, partitions: Sequence[TopicPartition]) -> list[Holding]: ...
    def look(self, topics: Sequence[str]) -> list[Holding]: ...
    def settle(self, batch: Batch, under_way: Callable[[], None]) -> SettledBatch:
        """Settle the batch; call `under_way` once the database has more work left than the client."""
        ...

    def resolve(self, batch: Batch) -> SettledBatch | None: ...
    def close(self) -> None: ...


class Writer:
    """A runner of jobs on its own thread. After an outage it opens a new desk.

    `open_desk` connects to the database, and raises TryAgainError while that fails.
    """

    def __init__(self, open_desk: Callable[[], Desk]) -> None:
        self._open_desk = open_desk
        self._desk: Desk | None = None
        self._job: Job | None = None
        self._outcome: Outcome | None = None
        self._under_way = False
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
            self._under_way = False
            self._wake.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait until the current job has an outcome, for at most this many seconds."""
        with self._wake:
            self._wake.wait_for(lambda: self._outcome is not None or self._job is None, timeout=seconds)

    def give_way(self, seconds: float) -> None:
        """Wait until the database works on the current job or the job has an outcome, for at most this many seconds.

        Two busy threads of one interpreter take turns, and until then the database waits for both.
        """
        with self._wake:
            self._wake.wait_for(lambda: self._under_way or self._outcome is not None, timeout=seconds)

    def collect(self) -> Outcome | None:
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
        self._drop_desk()

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

    def _note_under_way(self) -> None:
        with self._wake:
            self._under_way = True
            self._wake.notify_all()

    def _carry_out(self, job: Job) -> Outcome:
        try:
            desk = self._desk = self._desk or self._open_desk()
            return Outcome(job, _answer(desk, job, self._note_under_way))
        except TryAgainError as error:
            self._drop_desk()
            return Outcome(job, error=error)
        except EventError as error:
            # The desk parks events that fail, so this error means that a statement of the sink's own was refused.
            self._drop_desk()
            text = f"a statement of the sink itself was refused: {error}; see what its schema or its role lacks"
            refused = TryAgainError(text, away="database", reason="statement", alert=True)
            refused.__cause__ = error
            return Outcome(job, error=refused)
        except BaseException as error:  # noqa: BLE001 - the polling thread raises it where it is seen
            return Outcome(job, error=error)

    def _drop_desk(self) -> None:
        desk, self._desk = self._desk, None
        if desk is not None:
            desk.close()


def _answer(desk: Desk, job: Job, under_way: Callable[[], None]) -> Answer:
    match job:
        case Acquire(partitions):
            holdings = desk.acquire(partitions)
            reach(Failpoint.ACQUIRED)
            return holdings
        case Look(topics):
            return desk.look(topics)
        case Settle(batch, doubtful):
            return (desk.resolve(batch) if doubtful else None) or desk.settle(batch, under_way)
