"""Guards against the sink's own login: what it may not do by hand, the owner's functions do, each within its limits."""

from typing import LiteralString

import sqlalchemy as sa
from alembic import op

from inbox.store.schema.guards import TRIGGER_FUNCTIONS, TRIGGERS, guards

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | None = None
depends_on: str | None = None

FUNCTIONS = (
    "forget_progress(interval, integer)",
    "forget_letters(interval, integer)",
    "switch_generation(integer)",
    "raise_horizon(integer)",
    "drop_generation(integer, integer)",
    "leave_older(uuid[], smallint)",
    "withdraw_claims(uuid[], smallint)",
    "forget_claims(uuid[], integer)",
)

# A role that may delete claims today is a sink's, which continues by these functions. A migration by a superuser leaves
# them to the owner of the tables.
HAND_OVER: LiteralString = """
DO $$
DECLARE
    owner oid := (SELECT relowner FROM pg_class WHERE oid = 'partitions'::regclass);
    claims aclitem[] := (SELECT relacl FROM pg_class WHERE oid = 'processed'::regclass);
    signature text;
    grantee text;
BEGIN
    FOREACH signature IN ARRAY ARRAY[{functions}] LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', signature);
        FOR grantee IN SELECT DISTINCT quote_ident(pg_get_userbyid(a.grantee)) FROM aclexplode(claims) AS a
            WHERE a.privilege_type = 'DELETE' AND a.grantee NOT IN (0, owner)
        LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', signature, grantee);
            EXECUTE format('GRANT SELECT ON retention TO %s', grantee);
        END LOOP;
        IF pg_get_userbyid(owner) <> current_user THEN
            EXECUTE format('ALTER FUNCTION %s OWNER TO %I', signature, pg_get_userbyid(owner));
        END IF;
    END LOOP;
    IF pg_get_userbyid(owner) <> current_user THEN
        EXECUTE format('ALTER TABLE retention OWNER TO %I', pg_get_userbyid(owner));
    END IF;
END $$
"""


def upgrade() -> None:
    """What an older sink does with the rights that it has continues to work."""
    op.create_table(
        "retention",
        sa.Column("singleton", sa.Boolean, nullable=False, server_default=sa.text("true")),
        *(sa.Column(name, sa.Interval, nullable=False) for name in ("claims", "progress", "dead_letters")),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
        sa.PrimaryKeyConstraint("singleton", name="retention_pkey"),
        sa.CheckConstraint("singleton", name=op.f("retention_singleton_check")),
    )
    for statement in guards("0007", str(op.get_context().version_table_schema)):
        op.execute(statement)
    hand_over = HAND_OVER.replace("{functions}", ", ".join(f"'{each}'" for each in FUNCTIONS))
    op.execute(sa.DDL(hand_over.replace("%", "%%")))


def downgrade() -> None:
    """The rights of the sink are not given back: grant them by the older version's `inbox migrate --roles`."""
    for table, trigger in TRIGGERS.items():
        op.execute(f"DROP TRIGGER {trigger} ON {table}")
    for function in (*FUNCTIONS, *(f"{each}()" for each in TRIGGER_FUNCTIONS)):
        op.execute(f"DROP FUNCTION {function}")
    op.drop_table("retention")
