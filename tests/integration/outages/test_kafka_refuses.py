"""Kafka answers, and refuses: rights that are revoked and given back."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from tests.integration.cli.test_kafka_rights import guarded_broker  # noqa: F401 - a fixture
from tests.integration.outages.conftest import sink_on
from tests.integration.sink.conftest import HANDLER_ROUTE
from tests.support.kafka_topics import admin
from tests.support.waiting import eventually
from tests.support.watching import Watched, watched

pytestmark = pytest.mark.long


@pytest.fixture
def running(
    tmp_path: Path,
    guarded_broker: str,  # noqa: F811 - the fixture
    database_url: str,
    offer: Callable[..., None],
) -> Iterator[Watched]:
    with watched(sink_on(guarded_broker, tmp_path, database_url, offer)) as found:
        yield found


def test_a_right_to_read_a_topic_that_is_revoked_is_waited_for(running: Watched) -> None:
    """The topic is quiet when the right comes back: the sink finds it out by itself."""
    refuse(running, ResourceType.TOPIC, running.sink.topic)
    running.eventually_away("kafka")
    running.stays_away(1)
    give_back(running, ResourceType.TOPIC, running.sink.topic)
    running.eventually_ready()
    running.send(50)
    running.check(reasons=["right"], membership_kept=False)
    assert "grant this user READ on the topic" in running.told("outage")[0]["error"]


def test_a_right_to_the_group_that_is_revoked_is_waited_for(running: Watched) -> None:
    refuse(running, ResourceType.GROUP, running.sink.name)
    running.eventually_away("kafka")
    running.send(50)
    give_back(running, ResourceType.GROUP, running.sink.name)
    running.check(reasons=["right"], membership_kept=False)


def test_a_spare_worker_is_ready_again_once_a_topics_error_is_over(
    tmp_path: Path,
    guarded_broker: str,  # noqa: F811 - the fixture
    database_url: str,
    offer: Callable[..., None],
) -> None:
    sink = sink_on(guarded_broker, tmp_path, database_url, offer)
    sink.configure(HANDLER_ROUTE, kafka='"topic.metadata.refresh.interval.ms" = 500')
    with watched(sink) as owner, sink.running() as spare:
        eventually(lambda: spare.progress.joined, what="the spare worker to join")
        refuse(owner, ResourceType.TOPIC, sink.topic, AclOperation.DESCRIBE)
        eventually(lambda: spare._context.consumer.outage.topics, what="the topic's error")
        give_back(owner, ResourceType.TOPIC, sink.topic)
        eventually(lambda: not spare._context.consumer.outage.topics, what="the end of the topic's error")
        owner.eventually_ready()
        assert owner.away() == set()


def refuse(running: Watched, kind: ResourceType, name: str, operation: AclOperation = AclOperation.READ) -> None:
    binding = AclBinding(
        kind, name, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", operation, AclPermissionType.DENY
    )
    client = admin(running.sink.bootstrap_servers)  # a future without a living client fails
    for created in client.create_acls([binding]).values():
        created.result(120)


def give_back(running: Watched, kind: ResourceType, name: str) -> None:
    everything = AclBindingFilter(
        kind, name, ResourcePatternType.LITERAL, None, None, AclOperation.ANY, AclPermissionType.ANY
    )
    client = admin(running.sink.bootstrap_servers)
    for deleted in client.delete_acls([everything]).values():
        deleted.result(120)
