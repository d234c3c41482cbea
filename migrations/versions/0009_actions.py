"""The record of what people changed by commands: who, when, the plan and the result."""

from typing import LiteralString

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0009"
down_revision: str | None = "0008"
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
        EXECUTE format('GRANT SELECT, INSERT (requested_by, command, plan), UPDATE (result, ended_at) '
            'ON actions TO %s', grantee);
    END LOOP;
    IF pg_get_userbyid(owner) <> current_user THEN
        EXECUTE format('ALTER TABLE actions OWNER TO %I', pg_get_userbyid(owner));
    END IF;
END $$
"""


def upgrade() -> None:
    """The database itself notes the login and the time, which no sink's login can choose."""
    op.create_table(
        "actions",
        sa.Column("action_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("database_user", sa.Text, nullable=False, server_default=sa.text("session_user")),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("plan", JSONB, nullable=False),
        sa.Column("result", JSONB),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
    )
    op.execute(sa.DDL(HAND_OVER.replace("%", "%%")))


def downgrade() -> None:
    op.drop_table("actions")
