"""Dead letters have a cause, by which those that failed alike are found together."""

from typing import LiteralString

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
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
        EXECUTE format('GRANT INSERT (cause, cause_kind), UPDATE (cause, cause_kind) ON dead_letters TO %s', grantee);
    END LOOP;
END $$
"""


def upgrade() -> None:
    """The cause of a letter that is there already is found from its error when somebody asks."""
    op.add_column("dead_letters", sa.Column("cause", sa.Text))
    op.add_column("dead_letters", sa.Column("cause_kind", sa.Text))
    op.create_index(
        "dead_letters_open_cause",
        "dead_letters",
        ["cause"],
        postgresql_where=sa.text("state IN ('parked', 'waiting')"),
    )
    op.execute(sa.DDL(GRANT.replace("%", "%%")))


def downgrade() -> None:
    """The index goes with its column."""
    op.drop_column("dead_letters", "cause_kind")
    op.drop_column("dead_letters", "cause")
