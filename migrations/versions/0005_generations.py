"""Generations of claims: the table of claims so far is the first, and fifteen more stand ready."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | None = None
depends_on: str | None = None

# Software before it would claim in a table that another generation took over from.
contracts: bool = True

MORE = tuple(f"processed_{slot}" for slot in range(1, 16))


def upgrade() -> None:
    """No claim is rewritten or moved."""
    op.add_column("sink", sa.Column("generation", sa.Integer, nullable=False, server_default=sa.text("0")))
    op.create_table(
        "generations",
        sa.Column("generation", sa.Integer, nullable=False, autoincrement=False),
        now("opened_at"),
        sa.Column("closed_at", sa.DateTime(timezone=True)),
        sa.Column("partition_ids", sa.ARRAY(sa.Integer)),
        sa.Column("until_offsets", sa.ARRAY(sa.BigInteger)),
        sa.Column("filter_bits", sa.Integer),
        sa.PrimaryKeyConstraint("generation", name="generations_pkey"),
    )
    op.create_table(
        "generation_filters",
        sa.Column("generation", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("block", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("bits", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("generation", "block", name="generation_filters_pkey"),
    )
    # Bits as good as random: the server would try in vain to compress them.
    op.execute("ALTER TABLE generation_filters ALTER COLUMN bits SET STORAGE EXTERNAL")
    op.execute("INSERT INTO generations (generation) VALUES (0)")
    for name in MORE:
        create_claims(name)
        op.execute(f"ALTER TABLE {name} INHERIT processed")
    op.add_column("partitions", sa.Column("horizon_offset", sa.BigInteger))
    op.add_column("partitions", sa.Column("horizon_time", sa.DateTime(timezone=True)))


def downgrade() -> None:
    """All claims are in one table again."""
    for name in MORE:
        op.execute(f"INSERT INTO processed SELECT * FROM {name} ON CONFLICT DO NOTHING")  # noqa: S608 - a name from here
        op.drop_table(name)
    op.drop_column("partitions", "horizon_time")
    op.drop_column("partitions", "horizon_offset")
    op.drop_table("generation_filters")
    op.drop_table("generations")
    op.drop_column("sink", "generation")


def create_claims(name: str) -> None:
    op.create_table(
        name,
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("kafka_offset", sa.BigInteger, nullable=False),
        sa.Column("payload_hash", sa.BigInteger, nullable=False),
        now("processed_at"),
        sa.Column("partition_id", sa.Integer, nullable=False),
        sa.Column("route_id", sa.SmallInteger, nullable=False),
        sa.Column("replay_id", sa.Integer),
        sa.PrimaryKeyConstraint("event_id", "route_id", name=f"{name}_pkey"),
    )


def now(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"))
