"""This sink beside what a user would pick instead, and beside the limits of the machine, in one run.

Round after round each contender takes the same topic into an empty table, on a fresh database with fsync on; the
rows are counted and summed up afterwards. The clock of a contender runs from when another connection sees a third of
each partition, and all workers have some, to its last rows: no start of a process, no join of a group and no warming
up of a JVM is in it, and what was there at that look does not count. CPU is counted over the same time.

A contender that fails is left out of the rounds that follow, named at the end, and makes the exit code 1.
"""

import argparse
import fnmatch
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import cache
from itertools import count
from pathlib import Path

import psycopg

from inbox.dev.backends import Servers, servers
from inbox.errors import InboxError
from tests.benchmarks.aims import COMPARISONS, names_of_aims
from tests.benchmarks.contenders import CONTENDERS, Contender, ContenderError, Ground
from tests.benchmarks.figures import CONSUME, UPDATE, WRITE, Figures, report, table
from tests.benchmarks.orders import (
    CASTS,
    EXIST,
    EXISTING,
    NEW,
    PARTITIONS,
    TABLE_ROUTE,
    Shape,
    event_id,
    fill,
    of_each_partition,
    order,
    value,
)
from tests.benchmarks.processes import Usage, has_ended, parent_of, usage
from tests.benchmarks.throughput import database
from tests.support.kafka_topics import create_topic
from tests.support.waiting import eventually

ALL_THERE = "SELECT count(*) = %s FROM orders WHERE {} = ANY (%s) AND quantity IS NOT NULL"
TAKEN = "SELECT count(*) FROM orders WHERE quantity IS NOT NULL"
SUMS = "SELECT count(*), sum(order_id), sum(amount), sum(quantity) FROM orders"
GIVES_UP_SECONDS = 180.0
WARM_UP = 3
LIMITS = {CONSUME: "consume", WRITE: "write", UPDATE: "update"}


BY_NAME = {each.name: each for each in CONTENDERS}
NAMES = [*LIMITS, *BY_NAME]
FAILURES = (ContenderError, AssertionError, InboxError, OSError, psycopg.Error, subprocess.SubprocessError)


def measure(contender: Contender, running: Servers, topic: str, events: int) -> Figures:
    with (
        _ground(running, topic, contender.shape, events) as (ground, watcher),
        contender.start(ground) as pids,
    ):
        postmaster = parent_of(watcher.info.backend_pid)
        _await_rows(watcher, contender.shape, events // WARM_UP, pids)
        _await(watcher, pids, contender.joined)
        began, client, server = time.perf_counter(), usage(pids), usage([postmaster])
        counted = events - _rows(watcher)
        if not counted:
            raise ContenderError("all rows were there when the clock began; give it more events")
        _await_rows(watcher, contender.shape, events, pids)
        seconds, after, server_after = time.perf_counter() - began, usage(pids), usage([postmaster])
        _verify(watcher, events)
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


def _verify(watcher: psycopg.Connection, events: int) -> None:
    if (found := watcher.execute(SUMS).fetchone()) != (expected := _sums(events)):
        raise ContenderError(f"the table holds {found}, not {expected} (rows, ids, amounts, quantities)")


@cache
def _sums(events: int) -> tuple[int, int, Decimal, int]:
    rows, ids, amounts, quantities = 0, 0, Decimal(), 0
    for each in map(order, range(events)):
        rows, ids = rows + 1, ids + each["order_id"]
        amounts, quantities = amounts + Decimal(each["amount"]), quantities + each["quantity"]
    return rows, ids, amounts, quantities


def measure_limit(limit: str, running: Servers, topic: str, events: int) -> Figures:
    """Kafka or the database alone; see `tests.benchmarks.limits`."""
    with _ground(running, topic, EXIST if limit == "update" else NEW, events) as (ground, watcher):
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
def _ground(running: Servers, topic: str, shape: Shape, events: int) -> Iterator[tuple[Ground, psycopg.Connection]]:
    """A database of its own with the table, and a connection that looks at it."""
    with (
        database(running) as url,
        tempfile.TemporaryDirectory() as directory,
        psycopg.connect(url, autocommit=True) as watcher,
    ):
        watcher.execute(f"{shape.table}{CASTS}".encode())
        if shape.exist:
            watcher.execute(EXISTING, (events,))
            watcher.execute("VACUUM ANALYZE orders")
            watcher.execute("CHECKPOINT")
        yield Ground(running, topic, url, Path(directory)), watcher


def _per_million(before: Usage, after: Usage, events: int) -> float:
    return (after.cpu_seconds - before.cpu_seconds) / events * 1e6


def _await_rows(watcher: psycopg.Connection, shape: Shape, events: int, pids: Sequence[int]) -> None:
    """Return once the last order of each partition is there, among so many first ones."""
    keys = [shape.keys(number) for number in of_each_partition(events)]
    _await(watcher, pids, ALL_THERE.format(shape.key), PARTITIONS, keys)


def _await(watcher: psycopg.Connection, pids: Sequence[int], question: str, *parameters: object) -> None:
    eventually(
        lambda: watcher.execute(question.encode(), parameters or None).fetchone() == (True,) or _require_running(pids),
        within=GIVES_UP_SECONDS,
        what=question,
    )


def _require_running(pids: Sequence[int]) -> bool:
    """Return False, for a condition that asks on. Raises ContenderError if a process ended."""
    if any(map(has_ended, pids)):
        raise ContenderError("a process of it ended")
    return False


def main() -> None:
    arguments, wanted = _arguments()
    results: dict[str, list[Figures]] = {}
    failures: dict[str, str] = {}
    with servers(progress=print) as running:
        topics = Topics(running)
        for number in range(arguments.rounds):
            for name in wanted:
                if name not in failures:
                    _attempt(running, topics, name, arguments.events, results, failures)
                    print(f"{number + 1}: {name}: {failures.get(name) or results[name][-1]}", flush=True)
        found = [(each, value) for each in COMPARISONS if (value := each.value(results)) is not None]
        told = report(results, {each.name: value for each, value in found}, running)
    arguments.output.write_text(json.dumps(told, indent=2) + "\n")
    print(f"\n{table(results)}\n")
    print("\n".join(each.line(value) for each, value in found))
    if failures:
        raise SystemExit(f"failed, and left out of the rounds that followed: {'; '.join(failures)}")


def _arguments() -> tuple[argparse.Namespace, list[str]]:
    """Return the options, and the names of the contenders and limits to run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--only", nargs="+", metavar="NAME", default=["*"], help="these alone; * is any text")
    chosen.add_argument("--aims", action="store_true", help="only the contenders of which an aim speaks")
    parser.add_argument("--list", action="store_true", help="print the names, and run nothing")
    parser.add_argument("--output", type=Path, default=Path("comparison.json"))
    arguments = parser.parse_args()
    patterns = names_of_aims() if arguments.aims else arguments.only
    if unknown := [each for each in patterns if not fnmatch.filter(NAMES, each)]:
        parser.error(f"no contender is called {', '.join(map(repr, unknown))}; --list prints the names")
    wanted = [name for name in NAMES if any(fnmatch.fnmatchcase(name, each) for each in patterns)]
    if arguments.list:
        parser.exit(message="".join(f"{name}\n" for name in wanted))
    return arguments, wanted


def _attempt(
    running: Servers,
    topics: "Topics",
    name: str,
    events: int,
    results: dict[str, list[Figures]],
    failures: dict[str, str],
) -> None:
    """Add what was measured to the results, or the reason to the failures."""
    try:
        figures = _measured(running, topics, name, events)
    except FAILURES as error:
        failures[name] = f"FAILED: {type(error).__name__}: {error}"
    else:
        results.setdefault(name, []).append(figures)


class Topics:
    """The topics of a run, each filled once."""

    def __init__(self, running: Servers) -> None:
        self._running = running
        self._names: dict[tuple[int, Callable[[int], bytes], bool, bool], str] = {}

    def of(self, events: int, encode: Callable[[int], bytes] = value, *, bare: bool = False, typed: bool = True) -> str:
        key = events, encode, bare, typed
        if key not in self._names:
            name = create_topic(self._running.bootstrap_servers, partitions=PARTITIONS)
            new_id = None if bare else map(event_id, count()).__next__
            fill(self._running.bootstrap_servers, name, events, encode, new_id=new_id, typed=typed)
            self._names[key] = name
        return self._names[key]


def _measured(running: Servers, topics: Topics, name: str, events: int) -> Figures:
    if name in LIMITS:
        return measure_limit(LIMITS[name], running, topics.of(events), events)
    contender = BY_NAME[name]
    share = int(events * contender.share)
    topic = topics.of(share, contender.encode, bare=contender.bare, typed=contender.shape.typed)
    return measure(contender, running, topic, share)


if __name__ == "__main__":
    main()
