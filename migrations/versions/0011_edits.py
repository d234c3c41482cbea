"""A dead letter that a person edits keeps what came beside what is tried instead."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """The sink's login gets no right on these columns: an edit is the schema owner's."""
    op.add_column("dead_letters", sa.Column("original_value", sa.LargeBinary))
    op.add_column("dead_letters", sa.Column("original_headers", JSONB))
    op.add_column("dead_letters", sa.Column("edited_at", sa.DateTime(timezone=True)))
    op.add_column("dead_letters", sa.Column("edited_by", sa.Text))


def downgrade() -> None:
    """What came is the value again."""
    op.execute("UPDATE dead_letters SET value = original_value, headers = original_headers WHERE edited_at IS NOT NULL")
    for name in ("edited_by", "edited_at", "original_headers", "original_value"):
        op.drop_column("dead_letters", name)
