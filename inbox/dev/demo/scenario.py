"""The setting of the demo: a topic with traffic, and a database with stock for each consumer."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from psycopg import sql

from inbox.dev.backends import Servers
from inbox.dev.demo.comparison import ConsumerDatabase, Truth
from inbox.errors import StartupError
from inbox.handlers import load_handler
from inbox.store.postgres.database_urls import with_database

_SEED = 6  # its traffic has aborted and repeated transactions in the small demo of the tests, too
_REMEDY = "run `pip install ./examples/inventory` in a checkout, or `make demo`"


@dataclass(frozen=True)
class Stage:
    """A set of unique names, since the servers may be somebody's own (INBOX_TEST_KAFKA, INBOX_TEST_DATABASE)."""

    servers: Servers
    name: str = field(default_factory=lambda: f"demo_{secrets.token_hex(3)}")

    @property
    def topic(self) -> str:
        return f"{self.name}.order.events"

    def group(self, guarantee: str) -> str:
        return self.database(guarantee)

    def database(self, guarantee: str) -> str:
        return f"{self.name}_{guarantee.replace(' ', '_')}"

    def url(self, guarantee: str) -> str:
        return with_database(self.servers.database_url, self.database(guarantee))


@dataclass(frozen=True)
class Traffic:
    """The work of the order service: the truth, and how many further records it aborted or sent again."""

    truth: Truth
    aborted: int
    repeated: int


def require_example() -> None:
    """Raise StartupError if the example package is not installed."""
    try:
        import inventory.orders  # noqa: F401 - an optional package

        load_handler("reserve_stock")
    except (ImportError, StartupError) as error:
        raise StartupError(f"the demo needs the package of examples/inventory; {_REMEDY}") from error


@contextmanager
def cleared_away(stage: Stage, *guarantees: str) -> Iterator[None]:
    """Remove the databases and the topic at the end of the context, as far as the servers still answer.

    The groups cannot be deleted yet, since a static member stays in its group until its session times out.
    Kafka forgets the groups later: they are then without members, and without offsets, which go with the topic.
    """
    try:
        yield
    finally:
        with suppress(psycopg.Error):
            for guarantee in guarantees:
                _in_database(stage, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)"), guarantee)
        with suppress(KafkaException):
            client = AdminClient({"bootstrap.servers": stage.servers.bootstrap_servers, "log_level": 0})
            client.delete_topics([stage.topic], request_timeout=5)[stage.topic].result(10)


def create_database(stage: Stage, name: str) -> str:
    """Create an empty database of this demo; return its URL."""
    _in_database(stage, sql.SQL("CREATE DATABASE {}"), name)
    return stage.url(name)


def create_stock(stage: Stage, name: str) -> str:
    """Create a database with the example's tables and stock; return its URL."""
    from inventory.tables import create_tables

    url = create_database(stage, name)
    with psycopg.connect(url) as connection:
        create_tables(connection)
    return url


def _in_database(stage: Stage, statement: sql.SQL, guarantee: str) -> None:
    with psycopg.connect(stage.servers.database_url, autocommit=True) as connection:
        connection.execute(statement.format(sql.Identifier(stage.database(guarantee))))


def send_orders(stage: Stage, orders: int, placed: Callable[[int], None]) -> Traffic:
    """Let the order service place `orders` orders; call `placed` with the number of orders so far."""
    from inventory.orders import send
    from inventory.tables import FREE_AT_FIRST, SKUS

    ledger = send(stage.servers.bootstrap_servers, stage.topic, orders=orders, seed=_SEED, placed=placed)
    stock = dict.fromkeys(SKUS, FREE_AT_FIRST)
    for order in ledger.committed.values():
        stock[order.sku] -= order.quantity
    return Traffic(Truth(frozenset(ledger.committed), stock), ledger.aborted, ledger.repeated)


def found(connection: psycopg.Connection[Any]) -> ConsumerDatabase:
    """Return the contents of a consumer's database, independently of the consumer's own output."""
    applied = connection.execute("SELECT event_id, count(*) FROM reservations GROUP BY event_id").fetchall()
    return ConsumerDatabase(dict(applied), dict(connection.execute("SELECT sku, free FROM stock").fetchall()))
