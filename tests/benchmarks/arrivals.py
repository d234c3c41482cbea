"""Events that carry when they were sent, and a look at the table that they come to.

The producer is a process of its own and hands events to librdkafka at an even rate, in steps of a millisecond. A
connection looks for new rows every millisecond, so that what it finds is late by up to that and its own query.
"""

import argparse
import os
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from confluent_kafka import Producer

from tests.benchmarks.orders import BY_KEY

TABLE = "CREATE TABLE seen (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sent_at bigint, note text)"
NEW = "SELECT position, sent_at FROM seen WHERE position > %s ORDER BY position"
LOOK_SECONDS = 0.001
WARM_UP_SECONDS = 3.0
IDLE_SECONDS = 0.4
NOTE = "x" * 200


@dataclass(frozen=True)
class Latency:
    """Milliseconds, over `events`."""

    events: int
    p50: float
    p90: float
    p99: float
    largest: float


class Watcher:
    """Sees rows as they become visible, in the order of their commits: one connection writes them."""

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


def at_rate(bootstrap_servers: str, topic: str, watcher: Watcher, rate: int, seconds: float) -> Latency:
    """From the producer's call; the first seconds are not counted."""
    events = int(rate * seconds)
    place = ["--kafka", bootstrap_servers, "--topic", topic, "--rate", str(rate), "--events", str(events)]
    with subprocess.Popen([sys.executable, "-m", __spec__.name, *place]) as producer:
        seen: list[tuple[int, int]] = []
        deadline = time.monotonic() + seconds + 60
        while len(seen) < events and time.monotonic() < deadline:
            seen += watcher.look()
        if producer.wait(10) != 0 or len(seen) != events:
            raise SystemExit(f"{len(seen)} rows of {events} events")
    first = min(sent_at for sent_at, _ in seen)
    return latency([(at - sent_at) / 1e9 for sent_at, at in seen if sent_at - first > WARM_UP_SECONDS * 1e9])


def one_by_one(bootstrap_servers: str, topic: str, watcher: Watcher, events: int) -> Latency:
    """Far apart, each from when the producer heard that Kafka has it: what came before it is long settled."""
    producer = Producer({"bootstrap.servers": bootstrap_servers, "acks": "all", "linger.ms": 0})
    taken = []
    for _ in range(events):
        time.sleep(IDLE_SECONDS)
        send(producer, topic)
        producer.flush()
        stored = time.time_ns()
        seen: list[tuple[int, int]] = []
        while not seen:
            seen = watcher.look()
        taken.append(max(0, seen[0][1] - stored) / 1e9)
    return latency(taken)


def latency(seconds: Sequence[float]) -> Latency:
    ordered = sorted(1000 * each for each in seconds)
    p50, p90, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.9, 0.99))
    return Latency(len(ordered), p50, p90, p99, ordered[-1])


def produce(bootstrap_servers: str, topic: str, rate: int, events: int) -> None:
    """Evenly; what is due at one time goes together, as with the relay's producer."""
    producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True, "linger.ms": 1})
    began, sent = time.perf_counter(), 0
    while sent < events:
        due = min(int((time.perf_counter() - began) * rate) + 1, events)
        for _ in range(sent, due):
            send(producer, topic)
        sent = max(sent, due)
        producer.poll(0)
        time.sleep(0.001)
    producer.flush()


def send(producer: Producer, topic: str, partition: int = BY_KEY, *, sent_at: int | None = None) -> None:
    """One event; it says that it is sent now, unless given another time, in nanoseconds."""
    event_id = str(uuid.UUID(int=random.getrandbits(128)))
    value = f'{{"sent_at": {time.time_ns() if sent_at is None else sent_at}, "note": "{NOTE}"}}'
    while True:
        try:
            producer.produce(topic, value, event_id[:8], partition, headers=[("event_id", event_id.encode())])
        except BufferError:
            producer.poll(0.5)
        else:
            break


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name, kind in (("--kafka", str), ("--topic", str), ("--rate", int), ("--events", int)):
        parser.add_argument(name, type=kind, required=True)
    given = parser.parse_args()
    random.seed(os.urandom(16))
    produce(given.kafka, given.topic, given.rate, given.events)
