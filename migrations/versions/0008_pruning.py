"""When the last whole round of pruning ended, in the table by whose lock one prunes at a time."""

from typing import LiteralString

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | None = None
depends_on: str | None = None

# A role that may write notes of handler calls is a sink's.
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
        EXECUTE format('GRANT SELECT, UPDATE ON pruning TO %s', grantee);
    END LOOP;
    IF pg_get_userbyid(owner) <> current_user THEN
        EXECUTE format('ALTER TABLE pruning OWNER TO %I', pg_get_userbyid(owner));
    END IF;
END $$
"""


def upgrade() -> None:
    """There is a row from the start: what is older than the table is not known."""
    op.create_table(
        "pruning",
        sa.Column("singleton", sa.Boolean, nullable=False, server_default=sa.text("true")),
        sa.Column("pruned_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
        sa.Column("pruned_by", sa.Text),
        sa.PrimaryKeyConstraint("singleton", name="pruning_pkey"),
        sa.CheckConstraint("singleton", name=op.f("pruning_singleton_check")),
    )
    op.execute("INSERT INTO pruning DEFAULT VALUES")
    op.execute(sa.DDL(HAND_OVER.replace("%", "%%")))


def downgrade() -> None:
    op.drop_table("pruning")
