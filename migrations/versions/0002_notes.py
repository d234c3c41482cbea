"""One note names several events: how far it goes, and how far the suspicion."""

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Null is the one event at the offset, as before."""
    op.add_column("handling", sa.Column("until_offset", sa.BigInteger))
    op.add_column("handling", sa.Column("suspect_until", sa.BigInteger))


def downgrade() -> None:
    """What is noted of several events is forgotten: the first of them would be blamed for all."""
    op.execute("DELETE FROM handling WHERE until_offset <> kafka_offset + 1 OR suspect_until <> suspect_offset + 1")
    op.drop_column("handling", "suspect_until")
    op.drop_column("handling", "until_offset")
