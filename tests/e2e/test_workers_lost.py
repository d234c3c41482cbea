"""A worker that is killed, or stopped in the middle of a transaction: the others continue within a bound."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from tests.e2e.launcher import environment
from tests.support.kafka_topics import create_topic, idempotent_producer
from tests.support.sinks import write_configuration
from tests.support.waiting import eventually

pytestmark = pytest.mark.heavy

PARTITIONS = 4
TABLES = ("appended", "last")
SESSION_SECONDS = 6.0
TAKEOVER_SECONDS = 2.0
SOME_MORE_SECONDS = 5.0

ROUTES = """
[[routes]]
name = "append"
topic = "{topic}"
event_id = "value:/event"
[routes.table]
name = "public.appended"
mode = "append"
[routes.table.columns]
event = "/event"

[[routes]]
name = "last"
topic = "{topic}"
event_id = "value:/event"
[routes.table]
name = "public.last"
mode = "append"
[routes.table.columns]
event = "/event"
"""
"""The COMMIT of a batch is sent together with the rows of the last route."""


class Group:
    """Workers of one sink; none is started again. Events go to all partitions in turn."""

    def __init__(self, directory: Path, database_url: str, bootstrap_servers: str) -> None:
        self._directory = directory
        self.database_url = database_url
        self._topic = create_topic(bootstrap_servers, partitions=PARTITIONS)
        self._producer = idempotent_producer(bootstrap_servers)
        self._sent = 0
        self._config = write_configuration(
            directory / "inbox.toml",
            database_url=database_url,
            database=f'takeover_timeout = "{TAKEOVER_SECONDS:.0f}s"',
            bootstrap_servers=bootstrap_servers,
            routes=ROUTES.format(topic=self._topic),
        )
        for table in TABLES:
            self.sql(f"CREATE TABLE {table} (event integer, at timestamptz DEFAULT clock_timestamp())")

    def start(self, stack: ExitStack, name: str) -> subprocess.Popen[bytes]:
        log = stack.enter_context(self.log(name).open("wb"))
        command = [sys.executable, "-P", "-m", "inbox", "run", "--config", str(self._config)]
        process = stack.enter_context(subprocess.Popen(command, env=environment(), stdout=log, stderr=log))
        stack.callback(end, process)
        return process

    def log(self, name: str) -> Path:
        return self._directory / f"{name}.log"

    def said(self, name: str) -> list[str]:
        lines = self.log(name).read_text().splitlines()
        return [json.loads(line)["event"] for line in lines if line.startswith("{")]

    def send(self, count: int) -> None:
        for number in range(self._sent, self._sent + count):
            self._producer.produce(self._topic, json.dumps({"event": number}), partition=number % PARTITIONS)
        self._sent += count
        assert self._producer.flush(120) == 0

    def sql(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def owners(self) -> list[tuple[object, ...]]:
        return self.sql("SELECT DISTINCT owner FROM inbox.partitions WHERE owner IS NOT NULL")

    def eventually_applied(self) -> None:
        """Each event that was sent, exactly once."""
        eventually(
            lambda: self.sql("SELECT coalesce(sum(next_offset), 0) FROM inbox.partitions") == [(self._sent,)],
            what=f"{self._sent} settled offsets",
        )
        for table in TABLES:
            assert sorted(self.sql(f"SELECT event FROM {table}")) == [(number,) for number in range(self._sent)]  # noqa: S608

    def last_applied(self) -> float:
        """Return when the last event was applied, by the database's clock, in seconds since the epoch."""
        [(found,)] = self.sql("SELECT extract(epoch FROM max(at))::float FROM appended")
        assert isinstance(found, float)
        return found


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.kill()


@pytest.fixture
def group(tmp_path: Path, database_url: str, bootstrap_servers: str) -> Iterator[Group]:
    yield Group(tmp_path, database_url, bootstrap_servers)
    for log in sorted(tmp_path.glob("*.log")):
        print(f"{log.name}:\n{log.read_text()}")  # shown where the test failed


@pytest.fixture
def workers(group: Group) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two, which share the partitions."""
    with ExitStack() as stack:
        started = [group.start(stack, name) for name in ("first", "second")]
        eventually(lambda: len(group.owners()) == 2, what="two owners")
        group.send(40)
        group.eventually_applied()
        yield started


def test_what_a_killed_worker_had_goes_on_within_its_session_and_five_seconds(
    group: Group, workers: list[subprocess.Popen[bytes]]
) -> None:
    killed_at = time.time()
    workers[0].kill()
    group.send(40)
    group.eventually_applied()
    assert group.last_applied() - killed_at < SESSION_SECONDS + SOME_MORE_SECONDS


@pytest.mark.parametrize("table", TABLES, ids=["before its COMMIT is sent", "with its COMMIT under way"])
def test_a_worker_stopped_in_its_transaction_holds_nobody_up_and_goes_on_as_a_good_member(
    group: Group, workers: list[subprocess.Popen[bytes]], table: str
) -> None:
    stopped = workers[0].pid
    with psycopg.connect(group.database_url) as blocking:
        blocking.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        group.send(40)
        eventually(lambda: waiting(group) == 2, what="two transactions at the table")
        os.kill(stopped, signal.SIGSTOP)
        stopped_at = time.time()
    group.eventually_applied()
    assert group.last_applied() - stopped_at < SESSION_SECONDS + TAKEOVER_SECONDS + SOME_MORE_SECONDS
    # What is sent with its COMMIT the server ends by itself, so that no session is left to be ended.
    assert ("session-ended" in group.said("second")) is (table != TABLES[-1])

    os.kill(stopped, signal.SIGCONT)
    eventually(lambda: len(group.owners()) == 2, what="its share of the partitions")
    group.send(40)
    group.eventually_applied()
    assert [worker.poll() for worker in workers] == [None, None]
    assert group.said("first").count("fenced") <= 1


def waiting(group: Group) -> int:
    """Sessions that wait for a table; other databases of the server may be busy with other tests' remains."""
    [(count,)] = group.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'relation' AND datname = current_database()"
    )
    assert isinstance(count, int)
    return count
