"""What is said of a topic that events are published into."""

from dataclasses import replace

import pytest

from inbox.kafka.topic_limits import TopicLimits, judged

SOUND = TopicLimits(
    name="orders", replicas=3, min_insync_replicas=2, cleanup_policy="delete", max_message_bytes=1_048_588
)


def test_nothing_of_a_sound_one() -> None:
    assert judged(SOUND, batch_bytes=900_000, largest_bytes=1000) == []


@pytest.mark.parametrize(
    ("changes", "stops", "text"),
    [
        ({"replicas": 1, "min_insync_replicas": 1}, False, "has one replica"),
        ({"min_insync_replicas": 1}, False, "set min.insync.replicas=2"),
        ({"min_insync_replicas": 3}, False, "takes nothing while one of its 3 brokers is away"),
        ({"min_insync_replicas": 4}, True, "wants 4 in-sync replicas and has 3"),
        ({"cleanup_policy": "compact,delete"}, False, "is compacted"),
        ({"max_message_bytes": 500_000}, True, 'lower [kafka] "batch.size"'),
    ],
)
def test_each_thing_has_its_remedy(changes: dict[str, object], stops: bool, text: str) -> None:
    terms = replace(SOUND, **changes)  # type: ignore[arg-type]

    (remark,) = judged(terms, batch_bytes=900_000, largest_bytes=1000)

    assert remark.stops is stops
    assert text in remark.text


def test_an_event_that_is_too_large_is_told() -> None:
    (remark,) = judged(SOUND, batch_bytes=900_000, largest_bytes=2_000_000)

    assert remark.stops
    assert "an event has 2000000; raise max.message.bytes" in remark.text
