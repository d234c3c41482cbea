"""This sink beside what a user would pick instead, and beside the limits of the machine, in one run.

Round after round each contender takes the same topic into an empty table, on a fresh database with fsync on; the
rows are counted and summed up afterwards. The clock of a contender runs from when another connection sees a fifth of
each partition, and all workers have some, to its last rows: no start of a process, no join of a group and no warming
up of a JVM is in it, and what was there at that look does not count. CPU is counted over the same time.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import cache
from pathlib import Path
from uuid import uuid4

import psycopg

from inbox.dev.backends import Servers, servers
from tests.benchmarks.contenders import CONTENDERS, Contender, Ground
from tests.benchmarks.figures import CONSUME, WRITE, Figures, ratios, report, table
from tests.benchmarks.orders import EXISTING, PARTITIONS, TABLE, TABLE_ROUTE, fill, of_each_partition, order, value
from tests.benchmarks.processes import Usage, parent_of, usage
from tests.benchmarks.throughput import database
from tests.support.kafka_topics import create_topic
from tests.support.waiting import eventually

ALL_THERE = "SELECT count(*) = %s FROM orders WHERE order_id = ANY (%s) AND quantity IS NOT NULL"
TAKEN = "SELECT count(*) FROM orders WHERE quantity IS NOT NULL"
SUMS = "SELECT count(*), sum(order_id), sum(amount), sum(quantity) FROM orders"
GIVES_UP_SECONDS = 300.0
WARM_UP = 5
LIMITS = {"consume": CONSUME, "write": WRITE}


def measure(contender: Contender, running: Servers, topic: str, events: int) -> Figures:
    with (
        _ground(running, topic, existing=events if contender.updates else 0) as (ground, watcher),
        contender.start(ground) as pids,
    ):
        postmaster = parent_of(watcher.info.backend_pid)
        _await(watcher, ALL_THERE, PARTITIONS, of_each_partition(events // WARM_UP))
        _await(watcher, contender.joined)
        began, client, server = time.perf_counter(), usage(pids), usage([postmaster])
        counted = events - _rows(watcher)
        _await(watcher, ALL_THERE, PARTITIONS, of_each_partition(events))
        seconds, after, server_after = time.perf_counter() - began, usage(pids), usage([postmaster])
        _verify(watcher, contender.name, events)
    return Figures(
        events=events,
        events_per_second=counted / seconds,
        client_cpu=_per_million(client, after, counted),
        server_cpu=_per_million(server, server_after, counted),
        peak_megabytes=after.peak_megabytes,
    )


def _rows(watcher: psycopg.Connection) -> int:
    (rows,) = watcher.execute(TAKEN).fetchone() or (0,)
    return int(rows)


def _verify(watcher: psycopg.Connection, name: str, events: int) -> None:
    if (found := watcher.execute(SUMS).fetchone()) != (expected := _sums(events)):
        raise SystemExit(f"{name}: the table holds {found}, not {expected} (rows, ids, amounts, quantities)")


@cache
def _sums(events: int) -> tuple[int, int, Decimal, int]:
    rows, ids, amounts, quantities = 0, 0, Decimal(), 0
    for each in map(order, range(events)):
        rows, ids = rows + 1, ids + each["order_id"]
        amounts, quantities = amounts + Decimal(each["amount"]), quantities + each["quantity"]
    return rows, ids, amounts, quantities


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
        server_cpu=_per_million(server, server_after, events),
        peak_megabytes=told["peak_megabytes"],
    )


@contextmanager
def _ground(running: Servers, topic: str, *, existing: int = 0) -> Iterator[tuple[Ground, psycopg.Connection]]:
    """A database of its own with the table, and a connection that looks at it; `existing` rows are there already."""
    with (
        database(running) as url,
        tempfile.TemporaryDirectory() as directory,
        psycopg.connect(url, autocommit=True) as watcher,
    ):
        watcher.execute(TABLE.encode())
        if existing:
            watcher.execute(EXISTING, (existing,))
            watcher.execute("VACUUM ANALYZE orders")
            watcher.execute("CHECKPOINT")
        yield Ground(running, topic, url, Path(directory)), watcher


def _per_million(before: Usage, after: Usage, events: int) -> float:
    return (after.cpu_seconds - before.cpu_seconds) / events * 1e6


def _await(watcher: psycopg.Connection, question: str, *parameters: object) -> None:
    eventually(
        lambda: watcher.execute(question.encode(), parameters or None).fetchone() == (True,),
        within=GIVES_UP_SECONDS,
        what=question,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=[""], nargs="+", help="contenders whose name has one of these in it")
    parser.add_argument("--output", type=Path, default=Path("comparison.json"))
    arguments = parser.parse_args()
    wanted = [each for each in CONTENDERS if any(part in each.name for part in arguments.only)]
    limits = "" in arguments.only
    results: dict[str, list[Figures]] = {}
    with servers(progress=print) as running:
        topics = Topics(running)
        for number in range(arguments.rounds):
            for name, figures in _round(running, topics, wanted, arguments.events, limits=limits):
                results.setdefault(name, []).append(figures)
                print(f"{number + 1}: {name}: {figures}", flush=True)
        found = report(results, running)
    arguments.output.write_text(json.dumps(found, indent=2) + "\n")
    print(f"\n{table(results)}\n")
    for name, ratio in ratios(results).items():
        print(f"{ratio:6.2f}  {name}")


class Topics:
    """The topics of a run, each filled once."""

    def __init__(self, running: Servers) -> None:
        self._running = running
        self._names: dict[tuple[int, Callable[[int], bytes], bool], str] = {}

    def of(self, events: int, encode: Callable[[int], bytes] = value, *, bare: bool = False) -> str:
        if (events, encode, bare) not in self._names:
            name = create_topic(self._running.bootstrap_servers, partitions=PARTITIONS)
            fill(self._running.bootstrap_servers, name, events, encode, new_id=None if bare else uuid4)
            self._names[events, encode, bare] = name
        return self._names[events, encode, bare]


def _round(
    running: Servers, topics: Topics, wanted: Sequence[Contender], events: int, *, limits: bool
) -> Iterator[tuple[str, Figures]]:
    for limit, name in LIMITS.items() if limits else ():
        yield name, measure_limit(limit, running, topics.of(events), events)
    for contender in wanted:
        share = int(events * contender.share)
        yield (
            contender.name,
            measure(contender, running, topics.of(share, contender.encode, bare=contender.bare), share),
        )


if __name__ == "__main__":
    main()
