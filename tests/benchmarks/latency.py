"""How long an event takes from its producer to a row that another connection sees.

A producer in a process of its own sends events at an even rate, each with the time at which it was handed to
librdkafka. The sink appends them to a table; a connection looks for new rows every millisecond, so that what it
finds is late by up to that and its own query. The first seconds of each rate are not counted.

Idle: single events, far apart, counted from when the producer heard that Kafka has them.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from confluent_kafka import Producer

from inbox.dev.backends import Servers, servers
from tests.benchmarks.orders import PARTITIONS
from tests.benchmarks.throughput import INBOX, database, migrated
from tests.kafka_topics import create_topic
from tests.waiting import eventually

TABLE = "CREATE TABLE seen (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sent_at bigint, note text)"
ROUTE = """
[routes.table]
name = "public.seen"
mode = "append"
[routes.table.columns]
sent_at = "/sent_at"
note = "/note"
"""
NEW = "SELECT position, sent_at FROM seen WHERE position > %s ORDER BY position"
LOOK_SECONDS = 0.001
WARM_UP_SECONDS = 3.0
IDLE_SECONDS = 0.4


@dataclass(frozen=True)
class Latency:
    """Milliseconds; `rate` is events a second, 0 for an idle sink."""

    rate: int
    events: int
    p50: float
    p90: float
    p99: float
    largest: float


class Watcher:
    """Sees rows as they become visible, in the order of their commits: one worker writes them."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._position = 0

    def look(self) -> list[tuple[int, int]]:
        """When each new row was sent and when it was seen, in nanoseconds."""
        rows = self._connection.execute(NEW, [self._position]).fetchall()
        now = time.time_ns()
        if rows:
            self._position = rows[-1][0]
        else:
            time.sleep(LOOK_SECONDS)
        return [(sent_at, now) for _, sent_at in rows]


def latency(rate: int, seconds: Sequence[float]) -> Latency:
    ordered = sorted(1000 * each for each in seconds)
    p50, p90, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.9, 0.99))
    return Latency(rate, len(ordered), p50, p90, p99, ordered[-1])


def at_rate(running: Servers, topic: str, watcher: Watcher, rate: int, seconds: float) -> Latency:
    command = [sys.executable, "-m", "tests.benchmarks.latency", "--produce", str(rate), "--seconds", str(seconds)]
    place = ["--topic", topic, "--kafka", running.bootstrap_servers]
    events = int(rate * seconds)
    with subprocess.Popen([*command, *place]) as producer:
        seen: list[tuple[int, int]] = []
        deadline = time.monotonic() + seconds + 60
        while len(seen) < events and time.monotonic() < deadline:
            seen += watcher.look()
        if producer.wait(10) != 0 or len(seen) != events:
            raise SystemExit(f"{len(seen)} rows of {events} events")
    first = min(sent_at for sent_at, _ in seen)
    counted = [(at - sent_at) / 1e9 for sent_at, at in seen if sent_at - first > WARM_UP_SECONDS * 1e9]
    return latency(rate, counted)


def produce(bootstrap_servers: str, topic: str, rate: int, seconds: float) -> None:
    """Evenly, in steps of a millisecond."""
    producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True, "linger.ms": 0})
    began, sent = time.perf_counter(), 0
    while sent < rate * seconds:
        due = min(int((time.perf_counter() - began) * rate) + 1, int(rate * seconds))
        for _ in range(sent, due):
            _send(producer, topic)
        sent = max(sent, due)
        producer.poll(0)
        time.sleep(0.001)
    producer.flush()


def _send(producer: Producer, topic: str) -> None:
    value = json.dumps({"sent_at": time.time_ns(), "note": "x" * 200})
    producer.produce(topic, value, uuid.uuid4().bytes, headers=[("event_id", str(uuid.uuid4()).encode())])


def idle(running: Servers, topic: str, watcher: Watcher, events: int) -> Latency:
    """From when Kafka has an event: what came before it is long settled."""
    producer = Producer({"bootstrap.servers": running.bootstrap_servers, "acks": "all", "linger.ms": 0})
    taken = []
    for _ in range(events):
        time.sleep(IDLE_SECONDS)
        _send(producer, topic)
        producer.flush()
        stored = time.time_ns()
        seen: list[tuple[int, int]] = []
        while not seen:
            seen = watcher.look()
        taken.append(max(0, seen[0][1] - stored) / 1e9)
    return latency(0, taken)


@contextmanager
def sink(running: Servers, topic: str) -> Iterator[str]:
    """A running sink; the URL of its database."""
    with database(running) as url, tempfile.TemporaryDirectory() as directory:
        with psycopg.connect(url) as connection:
            connection.execute(TABLE.encode())
        config = migrated(running, topic, url, Path(directory), ROUTE)
        with (Path(directory) / "log").open("wb") as log:
            process = subprocess.Popen([*INBOX, "run", "--config", str(config)], stderr=log)
            try:
                eventually(lambda: owned(url) == PARTITIONS, within=30, what="the sink's partitions")
                yield url
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(30)


def owned(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(owner) FROM inbox.partitions").fetchone()
    return int(row[0]) if row else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", type=int, nargs="*", default=[1000, 20_000], help="events a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--idle", type=int, default=50, help="single events")
    parser.add_argument("--output", type=Path, default=Path("latency.json"))
    parser.add_argument("--produce", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--topic", help=argparse.SUPPRESS)
    parser.add_argument("--kafka", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.produce:
        produce(arguments.kafka, arguments.topic, arguments.produce, arguments.seconds)
        return
    with servers(progress=print) as running:
        topic = create_topic(running.bootstrap_servers, partitions=PARTITIONS)
        with sink(running, topic) as url:
            watcher = Watcher(url)
            found = [idle(running, topic, watcher, arguments.idle)] if arguments.idle else []
            found += [at_rate(running, topic, watcher, rate, arguments.seconds) for rate in arguments.rates]
        description = running.description
    report = {
        "machine": platform.platform(),
        "cores": os.cpu_count(),
        "servers": description,
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
        "milliseconds": [asdict(each) for each in found],
    }
    arguments.output.write_text(json.dumps(report, indent=2) + "\n")
    print(_table(found))


def _table(found: Sequence[Latency]) -> str:
    lines = ["| | events | p50, ms | p90 | p99 | largest |", "|---|---|---|---|---|---|"]
    for each in found:
        name = f"{each.rate:,} events/s" if each.rate else "idle, since Kafka has it"
        lines.append(
            f"| {name} | {each.events:,} | {each.p50:.1f} | {each.p90:.1f} | {each.p99:.1f} | {each.largest:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
