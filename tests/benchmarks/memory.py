"""How much memory a worker takes at its peak: values of 1 MB, many partitions, far behind.

What the configuration bounds is the same however much there is to read, so the backlog only has to be several times
what may be held. The real `inbox run --until-end`, in a process of its own; rows are counted afterwards.
"""

import argparse
import os
import subprocess
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path

import psycopg
from confluent_kafka import Producer

from inbox.dev.backends import Servers, servers
from tests.benchmarks.processes import usage_until_the_end
from tests.benchmarks.throughput import INBOX, database, migrated
from tests.kafka_topics import create_topic

TABLE = "CREATE TABLE sizes (number bigint PRIMARY KEY, characters integer)"
ROUTE = """
[routes.table]
name = "public.sizes"
mode = "append"
[routes.table.columns]
number = "/number"
"""
LARGEST_MEGABYTES = 300
"""What a worker may take with the configuration that it has by default."""


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """Events for a sink to take: of each so many bytes in its value and in its headers, in turn into each partition."""

    events: int
    partitions: int = 1
    value_bytes: int = 0
    header_bytes: int = 0

    @property
    def event_bytes(self) -> int:
        return self.value_bytes + self.header_bytes

    def fill(self, bootstrap_servers: str, topic: str) -> None:
        properties = {"message.max.bytes": 2 * self.event_bytes + 10_000, "queue.buffering.max.kbytes": 65536}
        producer = Producer({"bootstrap.servers": bootstrap_servers, "linger.ms": 5, **properties})
        note, headers = "x" * self.value_bytes, [("padding", b"x" * self.header_bytes)]
        for number in range(self.events):
            value = f'{{"number": {number}, "note": "{note}"}}'
            event_id = ("event_id", str(uuid.uuid4()).encode())
            while True:
                try:
                    producer.produce(topic, value, partition=number % self.partitions, headers=[event_id, *headers])
                except BufferError:
                    producer.poll(0.5)
                else:
                    break
            producer.poll(0)
        producer.flush()


def measure(running: Servers, topic: str, events: int, **sink: str) -> float:
    """The worker's peak in MB; `sink` are settings of that table: `batch_bytes="4 MiB"`."""
    with database(running) as url, tempfile.TemporaryDirectory() as directory:
        with psycopg.connect(url) as connection:
            connection.execute(TABLE.encode())
        config = migrated(running, topic, url, Path(directory), ROUTE)
        variables = {f"INBOX_SINK__{name.upper()}": value for name, value in sink.items()}
        with (Path(directory) / "log").open("wb") as log:
            command = [*INBOX, "run", "--until-end", "--config", str(config)]
            process = subprocess.Popen(command, stderr=log, env={**os.environ, **variables})
            used = usage_until_the_end(process)
        if process.returncode != 0:
            raise SystemExit(f"the worker failed:\n{(Path(directory) / 'log').read_text()[-2000:]}")
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT count(*) FROM sizes").fetchone()
        if row is None or row[0] != events:
            raise SystemExit(f"{row} rows of {events} events")
    return used.peak_megabytes


def filled(running: Servers, backlog: Backlog) -> str:
    """Return the name of a topic with these events."""
    largest = 2 * backlog.event_bytes + 10_000
    topic = create_topic(running.bootstrap_servers, partitions=backlog.partitions, max_message_bytes=largest)
    backlog.fill(running.bootstrap_servers, topic)
    return topic


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--partitions", type=int, default=500)
    parser.add_argument("--bytes", type=int, default=1_000_000, help="of each value")
    parser.add_argument("--events", type=int, nargs="*", default=[1500, 3000], help="so many, and so many more")
    given = parser.parse_args()
    with servers(progress=print) as running:
        for events in given.events:
            peak = measure(running, filled(running, given.partitions, events, given.bytes), events)
            size = f"{events:,} values of {given.bytes:,} bytes in {given.partitions} partitions"
            print(f"{size}: {peak:,.0f} MB (aim: {LARGEST_MEGABYTES} MB)", flush=True)
            if peak > LARGEST_MEGABYTES:
                raise SystemExit(1)


if __name__ == "__main__":
    main()
