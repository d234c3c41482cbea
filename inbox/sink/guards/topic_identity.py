"""Check that the records taken from Kafka belong to the topics that the ledger knows.

A topic that was deleted and created again under its name has other events at the same offsets, and
librdkafka continues in it at the old offset. A topic id never returns. So if the brokers name the
ledger's topic id *after* the records were taken, all of them are of that topic. The brokers are
asked while the database works, and must answer before the fence: nothing of another topic is
committed.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar
from uuid import UUID

from inbox.errors import HaltError, InboxError, StartupError, TryAgainError
from inbox.events import TopicPartition
from inbox.kafka.cluster import Cluster, TopicsAnswer, TopicView
from inbox.sink.batch import Batch
from inbox.sink.guards.log_check import is_another_topic
from inbox.store.inbox.ledger import LedgerRow

Found = TypeVar("Found")

_ANSWER_SECONDS = 5.0
_IDLE_CHECK_SECONDS = 5.0


class TopicIdentityGuard(Protocol):
    """The check that fetched records belong to the topic that the ledger knows: `BrokerTopicIdentity`, or a no-op."""

    def start_check(self, batch: Batch) -> Callable[[], None]:
        """Ask the brokers about the batch's topics.

        Returns:
            A function that returns if the batch may be committed. It raises HaltError if a log is
            not the one that the ledger knows, and TryAgainError if the brokers do not answer.
        """
        ...

    def check_idle(self, ledger_rows: Sequence[LedgerRow]) -> None:
        """Check the topics of an idle sink now and then, without waiting for the answer.

        Raises:
            HaltError: a log is not the one that the ledger knows.
        """
        ...


class BrokerTopicIdentity:
    """The check that asks the brokers. `explain` returns, with all figures, what is wrong with topics, or None."""

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

    def start_check(self, batch: Batch) -> Callable[[], None]:
        answer = self._cluster.ask_topics(sorted({address.topic for address in batch.partitions}))
        ids = [(part.address, part.topic_id) for part in batch.partitions.values()]

        def verify() -> None:
            with_ids = _refusals_as_outages(lambda: answer.result(_ANSWER_SECONDS))
            self._compare(ids, with_ids)
            _refusals_as_outages(lambda: self._compare_ends(batch, with_ids))

        return verify

    def check_idle(self, ledger_rows: Sequence[LedgerRow]) -> None:
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


def _refusals_as_outages(question: Callable[[], Found]) -> Found:
    """Raise TryAgainError if the brokers refuse: after the start a refusal is an outage."""
    try:
        return question()
    except StartupError as error:
        raise TryAgainError(str(error), away="kafka", reason="refused", alert=True) from error
