"""PostgreSQL from root's account, its programs being where nobody else may look."""

import os
import shutil
from pathlib import Path

import pytest

from inbox.dev.local.postgres import LocalPostgres
from inbox.dev.local.postgres_binaries import PostgresBinaries, pypi_binaries
from inbox.dev.readiness import postgres_version


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_programs_in_a_closed_home_are_copied(tmp_path: Path) -> None:
    found = pypi_binaries()
    assert found is not None
    package = found.directory.parent.parent
    for part in (package, package.with_name(package.name + ".libs")):
        shutil.copytree(part, tmp_path / part.name, symlinks=True)
    tmp_path.chmod(0o700)
    closed = PostgresBinaries(
        tmp_path / package.name / found.directory.parent.name / "bin", found.version, found.origin
    )
    server = LocalPostgres(closed)
    try:
        server.start()
        assert postgres_version(server.address) == found.version
    finally:
        server.close()
