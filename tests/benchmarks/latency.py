"""How long an event takes from its producer to a row that another connection sees.

Each load is given in turn to the sink and to the floor, the least that could do the same (`floor.py`): what a busy
machine does to both is not the sink's. Medians of the rounds. Idle: single events, far apart, counted from when the
producer heard that Kafka has them.
"""

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from inbox.dev.backends import Servers, servers
from tests.benchmarks.arrivals import TABLE, Latency, Watcher, at_rate, one_by_one
from tests.benchmarks.orders import PARTITIONS
from tests.benchmarks.processes import usage
from tests.benchmarks.throughput import INBOX, database, migrated
from tests.support.kafka_topics import create_topic
from tests.support.waiting import eventually

ROUTE = """
[routes.table]
name = "public.seen"
mode = "append"
[routes.table.columns]
sent_at = "/sent_at"
note = "/note"
"""


@dataclass(frozen=True)
class Contender:
    """What takes events from its topic into its database, in a process that runs."""

    name: str
    topic: str
    watcher: Watcher
    pid: int


@dataclass(frozen=True)
class Measured:
    """One load on one contender; `rate` is events a second, 0 for single events; `cpu` its own, seconds of one core."""

    contender: str
    rate: int
    milliseconds: Latency
    cpu: float


def measured(running: Servers, contender: Contender, rate: int, seconds: float, singles: int) -> Measured:
    before = usage([contender.pid]).cpu_seconds
    place = running.bootstrap_servers, contender.topic, contender.watcher
    found = at_rate(*place, rate, seconds) if rate else one_by_one(*place, singles)
    return Measured(contender.name, rate, found, usage([contender.pid]).cpu_seconds - before)


@contextmanager
def sink(running: Servers) -> Iterator[Contender]:
    topic = create_topic(running.bootstrap_servers, partitions=PARTITIONS)
    with database(running) as url, tempfile.TemporaryDirectory() as directory:
        _prepare(url)
        config = migrated(running, topic, url, Path(directory), ROUTE)
        with (Path(directory) / "log").open("wb") as log:
            process = subprocess.Popen([*INBOX, "run", "--config", str(config)], stderr=log)
            try:
                eventually(lambda: owned(url) == PARTITIONS, within=30, what="the sink's partitions")
                yield Contender("kafka-inbox", topic, Watcher(url), process.pid)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(30)


@contextmanager
def floor(running: Servers) -> Iterator[Contender]:
    topic = create_topic(running.bootstrap_servers, partitions=PARTITIONS)
    with database(running) as url:
        _prepare(url)
        command = [sys.executable, "-m", "tests.benchmarks.floor", running.bootstrap_servers, topic, url]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                yield Contender("floor", topic, Watcher(url), process.pid)
            finally:
                process.kill()


def _prepare(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(TABLE.encode())


def owned(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(owner) FROM inbox.partitions").fetchone()
    return int(row[0]) if row else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", type=int, nargs="*", default=[1000, 20_000], help="events a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--idle", type=int, default=50, help="single events")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("latency.json"))
    given = parser.parse_args()
    with servers(progress=print) as running, sink(running) as ours, floor(running) as least:
        found = [
            measured(running, contender, rate, given.seconds, given.idle)
            for _ in range(given.rounds)
            for rate in ([0] if given.idle else []) + given.rates
            for contender in (least, ours)
        ]
        description = running.description
    report = {
        "machine": platform.platform(),
        "cores": os.cpu_count(),
        "servers": description,
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
        "rounds": [asdict(each) for each in found],
    }
    given.output.write_text(json.dumps(report, indent=2) + "\n")
    print(_table(found))


def _table(found: Sequence[Measured]) -> str:
    lines = ["| | | p50, ms | p90 | p99 | largest | CPU, us per event |", "|---|---|---|---|---|---|---|"]
    for rate, contender in dict.fromkeys((each.rate, each.contender) for each in found):
        rounds = [each for each in found if (each.rate, each.contender) == (rate, contender)]
        load = f"{rate:,} events/s" if rate else "idle, since Kafka has it"
        figures = [_median_of(rounds, name) for name in ("p50", "p90", "p99")]
        largest = max(each.milliseconds.largest for each in rounds)
        cpu = statistics.median(1e6 * each.cpu / each.milliseconds.events for each in rounds)
        cells = " | ".join(f"{figure:.1f}" for figure in [*figures, largest])
        lines.append(f"| {load} | {contender} | {cells} | {f'{cpu:.0f}' if rate else ''} |")
    return "\n".join(lines)


def _median_of(rounds: Sequence[Measured], percentile: str) -> float:
    return statistics.median(float(getattr(each.milliseconds, percentile)) for each in rounds)


if __name__ == "__main__":
    main()
