"""A configuration that librdkafka does not take is the user's to correct, whichever client is made of it."""

from collections.abc import Callable
from typing import Any

import pytest

from inbox.errors import StartupError
from inbox.events import TopicPartition
from inbox.kafka.cluster import Cluster
from inbox.kafka.consumer import GroupConsumer
from inbox.kafka.consumer_properties import require_consumer
from inbox.kafka.log.reader import LogReader
from inbox.kafka.log.stretch import look_at
from inbox.kafka.log.truncation import truncation_points
from inbox.kafka.options import KafkaOptions
from inbox.kafka.producer import EventProducer
from inbox.kafka.topic_limits import PublishingTopics

P0 = TopicPartition("orders", 0)
MAKERS: list[Callable[[KafkaOptions], Any]] = [
    lambda options: GroupConsumer(options, batch_bytes=1 << 20),
    lambda options: LogReader(options, batch_bytes=1 << 20),
    require_consumer,
    lambda options: truncation_points(options, {P0: (1, 0)}),
    lambda options: look_at(options, P0, 0, 1),
    Cluster,
    lambda options: PublishingTopics(options, timeout_seconds=1),
    lambda options: EventProducer(options, lambda *_: None),
]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("name", "value"), [("socket.timeout.ms", "abc"), ("ssl.ca.location", "/nowhere/ca.pem")], ids=["value", "file"]
)
def test_the_property_is_named(make: Callable[[KafkaOptions], Any], name: str, value: str) -> None:
    properties = {"bootstrap.servers": "127.0.0.1:1", "security.protocol": "ssl", name: value}
    with pytest.raises(StartupError) as refused:
        make(KafkaOptions(group_id="g", properties=properties))
    assert str(refused.value).startswith("[kafka] ")
    assert name in str(refused.value)


def test_properties_that_do_not_fit_each_other_are_named() -> None:
    options = KafkaOptions(group_id="g", properties={"max.poll.interval.ms": "1000", "session.timeout.ms": "6000"})
    with pytest.raises(StartupError, match=r"max\.poll\.interval\.ms"):
        require_consumer(options)
