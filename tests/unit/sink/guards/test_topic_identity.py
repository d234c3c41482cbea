"""The guard that asks the brokers whether a batch is of the topics that the ledger knows."""

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from inbox.events import TopicPartition
from inbox.sink.guards.topic_identity import TopicIdentityGuard


@pytest.mark.parametrize(("topic_id", "is_ready"), [(UUID(int=1), True), (None, False)])
def test_a_batch_of_a_topic_without_an_id_ends_without_a_flight(topic_id: UUID | None, is_ready: bool) -> None:
    """The end of its log has to be asked for, and no lock may be held for the brokers meanwhile."""
    answer = SimpleNamespace(is_here_within=lambda _seconds: True)
    cluster: Any = SimpleNamespace(ask_topics=lambda _topics: answer)
    batch: Any = SimpleNamespace(partitions={TopicPartition("orders", 0): SimpleNamespace(topic_id=topic_id)})
    guard = TopicIdentityGuard(cluster, explain=lambda _topics: None)
    guard.begin(batch)
    assert guard.is_ready(1.0) is is_ready
