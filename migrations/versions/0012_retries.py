"""When the running sink tries a parked event again by itself, and how often it did."""

from typing import LiteralString

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | None = None
depends_on: str | None = None

# A role that may change the state of a dead letter is a sink's.
GRANT: LiteralString = """
DO $$
DECLARE
    grantee text;
BEGIN
    FOR grantee IN SELECT DISTINCT quote_ident(pg_get_userbyid(a.grantee))
        FROM pg_attribute AS c, aclexplode(c.attacl) AS a
        WHERE c.attrelid = 'dead_letters'::regclass AND c.attname = 'state' AND a.privilege_type = 'UPDATE'
            AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT INSERT (retry_at), UPDATE (retries, retry_at) ON dead_letters TO %s', grantee);
    END LOOP;
END $$
"""


def upgrade() -> None:
    """What is parked already is tried by a person only."""
    op.add_column("dead_letters", sa.Column("retries", sa.Integer, nullable=False, server_default=sa.text("0")))
    op.add_column("dead_letters", sa.Column("retry_at", sa.DateTime(timezone=True)))
    op.create_index(
        "dead_letters_due",
        "dead_letters",
        ["partition_id", "retry_at"],
        postgresql_where=sa.text("state = 'parked' AND retry_at IS NOT NULL"),
    )
    op.execute(sa.DDL(GRANT.replace("%", "%%")))


def downgrade() -> None:
    """The index goes with its columns."""
    op.drop_column("dead_letters", "retry_at")
    op.drop_column("dead_letters", "retries")
