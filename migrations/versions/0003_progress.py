"""Progress: the ledger's history, and how far each partition ever was."""

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | None = None
depends_on: str | None = None

# Software before it would add partitions without the column, and leave gaps in the history.
contracts: bool = True

FIRST_ROWS = """
INSERT INTO progress (
    partition_id, from_offset, until_offset, applied, duplicate, filtered, dead_lettered, from_time, until_time
)
SELECT partition_id, start_offset, reached_offset, applied, duplicate, filtered, dead_lettered, updated_at, updated_at
FROM partitions WHERE reached_offset > start_offset
"""


def upgrade() -> None:
    """What was settled before is one row of each partition."""
    op.add_column("partitions", sa.Column("reached_offset", sa.BigInteger))
    op.execute("UPDATE partitions SET reached_offset = greatest(start_offset, next_offset)")
    op.alter_column("partitions", "reached_offset", nullable=False)
    op.add_column("partitions", sa.Column("progress_from", sa.BigInteger))
    op.add_column("partitions", sa.Column("progress_since", sa.DateTime(timezone=True)))
    op.create_table(
        "progress",
        sa.Column("partition_id", sa.Integer, nullable=False),
        sa.Column("from_offset", sa.BigInteger, nullable=False),
        sa.Column("until_offset", sa.BigInteger, nullable=False),
        *(
            sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0"))
            for name in ("applied", "duplicate", "filtered", "dead_lettered")
        ),
        *(
            sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"))
            for name in ("from_time", "until_time")
        ),
        sa.PrimaryKeyConstraint("partition_id", "from_offset", name="progress_pkey"),
        sa.CheckConstraint("until_offset > from_offset", name=op.f("progress_offsets_check")),
        sa.ForeignKeyConstraint(["partition_id"], ["partitions.partition_id"], name="progress_partition_id_fkey"),
    )
    op.execute("ALTER TABLE progress SET (fillfactor = 50)")
    op.execute(FIRST_ROWS)


def downgrade() -> None:
    """The history goes; the ledger stays."""
    op.drop_table("progress")
    for column in ("progress_since", "progress_from", "reached_offset"):
        op.drop_column("partitions", column)
