"""An outbox that is a table of the user's, relayed as it is: `status` says what waits and what was sent.

The relay does without what the table lacks. There is no position, so rows are sent in the order of
`created_at`. There is no trigger, so nothing wakes the relay. The lease is a row of the inbox's own
table `relay_leases`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import sql

from inbox.errors import TryAgainError
from inbox.store.options import ExternalTableOptions
from inbox.store.outbox.external_table_check import NEW, SENT, ExternalTableShape
from inbox.store.outbox.relay_queries import TakenLease
from inbox.store.postgres.connection import Connection, transaction
from inbox.store.sql import statements

_MOST_COUNTED = 100_000

# If a crash of the server undoes marks, their events are sent again under the same ids.
_SETTINGS = {"synchronous_commit": "off", "jit": "off"}

_READ = sql.SQL("""
SELECT id::text, topic, key, type, value, traceparent FROM (
    SELECT *, sum(octet_length(value)) OVER (ORDER BY at, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        SELECT {created_at} AS at, {event_id} AS id, {topic} AS topic, {key} AS key, {type}::text AS type,
            {value} AS value, {traceparent} AS traceparent
        FROM {table} WHERE {status} = {new} ORDER BY {created_at}, {event_id} LIMIT %(limit)s
    ) AS waiting
) AS counted WHERE coalesce(before, 0) < %(bytes)s ORDER BY at, id
""")

# Checks the lease in the same statement: a relay that lost it marks nothing, and gets no row back. Runs on
# the user's search path, for the user's triggers, so each name has its schema.
_RECORD = sql.SQL("""
WITH mine AS (
    UPDATE {leases} SET expires_at
        = pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => %(seconds)s::float8)
    WHERE outbox_table OPERATOR(pg_catalog.=) %(table)s::pg_catalog.text
        AND epoch OPERATOR(pg_catalog.=) %(epoch)s::bigint AND holder OPERATOR(pg_catalog.=) %(holder)s::pg_catalog.text
    RETURNING epoch
), marked AS (
    UPDATE {table} AS outbox SET {written} FROM mine WHERE {is_sent} AND {is_new} RETURNING 1
)
SELECT (SELECT pg_catalog.count(*) FROM marked) FROM mine
""")

_COUNT = sql.SQL("SELECT count(*) FROM (SELECT FROM {table} WHERE {status} = {new} LIMIT %s) AS waiting")

_OLDEST = sql.SQL("""
SELECT count(*), min({created_at})::timestamptz
FROM (SELECT {created_at} FROM {table} WHERE {status} = {new} ORDER BY {created_at} LIMIT %s) AS waiting
""")

_TOPICS = sql.SQL("""
SELECT topic, max(octet_length(value)) FROM (
    SELECT {topic} AS topic, {value} AS value FROM {table} WHERE {status} = {new} ORDER BY {created_at} LIMIT 10000
) AS waiting WHERE topic IS NOT NULL GROUP BY topic
""")


class ExternalRow(NamedTuple):
    """An event to send; `value` is None where the payload is NULL, which makes a tombstone."""

    event_id: str
    topic: str
    key: str
    type: str
    value: bytes | None
    traceparent: str | None

    @property
    def size(self) -> int:
        """Return the size of the value in bytes."""
        return len(self.value or b"")


class ExternalTable:
    """The external table, on a connection in autocommit mode that only the relay uses."""

    def __init__(self, connection: Connection, shape: ExternalTableShape, existing: ExternalTableOptions) -> None:
        self._connection = connection
        self._name = shape.name
        parts = _parts(shape, existing)
        self._read = _READ.format(**parts)
        self._count = _COUNT.format(**parts)
        connection.pin_also(_SETTINGS)

    def read(self, *, limit: int, limit_bytes: int) -> list[ExternalRow]:
        """Return the oldest waiting rows, in one snapshot: at most `limit` rows, of about `limit_bytes`.

        Raises:
            TryAgainError: a row lacks what every event needs; no later row passes it.
        """
        parameters = {"limit": limit, "bytes": limit_bytes}
        rows = [ExternalRow._make(row) for row in self._connection.execute(self._read, parameters, binary=True)]
        for index, row in enumerate(rows):
            if row.event_id is None or not row.topic or row.type is None:
                return rows[:index] if index else self._refuse(row)
        return rows

    def waiting(self) -> int:
        """Return the number of waiting rows, counted up to a limit."""
        row = self._connection.execute(self._count, (_MOST_COUNTED,)).fetchone()
        return int(row[0]) if row else 0

    def _refuse(self, row: ExternalRow) -> list[ExternalRow]:
        lacking = "id" if row.event_id is None else "type" if row.topic else "topic"
        raise TryAgainError(
            f"the oldest event that waits in {self._name} (id {row.event_id}) has no {lacking}, and holds up the "
            f"events behind it; give it one, or another status than {NEW}",
            away="database",
            reason="incomplete",
            alert=True,
        )


class ExternalTableLease:
    """The lease of the table's active relay, and the marks that only that relay may set."""

    def __init__(
        self,
        connection: Connection,
        schema: str,
        shape: ExternalTableShape,
        existing: ExternalTableOptions,
        holder: str,
        *,
        seconds: float,
    ) -> None:
        self._connection = connection
        self._sql = statements("relay_leases", schema)
        self._named = {"table": shape.name, "holder": holder, "seconds": seconds}
        parts = _parts(shape, existing)
        self._record = _RECORD.format(leases=sql.Identifier(schema, "relay_leases"), **parts)

    def take(self) -> TakenLease | None:
        """Return the lease with a new epoch; None while another relay has it."""
        row = self._connection.execute(self._sql["take"], self._named).fetchone()
        return TakenLease(int(row[0]), 0) if row else None

    def record(self, epoch: int, ids: Sequence[str]) -> bool:
        """Mark what was sent, if anything, and prolong the lease; False, and no marks, where another relay has it.

        Raises:
            TryAgainError: what was sent still waits, so that it would be sent again and again.
        """
        row = self._marked({**self._named, "epoch": epoch, "ids": list(ids)})
        if row is not None and row[0] < len(ids):
            raise TryAgainError(
                f"of {len(ids)} events that were sent {row[0]} could be marked {SENT} in {self._named['table']}; "
                "look for a trigger, a policy or another program that writes its status",
                away="database",
                reason="unmarked",
                alert=True,
            )
        return row is not None

    def _marked(self, named: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Return the row of the marking statement, which may run triggers of the user's."""
        connection = self._connection
        if not connection.is_pooled:
            return connection.execute_in_one_message(self._record, named).fetchone()
        with transaction(connection), connection.users_path():
            return connection.execute(self._record, named).fetchone()

    def release(self, epoch: int) -> None:
        """Release the lease, so that another relay can take it immediately."""
        self._connection.execute(self._sql["release"], {**self._named, "epoch": epoch})


def waiting_of(
    connection: Connection, shape: ExternalTableShape, existing: ExternalTableOptions
) -> tuple[int, datetime | None]:
    """Return the number of waiting rows, counted up to a limit, and the time of the oldest."""
    row = connection.execute(_OLDEST.format(**_parts(shape, existing)), (_MOST_COUNTED,)).fetchone()
    return (row[0], row[1]) if row else (0, None)


def waiting_topics(connection: Connection, shape: ExternalTableShape, existing: ExternalTableOptions) -> dict[str, int]:
    """Return the topics with waiting events, each with the length in bytes of its largest payload."""
    topics = {} if existing.topic is None else {existing.topic: 0}
    return topics | {
        topic: int(largest or 0) for topic, largest in connection.execute(_TOPICS.format(**_parts(shape, existing)))
    }


def _parts(shape: ExternalTableShape, existing: ExternalTableOptions) -> dict[str, sql.Composable]:
    """Return the parts that fill the statements, from the configuration and the catalog only."""
    columns = shape.columns
    event_id, payload = shape.column("event_id"), shape.column("payload")
    texts = {ours: sql.SQL("{}::text").format(shape.column(ours)) for ours in columns}
    key = sql.SQL("coalesce({}, {})").format(texts.get("aggregate_id", sql.SQL("NULL")), texts["event_id"])
    in_bytes = columns["payload"].base == "bytea"
    name = columns["event_id"].name
    ids = sql.SQL("%(ids)s::pg_catalog.text[]::{}[]").format(columns["event_id"].type.sql)
    written = [sql.SQL("{} = {}").format(shape.column("status"), sql.Literal(SENT))]
    if "sent_at" in columns:
        written.append(sql.SQL("{} = pg_catalog.clock_timestamp()").format(shape.column("sent_at")))
    return {
        "table": shape.identifier,
        "event_id": event_id,
        "is_sent": shape.comparing.equal_any(name, sql.Identifier("outbox", name), ids),
        "is_new": shape.has_status(NEW, "outbox"),
        "created_at": shape.column("created_at"),
        "status": shape.column("status"),
        "type": shape.column("type"),
        "topic": texts["topic"] if existing.topic is None else sql.SQL("{}::text").format(sql.Literal(existing.topic)),
        "key": key,
        "value": payload if in_bytes else sql.SQL("convert_to({}::text, 'UTF8')").format(payload),
        "traceparent": texts.get("traceparent", sql.SQL("NULL::text")),
        "written": sql.SQL(", ").join(written),
        "new": sql.Literal(NEW),
    }
