"""Replays: what the ledger goes over again, and which claims were made again for one."""

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | None = None
depends_on: str | None = None

STATES = "state IN ('running', 'settled', 'cancelled', 'superseded')"


def upgrade() -> None:
    """The history begins empty; a claim without a replay's id is of the event's first time."""
    create_replays()
    create_replay_ranges()
    op.add_column("processed", sa.Column("replay_id", sa.Integer))
    op.add_column("dead_letters", sa.Column("replay_id", sa.Integer))


def downgrade() -> None:
    """The history goes; a replay that is under way ends where it is."""
    op.drop_column("dead_letters", "replay_id")
    op.drop_column("processed", "replay_id")
    op.drop_table("replay_ranges")
    op.drop_table("replays")


def create_replays() -> None:
    op.create_table(
        "replays",
        sa.Column("replay_id", sa.Integer, sa.Identity(always=True), nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("route_id", sa.SmallInteger),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default=sa.text("'running'")),
        now("created_at"),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("replay_id", name="replays_pkey"),
        sa.ForeignKeyConstraint(["route_id"], ["routes.route_id"], name="replays_route_id_fkey"),
        sa.CheckConstraint("mode IN ('skip-applied', 'force')", name=op.f("replays_mode_check")),
        sa.CheckConstraint(STATES, name=op.f("replays_state_check")),
    )


def create_replay_ranges() -> None:
    op.create_table(
        "replay_ranges",
        sa.Column("replay_id", sa.Integer, nullable=False),
        sa.Column("partition_id", sa.Integer, nullable=False),
        sa.Column("from_offset", sa.BigInteger, nullable=False),
        sa.Column("until_offset", sa.BigInteger, nullable=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        sa.Column("ledger_offset", sa.BigInteger, nullable=False),
        sa.Column("ledger_epoch", sa.Integer),
        *(
            sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0"))
            for name in ("applied", "duplicate", "filtered", "dead_lettered")
        ),
        sa.Column("state", sa.Text, nullable=False, server_default=sa.text("'running'")),
        now("updated_at"),
        sa.PrimaryKeyConstraint("replay_id", "partition_id", name="replay_ranges_pkey"),
        sa.ForeignKeyConstraint(["replay_id"], ["replays.replay_id"], name="replay_ranges_replay_id_fkey"),
        sa.ForeignKeyConstraint(["partition_id"], ["partitions.partition_id"], name="replay_ranges_partition_id_fkey"),
        sa.CheckConstraint(STATES, name=op.f("replay_ranges_state_check")),
        sa.CheckConstraint(
            "from_offset < until_offset AND until_offset <= ledger_offset", name=op.f("replay_ranges_offsets_check")
        ),
    )
    # Two replays never cover one partition at a time.
    op.create_index(
        "replay_ranges_running",
        "replay_ranges",
        ["partition_id"],
        unique=True,
        postgresql_where=sa.text("state = 'running'"),
    )


def now(name: str) -> sa.Column[sa.DateTime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"))
