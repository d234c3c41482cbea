"""Two versions of the software on one schema, as in a rolling upgrade: this one, and one with a revision more."""

import shutil
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from inbox.errors import StartupError
from inbox.store.options import DatabaseOptions
from inbox.store.schema import revisions
from inbox.store.schema.compatibility import current_revision, head_revision, require_current
from inbox.store.schema.migrate import migrate, pending
from inbox.store.schema.migration_plan import usable_from
from inbox.store.schema.revisions import RevisionStep

NEWER = """
import sqlalchemy as sa
from alembic import op
revision = "9999"
down_revision = "{head}"
branch_labels = depends_on = None
contracts = {contracts}
def upgrade():
    op.add_column("sink", sa.Column("colour", sa.Text))
def downgrade():
    op.drop_column("sink", "colour")
"""


@pytest.fixture
def options(empty_database_url: str) -> DatabaseOptions:
    return DatabaseOptions(url=SecretStr(empty_database_url))


Newer = Callable[..., None]


@pytest.fixture
def by_newer(options: DatabaseOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Newer:
    """Migrates as the next version of the software does, whose revision `contracts` or only expands."""

    def run(*, contracts: bool, to: str = "head") -> None:
        directory = tmp_path / "migrations"
        shutil.copytree(revisions.migrations_directory(), directory, dirs_exist_ok=True)
        text = NEWER.format(head=head_revision(), contracts=contracts)
        (directory / "versions/9999_newer.py").write_text(text)
        with monkeypatch.context() as patch:
            patch.setattr(revisions, "migrations_directory", lambda: directory)
            migrate(options, to=to)

    return run


def connected(options: DatabaseOptions) -> psycopg.Connection:
    return psycopg.connect(options.url.get_secret_value())


def test_what_only_adds_is_accepted(options: DatabaseOptions, by_newer: Newer) -> None:
    by_newer(contracts=False)
    with connected(options) as connection:
        assert current_revision(connection, "inbox") == "9999"
        require_current(connection, "inbox")


def test_what_takes_away_is_refused_with_the_revision(options: DatabaseOptions, by_newer: Newer) -> None:
    by_newer(contracts=True)
    refusal = rf"at revision 9999, which .* \(its newest is {head_revision()}\); upgrade kafka-inbox"
    with connected(options) as connection, pytest.raises(StartupError, match=refusal):
        require_current(connection, "inbox")


def test_a_schema_behind_is_refused_whatever_its_mark(options: DatabaseOptions) -> None:
    migrate(options, to="0001")
    with connected(options) as connection, pytest.raises(StartupError, match="run `inbox migrate`"):
        require_current(connection, "inbox")


def test_migrate_of_the_version_that_is_rolled_back_to_has_nothing_to_do(
    options: DatabaseOptions, by_newer: Newer
) -> None:
    by_newer(contracts=False)
    assert migrate(options) == []
    with connected(options) as connection:
        assert pending(connection, "inbox") == []
        assert current_revision(connection, "inbox") == "9999"


def test_and_does_not_claim_it_where_it_could_not_run(options: DatabaseOptions, by_newer: Newer) -> None:
    by_newer(contracts=True)
    with pytest.raises(StartupError, match="upgrade kafka-inbox"):
        migrate(options)


def test_going_back_moves_the_mark_back(options: DatabaseOptions, by_newer: Newer) -> None:
    by_newer(contracts=True)
    by_newer(contracts=True, to=head_revision())
    with connected(options) as connection:
        require_current(connection, "inbox")
        mark = connection.execute("SELECT obj_description('inbox.alembic_version'::regclass, 'pg_class')").fetchone()
    assert mark == (revisions.usability(head_revision(), usable_from(revisions.INBOX, head_revision())),)


def test_a_mark_that_a_dump_left_out_is_no_permission(options: DatabaseOptions, by_newer: Newer) -> None:
    by_newer(contracts=False)
    with connected(options) as connection:
        connection.execute("COMMENT ON TABLE inbox.alembic_version IS NULL")
        with pytest.raises(StartupError, match="upgrade kafka-inbox"):
            require_current(connection, "inbox")


def test_the_steps_are_told_as_ever(options: DatabaseOptions) -> None:
    steps = migrate(options)
    assert steps[-1] == RevisionStep(steps[-1].before, head_revision())
