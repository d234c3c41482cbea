"""A sink with one table route, as a user configures it, and ways to run commands on it."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions

from inbox.cli.program import result_of
from tests.conftest import MakeTopic
from tests.support.asking import ASKER
from tests.support.kafka_topics import admin, idempotent_producer, unique_name

CONFIGURATION = """
[sink]
name = {name}
[database]
url = {database_url}
start_timeout = "60s"
[kafka]
"bootstrap.servers" = {bootstrap_servers}
[[routes]]
topic = {topic}
[routes.table]
name = "public.orders"
mode = "upsert"
key = ["order_id"]
[routes.table.columns]
order_id = "/order_id"
"""


class Result(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Sink:
    """A configured sink: its file, and what the file names."""

    config: Path
    name: str
    topic: str
    database_url: str
    bootstrap_servers: str

    def produce(self, count: int) -> None:
        """Orders with new ids, stored on return; with keys, since what has none may all go to one partition."""
        producer = idempotent_producer(self.bootstrap_servers)
        for number in range(count):
            headers: list[tuple[str, str | bytes | None]] = [("event_id", str(uuid4()))]
            order = json.dumps({"order_id": number})
            producer.produce(self.topic, order, key=str(number), headers=headers)
        assert producer.flush(120) == 0

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """What the database answers, committed."""
        return ASKER.rows(self.database_url, query)

    def next_offsets(self) -> dict[int, int]:
        return dict(self.sql("SELECT partition, next_offset FROM inbox.partitions"))

    def group_offsets(self) -> dict[int, int]:
        client = admin(self.bootstrap_servers)
        asked = [ConsumerGroupTopicPartitions(self.name)]
        found = client.list_consumer_group_offsets(asked)[self.name].result(120)
        return {partition.partition: partition.offset for partition in found.topic_partitions}

    def configure(self, **parts: str) -> None:
        """Writes the file again with other parts."""
        given = {
            "name": self.name,
            "database_url": self.database_url,
            "bootstrap_servers": self.bootstrap_servers,
            "topic": self.topic,
        }
        self.config.write_text(CONFIGURATION.format(**{key: json.dumps(text) for key, text in (given | parts).items()}))


@pytest.fixture
def sink(tmp_path: Path, make_topic: MakeTopic, database_url: str, bootstrap_servers: str) -> Sink:
    """A sink that can start: two partitions, a migrated database, a table."""
    name, topic = unique_name("sink"), make_topic(partitions=2)
    made = Sink(tmp_path / "inbox.toml", name, topic, database_url, bootstrap_servers)
    made.configure()
    made.sql("CREATE TABLE public.orders (order_id bigint PRIMARY KEY)")
    return made


@pytest.fixture
def inbox(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Runs a command in this process: `inbox("status", "--json", sink)`."""

    def run(*arguments: str | Sink) -> Result:
        capsys.readouterr()
        code = result_of(arguments_of(*arguments))
        return Result(code, *capsys.readouterr())

    return run


@pytest.fixture
def start() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts a command as a process of its own, and ends it with the test."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str | Sink) -> "subprocess.Popen[str]":
        command = [sys.executable, "-P", "-m", "inbox", *arguments_of(*arguments)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def arguments_of(*arguments: str | Sink) -> list[str]:
    """Stands for the file of a sink where one is given."""
    return [
        text for part in arguments for text in (["--config", str(part.config)] if isinstance(part, Sink) else [part])
    ]


def logged(process: "subprocess.Popen[str]", event: str) -> dict[str, Any]:
    """Reads the JSON log of a process until this event, and returns its line."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith("{") and (found := json.loads(line))["event"] == event:
            return dict(found)
    raise AssertionError(f"no {event} in {lines}")
