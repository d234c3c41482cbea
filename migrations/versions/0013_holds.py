"""The holds: which topics, or partitions of them, the running sink takes nothing from, by whom and why."""

from typing import LiteralString

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | None = None
depends_on: str | None = None

# A role that may note what a handler is given is a sink's.
HAND_OVER: LiteralString = """
DO $$
DECLARE
    owner oid := (SELECT relowner FROM pg_class WHERE oid = 'handling'::regclass);
    notes aclitem[] := (SELECT relacl FROM pg_class WHERE oid = 'handling'::regclass);
    grantee text;
BEGIN
    FOR grantee IN SELECT DISTINCT quote_ident(pg_get_userbyid(a.grantee)) FROM aclexplode(notes) AS a
        WHERE a.privilege_type = 'UPDATE' AND a.grantee NOT IN (0, owner)
    LOOP
        EXECUTE format('GRANT SELECT, INSERT (route, topic, partitions, reason, requested_by, held_until), '
            'UPDATE (released_at, released_by) ON holds TO %s', grantee);
    END LOOP;
    IF pg_get_userbyid(owner) <> current_user THEN
        EXECUTE format('ALTER TABLE holds OWNER TO %I', pg_get_userbyid(owner));
    END IF;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "holds",
        sa.Column("hold_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("route", sa.Text),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partitions", ARRAY(sa.Integer)),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
        sa.Column("held_until", sa.DateTime(timezone=True)),
        sa.Column("released_at", sa.DateTime(timezone=True)),
        sa.Column("released_by", sa.Text),
    )
    # Every worker asks for the holds in force every few seconds, among all that ever were.
    op.create_index("holds_in_force", "holds", ["hold_id"], postgresql_where=sa.text("released_at IS NULL"))
    op.execute(sa.DDL(HAND_OVER.replace("%", "%%")))


def downgrade() -> None:
    op.drop_table("holds")
