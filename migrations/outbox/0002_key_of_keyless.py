"""An event without a key gets its id as the key in the table, where change data capture sees it, too."""

from alembic import op

revision: str = "outbox_0002"
down_revision: str | None = "outbox_0001"
branch_labels: str | None = None
depends_on: str | None = None

FILL_KEY = """
CREATE FUNCTION outbox_fill_key() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN NEW.aggregate_id := NEW.event_id::text; RETURN NEW; END$$
"""
# The condition is looked at without a call of the function: rows with a key pay nothing.
KEYLESS = """
CREATE TRIGGER outbox_keyless BEFORE INSERT ON outbox FOR EACH ROW
WHEN (NEW.aggregate_id IS NULL) EXECUTE FUNCTION outbox_fill_key()
"""


def upgrade() -> None:
    """Events that are in the outbox already stay as they are; the relay gives them the same key."""
    op.execute(FILL_KEY)
    op.execute(KEYLESS)


def downgrade() -> None:
    """What was filled in stays: it is the key that was or will be sent."""
    op.execute("DROP TRIGGER outbox_keyless ON outbox")
    op.execute("DROP FUNCTION outbox_fill_key()")
