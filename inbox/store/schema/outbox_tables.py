"""The tables of an outbox: the inbox's own outbox, or what the relay needs beside an external table."""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    event,
    text,
)
from sqlalchemy.types import UserDefinedType

from inbox.store.options import OutboxPayload


def now(name: str) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=text("now()"))


def count(name: str) -> Column[Any]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


class TransactionId(UserDefinedType[int]):
    """The type `xid8` of PostgreSQL, which SQLAlchemy does not know."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid8"


def add_outbox(tables: MetaData, payload: OutboxPayload) -> None:
    """Add `outbox`, the record of what was sent, and the lease of its relay."""
    outbox = Table(
        "outbox",
        tables,
        Column("position", BigInteger, Identity(always=True), nullable=False, unique=True),
        Column("event_id", Uuid, primary_key=True),
        Column("topic", Text, nullable=False),
        Column("aggregate_id", Text),
        Column("type", Text, nullable=False),
        Column("payload", JSON if payload is OutboxPayload.JSON else LargeBinary, nullable=False),
        Column("traceparent", Text),
        now("created_at"),
        Column("transaction_id", TransactionId, nullable=False, server_default=text("pg_current_xact_id()")),
        CheckConstraint("topic ~ '^[a-zA-Z0-9._-]{1,249}$'", name="topic"),
    )
    event.listen(outbox, "after_create", _forbid_updates)
    event.listen(outbox, "after_create", _fill_keys)
    event.listen(outbox, "after_create", _wake_relay)
    _outbox_sent(tables)
    _outbox_relay(tables)


def _forbid_updates(outbox: Table, connection: Connection, **_: Any) -> None:
    body = "BEGIN RAISE EXCEPTION 'the outbox is insert only: publish another event instead of changing this one'; END"
    function = _function(outbox, connection, "outbox_refuse_update", body)
    _trigger(outbox, connection, "outbox_insert_only", "BEFORE UPDATE", "FOR EACH STATEMENT", function)


def _fill_keys(outbox: Table, connection: Connection, **_: Any) -> None:
    body = "BEGIN NEW.aggregate_id := NEW.event_id::text; RETURN NEW; END"
    function = _function(outbox, connection, "outbox_fill_key", body)
    rows = "FOR EACH ROW\nWHEN (NEW.aggregate_id IS NULL)"
    _trigger(outbox, connection, "outbox_keyless", "BEFORE INSERT", rows, function)


def _wake_relay(outbox: Table, connection: Connection, **_: Any) -> None:
    # The transaction has its id before its rows have positions. Only a relay that sleeps, and so holds the
    # lock, is notified: migrations/outbox/0003_outbox_relay.py.
    body = (
        "BEGIN\n"
        "    PERFORM pg_current_xact_id();\n"
        "    IF NOT pg_try_advisory_xact_lock_shared(7597117850301497344 + TG_RELID::bigint) THEN\n"
        "        PERFORM pg_notify('inbox_outbox_' || TG_RELID, '');\n"
        "    END IF;\n"
        "    RETURN NULL;\n"
        "END"
    )
    function = _function(outbox, connection, "outbox_before_insert", body)
    _trigger(outbox, connection, "outbox_wake", "BEFORE INSERT", "FOR EACH STATEMENT", function)


def _function(outbox: Table, connection: Connection, name: str, body: str) -> str:
    """Create a function for a trigger, and return its name with the schema."""
    function = f"{connection.dialect.identifier_preparer.quote_schema(str(outbox.schema))}.{name}"
    # A publishing role calls the function: on that role's search path it would run, with the role's
    # rights, what somebody else created there.
    path = "SET search_path = pg_catalog, pg_temp"
    connection.exec_driver_sql(f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql {path} AS\n$${body}$$")
    return function


def _trigger(outbox: Table, connection: Connection, name: str, when: str, each: str, function: str) -> None:
    table = connection.dialect.identifier_preparer.format_table(outbox)
    connection.exec_driver_sql(f"CREATE TRIGGER {name} {when} ON {table} {each} EXECUTE FUNCTION {function}()")


def _outbox_sent(tables: MetaData) -> None:
    sent = Table(
        "outbox_sent",
        tables,
        Column("event_id", Uuid, primary_key=True),
        Column("topic", Text, nullable=False),
        Column("partition", Integer, nullable=False),
        Column("kafka_offset", BigInteger, nullable=False),
        now("sent_at"),
        Index("outbox_sent_sent_at", "sent_at"),
    )
    event.listen(sent, "after_create", _show_status)


def _outbox_relay(tables: MetaData) -> None:
    Table(
        "outbox_relay",
        tables,
        Column("singleton", Boolean, primary_key=True, server_default=text("true")),
        Column("epoch", BigInteger, nullable=False),
        Column("holder", Text),
        Column("expires_at", DateTime(timezone=True), nullable=False),
        count("sent_below"),
        CheckConstraint("singleton", name="singleton"),
    )


def add_relay_leases(tables: MetaData) -> None:
    """Add the leases for an outbox that is the user's own table."""
    Table(
        "relay_leases",
        tables,
        Column("outbox_table", Text, primary_key=True),
        Column("epoch", BigInteger, nullable=False),
        Column("holder", Text),
        Column("expires_at", DateTime(timezone=True), nullable=False),
    )


def _show_status(sent: Table, connection: Connection, **_: Any) -> None:
    # Tables that do not depend on each other are created in the order of their names, so the outbox exists
    # by now.
    schema = connection.dialect.identifier_preparer.quote_schema(str(sent.schema))
    connection.exec_driver_sql(
        f"CREATE VIEW {schema}.outbox_status AS\n"
        "SELECT o.event_id, CASE WHEN s.event_id IS NULL THEN 'NEW' ELSE 'SENT' END AS status,\n"
        "       o.topic, o.aggregate_id, o.type, o.created_at, s.partition, s.kafka_offset, s.sent_at\n"
        f"FROM {schema}.outbox o LEFT JOIN {schema}.outbox_sent s ON s.event_id = o.event_id"
    )
