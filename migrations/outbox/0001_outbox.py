"""The outbox: events to publish, insert only."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.types import UserDefinedType

revision: str = "outbox_0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None

# An UPDATE would publish the event again through change data capture, under another id if that was changed.
REFUSE_UPDATE = """
CREATE FUNCTION outbox_refuse_update() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN RAISE EXCEPTION 'the outbox is insert only: publish another event instead of changing this one'; END$$
"""
INSERT_ONLY = """
CREATE TRIGGER outbox_insert_only BEFORE UPDATE ON outbox FOR EACH STATEMENT EXECUTE FUNCTION outbox_refuse_update()
"""

PAYLOADS: dict[str, type[Any]] = {"json": sa.JSON, "bytea": sa.LargeBinary}


class TransactionId(UserDefinedType[int]):
    """PostgreSQL's `xid8`, which SQLAlchemy does not know."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid8"


def upgrade() -> None:
    """Makes the outbox, with the payload that `[outbox]` names."""
    payload = PAYLOADS[context.config.attributes["outbox"].payload]
    op.create_table(
        "outbox",
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("aggregate_id", sa.Text),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("payload", payload, nullable=False),
        sa.Column("traceparent", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
        sa.Column("transaction_id", TransactionId, nullable=False, server_default=sa.text("pg_current_xact_id()")),
        sa.PrimaryKeyConstraint("event_id", name="outbox_pkey"),
        sa.UniqueConstraint("position", name="outbox_position_key"),
        # A name that Kafka does not take would hold up the relay and everything behind it.
        sa.CheckConstraint("topic ~ '^[a-zA-Z0-9._-]{1,249}$'", name=op.f("outbox_topic_check")),
    )
    op.execute(REFUSE_UPDATE)
    op.execute(INSERT_ONLY)


def downgrade() -> None:
    """Drops the outbox with its events."""
    op.drop_table("outbox")
    op.execute("DROP FUNCTION outbox_refuse_update()")
