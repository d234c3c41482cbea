"""Download jars, as Apache Kafka's, once with jgo, and keep them in the user's cache directory for use offline."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from inbox.dev.kafka_settings import KAFKA_VERSION
from inbox.errors import StartupError

LOG4J_VERSION = "2.24.3"
ARTIFACTS = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    # named although the broker depends on it: the resolver would pick 3.8.0, with which the broker does not start
    f"org.apache.kafka:kafka-clients:{KAFKA_VERSION}",
    f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J_VERSION}",
    f"org.apache.logging.log4j:log4j-core:{LOG4J_VERSION}",
)
RECORD = "class-path.json"
READ_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class JarSet:
    """A product's jars: Maven coordinates, whose dependencies are included, and the size of the download.

    `pins` are the SHA-256 digests of all jars in hexadecimal, by file name: other code is never run.
    """

    product: str
    artifacts: tuple[str, ...]
    megabytes: int
    pins: Mapping[str, str] = field(repr=False)


def pins_of(text: str) -> dict[str, str]:
    """Read pins as `sha256sum *.jar` prints them."""
    return {name: digest for digest, name in (line.split() for line in text.splitlines())}


APACHE_KAFKA = JarSet(
    f"Apache Kafka {KAFKA_VERSION}",
    ARTIFACTS,
    megabytes=43,
    pins=pins_of(resources.files("inbox.dev.local").joinpath("kafka_jars.sha256").read_text("utf-8")),
)


def cache_directory() -> Path:
    """Return the directory of downloads: `kafka-inbox` below XDG_CACHE_HOME, else below `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kafka-inbox"


def jars_directory(jars: JarSet = APACHE_KAFKA) -> Path:
    """Return the directory of this exact set of artifacts; another set has another directory."""
    digest = hashlib.sha256("+".join(jars.artifacts).encode()).hexdigest()[:8]
    return cache_directory() / f"{jars.product.lower().replace(' ', '-')}-{digest}"


def recorded_jars(jars: JarSet = APACHE_KAFKA) -> list[Path] | None:
    """Return the jars that an earlier download recorded; None if there was none or a file is incomplete."""
    directory = jars_directory(jars)
    try:
        sizes: dict[str, int] = json.loads((directory / RECORD).read_text())
        whole = all((directory / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return None
    return [directory / name for name in sizes] if whole else None


def kafka_jars(progress: Callable[[str], None]) -> list[Path]:
    """Return the jars that Apache Kafka needs; everything else as in `downloaded`."""
    return downloaded(APACHE_KAFKA, progress)


def downloaded(wanted: JarSet, progress: Callable[[str], None]) -> list[Path]:
    """Return the jars of the set, and download them if need be.

    Raises StartupError if they are missing and cannot be downloaded.
    """
    if (jars := recorded_jars(wanted)) is not None:
        return jars
    progress(f"downloading {wanted.product} ({wanted.megabytes} MB, once)")
    target = jars_directory(wanted)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=target.parent) as working:
            complete = Path(working) / "complete"
            _download(wanted, Path(working) / "repository", complete)
            _put_in_place(wanted, complete, target)
    except OSError as error:
        raise StartupError(
            f"{error.filename or target} could not be written: {error.strerror}; set XDG_CACHE_HOME"
        ) from error
    jars = recorded_jars(wanted)
    if jars is None:
        raise StartupError(
            f"the download of {wanted.product} is not whole in {target}; remove that directory and start again"
        )
    progress(f"{wanted.product} is kept in {target}")
    return jars


def _put_in_place(wanted: JarSet, complete: Path, target: Path) -> None:
    """Rename the download into place, so that no process sees half of it; a later download keeps the earlier one."""
    if recorded_jars(wanted) is not None:
        return
    with suppress(OSError):
        target.rename(complete.with_name("broken"))
    with suppress(OSError):
        complete.rename(target)


def _download(wanted: JarSet, repository: Path, complete: Path) -> None:
    complete.mkdir()
    try:
        found = _resolve(wanted.artifacts, repository)
    except (OSError, RuntimeError, ValueError, AssertionError) as error:
        raise StartupError(
            f"{wanted.product} could not be downloaded ({type(error).__name__}); try again with a network,"
            " or name a broker in INBOX_TEST_KAFKA"
        ) from error
    _require_pinned(wanted, found)
    for jar in found:
        shutil.move(jar, complete / jar.name)
    sizes = {jar.name: (complete / jar.name).stat().st_size for jar in found}
    (complete / RECORD).write_text(json.dumps(sizes, indent=1))


def _require_pinned(wanted: JarSet, found: Sequence[Path]) -> None:
    """Raise StartupError if the downloaded files are not exactly the pinned ones."""
    digests = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in found}
    other = sorted({name for name, _ in digests.items() ^ wanted.pins.items()})
    if other:
        raise StartupError(
            f"the download of {wanted.product} differs from what this version pins by SHA-256: {', '.join(other)}; "
            "nothing of it was kept or run: find out who serves other files, or name a broker in INBOX_TEST_KAFKA"
        )


def _resolve(artifacts: Sequence[str], repository: Path) -> list[Path]:
    """Download the artifacts and their dependencies; jgo checks each file against the SHA-1 published beside it.

    jgo's environments are not used: they fetch a JDK to sort jars from modules, and we need only one class
    path.
    """
    maven, parse = jgo()
    context = maven.MavenContext(
        resolver=maven.PythonResolver(), repo_cache=repository, local_repos=[], timeout=READ_TIMEOUT_SECONDS
    )
    wanted = []
    for artifact in artifacts:
        coordinate = parse.Coordinate.parse(artifact)
        coordinate.scope = "compile"
        wanted.append(context.create_dependency(coordinate))
    named, needed = context.resolver.resolve(wanted)
    return [Path(dependency.artifact.resolve()) for dependency in [*named, *needed]]


def jgo() -> tuple[Any, Any]:
    """Return the modules of jgo. Raises StartupError if it is not installed."""
    try:
        from jgo import maven, parse
    except ImportError as error:
        raise StartupError(
            "jgo is not installed; install kafka-inbox[dev], or name a broker in INBOX_TEST_KAFKA"
        ) from error
    return maven, parse
