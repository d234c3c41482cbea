"""How much a consumer fetches ahead, of what it was given."""

import pytest
from confluent_kafka import Consumer

from inbox.kafka.consumer import consumer_properties
from inbox.kafka.options import KafkaOptions

MIB = 1 << 20


def fetching(queue_bytes: int, **given: str) -> dict[str, str]:
    """The properties, which librdkafka takes."""
    properties = {name.replace("_", "."): value for name, value in given.items()}
    made = consumer_properties(KafkaOptions(group_id="g", properties=properties), queue_bytes=queue_bytes)
    Consumer(made).close()
    return made


def test_an_answer_is_half_a_queue_at_most() -> None:
    made = fetching(16 * MIB)
    assert (made["queued.max.messages.kbytes"], made["fetch.max.bytes"]) == ("16384", str(8 * MIB))


@pytest.mark.parametrize("queue_bytes", [1024, 1 << 30], ids=["the smallest batch", "the largest"])
def test_librdkafka_takes_what_follows_from_any_batch(queue_bytes: int) -> None:
    assert 1_000_000 <= int(fetching(queue_bytes)["fetch.max.bytes"]) <= 50 * MIB


def test_an_answer_has_room_for_the_largest_event() -> None:
    assert fetching(MIB, message_max_bytes="40000000")["fetch.max.bytes"] == "40000000"


def test_what_the_user_says_holds() -> None:
    assert fetching(MIB, queued_min_messages="7")["queued.min.messages"] == "7"
