"""Payloads of dead letters leave on schedule, or when a person says so; that something was parked stays."""

from typing import LiteralString

import sqlalchemy as sa
from alembic import op

from inbox.store.schema.guards import guards

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: str | None = None
depends_on: str | None = None

# A role that may remove resolved dead letters may redact them.
HAND_OVER: LiteralString = """
DO $$
DECLARE
    owner oid := (SELECT relowner FROM pg_class WHERE oid = 'dead_letters'::regclass);
    rights aclitem[] := (SELECT proacl FROM pg_proc WHERE oid = 'forget_letters(interval, integer)'::regprocedure);
    grantee text;
BEGIN
    REVOKE EXECUTE ON FUNCTION redact_letters(interval, integer) FROM PUBLIC;
    FOR grantee IN SELECT DISTINCT quote_ident(pg_get_userbyid(a.grantee)) FROM aclexplode(rights) AS a
        WHERE a.privilege_type = 'EXECUTE' AND a.grantee NOT IN (0, owner)
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION redact_letters(interval, integer) TO %s', grantee);
    END LOOP;
    IF pg_get_userbyid(owner) <> current_user THEN
        EXECUTE format('ALTER FUNCTION redact_letters(interval, integer) OWNER TO %I', pg_get_userbyid(owner));
    END IF;
END $$
"""


def upgrade() -> None:
    """Nothing is redacted until [retention] dead_letter_payloads says so."""
    op.add_column("dead_letters", sa.Column("redacted_at", sa.DateTime(timezone=True)))
    for statement in guards("0017", str(op.get_context().version_table_schema)):
        op.execute(statement)
    op.execute(sa.DDL(HAND_OVER.replace("%", "%%")))


def downgrade() -> None:
    op.execute("DROP FUNCTION redact_letters(interval, integer)")
    op.drop_column("dead_letters", "redacted_at")
