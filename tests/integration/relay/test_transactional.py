"""`--transactional`: readers of committed records see whole batches, and one relay of an id fences another."""

from uuid import UUID

import pytest
from confluent_kafka import Producer

from inbox.store.options import OutboxOptions
from tests.integration.relay.conftest import MakeStage, Stage, read_all, relaying
from tests.integration.relay.test_relay import insert
from tests.support.kafka_topics import create_topic, transactional_producer, unique_name
from tests.support.waiting import eventually


@pytest.fixture(name="own")
def own_(make_stage: MakeStage) -> Stage:
    """A stage with a transactional id of its own."""
    return make_stage(outbox=OutboxOptions(transactional_id=unique_name("relay")))


def committed(stage: Stage) -> list[bytes | None]:
    seen = read_all(stage.bootstrap_servers, stage.topic, **{"isolation.level": "read_committed"})
    return [message.value() for message in seen]


def test_everything_is_sent_in_order(own: Stage) -> None:
    numbers = [str(number) for number in range(300)]
    own.publish(*numbers)

    with relaying(own, until_empty=True, transactional=True):
        pass

    assert own.unsent() == 0
    assert [(value or b"").decode() for value in committed(own)] == numbers


def test_nobody_sees_half_a_batch(own: Stage) -> None:
    missing = unique_name("missing")
    insert(own, (UUID(int=1), own.topic, None, "T", "1", None), (UUID(int=2), missing, None, "T", "2", None))

    with relaying(own, transactional=True) as relay:
        eventually(lambda: relay.progress.waiting_for, what="a relay that waits")
        assert committed(own) == []
        create_topic(own.bootstrap_servers, missing)
        own.all_sent()

    assert committed(own) == [b"1"]


def test_a_relay_that_is_fenced_says_so(own: Stage) -> None:
    with relaying(own, transactional=True) as relay:
        own.publish("1")
        own.all_sent()
        other: Producer = transactional_producer(own.bootstrap_servers, own.outbox.transactional_id)
        own.publish("2")
        eventually(lambda: relay.progress.waiting_for, what="a relay that waits")
        assert f"another relay began transactions under {own.outbox.transactional_id}" in relay.progress.waiting_for
        own.all_sent()
        other.purge()

    assert committed(own) == [b"1", b"2"]
