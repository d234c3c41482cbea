"""Hold what the loop does after a failure: which batch is settled again, and when."""

import random
from collections.abc import Callable, Collection, Mapping, Sequence

from inbox.backoff import backoff
from inbox.errors import TryAgainError
from inbox.events import TopicPartition
from inbox.kafka.outage import KafkaOutage
from inbox.sink.batch import Batch
from inbox.sink.writer_thread import Settle
from inbox.telemetry import RETRIES, Outage


class RetryState:
    """The batch to settle again, the pause before the next job, and the outage that is reported meanwhile.

    `kafka` reports the outages of Kafka, because it sees most of them: one outage, not two.
    """

    def __init__(self, kafka: KafkaOutage, clock: Callable[[], float]) -> None:
        self._kafka = kafka
        self._clock = clock
        self._outage = Outage(clock)
        self._job: Settle | None = None
        self._failures = 0
        self._resumes_at = 0.0
        self._unproven: dict[TopicPartition, int] = {}

    # The batch.

    @property
    def has_batch(self) -> bool:
        """Return whether a batch is to be settled again."""
        return self._job is not None

    def keep(self, batch: Batch, *, doubtful: bool = False) -> None:
        """Settle this batch next, if it has any partition; `doubtful` as in `Settle`."""
        self._job = Settle(batch, doubtful=doubtful) if batch else None

    def take(self) -> Settle | None:
        """Return the batch to settle again, once."""
        job, self._job = self._job, None
        return job

    def drop(self, partitions: Sequence[TopicPartition]) -> None:
        """Settle the batch without these partitions."""
        if self._job is not None:
            self.keep(self._job.batch.without(partitions), doubtful=self._job.doubtful)

    # The outage.

    def failed(self, error: TryAgainError) -> None:
        """Record that a job failed: the next one waits, longer after each failure in a row."""
        self._failures += 1
        self.report(error)
        RETRIES.labels(error.reason).inc()
        self._resumes_at = self._clock() + backoff(self._failures, random.random())  # noqa: S311 - jitter

    def report(self, error: TryAgainError) -> None:
        """Report an outage."""
        if error.away == "kafka":
            self._kafka.unanswered(error)
        else:
            self._outage.seen(error)

    def recovered(self) -> None:
        """Record that a job succeeded."""
        self._outage.over()
        self._kafka.answered()
        self._failures = 0

    @property
    def fails(self) -> bool:
        """Return whether the last job failed."""
        return bool(self._failures)

    def is_pause_over(self) -> bool:
        """Return whether the next job may run."""
        return not self._failures or self._clock() >= self._resumes_at

    # Events with nothing to show that they are at fault.

    @property
    def is_unproven(self) -> bool:
        """Return whether failed events are to be judged beside events that come meanwhile."""
        return bool(self._unproven)

    def unproven(self, batch: Batch) -> None:
        """Record that the events of this batch failed, and that nothing shows that they are at fault."""
        self._unproven = {address: part.before for address, part in batch.partitions.items()}

    def still_unproven(self, mine: Collection[TopicPartition], settled: Mapping[TopicPartition, int]) -> bool:
        """Return whether one of those events is still unsettled, in a partition of this worker."""
        self._unproven = {
            address: before
            for address, before in self._unproven.items()
            if address in mine and settled.get(address, before) <= before
        }
        return bool(self._unproven)

    def close(self) -> None:
        """End the reports."""
        self._outage.close()
