"""The inbox: sink, routes, ledger, claims and dead letters."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None

TABLES = ("sink", "routes", "partitions", "route_starts", "processed", "dead_letters", "handling", "resumptions")


def upgrade() -> None:
    """Makes every table; those that others refer to come first."""
    create_sink()
    create_routes()
    create_partitions()
    create_route_starts()
    create_processed()
    create_dead_letters()
    create_handling()
    create_resumptions()


def downgrade() -> None:
    """Drops every table with its rows."""
    for name in reversed(TABLES):
        op.drop_table(name)


def create_sink() -> None:
    op.create_table(
        "sink",
        sa.Column("singleton", sa.Boolean, nullable=False, server_default=sa.text("true")),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("group_id", sa.Text, nullable=False),
        sa.Column("cluster_id", sa.Text),
        sa.Column("routes_revision", sa.Integer, nullable=False, server_default=sa.text("0")),
        now("created_at"),
        sa.PrimaryKeyConstraint("singleton", name="sink_pkey"),
        sa.CheckConstraint("singleton", name=op.f("sink_singleton_check")),
    )


def create_routes() -> None:
    op.create_table(
        "routes",
        sa.Column("route_id", sa.SmallInteger, sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("topics", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("identity", sa.Text, nullable=False),
        now("created_at"),
        sa.Column("retired_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("route_id", name="routes_pkey"),
        sa.UniqueConstraint("name", name="routes_name_key"),
    )


def create_partitions() -> None:
    op.create_table(
        "partitions",
        sa.Column("partition_id", sa.Integer, sa.Identity(always=True), nullable=False),
        sa.Column("cluster_id", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("topic_id", sa.Uuid),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("start_offset", sa.BigInteger, nullable=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        sa.Column("leader_epoch", sa.Integer),
        sa.Column("owner", sa.Text),
        sa.Column("owner_pid", sa.Integer),
        sa.Column("owner_started", sa.DateTime(timezone=True)),
        *(count(name) for name in ("owner_epoch", "applied", "duplicate", "filtered", "dead_lettered")),
        count("same_id_other_payload"),
        now("updated_at"),
        sa.PrimaryKeyConstraint("partition_id", name="partitions_pkey"),
        sa.UniqueConstraint("topic", "partition", name="partitions_topic_partition_key"),
        sa.CheckConstraint("next_offset >= 0", name=op.f("partitions_next_offset_check")),
    )
    # Updated once per batch: half-empty pages, and no index on what changes, keep those updates heap-only (HOT).
    op.execute("ALTER TABLE partitions SET (fillfactor = 50)")


def create_route_starts() -> None:
    op.create_table(
        "route_starts",
        sa.Column("route_id", sa.SmallInteger, nullable=False),
        sa.Column("partition_id", sa.Integer, nullable=False),
        sa.Column("from_offset", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("route_id", "partition_id", name="route_starts_pkey"),
        *references("route_starts"),
    )


def create_processed() -> None:
    op.create_table(
        "processed",
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("kafka_offset", sa.BigInteger, nullable=False),
        sa.Column("payload_hash", sa.BigInteger, nullable=False),
        now("processed_at"),
        sa.Column("partition_id", sa.Integer, nullable=False),
        sa.Column("route_id", sa.SmallInteger, nullable=False),
        sa.PrimaryKeyConstraint("event_id", "route_id", name="processed_pkey"),
    )


def create_dead_letters() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("dead_letter_id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("event_id", sa.Uuid),
        sa.Column("route_id", sa.SmallInteger, nullable=False),
        sa.Column("partition_id", sa.Integer, nullable=False),
        sa.Column("kafka_offset", sa.BigInteger, nullable=False),
        sa.Column("kafka_timestamp", sa.DateTime(timezone=True)),
        sa.Column("kafka_milliseconds", sa.BigInteger),
        sa.Column("type", sa.Text),
        sa.Column("key", sa.LargeBinary),
        sa.Column("value", sa.LargeBinary),
        sa.Column("headers", postgresql.JSONB, nullable=False, server_default=sa.text("'[]'")),
        sa.Column("error_class", sa.Text, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("state", sa.Text, nullable=False),
        now("created_at"),
        now("updated_at"),
        sa.Column("resolved_at", sa.DateTime(timezone=True)),
        sa.Column("resolved_by", sa.Text),
        sa.PrimaryKeyConstraint("dead_letter_id", name="dead_letters_pkey"),
        sa.UniqueConstraint("route_id", "partition_id", "kafka_offset", name="dead_letters_coordinates_key"),
        sa.CheckConstraint(
            "state IN ('parked', 'waiting', 'retried', 'discarded')", name=op.f("dead_letters_state_check")
        ),
        *references("dead_letters"),
    )
    op.create_index(
        "dead_letters_open",
        "dead_letters",
        ["partition_id", "route_id", "dead_letter_id"],
        postgresql_where=sa.text("state IN ('parked', 'waiting')"),
    )
    op.create_index(
        "dead_letters_open_key",
        "dead_letters",
        ["key"],
        postgresql_using="hash",
        postgresql_where=sa.text("state IN ('parked', 'waiting')"),
    )


def create_handling() -> None:
    op.create_table(
        "handling",
        sa.Column("partition_id", sa.Integer, nullable=False),
        sa.Column("route_id", sa.SmallInteger, nullable=False),
        sa.Column("kafka_offset", sa.BigInteger, nullable=False),
        sa.Column("suspect_offset", sa.BigInteger),
        sa.Column("deaths", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("owner", sa.Text),
        sa.Column("backend_pid", sa.Integer),
        sa.Column("backend_started", sa.DateTime(timezone=True)),
        now("noted_at"),
        sa.PrimaryKeyConstraint("partition_id", "route_id", name="handling_pkey"),
        *references("handling"),
    )


def create_resumptions() -> None:
    op.create_table(
        "resumptions",
        sa.Column("resumption_id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("partition_id", sa.Integer, nullable=False),
        sa.Column("from_cluster_id", sa.Text, nullable=False),
        sa.Column("to_cluster_id", sa.Text, nullable=False),
        sa.Column("from_topic_id", sa.Uuid),
        sa.Column("to_topic_id", sa.Uuid),
        sa.Column("from_offset", sa.BigInteger, nullable=False),
        sa.Column("to_offset", sa.BigInteger, nullable=False),
        sa.Column("consequence", sa.Text, nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        now("created_at"),
        sa.PrimaryKeyConstraint("resumption_id", name="resumptions_pkey"),
        sa.ForeignKeyConstraint(["partition_id"], ["partitions.partition_id"], name="resumptions_partition_id_fkey"),
    )


def now(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"))


def count(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0"))


def references(table: str) -> list[sa.ForeignKeyConstraint]:
    parents = {"route_id": "routes", "partition_id": "partitions"}
    return [
        sa.ForeignKeyConstraint([column], [f"{parent}.{column}"], name=f"{table}_{column}_fkey")
        for column, parent in parents.items()
    ]
