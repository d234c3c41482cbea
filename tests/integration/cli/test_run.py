"""`inbox run` as a process: how it ends, and what it says."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from psycopg.conninfo import conninfo_to_dict

from tests.integration.cli.conftest import Result, Sink, logged
from tests.support.kafka_topics import admin
from tests.support.pages import get, listening
from tests.support.waiting import eventually

Start = Callable[..., "subprocess.Popen[str]"]
NOWHERE = "postgresql://inbox@127.0.0.1:1/inbox"


def test_until_end_takes_what_is_there_and_ends_with_0(sink: Sink, inbox: Callable[..., Result]) -> None:
    sink.produce(300)

    assert inbox("run", "--until-end", sink).code == 0

    assert sink.sql("SELECT count(*) FROM public.orders") == [(300,)]


def test_until_end_on_an_empty_topic_ends_with_0(sink: Sink, inbox: Callable[..., Result]) -> None:
    assert inbox("run", "--until-end", sink).code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0_and_the_group_knows_what_the_ledger_knows(
    sink: Sink, start: Start, number: signal.Signals
) -> None:
    sink.produce(300)
    process = start("run", sink)
    eventually(lambda: sum(sink.next_offsets().values()) == 300, what="300 settled offsets")

    process.send_signal(number)
    _, errors = process.communicate(timeout=120)

    assert process.returncode == 0, errors
    assert sink.group_offsets() == sink.next_offsets()


@pytest.mark.parametrize("away", [{"database_url": NOWHERE}, {"bootstrap_servers": "127.0.0.1:1"}])
def test_a_signal_ends_the_wait_for_a_server_at_once(sink: Sink, start: Start, away: dict[str, str]) -> None:
    sink.configure(**away)
    process = start("run", sink)
    logged(process, "outage")

    process.terminate()
    asked = time.monotonic()
    process.wait(timeout=10)

    assert process.returncode == 0
    assert time.monotonic() - asked < 5


def test_a_second_signal_ends_it_at_once(sink: Sink, start: Start) -> None:
    process = start("run", sink)
    logged(process, "assigned")
    with psycopg.connect(sink.database_url) as blocking:
        blocking.execute("LOCK TABLE public.orders IN ACCESS EXCLUSIVE MODE")
        sink.produce(10)
        eventually(lambda: waits_for_a_lock(sink), what="a batch that waits")
        process.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1)

        process.terminate()

        assert process.wait(timeout=120) == 128 + signal.SIGTERM


def test_workers_share_the_partitions_and_end_together(sink: Sink, start: Start) -> None:
    process = start("run", "--workers", "2", sink)
    sink.produce(300)
    eventually(lambda: len(owners(sink)) == 2, what="two owners")
    eventually(lambda: sum(sink.next_offsets().values()) == 300, what="300 settled offsets")

    process.terminate()

    assert process.wait(timeout=120) == 0
    assert sink.group_offsets() == sink.next_offsets()


def test_no_argument_of_a_supervisor_or_a_worker_holds_the_databases_password(sink: Sink, start: Start) -> None:
    password = str(conninfo_to_dict(sink.database_url)["password"])
    process = start("run", "--workers", "2", "-X", "client.id=seen", sink)
    eventually(lambda: len(owners(sink)) == 2, what="two owners")

    arguments = [Path(f"/proc/{pid}/cmdline").read_text() for pid in (process.pid, *owners(sink))]

    assert all("client.id=seen" in each for each in arguments)
    assert not [each for each in arguments if password in each or "postgresql://" in each]


def test_a_killed_worker_is_started_again_and_no_count_goes_back(sink: Sink, start: Start) -> None:
    port = listening(sink)
    process = start("run", "--workers", "2", sink)
    eventually(lambda: len(owners(sink)) == 2, what="two owners")
    sink.produce(300)
    eventually(lambda: applied(port, sink) == 300, what="300 events in the metrics of both")
    killed = owners(sink).pop()

    os.kill(killed, signal.SIGKILL)

    eventually(lambda: killed not in owners(sink) and len(owners(sink)) == 2, what="a new second owner")
    assert applied(port, sink) == 300
    sink.produce(100)
    eventually(lambda: applied(port, sink) == 400, what="400 events")
    eventually(lambda: get(port, "ready") == (200, "ok\n"), what="readiness")
    eventually(lambda: len(lines_of(port, "inbox_lag{")) == 2, what="the lag of both partitions")
    assert lines_of(port, "inbox_worker_restarts_total") == ["inbox_worker_restarts_total 1.0"]
    process.terminate()
    assert process.wait(timeout=120) == 0


def test_a_worker_that_halts_ends_all_with_4(sink: Sink, start: Start) -> None:
    process = start("run", "--workers", "2", sink)
    eventually(lambda: len(owners(sink)) == 2, what="two owners")

    sink.sql("UPDATE inbox.sink SET routes_revision = routes_revision + 1")
    sink.produce(100)

    assert process.wait(timeout=120) == 4


def test_workers_that_cannot_start_end_all_with_3(sink: Sink, inbox: Callable[..., Result], start: Start) -> None:
    sink.sql("DROP SCHEMA inbox CASCADE")
    assert start("run", "--workers", "2", sink).wait(timeout=120) == 3


def test_workers_end_in_order_when_their_supervisor_is_killed(sink: Sink, start: Start) -> None:
    process = start("run", "--workers", "2", sink)
    eventually(lambda: len(owners(sink)) == 2, what="two owners")
    workers = owners(sink)

    process.kill()
    process.wait(timeout=120)

    eventually(lambda: not any(alive(worker) for worker in workers), what="the end of the workers")


def test_workers_with_the_end_in_sight_end_with_0(sink: Sink, start: Start) -> None:
    sink.produce(300)
    process = start("run", "--workers", "2", "--until-end", sink)

    assert process.wait(timeout=120) == 0
    assert sum(sink.next_offsets().values()) == 300


def test_a_property_on_the_command_line_wins(sink: Sink, inbox: Callable[..., Result]) -> None:
    servers = sink.bootstrap_servers
    sink.configure(bootstrap_servers="127.0.0.1:1")

    assert inbox("run", "--until-end", "-X", f"bootstrap.servers={servers}", sink).code == 0


def test_the_probes_tell_how_it_is(sink: Sink, start: Start) -> None:
    port = listening(sink)
    process = start("run", sink)
    eventually(lambda: get(port, "ready") == (200, "ok\n"), what="readiness")
    assert get(port, "live") == (200, "ok\n")
    sink.produce(10)
    counted = f'inbox_events_total{{ending="applied",route="public.orders",topic="{sink.topic}"}} 10.0'
    eventually(lambda: counted in get(port, "metrics")[1], what="10 events in the metrics")
    assert get(port, "elsewhere") == (404, "there are /live, /ready and /metrics\n")

    process.terminate()

    assert process.wait(timeout=120) == 0


def test_while_it_waits_for_the_database_it_is_live_and_not_ready(sink: Sink, start: Start) -> None:
    sink.configure(database_url=NOWHERE)
    port = listening(sink)
    logged(start("run", sink), "outage")

    assert get(port, "live") == (200, "ok\n")
    assert get(port, "ready") == (503, "starting\n")


def test_an_address_that_is_taken_is_told_at_the_start(sink: Sink, start: Start, inbox: Callable[..., Result]) -> None:
    port = listening(sink)
    first = start("run", sink)
    logged(first, "assigned")

    result = inbox("run", sink)

    assert result.code == 3
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in result.err


def test_on_a_terminal_a_line_says_how_it_goes(sink: Sink) -> None:
    sink.produce(10)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-P", "-m", "inbox", "run", "--config", str(sink.config)]
    with subprocess.Popen(command, stderr=theirs, env={**os.environ, "TERM": "xterm", "COLUMNS": "120"}) as process:
        os.close(theirs)
        shown = b""
        while b"applied 10" not in shown:
            shown += os.read(ours, 4096)
        process.terminate()
        # A terminal that nobody reads from would stop the process in its last line.
        while chunk := read_on(ours):
            shown += chunk
    os.close(ours)
    assert process.returncode == 0
    assert b"events/s" in shown


def test_elsewhere_it_logs_json(sink: Sink, start: Start) -> None:
    sink.produce(1)
    process = start("run", "--until-end", sink)
    _, errors = process.communicate(timeout=120)
    assert "assigned" in [json.loads(line)["event"] for line in errors.splitlines()]


def lines_of(port: int, name: str) -> list[str]:
    """What the metrics say of it now; a worker that is silent for seconds takes its gauges along for a while."""
    return [line for line in get(port, "metrics")[1].splitlines() if line.startswith(name)]


def applied(port: int, sink: Sink) -> float:
    name = f'inbox_events_total{{ending="applied",route="public.orders",topic="{sink.topic}"}} '
    return sum(float(line[len(name) :]) for line in lines_of(port, name))


def waits_for_a_lock(sink: Sink) -> bool:
    query = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(sink.sql(query))


def owners(sink: Sink) -> set[int]:
    """The process ids in the owners' names."""
    rows = sink.sql("SELECT owner FROM inbox.partitions WHERE owner IS NOT NULL")
    return {int(owner.split(":")[1]) for (owner,) in rows}


def alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def read_on(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""


def test_a_group_whose_offsets_were_reset_is_told_them_again_without_a_new_event(sink: Sink, start: Start) -> None:
    sink.produce(20)
    process = start("run", sink)
    eventually(lambda: sum(sink.group_offsets().values()) == 20, what="the group's offsets")
    process.terminate()
    process.wait(timeout=120)
    reset = [TopicPartition(sink.topic, partition, 0) for partition in (0, 1)]
    client = admin(sink.bootstrap_servers)
    asked = [ConsumerGroupTopicPartitions(sink.name, reset)]
    client.alter_consumer_group_offsets(asked)[sink.name].result(120)
    assert sink.group_offsets() == {0: 0, 1: 0}

    process = start("run", sink)

    eventually(lambda: sink.group_offsets() == sink.next_offsets(), what="the ledger's offsets in the group")
    process.terminate()
    assert process.wait(timeout=120) == 0
