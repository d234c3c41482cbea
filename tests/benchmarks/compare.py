"""This sink beside what a user would pick instead, and beside the limits of the machine, in one run.

Round after round each contender takes the same topic into an empty table, on a fresh database with fsync on; the
rows are counted afterwards. The clock of a contender runs from its first row that another connection sees to its
last, so that no start of a process, join of a group or making of a connector is in it. CPU is counted over the
same time.
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
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from inbox.dev.backends import Servers, servers
from tests.benchmarks.connect import JdbcSink, KafkaConnect
from tests.benchmarks.orders import PARTITIONS, TABLE, TABLE_ROUTE, fill, last_of_each_partition
from tests.benchmarks.processes import Usage, parent_of, usage
from tests.benchmarks.throughput import INBOX, database, migrated
from tests.kafka_topics import create_topic
from tests.sinks import offer_handlers
from tests.waiting import eventually

ALL_THERE = "SELECT count(*) = %s FROM orders WHERE order_id = ANY (%s)"
GIVES_UP_SECONDS = 300.0
HANDLER_ROUTE = 'handler = "upsert"'
HANDLERS = {"upsert": "tests.benchmarks.handlers:upsert"}


@dataclass(frozen=True)
class Ground:
    """What a contender works on."""

    servers: Servers
    topic: str
    url: str
    directory: Path

    def migrated(self, route: str) -> Path:
        return migrated(self.servers, self.topic, self.url, self.directory, route)


@dataclass(frozen=True)
class Figures:
    """One contender in one round; CPU in microseconds per event, without Kafka's."""

    events: int
    events_per_second: float
    client_cpu: float
    server_cpu: float
    peak_megabytes: float


Start = Callable[[Ground], AbstractContextManager[Sequence[int]]]
"""Starts a contender and gives its process ids; it ends with the context."""


def sink(route: str, *, workers: int = 1) -> Start:
    """`inbox run`."""

    @contextmanager
    def start(ground: Ground) -> Iterator[Sequence[int]]:
        config = ground.migrated(route)
        packages = offer_handlers(ground.directory / "packages", HANDLERS)
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(packages), os.environ.get("PYTHONPATH", "."), "."])}
        command = [*INBOX, "run", "--workers", str(workers), "--config", str(config)]
        with _process(command, ground.directory, environ) as pid:
            yield [pid]

    return start


def debezium(tasks: int) -> Start:
    """The Debezium JDBC sink on Kafka Connect."""

    @contextmanager
    def start(ground: Ground) -> Iterator[Sequence[int]]:
        connector = JdbcSink(ground.topic, ground.url, tasks)
        connect = KafkaConnect(ground.servers.bootstrap_servers, connector.properties())
        try:
            yield [connect.start()]
        finally:
            connect.close()

    return start


def loop(batch: int) -> Start:
    """A plain psycopg loop."""

    @contextmanager
    def start(ground: Ground) -> Iterator[Sequence[int]]:
        command = [sys.executable, "-m", "tests.benchmarks.loops", ground.servers.bootstrap_servers, ground.topic]
        with _process([*command, ground.url, "--batch", str(batch)], ground.directory, dict(os.environ)) as pid:
            yield [pid]

    return start


@contextmanager
def _process(command: Sequence[str], directory: Path, environ: dict[str, str]) -> Iterator[int]:
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environ)
        try:
            yield process.pid
            if process.poll() is not None:
                raise SystemExit(f"{command} ended:\n{(directory / 'log').read_text()[-2000:]}")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


@dataclass(frozen=True)
class Contender:
    """`share` of the events is enough for one that is slow."""

    name: str
    start: Start
    share: float = 1.0


CONTENDERS = [
    Contender("kafka-inbox, table route", sink(TABLE_ROUTE)),
    Contender("kafka-inbox, table route, 2 workers", sink(TABLE_ROUTE, workers=2)),
    Contender("kafka-inbox, handler per event", sink(HANDLER_ROUTE), 0.25),
    Contender("Debezium JDBC sink, 1 task", debezium(1)),
    Contender("Debezium JDBC sink, 4 tasks", debezium(4)),
    Contender("psycopg loop, 5,000 a transaction", loop(5000), 0.25),
    Contender("psycopg loop, 1 a transaction", loop(1), 0.01),
]


def measure(contender: Contender, running: Servers, topic: str, events: int) -> Figures:
    with _ground(running, topic) as (ground, watcher), contender.start(ground) as pids:
        postmaster = parent_of(watcher.info.backend_pid)
        _await(watcher, "SELECT EXISTS (SELECT FROM orders)")
        began, client, server = time.perf_counter(), usage(pids), usage([postmaster])
        _await(watcher, ALL_THERE, PARTITIONS, last_of_each_partition(events))
        seconds, after, server_after = time.perf_counter() - began, usage(pids), usage([postmaster])
        rows = watcher.execute("SELECT count(*) FROM orders").fetchone()
        if rows != (events,):
            raise SystemExit(f"{contender.name}: {rows} rows of {events} events")
    return Figures(
        events=events,
        events_per_second=events / seconds,
        client_cpu=_per_event(client, after, events),
        server_cpu=_per_event(server, server_after, events),
        peak_megabytes=after.peak_megabytes,
    )


def measure_limit(limit: str, running: Servers, topic: str, events: int) -> Figures:
    """Kafka or the database alone; see `tests.benchmarks.limits`."""
    with _ground(running, topic) as (ground, watcher):
        place = [running.bootstrap_servers, topic] if limit == "consume" else [ground.url]
        ground.migrated(TABLE_ROUTE)
        postmaster = parent_of(watcher.info.backend_pid)
        server = usage([postmaster])
        command = [sys.executable, "-m", "tests.benchmarks.limits", limit, *place, "--events", str(events)]
        told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        server_after = usage([postmaster])
    return Figures(
        events=events,
        events_per_second=events / told["seconds"],
        client_cpu=told["cpu_seconds"] / events * 1e6,
        server_cpu=_per_event(server, server_after, events),
        peak_megabytes=told["peak_megabytes"],
    )


@contextmanager
def _ground(running: Servers, topic: str) -> Iterator[tuple[Ground, psycopg.Connection]]:
    """A database of its own with the empty table, and a connection that looks at it."""
    with (
        database(running) as url,
        tempfile.TemporaryDirectory() as directory,
        psycopg.connect(url, autocommit=True) as watcher,
    ):
        watcher.execute(TABLE.encode())
        yield Ground(running, topic, url, Path(directory)), watcher


def _per_event(before: Usage, after: Usage, events: int) -> float:
    return (after.cpu_seconds - before.cpu_seconds) / events * 1e6


def _await(watcher: psycopg.Connection, question: str, *parameters: object) -> None:
    eventually(
        lambda: watcher.execute(question.encode(), parameters or None).fetchone() == (True,),
        within=GIVES_UP_SECONDS,
        what=question,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="contenders whose name has this in it")
    parser.add_argument("--output", type=Path, default=Path("comparison.json"))
    arguments = parser.parse_args()
    wanted = [contender for contender in CONTENDERS if arguments.only in contender.name]
    results: dict[str, list[Figures]] = {}
    with servers(progress=print) as running:
        topics: dict[int, str] = {}

        def topic_of(events: int) -> str:
            if events not in topics:
                topics[events] = create_topic(running.bootstrap_servers, partitions=PARTITIONS)
                fill(running.bootstrap_servers, topics[events], events)
            return topics[events]

        for number in range(arguments.rounds):
            for limit in ("consume", "write") if not arguments.only else ():
                figures = measure_limit(limit, running, topic_of(arguments.events), arguments.events)
                results.setdefault(f"limit: {limit}", []).append(figures)
                print(number + 1, limit, _line(figures), flush=True)
            for contender in wanted:
                events = int(arguments.events * contender.share)
                figures = measure(contender, running, topic_of(events), events)
                results.setdefault(contender.name, []).append(figures)
                print(number + 1, contender.name, _line(figures), flush=True)
        report = _report(results, running)
    arguments.output.write_text(json.dumps(report, indent=2) + "\n")
    print("\n" + _table(results))


def _line(figures: Figures) -> str:
    return (
        f"{figures.events_per_second:,.0f} events/s, CPU {figures.client_cpu:.1f} + {figures.server_cpu:.1f} us, "
        f"{figures.peak_megabytes:,.0f} MB"
    )


def _median(rounds: Sequence[Figures], field: str) -> float:
    return statistics.median(float(getattr(figures, field)) for figures in rounds)


def _table(results: dict[str, list[Figures]]) -> str:
    lines = ["| | events/s | client CPU, us | server CPU, us | peak MB |", "|---|---|---|---|---|"]
    for name, rounds in results.items():
        rates = [figures.events_per_second for figures in rounds]
        lines.append(
            f"| {name} | {statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f}) "
            f"| {_median(rounds, 'client_cpu'):.1f} | {_median(rounds, 'server_cpu'):.1f} "
            f"| {_median(rounds, 'peak_megabytes'):.0f} |"
        )
    return "\n".join(lines)


def _report(results: dict[str, list[Figures]], running: Servers) -> dict[str, object]:
    return {
        "machine": platform.platform(),
        "cores": os.cpu_count(),
        "servers": running.description,
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
        "rounds": {name: [asdict(figures) for figures in rounds] for name, rounds in results.items()},
    }


if __name__ == "__main__":
    main()
