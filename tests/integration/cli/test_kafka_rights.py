"""What a user may not do in Kafka is told before the sink runs, against a broker with an authorizer."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from inbox.dev.kafka_settings import BROKER_SETTINGS
from inbox.dev.local.kafka import LocalKafka
from inbox.errors import StartupError
from inbox.outbox import publish
from tests.integration.cli.conftest import Result, Sink
from tests.support.kafka_topics import admin, create_topic, unique_name
from tests.support.waiting import eventually

Inbox = Callable[..., Result]

# every client is ANONYMOUS here, and may do everything with what no ACL speaks of
AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}


@pytest.fixture(scope="module")
def guarded_broker() -> Iterator[str]:
    broker = LocalKafka()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in AUTHORIZER.items():
            patch.setitem(BROKER_SETTINGS, name, value)
        try:
            broker.start()
        except StartupError as error:
            pytest.skip(f"needs a broker of its own: {error}")
    yield broker.address
    broker.close()


@pytest.fixture
def guarded(sink: Sink, guarded_broker: str) -> Sink:
    """The sink, with brokers that ask for rights, and topics of its own there."""
    topic = create_topic(guarded_broker, unique_name("guarded"), 1)
    moved = Sink(sink.config, sink.name, topic, sink.database_url, guarded_broker)
    moved.configure()
    return moved


def allow(servers: str, kind: ResourceType, name: str, *, user: str, operation: AclOperation) -> None:
    binding = AclBinding(
        kind, name, ResourcePatternType.LITERAL, f"User:{user}", "*", operation, AclPermissionType.ALLOW
    )
    client = admin(servers)  # a future without a living client fails
    for created in client.create_acls([binding]).values():
        created.result(120)
    anyone: Any = None
    here = AclBindingFilter(
        kind, name, ResourcePatternType.LITERAL, anyone, anyone, AclOperation.ANY, AclPermissionType.ANY
    )
    eventually(lambda: client.describe_acls(here).result(120), what="a broker that knows the ACL")


def test_with_every_right_the_sink_runs(guarded: Sink, inbox: Inbox) -> None:
    assert inbox("check", guarded).code == 0
    assert inbox("run", "--until-end", guarded).code == 0


@pytest.mark.parametrize("kind", [ResourceType.TOPIC, ResourceType.GROUP])
def test_a_user_who_may_see_but_not_read_is_told_so_at_the_start(
    guarded: Sink, inbox: Inbox, kind: ResourceType
) -> None:
    name = guarded.topic if kind is ResourceType.TOPIC else guarded.name
    allow(guarded.bootstrap_servers, kind, name, user="ANONYMOUS", operation=AclOperation.DESCRIBE)

    result = inbox("run", guarded)

    sentence = f"this user lacks READ on {kind.name.lower()} {name}; grant it (kafka-acls --operation Read)"
    assert (result.code, result.err) == (3, f"inbox: {sentence}\n")
    checked = inbox("check", guarded)
    assert f"failed       rights in Kafka: {sentence}" in checked.out.splitlines()


def test_a_topic_that_the_user_may_not_even_see_is_told_at_the_start(guarded: Sink, inbox: Inbox) -> None:
    allow(guarded.bootstrap_servers, ResourceType.TOPIC, guarded.topic, user="bob", operation=AclOperation.READ)

    result = inbox("run", guarded)

    assert result.code == 3
    assert "Topic authorization failed (TOPIC_AUTHORIZATION_FAILED); grant this user READ on the topic" in result.err


def test_a_group_that_the_user_may_not_even_see_is_told_at_the_start(guarded: Sink, inbox: Inbox) -> None:
    allow(guarded.bootstrap_servers, ResourceType.GROUP, guarded.name, user="bob", operation=AclOperation.READ)

    result = inbox("run", guarded)

    assert result.code == 3
    assert f"this user lacks READ on group {guarded.name}" in result.err


def test_a_user_who_may_not_know_whether_a_topic_is_compacted_is_advised_and_the_sink_runs(
    guarded: Sink, inbox: Inbox
) -> None:
    allow(guarded.bootstrap_servers, ResourceType.TOPIC, guarded.topic, user="ANONYMOUS", operation=AclOperation.READ)

    checked = inbox("check", guarded)

    assert checked.code == 0
    assert f"this user lacks DESCRIBE_CONFIGS on topic {guarded.topic}" in checked.out
    assert inbox("run", "--until-end", guarded).code == 0


def test_a_user_who_may_write_and_not_see_the_configuration_is_advised(guarded: Sink, inbox: Inbox) -> None:
    guarded.config.write_text(guarded.config.read_text() + "[outbox]\n")
    assert inbox("migrate", guarded).code == 0
    target = create_topic(guarded.bootstrap_servers, unique_name("target"), 1)
    with psycopg.connect(guarded.database_url) as connection:
        publish(connection, topic=target, type="T", payload={})
    allow(guarded.bootstrap_servers, ResourceType.TOPIC, target, user="ANONYMOUS", operation=AclOperation.WRITE)

    checked = inbox("check", guarded)

    assert checked.code == 0, checked
    assert f"advice       publishing to {target}: this user lacks DESCRIBE_CONFIGS on topic {target}" in checked.out
