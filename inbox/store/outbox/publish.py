"""Publish from any program: put an event into the outbox, in the caller's own transaction."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import psycopg
import sqlalchemy
from psycopg import pq, sql
from sqlalchemy.orm import Session

from inbox.errors import EventError
from inbox.events import new_event_id
from inbox.store.outbox.publisher import OutgoingPayload, as_json, required_id, required_json, required_text
from inbox.trace_context import sent_traceparent

PublishingConnection = psycopg.Connection[Any] | sqlalchemy.Connection | Session

_COLUMNS = ("event_id", "topic", "aggregate_id", "type", "payload", "traceparent")


def publish(
    connection: PublishingConnection,
    *,
    topic: str,
    type: str,  # noqa: A002 - the word of the contract
    payload: OutgoingPayload,
    key: str | None = None,
    event_id: UUID | None = None,
    traceparent: str | None = None,
    schema: str = "inbox",
) -> UUID:
    """Put an event into the outbox: it is published if the connection's transaction commits, and only then.

    A dict or list is written as JSON, and a str has to be JSON. An outbox with `[outbox] payload =
    "bytea"` takes bytes and nothing else. Events of one `key` stay in order; without a key the
    event's id is the record's key.

    Consumers recognise a repetition by `event_id`. If the caller may try again after a COMMIT whose
    answer was lost, pass the same id at every try (a uuid5 of your own request's id). `traceparent`
    is the W3C trace context, sent as a header; a text of another form than version 00 is left out,
    since a client may have chosen it. `schema` is `[database] schema` of the inbox.

    Returns:
        The event's id: a new UUIDv7 unless one was given.

    Raises:
        EventError: the connection is in autocommit mode and in no transaction, so the event would be published
            whatever becomes of the change; the payload is not valid JSON; an argument has another type.
    """
    identity = new_event_id() if event_id is None else required_id(event_id)
    row = {
        "event_id": identity,
        "topic": required_text(topic, "topic"),
        "aggregate_id": None if key is None else required_text(key, "key"),
        "type": required_text(type, "type"),
        "payload": _stored(payload),
        "traceparent": None if traceparent is None else sent_traceparent(required_text(traceparent, "traceparent")),
    }
    if isinstance(connection, psycopg.Connection):
        _require_transaction(connection)
        connection.execute(_for_psycopg(schema, row), row)
    else:
        _on_sqlalchemy(connection, schema, row)
    return identity


def _stored(payload: object) -> str | bytes:
    if isinstance(payload, dict | list):
        return as_json(payload)
    if isinstance(payload, str):
        return required_json(payload)
    if isinstance(payload, bytes):
        return payload
    raise EventError(f"the payload to publish is of type {_name(payload)}; pass a dict, list, str or bytes")


def _for_psycopg(schema: str, row: Mapping[str, Any]) -> sql.Composed:
    # With its type stated, an outbox of `bytea` refuses a text, whose backslashes it would read as
    # escapes.
    typed = "{}::pg_catalog.json" if isinstance(row["payload"], str) else "{}"
    payload = sql.SQL(typed).format(sql.Placeholder("payload"))
    values = [payload if name == "payload" else sql.Placeholder(name) for name in _COLUMNS]
    return sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(schema, "outbox"), sql.SQL(", ").join(map(sql.Identifier, _COLUMNS)), sql.SQL(", ").join(values)
    )


def _on_sqlalchemy(connection: sqlalchemy.Connection | Session, schema: str, row: dict[str, Any]) -> None:
    if not isinstance(connection, sqlalchemy.Connection | Session):
        raise EventError(
            f"cannot publish on a {_name(connection)}; pass a psycopg.Connection or SQLAlchemy's Connection or Session "
            "(of an AsyncSession: await session.run_sync(publish, ...))"
        )
    found = connection.connection() if isinstance(connection, Session) else connection
    _require_transaction(found.connection.dbapi_connection)
    outbox = sqlalchemy.table(
        "outbox", sqlalchemy.column("event_id", sqlalchemy.Uuid), *map(sqlalchemy.column, _COLUMNS[1:]), schema=schema
    )
    payload = row["payload"]
    if isinstance(payload, str):
        row["payload"] = sqlalchemy.cast(sqlalchemy.literal(payload, sqlalchemy.Text), sqlalchemy.JSON)
    found.execute(outbox.insert().values(row))


def _require_transaction(connection: Any) -> None:
    """Raise EventError outside a transaction.

    Drivers that show it are checked: psycopg, and psycopg2 below SQLAlchemy.
    """
    if not getattr(connection, "autocommit", False):
        return
    status = getattr(getattr(connection, "info", None), "transaction_status", None)
    if status == pq.TransactionStatus.IDLE:
        raise EventError(
            "the connection is in autocommit mode and in no transaction, so the event would be published whatever "
            "becomes of the change; publish inside the change's transaction"
        )


def _name(value: object) -> str:
    return value.__class__.__name__
