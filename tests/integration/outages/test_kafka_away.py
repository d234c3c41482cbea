"""Kafka goes away and comes back."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inbox.dev.backends import OwnServer
from inbox.dev.local.kafka import LocalKafka
from inbox.events import TopicPartition
from inbox.kafka.consumer import GroupConsumer, RebalanceListener
from inbox.kafka.options import KafkaOptions
from tests.integration.outages.conftest import sink_on
from tests.support.kafka_topics import create_topic, unique_name
from tests.support.sink.running import Sink
from tests.support.waiting import eventually
from tests.support.watching import Watched, watched

pytestmark = pytest.mark.long

OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS", "20"))
FULL_SPEED_WITHIN = 10.0


@pytest.fixture
def sink(tmp_path: Path, own_kafka: OwnServer, database_url: str, offer: Callable[..., None]) -> Sink:
    """A sink on the Kafka that may be ended."""
    own_kafka.start()
    return sink_on(own_kafka.address, tmp_path, database_url, offer)


@pytest.fixture
def running(sink: Sink) -> Iterator[Watched]:
    with watched(sink) as found:
        yield found


@pytest.mark.timeout(OUTAGE_SECONDS + 600)
def test_brokers_that_are_away_for_minutes_are_waited_for(running: Watched, own_kafka: OwnServer) -> None:
    own_kafka.stop()
    running.eventually_away("kafka")
    running.stays_away(OUTAGE_SECONDS)
    own_kafka.start()
    running.eventually_at_full_speed(FULL_SPEED_WITHIN)
    running.check(reasons=["brokers"], membership_kept=False)


def test_a_topic_without_news_does_not_hide_that_the_brokers_are_back(running: Watched, own_kafka: OwnServer) -> None:
    own_kafka.kill()
    running.eventually_away("kafka")
    own_kafka.start()
    running.check(reasons=["brokers"], membership_kept=False)


def test_a_broker_that_is_killed_in_the_middle_of_traffic_costs_nothing(running: Watched, own_kafka: OwnServer) -> None:
    running.send(3000)
    own_kafka.kill()
    running.eventually_away("kafka")
    own_kafka.start()
    running.send(10)
    running.check(reasons=["brokers"], membership_kept=False)


def test_a_sink_that_is_told_to_stop_while_kafka_is_away_stops(sink: Sink, own_kafka: OwnServer) -> None:
    with watched(sink) as running:
        own_kafka.kill()
        running.eventually_away("kafka")
    assert running.away() == set()


def test_a_member_whose_commit_was_on_its_way_to_a_broker_that_died_ends_all_the_same(own_kafka: OwnServer) -> None:
    if not isinstance(own_kafka, LocalKafka):
        pytest.skip("needs a local Kafka")
    own_kafka.start()
    topic = create_topic(own_kafka.address)
    properties = {"bootstrap.servers": own_kafka.address}
    consumer = GroupConsumer(KafkaOptions(group_id=unique_name("group"), properties=properties), batch_bytes=1 << 20)
    assigned: list[TopicPartition] = []
    consumer.subscribe([topic], RebalanceListener(assigned.extend, revoked=lambda _: None, lost=lambda _: None))
    eventually(lambda: consumer.poll(100, wait_seconds=0.1) and assigned, what="the partition")

    assert own_kafka.pid is not None
    os.kill(own_kafka.pid, signal.SIGSTOP)
    consumer.commit({TopicPartition(topic, 0): 0})
    consumer.poll(1, wait_seconds=0.5)
    own_kafka.kill()

    # On a thread, or the test could not end where it does not.
    closing = threading.Thread(target=consumer.close, daemon=True)
    closing.start()
    closing.join(120)
    assert not closing.is_alive()
    own_kafka.start()
