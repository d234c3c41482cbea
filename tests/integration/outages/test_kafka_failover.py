"""One of two brokers is killed, and the other takes over what it led."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, Producer

from inbox.dev.backends import chosen_kafka
from inbox.dev.local.kafka import LocalKafka
from tests.integration.outages.conftest import prepare_sink
from tests.support.kafka_topics import admin, create_topic, idempotent_producer, unique_name
from tests.support.sink.running import Out, Sink
from tests.support.waiting import eventually

pytestmark = pytest.mark.long

TWICE = {
    "default.replication.factor": "2",
    "offsets.topic.replication.factor": "2",
    "transaction.state.log.replication.factor": "2",
    # a broker that is back leads again, so that the next test finds it leading
    "leader.imbalance.check.interval.seconds": "1",
    "leader.imbalance.per.broker.percentage": "0",
}
FIRST, SECOND = 1, 2


@pytest.fixture(scope="module")
def brokers() -> Iterator[tuple[LocalKafka, LocalKafka]]:
    """Two brokers of one cluster, each with all replicas; the first is the controller too."""
    if chosen_kafka().kind not in ("local", "pypi"):
        pytest.skip("needs two brokers on this machine")
    first = LocalKafka(settings=TWICE)
    second = LocalKafka(joins=first, settings=TWICE)
    try:
        first.start()
        second.start()
        yield first, second
    finally:
        second.close()
        first.close()


@pytest.fixture
def both(brokers: tuple[LocalKafka, LocalKafka]) -> str:
    """The bootstrap servers, both of which are up."""
    for broker in brokers:
        broker.start()
    address = ",".join(broker.address for broker in brokers)
    eventually(lambda: len(admin(address).list_topics(timeout=120).brokers) == 2, what="two brokers")
    eventually(lambda: coordinator(address, "any"), what="a coordinator")
    return address


@pytest.fixture
def producer(both: str) -> Producer:
    return idempotent_producer(both, **{"linger.ms": 0})


MakeSink = Callable[[str], Sink]


@pytest.fixture
def sink_of(both: str, producer: Producer, tmp_path: Path, database_url: str, offer: Callable[..., None]) -> MakeSink:
    """A sink of the given group, on a topic of two partitions, each led by another broker."""

    def make(group: str) -> Sink:
        topic = create_topic(both, partitions=2, replicas=2)
        sink = Sink(tmp_path, topic=topic, database_url=database_url, bootstrap_servers=both, producer=producer)
        prepare_sink(sink, offer, kafka=f'"group.id" = "{group}"')
        return sink

    return make


def leaders(servers: str, topic: str) -> list[int]:
    found = admin(servers).list_topics(topic, timeout=120).topics[topic].partitions
    return sorted(partition.leader for partition in found.values())


def coordinator(servers: str, group: str) -> int | None:
    """The id of the broker that coordinates the group; None while none does."""
    client = admin(servers)
    try:
        return int(client.describe_consumer_groups([group])[group].result(120).coordinator.id)
    except KafkaException:
        return None


def group_coordinated_by(broker: int, servers: str) -> str:
    """The name of a group that is not there yet."""

    def found() -> str | None:
        group = unique_name("group")
        return group if coordinator(servers, group) == broker else None

    return eventually(found, what=f"a group that broker {broker} coordinates") or ""


def send(sink: Sink, numbers: range) -> None:
    sink.send(*(Out(number, {"event": number}, partition=number % 2) for number in numbers))


def check_all_applied_once(sink: Sink, events: int) -> None:
    number = "SELECT count(*) FROM effects"
    eventually(lambda: sink.column(number) >= [events], what=f"{events} effects")
    assert sorted(sink.column("SELECT event FROM effects")) == list(range(events))
    assert sink.dead_letters() == []


def test_a_leader_that_is_killed_is_followed_by_another(
    sink_of: MakeSink, both: str, brokers: tuple[LocalKafka, LocalKafka]
) -> None:
    sink = sink_of(group_coordinated_by(FIRST, both))
    assert leaders(both, sink.topic) == [FIRST, SECOND]
    with sink.running():
        send(sink, range(1000))
        check_all_applied_once(sink, 1000)
        brokers[1].kill()
        send(sink, range(1000, 2000))
        check_all_applied_once(sink, 2000)
        assert leaders(both, sink.topic) == [FIRST, FIRST]
        brokers[1].start()
        send(sink, range(2000, 2100))
        check_all_applied_once(sink, 2100)


def test_a_group_coordinator_that_is_killed_is_followed_by_another(
    sink_of: MakeSink, both: str, brokers: tuple[LocalKafka, LocalKafka]
) -> None:
    group = group_coordinated_by(SECOND, both)
    sink = sink_of(group)
    with sink.running(), sink.running():
        send(sink, range(1000))
        check_all_applied_once(sink, 1000)
        brokers[1].kill()
        send(sink, range(1000, 2000))
        check_all_applied_once(sink, 2000)
        eventually(lambda: coordinator(both, group) == FIRST, what="the other coordinator")
        owners = "SELECT count(DISTINCT owner) FROM inbox.partitions"
        eventually(lambda: sink.column(owners) == [2], what="both workers to own a partition")
        send(sink, range(2000, 2100))
        check_all_applied_once(sink, 2100)
