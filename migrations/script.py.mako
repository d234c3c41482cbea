"""${message}

The previous version of the sink still runs while this one is rolled out: never break it. Expand now
(new tables, new columns with a default), contract a release later. One change per revision, with a way
back. An index on a table that holds rows is built concurrently, in an `op.get_context().autocommit_block()`,
after dropping an INVALID leftover of its name.
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision: str = ${repr(up_revision)}
down_revision: str | None = ${repr(down_revision)}
branch_labels: str | None = ${repr(branch_labels)}
depends_on: str | None = ${repr(depends_on)}

# True where software of the revision before could not use the schema any more: it is then refused at its start, and
# one that runs stops. docs/how-to/upgrade.md says what that means for a rollout.
contracts: bool = False


def upgrade() -> None:
    """What the change makes."""
    ${upgrades if upgrades else "raise NotImplementedError"}


def downgrade() -> None:
    """The way back, keeping the rows where it can."""
    ${downgrades if downgrades else "raise NotImplementedError"}
