"""Dead letters keep the hash of the payload that came, with which a discard claims them."""

from typing import LiteralString

import sqlalchemy as sa
from alembic import op

revision: str = "0019"
down_revision: str | None = "0018"
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
        EXECUTE format('GRANT INSERT (payload_hash) ON dead_letters TO %s', grantee);
    END LOOP;
END $$
"""


def upgrade() -> None:
    """What is parked already is claimed with the hash of its bytes."""
    op.add_column("dead_letters", sa.Column("payload_hash", sa.BigInteger))
    op.execute(sa.DDL(GRANT.replace("%", "%%")))


def downgrade() -> None:
    op.drop_column("dead_letters", "payload_hash")
