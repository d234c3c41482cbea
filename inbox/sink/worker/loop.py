"""Run the loop of one worker.

A turn has this order: collect the writer's answer, give the writer its next job, place partitions,
take records.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from inbox.errors import HaltError, InboxError, LostOffsetError, TryAgainError, UnreadableError
from inbox.events import TopicPartition
from inbox.kafka.consumer import GroupConsumer
from inbox.log_lines import log
from inbox.sink.accumulator import BatchAccumulator
from inbox.sink.assignment import Assignment
from inbox.sink.guards.time_limit import TimeLimit
from inbox.sink.pace import Pace
from inbox.sink.worker.answers import WriterAnswers
from inbox.sink.worker.context import WorkerContext
from inbox.sink.worker.next_job import LEDGER_SECONDS, JobChooser
from inbox.sink.worker.polling import POLL_SECONDS, Polling
from inbox.sink.worker.rebalances import REVOKE_SECONDS, Rebalances
from inbox.sink.writer_thread import Writer

_DRAIN_SECONDS = 20.0
_START_SECONDS = 0.05


class Worker:
    """A member of the group with one connection to the database.

    Args:
        ends: the offsets at which the worker stops once the ledger has reached all of them, if
            given.
        explain: adds to a halt what a person must know.
        retries_letters: whether parked events are tried again by themselves.
        pace: the wait for turns, if the sink has a budget of events a second.
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
        explain: Callable[[LostOffsetError | UnreadableError], HaltError] = lambda error: error,
        retries_letters: bool = False,
        clock: Callable[[], float] = time.monotonic,
        pace: Pace | None = None,
    ) -> None:
        self._context = context = WorkerContext(consumer, writer, assignment, accumulator, clock, pace=pace)
        context.letters_due_at = clock() if retries_letters else None
        self._topics = topics
        self._time_limit = time_limit
        self._ends = dict(ends) if ends is not None else None
        self._explain = explain
        self._stopping = False
        self._answers = WriterAnswers(context)
        self._jobs = JobChooser(context, topics, idle_seconds=LEDGER_SECONDS if ends is None else POLL_SECONDS)
        self._polling = Polling(context)
        self._rebalances = Rebalances(context, self._answers.collect)
        self.progress = context.progress

    def stop(self) -> None:
        """Ask the worker to finish the current batch and leave the group. It is safe in a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Run until `stop` is called or the ends are reached.

        Raises:
            HaltError: continuing could lose or repeat an event.
        """
        self._context.writer.start()
        self._context.consumer.subscribe(self._topics, self._rebalances.listener)
        try:
            while not self._stopping and not self._at_end():
                self._turn()
            self._drain()
        except (LostOffsetError, UnreadableError) as error:
            raise self._explain(error) from error
        finally:
            self._close()

    def _turn(self) -> None:
        self.progress.last_turn = self._context.clock()
        self._time_limit.enforce()
        self._answers.collect()
        self._heed_stops()
        self._heed_schema_waits()
        self._polling.poll_what_came_meanwhile()
        self._give_work()
        self._polling.place()
        self._polling.poll()
        if self._context.commits.is_due:
            self._context.commit_offsets()

    def _heed_stops(self) -> None:
        """Stop where the log cannot be followed, after what was taken of all partitions is settled.

        If the brokers did not answer, the records are read again and the brokers are asked again.
        """
        for partition, error in list(self._context.accumulator.stops.items()):
            if isinstance(error, TryAgainError):
                self._context.retry.report(error)
                self._context.ask_again([partition])
            elif not self._context.has_unsettled:
                raise error

    def _heed_schema_waits(self) -> None:
        """Hold the partitions whose next record needs a schema that the registry does not give now."""
        if waits := self._context.accumulator.take_waits():
            self._context.schema_waits.note(waits)
            self._context.hold_at_rows()

    def _give_work(self) -> None:
        context = self._context
        if context.writer.busy or not context.retry.is_pause_over():
            return
        now = context.clock()
        if (job := self._jobs.choose(now)) is not None:
            context.submitted_at = now
            context.writer.submit(job)
            context.writer.wait_until_started(_START_SECONDS)
        # Not before: freeing thousands of records takes milliseconds, in which the database would wait.
        self._answers.release()

    # The end.

    def _at_end(self) -> bool:
        if self._ends is None:
            return False
        left = [at for at, end in self._ends.items() if self.progress.next_offsets.get(at, -1) < end]
        if left and all(partition in self._answers.pauses.partitions for partition in left):
            raise HaltError(
                f"{', '.join(map(str, left))} cannot be completed: too many dead letters within an hour "
                "([failures] halt_above). They are kept, and all other events are settled. See `inbox dead-letters "
                "list`, remove the cause, then `inbox dead-letters retry`, or start again with a higher halt_above"
            )
        return not left

    def _drain(self) -> None:
        """Finish the current batch, or leave its outcome to the ledger. Records that were only taken are dropped."""
        context = self._context
        context.hurry()
        deadline = context.clock() + _DRAIN_SECONDS
        while context.writer.busy and context.clock() < deadline:
            context.writer.wait(0.1)
            try:
                self._answers.collect()
            except InboxError as error:
                log().warning("batch-abandoned", reason=str(error))
        context.commits.commit_last()

    def _close(self) -> None:
        self._context.retry.close()
        self._context.schema_waits.close()
        try:
            self._context.writer.close(wait_seconds=REVOKE_SECONDS)
            self._context.consumer.close()
        finally:
            # Not before: while it closes, the worker may still collect an answer of the writer.
            self._answers.close()
