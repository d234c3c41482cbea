"""The outbox as the relay reads and marks it."""

from inbox.store.options import DatabaseOptions, OutboxOptions
from inbox.store.outbox.relay_queries import OutboxTable
from inbox.store.postgres.connection import Connection
from inbox.store.schema.migrate import migrate


def test_no_statement_of_the_relay_is_compiled(database_options: DatabaseOptions, connection: Connection) -> None:
    migrate(database_options, outbox=OutboxOptions())

    OutboxTable(connection, "inbox")

    # Compiling the statement that marks events as sent took a tenth of a second, each time.
    assert connection.execute("SHOW jit").fetchone() == ("off",)
