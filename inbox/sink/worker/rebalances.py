"""Follow rebalances: the partitions that Kafka assigns and revokes. Called from within the consumer."""

from collections.abc import Callable, Sequence

from inbox.events import TopicPartition
from inbox.kafka.consumer import RebalanceListener
from inbox.log_lines import log
from inbox.sink.worker.context import WorkerContext

REVOKE_SECONDS = 5.0


class Rebalances:
    """The consequences of a rebalance for the parts of a worker.

    Args:
        collect: follows the writer's answer.
    """

    def __init__(self, context: WorkerContext, collect: Callable[[], None]) -> None:
        self._context = context
        self._collect = collect
        self.listener = RebalanceListener(self.assigned, self.revoked, self.lost)

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Add partitions that Kafka assigned."""
        log().info("assigned", partitions=sorted(map(str, partitions)))
        self._context.assignment.assigned(partitions)
        self._context.progress.joined = True

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Let the current batch finish, so that the next owner need not fence it. This may take a few seconds."""
        log().info("revoked", partitions=sorted(map(str, partitions)))
        self._context.hurry()
        if self._context.writer.busy:
            self._context.writer.wait(REVOKE_SECONDS)
            self._collect()
        self._context.commit_offsets()
        self._forget(partitions)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Forget partitions that another member may own by now."""
        log().info("assignment-lost", partitions=sorted(map(str, partitions)))
        self._context.progress.joined = False
        self._forget(partitions)

    def _forget(self, partitions: Sequence[TopicPartition]) -> None:
        self._context.assignment.revoked(partitions)
        self._context.schema_waits.forget(partitions)
        self._context.accumulator.drop(partitions)
        self._context.retry.drop(partitions)
        self._context.commits.drop(partitions)
