"""Where the microseconds of an event go: each part of a table route's way by itself, on real servers.

The client's parts are timed by their thread's CPU over real records; the server's by the CPU of the backend, over
statements that differ by one thing each, in transactions of a batch, on a table and claims that begin empty.
"""

import argparse
import gc
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer
from pydantic import SecretStr

from inbox.dev.backends import servers
from inbox.events import Record, TopicPartition
from inbox.kafka.consumer import Polled
from inbox.sink.accumulator import BatchAccumulator
from inbox.sink.assignment import Assignment
from inbox.sink.batch import RouteBatch
from inbox.sink.decoder import TopicDecoder
from inbox.sink.event_id import identifier
from inbox.sink.routes import Route
from inbox.sink.settle.claims import claims_of
from inbox.store.inbox.claims import ClaimStore
from inbox.store.inbox.ledger import LedgerRow
from inbox.store.options import DatabaseOptions, TableMode, TableTarget
from inbox.store.postgres.connection import Connection, connect
from inbox.store.tables.parameters import TableEvents
from inbox.store.tables.writer import TableWriter
from tests.benchmarks.orders import COLUMNS, PARTITIONS, TABLE, TABLE_ROUTE, fill
from tests.benchmarks.processes import usage
from tests.benchmarks.throughput import database, migrated
from tests.support.kafka_topics import create_topic
from tests.support.store.sources import sources

PART, AT_ONCE = 1000, 2000
TARGET = TableTarget(
    name="public.orders",
    mode=TableMode.UPSERT,
    key=("order_id",),
    columns=sources({name: f"/{name}" for name in COLUMNS}),
)
TABLE_IN_PUBLIC = TABLE.replace("TABLE orders", "TABLE public.orders")
"""The sink's own statements look up no name there."""

EMPTY = ["TRUNCATE inbox.processed", "DROP TABLE IF EXISTS public.orders", TABLE_IN_PUBLIC, "CHECKPOINT"]

CAST = "SELECT count(u.document::jsonb) FROM unnest(%(document)s) AS u (document)"

Parts = Iterator[tuple[str, float]]


def consumed(bootstrap_servers: str, topic: str, events: int) -> tuple[list[Record], float]:
    """All records, and the CPU seconds of this thread that it took to get them."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": uuid.uuid4().hex,
            "auto.offset.reset": "earliest",
            "queued.min.messages": "100000",
        }
    )
    consumer.subscribe([topic])
    records: list[Record] = []
    started = time.thread_time()
    while len(records) < events:
        records += consumer.consume(AT_ONCE, timeout=0.1)
    seconds = time.thread_time() - started
    consumer.close()
    return records, seconds


def of_client(topic: str, records: Sequence[Record], accumulator: BatchAccumulator, writer: TableWriter) -> Parts:
    """Of the polling thread first, then of the writer's."""
    gc.collect()
    gc.freeze()
    yield "its headers become a list", _timed(lambda: [record.headers() for record in records])
    headers = [record.headers() or [] for record in records]
    identify = identifier("header:event_id", topic, None)
    pairs = list(zip(records, headers, strict=True))
    yield "its identity from a header", _timed(lambda: [identify(record, found, None) for record, found in pairs])

    def take() -> None:
        for start in range(0, len(records), AT_ONCE):
            accumulator.add(Polled(list(records[start : start + AT_ONCE])))

    yield "all of what becomes of it in the batch, those two included", _timed(take)
    events = accumulator.batch.of_route("orders")
    yield "its claim, with the hash of its value", _timed(lambda: [claims_of(part) for part in parts_of(events)])
    sent = writer._sent
    yield "its row's values", _timed(lambda: [sent.parameters(events_of(part)) for part in parts_of(events)])


def _accumulator(topic: str) -> BatchAccumulator:
    """As in a worker that owns all partitions, with a batch for all records."""
    assignment = Assignment("parts", reclaim_seconds=6)
    addresses = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    assignment.assigned(addresses)
    assignment.acquired([LedgerRow(number, address, 0, "parts", 1) for number, address in enumerate(addresses)])
    for address, _, _ in assignment.to_place():
        assignment.placed(address)
    route = Route(name="orders", topics=(topic,), target=TARGET, event_id="header:event_id")
    decoders = {topic: TopicDecoder(topic, None, [route])}
    accumulator = BatchAccumulator(decoders, assignment, batch_events=10**9, batch_bytes=10**12)
    accumulator.limit.at_least(10**9)
    return accumulator


def parts_of(events: RouteBatch) -> Iterator[RouteBatch]:
    return (events.between(start, start + PART) for start in range(0, len(events), PART))


def events_of(events: RouteBatch) -> TableEvents:
    return TableEvents(events.ids, events.types, events.records)


def of_server(connection: Connection, events: RouteBatch, writer: TableWriter) -> Parts:
    """A transaction for each five parts."""
    processed, sent = ClaimStore(connection, "inbox"), writer._sent
    evaluate = writer._statements.evaluate
    steps: dict[str, Callable[[RouteBatch], object]] = {
        "its claim": lambda part: processed.send_new(1, claims_of(part)),
        "its claim with care (ON CONFLICT, and which were duplicates)": lambda part: processed.claim(
            1, claims_of(part)
        ),
        "its value becomes jsonb": lambda part: connection.execute(CAST, sent.parameters(events_of(part))),
        "the columns, jsonb included": lambda part: connection.execute(evaluate, sent.parameters(events_of(part))),
        "its row, columns included": lambda part: writer.write(connection, events_of(part), new=True),
        "its row with care (ON CONFLICT)": lambda part: writer.write(connection, events_of(part)),
    }
    parts = list(parts_of(events))
    for name, step in steps.items():
        for statement in EMPTY:
            connection.execute(statement.encode())
        yield name, _of_backend(connection, parts, step)


def _of_backend(connection: Connection, parts: Sequence[RouteBatch], step: Callable[[RouteBatch], object]) -> float:
    pid = connection.info.backend_pid
    before = usage([pid]).cpu_seconds
    for start in range(0, len(parts), 5):
        connection.execute("BEGIN")
        for part in parts[start : start + 5]:
            step(part)
        connection.execute("COMMIT")
    return usage([pid]).cpu_seconds - before


def _timed(action: Callable[[], Any]) -> float:
    started = time.thread_time()
    action()
    return time.thread_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=300_000)
    events = parser.parse_args().events
    with servers(progress=print) as running, database(running) as url, tempfile.TemporaryDirectory() as directory:
        topic = create_topic(running.bootstrap_servers, partitions=PARTITIONS)
        fill(running.bootstrap_servers, topic, events)
        records, seconds = consumed(running.bootstrap_servers, topic, events)
        print(f"{running.description}; microseconds of CPU per event, {events:,} events\n\nclient")
        _print(events, [("librdkafka's record becomes a Python object", seconds)])
        with closing(connect(DatabaseOptions(url=SecretStr(url)))) as connection:
            connection.execute(TABLE_IN_PUBLIC.encode())
            migrated(running, topic, url, Path(directory), TABLE_ROUTE)
            writer, accumulator = TableWriter(connection, TARGET), _accumulator(topic)
            _print(events, of_client(topic, records, accumulator, writer))
            print("server")
            _print(events, of_server(connection, accumulator.batch.of_route("orders"), writer))


def _print(events: int, parts: Iterable[tuple[str, float]]) -> None:
    for name, seconds in parts:
        print(f"  {seconds / events * 1e6:6.2f}  {name}", flush=True)


if __name__ == "__main__":
    main()
