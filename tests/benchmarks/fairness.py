"""How long events of quiet partitions wait while a busy one of the same topic has a backlog.

One partition is filled before the sink starts; then one event at a time goes to each of the others in turn, at an even
rate, until the backlog is settled. Their latency is from the producer's call to the visible row.
"""

import argparse
import itertools
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
from confluent_kafka import Producer

from inbox.dev.backends import Servers, servers
from tests.benchmarks.arrivals import TABLE, Latency, Watcher, latency, send
from tests.benchmarks.latency import ROUTE
from tests.benchmarks.throughput import INBOX, database, migrated
from tests.support.kafka_topics import create_topic

BUSY = 0
EVERY_SECONDS = 0.01
SETTLED = "SELECT next_offset FROM inbox.partitions WHERE partition = %s"


def fill(producer: Producer, topic: str, events: int) -> None:
    for _ in range(events):
        send(producer, topic, BUSY, sent_at=0)
    producer.flush()


def measure(running: Servers, quiet: int, backlog: int) -> Latency:
    topic = create_topic(running.bootstrap_servers, partitions=1 + quiet)
    producer = Producer({"bootstrap.servers": running.bootstrap_servers, "linger.ms": 1})
    fill(producer, topic, backlog)
    with database(running) as url, tempfile.TemporaryDirectory() as directory:
        with psycopg.connect(url) as connection:
            connection.execute(TABLE.encode())
        config = migrated(running, topic, url, Path(directory), ROUTE)
        with (Path(directory) / "log").open("wb") as log:
            process = subprocess.Popen([*INBOX, "run", "--config", str(config)], stderr=log)
            try:
                return _meanwhile(url, producer, topic, quiet, backlog)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(30)


def _meanwhile(url: str, producer: Producer, topic: str, quiet: int, backlog: int) -> Latency:
    watcher, taken = Watcher(url), list[float]()
    partitions = itertools.cycle(range(1, 1 + quiet))
    next_at, sent, began = 0.0, 0, False
    with psycopg.connect(url, autocommit=True) as ledger:
        while True:
            rows = watcher.look()
            began = began or bool(rows)
            taken += [(at - sent_at) / 1e9 for sent_at, at in rows if sent_at]
            if not began:
                continue
            if time.monotonic() < next_at:
                continue
            next_at = time.monotonic() + EVERY_SECONDS
            row = ledger.execute(SETTLED, [BUSY]).fetchone()
            if row is not None and row[0] < backlog:
                send(producer, topic, next(partitions), sent_at=time.time_ns())
                producer.poll(0)
                sent += 1
            elif len(taken) == sent:
                producer.flush()
                return latency(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quiet", type=int, default=12, help="partitions")
    parser.add_argument("--backlog", type=int, default=400_000, help="events of the busy partition")
    given = parser.parse_args()
    with servers(progress=print) as running:
        found = measure(running, given.quiet, given.backlog)
    figures = ", ".join(f"{name} {getattr(found, name):,.0f} ms" for name in ("p50", "p90", "p99", "largest"))
    print(f"{given.quiet} quiet partitions beside one with {given.backlog:,} events to go: {figures}")


if __name__ == "__main__":
    main()
