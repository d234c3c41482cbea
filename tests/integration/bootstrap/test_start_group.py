"""`[sink] start = "group"`: the sink continues where another consumer of its group stopped."""

from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Consumer, TopicPartition

from inbox.errors import StartupError, TryAgainError
from tests.integration.sink.conftest import EFFECTS, HANDLER_ROUTE
from tests.support.sink.logs import apply, effects
from tests.support.sink.running import Out, Sink
from tests.support.waiting import eventually


@pytest.fixture
def moving(make_sink: Callable[..., Sink], offer: Callable[..., None]) -> Sink:
    """A sink of two partitions with events 1 to 6 in the first, none in the other."""
    offer(handler=apply)
    sink = make_sink(partitions=2)
    sink.configure(HANDLER_ROUTE, sink='start = "group"')
    sink.sql(EFFECTS)
    sink.send(*(Out(number) for number in range(1, 7)))
    return sink


@pytest.fixture
def old(moving: Sink) -> Iterator[Consumer]:
    """What consumed the topic until now, as a member of the sink's group."""
    consumer = Consumer(
        {
            "bootstrap.servers": moving.bootstrap_servers,
            "group.id": moving.name,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 6000,
        }
    )
    consumer.subscribe([moving.topic])
    yield consumer
    consumer.close()


def take(consumer: Consumer, topic: str, until: int) -> None:
    eventually(lambda: consumer.poll(0.2) is not None, what="the old consumer's first event")
    consumer.commit(offsets=[TopicPartition(topic, 0, until)], asynchronous=False)


def test_it_begins_where_the_group_stopped(moving: Sink, old: Consumer) -> None:
    take(old, moving.topic, 4)
    old.close()
    moving.run()
    assert effects(moving) == [5, 6]
    assert moving.sql("SELECT partition, start_offset, next_offset FROM inbox.partitions ORDER BY 1") == [
        (0, 4, 6),
        (1, 0, 0),
    ]


def test_while_the_old_consumer_runs_it_waits(moving: Sink, old: Consumer) -> None:
    take(old, moving.topic, 4)
    moving.configure(HANDLER_ROUTE, sink='start = "group"', database='start_timeout = "1s"')
    with pytest.raises(TryAgainError, match=rf"group {moving.name} has other consumers \(1\)"):
        moving.run()
    assert moving.next_offsets() == {}


def test_a_group_that_committed_nothing_is_refused(moving: Sink) -> None:
    with pytest.raises(StartupError, match=rf"group {moving.name} has committed no offset for {moving.topic}\[0\]"):
        moving.run()
    assert moving.next_offsets() == {}
