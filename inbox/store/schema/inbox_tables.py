"""The inbox's own tables, as SQLAlchemy sees them.

The revisions under `migrations/` create these tables; a test keeps both equal.
`docs/reference/tables.md` says what each column means to a person who queries it.
"""

from functools import partial
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from inbox.store.options import OutboxOptions
from inbox.store.schema.guards import guards
from inbox.store.schema.names import GENERATION_SLOTS, table_of
from inbox.store.schema.outbox_tables import add_outbox, add_relay_leases, count, now

# The names that PostgreSQL would choose itself, so that a violated constraint has one name everywhere.
_NAMES = {
    "pk": "%(table_name)s_pkey",
    "fk": "%(table_name)s_%(column_0_name)s_fkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
}


def metadata(schema: str, outbox: OutboxOptions | None = None) -> MetaData:
    """Return the tables of the newest revision, in the given schema, with those for the outbox where it is given."""
    tables = MetaData(schema=schema, naming_convention=_NAMES)
    _sink(tables)
    _routes(tables)
    _partitions(tables)
    _progress(tables)
    _route_starts(tables)
    _settled_ranges(tables)
    _unknown_members(tables)
    _processed(tables)
    _generations(tables)
    _dead_letters(tables)
    _handling(tables)
    _resumptions(tables)
    _replays(tables)
    _replay_ranges(tables)
    _retention(tables)
    _pruning(tables)
    _actions(tables)
    _holds(tables)
    Table("pace", tables, Column("budget", Text, primary_key=True), now("free_at"))
    event.listen(tables, "after_create", _guard)
    if outbox is not None and outbox.existing is not None:
        add_relay_leases(tables)
    elif outbox is not None:
        add_outbox(tables, outbox.payload)
    return tables


def _sink(tables: MetaData) -> None:
    Table(
        "sink",
        tables,
        Column("singleton", Boolean, primary_key=True, server_default=text("true")),
        Column("name", Text, nullable=False),
        Column("group_id", Text, nullable=False),
        Column("cluster_id", Text),
        Column("routes_revision", Integer, nullable=False, server_default=text("0")),
        now("created_at"),
        Column("generation", Integer, nullable=False, server_default=text("0")),
        CheckConstraint("singleton", name="singleton"),
    )


def _routes(tables: MetaData) -> None:
    Table(
        "routes",
        tables,
        Column("route_id", SmallInteger, Identity(always=True), primary_key=True),
        Column("name", Text, nullable=False, unique=True),
        Column("topics", ARRAY(Text), nullable=False),
        Column("identity", Text, nullable=False),
        now("created_at"),
        Column("retired_at", DateTime(timezone=True)),
    )


def _partitions(tables: MetaData) -> None:
    ledger = Table(
        "partitions",
        tables,
        Column("partition_id", Integer, Identity(always=True), primary_key=True),
        Column("cluster_id", Text, nullable=False),
        Column("topic", Text, nullable=False),
        Column("topic_id", Uuid),
        Column("partition", Integer, nullable=False),
        Column("start_offset", BigInteger, nullable=False),
        Column("next_offset", BigInteger, nullable=False),
        Column("leader_epoch", Integer),
        Column("owner", Text),
        Column("owner_pid", Integer),
        Column("owner_started", DateTime(timezone=True)),
        *(count(name) for name in ("owner_epoch", "applied", "duplicate", "filtered", "dead_lettered")),
        count("same_id_other_payload"),
        now("updated_at"),
        Column("reached_offset", BigInteger, nullable=False),
        Column("progress_from", BigInteger),
        Column("progress_since", DateTime(timezone=True)),
        Column("horizon_offset", BigInteger),
        Column("horizon_time", DateTime(timezone=True)),
        UniqueConstraint("topic", "partition"),
        CheckConstraint("next_offset >= 0", name="next_offset"),
    )
    event.listen(ledger, "after_create", _leave_room)


def _leave_room(table: Table, connection: Connection, **_: Any) -> None:
    # Every batch updates its rows of the ledger and of progress. With room left on the page, and no index
    # on a column that changes, each update is heap-only (HOT): no index grows, and no vacuum is needed to
    # keep up.
    name = connection.dialect.identifier_preparer.format_table(table)
    connection.exec_driver_sql(f"ALTER TABLE {name} SET (fillfactor = 50)")


def _progress(tables: MetaData) -> None:
    progress = Table(
        "progress",
        tables,
        Column("partition_id", _foreign(tables, "partitions.partition_id"), primary_key=True),
        Column("from_offset", BigInteger, primary_key=True),
        Column("until_offset", BigInteger, nullable=False),
        *(count(name) for name in ("applied", "duplicate", "filtered", "dead_lettered")),
        now("from_time"),
        now("until_time"),
        CheckConstraint("until_offset > from_offset", name="offsets"),
    )
    event.listen(progress, "after_create", _leave_room)


def _route_starts(tables: MetaData) -> None:
    Table(
        "route_starts",
        tables,
        Column("route_id", _foreign(tables, "routes.route_id"), primary_key=True),
        Column("partition_id", _foreign(tables, "partitions.partition_id"), primary_key=True),
        Column("from_offset", BigInteger, nullable=False),
    )


def _settled_ranges(tables: MetaData) -> None:
    Table(
        "settled_ranges",
        tables,
        Column("route_id", _foreign(tables, "routes.route_id"), primary_key=True),
        Column("partition_id", _foreign(tables, "partitions.partition_id"), primary_key=True),
        Column("from_offset", BigInteger, primary_key=True, autoincrement=False),
        Column("until_offset", BigInteger, nullable=False),
        CheckConstraint("until_offset > from_offset", name="offsets"),
    )


def _unknown_members(tables: MetaData) -> None:
    Table(
        "unknown_members",
        tables,
        Column("route_id", _foreign(tables, "routes.route_id"), primary_key=True),
        Column("partition_id", _foreign(tables, "partitions.partition_id"), primary_key=True),
        Column("member", Text, primary_key=True),
        Column("events", BigInteger, nullable=False),
        now("first_seen_at"),
        now("last_seen_at"),
    )


def _processed(tables: MetaData) -> None:
    claims = _claims(tables, "processed")
    for slot in range(1, GENERATION_SLOTS):
        event.listen(_claims(tables, table_of(slot)), "after_create", partial(_inherit, claims))


def _inherit(parent: Table, table: Table, connection: Connection, **_: Any) -> None:
    # A query of `processed` finds the claims of every generation.
    preparer = connection.dialect.identifier_preparer
    connection.exec_driver_sql(f"ALTER TABLE {preparer.format_table(table)} INHERIT {preparer.format_table(parent)}")


def _claims(tables: MetaData, name: str) -> Table:
    # One row per event and route, so every byte counts: wide columns first leave no padding, and foreign
    # keys or a second index would cost more than the claim itself.
    return Table(
        name,
        tables,
        Column("event_id", Uuid, primary_key=True),
        Column("kafka_offset", BigInteger, nullable=False),
        Column("payload_hash", BigInteger, nullable=False),
        now("processed_at"),
        Column("partition_id", Integer, nullable=False),
        Column("route_id", SmallInteger, primary_key=True, autoincrement=False),
        Column("replay_id", Integer),
    )


def _generations(tables: MetaData) -> None:
    Table(
        "generations",
        tables,
        Column("generation", Integer, primary_key=True, autoincrement=False),
        now("opened_at"),
        Column("closed_at", DateTime(timezone=True)),
        Column("partition_ids", ARRAY(Integer)),
        Column("until_offsets", ARRAY(BigInteger)),
        Column("filter_bits", Integer),
    )
    filters = Table(
        "generation_filters",
        tables,
        Column("generation", Integer, primary_key=True, autoincrement=False),
        Column("block", Integer, primary_key=True, autoincrement=False),
        Column("bits", LargeBinary, nullable=False),
    )
    event.listen(filters, "after_create", _store_as_it_is)


def _store_as_it_is(filters: Table, connection: Connection, **_: Any) -> None:
    # The bits are almost random: the server would try in vain to compress them.
    name = connection.dialect.identifier_preparer.format_table(filters)
    connection.exec_driver_sql(f"ALTER TABLE {name} ALTER COLUMN bits SET STORAGE EXTERNAL")


def _dead_letters(tables: MetaData) -> None:
    Table(
        "dead_letters",
        tables,
        Column("dead_letter_id", BigInteger, Identity(always=True), primary_key=True),
        Column("event_id", Uuid),
        Column("route_id", _foreign(tables, "routes.route_id"), nullable=False),
        Column("partition_id", _foreign(tables, "partitions.partition_id"), nullable=False),
        Column("kafka_offset", BigInteger, nullable=False),
        Column("kafka_timestamp", DateTime(timezone=True)),
        Column("kafka_milliseconds", BigInteger),
        Column("type", Text),
        Column("key", LargeBinary),
        Column("value", LargeBinary),
        Column("headers", JSONB, nullable=False, server_default=text("'[]'")),
        Column("error_class", Text, nullable=False),
        Column("error", Text, nullable=False),
        Column("attempts", Integer, nullable=False, server_default=text("0")),
        Column("state", Text, nullable=False),
        now("created_at"),
        now("updated_at"),
        Column("resolved_at", DateTime(timezone=True)),
        Column("resolved_by", Text),
        Column("replay_id", Integer),
        Column("error_detail", Text),
        Column("cause", Text),
        Column("cause_kind", Text),
        Column("original_value", LargeBinary),
        Column("original_headers", JSONB),
        Column("edited_at", DateTime(timezone=True)),
        Column("edited_by", Text),
        Column("retries", Integer, nullable=False, server_default=text("0")),
        Column("retry_at", DateTime(timezone=True)),
        Column("redacted_at", DateTime(timezone=True)),
        Column("payload_hash", BigInteger),
        UniqueConstraint("route_id", "partition_id", "kafka_offset", name="dead_letters_coordinates_key"),
        CheckConstraint("state IN ('parked', 'waiting', 'retried', 'discarded')", name="state"),
        # Retry reads the open dead letters of a partition and route in order; closed ones only accumulate.
        Index(
            "dead_letters_open",
            "partition_id",
            "route_id",
            "dead_letter_id",
            postgresql_where=text("state IN ('parked', 'waiting')"),
        ),
        Index(
            "dead_letters_due",
            "partition_id",
            "retry_at",
            postgresql_where=text("state = 'parked' AND retry_at IS NOT NULL"),
        ),
        Index("dead_letters_open_cause", "cause", postgresql_where=text("state IN ('parked', 'waiting')")),
        # The events of one key, by its hash, because a key may be longer than a B-tree accepts.
        Index(
            "dead_letters_open_key",
            "key",
            postgresql_using="hash",
            postgresql_where=text("state IN ('parked', 'waiting')"),
        ),
    )


def _handling(tables: MetaData) -> None:
    # The events that a handler is processing, noted before their calls while a partition is young.
    Table(
        "handling",
        tables,
        Column("partition_id", _foreign(tables, "partitions.partition_id"), primary_key=True),
        Column("route_id", _foreign(tables, "routes.route_id"), primary_key=True),
        Column("kafka_offset", BigInteger, nullable=False),
        Column("suspect_offset", BigInteger),
        Column("deaths", Integer, nullable=False, server_default=text("0")),
        Column("owner", Text),
        Column("backend_pid", Integer),
        Column("backend_started", DateTime(timezone=True)),
        now("noted_at"),
        Column("until_offset", BigInteger),
        Column("suspect_until", BigInteger),
    )


def _resumptions(tables: MetaData) -> None:
    Table(
        "resumptions",
        tables,
        Column("resumption_id", BigInteger, Identity(always=True), primary_key=True),
        Column("partition_id", _foreign(tables, "partitions.partition_id"), nullable=False),
        Column("from_cluster_id", Text, nullable=False),
        Column("to_cluster_id", Text, nullable=False),
        Column("from_topic_id", Uuid),
        Column("to_topic_id", Uuid),
        Column("from_offset", BigInteger, nullable=False),
        Column("to_offset", BigInteger, nullable=False),
        Column("consequence", Text, nullable=False),
        Column("requested_by", Text, nullable=False),
        now("created_at"),
    )


_REPLAY_STATES = "state IN ('running', 'settled', 'cancelled', 'superseded')"


def _replays(tables: MetaData) -> None:
    Table(
        "replays",
        tables,
        Column("replay_id", Integer, Identity(always=True), primary_key=True),
        Column("mode", Text, nullable=False),
        Column("route_id", _foreign(tables, "routes.route_id")),
        Column("requested_by", Text, nullable=False),
        Column("state", Text, nullable=False, server_default=text("'running'")),
        now("created_at"),
        Column("ended_at", DateTime(timezone=True)),
        Column("per_second", Integer),
        CheckConstraint("mode IN ('skip-applied', 'force')", name="mode"),
        CheckConstraint(_REPLAY_STATES, name="state"),
    )


def _replay_ranges(tables: MetaData) -> None:
    Table(
        "replay_ranges",
        tables,
        Column("replay_id", _foreign(tables, "replays.replay_id"), primary_key=True),
        Column("partition_id", _foreign(tables, "partitions.partition_id"), primary_key=True),
        Column("from_offset", BigInteger, nullable=False),
        Column("until_offset", BigInteger, nullable=False),
        Column("next_offset", BigInteger, nullable=False),
        Column("ledger_offset", BigInteger, nullable=False),
        Column("ledger_epoch", Integer),
        *(count(name) for name in ("applied", "duplicate", "filtered", "dead_lettered")),
        Column("state", Text, nullable=False, server_default=text("'running'")),
        now("updated_at"),
        CheckConstraint(_REPLAY_STATES, name="state"),
        CheckConstraint("from_offset < until_offset AND until_offset <= ledger_offset", name="offsets"),
        # Two replays never run on one partition at a time, even if two people begin them.
        Index("replay_ranges_running", "partition_id", unique=True, postgresql_where=text("state = 'running'")),
    )


def _retention(tables: MetaData) -> None:
    Table(
        "retention",
        tables,
        Column("singleton", Boolean, primary_key=True, server_default=text("true")),
        *(Column(name, Interval, nullable=False) for name in ("claims", "progress", "dead_letters")),
        now("set_at"),
        CheckConstraint("singleton", name="singleton"),
    )


def _pruning(tables: MetaData) -> None:
    Table(
        "pruning",
        tables,
        Column("singleton", Boolean, primary_key=True, server_default=text("true")),
        now("pruned_at"),
        Column("pruned_by", Text),
        CheckConstraint("singleton", name="singleton"),
    )


def _actions(tables: MetaData) -> None:
    Table(
        "actions",
        tables,
        Column("action_id", BigInteger, Identity(always=True), primary_key=True),
        Column("requested_by", Text, nullable=False),
        Column("database_user", Text, nullable=False, server_default=text("session_user")),
        Column("command", Text, nullable=False),
        Column("plan", JSONB, nullable=False),
        Column("result", JSONB),
        now("created_at"),
        Column("ended_at", DateTime(timezone=True)),
    )


def _holds(tables: MetaData) -> None:
    Table(
        "holds",
        tables,
        Column("hold_id", BigInteger, Identity(always=True), primary_key=True),
        Column("route", Text),
        Column("topic", Text, nullable=False),
        Column("partitions", ARRAY(Integer)),
        Column("reason", Text, nullable=False),
        Column("requested_by", Text, nullable=False),
        now("created_at"),
        Column("held_until", DateTime(timezone=True)),
        Column("released_at", DateTime(timezone=True)),
        Column("released_by", Text),
        # Every worker asks for the holds in force every few seconds, among all that ever were.
        Index("holds_in_force", "hold_id", postgresql_where=text("released_at IS NULL")),
    )


def _guard(made: MetaData, connection: Connection, **_: Any) -> None:
    for revision in ("0007", "0017"):
        for statement in guards(revision, str(made.schema)):
            connection.execute(statement)


def _foreign(tables: MetaData, column: str) -> ForeignKey:
    table, _, name = column.partition(".")
    return ForeignKey(tables.tables[f"{tables.schema}.{table}"].c[name])
