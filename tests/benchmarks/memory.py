"""How much memory a worker takes at its peak, whatever the topic holds.

Values of 1 MB in many partitions, headers of 50 kB, parked keys of 900 kB, a value that gzip makes a thousandth of.
What the configuration bounds is the same however much there is to read, so a backlog only has to be several times
what may be held. The real `inbox run --until-end`, in a process of its own; rows are counted afterwards. Fails above
what docs/reference/configuration.md promises.
"""

import argparse
import os
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from confluent_kafka import Producer

from inbox.dev.backends import Servers, servers
from tests.benchmarks.processes import usage_until_the_end
from tests.benchmarks.throughput import INBOX, database, migrated
from tests.support.kafka_topics import create_topic

TABLE = "CREATE TABLE sizes (number bigint PRIMARY KEY, characters integer)"
ROUTE = """
[routes.table]
name = "public.sizes"
mode = "append"
[routes.table.columns]
number = "/number"
"""
MEGABYTE = 1_000_000
BOUND = 100 * MEGABYTE + 8 * (16 << 20)
"""What a worker may take with the configuration that it has by default."""


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """Events for a sink to take, in turn into each partition: of each so many bytes in its key, value and headers.

    `poison`: none of them can be applied, for its value is no number. `codec` is how they are compressed.
    """

    events: int
    partitions: int = 1
    value_bytes: int = 0
    header_bytes: int = 0
    key_bytes: int = 0
    poison: bool = False
    codec: str = "none"

    @property
    def event_bytes(self) -> int:
        return self.value_bytes + self.header_bytes + self.key_bytes

    def fill(self, bootstrap_servers: str, topic: str) -> None:
        properties = {
            "message.max.bytes": min(2 * self.event_bytes + 10_000, 1_000_000_000),
            "queue.buffering.max.kbytes": max(65_536, self.event_bytes // 500),
            "compression.type": self.codec,
            "linger.ms": 5,
        }
        producer = Producer({"bootstrap.servers": bootstrap_servers, **properties})
        note, headers = "x" * self.value_bytes, [("padding", b"x" * self.header_bytes)] if self.header_bytes else []
        for number in range(self.events):
            shown = '"none"' if self.poison else number
            value = f'{{"number": {shown}, "note": "{note}"}}'
            event_id = ("event_id", str(uuid.uuid4()).encode())
            key = b"%d" % number + b"k" * self.key_bytes if self.key_bytes else None
            while True:
                try:
                    producer.produce(topic, value, key, number % self.partitions, headers=[event_id, *headers])
                except BufferError:
                    producer.poll(0.5)
                else:
                    break
            producer.poll(0)
        producer.flush()


def filled(running: Servers, backlog: Backlog) -> str:
    """Return the name of a topic with these events."""
    largest = 2 * backlog.event_bytes + 10_000 if backlog.codec == "none" else MEGABYTE
    topic = create_topic(running.bootstrap_servers, partitions=backlog.partitions, max_message_bytes=largest)
    backlog.fill(running.bootstrap_servers, topic)
    return topic


class Trial:
    """A sink of one topic with a database of its own."""

    def __init__(self, url: str, config: Path) -> None:
        self._url = url
        self._config = config

    def run(self, **sink: str) -> int:
        """Return the worker's peak in bytes; `sink` are settings of that table: `batch_bytes="4 MiB"`."""
        variables = {f"INBOX_SINK__{name.upper()}": value for name, value in sink.items()}
        errors = self._config.with_name("log")
        with errors.open("wb") as log:
            command = [*INBOX, "run", "--until-end", "--config", str(self._config)]
            process = subprocess.Popen(command, stderr=log, env={**os.environ, **variables})
            used = usage_until_the_end(process)
        if process.returncode != 0:
            raise SystemExit(f"the worker failed:\n{errors.read_text()[-2000:]}")
        return int(used.peak_megabytes * (1 << 20))

    def expect(self, *, rows: int = 0, letters: int = 0) -> None:
        """Raise SystemExit unless so many events were applied, and so many parked."""
        with psycopg.connect(self._url) as connection:
            found = connection.execute(
                "SELECT (SELECT count(*) FROM sizes), (SELECT count(*) FROM inbox.dead_letters)"
            ).fetchone()
        if found != (rows, letters):
            raise SystemExit(f"{found} rows and dead letters instead of {rows} and {letters}")


@contextmanager
def trial(running: Servers, topic: str) -> Iterator[Trial]:
    """A sink that has not read anything."""
    with database(running) as url, tempfile.TemporaryDirectory() as directory:
        with psycopg.connect(url) as connection:
            connection.execute(TABLE.encode())
        yield Trial(url, migrated(running, topic, url, Path(directory), ROUTE))


def measure(running: Servers, topic: str, events: int, **sink: str) -> float:
    """Return a worker's peak in MB, once it applied all events of the topic."""
    with trial(running, topic) as made:
        peak = made.run(**sink)
        made.expect(rows=events)
    return peak / MEGABYTE


def values_of_1_mb(running: Servers, scale: float) -> Iterator[tuple[str, int, int]]:
    """Three times what may be held, then six times."""
    for events in (int(1500 * scale), int(3000 * scale)):
        topic = filled(running, Backlog(events=events, partitions=int(500 * scale), value_bytes=MEGABYTE))
        with trial(running, topic) as made:
            yield f"{events:,} values of 1 MB", made.run(), BOUND
            made.expect(rows=events)


def headers_of_50_kb(running: Servers, scale: float) -> Iterator[tuple[str, int, int]]:
    """Values are small: nothing but headers is large."""
    events = int(16_000 * scale)
    with trial(running, filled(running, Backlog(events=events, partitions=20, header_bytes=50_000))) as made:
        yield f"{events:,} events with 50 kB of headers", made.run(), BOUND
        made.expect(rows=events)


def parked_keys_of_900_kb(running: Servers, scale: float) -> Iterator[tuple[str, int, int]]:
    """As they are parked, and at the next start."""
    events = int(400 * scale)
    topic = filled(running, Backlog(events=events, key_bytes=900_000, poison=True))
    with trial(running, topic) as made:
        yield f"{events:,} events with keys of 900 kB, parked", made.run(), BOUND
        Backlog(events=1).fill(running.bootstrap_servers, topic)
        yield f"a start with {events:,} parked keys of 900 kB", made.run(), BOUND
        made.expect(rows=1, letters=events)


def one_value_that_compresses_well(running: Servers, scale: float) -> Iterator[tuple[str, int, int]]:
    """Parked, since it is larger than the largest event; librdkafka's copy and Python's are there at one time."""
    size = int(300 * MEGABYTE * scale)
    topic = filled(running, Backlog(events=1, value_bytes=size, codec="gzip"))
    with trial(running, topic) as made:
        yield f"a value of {size // MEGABYTE} MB, compressed by gzip", made.run(), BOUND + 2 * size
        made.expect(letters=1)


CASES = {
    "values": values_of_1_mb,
    "headers": headers_of_50_kb,
    "keys": parked_keys_of_900_kb,
    "decompression": one_value_that_compresses_well,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="a part of all events and sizes, for a short run")
    parser.add_argument("--only", choices=CASES, nargs="*", default=list(CASES))
    given = parser.parse_args()
    exceeded = False
    with servers(progress=print) as running:
        for case in given.only:
            for name, peak, bound in CASES[case](running, given.scale):
                print(f"{name}: {peak / MEGABYTE:,.0f} MB (bound: {bound / MEGABYTE:,.0f} MB)", flush=True)
                exceeded |= peak > bound
    if exceeded:
        raise SystemExit("more than the documentation promises")


if __name__ == "__main__":
    main()
