"""What bounds a sink from below: Kafka alone, and the database alone."""

import argparse
import json
import os
import time
import uuid
from collections.abc import Iterator

from confluent_kafka import Consumer
from pydantic import SecretStr

from inbox.reading.payload_hash import payload_hash
from inbox.store.inbox.claims import Claims, ClaimStore
from inbox.store.options import DatabaseOptions, TableMode, TableTarget
from inbox.store.postgres.batch_transaction import BatchTransaction
from inbox.store.postgres.connection import connect
from inbox.store.tables.parameters import TableEvents
from inbox.store.tables.writer import TableWriter
from tests.benchmarks.orders import COLUMNS, value
from tests.benchmarks.processes import usage
from tests.support.records import record
from tests.support.store.sources import sources

BATCH = 5000


def consume(bootstrap_servers: str, topic: str, events: int) -> tuple[float, float]:
    """Seconds, and those of CPU, from the first record to the last, of reading them and looking at nothing."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": f"{topic}-limit-{uuid.uuid4().hex}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    seen, started, cpu = 0, 0.0, time.process_time()
    while seen < events:
        messages = consumer.consume(BATCH, timeout=0.1)
        started = started or (time.perf_counter() if messages else 0.0)
        seen += len(messages)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    consumer.close()
    return seconds, cpu


def write(database_url: str, events: int, *, exist: bool = False) -> tuple[float, float]:
    """Seconds, and those of CPU, of claims and rows in transactions of a batch each, all events at hand and new.

    The rows are new too, unless they all `exist`.
    """
    connection = connect(DatabaseOptions(url=SecretStr(database_url)))
    target = TableTarget(
        name="public.orders",
        mode=TableMode.UPSERT,
        key=("order_id",),
        columns=sources({name: f"/{name}" for name in COLUMNS}),
    )
    writer, processed = TableWriter(connection, target), ClaimStore(connection, "inbox")
    transaction = BatchTransaction(connection, handlers=False)
    seconds = cpu = 0.0
    for claims, effects in _batches(events):
        started, cpu_started = time.perf_counter(), time.process_time()
        transaction.begin()
        with transaction.pipeline():
            processed.send_new(1, claims)
            writer.send(connection, effects, new=not exist, distinct=exist)
        transaction.commit()
        seconds += time.perf_counter() - started
        cpu += time.process_time() - cpu_started
    connection.close()
    return seconds, cpu


def _batches(events: int) -> Iterator[tuple[Claims, TableEvents]]:
    for first in range(0, events, BATCH):
        numbers = range(first, min(first + BATCH, events))
        records = [record(number, value=value(number)) for number in numbers]
        ids = sorted(uuid.uuid4().bytes for _ in numbers)
        hashes = [payload_hash(each) for each in records]
        yield Claims(ids, list(numbers), hashes, [1] * len(ids)), TableEvents(ids, [None] * len(ids), records)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("limit", choices=["consume", "write", "update"])
    parser.add_argument("place", nargs="+", help="bootstrap servers and a topic, or a database URL")
    parser.add_argument("--events", type=int, required=True)
    arguments = parser.parse_args()
    if arguments.limit == "consume":
        bootstrap_servers, topic = arguments.place
        seconds, cpu_seconds = consume(bootstrap_servers, topic, arguments.events)
    else:
        (database_url,) = arguments.place
        seconds, cpu_seconds = write(database_url, arguments.events, exist=arguments.limit == "update")
    peak = usage([os.getpid()]).peak_megabytes
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_megabytes": peak}))


if __name__ == "__main__":
    main()
