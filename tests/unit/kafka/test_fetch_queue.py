"""How much a consumer fetches ahead, of what it was given."""

import pytest
from confluent_kafka import Consumer

from inbox.kafka.consumer_properties import consumer_properties
from inbox.kafka.options import KafkaOptions

MIB = 1 << 20


def fetching(batch_bytes: int, **given: str) -> dict[str, str]:
    """The properties, which librdkafka takes."""
    properties = {name.replace("_", "."): value for name, value in given.items()}
    made = consumer_properties(KafkaOptions(group_id="g", properties=properties), batch_bytes=batch_bytes)
    Consumer(made).close()
    return made


def test_an_answer_is_a_sixteenth_of_a_batch_at_most() -> None:
    assert fetching(32 * MIB)["fetch.max.bytes"] == str(2 * MIB)


def test_the_next_fetch_waits_until_the_last_one_was_taken() -> None:
    """librdkafka does not count keys and headers, so that more events than these may have any size."""
    assert fetching(16 * MIB)["queued.min.messages"] == "1"


@pytest.mark.parametrize("batch_bytes", [1024, 1 << 30], ids=["the smallest batch", "the largest"])
def test_librdkafka_takes_what_follows_from_any_batch(batch_bytes: int) -> None:
    assert 1_000_000 <= int(fetching(batch_bytes)["fetch.max.bytes"]) <= 50 * MIB


def test_an_answer_has_room_for_the_largest_event() -> None:
    assert fetching(MIB, message_max_bytes="40000000")["fetch.max.bytes"] == "40000000"


def test_what_the_user_says_holds() -> None:
    assert fetching(MIB, queued_min_messages="7")["queued.min.messages"] == "7"
