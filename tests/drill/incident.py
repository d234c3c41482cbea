"""An incident: a sink of two topics under load, of whose orders some cannot be applied, for three causes."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from confluent_kafka import Producer

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
    """Return the orders of an incident: most are good, and the poison is in the first half."""
    tests = size.keys // _TESTS_IN
    in_crowns = size.keys - tests - 1
    every = size.events // 2 // size.poison
    customers = 4 * size.keys
    found, sent = [], 0
    for n in range(size.events):
        order = Order(n, f"c-{n * 7 % customers}")
        if n % every == 0 and sent < size.poison:
            sent += 1
            if sent == size.keys:
                order = Order(n, "c-comma", "12,50")
            elif sent <= tests:
                order = Order(n, None)
            else:
                order = Order(n, f"c-{sent % in_crowns}", currency="SEK")
        found.append(order)
    return found


class Incident:
    """A sink `shop` in a process of its own, and what its producers send."""

    def __init__(self, directory: Path, size: Size, *, orders: str, payments: str, url: str, servers: str) -> None:
        self.size = size
        self.url = url
        self.orders = orders_of(size)
        self.topic = orders
        self._payments = payments
        self._producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True})
        self.hurry = threading.Event()
        """Set: the producers send the rest as fast as they can."""
        self.config = write_configuration(
            directory / "inbox.toml",
            name=f"shop-{orders}",
            database_url=url,
            bootstrap_servers=servers,
            routes=ROUTES.format(orders=orders, payments=payments),
        )
        self._log = directory / "sink.log"
        self.sql(TABLES)

    def sql(self, statement: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            done = connection.execute(statement.encode(), parameters)
            return done.fetchall() if done.description else []

    def send_half(self) -> None:
        """Send the half of the orders that has the poison."""
        self._send(self.orders[: self.size.events // 2])

    @contextmanager
    def sending(self, per_second: float) -> Iterator[None]:
        """Send the other half at this speed meanwhile; all of it is sent at the end."""

        def send() -> None:
            step = max(1, int(per_second / 10))
            rest = self.orders[self.size.events // 2 :]
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

    def _send(self, orders: list[Order]) -> None:
        for each in orders:
            headers: list[tuple[str, str | bytes | None]] = [("event_id", str(UUID(int=each.n)))]
            self._producer.produce(self.topic, json.dumps(each.document), each.key, headers=headers)
            if each.n % 10 == 0:
                self._producer.produce(self._payments, json.dumps({"n": each.n}), str(each.n), headers=headers)
            self._producer.poll(0)
        assert self._producer.flush(60) == 0

    @contextmanager
    def sink(self) -> Iterator[None]:
        """Run the sink meanwhile; at the end it has stopped by itself, with exit code 0."""
        command = [sys.executable, "-m", "inbox", "run", "--config", str(self.config)]
        environ = {key: value for key, value in os.environ.items() if not key.startswith("INBOX_")}
        with self._log.open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=subprocess.STDOUT)
            try:
                yield
                process.terminate()
                assert process.wait(60) == 0, self._log.read_text()[-2000:]
            finally:
                process.kill()
                process.wait()

    def settled(self) -> int:
        """Return how many orders the ledger has as settled."""
        query = "SELECT coalesce(sum(next_offset), 0)::int FROM inbox.partitions WHERE topic = %s"
        [(count,)] = self.sql(query, [self.topic])
        return int(count)

    def wrong(self, edited: Order) -> list[str]:
        """Return what is not as it has to be: each order once, in the order of its customer, with its values."""
        expected: dict[str | None, list[tuple[int, str]]] = {}
        for each in self.orders:
            if each.customer is not None:
                order = edited if each.n == edited.n else each
                expected.setdefault(order.customer, []).append((order.n, order.amount))
        found: dict[str | None, list[tuple[int, str]]] = {}
        for n, customer, amount in self.sql("SELECT n, customer, amount::text FROM applied ORDER BY position"):
            found.setdefault(customer, []).append((n, amount))
        return [
            f"{customer}: {found.get(customer)} in place of {expected.get(customer)}"
            for customer in sorted({*expected, *found}, key=str)
            if found.get(customer) != expected.get(customer)
        ]
