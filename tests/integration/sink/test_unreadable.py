"""What the log holds and nobody can read, and what it does not hold without a reason, is never passed over."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from inbox.dev.local.kafka import LocalKafka
from inbox.errors import HaltError
from inbox.events import TopicPartition
from inbox.kafka.consumer import GroupConsumer, Polled
from inbox.kafka.log import gaps
from inbox.kafka.log import stretch as log_stretch
from tests.integration.sink.conftest import HANDLER_ROUTE
from tests.support.kafka_topics import admin, idempotent_producer, transactional_producer, unique_name
from tests.support.sink.logs import (
    LENGTH,
    MAGIC,
    change_byte,
    effects,
    lose_a_segment,
    send_in_transaction,
    send_singly,
    stored_batches,
)
from tests.support.sink.running import Out, Sink
from tests.support.waiting import eventually

STOPPED = 4

OFFSETS_ROUTE = """
[[routes]]
topic = "TOPIC"
event_id = "header:event_id"
[routes.table]
name = "public.offsets"
mode = "append"
[routes.table.columns]
kafka_offset = "$offset"
"""


def events(*numbers: int) -> list[Out]:
    return [Out(number, {"amount": "1000.00"}) for number in numbers]


def send_together(sink: Sink, sent: Sequence[Out] | range, **settings: Any) -> None:
    """In one batch."""
    producer = idempotent_producer(sink.bootstrap_servers, **{"linger.ms": 500, **settings})
    for event in events(*sent) if isinstance(sent, range) else sent:
        event.send(producer, sink.topic)
    assert producer.flush(120) == 0


def change_topic(sink: Sink, setting: str, value: str) -> None:
    change = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, sink.topic, incremental_configs=[change])
    client = admin(sink.bootstrap_servers)
    client.incremental_alter_configs([resource])[resource].result(120)


def halted(sink: Sink) -> str:
    with pytest.raises(HaltError) as halt:
        sink.run()
    return str(halt.value)


@pytest.mark.parametrize(("magic", "seen"), [(3, "_NOT_IMPLEMENTED"), (127, "_NOT_IMPLEMENTED")])
def test_a_changed_format_number_halts_where_it_stands_and_what_came_before_is_settled(
    kafka: LocalKafka, cuttable: Sink, magic: int, seen: str
) -> None:
    send_singly(cuttable, events(1, 2, 3, 4, 5))
    change_byte(kafka, cuttable.topic, 2, MAGIC, magic)

    said = halted(cuttable)

    assert said.startswith(f"reading {cuttable.topic}[0]@2: the log cannot be read there ({seen}: ")
    assert said.endswith(
        "; the log can be read again from 3 on: "
        f"`inbox resume --topic {cuttable.topic}:0 --from-offset 3 --accept-loss`"
    )
    assert effects(cuttable) == [1, 2]
    assert cuttable.next_offsets() == {0: 2}


def test_a_format_number_of_old_halts_though_the_broker_itself_cannot_read_on(
    kafka: LocalKafka, cuttable: Sink
) -> None:
    send_singly(cuttable, events(1, 2, 3))
    change_byte(kafka, cuttable.topic, 1, MAGIC, 1)
    assert f"reading {cuttable.topic}[0]@1: the log cannot be read there (_BAD_MSG: " in halted(cuttable)
    assert effects(cuttable) == [1]


def test_a_broker_that_was_restarted_with_a_changed_byte_stops_the_sink_with_4(
    kafka: LocalKafka, cuttable: Sink
) -> None:
    send_singly(cuttable, events(1, 2, 3))
    kafka.stop()
    change_byte(kafka, cuttable.topic, 1, MAGIC, 9)
    kafka.start()
    for _ in range(2):
        assert cuttable.command("run", "--until-end") == STOPPED
    assert effects(cuttable) == [1]


@pytest.mark.parametrize("compression", ["none", "gzip", "lz4", "zstd", "snappy"])
def test_a_flipped_bit_is_not_applied(kafka: LocalKafka, cuttable: Sink, compression: str) -> None:
    send_together(cuttable, range(1, 51), **{"compression.type": compression})
    send_singly(cuttable, events(51))
    change_byte(kafka, cuttable.topic, 0, -40)

    said = halted(cuttable)

    assert f"reading {cuttable.topic}[0]@0: the log cannot be read there (_BAD_MSG: " in said
    assert "--from-offset 50 --accept-loss`" in said
    assert effects(cuttable) == []


def test_a_batch_that_decompresses_to_more_than_may_be_received_names_the_setting_and_loses_nothing(
    cuttable: Sink,
) -> None:
    large = [Out(1, b'"' + b"0" * 20_000_000 + b'"')]
    send_together(cuttable, large, **{"compression.type": "zstd", "message.max.bytes": 30_000_000})
    cuttable.configure(HANDLER_ROUTE, kafka='"receive.message.max.bytes" = 2_000_000', sink='batch_bytes = "1 MiB"')

    said = halted(cuttable)

    assert "_BAD_COMPRESSION" in said
    assert "raise that and start again, which loses nothing" in said
    cuttable.configure(HANDLER_ROUTE)
    cuttable.run()
    assert effects(cuttable) == [1]


def test_a_changed_length_halts(kafka: LocalKafka, cuttable: Sink) -> None:
    send_singly(cuttable, events(1, 2, 3))
    change_byte(kafka, cuttable.topic, 1, LENGTH, 1)
    assert f"reading {cuttable.topic}[0]@1: the log cannot be read there (INVALID_MSG: " in halted(cuttable)
    assert effects(cuttable) == [1]


def test_a_reader_goes_on_behind_a_batch_that_was_given_up(kafka: LocalKafka, cuttable: Sink) -> None:
    send_singly(cuttable, events(1))
    send_together(cuttable, range(2, 12))
    send_singly(cuttable, events(12, 13))
    assert [each.first_offset for each in stored_batches(kafka, cuttable.topic)] == [0, 1, 11, 12]
    change_byte(kafka, cuttable.topic, 1, MAGIC, 3)
    command = halted(cuttable).rsplit("`", 2)[1]
    assert "--from-offset 11 " in command

    assert cuttable.command(*command.split()[1:], "--execute") == 0
    cuttable.run()

    assert effects(cuttable) == [1, 12, 13]


def test_a_segment_that_the_broker_lost_halts(kafka: LocalKafka, make_cuttable: Callable[..., Sink]) -> None:
    sink = make_cuttable(segment_bytes=1 << 20)
    lost = lose_a_segment(kafka, sink)

    said = halted(sink)

    assert said.startswith(
        f"{sink.topic}[0]: the log holds nothing at offsets {lost.start} up to {lost.stop - 1} and has no reason"
    )
    assert said.endswith(f"`inbox resume --topic {sink.topic}:0 --from-offset {lost.stop} --accept-loss`")
    assert effects(sink) == list(range(1, lost.start + 1))


def test_a_lost_segment_of_a_topic_with_transactions_halts(
    kafka: LocalKafka, make_cuttable: Callable[..., Sink]
) -> None:
    sink = make_cuttable(segment_bytes=1 << 20)
    send_in_transaction(sink, events(101, 102))
    lost = lose_a_segment(kafka, sink)
    assert f"the log holds nothing at offsets {lost.start} up to {lost.stop - 1} " in halted(sink)


def test_what_cannot_be_read_halts_though_a_gap_would_have_a_reason(
    kafka: LocalKafka, make_cuttable: Callable[..., Sink]
) -> None:
    sink = make_cuttable(cleanup_policy="compact")
    send_singly(sink, [Out(number, key=str(number)) for number in range(1, 5)])
    change_byte(kafka, sink.topic, 2, MAGIC, 3)
    assert f"reading {sink.topic}[0]@2: the log cannot be read there (_NOT_IMPLEMENTED: " in halted(sink)
    assert effects(sink) == [1, 2]


def test_control_and_aborted_records_are_passed(cuttable: Sink) -> None:
    send_in_transaction(cuttable, events(1, 2))
    send_in_transaction(cuttable, map(Out, range(1000, 4000)), commit=False)
    send_in_transaction(cuttable, events(3))
    send_singly(cuttable, events(4))
    send_in_transaction(cuttable, events(1600), commit=False)
    cuttable.run()
    assert effects(cuttable) == [1, 2, 3, 4]
    assert cuttable.next_offsets() == {0: 3 + 3001 + 2 + 1 + 2}


def test_records_that_were_not_delivered_are_read_again(cuttable: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    send_in_transaction(cuttable, events(1))
    send_singly(cuttable, events(2, 3, 4))
    take, dropped = GroupConsumer.poll, list[int]()

    def forgetful(consumer: GroupConsumer, *arguments: Any, **more: Any) -> Polled:
        taken = take(consumer, *arguments, **more)
        if not dropped:
            dropped.extend(record.offset() for record in taken.records if record.offset() in (2, 3))
            taken.records = [record for record in taken.records if record.offset() not in (2, 3)]
        return taken

    monkeypatch.setattr(GroupConsumer, "poll", forgetful)
    cuttable.run()
    assert dropped
    assert effects(cuttable) == [1, 2, 3, 4]


def test_an_unreadable_batch_of_an_aborted_transaction_halts(kafka: LocalKafka, cuttable: Sink) -> None:
    send_in_transaction(cuttable, events(1))
    send_in_transaction(cuttable, events(2), commit=False)
    send_in_transaction(cuttable, events(3))
    change_byte(kafka, cuttable.topic, 2, -1)
    assert f"reading {cuttable.topic}[0]@2: the log cannot be read there (_BAD_MSG: " in halted(cuttable)
    assert effects(cuttable) == [1]


def test_what_cannot_be_read_behind_a_gap_halts_where_it_stands(kafka: LocalKafka, cuttable: Sink) -> None:
    send_in_transaction(cuttable, events(1))
    send_singly(cuttable, events(2))
    send_in_transaction(cuttable, events(101, 102), commit=False)
    send_singly(cuttable, events(3, 4, 5))
    change_byte(kafka, cuttable.topic, len(stored_batches(kafka, cuttable.topic)) - 2, MAGIC, 3)

    command = halted(cuttable).rsplit("`", 2)[1]
    assert effects(cuttable) == [1, 2, 3]

    assert cuttable.command(*command.split()[1:], "--execute") == 0
    cuttable.run()
    assert effects(cuttable) == [1, 2, 3, 5]


@pytest.fixture
def deadly(kafka: LocalKafka, cuttable: Sink) -> Sink:
    """A sink whose log has a batch, at offset 7 of 9, at which librdkafka ends the process."""
    cuttable.configure(OFFSETS_ROUTE)
    cuttable.sql("CREATE TABLE offsets (kafka_offset bigint)")
    send_in_transaction(cuttable, events(1))
    send_singly(cuttable, events(2))
    send_in_transaction(cuttable, events(101, 102), commit=False)
    send_singly(cuttable, events(3, 4, 5))
    change_byte(kafka, cuttable.topic, len(stored_batches(kafka, cuttable.topic)) - 2, -1)
    return cuttable


def end_of(sink: Sink, *arguments: str) -> tuple[int, str]:
    """The exit code of a run in a process of its own, and what it said."""
    command = [sys.executable, "-P", "-m", "inbox", "run", "--until-end", *arguments, "--config", str(sink.file)]
    ended = subprocess.run(command, timeout=150, check=False, capture_output=True, text=True)
    return ended.returncode, ended.stderr


def test_a_batch_at_which_librdkafka_ends_the_process_halts_one_of_the_next_starts_and_is_named(deadly: Sink) -> None:
    codes, said = [], ""
    while STOPPED not in codes and len(codes) < 3:
        code, said = end_of(deadly)
        codes.append(code)
    assert codes in ([STOPPED], [-signal.SIGABRT, STOPPED], [-signal.SIGABRT, -signal.SIGABRT, STOPPED])
    assert f"reading {deadly.topic}[0]@7: " in said
    command = said.rsplit("`", 2)[1]
    assert "--from-offset 8 " in command

    code, _ = end_of(deadly, "-X", "max.partition.fetch.bytes=1")
    assert code in (STOPPED, -signal.SIGABRT)
    settled = deadly.next_offsets()[0]
    assert settled <= 7
    assert deadly.column("SELECT kafka_offset FROM offsets ORDER BY 1") == [
        offset for offset in (0, 2, 6) if offset < settled
    ]

    assert deadly.command(*command.split()[1:], "--execute") == 0
    assert end_of(deadly)[0] == 0
    assert deadly.column("SELECT max(kafka_offset) FROM offsets") == [8]


def test_a_supervisor_ends_where_its_workers_die_of_such_a_batch_again_and_again(deadly: Sink) -> None:
    code, said = end_of(deadly, "--workers", "2")
    assert code == STOPPED
    assert f"reading {deadly.topic}[0]@7: " in said


def test_a_start_after_a_worker_that_settled_nothing_for_another_reason_is_as_ever(cuttable: Sink) -> None:
    send_singly(cuttable, events(1, 2, 3))
    cuttable.run()
    send_singly(cuttable, events(4))
    cuttable.sql("UPDATE inbox.partitions SET owner_started = updated_at + interval '1 second'")
    cuttable.run()
    assert effects(cuttable) == [1, 2, 3, 4]


def test_a_gap_is_seen_though_a_broker_is_asked_to_wait_for_more_to_send(cuttable: Sink) -> None:
    waits = '"fetch.min.bytes" = 1000000\n"fetch.wait.max.ms" = 1000\n"fetch.queue.backoff.ms" = 1000'
    cuttable.configure(HANDLER_ROUTE, kafka=waits)
    send_singly(cuttable, events(1))
    producer = transactional_producer(cuttable.bootstrap_servers, unique_name("producer"))
    producer.begin_transaction()
    for event in events(*range(101, 131)):
        event.send(producer, cuttable.topic)
        assert producer.flush(120) == 0
    producer.abort_transaction(30)
    send_singly(cuttable, events(2))

    cuttable.run()

    assert effects(cuttable) == [1, 2]


def test_a_long_gap_is_passed_piece_by_piece(cuttable: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaps, "LONG", 1200)
    send_singly(cuttable, events(1))
    send_in_transaction(cuttable, map(Out, range(1000, 4000)), commit=False)
    send_singly(cuttable, events(2))
    cuttable.run()
    assert effects(cuttable) == [1, 2]


def test_a_long_gap_that_the_log_has_no_reason_for_halts(
    kafka: LocalKafka, make_cuttable: Callable[..., Sink], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gaps, "LONG", 2)
    sink = make_cuttable(segment_bytes=1 << 20)
    lost = lose_a_segment(kafka, sink)
    assert f"the log holds nothing at offsets {lost.start} up to {lost.stop - 1} " in halted(sink)


def test_large_events_behind_a_gap_do_not_hold_up_a_look(cuttable: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_stretch, "_AHEAD_SECONDS", 0.0)
    send_in_transaction(cuttable, events(1, 2), commit=False)
    send_singly(cuttable, (Out(number, {"padding": "x" * 400_000}) for number in range(3, 15)))
    found = log_stretch.look_at(cuttable.settings().kafka, TopicPartition(cuttable.topic, 0), 0, 3, ahead=20_000)
    assert found.empty == 0
    assert 3 <= found.until_offset < 15
    assert not found.holds_committed(0, 3)


@pytest.mark.parametrize("policy", ["compact", "delete"])
def test_gaps_of_a_compacted_topic_are_passed_also_where_it_was_compacted_once(
    kafka: LocalKafka, make_cuttable: Callable[..., Sink], policy: str
) -> None:
    sink = make_cuttable(
        cleanup_policy="compact", segment_ms=100, min_cleanable_dirty_ratio="0.01", max_compaction_lag_ms=100
    )
    send_singly(sink, [Out(number, key="one") for number in range(1, 6)])
    send_singly(sink, [Out(6, key="two")])

    def compacted() -> bool:
        # the active segment is not compacted; each of these closes it
        send_singly(sink, [Out(7, key="three")])
        return b"one" not in b"".join(file.read_bytes() for file in log.glob(f"{0:020}.log")) or first() > 0

    def first() -> int:
        return stored_batches(kafka, sink.topic)[0].first_offset

    assert kafka.directory is not None
    log = kafka.directory / "log" / f"{sink.topic}-0"
    eventually(compacted, what="compaction")
    if policy == "delete":
        change_topic(sink, "cleanup.policy", "delete")
        assert "if it was compacted once, name it in [sink] once_compacted" in halted(sink)
        sink.configure(HANDLER_ROUTE, sink=f'once_compacted = ["{sink.topic}"]')
    sink.run()
    assert 6 in effects(sink)
    assert 1 not in effects(sink)
    assert sink.command("audit") == 0


def audited(sink: Sink, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """The exit code of an audit, and what it found in partition 0."""
    capsys.readouterr()
    code = sink.command("audit", "--json")
    [partition] = json.loads(capsys.readouterr().out)["partitions"]
    return code, partition


def test_an_audit_counts_what_cannot_be_read_any_more_and_reads_on_behind_it(
    kafka: LocalKafka, cuttable: Sink, capsys: pytest.CaptureFixture[str]
) -> None:
    send_singly(cuttable, events(1))
    send_together(cuttable, range(2, 12))
    send_singly(cuttable, events(12))
    cuttable.run()
    assert audited(cuttable, capsys)[0] == 0
    change_byte(kafka, cuttable.topic, 1, MAGIC, 3)

    code, found = audited(cuttable, capsys)

    assert code == 1
    assert (found["unread"], found["unread_at"]) == (10, [{"from_offset": 1, "until_offset": 11}])
    assert (found["applied"], found["missing"], found["claims_without_event"]) == (2, 0, 0)
    cuttable.command("audit")
    said = capsys.readouterr().out
    assert "of 10 offsets nothing can be read, and the log has no reason for a gap there: 1 up to 10;" in said
    assert "every offset is accounted for" not in said


def test_an_audit_counts_the_offsets_of_a_segment_that_the_broker_lost(
    kafka: LocalKafka, make_cuttable: Callable[..., Sink], capsys: pytest.CaptureFixture[str]
) -> None:
    sink = make_cuttable(segment_bytes=1 << 20)
    lost = lose_a_segment(kafka, sink)
    halted(sink)
    # what a version did that believed in every gap
    sink.sql("UPDATE inbox.partitions SET next_offset = %s, reached_offset = %s", [lost.stop, lost.stop])

    code, found = audited(sink, capsys)

    assert code == 1
    assert (found["unread"], found["missing"]) == (len(lost), 0)


def test_an_audit_of_control_and_aborted_records_and_of_what_was_given_up_finds_nothing(
    kafka: LocalKafka, cuttable: Sink, capsys: pytest.CaptureFixture[str]
) -> None:
    send_in_transaction(cuttable, events(1, 2))
    send_in_transaction(cuttable, events(3, 4), commit=False)
    send_singly(cuttable, events(5))
    send_in_transaction(cuttable, events(6))
    change_byte(kafka, cuttable.topic, 4, MAGIC, 3)
    command = halted(cuttable).rsplit("`", 2)[1]
    assert cuttable.command(*command.split()[1:], "--execute") == 0
    cuttable.run()
    assert effects(cuttable) == [1, 2, 6]

    code, found = audited(cuttable, capsys)

    assert (code, found["unread"], found["applied"]) == (0, 0, 3)


def test_a_shadow_replay_halts_where_the_log_cannot_be_read(kafka: LocalKafka, cuttable: Sink) -> None:
    send_singly(cuttable, events(1, 2, 3))
    cuttable.run()
    change_byte(kafka, cuttable.topic, 1, MAGIC, 3)
    command = ("replay", "--topic", cuttable.topic, "--from-earliest", "--mode", "shadow", "--execute")
    assert cuttable.command(*command) == STOPPED
