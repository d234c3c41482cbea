"""What the relay needs: what it has sent, which relay is the active one, and being woken."""

import sqlalchemy as sa
from alembic import op

revision: str = "outbox_0003"
down_revision: str | None = "outbox_0002"
branch_labels: str | None = None
depends_on: str | None = None

STATUS = """
CREATE VIEW outbox_status AS
SELECT o.event_id, CASE WHEN s.event_id IS NULL THEN 'NEW' ELSE 'SENT' END AS status,
       o.topic, o.aggregate_id, o.type, o.created_at, s.partition, s.kafka_offset, s.sent_at
FROM outbox o LEFT JOIN outbox_sent s ON s.event_id = o.event_id
"""

# Before the first row: the transaction has its id before any of its rows has a position, so that a position that is
# missing below the oldest running transaction was rolled back. The relay holds the lock while it sleeps, so only then
# a NOTIFY is needed, whose commits wait for each other: docs/decisions/0017-relay.md.
BEFORE_INSERT = """
CREATE FUNCTION outbox_before_insert() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN
    PERFORM pg_current_xact_id();
    IF NOT pg_try_advisory_xact_lock_shared(7597117850301497344 + TG_RELID::bigint) THEN
        PERFORM pg_notify('inbox_outbox_' || TG_RELID, '');
    END IF;
    RETURN NULL;
END$$
"""
WAKE = """
CREATE TRIGGER outbox_wake BEFORE INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION outbox_before_insert()
"""


def upgrade() -> None:
    """Makes the tables of the relay and the trigger that wakes it."""
    op.create_table(
        "outbox_sent",
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("kafka_offset", sa.BigInteger, nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
        sa.PrimaryKeyConstraint("event_id", name="outbox_sent_pkey"),
    )
    op.create_index("outbox_sent_sent_at", "outbox_sent", ["sent_at"])
    op.create_table(
        "outbox_relay",
        sa.Column("singleton", sa.Boolean, nullable=False, server_default=sa.text("true")),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("holder", sa.Text),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_below", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("singleton", name="outbox_relay_pkey"),
        sa.CheckConstraint("singleton", name=op.f("outbox_relay_singleton_check")),
    )
    op.execute(STATUS)
    op.execute(BEFORE_INSERT)
    op.execute(WAKE)


def downgrade() -> None:
    """Forgets what was sent: a relay that starts again sends everything in the outbox once more."""
    op.execute("DROP TRIGGER outbox_wake ON outbox")
    op.execute("DROP FUNCTION outbox_before_insert()")
    op.execute("DROP VIEW outbox_status")
    op.drop_table("outbox_relay")
    op.drop_table("outbox_sent")
