"""What the relay sends, in which order, and what it does when something fails."""

import json
import re
import time
from collections.abc import Callable
from uuid import UUID

import psycopg
from confluent_kafka import Message
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

from inbox.store.options import OutboxEnvelope, OutboxOptions, OutboxPayload
from tests.integration.relay.conftest import MakeStage, Stage, relaying, values_with_a_late_commit
from tests.support.kafka_topics import admin, create_topic, unique_name
from tests.support.waiting import eventually, taking_at_most

INSERT = """
INSERT INTO inbox.outbox (event_id, topic, aggregate_id, type, payload, traceparent) VALUES (%s, %s, %s, %s, %s, %s)
"""
ASLEEP = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND granted
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def parts(message: Message) -> tuple[bytes | None, bytes | None, dict[str, bytes | None]]:
    return message.key(), message.value(), dict(message.headers() or [])


def insert(stage: Stage, *rows: tuple[object, ...]) -> None:
    with stage.connect() as connection:
        for row in rows:
            connection.execute(INSERT, row)


def test_a_record_is_what_its_row_says(stage: Stage) -> None:
    keyless, keyed = UUID(int=1), UUID(int=2)
    payload = '{"amount": 1.50,  "big": 12345678901234567890, "name": "Zoë"}'
    insert(
        stage,
        (keyless, stage.topic, None, "OrderPlaced", payload, None),
        (keyed, stage.topic, "kúnde-1", "OrderPaid", "null", TRACE),
    )

    with relaying(stage, until_empty=True):
        pass

    assert [parts(message) for message in stage.in_kafka()] == [
        (str(keyless).encode(), payload.encode(), {"event_id": str(keyless).encode(), "type": b"OrderPlaced"}),
        (
            "kúnde-1".encode(),
            b"null",
            {"event_id": str(keyed).encode(), "type": b"OrderPaid", "traceparent": TRACE.encode()},
        ),
    ]


def test_a_traceparent_of_another_form_is_not_sent(stage: Stage) -> None:
    """Anybody who may insert a row chooses it, and consumers may hand it to an SDK that takes any text."""
    texts = ("", "00-ab", "x" * 70_000, f"{TRACE},tracestate", f"{TRACE}\r\n{TRACE}", TRACE.upper(), TRACE)
    insert(stage, *((UUID(int=number), stage.topic, "a", "T", "1", text) for number, text in enumerate(texts, 1)))

    with relaying(stage, until_empty=True):
        pass

    sent = [dict(message.headers() or []).get("traceparent") for message in stage.in_kafka()]
    assert sent == [None] * 6 + [TRACE.encode()]


def test_an_event_is_sent_as_a_cloud_event_in_binary_mode(make_stage: MakeStage) -> None:
    stage = make_stage(outbox=OutboxOptions(envelope=OutboxEnvelope.CLOUDEVENTS, source="/shop"))
    event_id = UUID(int=1)
    insert(stage, (event_id, stage.topic, "a", "OrderPlaced", '{"id": 1}', TRACE))

    with relaying(stage, until_empty=True):
        pass

    [(_, value, headers)] = map(parts, stage.in_kafka())
    assert (value, headers) == (
        b'{"id": 1}',
        {
            "ce_specversion": b"1.0",
            "ce_id": str(event_id).encode(),
            "ce_source": b"/shop",
            "ce_type": b"OrderPlaced",
            "content-type": b"application/json",
            "event_id": str(event_id).encode(),
            "type": b"OrderPlaced",
            "traceparent": TRACE.encode(),
        },
    )


def test_bytes_are_sent_as_they_are(make_stage: MakeStage) -> None:
    stage = make_stage(outbox=OutboxOptions(payload=OutboxPayload.BYTEA))
    stage.publish(b"\x00\xff\\x41", b"")

    with relaying(stage, until_empty=True):
        pass

    assert [message.value() for message in stage.in_kafka()] == [b"\x00\xff\\x41", b""]


def test_a_key_has_the_partition_that_java_gives_it(make_stage: MakeStage) -> None:
    stage = make_stage(partitions=7)
    for key in ("1842", "kúnde-1", "a"):
        stage.publish("1", key=key)

    with relaying(stage, until_empty=True):
        pass

    # org.apache.kafka.common.utils.Utils: toPositive(murmur2(key)) % 7
    assert {(message.key() or b"").decode(): message.partition() for message in stage.in_kafka()} == {
        key: murmur2(key.encode()) % 7 for key in ("1842", "kúnde-1", "a")
    }


def murmur2(data: bytes) -> int:
    """Kafka's, made positive."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    for start in range(0, len(data) & ~3, 4):
        k = int.from_bytes(data[start : start + 4], "little") * m & mask
        h = (h * m & mask) ^ ((k ^ (k >> 24)) * m & mask)
    rest = data[len(data) & ~3 :]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ (h >> 13)) * m & mask
    return (h ^ (h >> 15)) & 0x7FFFFFFF


def test_sent_says_where(stage: Stage) -> None:
    stage.publish("1", "2")
    assert stage.rows("SELECT DISTINCT status FROM inbox.outbox_status") == [("NEW",)]

    with relaying(stage, until_empty=True):
        pass

    found = stage.rows("SELECT status, topic, partition, kafka_offset FROM inbox.outbox_status ORDER BY kafka_offset")
    assert found == [("SENT", stage.topic, 0, 0), ("SENT", stage.topic, 0, 1)]


def test_a_row_that_commits_late_is_sent_and_one_rolled_back_is_not(stage: Stage) -> None:
    assert values_with_a_late_commit(stage) == ['"quick"', '"next"', '"slow"']


def test_of_a_snapshot_the_lowest_position_goes_first(stage: Stage) -> None:
    with stage.connect() as slow, relaying(stage):
        stage.publish("1", on=slow)
        stage.publish("2")
        stage.all_sent()
        with stage.connect() as locking:
            # Both become visible at once.
            locking.execute("LOCK inbox.outbox_sent IN SHARE ROW EXCLUSIVE MODE")
            stage.publish("4", key="b", on=slow)
            slow.commit()
            stage.publish("5")
        stage.all_sent()

        assert stage.values() == ["2", "1", "4", "5"]


def test_a_relay_that_sleeps_is_woken(stage: Stage) -> None:
    with relaying(stage):
        eventually(lambda: stage.rows(ASLEEP) == [(1,)], what="a relay that sleeps")
        with taking_at_most(5):
            stage.publish("1")
            stage.all_sent()


def test_a_relay_does_not_fall_asleep_over_a_transaction_that_would_not_wake_it(stage: Stage) -> None:
    with stage.connect() as slow:
        stage.publish("1", on=slow)
        with relaying(stage):
            stage.publish("2")
            stage.all_sent()
            lasting(lambda: stage.rows(ASLEEP) == [(0,)], seconds=1.0)
            slow.commit()
            stage.all_sent()
            eventually(lambda: stage.rows(ASLEEP) == [(1,)], what="a relay that sleeps")


def lasting(condition: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert condition()


def test_a_missing_topic_holds_everything_up_until_it_is_there(stage: Stage) -> None:
    missing = unique_name("missing")
    insert(
        stage,
        (UUID(int=1), missing, None, "T", "1", None),
        (UUID(int=2), stage.topic, None, "T", "2", None),
    )

    with relaying(stage) as relay:
        eventually(lambda: relay.progress.waiting_for, what="a relay that waits")
        assert re.search(f"{missing}.*; create the topic", relay.progress.waiting_for)
        assert stage.unsent() == 2
        create_topic(stage.bootstrap_servers, missing)
        stage.all_sent()

    assert [message.value() for message in stage.in_kafka(missing)] == [b"1"]


def test_a_message_that_the_broker_refuses_lets_none_of_its_key_pass(make_stage: MakeStage) -> None:
    stage = make_stage(max_message_bytes=2000)
    stage.properties["compression.codec"] = "none"
    # Every value alone in its batch, and several batches on their way when the broker refuses one.
    stage.properties["batch.num.messages"] = "1"
    large = json.dumps("x" * 5000)
    stage.publish("1", "2", large, "4", "5", "6", "7", "8")

    with relaying(stage) as relay:
        eventually(lambda: relay.progress.waiting_for, what="a relay that waits")
        assert "raise the topic's max.message.bytes" in relay.progress.waiting_for
        assert list(dict.fromkeys(stage.values())) == ["1", "2"]
        allow(stage, 10_000)
        stage.all_sent()

    assert list(dict.fromkeys(stage.values())) == ["1", "2", large, "4", "5", "6", "7", "8"]


def allow(stage: Stage, size: int) -> None:
    entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, stage.topic, incremental_configs=[entry])
    client = admin(stage.bootstrap_servers)  # a future without a living client fails
    client.incremental_alter_configs([resource])[resource].result(120)


def test_a_message_too_large_for_the_producer_itself_holds_too(stage: Stage) -> None:
    stage.properties["message.max.bytes"] = "1000"
    stage.publish("1", json.dumps("x" * 5000), "3")

    with relaying(stage) as relay:
        eventually(lambda: relay.progress.waiting_for, what="a relay that waits")
        assert "message.max.bytes" in relay.progress.waiting_for

    assert list(dict.fromkeys(stage.values())) in ([], ["1"])


def test_a_broken_connection_loses_nothing(stage: Stage) -> None:
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'inbox relay'"
    end += " AND datname = current_database()"
    with relaying(stage):
        for number in range(5):
            stage.publish(str(2 * number), str(2 * number + 1))
            stage.rows(end)
        stage.all_sent()

    assert list(dict.fromkeys(stage.values())) == [str(number) for number in range(10)]


def test_a_row_below_everything_that_was_sent_is_found_by_a_sweep(stage: Stage) -> None:
    stage.publish("1")
    with relaying(stage):
        stage.all_sent()
        with psycopg.connect(stage.database_url) as connection:
            connection.execute("DELETE FROM inbox.outbox_sent")
        stage.all_sent()

    assert stage.values() == ["1", "1"]


def test_the_first_to_a_partition_goes_alone(make_stage: MakeStage) -> None:
    stage = make_stage(max_message_bytes=2000)
    stage.properties |= {"compression.codec": "none", "batch.num.messages": "1"}
    # Brokers take any sequence number from a producer that is new in a partition.
    stage.publish(json.dumps("x" * 5000), *map(str, range(50)))

    with relaying(stage) as relay:
        for _ in range(3):
            relay.progress.waiting_for = None
            eventually(lambda: relay.progress.waiting_for, what="a relay that waits")

    assert stage.in_kafka() == []
