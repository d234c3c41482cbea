"""The hand-over between the two threads: who waits for whom, and who frees what."""

import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from inbox.events import TopicPartition
from inbox.sink.batch import Batch
from inbox.sink.outcome import SettledBatch
from inbox.sink.writer_thread import Settle, Writer
from inbox.store.inbox.ledger import LedgerRow
from tests.support.waiting import eventually

BOUND = 120.0


class HeldSettler:
    """A database that is at work when the test says so, and answers when the test says so."""

    def __init__(self) -> None:
        self.at_work = threading.Event()
        self.answers = threading.Event()

    def settle(self, batch: Batch, on_started: Callable[[], None]) -> SettledBatch:
        while not self.answers.is_set():
            if self.at_work.wait(0.01):
                on_started()
                self.answers.wait(BOUND)
        return SettledBatch()

    def acquire(self, partitions: Sequence[TopicPartition]) -> list[LedgerRow]:
        return []

    def read_ledger(self, topics: Sequence[str]) -> list[LedgerRow]:
        return []

    def resolve(self, batch: Batch) -> SettledBatch | None:
        return None

    def close(self) -> None:
        """Nothing to close."""


@contextmanager
def busy_writer(settler: HeldSettler) -> Iterator[Writer]:
    writer = Writer(lambda: settler)
    writer.start()
    writer.submit(Settle(Batch()))
    try:
        yield writer
    finally:
        settler.answers.set()
        writer.close(wait_seconds=BOUND)


def seconds_of_giving_way(writer: Writer, most: float) -> float:
    started = time.monotonic()
    writer.wait_until_started(most)
    return time.monotonic() - started


def test_way_is_given_until_the_database_is_at_work() -> None:
    settler = HeldSettler()
    with busy_writer(settler) as writer:
        threading.Timer(0.05, settler.at_work.set).start()
        assert 0.04 < seconds_of_giving_way(writer, BOUND) < BOUND
        assert writer.collect() is None, "the job has no outcome yet"


def test_way_is_given_no_longer_than_the_job_takes() -> None:
    settler = HeldSettler()
    with busy_writer(settler) as writer:
        threading.Timer(0.05, settler.answers.set).start()
        assert seconds_of_giving_way(writer, BOUND) < BOUND
        assert writer.collect() is not None


def test_way_is_given_no_longer_than_was_said() -> None:
    with busy_writer(HeldSettler()) as writer:
        assert 0.05 <= seconds_of_giving_way(writer, 0.05) < BOUND
        assert writer.busy


def test_way_is_given_to_each_job_anew() -> None:
    settler = HeldSettler()
    settler.at_work.set()
    with busy_writer(settler) as writer:
        writer.wait_until_started(BOUND)
        settler.answers.set()
        eventually(lambda: writer.collect() is not None, within=BOUND, what="the first outcome")
        settler.at_work.clear()
        settler.answers.clear()
        writer.submit(Settle(Batch()))
        assert seconds_of_giving_way(writer, 0.05) >= 0.05


def test_a_batch_is_freed_by_whoever_collected_it() -> None:
    """The writer would free its records when it is given the next job, before the database has anything to do."""
    settler = HeldSettler()
    with busy_writer(settler) as writer:
        assert writer._job is not None
        job = weakref.ref(writer._job)
        settler.answers.set()
        writer.wait(BOUND)
        assert writer.collect() is not None
        eventually(lambda: job() is None, within=BOUND, what="the job's end")
