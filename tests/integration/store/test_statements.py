"""PostgreSQL accepts every statement of the store as it stands."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from importlib.resources import files

import pytest
from pydantic import SecretStr

from inbox.dev.backends import Servers
from inbox.store import sql as loader
from inbox.store.options import DatabaseOptions, ExternalTableColumns, ExternalTableOptions, OutboxOptions
from inbox.store.postgres.connection import Connection, connect
from inbox.store.postgres.database_urls import with_database
from inbox.store.schema.migrate import migrate
from inbox.store.schema.names import table_of
from inbox.store.sql import of_generation, statements
from tests.support.databases import Copies

NAMED = sorted(
    (each.name.removesuffix(".sql"), name)
    for each in files(loader).iterdir()
    if each.name.endswith(".sql")
    for name in statements(each.name.removesuffix(".sql"), "inbox")
)

EXISTING = OutboxOptions(
    existing=ExternalTableOptions(table="events_out", topic="orders", columns=ExternalTableColumns())
)
ARRAYS = {
    "ids": "uuid[]",
    "topics": "text[]",
    "partitions": "integer[]",
    "partition_ids": "integer[]",
    "leader_epochs": "integer[]",
    **dict.fromkeys(
        ["hashes", "offsets", "owner_epochs", "befores", "afters", "applied", "duplicate", "filtered", "dead_lettered"],
        "bigint[]",
    ),
}
"""What the store hands over as packed arrays, of which PostgreSQL has to know the type."""


def as_prepared(statement: bytes) -> bytes:
    """`%(name)s` as `$1`, with the types that are known, unless the statement says them itself."""
    statement = of_generation(statement, table_of(1))
    names = list(dict.fromkeys(re.findall(rb"%\((\w+)\)s", statement)))
    said = set(re.findall(rb"%\((\w+)\)s::", statement))
    for number, name in enumerate(names, start=1):
        statement = statement.replace(b"%(" + name + b")s", b"$%d" % number)
    types = ", ".join("unknown" if name in said else ARRAYS.get(name.decode(), "unknown") for name in names)
    return f"PREPARE it ({types}) AS ".encode() * bool(names) + b"PREPARE it AS " * (not names) + statement


def begin_and_give_up(connection: Connection, statement: bytes) -> None:
    """A COPY, which cannot be prepared."""
    with suppress(InterruptedError), connection.cursor().copy(statement):
        raise InterruptedError


@pytest.fixture(scope="module", name="prepare")
def prepare_(servers: Servers, copies: Copies) -> Iterator[Callable[[bytes], None]]:
    """Has PostgreSQL prepare a statement in a database with every table that there is: it changes nothing there."""
    name = copies.take()
    options = DatabaseOptions(url=SecretStr(with_database(servers.database_url, name)))
    for outbox in (OutboxOptions(), EXISTING):
        migrate(options, outbox=outbox)
    with closing(connect(options)) as connection:

        def prepare(statement: bytes) -> None:
            if statement.startswith(b"COPY"):
                begin_and_give_up(connection, statement)
                return
            connection.execute(as_prepared(statement))
            connection.execute("DEALLOCATE it")

        yield prepare
    copies.give_back(name)


@pytest.mark.parametrize(("table", "name"), NAMED)
def test_a_statement_can_be_prepared(prepare: Callable[[bytes], None], table: str, name: str) -> None:
    prepare(statements(table, "inbox")[name])
