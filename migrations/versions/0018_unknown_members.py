"""The members of events that fill no column: their names, and how many events had them."""

from typing import LiteralString

import sqlalchemy as sa
from alembic import op

revision: str = "0018"
down_revision: str | None = "0017"
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
        EXECUTE format('GRANT SELECT, INSERT (route_id, partition_id, member, events), '
            'UPDATE (events, last_seen_at) ON unknown_members TO %s', grantee);
    END LOOP;
    IF pg_get_userbyid(owner) <> current_user THEN
        EXECUTE format('ALTER TABLE unknown_members OWNER TO %I', pg_get_userbyid(owner));
    END IF;
END $$
"""


def upgrade() -> None:
    """Nothing is counted until [routes.table] unknown_members says so."""
    op.create_table(
        "unknown_members",
        sa.Column("route_id", sa.SmallInteger, nullable=False),
        sa.Column("partition_id", sa.Integer, nullable=False),
        sa.Column("member", sa.Text, nullable=False),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
        sa.PrimaryKeyConstraint("route_id", "partition_id", "member", name="unknown_members_pkey"),
        sa.ForeignKeyConstraint(["route_id"], ["routes.route_id"], name="unknown_members_route_id_fkey"),
        sa.ForeignKeyConstraint(
            ["partition_id"], ["partitions.partition_id"], name="unknown_members_partition_id_fkey"
        ),
    )
    op.execute(sa.DDL(HAND_OVER.replace("%", "%%")))


def downgrade() -> None:
    op.drop_table("unknown_members")
