"""The migrations as they are shipped."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config

from inbox.store.options import OutboxOptions
from inbox.store.schema.compatibility import require_current
from inbox.store.schema.revisions import migrations_directory

REPOSITORY = Path(__file__).parents[2]

MIGRATE = """
import sys
from pydantic import SecretStr
from inbox.store.schema.migrate import migrate
from inbox.store.options import DatabaseOptions, OutboxOptions
from inbox.store.schema.revisions import migrations_directory
migrate(DatabaseOptions(url=SecretStr(sys.argv[1])), outbox=OutboxOptions())
print(migrations_directory())
"""


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    (found,) = tmp_path.glob("*.whl")
    return found


def test_a_wheel_holds_every_file_of_the_migrations_and_the_schema_of_the_configuration(wheel: Path) -> None:
    here = migrations_directory()
    files = {path.relative_to(here).as_posix() for path in here.rglob("*.*") if "__pycache__" not in path.parts}

    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("inbox/migrations/")}

    assert {"env.py", "script.py.mako", "versions/0001_inbox.py", "outbox/0001_outbox.py"} <= files
    assert shipped == {f"inbox/migrations/{name}" for name in files}
    assert "inbox/settings/names/inbox.schema.json" in zipfile.ZipFile(wheel).namelist()


def test_a_wheel_migrates_with_its_own_migrations(wheel: Path, tmp_path: Path, empty_database_url: str) -> None:
    unpacked = tmp_path / "unpacked 100%"
    zipfile.ZipFile(wheel).extractall(unpacked)

    ran = subprocess.run(
        [sys.executable, "-c", MIGRATE, empty_database_url],
        env={"PYTHONPATH": str(unpacked)},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )

    assert Path(ran.stdout.strip()) == unpacked / "inbox" / "migrations"
    with psycopg.connect(empty_database_url) as connection:
        require_current(connection, "inbox", OutboxOptions())


def test_the_template_gives_a_revision_that_alembic_takes(tmp_path: Path) -> None:
    copy = shutil.copytree(migrations_directory(), tmp_path / "migrations")
    config = Config()
    config.set_main_option("script_location", str(copy))

    script = command.revision(config, "Progress of a partition", rev_id="9999")

    assert not isinstance(script, list)
    assert script is not None
    assert script.doc == "Progress of a partition"
