"""Check that the records taken from Kafka belong to the topics that the ledger knows.

A topic that was deleted and created again under its name has other events at the same offsets, and
librdkafka continues in it at the old offset. A topic id never returns. So if the brokers name the
ledger's topic id *after* the records were taken, all of them are of that topic. The brokers are
asked while the database works, and must answer before the fence: nothing of another topic is
committed.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from uuid import UUID

from inbox.errors import HaltError, InboxError, TryAgainError, refusals_as_outages
from inbox.events import TopicPartition
from inbox.kafka.cluster import Cluster, TopicsAnswer, TopicView
from inbox.sink.batch import Batch
from inbox.sink.guards.guard import Guard
from inbox.sink.guards.log_check import is_another_topic
from inbox.sink.outcome import BatchOutcome
from inbox.store.inbox.ledger import LedgerRow

_ANSWER_SECONDS = 5.0
_IDLE_CHECK_SECONDS = 5.0


class TopicIdentityGuard(Guard):
    """The guard that asks the brokers. `explain` returns, with all figures, what is wrong with topics, or None."""

    def __init__(
        self,
        cluster: Cluster,
        explain: Callable[[Collection[str]], HaltError | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._explain = explain
        self._clock = clock
        self._checked_at = clock()
        self._asked: TopicsAnswer | None = None
        self._of_batch: TopicsAnswer | None = None
        self._knows_ids = False

    def begin(self, batch: Batch) -> None:
        """Ask the brokers about the batch's topics; they answer while the database works."""
        self._of_batch = self._cluster.ask_topics(sorted({address.topic for address in batch.partitions}))
        self._knows_ids = all(part.topic_id for part in batch.partitions.values())

    def is_ready(self, seconds: float) -> bool:
        """Return as `Guard` says; without a topic's id the brokers have to be asked for the end of its log, too."""
        return self._knows_ids and self._of_batch is not None and self._of_batch.is_here_within(seconds)

    def before_fence(self, outcome: BatchOutcome) -> None:
        """Return if the batch may be committed.

        Raises:
            HaltError: a log is not the one that the ledger knows.
            TryAgainError: the brokers do not answer.
        """
        answer = self._of_batch
        assert answer is not None  # noqa: S101 - `begin` asked
        with refusals_as_outages(away="kafka", reason="refused"):
            views = answer.result(_ANSWER_SECONDS)
            self._compare([(part.address, part.topic_id) for part in outcome.batch.partitions.values()], views)
            self._compare_ends(outcome.batch, views)

    def check_idle(self, ledger_rows: Sequence[LedgerRow]) -> None:
        """Check the topics of an idle sink now and then, without waiting for the answer.

        Raises:
            HaltError: a log is not the one that the ledger knows.
        """
        if self._asked is None:
            if ledger_rows and self._clock() - self._checked_at >= _IDLE_CHECK_SECONDS:
                self._asked = self._cluster.ask_topics(sorted({ledger_row.address.topic for ledger_row in ledger_rows}))
        elif self._asked.is_here():
            answer, self._asked, self._checked_at = self._asked, None, self._clock()
            try:
                views = answer.result(0)
            except InboxError:
                return
            here = [ledger_row for ledger_row in ledger_rows if ledger_row.address.topic in views]
            self._compare([(ledger_row.address, ledger_row.topic_id) for ledger_row in here], views)

    def _compare(self, ids: Iterable[tuple[TopicPartition, UUID | None]], views: Mapping[str, TopicView]) -> None:
        ids = list(ids)
        if gone := sorted({address.topic for address, _ in ids if address.topic not in views}):
            raise TryAgainError(
                f"topic {', '.join(gone)} is gone; restore it (a recreated topic stops the sink: see `inbox resume`)",
                away="kafka",
                reason="topic",
                alert=True,
            )
        if other := {address.topic for address, of_row in ids if _differs(of_row, views[address.topic])}:
            raise self._explained(other) or HaltError(f"topic {', '.join(sorted(other))} was deleted and created again")

    def _compare_ends(self, batch: Batch, views: Mapping[str, TopicView]) -> None:
        """Compare the log's end where no topic id is known: a log that ends before its taken records is another one."""
        untold = [
            part
            for part in batch.partitions.values()
            if part.topic_id is None or not views[part.address.topic].topic_id
        ]
        if not untold:
            return
        ends = self._cluster.stable_ends([part.address for part in untold])
        if shorter := {part.address.topic for part in untold if ends[part.address] < part.after}:
            raise self._explained(shorter) or HaltError(f"topic {', '.join(sorted(shorter))} was recreated")

    def _explained(self, topics: Collection[str]) -> HaltError | None:
        try:
            return self._explain(topics)
        except InboxError:
            return None


def _differs(of_row: UUID | None, view: TopicView) -> bool:
    return is_another_topic(of_row, view.topic_id)
