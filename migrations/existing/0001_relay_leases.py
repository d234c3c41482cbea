"""What a relay needs beside an outbox that is the user's own: which relay is the active one."""

import sqlalchemy as sa
from alembic import op

revision: str = "existing_0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Makes the leases; the user's table is left as it is."""
    op.create_table(
        "relay_leases",
        sa.Column("outbox_table", sa.Text, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("holder", sa.Text),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("outbox_table", name="relay_leases_pkey"),
    )


def downgrade() -> None:
    """Forgets who is active; nothing of an event is lost with it."""
    op.drop_table("relay_leases")
