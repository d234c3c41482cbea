"""The speed of a replay: how many events a second the sink settles of it at most."""

from typing import LiteralString

import sqlalchemy as sa
from alembic import op

revision: str = "0015"
down_revision: str | None = "0014"
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
        EXECUTE format('GRANT INSERT (per_second) ON replays TO %s', grantee);
    END LOOP;
END $$
"""


def upgrade() -> None:
    op.add_column("replays", sa.Column("per_second", sa.Integer))
    op.execute(sa.DDL(HAND_OVER.replace("%", "%%")))


def downgrade() -> None:
    op.drop_column("replays", "per_second")
