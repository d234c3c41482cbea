"""What an error says of an event's values is kept apart from the error."""

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """The errors of the letters that are there stay as they are."""
    op.add_column("dead_letters", sa.Column("error_detail", sa.Text))


def downgrade() -> None:
    """The details go."""
    op.drop_column("dead_letters", "error_detail")
