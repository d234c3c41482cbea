"""Download Apicurio Registry once with jgo, and keep it unpacked in the user's cache directory.

Run as a program it fetches the registry, for a machine that will have no network later.
"""

import hashlib
import sys
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from inbox.dev.local.kafka_jars import cache_directory, jgo
from inbox.errors import StartupError

REGISTRY_VERSION = "3.3.3"
MEGABYTES = 159
FETCH = "python -m inbox.dev.local.registry_archive"
"""The command that fetches the registry."""

_ARTIFACT = f"io.apicurio:apicurio-registry-app:{REGISTRY_VERSION}"
_SHA256 = "8bc6751c76d963734224b01d5e7f84ccb3cb61c87d3bd77c36c35f10a5cbed63"
_COMPLETE = "complete"
_READ_TIMEOUT_SECONDS = 60


def registry_directory() -> Path:
    """Return the directory of exactly this archive."""
    return cache_directory() / f"apicurio-registry-{REGISTRY_VERSION}-{_SHA256[:8]}"


def is_unpacked() -> bool:
    """Return whether the registry is in the cache."""
    return (registry_directory() / _COMPLETE).is_file()


def unpacked_registry(progress: Callable[[str], None]) -> Path:
    """Return the registry's directory, and download it if need be.

    Raises StartupError if it is missing and cannot be downloaded.
    """
    target = registry_directory()
    if is_unpacked():
        return target
    progress(f"downloading Apicurio Registry {REGISTRY_VERSION} ({MEGABYTES} MB, once)")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=target.parent) as working:
            complete = Path(working) / "registry"
            _unpack(_downloaded(Path(working) / "repository"), complete)
            (complete / _COMPLETE).touch()
            if target.exists() and not is_unpacked():
                target.rename(Path(working) / "broken")
            with suppress(OSError):  # another process was faster
                complete.rename(target)
    except OSError as error:
        raise StartupError(
            f"{error.filename or target} could not be written: {error.strerror}; set XDG_CACHE_HOME"
        ) from error
    progress(f"Apicurio Registry {REGISTRY_VERSION} is kept in {target}")
    return target


def _downloaded(repository: Path) -> Path:
    maven, parse = jgo()
    context = maven.MavenContext(
        resolver=maven.PythonResolver(), repo_cache=repository, local_repos=[], timeout=_READ_TIMEOUT_SECONDS
    )
    coordinate = parse.Coordinate.parse(_ARTIFACT)
    coordinate.packaging, coordinate.classifier = "tar.gz", "all"
    try:
        return Path(context.create_dependency(coordinate).artifact.resolve())
    except (OSError, RuntimeError, ValueError, AssertionError) as error:
        raise StartupError(
            f"Apicurio Registry could not be downloaded ({type(error).__name__}); try again with a network, or name a "
            "registry in INBOX_TEST_REGISTRY"
        ) from error


def _unpack(archive: Path, directory: Path) -> None:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != _SHA256:
        raise StartupError(
            f"the download of Apicurio Registry has the SHA-256 {digest}, and this version pins {_SHA256}; nothing of "
            "it was kept or run: find out who serves another file"
        )
    with tarfile.open(archive) as opened:
        opened.extractall(directory, filter="data")


if __name__ == "__main__":
    unpacked_registry(lambda text: print(text, file=sys.stderr))  # noqa: T201 - a program of its own
