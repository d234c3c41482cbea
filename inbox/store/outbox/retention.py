"""Find and remove events of an outbox, of either kind, that are past their retention.

An event that was not sent is never past it: the relay's marks say what was sent. Where Debezium
publishes nobody marks. The server then keeps for the connector what it has not read, whether the
row is still in the table or not.
"""

from datetime import timedelta
from typing import LiteralString, Protocol

from psycopg import sql

from inbox.store.inbox.retention import ROWS_OF_TRANSACTION, ExpiredRows, forget_rows, old_rows
from inbox.store.options import OutboxOptions, RelayKind
from inbox.store.outbox.external_table_check import SENT, ExternalTableShape, external_shape_of
from inbox.store.postgres.connection import Connection, transaction
from inbox.store.sql import statements

# DELETE checks a row again if it was changed meanwhile, so a row that waits again stays. Runs on the
# user's search path, for the user's triggers, so each name has its schema.
_FORGET = sql.SQL("""
DELETE FROM {table} AS gone USING (
    SELECT {event_id} AS old_id FROM {table} AS gone WHERE {is_old} ORDER BY {created_at} LIMIT %(limit)s
) AS old WHERE {is_same} AND {is_sent}
""")
_IS_OLD = sql.SQL("{} OPERATOR(pg_catalog.<) (pg_catalog.now() OPERATOR(pg_catalog.-) %(older_than)s::interval)")
_OLD = sql.SQL("SELECT count(*), min({created_at})::timestamptz FROM {table} AS gone WHERE {is_old}")

_MAY: LiteralString = "SELECT has_table_privilege(to_regclass(%s), 'DELETE')"


class OutboxRetention(Protocol):
    """The retention of one kind of outbox."""

    def old(self, older_than: timedelta) -> ExpiredRows: ...
    def forget(self, older_than: timedelta) -> int:
        """Delete one portion, in a transaction of its own, and return the number of events; 0 once none is left."""
        ...

    def may_forget(self) -> bool:
        """Return whether the role has the right to delete."""
        ...


def outbox_retention(connection: Connection, schema: str, outbox: OutboxOptions) -> OutboxRetention:
    """Return the retention of the outbox; raise StartupError where a table of the user's does not fit."""
    if outbox.existing is not None:
        return _ExternalTable(connection, external_shape_of(connection, outbox.existing))
    return _OwnOutbox(connection, schema, marked=outbox.relay is RelayKind.INBOX)


class _OwnOutbox:
    """The retention of the outbox that `inbox migrate` creates."""

    def __init__(self, connection: Connection, schema: str, *, marked: bool) -> None:
        self._connection = connection
        self._tables = [sql.Identifier(schema, table).as_string() for table in ("outbox", "outbox_sent")]
        self._old, self._forget = _own_statements(schema, marked=marked)

    def old(self, older_than: timedelta) -> ExpiredRows:
        return old_rows(self._connection, self._old, older_than)

    def forget(self, older_than: timedelta) -> int:
        return forget_rows(self._connection, self._forget, older_than)

    def may_forget(self) -> bool:
        return all(_may(self._connection, table) for table in self._tables)


def _own_statements(schema: str, *, marked: bool) -> tuple[bytes, bytes]:
    sql = statements("retention", schema)
    return (sql["old_sent"], sql["forget_sent"]) if marked else (sql["old_created"], sql["forget_created"])


class _ExternalTable:
    """The retention of a table of the user's: SENT rows, by the time they were sent where that is recorded."""

    def __init__(self, connection: Connection, shape: ExternalTableShape) -> None:
        self._connection = connection
        times = [shape.column(ours) for ours in ("created_at", "sent_at") if ours in shape.columns]
        is_old = [_IS_OLD.format(each) for each in times]
        is_sent, gone = shape.has_status(SENT, "gone"), sql.SQL("gone.{}").format(shape.column("event_id"))
        parts = {
            "table": shape.identifier,
            "event_id": shape.column("event_id"),
            "created_at": shape.column("created_at"),
            "is_same": shape.comparing.equal(shape.columns["event_id"].name, gone, sql.SQL("old.old_id")),
            "is_sent": is_sent,
            "is_old": sql.SQL(" AND ").join([is_sent, *is_old]),
        }
        self._old, self._forget = _OLD.format(**parts), _FORGET.format(**parts)
        self._name = shape.name

    def old(self, older_than: timedelta) -> ExpiredRows:
        row = self._connection.execute(self._old, {"older_than": older_than}).fetchone()
        return ExpiredRows(*row) if row else ExpiredRows(0, None)

    def forget(self, older_than: timedelta) -> int:
        with transaction(self._connection), self._connection.users_path():
            forgotten = self._connection.execute(self._forget, {"older_than": older_than, "limit": ROWS_OF_TRANSACTION})
        return forgotten.rowcount

    def may_forget(self) -> bool:
        return _may(self._connection, self._name)


def _may(connection: Connection, table: str) -> bool:
    row = connection.execute(_MAY, (table,)).fetchone()
    return row is not None and row[0] is True
