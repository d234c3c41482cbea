"""Change data capture on a server that is not set up for it."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from pydantic import SecretStr

from inbox.dev.local.postgres import LocalPostgres
from inbox.dev.local.postgres_binaries import machine_binaries, pypi_binaries
from inbox.store.options import DatabaseOptions, OutboxOptions
from inbox.store.outbox.debezium import Capture
from inbox.store.postgres.connection import connect
from inbox.store.schema.migrate import migrate


@pytest.fixture
def bare_server() -> Iterator[DatabaseOptions]:
    binaries = machine_binaries() or pypi_binaries()
    assert binaries is not None
    replica = {"wal_level": "replica", "max_replication_slots": "0", "max_wal_senders": "0"}
    with closing(LocalPostgres(binaries, settings=replica)) as server:
        server.start()
        options = DatabaseOptions(url=SecretStr(server.address))
        migrate(options, outbox=OutboxOptions())
        yield options


def test_what_the_server_lacks_is_told_at_once(bare_server: DatabaseOptions) -> None:
    with closing(connect(bare_server)) as connection:
        capture = Capture("postgres", bare_server.schema)
        connection.execute(capture.setup().encode())

        told = capture.problems(connection)

    assert [problem.partition(";")[0] for problem in told] == [
        "wal_level is replica, which change data capture cannot read",
        "every replication slot of the server is taken",
        "every WAL sender of the server is taken",
    ]
