"""What routes without claims settled beside what the ledger says of them."""

from typing import LiteralString

import sqlalchemy as sa
from alembic import op

revision: str = "0016"
down_revision: str | None = "0015"
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
        EXECUTE format('GRANT SELECT, INSERT, UPDATE (until_offset) ON settled_ranges TO %s', grantee);
    END LOOP;
    IF pg_get_userbyid(owner) <> current_user THEN
        EXECUTE format('ALTER TABLE settled_ranges OWNER TO %I', pg_get_userbyid(owner));
    END IF;
END $$
"""


def upgrade() -> None:
    """The table is empty: what replays settled until now has claims, which are still looked up."""
    op.create_table(
        "settled_ranges",
        sa.Column("route_id", sa.SmallInteger, nullable=False),
        sa.Column("partition_id", sa.Integer, nullable=False),
        sa.Column("from_offset", sa.BigInteger, nullable=False),
        sa.Column("until_offset", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("route_id", "partition_id", "from_offset", name="settled_ranges_pkey"),
        sa.ForeignKeyConstraint(["route_id"], ["routes.route_id"], name="settled_ranges_route_id_fkey"),
        sa.ForeignKeyConstraint(["partition_id"], ["partitions.partition_id"], name="settled_ranges_partition_id_fkey"),
        sa.CheckConstraint("until_offset > from_offset", name=op.f("settled_ranges_offsets_check")),
    )
    op.execute(sa.DDL(HAND_OVER.replace("%", "%%")))


def downgrade() -> None:
    op.drop_table("settled_ranges")
