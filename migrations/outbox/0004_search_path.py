"""The triggers' functions look names up in PostgreSQL's own schema, for every publisher."""

from alembic import op

revision: str = "outbox_0004"
down_revision: str | None = "outbox_0003"
branch_labels: str | None = None
depends_on: str | None = None

FUNCTIONS = ("outbox_refuse_update", "outbox_fill_key", "outbox_before_insert")


def upgrade() -> None:
    """On the publisher's path somebody else's function or operator could run with the publisher's rights."""
    for name in FUNCTIONS:
        op.execute(f"ALTER FUNCTION {name}() SET search_path = pg_catalog, pg_temp")


def downgrade() -> None:
    """As they were made."""
    for name in FUNCTIONS:
        op.execute(f"ALTER FUNCTION {name}() RESET search_path")
