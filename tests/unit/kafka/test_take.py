"""How many records one call takes from librdkafka."""

from collections import deque
from typing import Any

import pytest

from inbox.events import Record
from inbox.kafka.consumer import GroupConsumer
from inbox.kafka.options import KafkaOptions
from tests.support.records import record


class Message:
    """A record, as librdkafka hands it over."""

    def __init__(self, of: Record) -> None:
        self.of = of

    def error(self) -> None:
        return None


class Queue:
    """As librdkafka's consumer, with so many messages fetched."""

    def __init__(self, count: int) -> None:
        self.messages = deque(Message(record(offset)) for offset in range(count))

    def poll(self, timeout: float) -> Message | None:
        return self.messages.popleft() if self.messages else None

    def consume(self, limit: int, timeout: float) -> list[Message]:
        return [self.messages.popleft() for _ in range(min(limit, len(self.messages)))]


def taking_from(queue: Any) -> GroupConsumer:
    consumer = GroupConsumer(KafkaOptions(group_id="g", properties={}), batch_bytes=1 << 20)
    consumer.close()
    consumer._consumer = queue
    return consumer


@pytest.mark.parametrize("wait_seconds", [0.0, 0.1])
@pytest.mark.parametrize(
    ("there", "limit", "taken"), [(9, 1, 1), (9, 2, 2), (9, 5, 5), (3, 5, 3), (1, 5, 1), (0, 5, 0)]
)
def test_never_more_than_the_limit_is_taken_and_never_less_than_there_is(
    wait_seconds: float, there: int, limit: int, taken: int
) -> None:
    queue = Queue(there)
    found = taking_from(queue).poll(limit, wait_seconds=wait_seconds)
    assert len(found.records) == taken
    assert len(queue.messages) == there - taken
