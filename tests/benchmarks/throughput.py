"""How fast one worker takes a topic into a table, how much memory it needs, and what a poison event costs.

Every run is the real `inbox run --until-end` in a process of its own, on a fresh database with fsync on;
rows are counted in the database afterwards. Rates count from the first assignment to the last commit, as
the ledger's clock tells, so that neither the interpreter's start nor the group's join is in them.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg
from confluent_kafka import Producer

from inbox.dev.backends import Servers, servers
from inbox.store.postgres.database_urls import with_database
from tests.benchmarks.orders import PARTITIONS, TABLE, order, produce
from tests.benchmarks.processes import usage_until_the_end
from tests.support.databases import create_database, drop_database
from tests.support.kafka_topics import create_topic

INBOX = [sys.executable, "-m", "inbox"]
POISON = b'{"order_id": "not a number"}'

CONFIG = """
[sink]
name = "bench"
[database]
url = "{url}"
[kafka]
"bootstrap.servers" = "{kafka}"
[[routes]]
topic = "{topic}"
event_id = "{event_id}"
{target}
"""

TABLE_ROUTE = """
[routes.table]
name = "public.orders"
mode = "upsert"
key = ["order_id"]
[routes.table.columns]
order_id = "/order_id"
customer = "/customer/name"
amount = "/amount"
quantity = "/quantity"
placed_at = "/placed_at"
note = "/note"
"""


@dataclass(frozen=True)
class Run:
    """One measured run; `cpu_seconds` is the worker's own, user and system."""

    events: int
    poison: int
    seconds: float
    events_per_second: float
    cpu_seconds: float
    peak_megabytes: float


def value(number: int) -> bytes:
    flat = order(number)
    return json.dumps({**flat, "customer": {"name": flat["customer"], "city": "Lisbon"}}).encode()


def fill(bootstrap_servers: str, topic: str, events: int, poison: int, poison_value: bytes = POISON) -> None:
    """`events` good ones, and poison spread evenly among them."""
    producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True, "linger.ms": 50})
    every = events // poison if poison else 0
    for number in range(events):
        produce(producer, topic, value(number), number)
        if every and number % every == every // 2:
            produce(producer, topic, poison_value, -1 - number)
    producer.flush()


@contextmanager
def database(running: Servers) -> Iterator[str]:
    name = f"bench_{uuid.uuid4().hex[:8]}"
    create_database(running.database_url, name)
    try:
        yield with_database(running.database_url, name)
    finally:
        drop_database(running.database_url, name)


def measure(
    running: Servers, topic: str, events: int, poison: int, *, table: str = TABLE, target: str = TABLE_ROUTE
) -> Run:
    with database(running) as url, tempfile.TemporaryDirectory() as directory:
        with psycopg.connect(url) as connection:
            connection.execute(table.encode())
        config = migrated(running, topic, url, Path(directory), target)
        cpu_seconds, peak, started_at = _run_worker([*INBOX, "run", "--until-end", "--config", str(config)], directory)
        return _verified(url, events, poison, cpu_seconds, peak, started_at)


def migrated(
    running: Servers, topic: str, url: str, directory: Path, target: str, event_id: str = "header:event_id"
) -> Path:
    """The configuration of a sink whose schema is there."""
    config = directory / "inbox.toml"
    config.write_text(
        CONFIG.format(url=url, kafka=running.bootstrap_servers, topic=topic, target=target, event_id=event_id)
    )
    subprocess.run([*INBOX, "migrate", "--config", str(config)], check=True, capture_output=True)
    return config


def _run_worker(command: list[str], directory: str) -> tuple[float, float, str]:
    """The worker's CPU seconds, its peak memory in MB, and when it was assigned its partitions."""
    log = Path(directory) / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stderr=errors)
        used = usage_until_the_end(process)
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    if process.returncode != 0:
        raise SystemExit(f"the worker failed:\n{log.read_text()[-2000:]}")
    assigned = next(line["timestamp"] for line in lines if line["event"] == "assigned")
    return used.cpu_seconds, used.peak_megabytes, assigned


def _verified(url: str, events: int, poison: int, cpu_seconds: float, peak: float, started_at: str) -> Run:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM inbox.processed),"
            " (SELECT count(*) FROM inbox.dead_letters WHERE state = 'parked'),"
            " extract(epoch FROM (SELECT max(updated_at) FROM inbox.partitions) - %s::timestamptz)",
            (started_at,),
        ).fetchone()
    assert row is not None
    rows, claims, parked, seconds = row
    if (rows, claims, parked) != (events, events, poison):
        raise SystemExit(f"wrong result: {rows} rows, {claims} claims, {parked} parked of {events} and {poison}")
    return Run(events, poison, float(seconds), events / float(seconds), cpu_seconds, peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--poison-among", type=int, default=100_000, help="events around one poison event")
    parser.add_argument("--large", type=int, default=4_000_000, help="events of the memory run; 0 leaves it out")
    parser.add_argument("--output", type=Path, default=Path("bench.json"))
    arguments = parser.parse_args()
    with servers(progress=print) as running:
        report = {"machine": platform.platform(), "cores": os.cpu_count(), "servers": running.description}
        print(f"{running.description}, {os.cpu_count()} cores")
        report["throughput"] = _rounds(running, arguments.events, 0, arguments.rounds)
        report["without_poison"], report["with_poison"] = _poison(running, arguments.poison_among, arguments.rounds)
        if arguments.large:
            report["large"] = _rounds(running, arguments.large, 0, 1)
    arguments.output.write_text(json.dumps(report, indent=2) + "\n")
    print(f"written to {arguments.output}")


def _rounds(running: Servers, events: int, poison: int, rounds: int) -> list[dict[str, float]]:
    topic = create_topic(running.bootstrap_servers, partitions=PARTITIONS)
    fill(running.bootstrap_servers, topic, events, poison)
    runs = [measure(running, topic, events, poison) for _ in range(rounds)]
    _print(f"{events:,} events", runs)
    return [asdict(run) for run in runs]


def _poison(running: Servers, events: int, rounds: int) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    """The same events without and with one that cannot be applied, in turn."""
    topics = {poison: create_topic(running.bootstrap_servers, partitions=PARTITIONS) for poison in (0, 1)}
    for poison, topic in topics.items():
        fill(running.bootstrap_servers, topic, events, poison)
    pairs = [(measure(running, topics[0], events, 0), measure(running, topics[1], events, 1)) for _ in range(rounds)]
    clean, poisoned = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    _print(f"{events:,} events", clean)
    _print(f"{events:,} events, 1 poison", poisoned)
    ratio = statistics.median(p.seconds / c.seconds for c, p in pairs)
    print(f"  one poison event costs {(ratio - 1) * 100:+.1f} % of the time (median of {rounds} pairs)")
    return [asdict(run) for run in clean], [asdict(run) for run in poisoned]


def _print(what: str, runs: list[Run]) -> None:
    rate = statistics.median(run.events_per_second for run in runs)
    cpu = statistics.median(run.cpu_seconds / run.events * 1e6 for run in runs)
    spread = f"{min(r.events_per_second for r in runs):,.0f} to {max(r.events_per_second for r in runs):,.0f}"
    peak = max(run.peak_megabytes for run in runs)
    print(f"{what:30} {rate:9,.0f} events/s ({spread})  worker {cpu:.1f} us/event  peak {peak:.0f} MB")


if __name__ == "__main__":
    main()
