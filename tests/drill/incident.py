"""An incident: a sink of two topics under load, of whose orders some cannot be applied, for three causes."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from confluent_kafka import KafkaError, Message, Producer

from tests.support.sinks import write_configuration

ROOT = Path(__file__).parents[2]

TABLES = """
CREATE TABLE orders (
    customer text PRIMARY KEY,
    n int NOT NULL,
    amount numeric NOT NULL,
    currency text NOT NULL CONSTRAINT orders_currency_check CHECK (currency IN ('EUR', 'USD'))
);
CREATE TABLE payments (n int PRIMARY KEY);
CREATE TABLE applied (position bigint GENERATED ALWAYS AS IDENTITY, n int NOT NULL, customer text, amount numeric);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO applied (n, customer, amount) VALUES (new.n, new.customer, new.amount);
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION note();
"""
"""`applied` has each effect in the order in which it came."""

FIX = (
    "ALTER TABLE orders DROP CONSTRAINT orders_currency_check, "
    "ADD CONSTRAINT orders_currency_check CHECK (currency IN ('EUR', 'USD', 'SEK'))"
)
"""A correction of the database after which every currency of the orders fits."""

ROUTES = """
[[routes]]
topic = "{orders}"
name = "orders"
[routes.table]
name = "public.orders"
mode = "upsert"
key = ["customer"]
[routes.table.columns]
customer = {{ from = "/customer", required = true }}
n = "/n"
amount = "/amount"
currency = "/currency"

[[routes]]
topic = "{payments}"
name = "payments"
[routes.table]
name = "public.payments"
mode = "insert"
key = ["n"]
[routes.table.columns]
n = "/n"
"""

PARTITIONS = 4
_GOOD_AT_FIRST = 100
"""The number of orders before the poison: a new sink whose first events all fail has an outage, not dead letters."""
_TESTS_IN = 8
"""One of so many keys with poison is a test that somebody sent."""


@dataclass(frozen=True)
class Size:
    """The size of an incident: the number of events, of those that cannot be applied, and of their keys."""

    events: int
    poison: int
    keys: int


@dataclass(frozen=True)
class Order:
    """An event of the topic `orders`, in the order of `n`."""

    n: int
    customer: str | None
    amount: str = "9.90"
    currency: str = "EUR"

    @property
    def key(self) -> str:
        return self.customer or f"test-{self.n}"

    @property
    def document(self) -> dict[str, Any]:
        return {"n": self.n, "customer": self.customer, "amount": self.amount, "currency": self.currency}


def orders_of(size: Size) -> list[Order]:
    """Return the orders of an incident: the first are good, and the poison is in the first half."""
    tests = size.keys // _TESTS_IN
    in_crowns = size.keys - tests - 1
    every = (size.events // 2 - _GOOD_AT_FIRST) // size.poison
    customers = 4 * size.keys
    found, sent = [], 0
    for n in range(size.events):
        order = Order(n, f"c-{n * 7 % customers}")
        if n >= _GOOD_AT_FIRST and n % every == 0 and sent < size.poison:
            sent += 1
            if sent == size.keys:
                order = Order(n, "c-comma", "12,50")
            elif sent <= tests:
                order = Order(n, None)
            else:
                order = Order(n, f"c-{sent % in_crowns}", currency="SEK")
        found.append(order)
    return found


class SinkProcess:
    """A process `inbox run`."""

    def __init__(self, config: Path, log: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "inbox", "run", "--config", str(config), *arguments]
        environ = {key: value for key, value in os.environ.items() if not key.startswith("INBOX_")}
        self._log = log
        with log.open("wb") as out:
            self._process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=out, stderr=subprocess.STDOUT)
        self._killed = False

    def kill(self) -> None:
        """End the process by SIGKILL, if it runs."""
        self._killed = True
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Let the process stop by itself, with exit code 0, unless it was killed."""
        if not self._killed:
            self._process.terminate()
            assert self._process.wait(60) == 0, self._log.read_text()[-2000:]

    def lines(self) -> list[str]:
        """Return what the process logged: the names of its events."""
        lines = self._log.read_text().split("\n")[:-1]
        return [str(json.loads(line)["event"]) for line in lines if line.startswith("{")]

    def last_line(self) -> str:
        """Return the last line that the process logged; it says so if an outage keeps the sink waiting."""
        return self._log.read_text().strip().rpartition("\n")[2]


class Incident:
    """A sink `shop` in processes of its own, and what its producers send.

    `sink` are more lines of that section of its configuration, `rest` more sections.
    """

    def __init__(
        self,
        directory: Path,
        sent: Sequence[Order],
        *,
        orders: str,
        payments: str,
        url: str,
        servers: str,
        sink: str = "",
        rest: str = "",
    ) -> None:
        self.url = url
        self.orders = sent
        self.topic = orders
        self._payments = payments
        self._producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True})
        self.hurry = threading.Event()
        """Set: the producers send the rest as fast as they can."""
        self.sent = 0
        self.ends: dict[int, int] = {}
        """The end of the orders in each partition."""
        self.config = write_configuration(
            directory / "inbox.toml",
            name=f"shop-{orders}",
            database_url=url,
            bootstrap_servers=servers,
            routes=ROUTES.format(orders=orders, payments=payments),
            sink=sink,
            rest=rest,
        )
        self._directory = directory
        self._processes: list[SinkProcess] = []
        self.sql(TABLES)

    def sql(self, statement: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            done = connection.execute(statement.encode(), parameters)
            return done.fetchall() if done.description else []

    def send_half(self) -> None:
        """Send the half of the orders that has the poison."""
        self.send_until(len(self.orders) // 2)

    def send_until(self, number: int) -> None:
        """Send those of the first so many orders that are not sent yet."""
        self._send(self.orders[self.sent : number])

    @contextmanager
    def sending(self, per_second: float) -> Iterator[None]:
        """Send the other orders at this speed meanwhile; all of them are sent at the end."""

        def send() -> None:
            step = max(1, int(per_second / 10))
            rest = self.orders[self.sent :]
            for start in range(0, len(rest), step):
                self._send(rest[start : start + step])
                self.hurry.wait(0.1)

        thread = threading.Thread(target=send, name="producer")
        thread.start()
        try:
            yield
        finally:
            self.hurry.set()
            thread.join(120)

    def _send(self, orders: Sequence[Order]) -> None:
        for each in orders:
            headers: list[tuple[str, str | bytes | None]] = [("event_id", str(UUID(int=each.n)))]
            document = json.dumps(each.document)
            self._producer.produce(self.topic, document, each.key, headers=headers, on_delivery=self._delivered)
            if each.n % 10 == 0:
                self._producer.produce(self._payments, json.dumps({"n": each.n}), str(each.n), headers=headers)
            self._producer.poll(0)
        assert self._producer.flush(60) == 0
        self.sent += len(orders)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        assert error is None, error
        self.ends[message.partition() or 0] = (message.offset() or 0) + 1

    def start(self, *arguments: str) -> "SinkProcess":
        """Start a process of the sink, which logs to a file of its own."""
        log = self._directory / f"sink-{len(self._processes)}.log"
        self._processes.append(SinkProcess(self.config, log, *arguments))
        return self._processes[-1]

    @contextmanager
    def sink(self, *arguments: str) -> Iterator["SinkProcess"]:
        """Run the sink meanwhile; at the end every process that still runs stops by itself, with exit code 0."""
        try:
            yield self.start(*arguments)
            for each in self._processes:
                each.stop()
        finally:
            for each in self._processes:
                each.kill()

    def settled(self) -> int:
        """Return how many orders the ledger has as settled."""
        query = "SELECT coalesce(sum(next_offset), 0)::int FROM inbox.partitions WHERE topic = %s"
        [(count,)] = self.sql(query, [self.topic])
        return int(count)

    def has_passed(self, ends: Mapping[int, int]) -> bool:
        """Return whether the sink has settled every partition up to these ends: each has a speed of its own."""
        query = "SELECT partition, next_offset FROM inbox.partitions WHERE topic = %s"
        found = dict(self.sql(query, [self.topic]))
        return all(found.get(partition, 0) >= end for partition, end in ends.items())

    def open_letters(self) -> int:
        """Return how many events are parked or waiting."""
        [(count,)] = self.sql("SELECT count(*)::int FROM inbox.dead_letters WHERE state IN ('parked', 'waiting')")
        return int(count)

    def wrong(self, edited: Order | None = None) -> list[str]:
        """Return what is not as it has to be: each order once, in the order of its customer, with its values."""
        expected: dict[str | None, list[tuple[int, str]]] = {}
        for each in self.orders:
            if each.customer is not None:
                order = edited if edited is not None and each.n == edited.n else each
                expected.setdefault(order.customer, []).append((order.n, order.amount))
        found: dict[str | None, list[tuple[int, str]]] = {}
        for n, customer, amount in self.sql("SELECT n, customer, amount::text FROM applied ORDER BY position"):
            found.setdefault(customer, []).append((n, amount))
        return [
            f"{customer}: {found.get(customer)} in place of {expected.get(customer)}"
            for customer in sorted({*expected, *found}, key=str)
            if found.get(customer) != expected.get(customer)
        ]
