"""`inbox status`"""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.cli.conftest import Result, Sink
from tests.support.kafka_topics import idempotent_producer, transactional_producer, unique_name
from tests.support.waiting import eventually

Inbox = Callable[..., Result]
Start = Callable[..., "subprocess.Popen[str]"]


def test_json_has_the_shape_that_scripts_rely_on(sink: Sink, inbox: Inbox) -> None:
    sink.produce(20)
    assert inbox("run", "--until-end", sink).code == 0
    sink.produce(10)

    result = inbox("status", "--json", sink)

    told = json.loads(result.out)
    assert (result.code, result.err) == (0, "")
    assert list(told) == [
        *("sink", "schema", "holds", "partitions", "totals", "dead_letters", "same_id_other_payload", "horizon"),
        *("last_prune_at", "lag", "rate", "oldest_unsettled_seconds", "last_replay", "unknown_members"),
    ]
    assert told["last_replay"] is None
    assert told["lag"] == 10
    assert 0 < told["rate"] <= 20
    assert 0 <= told["oldest_unsettled_seconds"] < 60
    assert (told["sink"], told["schema"], told["horizon"]) == (sink.name, "inbox", None)
    assert told["totals"] == {"applied": 20, "duplicate": 0, "filtered": 0, "dead_lettered": 0}
    assert told["dead_letters"] == {"parked": 0, "waiting": 0}
    assert [(row["topic"], row["partition"]) for row in told["partitions"]] == [(sink.topic, 0), (sink.topic, 1)]
    assert {row["partition"]: row["next_offset"] for row in told["partitions"]} == sink.next_offsets()
    assert sum(row["end_offset"] for row in told["partitions"]) == 30
    assert sum(row["lag"] for row in told["partitions"]) == 10


def test_a_partition_tells_its_owner_and_its_progress(sink: Sink, inbox: Inbox) -> None:
    # Events, since a run that finds the ledger at its ends may be over before it was assigned anything.
    sink.produce(20)
    assert inbox("run", "--until-end", sink).code == 0
    row = json.loads(inbox("status", "--json", sink).out)["partitions"][0]
    assert list(row) == [
        *("topic", "partition", "next_offset", "end_offset", "lag", "owner", "owner_epoch", "last_progress_at"),
        *("rate", "oldest_unsettled_at", "paused", "held", "high_watermark", "held_back", "open_transaction_since"),
    ]
    assert 0 < row["rate"] <= 20
    assert row["oldest_unsettled_at"] is None
    assert (type(row["owner"]), row["owner_epoch"]) == (str, 1)
    assert datetime.fromisoformat(row["last_progress_at"]).tzinfo is not None


def test_when_the_brokers_are_away_the_ledger_is_told_all_the_same(sink: Sink, inbox: Inbox) -> None:
    assert inbox("run", "--until-end", sink).code == 0
    sink.configure(bootstrap_servers="127.0.0.1:1")

    result = inbox("status", "--json", sink)

    assert result.code == 0
    assert "inbox: no end offsets and no lag: asking the brokers at 127.0.0.1:1" in result.err
    assert [(row["end_offset"], row["lag"]) for row in json.loads(result.out)["partitions"]] == [(None, None)] * 2


def test_the_age_of_what_waits_is_that_of_the_record_that_is_next(sink: Sink, inbox: Inbox) -> None:
    assert inbox("run", "--until-end", sink).code == 0
    producer, began = idempotent_producer(sink.bootstrap_servers), datetime.now(UTC) - timedelta(minutes=10)
    for age in (10, 1):
        at = began + timedelta(minutes=10 - age)
        producer.produce(sink.topic, "{}", partition=1, timestamp=int(at.timestamp() * 1000))
    assert producer.flush(120) == 0

    told = json.loads(inbox("status", "--json", sink).out)

    assert 600 <= told["oldest_unsettled_seconds"] < 660
    first, second = told["partitions"]
    assert first["oldest_unsettled_at"] is None
    assert abs(datetime.fromisoformat(second["oldest_unsettled_at"]) - began) < timedelta(seconds=1)
    assert "the oldest event that waits is 0:10:" in inbox("status", sink).out


def test_the_last_replay_is_told(sink: Sink, inbox: Inbox) -> None:
    sink.produce(5)
    assert inbox("run", "--until-end", sink).code == 0
    assert inbox("replay", "--topic", sink.topic, "--from-earliest", "--by", "ada", "--execute", sink).code == 0
    told = json.loads(inbox("status", "--json", sink).out)["last_replay"]
    assert (told["mode"], told["requested_by"], told["state"]) == ("skip-applied", "ada", "running")
    assert inbox("run", "--until-end", sink).code == 0
    assert "last replay: 1, skip-applied, by ada: settled, 5 of 5 offsets" in inbox("status", sink).out


def test_watching_goes_on_until_it_is_stopped(sink: Sink, inbox: Inbox, start: Start) -> None:
    assert inbox("run", "--until-end", sink).code == 0
    watching = start("status", "--watch", "--interval", "0.2", "--json", sink)
    assert watching.stdout is not None
    assert [json.loads(watching.stdout.readline())["lag"] for _ in range(2)] == [0, 0]
    sink.produce(1)
    eventually(lambda: json.loads(watching.stdout.readline())["lag"] == 1, what="the new event in the status")
    watching.send_signal(signal.SIGINT)
    assert watching.wait(120) == 0


def test_in_a_terminal_the_newest_is_shown_in_place(sink: Sink, inbox: Inbox) -> None:
    assert inbox("run", "--until-end", sink).code == 0
    mine, its = pty.openpty()
    command = [sys.executable, "-P", "-m", "inbox", "status", "--watch", "--interval", "0.2", "--config", sink.config]
    with subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env={**os.environ, "TERM": "xterm"}) as watching:
        os.close(its)
        seen = b""
        while seen.count(b"Ctrl-C ends") < 3:
            seen += os.read(mine, 65536)
        watching.send_signal(signal.SIGINT)
        while watching.poll() is None:
            with suppress(OSError):
                os.read(mine, 65536)
    os.close(mine)
    assert watching.returncode == 0
    assert b"Traceback" not in seen
    assert b"offsets/s over" in seen


def test_a_sink_that_never_ran_has_no_partitions(sink: Sink, inbox: Inbox) -> None:
    assert json.loads(inbox("status", "--json", sink).out)["partitions"] == []


def test_people_get_a_table(sink: Sink, inbox: Inbox) -> None:
    sink.produce(20)
    assert inbox("run", "--until-end", sink).code == 0
    result = inbox("status", sink)
    assert (result.code, result.err) == (0, "")
    assert "lag 0; 20 applied, 0 duplicate, 0 filtered, 0 dead-lettered" in result.out
    assert result.out.count(sink.topic) == 2


@pytest.mark.parametrize("state", ["parked", "waiting"])
def test_dead_letters_are_counted_by_state(sink: Sink, inbox: Inbox, state: str) -> None:
    assert inbox("run", "--until-end", sink).code == 0
    sink.sql(
        "INSERT INTO inbox.dead_letters (route_id, partition_id, kafka_offset, error_class, error, state) "
        "SELECT route_id, partition_id, 7, 'EventError', 'no', 'parked' FROM inbox.routes, inbox.partitions"
    )
    sink.sql(f"UPDATE inbox.dead_letters SET state = '{state}'")  # noqa: S608 - a word of the test's own
    counted = json.loads(inbox("status", "--json", sink).out)["dead_letters"]
    assert counted == {"parked": 0, "waiting": 0, state: 2}


def test_it_tells_what_waits_in_the_outbox(sink: Sink, inbox: Inbox) -> None:
    assert "outbox" not in json.loads(inbox("status", "--json", sink).out)
    sink.config.write_text(sink.config.read_text() + "[outbox]\n")
    result = inbox("status", "--json", sink)
    assert "the outbox could not be read" in result.err
    assert inbox("migrate", sink).code == 0
    assert inbox("run", "--until-end", sink).code == 0
    sink.sql(
        "INSERT INTO inbox.outbox (event_id, topic, type, payload)"
        " SELECT gen_random_uuid(), 't', 'T', '1' FROM generate_series(1, 3);"
        "INSERT INTO inbox.outbox_sent (event_id, topic, partition, kafka_offset)"
        " SELECT event_id, 't', 0, 0 FROM inbox.outbox LIMIT 1"
    )

    told = json.loads(inbox("status", "--json", sink).out)["outbox"]

    assert (told["relay"], told["waiting"], told["slot"]) == ("inbox", 2, None)
    assert datetime.fromisoformat(told["oldest_waiting_at"]).tzinfo is not None
    assert "outbox: 2 events wait for the relay, the oldest for " in inbox("status", sink).out


def test_where_debezium_publishes_it_tells_of_the_slot_and_of_nothing_that_waits(sink: Sink, inbox: Inbox) -> None:
    sink.config.write_text(sink.config.read_text() + '[outbox]\nrelay = "debezium"\n')
    assert inbox("migrate", sink).code == 0
    sink.sql("INSERT INTO inbox.outbox (event_id, topic, type, payload) VALUES (gen_random_uuid(), 't', 'T', '1')")

    told = json.loads(inbox("status", "--json", sink).out)["outbox"]

    assert told == {"relay": "debezium", "waiting": None, "oldest_waiting_at": None, "slot": None}
    assert "outbox: Debezium publishes, and there is no slot of its connector" in inbox("status", sink).out


def test_it_tells_what_waits_in_a_table_of_the_users(sink: Sink, inbox: Inbox) -> None:
    sink.config.write_text(sink.config.read_text() + '[outbox]\ntable = "public.events_out"\ntopic = "t"\n')
    assert inbox("migrate", sink).code == 0
    sink.sql(
        "CREATE TABLE public.events_out"
        " (event_id uuid PRIMARY KEY, type text, payload json, status text, created_at timestamp);"
        "INSERT INTO public.events_out SELECT gen_random_uuid(), 'T', '1', status, now()"
        " FROM unnest(ARRAY['NEW', 'SENT', 'NEW', 'FAILED']) AS status"
    )

    assert json.loads(inbox("status", "--json", sink).out)["outbox"]["waiting"] == 2


def test_a_log_that_ends_before_the_ledger_has_no_lag_and_a_notice(sink: Sink, inbox: Callable[..., Result]) -> None:
    assert inbox("run", "--until-end", sink).code == 0
    sink.sql("UPDATE inbox.partitions SET next_offset = 99 WHERE partition = 1")
    told = inbox("status", sink)
    assert f"{sink.topic}[1]: the ledger expects offset 99 next, but the log ends at 0; run `inbox check`" in (
        told.out + told.err
    )


def test_a_topic_that_was_made_anew_is_told_although_its_log_is_long_enough(
    sink: Sink, inbox: Callable[..., Result]
) -> None:
    assert inbox("run", "--until-end", sink).code == 0
    sink.sql("UPDATE inbox.partitions SET topic_id = gen_random_uuid()")
    told = inbox("status", sink)
    said = f"topic {sink.topic} was deleted and created again: its end offsets are not of the log that the ledger "
    assert said in told.out + told.err


def test_a_transaction_that_a_producer_leaves_open_is_told_although_the_lag_is_0(sink: Sink, inbox: Inbox) -> None:
    sink.produce(20)
    assert inbox("run", "--until-end", sink).code == 0
    producer = transactional_producer(sink.bootstrap_servers, unique_name("producer"))
    producer.begin_transaction()
    for _ in range(3):
        producer.produce(sink.topic, b"{}", partition=0)
    assert producer.flush(120) == 0

    told = json.loads(inbox("status", "--json", sink).out)

    row = told["partitions"][0]
    assert (row["lag"], row["held_back"], row["high_watermark"]) == (0, 3, row["end_offset"] + 3)
    assert datetime.now(UTC) - datetime.fromisoformat(row["open_transaction_since"]) < timedelta(minutes=5)
    assert (told["partitions"][1]["held_back"], told["partitions"][1]["open_transaction_since"]) == (0, None)
    said = inbox("status", sink).out.replace("\n", " ")
    assert f"{sink.topic}[0]: a producer's transaction has been open for " in said
    producer.abort_transaction(30)
    assert json.loads(inbox("status", "--json", sink).out)["partitions"][0]["held_back"] == 0
